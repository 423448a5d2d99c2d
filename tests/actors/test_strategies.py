"""What the demo's bots decide, without any exchange."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from actors.strategies import (
    CHANGES_PER_TURN_MAX,
    LEVELS_PER_SIDE,
    Holdings,
    OpenOrder,
    Quote,
    Requote,
    lattice_step_e8,
    quotes,
    requote,
    take,
)
from model.ids import AssetId, OrderId
from model.instruments import Instrument, is_on_grid
from model.units import E8, USD

BTC = Instrument(AssetId(0), "BTC", 5, 40, 65_000 * E8)
SOL = Instrument(AssetId(1), "SOL", 2, 20, 150 * E8)
TOYOTA = Instrument(AssetId(2), "7203", 1, 10, 18_40000000)
PENNY = Instrument(AssetId(3), "PENNY", 0, 10, 123)
INSTRUMENTS = [BTC, SOL, TOYOTA, PENNY]
OPENING = {instrument.asset: instrument.opening_price_e8 for instrument in INSTRUMENTS}
RICH = Holdings(250_000 * USD, {})


def best(wanted: Sequence[Quote]) -> tuple[int, int]:
    return (
        max(quote.price_e8 for quote in wanted if quote.is_buy),
        min(quote.price_e8 for quote in wanted if not quote.is_buy),
    )


def standing(wanted: Sequence[Quote]) -> list[OpenOrder]:
    return [
        OpenOrder(OrderId(oid), quote.asset, quote.is_buy, quote.price_e8, quote.size_e8)
        for oid, quote in enumerate(wanted, start=1)
    ]


def after(orders: Sequence[OpenOrder], plan: Requote) -> set[tuple[bool, int]]:
    """Return the sides and prices on the book after a plan."""
    book = {order.oid: (order.is_buy, order.price_e8) for order in orders}
    for _asset, oid in plan.cancels:
        del book[oid]
    for oid, quote in plan.changes:
        book[oid] = (quote.is_buy, quote.price_e8)
    return set(book.values()) | {(quote.is_buy, quote.price_e8) for quote in plan.places}


@pytest.mark.parametrize("instrument", [BTC, SOL, TOYOTA], ids=lambda i: i.name)
@pytest.mark.parametrize("percent", [80, 100, 120])
def test_a_ladder_is_full_and_obeys_the_exchanges_rules(
    instrument: Instrument, percent: int, seed: int
) -> None:
    """Twenty different valid prices a side, sizes in lots, each worth at least 10 USD."""
    price = instrument.opening_price_e8 * percent // 100 + 37
    wanted = quotes(price, instrument, RICH, random.Random(seed))

    assert len({(quote.is_buy, quote.price_e8) for quote in wanted}) == 2 * LEVELS_PER_SIDE
    for quote in wanted:
        assert is_on_grid(quote.price_e8, instrument.tick_e8)
        assert quote.size_e8 % instrument.lot_e8 == 0
        assert quote.price_e8 * quote.size_e8 >= 10 * E8 * E8
        assert quote.is_buy == (quote.price_e8 < price)


@pytest.mark.parametrize("instrument", [BTC, SOL, TOYOTA], ids=lambda i: i.name)
def test_the_spread_is_narrow_and_the_ladder_short(instrument: Instrument) -> None:
    """A newcomer's market order of ordinary size costs a few basis points."""
    wanted = quotes(instrument.opening_price_e8, instrument, RICH, random.Random(1))
    bid, ask = best(wanted)

    assert 0 < ask - bid < instrument.opening_price_e8 // 4_000
    low = min(quote.price_e8 for quote in wanted)
    assert instrument.opening_price_e8 - low < instrument.opening_price_e8 // 400


def test_all_orders_of_a_side_together_are_about_twice_the_account() -> None:
    """So that every market's default leverage carries the ladder and a full inventory."""
    wanted = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    bids_usd = sum(quote.price_e8 * quote.size_e8 for quote in wanted if quote.is_buy) // E8**2

    assert 350_000 < bids_usd < 650_000


def test_a_market_too_cheap_for_a_ladder_still_gets_valid_orders_only() -> None:
    """No price of zero or less is ever quoted."""
    wanted = quotes(PENNY.opening_price_e8, PENNY, RICH, random.Random(1))

    assert wanted
    assert all(quote.price_e8 > 0 for quote in wanted)


def test_a_maker_leans_against_its_inventory() -> None:
    """One that is long quotes lower, one that is short quotes higher."""

    def middle(position_e8: int) -> int:
        holdings = Holdings(250_000 * USD, {BTC.asset: position_e8})
        return sum(best(quotes(BTC.opening_price_e8, BTC, holdings, random.Random(1))))

    assert middle(5 * E8) < middle(0) < middle(-5 * E8)


@pytest.mark.parametrize(("position_e8", "is_buy"), [(8 * E8, False), (-8 * E8, True)])
def test_a_full_maker_quotes_only_the_side_that_reduces(position_e8: int, is_buy: bool) -> None:
    """The inventory is bounded whatever the takers do."""
    holdings = Holdings(250_000 * USD, {BTC.asset: position_e8})
    wanted = quotes(BTC.opening_price_e8, BTC, holdings, random.Random(1))

    assert {quote.is_buy for quote in wanted} == {is_buy}


def test_an_account_without_value_quotes_nothing() -> None:
    """Orders below the minimum would only be refused."""
    assert quotes(BTC.opening_price_e8, BTC, Holdings(30 * USD, {}), random.Random(1)) == []
    assert quotes(BTC.opening_price_e8, BTC, Holdings(-5 * USD, {}), random.Random(1)) == []


