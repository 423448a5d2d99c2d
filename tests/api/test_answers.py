"""Answers: every shape that a client may meet, from events and from the real exchange."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.actions import SignedRequest, parse_request, sign_request, to_command
from api.answers import answer, average_price, refusal_answer
from api.signing import SigningKey
from model.commands import (
    Command,
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    Tif,
)
from model.events import (
    CancelReason,
    CancelRefused,
    CommandRefused,
    Event,
    Leg,
    LeverageUpdated,
    Liquidated,
    ModifyRefused,
    NonceUsed,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TriggerPlaced,
    TriggerTerms,
    TwapEnd,
    TwapEnded,
    TwapRefused,
    TwapStarted,
)
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId, TradeId
from model.instruments import Instrument
from model.refusals import Refusal

KEY: Final = SigningKey.of_hex("11" * 32)
MAKER: Final = SigningKey.of_hex("22" * 32)
CLOID: Final = Cloid("0x0000000000000000000000000000abcd")
ETH: Final = Instrument(AssetId(1), "ETH", 4, 25, 1900 * 10**8)
"""Ticks of 0.01 USD, lots of 0.0001."""

ORDER: Final[dict[str, Any]] = {
    "a": 1,
    "b": True,
    "p": "1900",
    "s": "0.1",
    "r": False,
    "t": {"limit": {"tif": "Gtc"}},
}
CANCELED: Final = "Order was never placed, already canceled, or filled. asset=1"
NO_MATCH: Final = "Order could not immediately match against any resting orders. asset=1"


def instruments(asset: AssetId) -> Instrument:
    assert asset == ETH.asset, "only markets with orders are looked up"
    return ETH


def request_of(action: dict[str, Any]) -> SignedRequest:
    return parse_request(sign_request(KEY, action, 1))


def place(entries: int) -> SignedRequest:
    return request_of({"type": "order", "orders": [ORDER] * entries, "grouping": "na"})


def modify(entries: int) -> SignedRequest:
    modifies = [{"oid": 7, "order": ORDER}] * entries
    return request_of({"type": "batchModify", "modifies": modifies})


def cancel(entries: int) -> SignedRequest:
    return request_of({"type": "cancel", "cancels": [{"a": 1, "o": 7}] * entries})


ONE_MODIFY: Final = request_of({"type": "modify", "oid": 7, "order": ORDER})


def answered(request: SignedRequest, *events: Event) -> Any:
    return json.loads(answer(request, events, instruments))


def statuses(request: SignedRequest, *events: Event) -> list[Any]:
    body = answered(request, *events)
    assert body["status"] == "ok"
    found: list[Any] = body["response"]["data"]["statuses"]
    return found


def placed(oid: int = 1, lots: int = 1000, tif: Tif = Tif.GTC, cloid: Any = None) -> OrderPlaced:
    return OrderPlaced(ETH.asset, KEY.address, OrderId(oid), True, 190_000, lots, tif, False, cloid)


def traded(oid: int = 1, lots: int = 1000, price: int = 189_140, maker_oid: int = 99) -> Traded:
    taker = Leg(KEY.address, OrderId(oid), None, 0, 0, 0, 0)
    maker = Leg(MAKER.address, OrderId(maker_oid), None, 0, 0, 0, 0)
    return Traded(ETH.asset, TradeId(1), price, lots, True, taker, maker)


def gone(oid: int = 1, reason: CancelReason = CancelReason.IOC_REMAINDER) -> OrderCanceled:
    return OrderCanceled(ETH.asset, KEY.address, OrderId(oid), 1, reason)


def refused(reason: Refusal, *detail: int) -> OrderRefused:
    spec = OrderSpec(ETH.asset, True, 1, 1, Tif.GTC, False)
    return OrderRefused(KEY.address, spec, reason, detail)


def waiting(
    oid: int = 5,
    *,
    parent: int | None = None,
    is_position: bool = False,
    is_armed: bool = True,
    cloid: Any = None,
) -> TriggerPlaced:
    return TriggerPlaced(
        ETH.asset,
        KEY.address,
        OrderId(oid),
        False,
        180_000,
        1000,
        True,
        cloid,
        TriggerTerms(185_000, False, True, True),
        None if parent is None else OrderId(parent),
        is_position,
        is_armed,
    )


# ---- orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([placed(77)], {"resting": {"oid": 77}}),
        ([placed(77, cloid=CLOID)], {"resting": {"oid": 77, "cloid": CLOID}}),
        ([placed(), traded(lots=400)], {"resting": {"oid": 1}}),
        (
            [placed(), traded()],
            {"filled": {"totalSz": "0.1", "avgPx": "1891.4", "oid": 1}},
        ),
        (
            [placed(cloid=CLOID), traded(lots=400, price=190_000), traded(lots=600, price=189_999)],
            {"filled": {"totalSz": "0.1", "avgPx": "1899.994", "oid": 1, "cloid": CLOID}},
        ),
        (
            [placed(lots=10_000, tif=Tif.IOC), traded(lots=300), gone()],
            {"filled": {"totalSz": "0.03", "avgPx": "1891.4", "oid": 1}},
        ),
        ([placed(tif=Tif.IOC), gone()], {"error": NO_MATCH}),
        (
            [placed(tif=Tif.FRONTEND_MARKET), gone()],
            {"error": "No liquidity available for market order. asset=1"},
        ),
        (
            [placed(), gone(reason=CancelReason.MARGIN)],
            {"error": "Insufficient margin to place order. asset=1"},
        ),
        (
            [placed(), gone(reason=CancelReason.REDUCE_ONLY)],
            {"error": "Reduce only order would increase position. asset=1"},
        ),
        (
            [placed(), gone(oid=5, reason=CancelReason.SELF_TRADE)],
            {"resting": {"oid": 1}},
        ),
        ([refused(Refusal.IOC_FOUND_NOTHING)], {"error": NO_MATCH}),
        (
            [refused(Refusal.POST_ONLY_WOULD_MATCH, 189_010, 189_025)],
            {
                "error": "Post only order would have immediately matched, "
                "bbo was 1890.1@1890.25. asset=1"
            },
        ),
        (
            [refused(Refusal.OPEN_ORDERS_AT_MAX, 1000)],
            {"error": "Too many open orders. The limit is 1000."},
        ),
        ([refused(Refusal.PRICE_INVALID)], {"error": "Order has invalid price."}),
    ],
)
def test_status_of_an_order(events: list[Event], status: Any) -> None:
    """An order is told as resting, as filled, or with what was wrong with it."""
    assert statuses(place(1), *events) == [status]


def test_statuses_of_triggers() -> None:
    """One that stands alone tells its id, those of a group only what they wait for."""
    alone = statuses(place(2), waiting(5), waiting(6, cloid=CLOID))
    resting = statuses(place(2), placed(1), waiting(2, parent=1, is_armed=False))
    filled = statuses(place(2), placed(1), traded(1), waiting(2, parent=1))
    bound = statuses(place(1), waiting(5, is_position=True))

    assert alone == [{"resting": {"oid": 5}}, {"resting": {"oid": 6, "cloid": CLOID}}]
    assert resting == [{"resting": {"oid": 1}}, "waitingForFill"]
    assert filled[1] == "waitingForTrigger"
    assert bound == ["waitingForTrigger"]


def test_order_that_met_the_cap_of_open_interest() -> None:
    """It was accepted, could not trade and is gone."""
    (status,) = statuses(place(1), placed(), gone(reason=CancelReason.OPEN_INTEREST))

    assert status == {"error": "Order would increase open interest while open interest is capped"}


def test_answers_to_twaps() -> None:
    """A TWAP has one status, not one for each of several."""
    twap = {"a": 1, "b": True, "s": "1", "r": False, "m": 120, "t": False}
    order = request_of({"type": "twapOrder", "twap": twap})
    ending = request_of({"type": "twapCancel", "a": 1, "t": 7})

    def status(request: SignedRequest, event: Event) -> Any:
        response = answered(request, event)["response"]
        assert response["type"] == request.kind
        return response["data"]["status"]

    started = TwapStarted(KEY.address, 7, ETH.asset, True, 1, False, 120, False)
    small = TwapRefused(KEY.address, ETH.asset, Refusal.TWAP_TOO_SMALL, (1200,))
    ended = TwapEnded(KEY.address, 7, ETH.asset, TwapEnd.TERMINATED, 0, 0)
    nothing = TwapRefused(KEY.address, ETH.asset, Refusal.TWAP_NOTHING_THERE)
    assert status(order, started) == {"running": {"twapId": 7}}
    assert status(order, small) == {
        "error": "TWAP order value too small. Min is $1200, which is $10 per minute."
    }
    assert status(ending, ended) == "success"
    assert status(ending, nothing) == {
        "error": "TWAP was never placed, already canceled, or filled."
    }


def test_envelope_of_orders() -> None:
    """Statuses come in the envelope that clients look into."""
    assert answered(place(1), placed()) == {
        "status": "ok",
        "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 1}}]}},
    }


def test_orders_of_a_batch_are_told_as_each_was_left() -> None:
    """A later order of the batch does not change what was said of an earlier one."""
    found = statuses(
        place(4),
        placed(1),
        refused(Refusal.SIZE_ZERO),
        placed(2),
        gone(1, CancelReason.SELF_TRADE),
        traded(2),
        placed(3),
        traded(3, lots=1),
    )

    assert [list(status) for status in found] == [["resting"], ["error"], ["filled"], ["resting"]]


def test_an_order_as_maker_in_its_own_command_counts_no_fill() -> None:
    """Only what an order takes is told; trades of other orders are not its own."""
    assert statuses(place(1), placed(1), traded(oid=5, maker_oid=1)) == [{"resting": {"oid": 1}}]


# ---- cancels ---------------------------------------------------------------------------------


def test_statuses_of_cancels() -> None:
    """A cancel is told as a success or with what was wrong with it, entry by entry."""
    missing = CancelRefused(KEY.address, ETH.asset, OrderId(8), Refusal.CANCEL_NOTHING_THERE)
    found = answered(cancel(3), gone(7, CancelReason.CANCELED), missing, missing)

    assert found["response"] == {
        "type": "cancel",
        "data": {"statuses": ["success", {"error": CANCELED}, {"error": CANCELED}]},
    }


# ---- modifies --------------------------------------------------------------------------------

MODIFIED: Final = gone(7, CancelReason.MODIFIED)
NOT_MODIFIED: Final = ModifyRefused(KEY.address, OrderId(7), Refusal.MODIFY_NOTHING_THERE)
MODIFY_ERROR: Final = (
    "Error placing new order during modify: Insufficient margin to place order. asset=1"
)


def test_statuses_of_modifies() -> None:
    """A batch of modifies is told like orders; an error says which half of a modify it was."""
    found = answered(
        modify(4),
        MODIFIED,
        placed(8),
        NOT_MODIFIED,
        gone(8, CancelReason.MODIFIED),
        refused(Refusal.MARGIN_TOO_LOW),
        MODIFIED,
        placed(9, tif=Tif.IOC),
        gone(9),
    )

    assert found["response"] == {
        "type": "order",
        "data": {
            "statuses": [
                {"resting": {"oid": 8}},
                {"error": "Cannot modify canceled or filled order"},
                {"error": MODIFY_ERROR},
                {"error": f"Error placing new order during modify: {NO_MATCH}"},
            ]
        },
    }


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([MODIFIED, placed(8)], {"status": "ok", "response": {"type": "default"}}),
        ([placed(8), traded(8)], {"status": "ok", "response": {"type": "default"}}),
        (
            [NOT_MODIFIED],
            {"status": "err", "response": "Cannot modify canceled or filled order"},
        ),
        (
            [MODIFIED, refused(Refusal.MARGIN_TOO_LOW)],
            {"status": "err", "response": MODIFY_ERROR},
        ),
    ],
)
def test_answers_to_a_single_modify(events: list[Event], expected: Any) -> None:
    """A single modify is told nothing but success, or its error as that of the request."""
    assert answered(ONE_MODIFY, *events) == expected


# ---- everything else -------------------------------------------------------------------------


def test_default_answers() -> None:
    """An action that has no statuses is told that it was taken."""
    leverage = request_of({"type": "updateLeverage", "asset": 1, "isCross": True, "leverage": 5})
    noop = request_of({"type": "noop"})
    expected = {"status": "ok", "response": {"type": "default"}}

    assert answered(leverage, LeverageUpdated(KEY.address, ETH.asset, True, 5)) == expected
    assert answered(noop, NonceUsed(KEY.address, 1)) == expected


def test_refused_commands() -> None:
    """A command that was refused as a whole is told so, whatever its kind."""
    event = CommandRefused(Address("0x1"), Refusal.NONCE_TOO_LOW, (5, 9))
    expected = {"status": "err", "response": "Invalid nonce: nonce too low 5 < 9"}

    assert answered(place(3), event) == expected
    assert answered(ONE_MODIFY, event) == expected
    assert json.loads(refusal_answer("Nonce mismatch.")) == {
        "status": "err",
        "response": "Nonce mismatch.",
    }


def test_events_of_another_request_are_noticed() -> None:
    """Fewer or more outcomes than entries are our mistake, and no answer is made of them."""
    for request, events in ((place(2), [placed()]), (cancel(1), []), (ONE_MODIFY, [])):
        with pytest.raises(AssertionError):
            answered(request, *events)


def test_liquidation_that_a_trade_called_for_is_no_part_of_the_answer() -> None:
    """Its orders and trades come after the order's own, and answer nothing that was asked."""
    liquidated = Liquidated(KEY.address, None, 1, 0, ((ETH.asset, 1),))
    order = {"totalSz": "0.1", "avgPx": "1891.4", "oid": 1}

    found = statuses(
        place(1),
        placed(),
        traded(),
        liquidated,
        gone(7, CancelReason.LIQUIDATED),
        placed(8, tif=Tif.LIQUIDATION_MARKET),
        traded(8),
    )

    assert found == [{"filled": order}]


