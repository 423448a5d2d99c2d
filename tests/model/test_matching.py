"""What the engine does besides matching: money, margin, reduce-only, client ids, modify."""

from __future__ import annotations

from msgspec.structs import replace

from model.commands import ModifyOrders, ModifySpec, PlaceOrders, Tif
from model.events import (
    CancelReason,
    CancelRefused,
    Leg,
    ModifyRefused,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
)
from model.ids import OrderId, TradeId
from model.refusals import Refusal
from model.units import USD
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, cloid, every, only, order


def test_trade_tells_both_sides_in_full() -> None:
    """One event carries price, size, ids, fees and where both accounts started from."""
    desk = Desk(taker_fee_ppm=450, maker_fee_ppm=-10)
    desk.rest(ALICE, order("sell", "101", "3", cloid=cloid(1)))

    traded = only(desk.place(BOB, order("buy", "102", "2", tif=Tif.IOC)), Traded)

    assert traded == Traded(
        BTC,
        TradeId(1),
        1_010_000,
        200,
        True,
        Leg(BOB, OrderId(2), None, 0, 0, 0, 90_900),
        Leg(ALICE, OrderId(1), cloid(1), 100, 0, 0, -2_020),
    )
    assert desk.state(BOB).cash == 10_000 * USD - 202 * USD - 90_900
    assert desk.state(ALICE).cash == 10_000 * USD + 202 * USD + 2_020
    assert desk.state(ALICE).volume == desk.state(BOB).volume == 202 * USD
    state = desk.exchange.market_state(BTC)
    assert (state.last, state.open_interest) == (1_010_000, 200)


def test_each_order_of_a_batch_stands_by_itself() -> None:
    """A refused order in the middle does not touch its neighbours."""
    desk = Desk()

    events = desk.place(
        ALICE,
        order("buy", "99", "1"),
        order("buy", "99", "0"),
        order("buy", "98", "1"),
    )

    assert [type(event) for event in events] == [OrderPlaced, OrderRefused, OrderPlaced]
    assert desk.open_oids(ALICE) == [1, 2]


def test_order_of_a_batch_sees_what_came_before_it() -> None:
    """The second order of a batch trades with nobody when the first took the whole book."""
    desk = Desk()
    desk.rest(ALICE, order("sell", "100", "1"))
    taking = order("buy", "100", "1", tif=Tif.IOC)

    events = desk.place(BOB, taking, taking)

    assert [type(event) for event in events] == [OrderPlaced, Traded, OrderRefused]


def test_post_only_refusal_names_best_bid_and_ask() -> None:
    """The detail is the best bid and ask in ticks, 0 for an empty side."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "1"))

    refused = only(desk.place(ALICE, order("buy", "102", "1", tif=Tif.ALO)), OrderRefused)

    assert refused.detail == (0, 1_010_000)


# ---- margin ------------------------------------------------------------------------------------


def test_margin_covers_position_and_resting_orders_of_the_worse_side() -> None:
    """At 20x, 10,000 USD carry 200,000 USD on each side of the book, but not a lot more."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "2000"))
    desk.rest(ALICE, order("sell", "101", "2000"))

    refused = only(desk.place(ALICE, order("buy", "99", "0.11")), OrderRefused)

    assert refused.reason is Refusal.MARGIN_TOO_LOW


def test_order_that_closes_is_never_refused_for_margin() -> None:
    """An account under water may still offer what it holds."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1900")
    desk.move_oracle("96")

    closing = desk.place(ALICE, order("sell", "97", "1900"))
    increasing = desk.place(ALICE, order("buy", "95", "1"))

    assert only(closing, OrderPlaced).lots == 190_000
    assert only(increasing, OrderRefused).reason is Refusal.MARGIN_TOO_LOW


def test_profit_that_is_not_realised_counts_as_margin() -> None:
    """After a move in its favour an account may hold more."""
    desk = Desk()
    desk.credit(BOB, 100_000)
    desk.trade(ALICE, BOB, "100", "1900")
    desk.move_oracle("110")

    assert only(desk.place(ALICE, order("buy", "109", "1900")), OrderPlaced).lots == 190_000


def test_maker_that_can_no_longer_carry_its_order_is_cancelled_and_matching_goes_on() -> None:
    """The taker gets the next maker's price."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1000")
    poor = desk.rest(ALICE, order("buy", "97", "900"))
    rich = desk.rest(CAROL, order("buy", "96.9", "900"))
    desk.move_oracle("92")

    events = desk.place(BOB, order("sell", "96", "100", tif=Tif.IOC))

    assert only(events, OrderCanceled) == OrderCanceled(
        BTC, ALICE, poor, 90_000, CancelReason.MARGIN
    )
    assert only(events, Traded).maker.oid == rich


def test_taker_may_not_pay_away_what_it_does_not_have() -> None:
    """Buying far above the mark costs the difference at once, so leverage does not apply to it."""
    desk = Desk()
    desk.rest(BOB, order("sell", "179", "1000"))

    refused = only(desk.place(ALICE, order("buy", "180", "1000")), OrderRefused)

    assert refused.reason is Refusal.MARGIN_TOO_LOW


