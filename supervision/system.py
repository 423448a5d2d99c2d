"""The whole: a root supervisor inside somebody's ``async with``."""

import random as random_module
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from supervision.actor import Actor
from supervision.address import Address, cell_of
from supervision.cell import Cell, Exit, Kind
from supervision.children import child_path, close_subtree, specify
from supervision.control import Supervisor
from supervision.deadletters import DeadLetters
from supervision.errors import InitFailed, SupervisorFailed
from supervision.hooks import Hooks
from supervision.inspection import Inspection
from supervision.pool import Pool
from supervision.registry import Registry
from supervision.run import Run
from supervision.spec import SupervisorSpec
from supervision.supervisor import SupervisorRun
from supervision.survey import Surveyed, survey
from supervision.tree import NodeStatus, Wait, snapshot, waits


class System:
    """A running tree. Made by `open_system`."""

    def __init__(self, registry: Registry, spec: SupervisorSpec) -> None:
        self.registry = registry
        for child in spec.children:
            specify(registry, child_path("", child.id), child)
        self._cell: Cell = registry.specify("", Kind.SUPERVISOR)
        self._root = SupervisorRun(self._cell, spec, self._root_finished)
        self._started = trio.Event()
        self._stopped = trio.Event()
        self.start_exit: Exit | None = None
        self.failure: Exception | None = None

    def address(self, path: str) -> Address:
        """Return the address at ``path``, such as "markets/BTC".

        Raises:
            UnknownPath: nothing is specified there.
        """
        return self.registry.address(path)

    def pool(self, path: str) -> Pool[Any]:
        """Return the pool at ``path``.

        Raises:
            UnknownPath: there is no pool.
        """
        return self.registry.pool(path)

    def supervisor(self, path: str = "") -> Supervisor:
        """Return the control face of the supervisor at ``path``; without a path, of the root.

        Raises:
            UnknownPath: nothing is specified there.
        """
        return Supervisor(self._cell if not path else cell_of(self.address(path)))

    def inspect(self, path: str) -> Inspection:
        """Return the system side of the actor at ``path``: its state, statistics and traces.

        Raises:
            UnknownPath: nothing is specified there.
        """
        return Inspection(cell_of(self.address(path)))

    async def probe(self, path: str, function: Callable[[Actor], Any]) -> Any:
        """Call ``function`` with the live actor at ``path``; see `Inspection.probe`."""
        return await self.inspect(path).probe(function)

    def who_waits(self) -> list[Wait]:
        """Return the asks between actors that are in progress, those in a cycle marked."""
        return waits(self.registry)

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that reached nobody."""
        return self.registry.services.dead_letters

    def tree(self, *, pool_children_max: int = 1000) -> list[NodeStatus]:
        """Return the status of every cell, in the order of the tree."""
        return snapshot(self.registry, pool_children_max=pool_children_max)

    async def survey(
        self, path: str = "", *, members_max: int = 10, seconds: float = 0.25
    ) -> list[Surveyed]:
        """Return the statuses at and below ``path`` with how busy everything is; see `survey`.

        Raises:
            UnknownPath: nothing is specified there.
        """
        return await survey(self.registry, path=path, members_max=members_max, seconds=seconds)

    def stop(self, reason: str = "stopped") -> None:
        """Begin the ordered stop: the last child first. Does not wait; harmless if it has ended."""
        self._root.request_stop(reason)

    async def wait_stopped(self) -> None:
        """Wait until no task of the tree is left."""
        await self._stopped.wait()

    def _root_finished(self, run: Run) -> None:
        exit: Exit | None = run.exit
        if exit is not None:
            self.failure = exit.cause

    async def host(self) -> None:
        """Run the tree where no outside cancellation reaches it: it always stops in order."""
        with trio.CancelScope(shield=True):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.registry.services.timers.run)
                    async with trio.open_nursery() as tree:
                        self.start_exit = await tree.start(self._root.run)
                        self._started.set()
                    nursery.cancel_scope.cancel(reason="the tree has ended")
            finally:
                self._started.set()
                self._stopped.set()
                close_subtree(self._cell)

    async def wait_started(self) -> Exit | None:
        """Wait until every child is ready; return how the tree ended if it did before that."""
        await self._started.wait()
        return self.start_exit

    async def stop_when_cancelled(self) -> None:
        """Turn a cancellation from outside into an ordered stop."""
        try:
            await trio.sleep_forever()
        finally:
            self.stop("cancelled from outside")


@asynccontextmanager
async def open_system(
    spec: SupervisorSpec,
    *,
    registry: Registry | None = None,
    random: random_module.Random | None = None,
    hooks: Hooks | None = None,
    strict: bool = False,
) -> AsyncIterator[System]:
    """Run a tree for the time of an ``async with`` block.

    The block begins when every child is ready. When it ends, however it ends, the tree is stopped
    in order and the statement returns only when no task of it is left. Cancelling the block from
    outside also stops the tree in order: its tasks are shielded, and bounded by their own times to
    stop.

    Args:
        spec: the root supervisor.
        registry: made by the caller if factories need addresses of other children.
        random: source of jitter; seed it to repeat a run.
        hooks: told of what happens.
        strict: for tests: a server that answers one ask twice gets `AnsweredTwice`; otherwise the
            second answer is dropped and counted.

    Raises:
        SupervisorFailed: the root gave up. The block is cancelled; the group holds the causes.
        InitFailed: a child did not start; its original exception is the end of the chain of causes.
        SpecError, UnknownPath: nothing was started.
        Exception: what the block raised; in a group if the tree failed as well.
    """
    registry = Registry() if registry is None else registry
    registry.open(Hooks() if hooks is None else hooks, (random or random_module.Random()).random)
    registry.services.strict = strict
    system = System(registry, spec)
    registry.seal()
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(system.stop_when_cancelled)
        # Not `nursery.start`: a KeyboardInterrupt would wait in it for a tree that nobody stops.
        nursery.start_soon(system.host)
        try:
            if await system.wait_started() is None:
                nursery.start_soon(_cancel_on_failure, system, nursery.cancel_scope)
                yield system
        except Exception as raised:  # noqa: BLE001  # raised again below, unwrapped
            error = raised
        finally:
            system.stop("the block ended")
        with trio.CancelScope(shield=True):
            await system.wait_stopped()
        nursery.cancel_scope.cancel(reason="the tree has ended")
    if system.start_exit is not None and system.failure is None and error is None:
        raise InitFailed("the tree was stopped while it started")
    _raise_failures(error, system.failure)


async def _cancel_on_failure(system: System, block: trio.CancelScope) -> None:
    await system.wait_stopped()
    if system.failure is not None:
        block.cancel(reason="the tree failed")


def _raise_failures(error: Exception | None, failure: Exception | None) -> None:
    if error is not None and failure is not None:
        raise SupervisorFailed("the block failed, and so did the tree", [error, failure])
    if error is not None:
        raise error
    if failure is not None:
        raise failure
