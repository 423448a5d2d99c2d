"""Signed requests: what is read, what is refused, and who is found to have signed."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.actions import (
    BODY_BYTES_MAX,
    MalformedBodyError,
    RequestRefusedError,
    parse_request,
    sign_request,
    to_command,
)
from api.exchange.wire import BATCH_MAX, UNSUPPORTED_TYPES
from api.signing import (
    USER_SIGNED,
    Chain,
    Signature,
    SigningKey,
    sign_l1_action,
    sign_user_action,
)
from model.blocks import Entry, decode_entries, encode_entries
from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    CancelTwap,
    ClientCommand,
    Grouping,
    ModifyOrders,
    ModifySpec,
    Noop,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    ScheduleCancel,
    Tif,
    TopUpIsolatedMargin,
    TriggerSpec,
    UpdateIsolatedMargin,
    UpdateLeverage,
    UsdSend,
)
from model.ids import Address, AssetId, Cloid, OrderId
from model.units import E8

KEY: Final = SigningKey.of_hex("0x0123456789012345678901234567890123456789012345678901234567890123")
NONCE: Final = 1_700_000_000_000
CLOID: Final = "0x0000000000000000000000000000abcd"
VAULT: Final = Address("0x1719884eb866cb12b2287399b15f7db5e7d775ea")
OTHER: Final = Address("0x5e9ee1089755c3435139848e47e6635505d5a13a")
BUILDER: Final = "0x6530512a6c89c7cfcebc3ba7fcd9ada5f30827a6"

ORDER: Final[dict[str, Any]] = {
    "a": 1,
    "b": True,
    "p": "1900.5",
    "s": "0.1",
    "r": False,
    "t": {"limit": {"tif": "Gtc"}},
}
TRIGGER: Final[dict[str, Any]] = {
    **ORDER,
    "t": {"trigger": {"isMarket": True, "triggerPx": "1800", "tpsl": "sl"}},
}
SPEC: Final = OrderSpec(AssetId(1), True, 190_050_000_000, 10_000_000, Tif.GTC, False)
PLACE: Final[dict[str, Any]] = {"type": "order", "orders": [ORDER], "grouping": "na"}
SEND: Final[dict[str, Any]] = {
    "type": "usdSend",
    "destination": OTHER,
    "amount": "12.5",
    "time": NONCE,
}
AGENT: Final[dict[str, Any]] = {
    "type": "approveAgent",
    "agentAddress": OTHER,
    "agentName": "bot",
    "nonce": NONCE,
}
FEE: Final[dict[str, Any]] = {
    "type": "approveBuilderFee",
    "maxFeeRate": "0.01%",
    "builder": BUILDER,
    "nonce": NONCE,
}

TWAP: Final[dict[str, Any]] = {
    "type": "twapOrder",
    "twap": {"a": 1, "b": True, "s": "1.5", "r": False, "m": 10, "t": False},
}

ACTIONS: Final[list[dict[str, Any]]] = [
    PLACE,
    {**PLACE, "orders": [{**ORDER, "c": CLOID}, TRIGGER], "builder": {"b": BUILDER, "f": 10}},
    {"type": "cancel", "cancels": [{"a": 1, "o": 77}], "f": True},
    {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": CLOID}]},
    {"type": "modify", "oid": 77, "order": ORDER, "a": True},
    {"type": "batchModify", "modifies": [{"oid": CLOID, "order": ORDER}]},
    {"type": "updateLeverage", "asset": 1, "isCross": True, "leverage": 5},
    {"type": "updateIsolatedMargin", "asset": 1, "isBuy": True, "ntli": -1_500_000},
    {"type": "topUpIsolatedOnlyMargin", "asset": 1, "leverage": "0.5"},
    {"type": "scheduleCancel"},
    {"type": "scheduleCancel", "time": NONCE + 10_000},
    TWAP,
    {**TWAP, "details": {"t": None, "s": None}},
    {"type": "twapCancel", "a": 1, "t": 77738308},
    {"type": "noop"},
    {"type": "setReferrer", "code": "CCXT1"},
    SEND,
    AGENT,
    FEE,
]


def signed_as(
    signed: dict[str, Any], sent: dict[str, Any] | None = None, **envelope: Any
) -> dict[str, Any]:
    """Sign one action exactly as written and send another, or the same."""
    if signed["type"] in USER_SIGNED:
        complete, signature = sign_user_action(KEY, signed)
        sent = {**complete, **(sent or {})}
    else:
        vault = envelope.get("vaultAddress")
        signature = sign_l1_action(
            KEY,
            signed,
            NONCE,
            vault=vault.lower() if vault else None,
            expires_after=envelope.get("expiresAfter"),
        )
    body = {"action": sent or signed, "nonce": NONCE, "signature": signature.to_wire()}
    return {**body, **envelope}


def command_of(body: dict[str, Any], chain: Chain = Chain.TESTNET) -> ClientCommand:
    return to_command(parse_request(json.dumps(body).encode()), chain)


def refusal_of(body: dict[str, Any]) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        command_of(body)
    return caught.value.text


def status_of(body: bytes) -> int:
    with pytest.raises(MalformedBodyError) as caught:
        parse_request(body)
    return caught.value.status


# ---- what becomes of each action -------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action["type"]))
def test_every_action_is_read_and_gives_its_signer(action: dict[str, Any]) -> None:
    """An action that was signed in canonical form is found to be its signer's."""
    request = parse_request(json.dumps(signed_as(action)).encode())

    assert request.kind == action["type"]
    assert to_command(request).signer == KEY.address


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action["type"]))
def test_our_own_requests_are_read_back(action: dict[str, Any]) -> None:
    """What our own programs sign is found to be theirs, on either network and on that one only."""
    body = sign_request(KEY, action, NONCE, chain=Chain.MAINNET)

    assert to_command(parse_request(body), Chain.MAINNET).signer == KEY.address
    if action["type"] in USER_SIGNED:
        with pytest.raises(RequestRefusedError, match="Mainnet and testnet require different"):
            to_command(parse_request(body))
    else:
        assert to_command(parse_request(body)).signer != KEY.address


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (PLACE, PlaceOrders(KEY.address, NONCE, None, None, (SPEC,))),
        (
            {**PLACE, "grouping": {"p": 7}, "orders": []},
            PlaceOrders(KEY.address, NONCE, None, None, ()),
        ),
        (
            {**PLACE, "orders": [TRIGGER], "grouping": "positionTpsl"},
            PlaceOrders(
                KEY.address,
                NONCE,
                None,
                None,
                (
                    msgspec.structs.replace(
                        SPEC, trigger=TriggerSpec(180_000_000_000, True, True), cloid=None
                    ),
                ),
                Grouping.POSITION_TPSL,
            ),
        ),
        (
            {"type": "cancel", "cancels": [{"a": 1, "o": 77}, {"a": 0, "o": 2**64 - 1}]},
            CancelOrders(
                KEY.address,
                NONCE,
                None,
                None,
                (
                    CancelSpec(AssetId(1), OrderId(77)),
                    CancelSpec(AssetId(0), OrderId(2**64 - 1)),
                ),
            ),
        ),
        (
            {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": CLOID}]},
            CancelOrders(KEY.address, NONCE, None, None, (CancelSpec(AssetId(1), Cloid(CLOID)),)),
        ),
        (
            {"type": "modify", "oid": CLOID, "order": ORDER},
            ModifyOrders(KEY.address, NONCE, None, None, (ModifySpec(Cloid(CLOID), SPEC),)),
        ),
        (
            {"type": "batchModify", "modifies": [{"oid": 77, "order": ORDER}], "a": True},
            ModifyOrders(KEY.address, NONCE, None, None, (ModifySpec(OrderId(77), SPEC),), True),
        ),
        (
            {"type": "updateLeverage", "asset": 1, "isCross": True, "leverage": 5},
            UpdateLeverage(KEY.address, NONCE, None, None, AssetId(1), True, 5),
        ),
        (
            {"type": "updateIsolatedMargin", "asset": 1, "isBuy": False, "ntli": -1_500_000},
            UpdateIsolatedMargin(KEY.address, NONCE, None, None, AssetId(1), -1_500_000),
        ),
        (
            {"type": "topUpIsolatedOnlyMargin", "asset": 1, "leverage": "0.5"},
            TopUpIsolatedMargin(KEY.address, NONCE, None, None, AssetId(1), E8 // 2),
        ),
        ({"type": "scheduleCancel"}, ScheduleCancel(KEY.address, NONCE, None, None)),
        (
            {"type": "scheduleCancel", "time": NONCE},
            ScheduleCancel(KEY.address, NONCE, None, None, NONCE),
        ),
        (
            TWAP,
            PlaceTwap(
                KEY.address, NONCE, None, None, AssetId(1), True, 3 * E8 // 2, False, 10, False
            ),
        ),
        (
            {"type": "twapCancel", "a": 1, "t": 7},
            CancelTwap(KEY.address, NONCE, None, None, AssetId(1), 7),
        ),
        ({"type": "noop"}, Noop(KEY.address, NONCE, None, None)),
        ({"type": "setReferrer", "code": "x"}, Noop(KEY.address, NONCE, None, None)),
        (FEE, Noop(KEY.address, NONCE, None, None, True)),
        (SEND, UsdSend(KEY.address, NONCE, None, None, OTHER, 12_500_000)),
        (AGENT, ApproveAgent(KEY.address, NONCE, None, None, OTHER, "bot", None)),
        (
            {**AGENT, "agentName": "bot valid_until 1700000099999"},
            ApproveAgent(KEY.address, NONCE, None, None, OTHER, "bot", 1700000099999),
        ),
    ],
)
def test_commands(action: dict[str, Any], expected: ClientCommand) -> None:
    """An action becomes the command that says the same."""
    assert command_of(signed_as(action)) == expected