# ---- average price ---------------------------------------------------------------------------


def test_average_price_is_rounded_half_up() -> None:
    """The ninth decimal decides, and a half goes up."""
    assert average_price(1, 3, 6) == "0.00000033"
    assert average_price(2, 3, 6) == "0.00000067"
    assert average_price(1, 200, 6) == "0.00000001"
    assert average_price(300, 3, 0) == "100.0"


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1, max_size=5))
def test_average_price_lies_between_the_prices(fills: list[tuple[int, int]]) -> None:
    """An average is never beyond the prices that it is made of."""
    notional = sum(price * lots for price, lots in fills)
    text = average_price(notional, sum(lots for _, lots in fills), 2)
    whole, _, fraction = text.partition(".")
    scaled = int(whole + fraction.ljust(8, "0"))

    prices = [price for price, _ in fills]
    assert min(prices) * 10**6 <= scaled <= max(prices) * 10**6


# ---- with the real exchange ------------------------------------------------------------------


class Venue:
    """The real exchange with two funded accounts and one market, a block per request."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.now_ms = 1_700_000_000_000
        self.exchange.begin_block(1, self.now_ms)
        commands: list[Command] = [
            OpenExchange(450, 150),
            ListMarket(Instrument(AssetId(0), "BTC", 5, 40, 65000 * 10**8)),
            ListMarket(ETH),
            MoveOracle((OraclePrice(ETH.asset, 1900 * 10**8),)),
            Credit(KEY.address, 10_000 * 10**6, CreditSource.FUND),
            Credit(MAKER.address, 10_000 * 10**6, CreditSource.FUND),
        ]
        for command in commands:
            self.exchange.apply(command)

    def send(self, action: dict[str, Any], key: SigningKey = KEY) -> Any:
        self.now_ms += 1
        self.exchange.begin_block(self.exchange.height + 1, self.now_ms)
        request = parse_request(sign_request(key, action, self.now_ms))
        events = self.exchange.apply(to_command(request))
        return json.loads(answer(request, events, lambda a: self.exchange.instruments[a]))

    def order(self, key: SigningKey = KEY, **changes: Any) -> Any:
        tif = changes.pop("tif", "Gtc")
        order = {**ORDER, **changes, "t": {"limit": {"tif": tif}}}
        body = self.send({"type": "order", "orders": [order], "grouping": "na"}, key)
        return body["response"]["data"]["statuses"][0]


@pytest.fixture
def venue() -> Venue:
    return Venue()


def test_a_session_with_the_exchange(venue: Venue) -> None:
    """Orders, fills, cancels and modifies of the real exchange are told as clients expect."""
    assert venue.order(MAKER, b=False, p="1901", c=CLOID) == {"resting": {"oid": 1, "cloid": CLOID}}
    assert venue.order(MAKER, b=False, p="1902", s="0.2") == {"resting": {"oid": 2}}
    assert venue.order(tif="Alo", p="1901") == {
        "error": "Post only order would have immediately matched, bbo was 0.0@1901.0. asset=1"
    }
    assert venue.order(tif="Ioc") == {"error": NO_MATCH}
    assert venue.order(p="1902", s="0.2") == {
        "filled": {"totalSz": "0.2", "avgPx": "1901.5", "oid": 3}
    }
    assert venue.order(tif="Ioc", p="1902", s="0.5") == {
        "filled": {"totalSz": "0.1", "avgPx": "1902.0", "oid": 4}
    }
    assert venue.order(p="1800") == {"resting": {"oid": 5}}

    modifies = [{"oid": 5, "order": ORDER}, {"oid": 5, "order": ORDER}]
    assert venue.send({"type": "batchModify", "modifies": modifies})["response"]["data"] == {
        "statuses": [
            {"resting": {"oid": 6}},
            {"error": "Cannot modify canceled or filled order"},
        ]
    }
    cancels = [{"a": 1, "o": 6}, {"a": 1, "o": 6}]
    assert venue.send({"type": "cancel", "cancels": cancels})["response"]["data"] == {
        "statuses": ["success", {"error": CANCELED}]
    }
    assert venue.send({"type": "noop"}) == {"status": "ok", "response": {"type": "default"}}


def test_an_unknown_signer_is_named(venue: Venue) -> None:
    """Somebody whom the exchange does not know is told so with the address that was recovered."""
    stranger = SigningKey.of_hex("33" * 32)

    body = venue.send({"type": "noop"}, stranger)
    assert body["status"] == "err"
    assert f"User or API Wallet {stranger.address} does not exist." in body["response"]
