"""One incarnation of a pool: starting, restarting, passivating and stopping its children.

One task serves the requests that the pool's cells put into its queues. Children are started without
waiting for them, so that a slow start holds up nobody else.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import trio

from supervision.cell import Exit, State
from supervision.hooks import Event, Report
from supervision.incarnation import ActorRun
from supervision.pool import Member, Pool
from supervision.restarts import ExitKind, FailureStreak, Restart, RestartWindow, should_restart
from supervision.run import Run, StartStatus, split_failure
from supervision.stopping import overdue_at, report_end, report_overdue, report_stop, stop_run


class PoolRun(Run):
    """One incarnation of a pool. Its cells survive it; its children do not."""

    __slots__ = ("_delayed", "_ended", "_leaving", "_nursery", "_starting", "pool")

    def __init__(self, pool: Pool[Any], finished: Callable[[Run], None]) -> None:
        super().__init__(pool.cell, finished)
        self.pool = pool
        self._ended: deque[tuple[Member[Any], Run]] = deque()
        self._delayed: dict[Member[Any], None] = {}
        self._leaving: dict[Member[Any], float] = {}  # and when each is overdue
        self._starting = 0
        self._nursery: trio.Nursery | None = None

    async def run(  # noqa: ASYNC128  # `_become_ready` calls it
        self, *, task_status: StartStatus = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start and restart children until asked to stop, then stop them together."""
        self.cell.begin(self)
        self.task = trio.lowlevel.current_task()
        exit = Exit(ExitKind.STOPPED, reason="cancelled from outside", initialised=self.ready)
        try:
            try:
                async with trio.open_nursery() as self._nursery:
                    self._become_ready(task_status)
                    self._revive()
                    await self._serve()
                    self.cell.state = State.STOPPING
                    await self._stop_all()
                exit = Exit(ExitKind.STOPPED, reason=self.stop_reason)
            except BaseException as error:  # noqa: ASYNC103  # what is not a failure is raised
                failure, stray = split_failure(error)
                if failure is not None:
                    exit = Exit(ExitKind.ABNORMAL, failure, initialised=self.ready)
                if stray is not None:
                    raise
        finally:
            self._finish(exit)

    def request_stop(self, reason: str) -> None:
        """Begin to stop all children at once."""
        if self._note_stop(reason):
            self.pool.bell.ring()

    def _revive(self) -> None:
        """Take over the cells that an earlier incarnation of the pool left."""
        self.pool.to_start.clear()
        for member in list(self.pool.members.values()):
            member.run = None
            member.retry_at = inf
            member.renewing = False
            if member.cell.state is not State.FAILED:
                member.cell.mailbox.open()
                self.pool.make_idle(member)

    async def _serve(self) -> None:
        pool = self.pool
        next_sweep = self._sweep_at()
        while self.stop_at is None:
            now = self.cell.services.clock()
            while self._ended:
                self._handle_end(*self._ended.popleft())
            while pool.to_stop:
                self._begin_leaving(pool.to_stop.popleft())
            wake_at = self._start_due(now)
            if now >= next_sweep:
                self._passivate_idle(now)
                next_sweep = self._sweep_at()
            await pool.bell.wait(min(wake_at, next_sweep, self._report_overdue(now)))

    def _report_overdue(self, now: float) -> float:
        """Report who outlived the time to stop; return when to look again."""
        for member in [m for m, overdue in self._leaving.items() if overdue <= now]:
            del self._leaving[member]
            if member.run is not None:
                report_overdue(self.cell, member.run, self.pool.spec)
        return min(self._leaving.values(), default=inf)

    def _start_due(self, now: float) -> float:
        """Start what waits to be started; return when the next delayed start is due."""
        to_start = self.pool.to_start
        wake_at = inf
        for member in list(self._delayed):
            if member.retry_at <= now:
                del self._delayed[member]
                to_start.append(member)
            else:
                wake_at = min(wake_at, member.retry_at)
        while to_start and self._starting < self.pool.spec.starting_max and self.stop_at is None:
            self._start(to_start.popleft())
        return wake_at

    def _start(self, member: Member[Any]) -> None:
        if (
            member.leaving
            or member.run is not None
            or self.pool.members.get(member.key) is not member
        ):
            return
        assert self._nursery is not None
        assert self.stop_at is None, "a stopping pool starts nothing"
        member.retry_at = inf
        spec = self.pool.spec
        member.run = ActorRun(
            member.cell,
            partial(spec.start, member.key),
            partial(self._child_finished, member),
            init_seconds=spec.init_seconds,
            shutdown_seconds=spec.shutdown_seconds,
            drain_seconds=spec.drain_seconds,
        )
        self._starting += 1
        status: StartStatus = _Status(partial(self._start_done, member))
        self._nursery.start_soon(partial(member.run.run, task_status=status), name=member.cell.path)

    def _start_done(self, member: Member[Any], exit: Exit | None) -> None:
        self._starting -= 1
        if exit is None:
            self._report(Event.STARTED, member)
        if self.pool.to_start:
            self.pool.bell.ring()

    def _child_finished(self, member: Member[Any], run: Run) -> None:
        self._ended.append((member, run))
        self.pool.bell.ring()

    def _handle_end(self, member: Member[Any], run: Run) -> None:
        """Decide what becomes of a member whose actor ended."""
        exit, spec = run.exit, self.pool.spec
        assert exit is not None
        member.run = None
        self._leaving.pop(member, None)
        if member.leaving:
            report_stop(self.cell, member.cell, spec, exit)
            self.pool.forget(member)
        elif member.renewing:
            member.renewing = member.passivating = False
            report_stop(self.cell, member.cell, spec, exit)
            self.pool.to_start.append(member)
        elif member.passivating:
            member.passivating = False
            report_stop(self.cell, member.cell, spec, exit)
            self.pool.make_idle(member)
        else:
            uptime = (
                self.cell.services.clock() - member.cell.started_at if exit.initialised else 0.0
            )
            report_end(self.cell, member.cell, spec, exit, uptime)
            self._after_end(member, exit, uptime)

    def _after_end(self, member: Member[Any], exit: Exit, uptime: float) -> None:
        restart = self.pool.spec.restart
        if should_restart(restart, exit.kind):
            self._restart(member, exit, uptime)
        elif restart is Restart.TEMPORARY:
            self.pool.forget(member)
        else:
            self.pool.make_idle(member)

    def _restart(self, member: Member[Any], exit: Exit, uptime: float) -> None:
        spec, services = self.pool.spec, self.cell.services
        if member.window is None or member.streak is None:
            member.window = RestartWindow(
                intensity=spec.intensity, period_seconds=spec.period_seconds
            )
            member.streak = FailureStreak(spec.backoff)
        now = services.clock()
        if not member.window.admit(now):
            member.cell.close(State.FAILED)
            self._report(Event.CHILD_FAILED, member, exit)
            return
        delay = member.streak.add(uptime=uptime, uniform=services.uniform)
        self._report(Event.RESTART_SCHEDULED, member, exit, delay)
        if delay > 0:
            member.retry_at = now + delay
            member.cell.hold(State.BACKOFF, member.retry_at)
            self._delayed[member] = None
        else:
            self.pool.to_start.append(member)

    def _report(
        self, event: Event, member: Member[Any], exit: Exit | None = None, delay: float = 0.0
    ) -> None:
        spec = self.pool.spec
        report = Report(
            event=event,
            at=self.cell.services.clock(),
            supervisor=self.path,
            child=member.cell.path,
            generation=member.cell.generation,
            restart=spec.restart,
            shutdown_seconds=spec.shutdown_seconds,
            kind=None if exit is None else exit.kind,
            cause=None if exit is None else exit.cause,
            attempt=0 if member.window is None else len(member.window),
            intensity=spec.intensity,
            period_seconds=spec.period_seconds,
            delay=delay,
            depth=len(member.cell.mailbox.user),
            control_depth=len(member.cell.mailbox.control),
            in_hand=() if exit is None else exit.in_hand,
            contexts=() if exit is None else exit.contexts,
        )
        self.cell.services.reporter.report(report)

    def _sweep_at(self) -> float:
        """Return when to look for idle actors next: four times per idle time."""
        idle_seconds = self.pool.spec.idle_seconds
        return inf if idle_seconds is None else self.cell.services.clock() + idle_seconds / 4

    def _passivate_idle(self, now: float) -> None:
        assert self.pool.spec.idle_seconds is not None
        idle_before = now - self.pool.spec.idle_seconds
        for member in self.pool.members.values():
            run = member.run
            if run is not None and run.idle_since <= idle_before and run.idle:
                member.passivating = True
                self._let_go(member, run, "idle")

    def _begin_leaving(self, member: Member[Any]) -> None:
        self._delayed.pop(member, None)
        if member.run is not None:
            self._let_go(member, member.run, "stopped")
        elif member.leaving:
            self.pool.forget(member)

    def _let_go(self, member: Member[Any], run: Run, reason: str) -> None:
        run.request_stop(reason)
        self._leaving[member] = overdue_at(run)

    async def _stop_all(self) -> None:
        """Stop all children at once; their time to stop runs for all of them together."""
        running = [m.run for m in self.pool.members.values() if m.run is not None]
        for run in running:
            run.request_stop(self.stop_reason)
        with trio.move_on_at(max(map(overdue_at, running), default=inf)):
            for run in running:
                await run.wait_done()
        for run in running:
            if run.exit is None:
                report_overdue(self.cell, run, self.pool.spec)
        for run in running:
            await stop_run(run, self.cell, self.pool.spec, self.stop_reason)
        for member in self.pool.members.values():
            member.run = None


class _Status:
    """Tells a pool that the start of a child is over, whichever way."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[Exit | None], None]) -> None:
        self._done = done

    def started(self, value: Any = None) -> None:
        """Called once for each child: with None when it is ready, with its exit when it is not."""
        self._done(value)