def test_an_agent_without_a_name_was_signed_with_the_empty_name() -> None:
    """A client may leave out the name after signing it as empty."""
    body = signed_as({**AGENT, "agentName": ""})
    del body["action"]["agentName"]

    command = command_of(body)
    assert command == ApproveAgent(KEY.address, NONCE, None, None, OTHER, "", None)


@pytest.mark.parametrize("chain_id", ["0x1", "0x66eee", "0xa4b1", "0x" + "f" * 64])
def test_wallets_sign_under_any_chain_id(chain_id: str) -> None:
    """The chain id of a wallet selects the domain and nothing else."""
    assert command_of(signed_as({**SEND, "signatureChainId": chain_id})).signer == KEY.address


# ---- cosmetic differences --------------------------------------------------------------------


def test_cosmetic_variants_are_understood() -> None:
    """A client that signed the canonical form may send other key order, case and zeros."""
    canonical = {
        **PLACE,
        "orders": [{**ORDER, "c": CLOID}, TRIGGER],
        "builder": {"b": BUILDER, "f": 10},
    }
    trigger = {"trigger": {"tpsl": "sl", "triggerPx": "1800.00", "isMarket": True}}
    sent = {
        "builder": {"f": 10, "b": "0x" + BUILDER[2:].upper()},
        "grouping": "na",
        "orders": [
            {"c": "0x" + CLOID[2:].upper(), **ORDER, "p": "01900.50", "s": "0.10000000000"},
            {**TRIGGER, "t": trigger},
        ],
        "type": "order",
    }

    assert command_of(signed_as(canonical, sent)) == command_of(signed_as(canonical))
    assert command_of(signed_as(sent, sent)).signer != KEY.address


