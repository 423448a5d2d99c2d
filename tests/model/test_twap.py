"""TWAPs: slices in time, catching up, and every way to end."""

from __future__ import annotations

import pytest

from model.commands import CancelTwap, PlaceTwap, Tick
from model.events import (
    Event,
    OrderPlaced,
    OrderRefused,
    PremiumSampled,
    Ticked,
    Traded,
    TwapEnd,
    TwapEnded,
    TwapRefused,
    TwapStarted,
)
from model.exchange import Exchange
from model.ids import AssetId
from model.markets import Market
from model.refusals import Refusal
from model.twap import SLICE_MS, TWAPS_MAX, Twap, slice_lots, slice_price, stop_all
from model.units import parse_decimal
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, only, order


def start(
    desk: Desk,
    size: str = "10",
    *,
    minutes: int = 5,
    side: str = "buy",
    reduce_only: bool = False,
    randomize: bool = False,
    asset: AssetId = BTC,
) -> list[Event]:
    """Let Alice begin a TWAP."""
    head = desk.head(ALICE)
    is_buy = side == "buy"
    size_e8 = parse_decimal(size)
    return desk.apply(PlaceTwap(*head, asset, is_buy, size_e8, reduce_only, minutes, randomize))


def tick(desk: Desk, after_ms: int) -> list[Event]:
    """Let so much time have passed since the start; return what it did but sample premiums."""
    desk.block(START_MS + after_ms)
    events = desk.apply(Tick())
    return [event for event in events if not isinstance(event, PremiumSampled | Ticked)]


def running(desk: Desk) -> list[tuple[int, int]]:
    """Return what Alice's TWAPs have traded, by id."""
    return [(twap.twap_id, twap.executed_lots) for twap in desk.state(ALICE).twaps]


def test_slices_come_every_half_minute() -> None:
    """The first at once, each an immediate order of an even share within 3 % of the mark."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "100"))
    assert start(desk) == [TwapStarted(ALICE, 1, BTC, True, 1000, False, 5, False)]

    events = tick(desk, 0)
    head, traded = events
    assert isinstance(head, OrderPlaced)
    assert isinstance(traded, Traded)
    assert (head.price, head.lots, head.twap_id) == (1_030_000, 100, 1)
    assert (traded.taker.twap_id, traded.maker.twap_id) == (1, None)
    assert tick(desk, SLICE_MS - 1) == []
    assert only(tick(desk, SLICE_MS), Traded).lots == 100
    assert running(desk) == [(1, 200)]


def test_whole_size_is_traded_and_then_it_is_finished() -> None:
    """After the last slice nothing is left."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "100"))
    start(desk)

    events = [event for index in range(10) for event in tick(desk, index * SLICE_MS)]
    ended = only(events, TwapEnded)
    assert (ended.end, ended.executed_lots) == (TwapEnd.FINISHED, 1000)
    assert ended.executed_notional == 1000 * 1_010_000
    assert desk.size(ALICE) == 1000
    assert tick(desk, 400_000) == []


def test_missed_slices_are_caught_up_with_up_to_three_shares() -> None:
    """What found nobody is asked for again, but not all at once."""
    desk = Desk()
    start(desk)
    assert only(tick(desk, 0), OrderRefused).reason is Refusal.IOC_FOUND_NOTHING
    assert tick(desk, 1_000) == []
    tick(desk, SLICE_MS)
    tick(desk, 2 * SLICE_MS)
    tick(desk, 3 * SLICE_MS)
    desk.rest(BOB, order("sell", "101", "100"))

    assert only(tick(desk, 4 * SLICE_MS), Traded).lots == 300
    assert only(tick(desk, 5 * SLICE_MS), Traded).lots == 300
    assert only(tick(desk, 6 * SLICE_MS), Traded).lots == 100


