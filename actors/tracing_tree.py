"""Spans of what happens to actors: outages, and events that belong to nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Protocol

from actors.carried import Step, Value, carried
from actors.tree_events import Outage, TreeEvent

OUTAGES_MAX: Final = 1_024
"""Actors whose outage has a span at the same time; what happens to others has spans of its own."""
EVENT_SPANS_PER_SECOND_MAX: Final = 100
"""Short spans for events of the tree; further events of a second are only counted."""


class Opening(Protocol):
    """Begins a step of a trace of its own, linked to others."""

    def __call__(self, name: str, attributes: dict[str, Value], links: Sequence[object]) -> Step:
        """Begin it; of ``links``, what is no step is left out."""
        ...


class TreeSpans:
    """Puts each event on the step that it belongs to, or makes one."""

    def __init__(self, open_step: Opening) -> None:
        self._open_step = open_step
        self._outages: dict[str, Step] = {}
        self._second = 0
        self._made = 0
        self._left_out = 0

    def add(self, event: TreeEvent) -> None:
        """Put an event on the steps that it belongs to."""
        request = carried.get()
        outage = self._outages.get(event.path)
        if request is not None and request is not outage:
            request.note(event.name, event.attributes)
        if outage is None and event.outage is Outage.BEGINS and len(self._outages) < OUTAGES_MAX:
            outage = self._outages[event.path] = self._open(f"outage {event.actor}", event)
        if outage is not None:
            outage.note(event.name, event.attributes)
            if event.outage in (Outage.ENDS, Outage.BROKEN_OFF):
                self._end_outage(event)
        elif request is None:
            self._add_alone(event)

    def outage(self, path: str) -> Step | None:
        """Return the outage of an actor, if it has one."""
        return self._outages.get(path)

    def _open(self, name: str, event: TreeEvent) -> Step:
        return self._open_step(name, {"actor.path": event.path}, event.contexts)

    def _end_outage(self, event: TreeEvent) -> None:
        step = self._outages.pop(event.path)
        step.end(event.name if event.outage is Outage.BROKEN_OFF else None)

    def _add_alone(self, event: TreeEvent) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._made = second, 0
        if self._made >= EVENT_SPANS_PER_SECOND_MAX:
            self._left_out += 1
            return
        self._made += 1
        step = self._open(f"event {event.name}", event)
        step.note(event.name, event.attributes)
        if self._left_out:
            step.describe({"events.left_out": self._left_out})
            self._left_out = 0
        step.end()

    def close(self) -> None:
        """End the outages that nobody saw the end of."""
        for step in self._outages.values():
            step.end()
        self._outages.clear()