@pytest.mark.parametrize(
    ("canonical", "sent"),
    [
        (
            {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": CLOID}]},
            {"type": "cancelByCloid", "cancels": [{"cloid": "0x" + CLOID[2:].upper(), "asset": 1}]},
        ),
        (
            {"type": "modify", "oid": CLOID, "order": ORDER},
            {"type": "modify", "order": {**ORDER, "s": "0.10"}, "oid": CLOID.replace("a", "A")},
        ),
        (
            {"type": "batchModify", "modifies": [{"oid": CLOID, "order": ORDER}]},
            {"type": "batchModify", "modifies": [{"order": ORDER, "oid": CLOID.replace("b", "B")}]},
        ),
    ],
)
def test_cosmetic_variants_of_ids(canonical: dict[str, Any], sent: dict[str, Any]) -> None:
    """Client ids may be sent in any letter case."""
    assert command_of(signed_as(canonical, sent)) == command_of(signed_as(canonical))


def test_vault_is_understood_without_prefix_and_in_any_case() -> None:
    """The vault is part of what is signed, and some clients send its bare digits."""
    for text in (VAULT, VAULT[2:], VAULT[2:].upper()):
        command = command_of(signed_as(PLACE, vaultAddress=text))

        assert (command.signer, command.vault) == (KEY.address, VAULT)


def test_null_is_absent() -> None:
    """Optional fields that are null were not signed."""
    sent = {**PLACE, "orders": [{**ORDER, "c": None}], "builder": None}
    body = signed_as(PLACE, sent, vaultAddress=None, expiresAfter=None)

    assert command_of(body) == PlaceOrders(KEY.address, NONCE, None, None, (SPEC,))


def test_expiry_is_signed() -> None:
    """An expiry that was changed on the way gives another signer."""
    body = signed_as(PLACE, expiresAfter=NONCE + 1)

    assert command_of(body).signer == KEY.address
    assert command_of(body).expires_after == NONCE + 1
    assert command_of({**body, "expiresAfter": NONCE + 2}).signer != KEY.address


def test_false_is_signed() -> None:
    """An optional flag that is false is not an absent one."""
    action = {"type": "cancel", "cancels": [{"a": 1, "o": 77}], "f": False}

    assert command_of(signed_as(action)).signer == KEY.address


@pytest.mark.parametrize("letters", [OTHER, "0x" + OTHER[2:].upper()])
def test_destination_is_signed_as_written(letters: str) -> None:
    """The letter case of a destination is signed, and means nothing afterwards."""
    command = command_of(signed_as({**SEND, "destination": letters, "amount": "1.50"}))

    assert command == UsdSend(KEY.address, NONCE, None, None, OTHER, 1_500_000)


def test_signatures_without_padding() -> None:
    """Leading zeros of r and s may be missing: a signature with each is found and read."""
    seen = set()
    for nonce in range(NONCE, NONCE + 2000):
        signature = sign_l1_action(KEY, {"type": "noop"}, nonce)
        r, s = (hex(int.from_bytes(part, "big")) for part in halves(signature))
        seen |= {name for name, text in (("r", r), ("s", s)) if len(text) < 66}
        body = {"action": {"type": "noop"}, "nonce": nonce}
        if len(r) < 66 or len(s) < 66:
            signed = {**body, "signature": {"r": r, "s": s, "v": signature.v}}
            assert command_of(signed).signer == KEY.address
        if len(seen) == 2:
            return
    pytest.fail("no such signature among two thousand")


def halves(signature: Signature) -> tuple[bytes, bytes]:
    return signature.compact[:32], signature.compact[32:]


# ---- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            signed_as(SEND, expiresAfter=NONCE),
            "expiresAfter is not covered by the signature of usdSend; leave it out.",
        ),
        (
            signed_as(AGENT, vaultAddress=VAULT),
            "vaultAddress is not covered by the signature of approveAgent; leave it out.",
        ),
        ({**signed_as(SEND), "nonce": NONCE + 1}, "Nonce mismatch."),
        ({**signed_as(FEE), "nonce": NONCE - 1}, "Nonce mismatch."),
        (
            signed_as(SEND, {"hyperliquidChain": "Mainnet"}),
            "Mainnet and testnet require different signature.",
        ),
        (signed_as({**SEND, "amount": "0.0000001"}), "Invalid number of decimals"),
        (
            {**signed_as(PLACE), "signature": {"r": "0x0", "s": "0x0", "v": 27}},
            "Unable to recover signer.",
        ),
        (
            {**signed_as(PLACE), "signature": {"r": "0x1", "s": "0x1", "v": 0}},
            "Unable to recover signer.",
        ),
        (
            {**signed_as(PLACE), "action": {"type": "createVault", "time": 5}},
            "Action createVault is not offered on this exchange.",
        ),
        (
            signed_as({**TWAP, "details": {"t": {"p": "1800", "a": True}, "s": None}}),
            "TWAP orders with a trigger or a stop price are not offered.",
        ),
        (
            signed_as({**TWAP, "details": {"t": None, "s": "1800"}}),
            "TWAP orders with a trigger or a stop price are not offered.",
        ),
    ],
)
def test_refusals(body: dict[str, Any], text: str) -> None:
    """A readable request that cannot stand is refused with a text that says why."""
    assert refusal_of(body) == text


