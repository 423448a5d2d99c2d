"""The unmodified Python SDK signs; we must find its signer, for any action it can make."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.utils import signing as sdk
from hyperliquid.utils.types import Cloid as SdkCloid
from hypothesis import given, settings
from hypothesis import strategies as st

from api.actions import parse_request, sign_request, to_command
from api.signing import Chain, SigningKey, l1_action_hash, sign_l1_action
from model.commands import (
    ClassTransfer,
    CreateSubAccount,
    ModifyOrders,
    Noop,
    PlaceOrders,
    SendAsset,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    UsdSend,
    Withdraw,
)
from model.ids import USDC, Address

SECRET: Final = "0x0123456789012345678901234567890123456789012345678901234567890123"
KEY: Final = SigningKey.of_hex(SECRET)
WALLET: Final = Account.from_key(SECRET)
OTHER: Final = "0x5e9Ee1089755c3435139848E47e6635505d5a13A"

U64: Final = st.integers(0, 2**64 - 1)
U32: Final = st.integers(0, 2**32 - 1)
CLOIDS: Final = st.integers(0, 2**128 - 1).map(lambda number: f"0x{number:032x}")
ADDRESSES: Final = st.integers(0, 2**160 - 1).map(lambda number: f"0x{number:040x}")
DECIMALS: Final = st.integers(0, 2**64 - 1).map(
    lambda e8: f"{Decimal(e8).scaleb(-8).normalize():f}"
)


def ordered(
    members: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Make mappings with these keys in this order, since the order is signed."""
    order = [*members, *optional]
    made = st.fixed_dictionaries(members, optional=optional)
    return made.map(lambda drawn: {name: drawn[name] for name in order if name in drawn})


KINDS: Final = st.one_of(
    st.sampled_from(["Gtc", "Ioc", "Alo", "FrontendMarket"]).map(lambda t: {"limit": {"tif": t}}),
    ordered(
        {
            "isMarket": st.booleans(),
            "triggerPx": DECIMALS,
            "tpsl": st.sampled_from(["tp", "sl"]),
        }
    ).map(lambda trigger: {"trigger": trigger}),
)
ORDERS: Final = ordered(
    {
        "a": U32,
        "b": st.booleans(),
        "p": DECIMALS,
        "s": DECIMALS,
        "r": st.booleans(),
        "t": KINDS,
    },
    c=CLOIDS,
)
OIDS: Final = U64 | CLOIDS


def action(kind: str, members: dict[str, Any], **optional: Any) -> st.SearchStrategy[Any]:
    """Make actions of one type with ``members`` in canonical order."""
    return ordered({"type": st.just(kind), **members}, **optional)


