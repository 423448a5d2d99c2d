"""How each market stands, for the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from actors.channels import ChannelsByKey
from actors.exposition import MarketRow
from model.ids import AssetId


def market_rows(
    markets: Iterable[tuple[str, AssetId]], channels: ChannelsByKey[AssetId], now_ms: int
) -> Iterator[MarketRow]:
    """Yield a row for each market in the order given; ``now_ms`` since 1970."""
    for name, asset in markets:
        of_market = channels.get(asset)
        shown = None if of_market is None else of_market.shown
        yield MarketRow(
            market=name,
            seq=0 if shown is None else shown.height,
            age_seconds=math.nan if shown is None else (now_ms - shown.time_ms) / 1_000,
            subscribers=0 if of_market is None else len(of_market),
        )