@pytest.mark.parametrize("kind", sorted(UNSUPPORTED_TYPES))
def test_known_actions_that_are_not_offered(kind: str) -> None:
    """Actions that clients know are refused by name, whatever their fields."""
    body = {**signed_as({"type": "noop"}), "action": {"type": kind, "anything": [1, {"x": None}]}}
    request = parse_request(json.dumps(body).encode())

    assert (request.kind, request.draft) == (kind, None)
    assert kind in refusal_of(body)


# ---- malformed -------------------------------------------------------------------------------


def edited(path: str, value: Any, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a valid body with the value at a dotted path set; ``...`` deletes it."""
    edited_body = copy.deepcopy(body or signed_as(ACTIONS[1]))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    target: Any = edited_body
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return edited_body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("isFrontend", True),
        ("action.extra", 1),
        ("action.orders.0.extra", 1),
        ("action.type", "orders"),
        ("action.type", 5),
        ("action.type", ...),
        ("action.grouping", ...),
        ("action.grouping", "all"),
        ("action.grouping", {"p": 100_000_001}),
        ("action.orders.0.r", ...),
        ("action.orders.0.a", "1"),
        ("action.orders.0.a", -1),
        ("action.orders.0.a", 2**32),
        ("action.orders.0.a", 1.5),
        ("action.orders.0.a", True),
        ("action.orders.0.b", 1),
        ("action.orders.0.p", 1900),
        ("action.orders.0.p", "1e3"),
        ("action.orders.0.p", "NaN"),
        ("action.orders.0.p", "inf"),
        ("action.orders.0.p", "-1"),
        ("action.orders.0.p", "-0"),
        ("action.orders.0.p", " 1"),
        ("action.orders.0.p", "1_0"),
        ("action.orders.0.p", ""),
        ("action.orders.0.p", "."),
        ("action.orders.0.p", "\u0661"),
        ("action.orders.0.s", "0.123456789"),
        ("action.orders.0.s", str(2**64)),
        ("action.orders.0.s", "0" * 41),
        ("action.orders.0.c", "0x1"),
        ("action.orders.0.c", CLOID + "\n"),
        ("action.orders.0.c", CLOID[2:]),
        ("action.orders.0.t", {}),
        ("action.orders.0.t", {"limit": {"tif": "Fok"}}),
        ("action.orders.0.t", {**ORDER["t"], **TRIGGER["t"]}),
        ("action.orders.1.t.trigger.triggerPx", "x"),
        ("action.orders.1.t.trigger.tpsl", "ts"),
        ("action.builder.b", "0x1"),
        ("nonce", -1),
        ("nonce", 2**64),
        ("nonce", "1"),
        ("nonce", 1.0),
        ("expiresAfter", 2**64),
        ("vaultAddress", ""),
        ("vaultAddress", VAULT + "\n"),
        ("vaultAddress", "0x" + VAULT),
        ("signature", None),
        ("signature.r", "1"),
        ("signature.r", "0x" + "1" * 65),
        ("signature.r", "0xzz"),
        ("signature.v", "27"),
        ("signature.v", -1),
    ],
)
def test_malformed_requests(path: str, value: Any) -> None:
    """A body of the wrong shape is answered with 422 and the framework's words."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_request(json.dumps(edited(path, value)).encode())

    assert caught.value.status == 422
    assert caught.value.text.startswith("Failed to deserialize the JSON body into the target type")


@pytest.mark.parametrize(
    ("action", "path", "value"),
    [
        (ACTIONS[2], "action.cancels.0.o", 2**64),
        (ACTIONS[2], "action.cancels.0.o", CLOID),
        (ACTIONS[4], "action.oid", 2**64),
        (ACTIONS[4], "action.oid", "77"),
        (ACTIONS[6], "action.leverage", -1),
        (ACTIONS[8], "action.code", "x" * 129),
        (SEND, "action.amount", "-1"),
        (SEND, "action.amount", "one"),
        (SEND, "action.destination", "0x1"),
        (SEND, "action.signatureChainId", "0x"),
        (SEND, "action.signatureChainId", "421614"),
        (SEND, "action.signatureChainId", "0x" + "f" * 65),
        (SEND, "action.hyperliquidChain", "Devnet"),
        (SEND, "action.nonce", 1),
        (AGENT, "action.agentName", "bot valid_until 99999999999999999999"),
        (FEE, "action.maxFeeRate", "0.01"),
    ],
)
def test_malformed_actions(action: dict[str, Any], path: str, value: Any) -> None:
    """Fields of every action are held to their form."""
    assert status_of(json.dumps(edited(path, value, signed_as(action))).encode()) == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"nothing", 400),
        (b'{"action": NaN}', 400),
        (b'{"action":{"type":"setReferrer","code":"\xff"}}', 400),
        (b'{"action":{"type":"setReferrer","code":"\\ud800"}}', 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b"[" * 100_000, 422),
        (b'{"action":' * 20_000, 400),
        (b" " * (BODY_BYTES_MAX + 1), 413),
    ],
)
def test_what_is_not_json(body: bytes, status: int) -> None:
    """Bytes that are no JSON are told apart from JSON of another shape."""
    assert status_of(body) == status


