"""Trigger orders: when they fire and as what, and what ties them to orders and positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.commands import Grouping, OrderSpec, PlaceOrders, Tif, TriggerSpec
from model.events import (
    CancelReason,
    Event,
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
from model.exchange import Exchange
from model.ids import Address, Cloid, OrderId
from model.refusals import Refusal
from model.units import parse_decimal
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, cloid, only, order


def stop(
    side: str, at: str, price: str, size: str = "1", *, limit: bool = False, **options: object
) -> OrderSpec:
    """Make a reduce-only stop order."""
    trigger = TriggerSpec(parse_decimal(at), not limit, True)
    return order(side, price, size, reduce_only=True, trigger=trigger, **options)  # type: ignore[arg-type]


def profit(
    side: str, at: str, price: str, size: str = "1", *, limit: bool = False, **options: object
) -> OrderSpec:
    """Make a reduce-only take-profit order."""
    trigger = TriggerSpec(parse_decimal(at), not limit, False)
    return order(side, price, size, reduce_only=True, trigger=trigger, **options)  # type: ignore[arg-type]


def group(
    desk: Desk, *orders: OrderSpec, grouping: Grouping = Grouping.NORMAL_TPSL, by: Address = ALICE
) -> list[Event]:
    """Place a group of orders."""
    return desk.apply(PlaceOrders(*desk.head(by), orders, grouping))


def long(desk: Desk, size: str = "1") -> None:
    """Let Alice buy from Bob at 100."""
    desk.trade(ALICE, BOB, "100", size)


def waiting(desk: Desk, account: Address = ALICE) -> list[OrderId]:
    """Return the triggers of an account that have not fired."""
    return [trigger.oid for trigger in desk.state(account).triggers]


def reasons(events: list[Event]) -> dict[OrderId, CancelReason]:
    """Return what was cancelled and why."""
    return {event.oid: event.reason for event in events if isinstance(event, OrderCanceled)}


# ---- alone -------------------------------------------------------------------------------------


def test_stop_waits_and_then_sells_what_it_finds() -> None:
    """It is in no book, fires at its price, and executes immediately under its own id."""
    desk = Desk()
    long(desk)
    placed = only(desk.place(ALICE, stop("sell", "95", "90", cloid=cloid(1))), TriggerPlaced)
    bid = desk.rest(CAROL, order("buy", "94", "3"))

    assert placed.terms == TriggerTerms(950_000, False, True, True)
    assert desk.exchange.market_state(BTC).asks == ()
    assert not any(isinstance(event, TriggerFired) for event in desk.move_oracle("95.1"))
    events = desk.move_oracle("95")[1:]
    assert [type(event) for event in events] == [TriggerFired, OrderPlaced, Traded]
    head = only(events, OrderPlaced)
    assert (head.oid, head.tif, head.cloid) == (placed.oid, Tif.FRONTEND_MARKET, cloid(1))
    assert only(events, Traded).maker.oid == bid
    assert desk.size(ALICE) == 0
    assert waiting(desk) == []


@pytest.mark.parametrize(
    ("held", "make", "at", "reached", "missed"),
    [
        ("long", stop, "95", "95", "95.1"),
        ("long", profit, "105", "105", "104.9"),
        ("short", stop, "105", "105", "104.9"),
        ("short", profit, "95", "95", "95.1"),
    ],
)
def test_sense_follows_side_and_kind(
    held: str, make: Callable[..., OrderSpec], at: str, reached: str, missed: str
) -> None:
    """Stops of longs and profits of shorts fire below their price, the others above it."""
    desk = Desk()
    owner, side = (ALICE, "sell") if held == "long" else (BOB, "buy")
    long(desk)
    desk.place(owner, make(side, at, at))

    desk.move_oracle(missed)
    assert len(waiting(desk, owner)) == 1
    events = desk.move_oracle(reached)
    assert only(events, TriggerFailed).reason is Refusal.MARKET_FOUND_NOTHING
    assert waiting(desk, owner) == []


def test_limit_trigger_rests_behind_what_was_there() -> None:
    """It joins the book when it fires, although its id is older, and loses no state on reload."""
    desk = Desk()
    long(desk, "2")
    oid = only(desk.place(ALICE, stop("sell", "95", "96", limit=True)), TriggerPlaced).oid
    first = desk.rest(CAROL, order("sell", "96", "1"))
    own = desk.rest(ALICE, order("sell", "97", "1", reduce_only=True))
    desk.move_oracle("95")

    assert [resting.oid for resting in desk.exchange.market_state(BTC).asks] == [first, oid, own]
    assert desk.open_oids(ALICE) == [oid, own]
    data = desk.exchange.dump()
    desk.exchange = Exchange.load(data)
    assert desk.exchange.dump() == data
    events = desk.place(BOB, order("buy", "96", "2", tif=Tif.IOC))
    assert [event.maker.oid for event in events if isinstance(event, Traded)] == [first, oid]


def test_nearest_trigger_fires_first_then_the_oldest() -> None:
    """On the way down the highest price comes first."""
    desk = Desk()
    long(desk, "3")
    oids = [
        only(desk.place(ALICE, stop("sell", at, "90")), TriggerPlaced).oid
        for at in ("94", "95", "94")
    ]
    events = desk.move_oracle("93")

    fired = [event.oid for event in events if isinstance(event, TriggerFired)]
    assert fired == [oids[1], oids[0], oids[2]]


def test_fired_order_is_clamped_to_the_position() -> None:
    """A trigger larger than what is left closes what is left."""
    desk = Desk()
    long(desk, "2")
    desk.place(ALICE, stop("sell", "95", "90", "2"))
    desk.rest(CAROL, order("buy", "94", "5"))
    desk.place(ALICE, order("sell", "94", "1.5", tif=Tif.IOC))

    assert only(desk.move_oracle("95"), Traded).lots == 50
    assert desk.size(ALICE) == 0


def test_trigger_without_a_position_fails() -> None:
    """It may be placed before there is a position; when it fires there must be one."""
    desk = Desk()
    oid = only(desk.place(ALICE, stop("sell", "95", "90")), TriggerPlaced).oid

    events = desk.move_oracle("95")
    assert events[1:] == [
        TriggerFired(BTC, ALICE, oid),
        TriggerFailed(BTC, ALICE, oid, Refusal.REDUCE_ONLY_INCREASES),
    ]


def test_trigger_reserves_no_margin() -> None:
    """It is worth nothing until it fires."""
    desk = Desk(usd=10)
    desk.place(ALICE, stop("sell", "95", "90", "1000"))

    desk.rest(ALICE, order("buy", "100", "2"))


def test_trigger_is_cancelled_by_either_id() -> None:
    """And only in its own market."""
    desk = Desk()
    first, second = (
        only(desk.place(ALICE, stop("sell", "95", "90", cloid=name)), TriggerPlaced).oid
        for name in (cloid(1), cloid(2))
    )

    assert reasons(desk.cancel(ALICE, first, asset=ETH)) == {}
    assert reasons(desk.cancel(ALICE, first)) == {first: CancelReason.CANCELED}
    assert reasons(desk.cancel(ALICE, cloid(2))) == {second: CancelReason.CANCELED}
    assert waiting(desk) == []


def test_trigger_is_modified() -> None:
    """By a trigger or by an ordinary order; either has a new id."""
    desk = Desk()
    old = only(desk.place(ALICE, stop("sell", "95", "90", cloid=cloid(1))), TriggerPlaced).oid

    events = desk.modify(ALICE, cloid(1), stop("sell", "94", "90", cloid=cloid(1)))
    assert events[0] == OrderCanceled(BTC, ALICE, old, 100, CancelReason.MODIFIED)
    new = only(events, TriggerPlaced)
    assert (new.oid, new.terms.price) == (old + 1, 940_000)
    events = desk.modify(ALICE, new.oid, order("buy", "90", "1"))
    assert [type(event) for event in events] == [OrderCanceled, OrderPlaced]


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (order("sell", "95", "1", trigger=TriggerSpec(1, True, True)), "TRIGGER_NOT_REDUCING"),
        (stop("sell", "95", "0"), "PRICE_INVALID"),
        (stop("sell", "0", "95"), "PRICE_INVALID"),
        (stop("sell", "95.00001", "95"), "PRICE_OFF_GRID"),
        (stop("sell", "95", "95.0001"), "PRICE_OFF_GRID"),
        (stop("sell", "95", "95", "0"), "SIZE_ZERO"),
        (stop("sell", "95", "95", "0.001"), "SIZE_OFF_GRID"),
        (stop("sell", "95", "95", "1000000"), "NOTIONAL_TOO_LARGE"),
        (stop("sell", "95", "18.9"), "PRICE_TOO_FAR"),
        (stop("sell", "100", "95"), "TRIGGER_PRICE_BAD"),
        (profit("sell", "100", "95"), "TRIGGER_PRICE_BAD"),
        (stop("buy", "100", "105"), "TRIGGER_PRICE_BAD"),
        (profit("buy", "100", "105"), "TRIGGER_PRICE_BAD"),
    ],
)
def test_form_of_a_trigger(spec: OrderSpec, reason: str) -> None:
    """What no trigger may be."""
    desk = Desk()

    refused = only(desk.place(ALICE, spec), OrderRefused)
    assert refused.reason is Refusal[reason]


def test_open_orders_count_triggers() -> None:
    """From a thousand open orders of either kind on, triggers and reduce-only ones are refused."""
    desk = Desk()
    long(desk)
    desk.place(ALICE, *(stop("sell", "95", "90") for _ in range(999)))
    desk.rest(ALICE, order("buy", "99", "1"))

    for spec in (stop("sell", "95", "90"), order("sell", "101", "1", reduce_only=True)):
        refused = only(desk.place(ALICE, spec), OrderRefused)
        assert (refused.reason, refused.detail) == (Refusal.OPEN_ORDERS_AT_MAX, (1000,))


# ---- attached to an order ----------------------------------------------------------------------


def test_children_wait_for_their_parent_and_then_exclude_each_other() -> None:
    """Armed when the parent is filled completely; the one that fills cancels the other."""
    desk = Desk()
    entry = order("buy", "99", "2")
    events = group(desk, entry, profit("sell", "110", "105", "2"), stop("sell", "95", "90", "2"))
    parent = only(events, OrderPlaced).oid
    take, lose = (event for event in events if isinstance(event, TriggerPlaced))

    assert (take.parent, take.is_armed, lose.is_armed) == (parent, False, False)
    events = desk.place(BOB, order("sell", "99", "1", tif=Tif.IOC))
    assert not any(isinstance(event, TriggerArmed) for event in events)
    events = desk.place(BOB, order("sell", "99", "1", tif=Tif.IOC))
    assert events[2:] == [TriggerArmed(BTC, ALICE, take.oid), TriggerArmed(BTC, ALICE, lose.oid)]
    desk.rest(CAROL, order("buy", "94", "5"))
    events = desk.move_oracle("95")
    assert reasons(events) == {take.oid: CancelReason.SIBLING_FILLED}
    assert desk.size(ALICE) == 0


def test_children_of_an_order_that_fills_at_once_are_armed_at_once() -> None:
    """Also when an immediate order was filled in part only."""
    desk = Desk()
    desk.rest(BOB, order("sell", "100", "1"))
    events = group(desk, order("buy", "105", "2", tif=Tif.IOC), stop("sell", "95", "90", "2"))

    child = only(events, TriggerPlaced)
    assert (child.is_armed, child.parent) == (True, only(events, OrderPlaced).oid)


def test_children_of_a_refused_order_are_refused_with_it() -> None:
    """For the same reason."""
    desk = Desk()
    events = group(desk, order("buy", "99", "1", tif=Tif.IOC), stop("sell", "95", "90"))

    assert [event.reason for event in events if isinstance(event, OrderRefused)] == [
        Refusal.IOC_FOUND_NOTHING
    ] * 2


def test_children_of_an_order_that_found_only_its_own_are_refused() -> None:
    """It was accepted, traded with nobody and is gone."""
    desk = Desk()
    desk.rest(ALICE, order("sell", "100", "1"))
    events = group(desk, order("buy", "100", "1", tif=Tif.IOC), stop("sell", "95", "90"))

    assert only(events, OrderRefused).reason is Refusal.IOC_FOUND_NOTHING


def test_child_of_the_same_side_is_refused() -> None:
    """It could not reduce what its parent opens."""
    desk = Desk()
    events = group(desk, order("buy", "99", "1"), stop("buy", "105", "110"))

    assert only(events, OrderRefused).reason is Refusal.REDUCE_ONLY_INCREASES


@pytest.mark.parametrize("filled", [False, True])
def test_children_go_with_a_parent_that_its_owner_cancels(filled: bool) -> None:
    """Also after a part of it was filled."""
    desk = Desk()
    events = group(desk, order("buy", "99", "2"), stop("sell", "95", "90"))
    child = only(events, TriggerPlaced).oid
    if filled:
        desk.place(BOB, order("sell", "99", "1", tif=Tif.IOC))

    events = desk.cancel(ALICE, only(events, OrderPlaced).oid)
    assert reasons(events)[child] is CancelReason.PARENT_CANCELED
    assert waiting(desk) == []


@pytest.mark.parametrize("filled", [False, True])
def test_children_protect_what_a_parent_bought_before_it_lost_its_margin(filled: bool) -> None:
    """A parent that the exchange cancels arms its children if there is something to protect."""
    desk = Desk(usd=1_000)
    desk.credit(BOB, 100_000)
    events = group(desk, order("buy", "99", "150"), stop("sell", "60", "50", "150"))
    child = only(events, TriggerPlaced).oid
    if filled:
        desk.place(BOB, order("sell", "99", "1", tif=Tif.IOC))
    desk.move_oracle("80")

    events = desk.place(BOB, order("sell", "99", "100", tif=Tif.IOC))
    assert CancelReason.MARGIN in reasons(events).values()
    assert any(isinstance(event, TriggerArmed) for event in events) is filled
    assert (waiting(desk) == [child]) is filled


def test_resting_children_exclude_each_other() -> None:
    """Both fired as limit orders and rest; when one is filled the other goes."""
    desk = Desk()
    long(desk)
    desk.rest(BOB, order("sell", "100", "1"))
    events = group(
        desk,
        order("buy", "100", "1", tif=Tif.IOC),
        profit("sell", "105", "120", limit=True),
        stop("sell", "95", "119", limit=True),
    )
    take, lose = (event.oid for event in events if isinstance(event, TriggerPlaced))
    desk.move_oracle("105")
    desk.move_oracle("95")
    assert desk.open_oids(ALICE) == [take, lose]
    desk.exchange = Exchange.load(desk.exchange.dump())

    events = desk.place(CAROL, order("buy", "119", "1"))
    assert only(events, Traded).maker.oid == lose
    assert reasons(events) == {take: CancelReason.SIBLING_FILLED}


def test_trigger_price_of_a_child_is_compared_with_where_its_parent_fills() -> None:
    """A profit between the parent's price and today's mark is one."""
    desk = Desk()
    events = group(
        desk, order("buy", "90", "1"), profit("sell", "95", "95"), stop("sell", "92", "90")
    )

    assert len([event for event in events if isinstance(event, TriggerPlaced)]) == 1
    assert only(events, OrderRefused).reason is Refusal.TRIGGER_PRICE_BAD


@pytest.mark.parametrize(
    ("orders", "grouping", "reason"),
    [
        ([stop("sell", "95", "90")], Grouping.NORMAL_TPSL, Refusal.GROUP_MAIN_IS_TRIGGER),
        ([order("buy", "99", "1")], Grouping.NORMAL_TPSL, Refusal.GROUP_COUNT_WRONG),
        ([order("buy", "99", "1")] * 2, Grouping.NORMAL_TPSL, Refusal.GROUP_COUNT_WRONG),
        (
            [order("buy", "99", "1"), *[stop("sell", "95", "90")] * 3],
            Grouping.NORMAL_TPSL,
            Refusal.GROUP_COUNT_WRONG,
        ),
        (
            [order("buy", "99", "1"), stop("sell", "9", "9", asset=ETH)],
            Grouping.NORMAL_TPSL,
            Refusal.GROUP_COUNT_WRONG,
        ),
        ([order("buy", "99", "1")], Grouping.POSITION_TPSL, Refusal.GROUP_COUNT_WRONG),
    ],
)
def test_groups_that_are_none(orders: list[OrderSpec], grouping: Grouping, reason: Refusal) -> None:
    """They are refused as a whole, before anything is placed."""
    desk = Desk()
    (event,) = group(desk, *orders, grouping=grouping)

    assert getattr(event, "reason", None) is reason


# ---- bound to a position -----------------------------------------------------------------------


def bind(desk: Desk, *orders: OrderSpec) -> list[OrderId]:
    """Bind triggers to Alice's position."""
    events = group(desk, *orders, grouping=Grouping.POSITION_TPSL)
    return [event.oid for event in events if isinstance(event, TriggerPlaced)]