def test_time_that_nobody_saw_is_not_made_up() -> None:
    """After a pause one slice is due, not one for each that was missed."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "100"))
    start(desk)

    assert only(tick(desk, 5 * SLICE_MS), Traded).lots == 300
    assert tick(desk, 5 * SLICE_MS + 1) == []
    events = tick(desk, 10 * SLICE_MS)
    assert events == [TwapEnded(ALICE, 1, BTC, TwapEnd.FINISHED, 300, 300 * 1_010_000)]


def test_few_lots_are_spread_over_the_time() -> None:
    """Where a share is less than a lot, a slice comes when the next lot is due."""
    twap = Twap(1, BTC, ALICE, True, 3, False, 5, False, 0)

    assert twap.due_ms == 3 * SLICE_MS
    assert [slice_lots(twap, index) for index in (3, 9)] == [1, 3]


def test_slice_does_not_pay_more_than_the_slippage() -> None:
    """An offer beyond 3 % is left alone, and the worst price is a valid one."""
    desk = Desk()
    desk.rest(BOB, order("sell", "103.01", "100"))
    start(desk)

    assert only(tick(desk, 0), OrderRefused).reason is Refusal.IOC_FOUND_NOTHING


@pytest.mark.parametrize(
    ("mark", "is_buy", "price"),
    [
        ("12345", True, "12715"),
        ("12345", False, "11975"),
        ("1.2345", True, "1.2715"),
        ("1.2345", False, "1.1975"),
        ("123456", True, "127159"),
        ("0.0001", False, "0.0001"),
    ],
)
def test_worst_price_is_on_the_grid(mark: str, is_buy: bool, price: str) -> None:
    """Rounded towards the mark."""
    desk = Desk()
    instrument = desk.exchange.instruments[BTC]
    market = Market(instrument)
    market.set_mark(parse_decimal(mark) // market.tick_e8)

    assert slice_price(market, is_buy=is_buy) == parse_decimal(price) // market.tick_e8


def test_slices_are_drawn_from_the_log() -> None:
    """Randomized ones differ from even shares by a fifth at most, and come to the same whole."""
    even = Twap(7, BTC, ALICE, True, 1000, False, 5, False, 0)
    drawn = Twap(7, BTC, ALICE, True, 1000, False, 5, True, 0)
    sizes = []
    for index in range(10):
        lots = slice_lots(drawn, index)
        assert slice_lots(drawn, index) == lots
        sizes.append(lots)
        drawn.executed_lots += lots

    assert slice_lots(even, 0) == 100
    assert sizes != [100] * 10
    assert 80 <= sizes[0] <= 120
    assert sum(sizes) == 1000


def test_reduce_only_twap_stops_when_there_is_nothing_left_to_reduce() -> None:
    """The position was closed by other means."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "10")
    desk.rest(CAROL, order("buy", "99", "100"))
    start(desk, side="sell", reduce_only=True)
    assert only(tick(desk, 0), Traded).lots == 100
    desk.place(ALICE, order("sell", "99", "9"))

    ended = only(tick(desk, SLICE_MS), TwapEnded)
    assert (ended.end, ended.executed_lots) == (TwapEnd.STOPPED, 100)


def test_twap_is_cancelled_by_its_owner() -> None:
    """Once, and by its market and id."""
    desk = Desk()
    start(desk)

    def cancel(asset: AssetId, twap_id: int) -> list[Event]:
        return desk.apply(CancelTwap(*desk.head(ALICE), asset, twap_id))

    nothing = [TwapRefused(ALICE, BTC, Refusal.TWAP_NOTHING_THERE)]
    assert cancel(BTC, 2) == nothing
    assert cancel(ETH, 1) == [TwapRefused(ALICE, ETH, Refusal.TWAP_NOTHING_THERE)]
    assert cancel(BTC, 1) == [TwapEnded(ALICE, 1, BTC, TwapEnd.TERMINATED, 0, 0)]
    assert cancel(BTC, 1) == nothing
    assert tick(desk, 0) == []


def test_liquidation_stops_twaps() -> None:
    """All of an account, or those of one market."""
    desk = Desk()
    start(desk)
    start(desk, "100", asset=ETH)
    engine = desk.exchange.engine
    events: list[Event] = []

    stop_all(engine, engine.accounts[ALICE], events, ETH)
    assert [event.twap_id for event in events if isinstance(event, TwapEnded)] == [2]
    stop_all(engine, engine.accounts[ALICE], events)
    assert running(desk) == []


@pytest.mark.parametrize(
    ("refused", "reason", "detail"),
    [
        (lambda desk: start(desk, minutes=4), Refusal.TWAP_DURATION_BAD, (4,)),
        (lambda desk: start(desk, minutes=1441), Refusal.TWAP_DURATION_BAD, (1441,)),
        (lambda desk: start(desk, "11.99", minutes=120), Refusal.TWAP_TOO_SMALL, (1200,)),
        (lambda desk: start(desk, "0"), Refusal.SIZE_ZERO, ()),
        (lambda desk: start(desk, "0.001"), Refusal.SIZE_OFF_GRID, ()),
        (lambda desk: start(desk, "1500000.01"), Refusal.NOTIONAL_TOO_LARGE, ()),
        (lambda desk: start(desk, reduce_only=True), Refusal.TWAP_INCREASES, ()),
        (lambda desk: start(desk, asset=AssetId(9)), Refusal.ASSET_UNKNOWN, ()),
    ],
)
def test_refused_twap(refused: object, reason: Refusal, detail: tuple[int, ...]) -> None:
    """It is told why, and nothing is begun."""
    desk = Desk()
    assert callable(refused)
    (event,) = refused(desk)

    assert isinstance(event, TwapRefused)
    assert (event.reason, event.detail) == (reason, detail)
    assert running(desk) == []


def test_account_runs_so_many_twaps_at_a_time() -> None:
    """One more is refused."""
    desk = Desk()
    for _ in range(TWAPS_MAX):
        start(desk)

    assert start(desk) == [TwapRefused(ALICE, BTC, Refusal.TWAPS_AT_MAX, (TWAPS_MAX,))]


def test_twaps_survive_a_snapshot() -> None:
    """Loaded, they go on where they were, and ids are not given twice."""
    desk = Desk()
    desk.rest(BOB, order("sell", "101", "100"))
    start(desk)
    tick(desk, 0)
    data = desk.exchange.dump()

    desk.exchange = Exchange.load(data)

    assert desk.exchange.dump() == data
    assert only(tick(desk, SLICE_MS), Traded).lots == 100
    assert only(start(desk), TwapStarted).twap_id == 2