def test_equal_seeds_decide_alike() -> None:
    """A demo can be repeated."""
    first, second = (quotes(BTC.opening_price_e8, BTC, RICH, random.Random(5)) for _ in range(2))

    assert first == second


def test_an_empty_book_is_filled_by_placing() -> None:
    """The first turns place, best prices first, until the ladder stands."""
    wanted = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    plan = requote([], wanted, random.Random(1))

    assert (plan.changes, plan.cancels) == ((), ())
    assert plan.places == tuple(wanted[:CHANGES_PER_TURN_MAX])


def test_a_standing_ladder_changes_one_size_at_most() -> None:
    """Orders whose price is still wanted keep their place in the queue."""
    wanted = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    for seed in range(20):
        plan = requote(standing(wanted), wanted, random.Random(seed))

        assert len(plan.changes) <= 1
        assert (plan.cancels, plan.places) == ((), ())


def test_a_move_by_one_step_moves_one_order_a_side() -> None:
    """That is what the lattice is for."""
    step = lattice_step_e8(BTC)
    before = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    wanted = quotes(BTC.opening_price_e8 + step, BTC, RICH, random.Random(1))
    plan = requote(standing(before), wanted, random.Random(0))

    moved = [change for change in plan.changes if change[1].price_e8 in best(wanted)]
    assert 2 <= len(plan.changes) <= 3
    assert any(quote.is_buy for _oid, quote in moved)
    assert (plan.cancels, plan.places) == ((), ())


@pytest.mark.parametrize("percent", [70, 99, 101, 130])
def test_after_a_jump_some_turns_bring_the_ladder_to_the_new_price(percent: int) -> None:
    """Each turn is bounded, and they converge on exactly what is wanted."""
    orders = standing(quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1)))
    wanted = quotes(BTC.opening_price_e8 * percent // 100, BTC, RICH, random.Random(2))
    goal = {(quote.is_buy, quote.price_e8) for quote in wanted}
    for _ in range(3):
        plan = requote(orders, wanted, random.Random(3))
        assert len(plan.changes) <= CHANGES_PER_TURN_MAX
        orders = [
            OpenOrder(OrderId(index), BTC.asset, is_buy, price, E8)
            for index, (is_buy, price) in enumerate(sorted(after(orders, plan)))
        ]

    assert {(order.is_buy, order.price_e8) for order in orders} == goal


def test_the_side_that_retreats_goes_first() -> None:
    """When the price falls, bids are out of the way before asks come down to them."""
    orders = standing(quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1)))
    wanted = quotes(BTC.opening_price_e8 * 999 // 1000, BTC, RICH, random.Random(1))
    plan = requote(orders, wanted, random.Random(0))

    sides = [quote.is_buy for _oid, quote in plan.changes]
    assert sides[0]
    assert sides == sorted(sides, reverse=True)


def test_an_order_that_is_nearly_used_up_is_refreshed() -> None:
    """A book whose front was eaten grows back."""
    wanted = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    orders = standing(wanted)
    orders[0] = OpenOrder(
        OrderId(1), BTC.asset, wanted[0].is_buy, wanted[0].price_e8, wanted[0].size_e8 // 5
    )

    assert (1, wanted[0]) in requote(orders, wanted, random.Random(0)).changes


def test_of_two_orders_at_one_price_one_is_surplus() -> None:
    """A place whose answer was lost may have happened twice."""
    wanted = quotes(BTC.opening_price_e8, BTC, RICH, random.Random(1))
    twice = OpenOrder(OrderId(99), BTC.asset, wanted[0].is_buy, wanted[0].price_e8, E8)
    plan = requote([*standing(wanted), twice], wanted, random.Random(0))

    assert plan.cancels == ((BTC.asset, 99),)


def test_takers_send_valid_orders_that_cross(seed: int) -> None:
    """Each order is on the grid, worth its minimum, and priced beyond the maker's spread."""
    draw = random.Random(seed)
    for _ in range(500):
        order = take(INSTRUMENTS[:3], OPENING, RICH, draw)

        assert order is not None
        instrument = INSTRUMENTS[order.asset]
        assert is_on_grid(order.price_e8, instrument.tick_e8)
        assert order.size_e8 % instrument.lot_e8 == 0
        assert order.price_e8 * order.size_e8 >= 10 * E8 * E8
        assert order.is_buy == (order.price_e8 > instrument.opening_price_e8)


def test_a_taker_beyond_its_limit_only_reduces(seed: int) -> None:
    """Positions stay bounded, and so does the margin they need."""
    draw = random.Random(seed)
    holdings = Holdings(250_000 * USD, {BTC.asset: 2 * E8})
    taken = [take([BTC], OPENING, holdings, draw) for _ in range(200)]

    assert all(order is not None and not order.is_buy for order in taken)


def test_a_taker_without_value_or_price_takes_nothing() -> None:
    """There is nothing valid that it could send."""
    assert take([BTC], OPENING, Holdings(0, {}), random.Random(1)) is None
    assert take([BTC], {}, RICH, random.Random(1)) is None


def test_some_of_a_takers_orders_are_sweeps() -> None:
    """A book that is only nibbled at looks dead."""
    draw = random.Random(4)
    taken = [take([SOL], OPENING, RICH, draw) for _ in range(500)]
    values = sorted(order.price_e8 * order.size_e8 // E8**2 for order in taken if order)

    assert values[-1] > 10 * values[len(values) // 2]