def test_bound_trigger_closes_the_whole_position() -> None:
    """However large it is by then; its fellow goes with the position."""
    desk = Desk()
    long(desk, "1")
    take, _ = bind(desk, profit("sell", "110", "110", "0"), stop("sell", "95", "90", "0"))
    long(desk, "2")
    desk.rest(CAROL, order("buy", "94", "5"))

    events = desk.move_oracle("95")
    assert only(events, Traded).lots == 300
    assert reasons(events) == {take: CancelReason.POSITION_CLOSED}


def test_bound_trigger_closes_what_one_order_may_of_a_huge_position() -> None:
    """Rather than to fail because the position has outgrown a market order."""
    desk = Desk(usd=100_000_000)
    long(desk, "100000")
    desk.rest(BOB, order("sell", "100", "100000"))
    desk.place(ALICE, order("buy", "100", "100000"))
    bind(desk, stop("sell", "95", "90", "0"))
    desk.rest(CAROL, order("buy", "94", "190000"))

    assert only(desk.move_oracle("95"), Traded).lots == 15_000_000 * 100 // 90
    assert desk.size(ALICE) == 20_000_000 - 15_000_000 * 100 // 90


@pytest.mark.parametrize("size", ["1", "3"])
def test_bound_triggers_go_when_the_position_does(size: str) -> None:
    """When it is closed, and when it turns round."""
    desk = Desk()
    long(desk)
    oids = bind(desk, stop("sell", "95", "90", "0"))
    desk.rest(BOB, order("buy", "100", "3"))

    events = desk.place(ALICE, order("sell", "100", size))
    assert reasons(events) == dict.fromkeys(oids, CancelReason.POSITION_CLOSED)


