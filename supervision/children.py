"""The children of a supervisor: their table entries, their cells, and how incarnations are made."""

from collections.abc import Callable
from functools import partial
from math import inf

import attrs

from supervision.actor import Actor
from supervision.cell import Cell, Kind, State
from supervision.incarnation import ActorRun
from supervision.pool_run import PoolRun
from supervision.registry import Registry
from supervision.restarts import FailureStreak, RestartWindow
from supervision.run import Run
from supervision.spec import ChildSpec, PoolSpec, Startable, SupervisorSpec, Task
from supervision.task import TaskRun


class Child:
    """One child in the table of its supervisor.

    Attributes:
        run: its incarnation, or None.
        retry_at: when to start it again; inf if that is not pending.
    """

    __slots__ = ("cell", "retry_at", "run", "spec", "streak", "window")

    def __init__(self, spec: ChildSpec, cell: Cell, window: RestartWindow) -> None:
        self.spec = spec
        self.cell = cell
        self.window = window
        self.streak = FailureStreak(spec.backoff)
        self.run: Run | None = None
        self.retry_at = inf


def child_path(parent: str, id: str) -> str:
    """Join a path. The root's own path is empty."""
    return f"{parent}/{id}" if parent else id


def specify(registry: Registry, path: str, spec: ChildSpec) -> Cell:
    """Make the cells of a child and of everything below that is known before it starts."""
    start = spec.start
    if isinstance(start, SupervisorSpec):
        for child in start.children:
            specify(registry, child_path(path, child.id), child)
        return registry.specify(path, Kind.SUPERVISOR)
    if isinstance(start, PoolSpec):
        return registry.specify_pool(path, start).cell
    if isinstance(start, Task):
        return registry.specify(path, Kind.TASK)
    return registry.specify(path, Kind.ACTOR, spec.mailbox)


def make_run(spec: ChildSpec, cell: Cell, finished: Callable[[Run], None]) -> Run:
    """Make the next incarnation of a child; this calls the program's factory.

    Raises:
        TypeError: the factory made something that cannot be a child.
        Exception: whatever the factory raised.
    """
    start = _startable(spec)
    if start is not spec.start and not isinstance(start, Actor):
        specify(cell.services.registry, cell.path, attrs.evolve(spec, start=start))
    match start:
        case SupervisorSpec():
            from supervision.supervisor import SupervisorRun

            return SupervisorRun(cell, start, finished)
        case PoolSpec():
            return PoolRun(cell.services.registry.specify_pool(cell.path, start), finished)
        case Task():
            return TaskRun(
                cell,
                start,
                finished,
                init_seconds=spec.init_seconds,
                shutdown_seconds=spec.shutdown_seconds,
            )
        case Actor():
            return ActorRun(
                cell,
                partial(_same, start),
                finished,
                init_seconds=spec.init_seconds,
                shutdown_seconds=spec.shutdown_seconds,
                drain_seconds=spec.drain_seconds,
            )


def _startable(spec: ChildSpec) -> Startable:
    start = spec.start
    if isinstance(start, SupervisorSpec | PoolSpec | Task):
        return start
    made: object = start()
    if not isinstance(made, Actor | SupervisorSpec | PoolSpec | Task):
        raise TypeError(f"{spec.id}: {made!r} cannot be a child")
    return made


def _same(actor: Actor) -> Actor:
    return actor


def close_subtree(cell: Cell, state: State = State.STOPPED) -> None:
    """Nothing will run in a cell, nor below it: bury what waits there."""
    for below in cell.services.registry.below(cell):
        if not below.closed:
            below.close()
    cell.close(state)


def hold_subtree(cell: Cell, retry_at: float) -> None:
    """A cell, and what was open below it, waits to be started again."""
    for below in cell.services.registry.below(cell):
        if not below.closed:
            below.hold(State.BACKOFF, retry_at)
    cell.hold(State.BACKOFF, retry_at)
