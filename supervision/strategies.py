"""Which siblings are stopped and started when one child fails. Pure.

Children have an order, the order of their start. Stops go in reverse order and starts in order; a
strategy only chooses the span.
"""

from collections.abc import Sequence
from enum import Enum
from typing import assert_never

import attrs


class Strategy(Enum):
    """Who shares the fate of a failed child."""

    ONE_FOR_ONE = "one_for_one"
    """Only the child itself."""
    REST_FOR_ONE = "rest_for_one"
    """The children started after it: a pipeline, each stage built on the one before."""
    ONE_FOR_ALL = "one_for_all"
    """All children: none can go on without the others."""


@attrs.frozen
class Plan:
    """What to do about one failed child. Ids; ``stop`` in the order of stopping."""

    stop: tuple[str, ...]
    start: tuple[str, ...]


def plan_restart(strategy: Strategy, order: Sequence[str], failed: str) -> Plan:
    """Return the siblings to stop, last first, and the children to start, first first.

    The failed child is not among those to stop: it has ended. Children that turn out to be
    temporary are stopped like the others; that they are not started is the supervisor's business.
    """
    index = order.index(failed)
    span: Sequence[str]
    match strategy:
        case Strategy.ONE_FOR_ONE:
            span = [failed]
        case Strategy.REST_FOR_ONE:
            span = order[index:]
        case Strategy.ONE_FOR_ALL:
            span = order
        case _:
            assert_never(strategy)
    return Plan(stop=tuple(id for id in reversed(span) if id != failed), start=tuple(span))
