"""Candles begin where their interval begins and hold what was traded in it."""

from datetime import UTC, datetime

import pytest

from model.ids import Address, AssetId, TradeId
from model.views.candles import (
    INTERVALS,
    CandleFold,
    candle_of,
    interval_end,
    interval_start,
    merged,
)
from model.views.records import Candle, TradeRecord

BTC = AssetId(0)
ALICE = Address("0x" + "a" * 40)


def ms(text: str) -> int:
    """Return a time in UTC as milliseconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def part(price: int, lots: int) -> Candle:
    """Return what one trade adds to a candle."""
    trade = TradeRecord(BTC, TradeId(1), True, price, lots, ALICE, ALICE, 0, 1, 0)
    return candle_of([trade], BTC, "1m", 0)


@pytest.mark.parametrize(
    ("interval", "begin", "end"),
    [
        ("1m", "2025-11-05 13:47", "2025-11-05 13:48"),
        ("3m", "2025-11-05 13:45", "2025-11-05 13:48"),
        ("5m", "2025-11-05 13:45", "2025-11-05 13:50"),
        ("15m", "2025-11-05 13:45", "2025-11-05 14:00"),
        ("30m", "2025-11-05 13:30", "2025-11-05 14:00"),
        ("1h", "2025-11-05 13:00", "2025-11-05 14:00"),
        ("2h", "2025-11-05 12:00", "2025-11-05 14:00"),
        ("4h", "2025-11-05 12:00", "2025-11-05 16:00"),
        ("8h", "2025-11-05 08:00", "2025-11-05 16:00"),
        ("12h", "2025-11-05 12:00", "2025-11-06 00:00"),
        ("1d", "2025-11-05 00:00", "2025-11-06 00:00"),
        ("3d", "2025-11-05 00:00", "2025-11-08 00:00"),
        ("1w", "2025-10-30 00:00", "2025-11-06 00:00"),
        ("1M", "2025-11-01 00:00", "2025-12-01 00:00"),
    ],
)
def test_interval_that_holds_a_wednesday_afternoon(interval: str, begin: str, end: str) -> None:
    """Weeks begin on Thursdays, as counted from the epoch, and months with the calendar."""
    moment = ms("2025-11-05 13:47:11")

    assert interval_start(interval, moment) == ms(begin)
    assert interval_end(interval, ms(begin)) == ms(end)


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals_join_without_gap(interval: str) -> None:
    """The first ms after an interval is the begin of the next."""
    begin = interval_start(interval, ms("2024-12-31 23:59:59"))
    end = interval_end(interval, begin)

    assert interval_start(interval, end - 1) == begin
    assert interval_start(interval, end) == end


def test_fold_forms_a_candle_and_hands_out_the_one_it_closes() -> None:
    """Trades of one minute are one candle; the first of the next closes it."""
    fold = CandleFold("1m")

    assert fold.add(part(100, 2), 60_000) is None
    assert fold.add(part(98, 1), 119_999) is None
    assert fold.add(part(99, 5), 120_000) == Candle(BTC, "1m", 60_000, 100, 100, 98, 98, 3, 298, 2)
    assert fold.forming == Candle(BTC, "1m", 120_000, 99, 99, 99, 99, 5, 495, 1)


def test_fold_continues_a_seeded_candle() -> None:
    """A candle that was forming before the fold began is carried on."""
    fold = CandleFold("1h", Candle(BTC, "1h", 0, 100, 110, 90, 95, 10, 1_000, 4))
    fold.add(part(120, 1), 3_599_999)

    assert fold.forming == Candle(BTC, "1h", 0, 100, 120, 90, 120, 11, 1_120, 5)


def test_candle_closes_when_its_time_is_over_though_nothing_was_traded() -> None:
    """Time alone closes a candle, once."""
    fold = CandleFold("1m")
    fold.add(part(100, 2), 60_000)

    assert fold.close(119_999) is None
    closed = fold.close(120_000)
    assert closed is not None
    assert closed.open_ms == 60_000
    assert fold.close(120_000) is None


def test_merging_keeps_the_first_open_and_the_last_close() -> None:
    """Two candles in a row make one of both."""
    assert merged(part(100, 2), part(90, 1)) == Candle(BTC, "1m", 0, 100, 100, 90, 90, 3, 290, 2)
