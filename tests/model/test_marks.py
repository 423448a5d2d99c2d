"""The mark price: which prices go into it, and the averages, in integers."""

from __future__ import annotations

import math
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from model.commands import MarkSource, MoveOracle, OpenExchange, OraclePrice, Tick
from model.events import OracleMoved
from model.exchange import Exchange
from model.marks import (
    BASIS_MS,
    FADE_SCALE,
    FADED_AFTER,
    FINE,
    Average,
    book_price,
    fade,
    mark_price,
    median,
)
from model.orders import PRICE_E8_MAX
from model.units import E8
from tests.model.desk import ALICE, BOB, BTC, ETH, Desk, every, order

ORACLE: Final = 1_000_000
"""100 USD in ticks of 0.0001 USD."""


class MedianDesk(Desk):
    """A desk whose exchange computes marks as the median of three."""

    def __init__(self) -> None:
        super().__init__()
        terms = OpenExchange(0, 0, mark_source=MarkSource.MEDIAN)
        self.exchange.engine.schedule.terms = terms

    def mark(self) -> int:
        """Return the mark price of BTC in ticks."""
        return self.exchange.market_state(BTC).mark

    def move(self, price: int, outside: int = 0, *, after_ms: int = 1_000) -> int:
        """Move the oracle to whole USD, some time later; return the mark that follows."""
        self.block(self.exchange.time_ms + after_ms)
        self.apply(MoveOracle((OraclePrice(BTC, price * E8, outside * E8),)))
        return self.mark()


# ---- which prices go into it -------------------------------------------------------------------


def mark(
    *,
    basis: int | None = None,
    book: int | None = None,
    book_average: int | None = None,
    outside: int | None = None,
) -> int:
    """Return the mark for an oracle price of 1,000 ticks; the others are ticks as well."""

    def fine(ticks: int | None) -> int | None:
        return None if ticks is None else ticks * FINE

    return mark_price(
        oracle=1_000,
        basis=fine(basis),
        book=fine(book),
        book_average=fine(book_average),
        outside=fine(outside),
    )


def test_median_of_three() -> None:
    """Oracle with basis, book, and outside; the middle one counts."""
    assert mark(basis=5, book=1_010, outside=1_001) == 1_005
    assert mark(basis=5, book=1_010, outside=1_020) == 1_010
    assert mark(basis=-50, book=1_010, outside=990) == 990


def test_with_two_the_average_of_the_book_joins() -> None:
    """Whichever of the two others is missing; where there is no average, the middle of both."""
    assert mark(book=1_010, book_average=1_004) == 1_004
    assert mark(outside=990, book_average=1_004) == 1_000
    assert mark(book=1_010) == 1_005


def test_three_prices_leave_the_average_out() -> None:
    """It stands in for one that is missing."""
    assert mark(book=1_010, outside=1_020, book_average=1_000) == 1_010


def test_oracle_alone_is_the_mark() -> None:
    """With an empty book and nobody who tells other prices."""
    assert mark() == 1_000
    assert mark(book_average=1_500) == 1_000


def test_mark_is_never_below_a_tick() -> None:
    """Not even where the basis is larger than the price."""
    assert mark(basis=-5_000) == 1


def test_price_of_the_book_needs_both_sides() -> None:
    """With them the last trade joins, if there was one."""
    assert book_price(0, 10, 9) is None
    assert book_price(9, 0, 9) is None
    assert book_price(8, 11, 0) == 19 * FINE // 2
    assert book_price(8, 11, 20) == 11 * FINE
    assert book_price(8, 11, 9) == 9 * FINE


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=3))
def test_median_lies_between_the_prices(prices: list[int]) -> None:
    """And half of them are on either side."""
    middle = median(prices)
    assert min(prices) <= middle <= max(prices)
    assert 2 * sum(price <= middle for price in prices) >= len(prices)


# ---- averages ----------------------------------------------------------------------------------


@given(st.integers(0, FADED_AFTER * BASIS_MS + 10))
def test_fading_is_the_exponential(elapsed_ms: int) -> None:
    """Within two units of its scale."""
    exact = math.exp(-elapsed_ms / BASIS_MS)
    assert abs(fade(elapsed_ms, BASIS_MS) - exact * FADE_SCALE) <= 2


