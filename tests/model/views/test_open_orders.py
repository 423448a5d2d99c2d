from typing import Any

import pytest
from msgspec.structs import replace

from model.commands import OrderSpec, Tif, TriggerSpec
from model.events import (
    CancelReason,
    Event,
    Leg,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TriggerArmed,
    TriggerFailed,
    TriggerFired,
    TriggerPlaced,
    TriggerTerms,
)
from model.ids import Address, AssetId, OrderId, TradeId
from model.instruments import Instrument
from model.refusals import Refusal
from model.universe import Universe
from model.views.open_orders import OpenOrders, resting_of, trigger_of

BTC = AssetId(0)
ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
OID, PARENT = OrderId(7), OrderId(6)
STOP = TriggerTerms(600_000, False, False, True)


def followed(*events: Event) -> tuple[OpenOrders, list[tuple[str, int]]]:
    """Return Alice's orders after events a millisecond apart, and the statuses that came of it."""
    orders = OpenOrders(Universe([Instrument(BTC, "BTC", 5, 40, 65_000 * 10**8)]), account=ALICE)
    records = [
        record for time_ms, event in enumerate(events) for record in orders.apply(event, time_ms)
    ]
    return orders, [(record.status, record.remaining) for record in records]


def stop(**change: Any) -> TriggerPlaced:
    told: dict[str, Any] = {"is_buy": False, "price": 590_000, "lots": 5, "reduce_only": True}
    told |= {"cloid": None, "terms": STOP} | change
    return TriggerPlaced(BTC, ALICE, OID, **told)


def became(tif: Tif = Tif.GTC, lots: int = 5) -> OrderPlaced:
    return OrderPlaced(BTC, ALICE, OID, False, 590_000, lots, tif, True, None)


def sold(lots: int, remaining: int) -> Traded:
    maker = Leg(BOB, OrderId(1), None, 0, 0, 0, 0)
    taker = Leg(ALICE, OID, None, remaining, 5, 0, 0)
    return Traded(BTC, TradeId(1), 600_000, lots, False, taker, maker)


def test_a_trigger_that_becomes_a_resting_order_keeps_its_story() -> None:
    """It is open, triggered, open again and filled, under one id, and says where it came from."""
    orders, told = followed(stop(), TriggerFired(BTC, ALICE, OID), became(), sold(2, 3))
    (resting,) = orders.records()

    assert told == [("open", 5), ("triggered", 5), ("open", 5), ("open", 3)]
    assert (resting.trigger, resting.has_fired, resting.placed_ms) == (STOP, True, 0)
    (filled,) = orders.apply(sold(3, 0), 9)
    assert (filled.status, filled.trigger, filled.has_fired) == ("filled", STOP, True)


def test_a_market_trigger_goes_from_triggered_to_its_end() -> None:
    """An immediate order is told of once, when it is over."""
    fired = (TriggerFired(BTC, ALICE, OID), became(Tif.FRONTEND_MARKET))
    left = OrderCanceled(BTC, ALICE, OID, 2, CancelReason.IOC_REMAINDER)

    assert followed(stop(), *fired, sold(5, 0))[1][1:] == [("triggered", 5), ("filled", 0)]
    assert followed(stop(), *fired, sold(3, 2), left)[1][2:] == [("canceled", 2)]


def test_a_trigger_whose_order_is_refused_is_gone() -> None:
    """The last status is that of the refusal."""
    fired = (stop(), TriggerFired(BTC, ALICE, OID))
    orders, told = followed(*fired, TriggerFailed(BTC, ALICE, OID, Refusal.MARGIN_TOO_LOW))
    _, unnamed = followed(*fired, TriggerFailed(BTC, ALICE, OID, Refusal.PRICE_INVALID))

    assert told[-1] == ("perpMarginRejected", 5)
    assert unnamed[-1] == ("rejected", 5)
    assert orders.records() == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (CancelReason.SIBLING_FILLED, "siblingFilledCanceled"),
        (CancelReason.SCHEDULED, "scheduledCancel"),
        (CancelReason.LIQUIDATED, "liquidatedCanceled"),
        (CancelReason.PARENT_CANCELED, "canceled"),
        (CancelReason.POSITION_CLOSED, "reduceOnlyCanceled"),
    ],
)
def test_a_waiting_trigger_tells_why_it_is_gone(reason: CancelReason, status: str) -> None:
    """A trigger that never fired ends like an order of the book."""
    orders, told = followed(stop(), OrderCanceled(BTC, ALICE, OID, 5, reason))

    assert told == [("open", 5), (status, 5)]
    assert not orders.triggers


def test_arming_is_no_change_of_status() -> None:
    """A child waits for its parent and then for its price; both are shown as open."""
    orders, told = followed(stop(parent=PARENT, is_armed=False), TriggerArmed(BTC, ALICE, OID))

    assert told == [("open", 5)]
    assert orders.triggers[OID].is_armed
    assert orders.triggers[OID].parent == PARENT


def test_triggers_of_others_are_not_followed() -> None:
    """A table of one account tells of that account."""
    other = TriggerPlaced(BTC, BOB, OID, False, 590_000, 5, True, None, STOP)
    orders, told = followed(other, TriggerFired(BTC, BOB, OID))

    assert told == []
    assert orders.records() == []


def test_records_give_back_what_they_are_about() -> None:
    """A table that starts from records of open orders goes on like the one that made them."""
    waiting, _ = followed(stop(is_position=True, lots=0))
    resting, _ = followed(stop(), TriggerFired(BTC, ALICE, OID), became())
    (first,), (second,) = waiting.records(), resting.records()
    assert first.trigger is not None

    again = OpenOrders(Universe(), (), [trigger_of(first, first.trigger)])
    assert again.records() == [first]
    again = OpenOrders(Universe(), [resting_of(second)], known=[second])
    assert again.records() == [replace(second, status_ms=second.placed_ms)]


@pytest.mark.parametrize(("is_buy", "is_stop"), [(True, True), (True, False), (False, True)])
def test_a_refused_trigger_shows_its_terms(is_buy: bool, is_stop: bool) -> None:
    """Buy stops and sell take-profits fire above their price, the others below."""
    asked = TriggerSpec(60_000 * 10**8, True, is_stop)
    spec = OrderSpec(BTC, is_buy, 59_000 * 10**8, 10**8, Tif.GTC, True, None, asked)
    orders, _ = followed()
    (record,) = orders.apply(OrderRefused(ALICE, spec, Refusal.TRIGGER_PRICE_BAD), 5)

    assert record.status == "badTriggerPxRejected"
    assert record.trigger == TriggerTerms(600_000, is_buy is is_stop, True, is_stop)


def test_a_slice_names_its_twap() -> None:
    """Its last record does too, though the order itself is forgotten."""
    orders, _ = followed()
    placed = OrderPlaced(BTC, ALICE, OID, False, 1, 5, Tif.IOC, False, None, 3)
    orders.apply(placed, 1)
    (record,) = orders.apply(sold(5, 0), 1)

    assert record.twap_id == 3
