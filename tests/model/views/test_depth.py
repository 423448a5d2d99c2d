"""The depth view follows a book by level and tells cheaply what changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.commands import Tif
from model.events import CancelReason, Event, Leg, OrderCanceled, OrderPlaced, Traded
from model.ids import Address, AssetId, OrderId, TradeId
from model.instruments import Instrument
from model.state import MarketState
from model.views.depth import BookView, Changes, Level

BTC = AssetId(0)
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
INSTRUMENT = Instrument(BTC, "BTC", 5, 40, 65_000 * 10**8)
NOTHING = Changes(False, False, False)


def empty_book() -> BookView:
    """Return the view of a market without orders."""
    return BookView(MarketState(INSTRUMENT, 650_000, 650_000, 0, 0, (), ()))


def placed(oid: int, price: int, lots: int, *, is_buy: bool) -> Event:
    """Return the placing of an order."""
    return OrderPlaced(BTC, ALICE, OrderId(oid), is_buy, price, lots, Tif.GTC, False, None)


def canceled(oid: int, remaining: int) -> Event:
    """Return the cancelling of an order."""
    return OrderCanceled(BTC, ALICE, OrderId(oid), remaining, CancelReason.CANCELED)


def traded(taker: int, maker: int, price: int, lots: int) -> Event:
    """Return a trade of two orders; what remains of them is left to the view."""
    taken = Leg(BOB, OrderId(taker), None, 0, 0, 0, 0)
    made = Leg(ALICE, OrderId(maker), None, 0, 0, 0, 0)
    return Traded(BTC, TradeId(1), price, lots, True, taken, made)


def book_of(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> BookView:
    """Return the view of a book with one order of so many lots at each price."""
    book = empty_book()
    for oid, (price, lots) in enumerate(bids, 1):
        book.apply(placed(oid, price, lots, is_buy=True))
    for oid, (price, lots) in enumerate(asks, 1000):
        book.apply(placed(oid, price, lots, is_buy=False))
    return book


def test_levels_sum_orders_and_stand_best_first() -> None:
    """Orders at one price are one level, and each side starts with its best."""
    book = book_of([(99, 1), (100, 2), (100, 3)], [(103, 5), (102, 4)])

    assert book.levels() == (
        (Level(100, 5, 2), Level(99, 1, 1)),
        (Level(102, 4, 1), Level(103, 5, 1)),
    )
    assert book.levels(1) == ((Level(100, 5, 2),), (Level(102, 4, 1),))


def test_trade_takes_lots_off_both_orders_and_lets_the_rest_stand() -> None:
    """A crossing order stands on its own side until its trades have taken it off again."""
    book = book_of([], [(102, 4), (103, 5)])
    book.apply(placed(1, 103, 10, is_buy=True))
    book.apply(traded(1, 1000, 102, 4))
    book.apply(traded(1, 1001, 103, 5))

    assert book.levels() == ((Level(103, 1, 1),), ())
    assert len(book) == 1


def test_canceling_the_last_order_of_a_level_removes_it() -> None:
    """An emptied level is gone, a lighter one stays."""
    book = book_of([(100, 2), (100, 3), (99, 1)], [])
    book.apply(canceled(1, 2))
    book.apply(canceled(3, 1))

    assert book.levels() == ((Level(100, 3, 1),), ())


def test_changes_name_only_what_differs_from_the_last_look() -> None:
    """Best level, top and rest are told apart, and a second look finds nothing."""
    book = book_of([(price, 1) for price in range(100, 75, -1)], [(200, 1)])

    assert book.take_changes() == Changes(True, True, True)
    assert book.take_changes() == NOTHING
    book.apply(placed(50, 76, 9, is_buy=True))
    assert book.take_changes() == Changes(False, False, True)
    book.apply(placed(51, 81, 9, is_buy=True))
    assert book.take_changes() == Changes(False, True, True)
    book.apply(placed(52, 100, 9, is_buy=True))
    assert book.take_changes() == Changes(True, True, True)


def test_order_that_came_and_went_between_two_looks_is_no_change_of_the_top() -> None:
    """The best level is compared, not the traffic over it."""
    book = book_of([(100, 1)], [])
    book.take_changes()
    book.apply(placed(50, 101, 9, is_buy=True))
    book.apply(canceled(50, 9))

    assert book.take_changes() == Changes(False, False, True)


def test_level_that_moves_up_into_the_top_is_noticed() -> None:
    """When a level above goes, the twenty-first enters, and changes to it count from then on."""
    book = book_of([(price, 1) for price in range(100, 75, -1)], [])
    book.take_changes()
    book.apply(canceled(1, 1))
    assert book.take_changes() == Changes(True, True, True)
    book.apply(placed(50, 80, 9, is_buy=True))

    assert book.take_changes() == Changes(False, True, True)


@pytest.mark.parametrize(
    ("figures", "mantissa", "bids", "asks"),
    [
        (5, 1, [(649_980, 3), (649_970, 4)], [(650_010, 4), (650_020, 2)]),
        (5, 2, [(649_980, 3), (649_960, 4)], [(650_020, 6)]),
        (5, 5, [(649_950, 7)], [(650_050, 6)]),
        (4, 1, [(649_900, 7)], [(650_100, 6)]),
        (3, 1, [(649_000, 7)], [(651_000, 6)]),
        (2, 1, [(640_000, 7)], [(660_000, 6)]),
    ],
)
def test_buckets_round_bids_down_and_asks_up(
    figures: int, mantissa: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]
) -> None:
    """A bucket never promises a better price than the orders in it."""
    book = book_of(
        [(649_985, 1), (649_981, 2), (649_970, 4)], [(650_001, 1), (650_010, 3), (650_011, 2)]
    )

    below, above = book.aggregated(figures, mantissa)

    assert [(level.price, level.lots) for level in below] == bids
    assert [(level.price, level.lots) for level in above] == asks


def test_prices_with_few_figures_are_not_bucketed() -> None:
    """A price that has no more figures than asked for stands alone, whatever the mantissa."""
    book = book_of([(1_234, 1), (1_233, 1)], [(99_999, 1), (100_001, 1)])

    below, above = book.aggregated(5, 5)

    assert [level.price for level in below] == [1_234, 1_233]
    assert [level.price for level in above] == [100_000, 100_050]


def test_aggregation_stops_at_twenty_buckets() -> None:
    """Only as many buckets as the wire shows, the last of them complete."""
    book = book_of([(100_000 - tick, 1) for tick in range(500)], [])

    below, _ = book.aggregated(4)

    assert len(below) == 20
    assert {level.count for level in below[1:]} == {10}


@given(
    prices=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=60),
    figures=st.integers(2, 5),
    mantissa=st.sampled_from([1, 2, 5]),
)
def test_buckets_lose_nothing_and_flatter_nobody(
    prices: list[int], figures: int, mantissa: int
) -> None:
    """Each bucket holds exactly the orders that it is the next worse round price of."""
    mantissa = mantissa if figures == 5 else 1
    book = book_of([(price, 1) for price in prices], [(price, 1) for price in prices])

    bids, asks = book.aggregated(figures, mantissa, count=len(prices))

    for buckets, is_bid in ((bids, True), (asks, False)):
        shown = [level.price for level in buckets]
        assert shown == sorted(set(shown), reverse=is_bid)
        assert sum(level.count for level in buckets) == len(prices)
        left = sorted(prices, reverse=is_bid)
        for bucket in buckets:
            held, left = left[: bucket.count], left[bucket.count :]
            assert all(bucket.price <= p if is_bid else bucket.price >= p for p in held)
            assert all(
                abs(bucket.price - p) < mantissa * 10 ** max(0, len(str(p)) - figures) for p in held
            )


def test_a_trigger_that_is_cancelled_was_never_in_the_book() -> None:
    """Its cancelling has the form of any other, and changes nothing here."""
    book = book_of([(99, 5)], [(101, 5)])
    before = book.levels()

    book.apply(canceled(77, 3))

    assert book.levels() == before
