"""Changing a running supervisor from outside: start, stop, restart, delete and list its children.

Changes are served by the supervisor's own task, one at a time, in turn with the exits of its
children. Reading never waits. Words and results are those of OTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import trio

from supervision.address import Address
from supervision.cell import Cell, Exit, Kind, State
from supervision.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ControlError,
    InitFailed,
    NotFound,
    StillRunning,
)
from supervision.restarts import ExitKind, Restart
from supervision.spec import ChildSpec

if TYPE_CHECKING:
    from supervision.children import Child
    from supervision.supervisor import SupervisorRun


@attrs.frozen
class ChildStatus:
    """One row of `Supervisor.which_children`."""

    id: str
    kind: Kind
    state: State
    address: Address


@attrs.frozen
class ChildCounts:
    """How many children a supervisor has. ``active`` ones run, or are being started or stopped."""

    specs: int
    active: int
    supervisors: int
    workers: int


@attrs.define(eq=False)
class Call:
    """A change in the inbox of a supervisor, and its outcome."""

    function: Callable[[], Awaitable[Any]]
    value: Any = None
    error: Exception | None = None
    abandoned: bool = False
    done: trio.Event = attrs.field(factory=trio.Event)

    def finish(self, error: Exception | None = None, *, value: Any = None) -> None:
        """Tell the caller how it went."""
        self.value = value
        self.error = error
        self.done.set()


class Supervisor:
    """The control face of one supervisor. Stays valid over its restarts.

    Changes wait behind what the supervisor does at the moment, such as a slow start: put a deadline
    around them. A change whose caller is gone when its turn comes is not made; one that has begun
    is carried out all the same.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    async def start_child(self, spec: ChildSpec) -> Address:
        """Add a child at the end of the order, start it and wait until it is ready.

        Raises:
            AlreadyStarted, AlreadyPresent: a child with this id runs, or is known and does not run.
            InitFailed: it did not start; its specification was not kept.
            SpecError: it does not fit this supervisor.
            NotFound: the supervisor does not run.
        """
        run = self._run()
        cell: Cell = await self._call(run, lambda: _start_child(run, spec))
        return Address(cell)

    async def terminate_child(self, id: str) -> None:
        """Stop a child and wait for its end. A temporary one is forgotten.

        Raises:
            NotFound: there is no such child, or the supervisor does not run.
        """
        run = self._run()
        await self._call(run, lambda: _terminate_child(run, id))

    async def restart_child(self, id: str) -> None:
        """Start a child that is stopped, and wait until it is ready.

        Raises:
            NotFound: there is no such child, or the supervisor does not run.
            StillRunning: it runs.
            InitFailed: it did not start.
        """
        run = self._run()
        await self._call(run, lambda: _restart_child(run, id))

    async def renew_child(self, id: str) -> None:
        """Stop a child and start it anew, with those that its restart takes along; wait for it.

        What waits in the mailboxes is kept. Nothing is charged to a budget, and earlier failures
        are forgiven. A start that fails counts like one after a crash.

        Raises:
            NotFound: there is no such child, or the supervisor does not run.
        """
        run = self._run()
        await self._call(run, lambda: _renew_child(run, id))

    async def delete_child(self, id: str) -> None:
        """Forget a child that is stopped.

        Raises:
            NotFound: there is no such child, or the supervisor does not run.
            StillRunning: it runs.
        """
        run = self._run()
        await self._call(run, lambda: _delete_child(run, id))

    def which_children(self) -> list[ChildStatus]:
        """Return the children in the order of their start."""
        return [
            ChildStatus(id, child.cell.kind, child.cell.state, Address(child.cell))
            for id, child in self._run().children.items()
        ]

    def count_children(self) -> ChildCounts:
        """Return how many children there are, by kind."""
        children = self._run().children.values()
        above = sum(child.cell.kind in (Kind.SUPERVISOR, Kind.POOL) for child in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.run is not None for child in children),
            supervisors=above,
            workers=len(children) - above,
        )

    def get_childspec(self, id: str) -> ChildSpec:
        """Return the specification of a child.

        Raises:
            NotFound: there is no such child, or the supervisor does not run.
        """
        return _find(self._run(), id).spec

    def _run(self) -> SupervisorRun:
        from supervision.supervisor import SupervisorRun

        run = self._cell.run
        if not isinstance(run, SupervisorRun):
            raise NotFound(f"{self._cell.path or 'root'} does not run")
        return run

    async def _call(self, run: SupervisorRun, function: Callable[[], Awaitable[Any]]) -> Any:
        call = Call(function)
        run.post(call)
        try:
            await call.done.wait()
        finally:
            call.abandoned = True
        if call.error is not None:
            raise call.error
        return call.value


def _find(run: SupervisorRun, id: str) -> Child:
    try:
        return run.children[id]
    except KeyError:
        raise NotFound(f"{run.path or 'root'} has no child {id!r}") from None


async def _start_child(run: SupervisorRun, spec: ChildSpec) -> Cell:
    """Start a child; its cell is returned from here, since it may be gone a moment later."""
    run.spec.check_child(spec)
    known = run.children.get(spec.id)
    if known is not None:
        raise (AlreadyPresent if known.run is None else AlreadyStarted)(known.cell.path)
    child = run.add(spec)
    exit = await run.start(child)
    if exit is not None and exit.kind is not ExitKind.NORMAL:
        run.drop(child)
        raise _start_error(exit)
    return child.cell


async def _terminate_child(run: SupervisorRun, id: str) -> None:
    child = _find(run, id)
    run.call_off(child)
    await run.stop_child(child, "terminated")
    run.close(child)
    if child.spec.restart is Restart.TEMPORARY:
        run.drop(child)


async def _restart_child(run: SupervisorRun, id: str) -> None:
    child = _find(run, id)
    if child.run is not None:
        raise StillRunning(child.cell.path)
    was_waiting = child.retry_at < inf
    run.forgive(child)
    exit = await run.start(child)
    if exit is not None and exit.kind is not ExitKind.NORMAL:
        for member in run.group(child) if was_waiting else [child]:
            run.close(member)
        raise _start_error(exit)
    if was_waiting:
        await run.start_group(child)


async def _renew_child(run: SupervisorRun, id: str) -> None:
    child = _find(run, id)
    run.forgive(child)
    await run.renew(child, "renewed by hand")


async def _delete_child(run: SupervisorRun, id: str) -> None:
    child = _find(run, id)
    if child.run is not None:
        raise StillRunning(child.cell.path)
    run.call_off(child)
    run.close(child)
    run.drop(child)
    await trio.lowlevel.checkpoint()


def _start_error(exit: Exit) -> Exception:
    return exit.cause or InitFailed(exit.reason)


def refuse(call: Call, path: str) -> None:
    """Answer a change that comes too late."""
    call.finish(ControlError(f"{path or 'root'} is stopping"))
