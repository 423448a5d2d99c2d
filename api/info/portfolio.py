"""The answer about an account's worth and profit over time.

Points lie on a grid that depends on the period alone, so two answers agree on the points that they
share; the last point of each period is now. Profit counts from the beginning of the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from actors.history_queries import DayVolume, HistoryReader
from actors.history_rows import SAMPLE_MS
from api.gateway import Gateway
from api.info.questions import Question, user_of
from api.wire import ledger
from api.wire.frames import encode
from model.ids import Address
from model.views.candles import DAY_MS, HOUR_MS
from model.views.holdings import Worth

POINTS_MAX: Final = 100
"""Most points of a period whose length is not fixed."""

WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS
PERIODS: Final = ((DAY_MS, SAMPLE_MS), (WEEK_MS, 2 * HOUR_MS), (MONTH_MS, 8 * HOUR_MS))
"""Length of a day, a week and a month, and the distance of their points."""

_Points = list[tuple[int, Worth]]


@frozen
class _Past:
    """The points of each period, the last one ever, and the volume of each of the last days."""

    periods: list[_Points]
    days: list[DayVolume]


async def portfolio(gateway: Gateway, question: Question) -> bytes:
    """Answer ``portfolio``."""
    user, now_ms = user_of(question), gateway.directory.time_ms
    past = await gateway.read_history(lambda reader: _past(reader, gateway, user, now_ms))
    traded = await gateway.read_account(user, lambda view: view.volume)
    volumes = [
        sum(day.taker + day.maker for day in past.days[-(length // DAY_MS) :])
        for length, _ in PERIODS
    ]
    volumes.append(traded)
    shapes = []
    for is_perp in (False, True):
        for points, volume in zip(past.periods, volumes, strict=True):
            shapes.append(_period(points, volume, is_perp=is_perp))
    return encode(ledger.portfolio(shapes))


def _past(reader: HistoryReader, gateway: Gateway, user: Address, now_ms: int) -> _Past:
    """Read what is asked for in one visit. Runs in a worker thread."""
    universe = gateway.directory.universe
    days = reader.volume_by_day(user, until_ms=now_ms, days=MONTH_MS // DAY_MS)
    since = reader.known_since(user)
    if since is None:
        return _Past([[] for _ in range(len(PERIODS) + 1)], days)
    ever_ms = max(now_ms - since, SAMPLE_MS)
    step = -(-ever_ms // POINTS_MAX)
    all_periods = [*PERIODS, (ever_ms, -(-step // SAMPLE_MS) * SAMPLE_MS)]
    periods: list[_Points] = []
    for length, step_ms in all_periods:
        first = max(now_ms - length, since)
        times = [*range(-(-first // step_ms) * step_ms, now_ms, step_ms), now_ms]
        ends = [*times[:-1], now_ms + SAMPLE_MS]  # now is within an interval that goes on
        periods.append(list(zip(times, reader.worth(user, universe, ends), strict=True)))
    return _Past(periods, days)


def _period(
    points: Sequence[tuple[int, Worth]], volume: int, *, is_perp: bool
) -> ledger.PortfolioPeriod:
    values = [(time_ms, worth.perp if is_perp else worth.total) for time_ms, worth in points]
    profits = [
        (time_ms, worth.perp_profit if is_perp else worth.profit) for time_ms, worth in points
    ]
    start = profits[0][1] if profits else 0
    return ledger.portfolio_period(
        values=values,
        profits=[(time_ms, profit - start) for time_ms, profit in profits],
        volume=volume,
    )