def test_average_follows_the_formula() -> None:
    """Samples at uneven times, against the published recurrence in floats."""
    average = Average(BASIS_MS)
    average.sample(1_000_000 * FINE, 1)
    num, den, at = 1_000_000.0 * BASIS_MS, float(BASIS_MS), 1
    for number in range(400):
        elapsed = 500 + 37 * (number % 50)
        at += elapsed
        sample = 1_000_000 + 900 * (number % 13) - 40 * number
        kept = math.exp(-elapsed / BASIS_MS)
        num, den = num * kept + sample * elapsed, den * kept + elapsed
        average.sample(sample * FINE, at)
        got = average.get(at)
        assert got is not None
        assert abs(got / FINE - num / den) < 0.05


def test_average_of_nothing_or_of_long_ago_does_not_exist() -> None:
    """A sample is good for one time constant."""
    average = Average(1_000)
    assert average.get(5) is None
    average.sample(7, 2_000)
    assert average.get(3_000) == 7
    assert average.get(3_001) is None
    average.sample(50, 4_000)
    assert average.get(4_000) == 50


def test_average_with_a_start_is_not_moved_by_its_first_sample() -> None:
    """Only what lasts counts."""
    average = Average(1_000, 0)
    average.sample(70, 5_000)
    assert average.get(5_000) == 0
    average.sample(70, 5_500)
    assert average.get(5_500) == 32


def test_largest_price_stays_within_a_snapshot() -> None:
    """Everything that is kept of an average fits 63 bits."""
    average = Average(BASIS_MS)
    most = PRICE_E8_MAX // E8 * 10**6 * FINE
    for second in range(1, 2_000):
        average.sample(most, second * 1_000)
    assert all(abs(kept) < 2**63 for kept in average.to_tuple())
    assert average.get(1_999_000) == most


# ---- in the exchange ---------------------------------------------------------------------------


def test_without_a_book_the_mark_is_the_oracle() -> None:
    """At once."""
    assert MedianDesk().move(90) == 900_000


def test_book_pulls_the_mark_and_the_outside_price_holds_it() -> None:
    """Two of three agree."""
    desk = MedianDesk()
    desk.rest(ALICE, order("buy", "104", "10"))
    desk.rest(BOB, order("sell", "106", "10"))

    assert desk.move(100, 101) == 1_010_000
    assert desk.move(100, 120) == 1_050_000


def test_other_markets_are_told_of_when_their_mark_moves() -> None:
    """Every mark is computed anew with each move of any oracle price."""
    desk = MedianDesk()
    desk.rest(ALICE, order("buy", "99", "1"))
    desk.rest(BOB, order("sell", "103", "1"))
    before = desk.mark()
    desk.block(desk.exchange.time_ms + 1_000)

    moved = every(desk.apply(MoveOracle((OraclePrice(ETH, 10 * E8),))), OracleMoved)

    assert desk.mark() != before
    assert [event.asset for event in moved] == [0, 1]


def test_clock_computes_marks_with_each_sample() -> None:
    """Where nobody moves the oracle, the book still counts."""
    desk = MedianDesk()
    desk.move(100)
    desk.trade(ALICE, BOB, "101", "1")
    desk.rest(ALICE, order("buy", "101", "1"))
    desk.rest(BOB, order("sell", "102", "1"))
    desk.block(desk.exchange.time_ms + 5_000)

    events = desk.apply(Tick())

    assert [event.mark for event in every(events, OracleMoved)] == [desk.mark()]
    assert desk.mark() > ORACLE


def test_marks_survive_a_snapshot() -> None:
    """A loaded exchange computes the same marks."""
    desk = MedianDesk()
    desk.rest(ALICE, order("buy", "99", "1"))
    desk.rest(BOB, order("sell", "103", "1"))
    desk.move(100, 101)
    data = desk.exchange.dump()
    loaded = Exchange.load(data)
    assert loaded.dump() == data

    for exchange in (loaded, desk.exchange):
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 3_000)
        exchange.apply(MoveOracle((OraclePrice(BTC, 98 * E8),)))

    assert loaded.digest() == desk.exchange.digest()


def test_travel_counts_both_ways() -> None:
    """It never falls, and a mark that stays adds nothing."""
    desk = Desk()
    market = desk.exchange.engine.markets[BTC]
    start = market.travel
    desk.move_oracle("101")
    desk.move_oracle("100")
    desk.move_oracle("100")

    assert market.travel - start == 20_000
    assert market.mark_before == market.mark == ORACLE
