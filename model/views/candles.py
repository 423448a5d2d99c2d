"""Candles: the intervals of the wire, where each begins, and the fold that forms one.

All intervals but the month are counted from the Unix epoch in UTC. The week therefore begins on a
Thursday, as it does in the candles that Hyperliquid serves. Months are those of the calendar, in
UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from msgspec.structs import replace

from model.ids import AssetId
from model.views.records import Candle, TradeRecord

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
MONTH: Final = "1M"

INTERVAL_MS: Final[dict[str, int]] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
"""Length of every interval that has a fixed one."""

INTERVALS: Final = (*INTERVAL_MS, MONTH)
"""All intervals of the wire, shortest first."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def interval_start(interval: str, time_ms: int) -> int:
    """Return when the interval that holds a time begins, in ms since 1970.

    Raises:
        KeyError: there is no such interval.
    """
    if interval == MONTH:
        return _day_ms(_date(time_ms).replace(day=1))
    return time_ms - time_ms % INTERVAL_MS[interval]


def interval_end(interval: str, open_ms: int) -> int:
    """Return when the interval that begins at ``open_ms`` ends: the first ms that is not in it.

    Raises:
        KeyError: there is no such interval.
    """
    if interval == MONTH:
        first = _date(open_ms)
        return _day_ms(date(first.year + first.month // 12, first.month % 12 + 1, 1))
    return open_ms + INTERVAL_MS[interval]


def candle_of(trades: Iterable[TradeRecord], asset: AssetId, interval: str, open_ms: int) -> Candle:
    """Return the candle of trades, at least one, that all fall into one interval; oldest first."""
    kept = list(trades)
    prices = [trade.price for trade in kept]
    return Candle(
        asset,
        interval,
        open_ms,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(trade.lots for trade in kept),
        sum(trade.lots * trade.price for trade in kept),
        len(kept),
    )


def merged(earlier: Candle, later: Candle) -> Candle:
    """Return the candle of two that follow each other, with the interval and begin of the first."""
    return Candle(
        earlier.asset,
        earlier.interval,
        earlier.open_ms,
        earlier.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        later.close,
        earlier.lots + later.lots,
        earlier.notional + later.notional,
        earlier.count + later.count,
    )


class CandleFold:
    """The forming candle of one market and interval.

    ``forming`` is None until something was traded. Intervals without trades have no candle.
    ``latest`` is the forming candle or, where there is none, the one that was closed last.
    """

    __slots__ = ("_end_ms", "forming", "interval", "latest")

    def __init__(self, interval: str, forming: Candle | None = None) -> None:
        self.interval = interval
        self.forming = forming
        self.latest = forming
        self._end_ms = interval_end(interval, forming.open_ms) if forming else 0

    def add(self, part: Candle, time_ms: int) -> Candle | None:
        """Take in what was traded at one moment; return the candle that this closed, if it did.

        ``part`` may carry any interval; only its prices and sums are used.
        """
        forming = self.forming
        if forming is not None and time_ms < self._end_ms:
            self.forming = self.latest = merged(forming, part)
            return None
        open_ms = interval_start(self.interval, time_ms)
        self._end_ms = interval_end(self.interval, open_ms)
        self.forming = self.latest = replace(part, interval=self.interval, open_ms=open_ms)
        return forming

    def close(self, time_ms: int) -> Candle | None:
        """Return the forming candle and forget it if its interval is over at that time."""
        forming = self.forming
        if forming is None or time_ms < self._end_ms:
            return None
        self.forming = None
        return forming


def _date(time_ms: int) -> date:
    return date.fromordinal(_EPOCH_DAY + time_ms // DAY_MS)


def _day_ms(day: date) -> int:
    return (day.toordinal() - _EPOCH_DAY) * DAY_MS
