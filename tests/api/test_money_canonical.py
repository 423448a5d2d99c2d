"""Reading what moves money: tokens, amounts and classes, and what is refused at the door."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from api.actions import (
    MalformedBodyError,
    RequestRefusedError,
    parse_request,
    sign_request,
    to_command,
)
from api.answers import answer
from api.exchange.money_canonical import NO_TOKEN, find_token
from api.signing import SigningKey
from api.wire.tokens import USDC_ID, token_id
from model.commands import ClientCommand, RenameSubAccount, ReserveRequests, SendAsset, SpotSend
from model.events import SubAccountCreated
from model.ids import USDC, Address, TokenId
from model.instruments import USDC_TOKEN, Token
from model.universe import Universe

KEY: Final = SigningKey.of_hex("01" * 32)
OTHER: Final = "0x5e9Ee1089755c3435139848E47e6635505d5a13A"
PURR: Final = Token(TokenId(1), "PURR", 2)
UNIVERSE: Final = Universe(tokens=[USDC_TOKEN, PURR])
NONCE: Final = 1_700_000_000_000


def command_of(action: dict[str, Any]) -> ClientCommand:
    """Sign an action and read it."""
    return to_command(parse_request(sign_request(KEY, action, NONCE), UNIVERSE))


def send_asset(**changes: str) -> dict[str, Any]:
    """Make a sendAsset from spot to spot."""
    members = {
        "destination": OTHER,
        "sourceDex": "spot",
        "destinationDex": "spot",
        "token": f"PURR:{token_id(PURR)}",
        "amount": "1.25",
        "fromSubAccount": "",
    }
    return {"type": "sendAsset", **members, **changes}


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("USDC", USDC),
        (f"USDC:{USDC_ID}", USDC),
        (f"USDC:{USDC_ID.upper().replace('X', 'x')}", USDC),
        ("PURR", PURR.token),
        (f"PURR:{token_id(PURR)}", PURR.token),
        (f"PURR:{USDC_ID}", NO_TOKEN),
        (f"USDC:{token_id(PURR)}", NO_TOKEN),
        ("purr", NO_TOKEN),
        ("USDC:", NO_TOKEN),
        ("", NO_TOKEN),
    ],
)
def test_token_texts(text: str, token: TokenId) -> None:
    """A name, or a name with the id that belongs to it."""
    assert find_token(UNIVERSE, text) == token


def test_token_of_the_universe_is_found_in_an_action() -> None:
    """The command has its number."""
    command = command_of(
        {"type": "spotSend", "destination": OTHER, "token": "PURR", "amount": "0.00000001"}
    )

    assert command == SpotSend(
        KEY.address, NONCE, None, None, Address(OTHER.lower()), PURR.token, 1
    )


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (send_asset(token="DOGE"), "Unknown token DOGE"),
        (send_asset(sourceDex="other"), "Invalid perp DEX"),
        (send_asset(destinationDex="Spot"), "Invalid perp DEX"),
        (
            {"type": "spotSend", "destination": OTHER, "token": "X:0x12", "amount": "1"},
            "Unknown token X:0x12",
        ),
        (
            {
                "type": "subAccountSpotTransfer",
                "subAccountUser": OTHER,
                "isDeposit": True,
                "token": "DOGE",
                "amount": "1",
            },
            "Unknown token DOGE",
        ),
        (
            {"type": "usdClassTransfer", "amount": "1.0000001", "toPerp": True},
            "Invalid number of decimals",
        ),
        (
            {"type": "withdraw3", "destination": OTHER, "amount": "1.0000001"},
            "Invalid number of decimals",
        ),
        (
            {"type": "userSetAbstraction", "user": OTHER, "abstraction": "unifiedAccount"},
            "Account abstractions are not offered on this exchange.",
        ),
        (
            {"type": "userDexAbstraction", "user": OTHER, "enabled": True},
            "Account abstractions are not offered on this exchange.",
        ),
        (
            {"type": "agentSetAbstraction", "abstraction": "u"},
            "Account abstractions are not offered on this exchange.",
        ),
        (
            {"type": "reserveRequestWeight", "weight": 1, "destination": OTHER},
            "Requests can be reserved for the own account only.",
        ),
    ],
)
def test_what_is_refused_at_the_door(action: dict[str, Any], text: str) -> None:
    """Whoever signed it, the text says what is wrong."""
    with pytest.raises(RequestRefusedError) as refused:
        command_of(action)

    assert refused.value.text == text


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"sourceDex": "", "destinationDex": "spot", "token": "USDC"}, (True, False)),
        ({"sourceDex": "spot", "destinationDex": "", "token": "USDC"}, (False, True)),
        ({"sourceDex": "", "destinationDex": "", "token": "USDC"}, (True, True)),
    ],
)
def test_classes_by_their_names(classes: dict[str, str], expected: tuple[bool, bool]) -> None:
    """The empty name is that of perpetuals."""
    command = command_of(send_asset(**classes))

    assert isinstance(command, SendAsset)
    assert (command.from_perp, command.to_perp) == expected


@pytest.mark.parametrize(
    "action",
    [
        {"type": "usdSend", "destination": OTHER, "amount": "1 subaccount:0x"},
        {"type": "usdClassTransfer", "amount": "1 subaccount:0x12", "toPerp": True},
        {"type": "usdClassTransfer", "amount": f"1 subaccount:{OTHER} ", "toPerp": True},
        {"type": "usdClassTransfer", "amount": ".5", "toPerp": True},
        {"type": "usdClassTransfer", "amount": "-1", "toPerp": True},
        {"type": "withdraw3", "destination": OTHER, "amount": "1e3"},
        send_asset(fromSubAccount="0x12"),
        {"type": "subAccountTransfer", "subAccountUser": OTHER, "isDeposit": True, "usd": -1},
        {"type": "subAccountTransfer", "subAccountUser": OTHER, "isDeposit": True, "usd": 2**64},
        {"type": "subAccountTransfer", "subAccountUser": OTHER, "isDeposit": True, "usd": 1.5},
        {"type": "reserveRequestWeight", "weight": 2**32},
        {"type": "createSubAccount", "name": "x" * 129},
        {"type": "createSubAccount", "name": "x", "more": 1},
    ],
)
def test_malformed_members(action: dict[str, Any]) -> None:
    """Such a body is no request at all."""
    members = {"signatureChainId": "0x1", "hyperliquidChain": "Testnet", "time": 1, "nonce": 1}
    timed = ("usdSend", "withdraw3")
    if action["type"] in ("usdSend", "withdraw3", "usdClassTransfer", "sendAsset"):
        members.pop("nonce" if action["type"] in timed else "time")
        action = {**members, **action}
    signature = {"r": "0x1", "s": "0x1", "v": 27}
    body = json.dumps({"action": action, "nonce": 1, "signature": signature}).encode()

    with pytest.raises(MalformedBodyError) as malformed:
        parse_request(body)

    assert malformed.value.status == 422


def test_nonce_inside_must_be_the_one_outside() -> None:
    """Of those that carry a time as of those that carry a nonce."""
    for action in (
        {"type": "withdraw3", "destination": OTHER, "amount": "1"},
        {"type": "spotSend", "destination": OTHER, "token": "USDC", "amount": "1"},
        {"type": "usdClassTransfer", "amount": "1", "toPerp": True},
        send_asset(),
    ):
        body = json.loads(sign_request(KEY, action, NONCE))
        body["nonce"] = NONCE + 1

        assert parse_request(json.dumps(body).encode(), UNIVERSE).refusal == "Nonce mismatch."


def test_addresses_of_l1_actions_are_signed_in_lower_case() -> None:
    """A sub-account may be written in any case; the canonical form is what counts."""
    command = command_of({"type": "subAccountModify", "subAccountUser": OTHER, "name": "new"})

    assert command == RenameSubAccount(
        KEY.address, NONCE, None, None, Address(OTHER.lower()), "new"
    )


def test_reserved_requests() -> None:
    """The weight is the number of requests."""
    command = command_of({"type": "reserveRequestWeight", "weight": 7})

    assert command == ReserveRequests(KEY.address, NONCE, None, None, 7)


def test_new_sub_account_is_answered_with_its_address() -> None:
    """It stands alone as the data of the answer."""
    request = parse_request(sign_request(KEY, {"type": "createSubAccount", "name": "one"}, NONCE))
    created = SubAccountCreated(KEY.address, Address(OTHER.lower()), "one")

    body = json.loads(answer(request, [created], UNIVERSE.__getitem__))

    assert body == {
        "status": "ok",
        "response": {"type": "createSubAccount", "data": OTHER.lower()},
    }


@pytest.mark.parametrize("prefix", ["0x", ""])
def test_the_sub_account_of_a_class_transfer(prefix: str) -> None:
    """It follows the amount, and one client leaves out how hexadecimal numbers begin."""
    amount = f"1 subaccount:{prefix}{OTHER.removeprefix('0x')}"

    command = command_of({"type": "usdClassTransfer", "amount": amount, "toPerp": True})

    assert command.account == Address(OTHER.lower())  # type: ignore[union-attr]