def lists(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(entries, max_size=5)


L1_ACTIONS: Final = st.one_of(
    action(
        "order",
        {
            "orders": lists(ORDERS),
            "grouping": st.sampled_from(["na", "normalTpsl", "positionTpsl", {"p": 10**8}]),
        },
        builder=ordered({"b": ADDRESSES, "f": U32}),
    ),
    action("modify", {"oid": OIDS, "order": ORDERS}, a=st.booleans()),
    action(
        "batchModify",
        {"modifies": lists(ordered({"oid": OIDS, "order": ORDERS}))},
        a=st.booleans(),
    ),
    action("cancel", {"cancels": lists(ordered({"a": U32, "o": U64}))}),
    action(
        "cancelByCloid",
        {"cancels": lists(ordered({"asset": U32, "cloid": CLOIDS}))},
        f=st.booleans(),
    ),
    action("updateLeverage", {"asset": U32, "isCross": st.booleans(), "leverage": U32}),
    action(
        "updateIsolatedMargin",
        {"asset": U32, "isBuy": st.booleans(), "ntli": st.integers(-(2**63), 2**63 - 1)},
    ),
    action("createSubAccount", {"name": st.text(max_size=60)}),
    action("subAccountModify", {"subAccountUser": ADDRESSES, "name": st.text(max_size=60)}),
    action(
        "subAccountTransfer",
        {"subAccountUser": ADDRESSES, "isDeposit": st.booleans(), "usd": U64},
    ),
    action(
        "subAccountSpotTransfer",
        {
            "subAccountUser": ADDRESSES,
            "isDeposit": st.booleans(),
            "token": st.just("USDC"),
            "amount": st.just("1.50") | DECIMALS,
        },
    ),
    action("reserveRequestWeight", {"weight": U32}),
    action("registerReferrer", {"code": st.text(max_size=60)}),
    action("setDisplayName", {"displayName": st.text(max_size=60)}),
    action("agentSetAbstraction", {"abstraction": st.just("i")}),
    action("spotUser", {"toggleSpotDusting": ordered({"optOut": st.booleans()})}),
    action("noop", {}),
    action("setReferrer", {"code": st.text(max_size=60)}),
)


@settings(max_examples=150, deadline=None)
@given(L1_ACTIONS, U64, st.none() | ADDRESSES, st.none() | U64)
def test_any_l1_action_of_the_sdk(
    signed: dict[str, Any], nonce: int, vault: str | None, expires_after: int | None
) -> None:
    """What the SDK signs has the hash we compute, and its signer is found from the whole body."""
    signature = sdk.sign_l1_action(WALLET, signed, vault, nonce, expires_after, False)
    envelope = {
        "action": signed,
        "nonce": nonce,
        "signature": signature,
        "vaultAddress": vault,
        "expiresAfter": expires_after,
    }
    ours = sign_l1_action(KEY, signed, nonce, vault=vault, expires_after=expires_after)

    command = to_command(parse_request(json.dumps(envelope).encode()))
    assert (command.signer, command.nonce) == (KEY.address, nonce)
    assert (command.vault, command.expires_after) == (vault, expires_after)
    assert l1_action_hash(
        signed, nonce, vault=vault, expires_after=expires_after
    ) == sdk.action_hash(signed, vault, nonce, expires_after)
    assert ours.to_wire() == {
        "r": "0x" + signature["r"][2:].zfill(64),
        "s": "0x" + signature["s"][2:].zfill(64),
        "v": signature["v"],
    }


@settings(max_examples=50, deadline=None)
@given(ADDRESSES, DECIMALS, st.integers(0, 2**63), st.text(max_size=40))
def test_any_user_signed_action_of_the_sdk(
    address: str, amount: str, nonce: int, name: str
) -> None:
    """What wallets sign by way of the SDK has its signer found."""
    send = {"destination": address, "amount": amount, "time": nonce, "type": "usdSend"}
    agent = {"type": "approveAgent", "agentAddress": address, "agentName": name, "nonce": nonce}
    fee = {"maxFeeRate": "0.1%", "builder": address, "nonce": nonce, "type": "approveBuilderFee"}
    for sign, signed in (
        (sdk.sign_usd_transfer_action, send),
        (sdk.sign_agent, agent),
        (sdk.sign_approve_builder_fee, fee),
    ):
        signature = sign(WALLET, signed, False)
        body = {"action": signed, "nonce": nonce, "signature": signature}
        request = parse_request(json.dumps(body).encode())

        if request.refusal is None:
            assert to_command(request).signer == KEY.address
        else:
            assert request.refusal == "Invalid number of decimals"


@settings(max_examples=50, deadline=None)
@given(L1_ACTIONS, st.integers(0, 2**63), st.none() | ADDRESSES, st.none() | U64)
def test_the_sdk_finds_our_signer(
    signed: dict[str, Any], nonce: int, vault: Any, expires_after: int | None
) -> None:
    """What our own programs sign and send is, to the SDK, our signature of what was sent."""
    body = json.loads(sign_request(KEY, signed, nonce, vault=vault, expires_after=expires_after))

    signer = sdk.recover_agent_or_user_from_l1_action(
        body["action"], body["signature"], vault, nonce, expires_after, False
    )
    assert body["action"] == signed
    assert signer.lower() == KEY.address


def test_the_sdk_on_mainnet_is_a_stranger() -> None:
    """A client that believes to be on mainnet signs nothing that counts here."""
    signature = sdk.sign_l1_action(WALLET, {"type": "noop"}, None, 5, None, True)
    body = json.dumps({"action": {"type": "noop"}, "nonce": 5, "signature": signature}).encode()

    assert to_command(parse_request(body)).signer != KEY.address
    assert to_command(parse_request(body), Chain.MAINNET).signer == KEY.address


class Client(Exchange):  # type: ignore[misc]  # the SDK ships no types
    """The SDK's own client, its bodies kept instead of sent."""

    def __init__(self) -> None:
        universe = [{"name": "BTC", "szDecimals": 5}, {"name": "ETH", "szDecimals": 4}]
        spot: dict[str, Any] = {"universe": [], "tokens": []}
        super().__init__(WALLET, "http://127.0.0.1:9", {"universe": universe}, spot_meta=spot)
        self.bodies: list[bytes] = []

    def post(self, url_path: str, payload: Any = None) -> Any:
        assert url_path == "/exchange"
        self.bodies.append(json.dumps(payload).encode())
        return {"status": "err", "response": "not sent"}


@pytest.fixture
def client() -> Client:
    return Client()


def test_the_methods_of_the_client(client: Client) -> None:
    """Every trading method of the SDK's client gives a body whose signer is found."""
    gtc = {"limit": {"tif": "Gtc"}}
    trigger = {"trigger": {"isMarket": True, "triggerPx": 1800.5, "tpsl": "sl"}}
    cloid = SdkCloid.from_str("0x0000000000000000000000000000abcd")
    fee = {"b": OTHER, "f": 10}
    client.order("ETH", True, 1900.5, 0.1, gtc)
    client.order("BTC", False, 65000, 0.00001, trigger, True, cloid, fee)
    client.modify_order(77, "ETH", True, 1890, 0.2, gtc)
    client.modify_order(cloid, "ETH", True, 1890, 0.2, gtc, cloid=cloid)
    client.cancel("ETH", 77)
    client.cancel_by_cloid("ETH", cloid)
    client.update_leverage(5, "BTC")
    client.set_referrer("CODE")
    client.noop(1_700_000_000_000)
    client.usd_transfer(12.5, OTHER)
    client.approve_agent()
    client.approve_agent("bot")
    client.approve_builder_fee(OTHER, "0.01%")

    commands = [to_command(parse_request(body)) for body in client.bodies]
    assert [command.signer for command in commands] == [KEY.address] * 13
    assert isinstance(commands[1], PlaceOrders)
    assert commands[1].orders[0].cloid == cloid.to_raw()
    assert isinstance(commands[2], ModifyOrders)
    assert commands[2].modifies[0].target == 77
    assert isinstance(commands[9], UsdSend)
    assert (commands[9].destination, commands[9].usd) == (OTHER.lower(), 12_500_000)
    assert commands[12] == Noop(KEY.address, commands[12].nonce, None, None, as_owner=True)


def test_the_clients_methods_that_move_money(client: Client) -> None:
    """Every transfer, withdrawal and setting of the client gives a body whose signer is found."""
    client.usd_class_transfer(1.5, True)
    client.spot_transfer(2.5, OTHER, "USDC:0x6d1e7cde53ba9467b783cb7c530ce054")
    client.send_asset(OTHER, "", "spot", "USDC", 3.5)
    client.withdraw_from_bridge(4.5, OTHER)
    client.create_sub_account("example")
    client.sub_account_transfer(OTHER.lower(), True, 5_000_001)
    client.sub_account_spot_transfer(OTHER.lower(), False, "USDC", 6.5)
    client.agent_set_abstraction("i")
    client.user_dex_abstraction(OTHER, False)
    client.user_set_abstraction(OTHER, "disabled")

    requests = [parse_request(body) for body in client.bodies]
    commands = [to_command(request) for request in requests]
    assert [command.signer for command in commands] == [KEY.address] * 10
    heads = [(KEY.address, command.nonce, None, None) for command in commands]
    other = Address(OTHER.lower())
    assert commands == [
        ClassTransfer(*heads[0], 1_500_000, True),
        SpotSend(*heads[1], other, USDC, 250_000_000),
        SendAsset(*heads[2], other, True, False, USDC, 350_000_000),
        Withdraw(*heads[3], other, 4_500_000),
        CreateSubAccount(*heads[4], "example"),
        SubAccountTransfer(*heads[5], other, True, 5_000_001),
        SubAccountSpotTransfer(*heads[6], other, False, USDC, 650_000_000),
        Noop(*heads[7]),
        Noop(*heads[8], as_owner=True),
        Noop(*heads[9], as_owner=True),
    ]


def test_the_client_moves_money_of_its_vault(client: Client) -> None:
    """The SDK names its vault inside of what is signed, and nowhere else."""
    client.vault_address = OTHER
    client.usd_class_transfer(1.0, False)
    client.send_asset(OTHER, "spot", "", "USDC", 2.0)

    transfer, send = (to_command(parse_request(body)) for body in client.bodies)
    assert isinstance(transfer, ClassTransfer)
    assert isinstance(send, SendAsset)
    assert (transfer.signer, transfer.account) == (KEY.address, OTHER.lower())
    assert (send.signer, send.account) == (KEY.address, OTHER.lower())


def test_the_client_with_expiry_and_vault(client: Client) -> None:
    """Expiry and vault of the client are in what it signs."""
    client.vault_address = OTHER
    client.set_expires_after(1_800_000_000_000)
    client.order("ETH", True, 1900.5, 0.1, {"limit": {"tif": "Ioc"}})

    command = to_command(parse_request(client.bodies[0]))
    assert command.signer == KEY.address
    assert (command.vault, command.expires_after) == (OTHER.lower(), 1_800_000_000_000)


def test_not_offered_methods_of_the_client(client: Client) -> None:
    """Methods for what is not offered give bodies that are refused by name."""
    client.vault_usd_transfer(OTHER, True, 1)
    client.token_delegate(OTHER, 1, False)
    client.agent_enable_dex_abstraction()

    requests = [parse_request(body) for body in client.bodies]
    assert all(request.refusal and request.kind in request.refusal for request in requests)