@pytest.mark.parametrize("side", ["sell", "buy"])
def test_bound_trigger_needs_a_position_that_it_reduces(side: str) -> None:
    """There is none, or it is on the wrong side."""
    desk = Desk()
    if side == "buy":
        long(desk)
    at, price = {"sell": ("95", "90"), "buy": ("105", "110")}[side]
    events = group(desk, stop(side, at, price, "0"), grouping=Grouping.POSITION_TPSL)

    assert only(events, OrderRefused).reason is Refusal.REDUCE_ONLY_INCREASES


def test_modified_bound_trigger_stays_bound() -> None:
    """It takes over what the old one was tied to."""
    desk = Desk()
    long(desk)
    (old,) = bind(desk, stop("sell", "95", "90", "0"))

    new = only(desk.modify(ALICE, old, stop("sell", "94", "90", "0")), TriggerPlaced)
    assert new.is_position
    desk.rest(BOB, order("buy", "100", "1"))
    events = desk.place(ALICE, order("sell", "100", "1"))
    assert reasons(events) == {new.oid: CancelReason.POSITION_CLOSED}


# ---- kept --------------------------------------------------------------------------------------


def test_triggers_survive_a_snapshot() -> None:
    """Groups, bonds and client ids included."""
    desk = Desk()
    long(desk)
    bind(desk, stop("sell", "95", "90", "0"))
    group(desk, order("buy", "99", "1"), profit("sell", "120", "110", cloid=cloid(4)))
    data = desk.exchange.dump()
    before = desk.state(ALICE).triggers

    desk.exchange = Exchange.load(data)

    assert desk.exchange.dump() == data
    assert desk.state(ALICE).triggers == before
    assert [(t.is_position, t.is_armed) for t in before] == [(True, True), (False, False)]
    assert before[0].placed_ms == START_MS
    assert desk.exchange.engine.accounts[ALICE].find(Cloid(cloid(4))) is not None
