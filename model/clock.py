"""What happens by itself: the order in which things fall due as time goes on and prices move.

Time passes in commands only. ``Tick`` and ``MoveOracle`` carry nothing but the time of their block
and new prices; both come here once the prices are set. Each step looks at what it keeps sorted by
due time or by price, so a step for which nothing is due costs a comparison, not a walk over
accounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model import schedule, triggers
from model.events import Event

if TYPE_CHECKING:
    from model.matching import MatchingEngine


def run_due(engine: MatchingEngine, events: list[Event]) -> None:
    """Do what is due at the engine's time and at the mark prices as they stand.

    The order is fixed, since each step may change what the next one finds: funding, triggers,
    liquidations, slices, scheduled cancels.
    """
    triggers.run_due(engine, events)
    schedule.run_due(engine, events)
