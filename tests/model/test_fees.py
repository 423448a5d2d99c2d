"""Fees and what volume earns."""

from __future__ import annotations

from typing import Final

import pytest

from model.commands import FeeTier, MakerTier, OpenExchange, Tif
from model.events import CommandRefused, Traded
from model.exchange import Exchange
from model.fees import DayVolume, FeeBook, FeeSchedule, fee_towards_exchange, open_orders_max
from model.nonces import DAY_MS
from model.refusals import Refusal
from model.state import FeeState
from model.units import USD
from tests.model.desk import ALICE, BOB, START_MS, Desk, only, order


@pytest.mark.parametrize(
    ("notional", "rate_ppm", "fee"),
    [(1_000_000, 450, 450), (1_000_001, 450, 451), (1, 450, 1), (0, 450, 0), (1, 0, 0)],
)
def test_fee_is_rounded_up(notional: int, rate_ppm: int, fee: int) -> None:
    """A fraction of a micro-USD costs a whole one."""
    assert fee_towards_exchange(notional, rate_ppm) == fee


@pytest.mark.parametrize(("notional", "fee"), [(1_000_000, -10), (1_099_999, -10), (99_999, 0)])
def test_rebate_is_rounded_down(notional: int, fee: int) -> None:
    """A fraction of a micro-USD is not paid out."""
    assert fee_towards_exchange(notional, -10) == fee


@pytest.mark.parametrize(
    ("usd", "most"),
    [(0, 1000), (4_999_999, 1000), (5_000_000, 1001), (10**10, 3000), (10**12, 5000)],
)
def test_volume_earns_open_orders(usd: int, most: int) -> None:
    """One for every five million USD, up to five thousand in all."""
    assert open_orders_max(usd * USD) == most


def test_fees_are_kept_by_the_exchange() -> None:
    """What the taker pays goes to the maker's rebate and the exchange, and nothing is lost."""
    desk = Desk(taker_fee_ppm=450, maker_fee_ppm=-100)
    desk.rest(BOB, order("sell", "100", "1"))
    desk.place(ALICE, order("buy", "100", "1", tif=Tif.IOC))

    assert desk.exchange.engine.fees == 45_000 - 10_000


# ---- tiers -------------------------------------------------------------------------------------

PUBLISHED: Final = OpenExchange(
    450,
    150,
    700,
    400,
    (
        FeeTier(5_000_000 * USD, 400, 120, 600, 300),
        FeeTier(25_000_000 * USD, 350, 80, 500, 200),
        FeeTier(100_000_000 * USD, 300, 40, 400, 100),
        FeeTier(500_000_000 * USD, 280, 0, 350, 0),
        FeeTier(2_000_000_000 * USD, 260, 0, 300, 0),
        FeeTier(7_000_000_000 * USD, 240, 0, 250, 0),
    ),
    (MakerTier(5_000, -10), MakerTier(15_000, -20), MakerTier(30_000, -30)),
)
"""The schedule of the Hyperliquid documentation, fees: perpetuals, spot base and maker rebates."""

DAY: Final = 19_675
"""The day of START_MS."""


def book_of(*days: tuple[int, int, int]) -> FeeBook:
    """Make a book of days before DAY: how many before, USD traded, USD traded as a maker."""
    ascending = sorted(days, reverse=True)
    return FeeBook(DayVolume(DAY - ago, usd * USD, maker * USD) for ago, usd, maker in ascending)


def assessed(book: FeeBook, *, traded_usd: int = 0) -> FeeState:
    """Return the rates of a book on DAY on an exchange that traded so much the day before."""
    schedule = FeeSchedule(PUBLISHED)
    schedule.traded = book_of((1, traded_usd, 0))
    schedule.assess(book, DAY)
    return book.to_state()


@pytest.mark.parametrize(
    ("usd", "taker", "maker"),
    [
        (0, 450, 150),
        (5_000_000, 450, 150),
        (5_000_001, 400, 120),
        (25_000_001, 350, 80),
        (100_000_001, 300, 40),
        (500_000_001, 280, 0),
        (2_000_000_001, 260, 0),
        (7_000_000_000, 260, 0),
        (7_000_000_001, 240, 0),
    ],
)
def test_published_tiers(usd: int, taker: int, maker: int) -> None:
    """A tier is reached by volume over its bound (Hyperliquid documentation, fees)."""
    state = assessed(book_of((1, usd, 0)))

    assert (state.taker_ppm, state.maker_ppm) == (taker, maker)
    assert state.volume_14d == usd * USD


