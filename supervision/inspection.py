"""Looking into one live actor from outside, and holding it still: OTP's ``sys`` for every cell.

What needs the actor goes through its control lane: it is served between two messages, before
everything that waits, also while the actor is suspended. It therefore waits for at most one
handler; put a deadline around it. No actor needs code of its own for any of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from supervision.actor import Actor
from supervision.cell import Cell
from supervision.envelope import Reply
from supervision.errors import Stopped
from supervision.incarnation import ActorRun
from supervision.loop import Probe, Suspend
from supervision.trace import LastEvents, MessageEvent, Recorder, Trace
from supervision.tree import NodeStatus, status_of

TRACE_MESSAGES_MAX = 10_000
"""Most messages of one trace, whatever is asked for."""
TRACE_SECONDS_MAX = 3_600.0


@attrs.frozen(kw_only=True)
class Statistics:
    """What passed through a cell since it was made; the counters survive restarts.

    ``accepted`` = ``handled`` + ``conflated`` + ``dropped`` + ``expired`` + ``dead`` + ``waiting``
    + ``stashed`` + what is in hand. ``refused`` and ``late_replies`` are counted beside that.

    Attributes:
        started_at: when the current incarnation was ready; absolute Trio time.
        outdated: of the expired, those that had waited for longer than they were useful.
        high_water, control_high_water: most messages that waited in each lane.
        backoff_seconds: time spent waiting to be started again.
        asks: asks of the actor itself that are not answered yet.
    """

    started_at: float
    generation: int
    accepted: int
    handled: int
    conflated: int
    dropped: int
    expired: int
    outdated: int
    dead: int
    waiting: int
    stashed: int
    refused: int
    late_replies: int
    high_water: int
    control_high_water: int
    backoff_seconds: float
    busy_seconds: float
    asks: int


class Inspection:
    """The system side of one cell. Made by ``System.inspect``."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def status(self) -> NodeStatus:
        """Return what the tree shows of it. Never waits."""
        return status_of(self._cell)

    def statistics(self) -> Statistics:
        """Return its counters. Never waits."""
        cell, box = self._cell, self._cell.mailbox
        return Statistics(
            started_at=cell.started_at,
            generation=cell.generation,
            accepted=box.accepted,
            handled=box.handled,
            conflated=box.conflated,
            dropped=box.dropped,
            expired=box.expired,
            outdated=box.outdated,
            dead=box.dead,
            waiting=len(box.user),
            stashed=cell.run.stashed if isinstance(cell.run, ActorRun) else 0,
            refused=box.refused,
            late_replies=box.late_replies,
            high_water=box.high_water,
            control_high_water=box.control_high_water,
            backoff_seconds=cell.backoff_seconds,
            busy_seconds=cell.busy_seconds,
            asks=0 if cell.run is None else len(cell.run.waiting_on),
        )

    async def probe(self, function: Callable[[Actor], Any]) -> Any:
        """Call ``function`` with the live actor. It must not block.

        What it raises is raised here and does no harm there.

        Raises:
            Stopped: no actor runs there.
        """
        run = self._run()
        reply = Reply(self._cell)
        reply.keep(run.kept_replies)
        self._cell.control(Probe(function, reply))
        return await reply.wait()

    async def get_state(self) -> Any:
        """Return what ``Actor.get_state`` says. It may be live: copy before keeping it.

        Raises:
            Stopped: no actor runs there.
        """
        return await self.probe(lambda actor: actor.get_state())

    async def replace_state(self, function: Callable[[Any], Any]) -> Any:
        """Replace the state by what ``function`` makes of it; return the new one.

        If it raises, that is raised here and the actor keeps the state it had. ``function`` must
        return a new state and leave the old one alone.

        Raises:
            Stopped: no actor runs there.
        """

        def replace(actor: Actor) -> Any:
            state = function(actor.get_state())
            actor.replace_state(state)
            return state

        return await self.probe(replace)

    def suspend(self) -> None:
        """Let it handle control messages only, until `resume` or its end. Its mailbox fills up.

        Raises:
            Stopped: no actor runs there.
        """
        self._run()
        self._cell.control(Suspend(suspended=True))

    def resume(self) -> None:
        """Let it go on.

        Raises:
            Stopped: no actor runs there.
        """
        self._run()
        self._cell.control(Suspend(suspended=False))

    def trace(
        self,
        *,
        messages_max: int = 100,
        seconds_max: float = 10.0,
        match: Callable[[MessageEvent], bool] | None = None,
    ) -> Trace:
        """Record its messages, in and out, until a limit is reached; both limits are hard.

        Works before, during and after restarts; nothing needs to run.

        Args:
            messages_max: most events, never more than 10,000.
            seconds_max: longest time, never more than an hour.
            match: which events count; a match that raises ends the trace.
        """
        until = self._cell.services.clock() + min(seconds_max, TRACE_SECONDS_MAX)
        most = min(messages_max, TRACE_MESSAGES_MAX)
        return Trace(self._cell, messages_max=most, until=until, match=match)

    def keep_last(self, count: int) -> LastEvents:
        """Keep the newest ``count`` events until told to stop; see `last_events`."""
        for kept in self._kept():
            kept.stop()
        return LastEvents(self._cell, min(count, TRACE_MESSAGES_MAX))

    def last_events(self) -> list[MessageEvent]:
        """Return the newest events, oldest first; none unless `keep_last` was called."""
        return [event for kept in self._kept() for event in kept.events]

    def _kept(self) -> list[LastEvents]:
        return [r for r in self._cell.recorders or () if isinstance(r, LastEvents)]

    def install(self, recorder: Recorder) -> None:
        """Call a function with every event. It must be short; one that raises is taken off."""
        self._cell.attach(recorder)

    def remove(self, recorder: Recorder) -> None:
        """Take a function off again. Harmless if it is not there."""
        self._cell.detach(recorder)

    def _run(self) -> ActorRun:
        run = self._cell.run
        if not isinstance(run, ActorRun):
            raise Stopped(self._cell.path, "no actor runs there")
        return run