def test_taker_that_runs_out_of_margin_on_the_way_loses_the_rest_of_its_order() -> None:
    """The best price was affordable for all of it, the next one is not."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "10"))
    dear = desk.rest(BOB, order("sell", "179", "500"))

    events = desk.place(ALICE, order("buy", "180", "510"))

    assert only(events, Traded).lots == 1_000
    assert only(events, OrderCanceled) == OrderCanceled(
        BTC, ALICE, OrderId(3), 50_000, CancelReason.MARGIN
    )
    assert desk.open_oids(BOB) == [dear]


def test_maker_may_not_pay_away_what_it_does_not_have() -> None:
    """A resting order far from the mark is cancelled rather than filled at a ruinous loss."""
    desk = Desk()
    desk.rest(BOB, order("sell", "100", "1000"))
    desk.move_oracle("190")

    events = desk.place(ALICE, order("buy", "100", "100"))

    assert only(events, OrderCanceled).reason is CancelReason.MARGIN
    assert not every(events, Traded)


def test_closing_at_a_loss_stops_at_what_the_account_has() -> None:
    """Nobody gives a friend more than he owns by closing far below the mark."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1900")
    desk.rest(CAROL, order("buy", "90", "500"))

    first = desk.place(ALICE, order("sell", "90", "500", tif=Tif.IOC))
    desk.rest(CAROL, order("buy", "30", "500"))
    second = desk.place(ALICE, order("sell", "30", "500", tif=Tif.IOC))

    assert only(first, Traded).lots == 50_000
    assert only(second, OrderCanceled).reason is CancelReason.MARGIN


# ---- reduce-only -------------------------------------------------------------------------------


def test_reduce_only_order_is_clamped_to_the_position() -> None:
    """It is accepted with as many lots as there are to reduce."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "5")

    placed = only(desk.place(ALICE, order("sell", "101", "9", reduce_only=True)), OrderPlaced)

    assert (placed.lots, placed.reduce_only) == (500, True)


def test_reduce_only_order_without_a_position_is_refused() -> None:
    """There is nothing to reduce."""
    desk = Desk()

    refused = only(desk.place(ALICE, order("sell", "101", "1", reduce_only=True)), OrderRefused)

    assert refused.reason is Refusal.REDUCE_ONLY_INCREASES


def test_reduce_only_order_may_be_worth_less_than_the_minimum() -> None:
    """Dust can be closed."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "0.1")
    desk.rest(CAROL, order("buy", "99", "1"))

    events = desk.place(ALICE, order("sell", "99", "0.1", reduce_only=True))

    assert only(events, Traded).lots == 10
    assert desk.size(ALICE) == 0


def test_resting_reduce_only_orders_make_room_for_a_newer_one() -> None:
    """Together they never exceed the position: the oldest go."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "5")
    first = desk.rest(ALICE, order("sell", "101", "3", reduce_only=True))
    second = desk.rest(ALICE, order("sell", "102", "2", reduce_only=True))

    events = desk.place(ALICE, order("sell", "103", "2", reduce_only=True))

    assert only(events, OrderCanceled) == OrderCanceled(
        BTC, ALICE, first, 300, CancelReason.REDUCE_ONLY
    )
    assert desk.open_oids(ALICE) == [second, OrderId(second + 1)]


def test_resting_reduce_only_orders_go_as_the_position_shrinks() -> None:
    """A trade that closes the position leaves no order to reduce it."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "5")
    for price in ("101", "102"):
        desk.rest(ALICE, order("sell", price, "2", reduce_only=True))
    desk.rest(CAROL, order("buy", "99", "9"))

    partly = desk.place(ALICE, order("sell", "99", "2", tif=Tif.IOC))
    flipped = desk.place(ALICE, order("sell", "99", "4", tif=Tif.IOC))

    assert [event.oid for event in every(partly, OrderCanceled)] == [3]
    assert [event.oid for event in every(flipped, OrderCanceled)] == [4]
    assert desk.size(ALICE) == -100


def test_filled_reduce_only_order_shrinks_with_its_position() -> None:
    """A resting one that is filled in part needs no trimming."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "5")
    oid = desk.rest(ALICE, order("sell", "101", "5", reduce_only=True))

    events = desk.place(CAROL, order("buy", "101", "2"))

    assert not every(events, OrderCanceled)
    assert desk.open_oids(ALICE) == [oid]
    assert desk.size(ALICE) == 300


def test_reduce_only_order_needs_no_margin() -> None:
    """What can only make a position smaller reserves nothing."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "2000")

    placed = only(desk.place(ALICE, order("sell", "101", "2000", reduce_only=True)), OrderPlaced)

    assert placed.lots == 200_000


# ---- ids, cancel, modify -----------------------------------------------------------------------


def test_client_id_may_come_back_once_its_order_is_gone() -> None:
    """It is unique among open orders only."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(1)))
    desk.cancel(ALICE, cloid(1))

    assert desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(1))) == 2


def test_client_ids_of_two_accounts_may_be_equal() -> None:
    """Each account has its own."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(1)))
    desk.rest(BOB, order("buy", "99", "1", cloid=cloid(1)))

    assert only(desk.cancel(ALICE, cloid(1)), OrderCanceled).account == ALICE


