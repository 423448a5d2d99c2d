"""The children of one supervisor: starting and stopping one at a time, and what others see of it.

What should happen is decided elsewhere. Here is what must hold whenever one child starts or stops:
it is reported, nothing is started by a supervisor that stops, and nobody waits for a child whose
end is not attended to yet.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import trio

from supervision.cell import Cell, Exit
from supervision.children import (
    Child,
    child_path,
    close_subtree,
    hold_subtree,
    make_run,
    specify,
)
from supervision.errors import InitFailed
from supervision.hooks import Event, Report
from supervision.restarts import Budget, ExitKind, Restart, RestartWindow, should_restart
from supervision.run import Run
from supervision.spec import ChildSpec, SupervisorSpec
from supervision.stopping import stop_run, time_to_stop
from supervision.strategies import plan_restart


class Crew(Run):
    """The part of a supervisor that knows its children.

    Attributes:
        children: by id, in the order of their start.
    """

    __slots__ = (
        "_called_off",
        "_held_up",
        "_nursery",
        "_starting",
        "_starting_group",
        "_window",
        "children",
        "spec",
    )

    def __init__(self, cell: Cell, spec: SupervisorSpec, finished: Callable[[Run], None]) -> None:
        super().__init__(cell, finished)
        self.spec = spec
        self.children: dict[str, Child] = {}
        self._window = self._new_window()
        self._nursery: trio.Nursery | None = None
        self._starting: Run | None = None
        self._starting_group = False
        self._called_off = False
        self._held_up = False  # by the start or the end of one child
        for child in spec.children:
            self.add(child)
        self._forget_strangers()

    # The table

    def _new_window(self) -> RestartWindow:
        spec = self.spec
        return RestartWindow(intensity=spec.intensity, period_seconds=spec.period_seconds)

    def add(self, spec: ChildSpec) -> Child:
        """Add a child to the table, after the others."""
        shared = self.spec.budget is Budget.SHARED
        window = self._window if shared else self._new_window()
        cell = specify(self.cell.services.registry, child_path(self.path, spec.id), spec)
        child = self.children[spec.id] = Child(spec, cell, window)
        return child

    def _forget_strangers(self) -> None:
        """Close cells of children that were added to an earlier incarnation while it ran."""
        registry = self.cell.services.registry
        known = {child.cell for child in self.children.values()}
        for cell in registry.children(self.cell):
            if cell not in known:
                close_subtree(cell)
                registry.forget(cell.path)

    def forgive(self, child: Child) -> None:
        """Forget the earlier failures of a child that is started by hand."""
        child.streak.failures = 0
        if self.spec.budget is Budget.PER_CHILD:
            child.window = self._new_window()

    def close(self, child: Child) -> None:
        """Nothing will run in this child's cells until somebody asks for it."""
        child.retry_at = inf
        close_subtree(child.cell)

    def drop(self, child: Child) -> None:
        """Forget a child that is closed."""
        del self.children[child.spec.id]
        self.cell.services.registry.forget(child.cell.path)

    def group(self, child: Child) -> list[Child]:
        """The children that a restart of ``child`` starts, in order."""
        plan = plan_restart(self.spec.strategy, list(self.children), child.spec.id)
        return [c for id in plan.start if (c := self.children[id]).run is None]

    @property
    def stopping(self) -> bool:
        """It was asked to stop, or gave up: no child is started any more."""
        return self.stop_at is not None

    # Starting

    async def start(self, child: Child) -> Exit | None:
        """Start one child and wait until it is ready; return its exit if it ended before that."""
        assert not self.stopping, "a stopping supervisor starts nothing"
        assert child.run is None, f"{child.cell.path} runs already"
        child.retry_at = inf
        self._called_off = False
        exit = await self._try_start(child)
        if exit is None:
            self._report(Event.STARTED, child, generation=child.cell.generation)
            return None
        child.run = None
        if exit.kind is ExitKind.ABNORMAL:
            event = Event.SHUTDOWN_ERROR if self._called_off else Event.START_FAILED
            self._report(event, child, kind=exit.kind, cause=exit.cause)
        elif not self._called_off:
            close_subtree(child.cell)
            if exit.kind is ExitKind.NORMAL and child.spec.restart is Restart.TEMPORARY:
                self.drop(child)
        return exit

    async def _try_start(self, child: Child) -> Exit | None:
        assert self._nursery is not None
        try:
            child.run = self._starting = make_run(child.spec, child.cell, self.child_finished)
        except Exception as failure:  # noqa: BLE001  # any failure of a factory is one to start
            await trio.lowlevel.checkpoint()
            error = InitFailed(f"{child.cell.path} could not be made: {failure!r}")
            error.__cause__ = failure
            return Exit(ExitKind.ABNORMAL, error, initialised=False)
        if self.stopping:  # its factory, or a hook, asked for it
            await trio.lowlevel.checkpoint()
            return Exit(ExitKind.STOPPED, reason=self.stop_reason, initialised=False)
        self._held_up = True
        try:
            exit: Exit | None = await self._nursery.start(child.run.run, name=child.cell.path)
        finally:
            self._starting = None
            self._held_up = False
        return exit

    # Ending

    async def stop_child(self, child: Child, reason: str) -> None:
        """Stop one child and wait for its end, however long that takes."""
        run, child.run = child.run, None
        child.retry_at = inf
        if run is not None:
            self._held_up = True
            await stop_run(run, self.cell, child.spec, reason)
            self._held_up = False
        if self.cell.services.closing:
            close_subtree(child.cell)

    async def _stop_for_restart(self, child: Child) -> None:
        await self.stop_child(child, "its group is restarted")
        if child.spec.restart is Restart.TEMPORARY:
            close_subtree(child.cell)
            self.drop(child)

    def child_finished(self, run: Run) -> None:
        """Called by each child at its very end."""
        if self._held_up:
            self._note_end(run)

    def _note_end(self, run: Run) -> None:
        """A child ended by itself while another starts or stops, and is attended to only later.

        What is asked of it must not wait so long: it may be the other child that asks. A start
        that the restart of the group would undo is called off.
        """
        child = next((c for c in self.children.values() if c.run is run), None)
        if child is None or run is self._starting:
            return
        assert run.exit is not None
        if self.stopping or not should_restart(child.spec.restart, run.exit.kind):
            close_subtree(child.cell)
            return
        plan = plan_restart(self.spec.strategy, list(self.children), child.spec.id)
        starting = self._starting if self._starting_group else None
        if starting is not None and any(self.children[id].run is starting for id in plan.stop):
            self._called_off = True
            starting.request_stop("its group is restarted")  # before what it asks fails
        hold_subtree(child.cell, self.cell.services.clock())

    def _report(self, event: Event, child: Child, **facts: Any) -> None:
        facts.setdefault("generation", child.cell.generation)
        report = Report(
            event=event,
            at=self.cell.services.clock(),
            supervisor=self.path,
            child=child.cell.path,
            restart=child.spec.restart,
            shutdown_seconds=time_to_stop(child.spec),
            intensity=self.spec.intensity,
            period_seconds=self.spec.period_seconds,
            depth=len(child.cell.mailbox.user),
            control_depth=len(child.cell.mailbox.control),
            **facts,
        )
        self.cell.services.reporter.report(report)