def test_nesting_in_an_action_that_is_not_offered() -> None:
    """Deep nesting where nothing is looked at is refused as well."""
    body = json.dumps(edited("action", {"type": "createVault", "x": "DEEP"}))
    deep = body.replace('"DEEP"', "[" * 50_000 + "]" * 50_000).encode()

    assert status_of(deep) == 422


def test_batches_have_a_bound() -> None:
    """A batch of the largest size is read; one entry more is not."""
    cancels = [{"a": 1, "o": oid} for oid in range(BATCH_MAX)]
    full = sign_request(KEY, {"type": "cancel", "cancels": cancels}, NONCE)

    assert to_command(parse_request(full)).signer == KEY.address
    body = json.loads(full)
    body["action"]["cancels"].append({"a": 1, "o": 1})
    assert status_of(json.dumps(body).encode()) == 422


def test_the_largest_batch_fits_a_body() -> None:
    """Modifying a full batch by client id stays within the longest body."""
    order = {**TRIGGER, "p": "100000.12345678", "s": "100000.12345678", "c": CLOID}
    modifies = [{"oid": CLOID, "order": order}] * BATCH_MAX
    body = signed_as({"type": "batchModify", "modifies": modifies})

    assert command_of(body).signer == KEY.address


# ---- anything at all -------------------------------------------------------------------------

JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([2**63, 2**64 - 1, 2**64, 10**400, "1", "-0", CLOID, VAULT, "0x", "Gtc"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def take(body: bytes) -> None:
    """Take a body as far as it goes; what becomes a command must be one that a log can hold."""
    try:
        command = to_command(parse_request(body))
    except (MalformedBodyError, RequestRefusedError):
        return
    entries = (Entry(command, ()),)
    assert decode_entries(encode_entries(entries)) == entries


@given(st.binary(max_size=300))
@example(b'{"action":{"type":"noop"},"nonce":0,"signature":{"r":"0x1","s":"0x1","v":27}}')
def test_arbitrary_bytes(body: bytes) -> None:
    """No bytes raise anything but the two errors."""
    take(body)


@given(JSON)
def test_arbitrary_json(value: Any) -> None:
    """No JSON raises anything but the two errors."""
    take(json.dumps(value).encode())


def paths(value: Any) -> list[tuple[Any, ...]]:
    """List the paths to all values within a value."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    return [(key, *rest) for key, inner in pairs for rest in [(), *paths(inner)]]


@settings(max_examples=400)
@given(st.data())
def test_damaged_requests(data: st.DataObject) -> None:
    """A valid request with one value replaced, removed or added is read or refused, never worse."""
    body = signed_as(data.draw(st.sampled_from(ACTIONS)))
    body |= data.draw(st.sampled_from([{}, {"vaultAddress": VAULT}, {"expiresAfter": NONCE}]))
    *parents, last = data.draw(st.sampled_from(paths(body)))
    body = copy.deepcopy(body)
    target: Any = body
    for key in parents:
        target = target[key]
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            target[last] = data.draw(JSON)
        case "remove":
            del target[last]
        case "add" if isinstance(target, dict):
            target[data.draw(st.text(max_size=8))] = data.draw(JSON)
        case _:
            target.append(data.draw(JSON))

    take(json.dumps(body).encode())


@given(st.data())
def test_truncated_and_flipped_requests(data: st.DataObject) -> None:
    """A valid request that was cut or had a byte changed is read or refused, never worse."""
    whole = bytearray(json.dumps(signed_as(data.draw(st.sampled_from(ACTIONS)))).encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] = data.draw(st.integers(0, 255))

    take(bytes(whole))