@pytest.mark.parametrize(
    ("maker_usd", "maker_ppm"),
    [(0, 150), (4_999, 150), (5_000, -10), (14_999, -10), (15_000, -20), (30_000, -30)],
)
def test_published_maker_rebates(maker_usd: int, maker_ppm: int) -> None:
    """From half a percent of all maker volume on a maker is paid (the same source)."""
    state = assessed(book_of((1, 40_000, maker_usd)), traded_usd=1_000_000)

    assert state.maker_ppm == maker_ppm
    assert state.taker_ppm == 450


def test_fourteen_full_days_count() -> None:
    """Today does not count, nor does the fifteenth day before."""
    book = book_of((15, 6_000_000, 0), (14, 1, 0), (1, 2, 0), (0, 9_000_000, 0))

    state = assessed(book)

    assert state.volume_14d == 3 * USD
    assert state.taker_ppm == 450
    assert book.volume == 9_000_000 * USD


def test_rates_change_with_the_day_and_not_before() -> None:
    """What is traded today lowers the fees of tomorrow."""
    terms = OpenExchange(450, 150, fee_tiers=(FeeTier(50 * USD, 400, 120, 0, 0),))
    desk = Desk(terms=terms)
    fees = []

    for time_ms in (START_MS, START_MS + 1, (DAY + 1) * DAY_MS - 1, (DAY + 1) * DAY_MS):
        desk.block(time_ms)
        desk.rest(BOB, order("sell", "100", "1"))
        traded = only(desk.place(ALICE, order("buy", "100", "1", tif=Tif.IOC)), Traded)
        fees.append((traded.taker.fee, traded.maker.fee))

    assert fees == [(45_000, 15_000)] * 3 + [(40_000, 12_000)]


def test_volume_is_forgotten_after_fourteen_days() -> None:
    """And the base rates are back."""
    terms = OpenExchange(450, 150, fee_tiers=(FeeTier(50 * USD, 400, 120, 0, 0),))
    desk = Desk(terms=terms)
    desk.trade(ALICE, BOB, "100", "1")

    rates = []
    for days in (1, 14, 15):
        desk.block(START_MS + days * DAY_MS)
        state = desk.state(ALICE).fees
        assert state is not None
        rates.append(state.taker_ppm)

    assert rates == [400, 400, 450]


def test_a_maker_of_everything_has_the_best_rebate() -> None:
    """His share in what all makers traded is one."""
    terms = OpenExchange(450, 150, maker_tiers=(MakerTier(1_000_000, -20),))
    desk = Desk(terms=terms)
    desk.trade(ALICE, BOB, "100", "1")
    desk.block(START_MS + DAY_MS)

    desk.rest(BOB, order("sell", "100", "1"))
    traded = only(desk.place(ALICE, order("buy", "100", "1")), Traded)

    assert traded.maker.fee == -2_000
    assert desk.exchange.engine.fees == 45_000 + 15_000 + 45_000 - 2_000


def test_volumes_survive_a_snapshot_at_any_time_of_the_day() -> None:
    """Looking at rates or refusing an order leaves no trace, and a copy trades on alike."""
    terms = OpenExchange(450, 150, fee_tiers=(FeeTier(150 * USD, 400, 120, 0, 0),))
    desk = Desk(terms=terms)
    desk.trade(ALICE, BOB, "100", "1")
    copy = Desk(terms=terms)
    copy.exchange = Exchange.load(desk.exchange.dump())
    copy.nonce = desk.nonce
    for each in (desk, copy):
        each.trade(ALICE, BOB, "100", "1")
        each.block(START_MS + DAY_MS)
    before = desk.exchange.digest()
    desk.state(ALICE)

    assert desk.exchange.digest() == before
    for each in (desk, copy):
        each.trade(ALICE, BOB, "100", "1")
    assert desk.exchange.dump() == copy.exchange.dump()
    assert desk.exchange.engine.fees == 2 * 60_000 + 52_000


@pytest.mark.parametrize(
    "terms",
    [
        OpenExchange(10**6, 0),
        OpenExchange(100, -101),
        OpenExchange(450, 0, spot_maker_fee_ppm=-1),
        OpenExchange(450, 0, fee_tiers=(FeeTier(1, 9, 0, 0, 0),), maker_tiers=(MakerTier(1, -10),)),
        OpenExchange(450, 0, fee_tiers=(FeeTier(2, 9, 0, 0, 0), FeeTier(2, 8, 0, 0, 0))),
        OpenExchange(450, 0, maker_tiers=(MakerTier(9, 0), MakerTier(8, 0))),
        OpenExchange(450, 0, fee_tiers=tuple(FeeTier(n, 9, 0, 0, 0) for n in range(33))),
        OpenExchange(450, 0, requests_free=-1),
    ],
)
def test_impossible_terms_are_refused(terms: OpenExchange) -> None:
    """No pair of sides may be paid out more than it pays, and tiers ascend."""
    exchange = Exchange()

    assert exchange.apply(terms) == [CommandRefused(None, Refusal.FEES_INVALID)]
