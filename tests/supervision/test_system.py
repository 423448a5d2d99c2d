"""The block around a tree: how it begins, how it ends, and what it raises."""

import signal
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    AskError,
    ChildSpec,
    Exit,
    PoolSpec,
    Registry,
    State,
    SupervisorFailed,
    SupervisorSpec,
    UnknownPath,
    open_system,
)


class Echo(Actor):
    """Answers, or crashes."""

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        if message == "interrupt":
            raise KeyboardInterrupt
        if message == "sleep":
            await trio.sleep(1)
        return message


def tree(intensity: int = 0) -> SupervisorSpec:
    pool: PoolSpec[object] = PoolSpec(start=lambda key: Echo())
    inner = SupervisorSpec([ChildSpec("b", Echo), ChildSpec("pool", pool)])
    return SupervisorSpec([ChildSpec("a", Echo), ChildSpec("s", inner)], intensity=intensity)


async def test_no_task_is_left(autojump_clock: MockClock) -> None:
    """After the block no task of the tree exists."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_system(tree()) as system:
        await system.pool("s/pool").address(1).ask("x")
        assert trio.lowlevel.current_statistics().tasks_living > before

    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_failure_of_the_tree_cancels_the_block(autojump_clock: MockClock) -> None:
    """When the root gives up, the block is cancelled and the causes are raised."""
    with pytest.raises(SupervisorFailed) as caught:  # noqa: PT012  # the block is the promise
        async with open_system(tree()) as system:
            system.address("a").tell("crash")
            await trio.sleep_forever()

    assert isinstance(caught.value.exceptions[0], ValueError)
    assert trio.current_time() == 0


async def test_failure_of_the_block_is_raised_as_it_is(autojump_clock: MockClock) -> None:
    """An exception of the block stops the tree and is not wrapped."""
    with pytest.raises(LookupError):
        async with open_system(tree()) as system:
            raise LookupError

    assert system.address("a").state is State.STOPPED


async def test_interrupt_is_never_absorbed(autojump_clock: MockClock) -> None:
    """KeyboardInterrupt in an actor ends everything, however large the budget."""
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012, ASYNC401  # its depth is free
        async with open_system(tree(intensity=99)) as system:
            system.address("a").tell("interrupt")
            await trio.sleep_forever()

    assert caught.value.subgroup(KeyboardInterrupt) is not None


async def test_asks_fail_when_the_tree_stops(autojump_clock: MockClock) -> None:
    """Whoever waits for an answer when the tree stops is woken with an error."""
    async with open_system(tree()) as system:
        a = system.address("a")
        failures: list[str] = []

        async def ask(message: str) -> None:
            try:
                await a.ask(message)
            except AskError as error:
                failures.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "sleep")
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "waits behind")
            await wait_all_tasks_blocked()
            system.stop()

        assert failures == ["Stopped", "Stopped"]
        await system.wait_stopped()


async def test_open_promises_are_refused(autojump_clock: MockClock) -> None:
    """An address of nothing is found before anything starts."""
    registry = Registry()
    registry.address("typo")

    with pytest.raises(UnknownPath):
        async with open_system(tree(), registry=registry):
            raise AssertionError("must not be entered")


async def test_tree_shows_every_cell(autojump_clock: MockClock) -> None:
    """The picture lists parents before children, with lanes, ages and failures."""
    async with open_system(tree(intensity=1)) as system:
        a = system.address("a")
        a.tell("crash")
        await system.pool("s/pool").address("k").ask("x")
        a.tell("sleep")
        await wait_all_tasks_blocked()
        a.tell("waits")
        await trio.sleep(0.5)

        nodes = {node.path: node for node in system.tree()}

        assert list(nodes) == ["a", "s", "s/b", "s/pool", "s/pool/k"]
        assert (nodes["a"].generation, nodes["a"].restarts) == (2, 1)
        assert (nodes["a"].depth, nodes["a"].oldest_age) == (1, 0.5)
        assert nodes["a"].in_hand == ("str",)
        assert nodes["a"].last_failure == "ValueError: crash"
        assert nodes["s/b"].state is State.RUNNING


@trio.lowlevel.enable_ki_protection
def press_ctrl_c() -> None:
    """Send the signal at a moment at which only the main task may raise it."""
    signal.raise_signal(signal.SIGINT)


def test_interrupt_while_the_tree_starts() -> None:
    """Ctrl-C during the start stops what had been started, and is raised."""
    stopped = []

    class Slow(Actor):
        async def init(self) -> None:
            press_ctrl_c()
            await trio.sleep(1)

        async def on_stop(self, exit: Exit) -> None:
            stopped.append(self.context.path)

    async def main() -> None:
        with trio.fail_after(60):
            async with open_system(SupervisorSpec([ChildSpec("a", Slow), ChildSpec("b", Slow)])):
                raise AssertionError("must not be entered")

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        trio.run(main, clock=MockClock(autojump_threshold=0))

    assert stopped == ["a"]
