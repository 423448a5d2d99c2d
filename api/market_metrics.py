"""How each market stands, for the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator

from actors.exposition import MarketRow
from api.gateway import Gateway


def market_rows(gateway: Gateway, now_ms: int) -> Iterator[MarketRow]:
    """Yield a row for each market in the order of their asset ids; ``now_ms`` since 1970."""
    for instrument in gateway.directory.universe:
        channels = gateway.market_channels.get(instrument.asset)
        shown = None if channels is None else channels.shown
        yield MarketRow(
            market=instrument.name,
            seq=0 if shown is None else shown.height,
            age_seconds=math.nan if shown is None else (now_ms - shown.time_ms) / 1_000,
            subscribers=0 if channels is None else len(channels),
        )
