"""The market view keeps trades, candles, volume and context of one market."""

import pytest

from model.commands import Tif
from model.events import Event, Leg, OracleMoved, OrderPlaced, Traded
from model.ids import Address, AssetId, OrderId, TradeId
from model.instruments import Instrument
from model.state import MarketState
from model.views.candles import DAY_MS, MINUTE_MS
from model.views.market import NO_SEEDS, MarketSeeds, MarketView, impact_price, premium
from model.views.records import Candle

BTC = AssetId(0)
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
INSTRUMENT = Instrument(BTC, "BTC", 5, 40, 65_000 * 10**8, impact_notional=20_000 * 10**6)
START_MS = 20_000 * DAY_MS


def market(seeds: MarketSeeds = NO_SEEDS) -> MarketView:
    """Return the view of a market without orders at an oracle price of 65,000.0 USD."""
    state = MarketState(INSTRUMENT, 650_000, 650_000, 0, 0, (), ())
    return MarketView(state, START_MS, seeds)


def placed(oid: int, price: int, lots: int, *, is_buy: bool) -> Event:
    """Return the placing of an order."""
    return OrderPlaced(BTC, ALICE, OrderId(oid), is_buy, price, lots, Tif.GTC, False, None)


def traded(oid: int, price: int, lots: int, *, starts: tuple[int, int] = (0, 0)) -> Event:
    """Return a trade of an order that buys with the one before it; ``starts`` are of buyer and
    seller.
    """
    taker = Leg(BOB, OrderId(oid), None, 0, starts[0], 0, 0)
    maker = Leg(ALICE, OrderId(oid - 1), None, 0, starts[1], 0, 0)
    return Traded(BTC, TradeId(oid), price, lots, True, taker, maker)


def trade_events(oid: int, price: int, lots: int) -> list[tuple[int, Event]]:
    """Return all events of two orders that fill each other."""
    return [
        (0, placed(oid - 1, price, lots, is_buy=False)),
        (1, placed(oid, price, lots, is_buy=True)),
        (1, traded(oid, price, lots)),
    ]


def test_trades_form_candles_of_all_intervals_and_the_volume_of_the_day() -> None:
    """Two trades in one minute are one candle everywhere, and the day has both."""
    view = market()
    view.apply(5, START_MS + 1, trade_events(2, 650_000, 100))
    changes = view.apply(6, START_MS + 2, trade_events(4, 650_100, 50))

    assert [(trade.price, trade.height, trade.index) for trade in changes.trades] == [
        (650_100, 6, 1)
    ]
    for interval in ("1m", "1h", "1w", "1M"):
        candle = view.forming(interval)
        assert candle is not None
        assert (candle.open, candle.close, candle.lots, candle.count) == (650_000, 650_100, 150, 2)
    context = view.context()
    assert context.day_lots == 150
    assert context.day_notional == 650_000 * 100 + 650_100 * 50
    assert view.last == 650_100


def test_block_after_the_minute_closes_its_candle() -> None:
    """Any block tells that time has passed; only the intervals that are over close."""
    view = market()
    view.apply(5, START_MS + 1, trade_events(2, 650_000, 100))
    changes = view.apply(6, START_MS + MINUTE_MS, [(0, OracleMoved(BTC, 651_000, 651_000))])

    assert [candle.interval for candle in changes.closed] == ["1m"]
    assert changes.oracle
    assert view.mark == 651_000
    last = view.forming("1m")
    assert last == changes.closed[0]


def test_volume_leaves_after_a_day_and_its_price_becomes_the_previous_one() -> None:
    """A minute that ended a day ago no longer counts, and the change is measured from its close."""
    view = market()
    assert view.context().previous_day_price == 650_000
    view.apply(5, START_MS + 1, trade_events(2, 640_000, 100))
    view.advance(START_MS + DAY_MS + MINUTE_MS - 1)
    assert view.context().day_lots == 100
    view.advance(START_MS + DAY_MS + MINUTE_MS)

    context = view.context()
    assert (context.day_lots, context.day_notional) == (0, 0)
    assert context.previous_day_price == 640_000


def test_seeds_are_carried_on() -> None:
    """What the history knew is part of the day and of the forming candle."""
    minute = Candle(BTC, "1m", START_MS - MINUTE_MS, 6, 9, 5, 7, 10, 70, 3)
    hour = Candle(BTC, "1h", START_MS, 6, 9, 5, 7, 10, 70, 3)
    view = market(MarketSeeds((), (minute,), (hour,), 5))
    view.apply(5, START_MS + 1, trade_events(2, 8, 2))

    assert view.context().day_lots == 12
    assert view.context().previous_day_price == 5
    assert view.forming("1h") == Candle(BTC, "1h", START_MS, 6, 9, 5, 8, 12, 86, 4)


@pytest.mark.parametrize(
    ("starts", "change"),
    [
        ((0, 0), 5),
        ((-5, 5), -5),
        ((-2, 0), 3),
        ((0, 5), 0),
        ((3, -4), 5),
    ],
)
def test_open_interest_is_the_sum_of_longs(starts: tuple[int, int], change: int) -> None:
    """Opening adds, closing takes away, and handing a position over leaves it."""
    view = market()
    view.apply(
        5,
        START_MS,
        [
            (0, placed(1, 650_000, 5, is_buy=False)),
            (0, placed(2, 650_000, 5, is_buy=True)),
            (0, traded(2, 650_000, 5, starts=starts)),
        ],
    )

    assert view.open_interest == change


def test_context_of_an_empty_book_has_no_mid_impact_or_premium() -> None:
    """What cannot be computed is absent rather than invented."""
    context = market().context()

    assert (context.twice_mid, context.impact, context.premium) == (None, None, None)
    assert (context.oracle, context.mark) == (650_000, 650_000)


def test_impact_price_averages_over_levels_and_rounds_away_from_the_mid() -> None:
    """20,000 USD against 0.2 BTC at 65,100 and more at 65,300 cost 65,169 on average."""
    view = market()
    view.apply(
        5,
        START_MS,
        [
            (0, placed(1, 651_000, 20_000, is_buy=False)),
            (0, placed(2, 653_000, 90_000, is_buy=False)),
            (0, placed(3, 649_000, 90_000, is_buy=True)),
        ],
    )

    # 0.2 * 65,100 = 13,020; the other 6,980 need 0.10690 at 65,300 (rounded up to lots).
    spent = 20_000 * 651_000 + 10_690 * 653_000
    assert impact_price(view.book.asks, 20_000 * 10**6) == -(-spent // 30_690)
    assert view.context().impact == (649_000, -(-spent // 30_690))


@pytest.mark.parametrize(
    ("impact", "expected"),
    [
        ((649_000, 651_000), 0),
        ((651_300, 652_000), 20_000_000),
        ((648_000, 648_700), -20_000_000),
    ],
)
def test_premium_is_what_lies_beyond_the_oracle(impact: tuple[int, int], expected: int) -> None:
    """An oracle inside the spread has none; 0.2 % beyond is 0.002 in 1e-10."""
    assert premium(impact, 650_000) == expected


def test_ring_of_trades_is_bounded() -> None:
    """Old trades make room for new ones."""
    view = market()
    for height in range(150):
        view.apply(height, START_MS + height, trade_events(2 * height + 2, 650_000, 1))

    assert len(view.trades) == 100
    assert view.trades[-1].height == 149