def test_client_id_of_a_filled_maker_is_free() -> None:
    """A fill forgets it just as a cancel does."""
    desk = Desk()
    desk.rest(ALICE, order("sell", "101", "1", cloid=cloid(1)))
    desk.place(BOB, order("buy", "101", "1"))

    assert desk.rest(ALICE, order("sell", "101", "1", cloid=cloid(1)))


def test_cancel_must_name_the_market_of_the_order() -> None:
    """The right id under a wrong market is not there."""
    desk = Desk()
    oid = desk.rest(ALICE, order("buy", "99", "1"))

    assert only(desk.cancel(ALICE, oid, asset=ETH), CancelRefused).asset == ETH
    assert only(desk.cancel(ALICE, oid), OrderCanceled).remaining == 100


def test_cancels_of_one_command_are_told_one_by_one() -> None:
    """Each has its answer, in the order of the request."""
    desk = Desk()
    oid = desk.rest(ALICE, order("buy", "99", "1"))

    events = desk.cancel(ALICE, oid, oid)

    assert [type(event) for event in events] == [OrderCanceled, CancelRefused]


def test_modified_order_gets_a_new_id_and_loses_its_place() -> None:
    """The old one is cancelled, the new one is the last at its price."""
    desk = Desk()
    old = desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(1)))
    other = desk.rest(BOB, order("buy", "99", "1"))

    events = desk.modify(ALICE, cloid(1), order("buy", "99", "1", cloid=cloid(1)))

    assert every(events, OrderCanceled) == [
        OrderCanceled(BTC, ALICE, old, 100, CancelReason.MODIFIED)
    ]
    bids = desk.exchange.market_state(BTC).bids
    assert [resting.oid for resting in bids] == [other, other + 1]


def test_refused_replacement_leaves_the_old_order_cancelled() -> None:
    """A modify is a cancel and an order, and the cancel stands."""
    desk = Desk()
    old = desk.rest(ALICE, order("buy", "99", "1"))

    events = desk.modify(ALICE, old, order("buy", "99", "0"))

    assert [type(event) for event in events] == [OrderCanceled, OrderRefused]
    assert desk.open_oids(ALICE) == []


def test_modify_of_an_order_that_is_gone_places_nothing_unless_told_to() -> None:
    """Only ``always_place`` gets the new order in any case."""
    desk = Desk()
    spec = order("buy", "99", "1")

    assert desk.modify(ALICE, OrderId(9), spec) == [
        ModifyRefused(ALICE, OrderId(9), Refusal.MODIFY_NOTHING_THERE)
    ]
    assert only(desk.modify(ALICE, OrderId(9), spec, always_place=True), OrderPlaced).oid == 1


def test_modifies_of_one_command_are_carried_out_one_by_one() -> None:
    """The second may name the order that the first one made."""
    desk = Desk()
    oid = desk.rest(ALICE, order("buy", "99", "1", cloid=cloid(1)))
    again = ModifySpec(cloid(1), order("buy", "98", "1", cloid=cloid(1)))

    events = desk.apply(ModifyOrders(*desk.head(ALICE), (replace(again, target=oid), again)))

    assert [type(event) for event in events] == [OrderCanceled, OrderPlaced] * 2


# ---- limits ------------------------------------------------------------------------------------


def test_immediate_order_does_not_count_as_open() -> None:
    """An account at its limit may still trade what never rests."""
    desk = Desk()
    desk.place(ALICE, *(order("buy", "50", "0.2") for _ in range(1000)))
    desk.rest(BOB, order("sell", "101", "1"))

    assert only(desk.place(ALICE, order("buy", "101", "1", tif=Tif.IOC)), Traded).lots == 100


def test_volume_earns_open_orders_but_not_reduce_only_ones() -> None:
    """One more for every five million USD; beyond a thousand only for orders that may increase."""
    desk = Desk(usd=1_000_000)
    for _ in range(2):
        desk.trade(ALICE, BOB, "100", "50000")
        desk.trade(BOB, ALICE, "100", "40000")
    desk.place(ALICE, *(order("buy", "50", "0.2") for _ in range(1003)))

    reducing = only(desk.place(ALICE, order("sell", "150", "1", reduce_only=True)), OrderRefused)
    increasing = only(desk.place(ALICE, order("buy", "50", "0.2")), OrderRefused)

    assert len(desk.open_oids(ALICE)) == 1003
    assert (reducing.reason, reducing.detail) == (Refusal.OPEN_ORDERS_AT_MAX, (1000,))
    assert increasing.detail == (1003,)


def test_placed_order_carries_the_time_of_its_block() -> None:
    """An order's time is the time of the block that placed it."""
    desk = Desk()
    desk.block(START_MS + 5)
    desk.apply(PlaceOrders(*desk.head(ALICE), (order("buy", "99", "1"),)))

    assert desk.state(ALICE).orders[0].placed_ms == START_MS + 5
