"""Effects of supervision: starting in order, restarting by plan, stopping in reverse.

What should happen is decided by the pure modules `restarts` and `strategies`; here it is done. One
task serves one inbox, so decisions come one at a time. A restart never loops here: a failed or
delayed start goes back into the inbox, and a request to stop is looked at before everything else,
so that stopping wins over any crash loop.
"""

from collections import deque
from collections.abc import Callable
from math import inf

import trio

from supervision.bell import Bell
from supervision.cell import Cell, Exit, State
from supervision.children import (
    Child,
    close_subtree,
    hold_subtree,
)
from supervision.control import Call, refuse
from supervision.crew import Crew
from supervision.errors import ControlError, InitFailed, SupervisorFailed
from supervision.hooks import Event
from supervision.restarts import (
    Budget,
    ExitKind,
    Restart,
    should_restart,
)
from supervision.run import Run, StartStatus, split_failure
from supervision.spec import AutoShutdown, SupervisorSpec
from supervision.stopping import report_end
from supervision.strategies import plan_restart


class _End(Exception):
    """Leave the loop: the supervisor ends by itself."""

    def __init__(self, exit: Exit) -> None:
        super().__init__()
        self.exit = exit


class SupervisorRun(Crew):
    """One incarnation of a supervisor."""

    __slots__ = ("_bell", "_inbox")

    def __init__(self, cell: Cell, spec: SupervisorSpec, finished: Callable[[Run], None]) -> None:
        super().__init__(cell, spec, finished)
        self._inbox: deque[Run | Call] = deque()
        self._bell = Bell()

    # Life

    async def run(self, *, task_status: StartStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Start the children, serve the inbox, stop the children, and tell how it ended."""
        self.cell.begin(self)
        self.task = trio.lowlevel.current_task()
        exit = Exit(ExitKind.STOPPED, reason="cancelled from outside", initialised=self.ready)
        try:
            try:
                async with trio.open_nursery() as self._nursery:
                    exit = await self._live(task_status)
            except BaseException as error:  # noqa: ASYNC103  # what is not a failure is raised
                failure, stray = split_failure(error)
                if failure is not None:
                    exit = Exit(ExitKind.ABNORMAL, failure, initialised=self.ready)
                if stray is not None:
                    raise
        finally:
            self._finish(exit)
        if not self.ready:
            task_status.started(exit)

    async def _live(self, status: StartStatus) -> Exit:
        try:
            await self._start_all()
            if self.stop_at is None:
                self._become_ready(status)
            await self._serve()
            exit = Exit(ExitKind.STOPPED, reason=self.stop_reason, initialised=self.ready)
        except _End as end:
            exit = end.exit
        self.cell.state = State.STOPPING
        self._note_stop(exit.reason)
        if not self.path:
            self.cell.services.closing = True
        await self._stop_all()
        return exit

    def request_stop(self, reason: str) -> None:
        """Begin the ordered stop; a start in progress is cancelled."""
        if self._note_stop(reason):
            if self._starting is not None and not self._starting.ready:
                self._starting.request_stop(reason)
            self._bell.ring()

    async def _start_all(self) -> None:
        for child in list(self.children.values()):
            if self.stopping:
                return
            exit = await self.start(child)
            if exit is not None and exit.kind is ExitKind.ABNORMAL:
                assert exit.cause is not None
                error = InitFailed(f"{self.path or 'root'}: {child.cell.path} did not start")
                error.__cause__ = exit.cause
                raise _End(Exit(ExitKind.ABNORMAL, error, str(error), initialised=False))

    async def _serve(self) -> None:
        while not self.stopping:
            if self._inbox:
                await self._handle(self._inbox.popleft())
                await trio.lowlevel.checkpoint()
            elif (due := self._next_retry()) is not None:
                child, at = due
                if at <= self.cell.services.clock():
                    await self.start_group(child)
                    await trio.lowlevel.checkpoint()
                else:
                    await self._bell.wait(at)
            else:
                await self._bell.wait()

    def _next_retry(self) -> tuple[Child, float] | None:
        pending = [c for c in self.children.values() if c.retry_at < inf]
        if not pending:
            return None
        child = min(pending, key=lambda c: c.retry_at)
        return child, child.retry_at

    async def _handle(self, item: Run | Call) -> None:
        if isinstance(item, Call):
            if not item.abandoned:
                await self._serve_call(item)
            return
        child = next((c for c in self.children.values() if c.run is item), None)
        if child is not None:
            assert item.exit is not None
            child.run = None
            await self._child_ended(child, item, item.exit)

    async def _serve_call(self, call: Call) -> None:
        try:
            value = await call.function()
        except _End as end:
            call.finish(ControlError(end.exit.reason))
            raise
        except Exception as error:  # noqa: BLE001  # it belongs to the caller
            call.finish(error)
        else:
            call.finish(value=value)

    def post(self, call: Call) -> None:
        """Queue a change; it is refused if the supervisor is stopping."""
        if self.stopping:
            refuse(call, self.path)
        else:
            self._inbox.append(call)
            self._bell.ring()

    def child_finished(self, run: Run) -> None:
        """Called by each child at its very end."""
        self._inbox.append(run)
        self._bell.ring()
        super().child_finished(run)

    # Restarting

    async def _child_ended(self, child: Child, run: Run, exit: Exit) -> None:
        uptime = max(self.cell.services.clock() - child.cell.started_at, 0.0)
        report_end(self.cell, child.cell, child.spec, exit, uptime)
        if not should_restart(child.spec.restart, exit.kind):
            self._retire(child)
            return
        await self._restart(child, exit, uptime)

    def _retire(self, child: Child) -> None:
        """A child ended for good, by itself."""
        self.close(child)
        if child.spec.restart is Restart.TEMPORARY:
            self.drop(child)
        self._check_auto_shutdown(child)

    def call_off(self, child: Child) -> None:
        """Give up a pending restart: what was to start with the child stays down.

        Those cells would say for ever that they are about to be started.
        """
        if child.retry_at < inf:
            for member in self.group(child):
                self.close(member)

    def _check_auto_shutdown(self, child: Child) -> None:
        if not child.spec.significant:
            return
        if self.spec.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
            significant = [c for c in self.children.values() if c.spec.significant]
            if not all(c.cell.closed for c in significant):  # one runs, or is to run again
                return
        self._report(Event.AUTO_SHUTDOWN, child)
        raise _End(Exit(ExitKind.SHUTDOWN, reason=f"{child.cell.path} ended"))

    async def _restart(self, child: Child, exit: Exit, uptime: float) -> None:
        """Charge one attempt and carry it out, now or after its wait."""
        services = self.cell.services
        if not child.window.admit(services.clock()):
            self._budget_spent(child, exit)
            return
        delay = child.streak.add(uptime=uptime, uniform=services.uniform)
        plan = plan_restart(self.spec.strategy, list(self.children), child.spec.id)
        self._report(Event.RESTART_SCHEDULED, child, delay=delay, attempt=len(child.window))
        waits = [at for id in plan.stop if (at := self.children[id].retry_at) < inf]
        if any(self.children[id].run is not None for id in plan.stop):
            hold_subtree(child.cell, services.clock() + delay)  # they may ask it while they stop
        for id in plan.stop:
            await self._stop_for_restart(self.children[id])
            if self.stopping:
                return
        child.retry_at = retry_at = max([services.clock() + delay, *waits])
        if retry_at > services.clock():
            for member in self.group(child):
                hold_subtree(member.cell, retry_at)

    def _budget_spent(self, child: Child, exit: Exit) -> None:
        """Mark the child failed, if the budget is its own; else give up."""
        causes = [exit.cause] if exit.cause is not None else []
        if self.spec.budget is Budget.PER_CHILD:
            child.retry_at = inf
            close_subtree(child.cell, State.FAILED)
            self._report(Event.CHILD_FAILED, child, kind=exit.kind, cause=exit.cause)
            self._check_auto_shutdown(child)
            return
        reason = f"{child.cell.path} reached the restart limit of {self.path or 'root'}"
        self._report(Event.GAVE_UP, child, kind=exit.kind, cause=exit.cause, reason=reason)
        ended = RuntimeError(f"{child.cell.path} ended ({exit.kind.value}) too often")
        failed = SupervisorFailed(reason, causes or [ended])
        raise _End(Exit(ExitKind.SHUTDOWN, failed, reason, initialised=self.ready))

    async def start_group(self, child: Child) -> None:
        """Start what a restart of ``child`` starts; a failure becomes the next attempt."""
        for member in self.group(child):
            if self.stopping:
                return
            if member.run is not None:
                continue
            self._starting_group = True
            try:
                exit = await self.start(member)
            finally:
                self._starting_group = False
            if self._called_off:  # one of the group has ended: it goes on from there
                return
            if exit is not None and exit.kind is ExitKind.ABNORMAL and not self.stopping:
                if member.spec.restart is Restart.TEMPORARY:
                    self._retire(member)
                    continue
                await self._restart(member, exit, 0.0)
                return

    async def renew(self, child: Child, reason: str) -> None:
        """Stop a child and those of its group, last first, and start them; nobody is blamed."""
        plan = plan_restart(self.spec.strategy, list(self.children), child.spec.id)
        for id in reversed(plan.start):
            if id == child.spec.id:
                await self.stop_child(child, reason)
            else:
                await self._stop_for_restart(self.children[id])
            if self.stopping:
                return
        await self.start_group(child)

    # Stopping

    async def _stop_all(self) -> None:
        for child in reversed(list(self.children.values())):
            await self.stop_child(child, self.stop_reason or "its supervisor stops")
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Call):
                refuse(item, self.path)
