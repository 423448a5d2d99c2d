"""What happens by itself: the order in which things fall due as time goes on and prices move.

Time passes in commands only. ``Tick`` and ``MoveOracle`` carry nothing but the time of their block
and new prices; both come here once the prices are set. Each step looks at what it keeps sorted by
due time or by price, so a step for which nothing is due costs a comparison, not a walk over
accounts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from model import funding, liquidation, schedule, triggers, twap
from model.events import Event, OracleMoved
from model.ids import AssetId

if TYPE_CHECKING:
    from model.matching import MatchingEngine


def run_due(engine: MatchingEngine, events: list[Event], moved: Collection[AssetId] = ()) -> None:
    """Do what is due at the engine's time, after the oracle prices of some markets were set.

    The order is fixed, since each step may change what the next one finds: mark prices, funding,
    triggers, liquidations, slices, scheduled cancels. What a slice traded may call for
    liquidations again.
    """
    if moved or engine.time_ms >= engine.next_sample_ms:
        _compute_marks(engine, events, moved)
    funding.run_due(engine, events)
    triggers.run_due(engine, events)
    liquidation.heal_after_move(engine, events)
    twap.run_due(engine, events)
    schedule.run_due(engine, events)
    liquidation.heal_after_command(engine, events)


def _compute_marks(engine: MatchingEngine, events: list[Event], moved: Collection[AssetId]) -> None:
    """Compute all mark prices; tell of those that changed and of the markets whose oracle did."""
    source = engine.schedule.terms.mark_source
    for market in engine.markets:
        before = market.mark
        market.compute_mark(source, engine.time_ms)
        asset = market.instrument.asset
        if asset in moved or market.mark != before:
            events.append(OracleMoved(asset, market.oracle, market.mark))
    engine.epoch += 1
