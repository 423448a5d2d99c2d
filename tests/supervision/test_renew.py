"""Starting a part of a running tree anew by hand."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    ChildSpec,
    ControlError,
    Event,
    NotFound,
    PoolSpec,
    State,
    Strategy,
    SupervisorFailed,
    SupervisorSpec,
    UnknownPath,
    open_system,
)
from tests.supervision.conftest import Recorder


class Echo(Actor):
    """Answers after a second, or crashes."""

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        await trio.sleep(1)
        return message


def row(strategy: Strategy, intensity: int = 0) -> SupervisorSpec:
    children = [ChildSpec(id, Echo) for id in "abc"]
    return SupervisorSpec(children, strategy=strategy, intensity=intensity)


@pytest.mark.parametrize(
    ("strategy", "generations"),
    [
        (Strategy.ONE_FOR_ONE, [1, 2, 1]),
        (Strategy.REST_FOR_ONE, [1, 2, 2]),
        (Strategy.ONE_FOR_ALL, [2, 2, 2]),
    ],
)
async def test_group_is_renewed_and_nothing_charged(
    autojump_clock: MockClock, recorder: Recorder, strategy: Strategy, generations: list[int]
) -> None:
    """A child takes along whom its crash would take along, and no budget is touched."""
    async with open_system(row(strategy), hooks=recorder) as system:
        addresses = [system.address(id) for id in "abc"]
        for _ in range(2):
            await system.supervisor().renew_child("b")

        assert [a.generation for a in addresses] == [2 * n - 1 for n in generations]
        assert {a.state for a in addresses} == {State.RUNNING}
    assert recorder.of(Event.RESTART_SCHEDULED) == []


async def test_messages_survive_a_renewal(autojump_clock: MockClock) -> None:
    """What waits at a renewed child is handled by its next incarnation."""
    async with open_system(row(Strategy.ONE_FOR_ONE)) as system:
        b = system.address("b")
        b.tell("in hand")
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await b.ask("waiting"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.5)
            await system.supervisor().renew_child("b")

    assert answers == ["waiting"]


async def test_unknown_child_is_not_renewed(autojump_clock: MockClock) -> None:
    """The caller is told."""
    async with open_system(row(Strategy.ONE_FOR_ONE)) as system:
        with pytest.raises(NotFound):
            await system.supervisor().renew_child("nobody")


async def test_supervisor_may_give_up_over_a_renewal(autojump_clock: MockClock) -> None:
    """A new start that fails is charged like any other, and the budget may be spent on it."""
    broken = False

    class Moody(Echo):
        async def init(self) -> None:
            if broken:
                raise ValueError("broken")

    async def break_it() -> None:
        nonlocal broken
        async with open_system(SupervisorSpec([ChildSpec("a", Moody)], intensity=0)) as system:
            broken = True
            with pytest.raises(ControlError):
                await system.supervisor().renew_child("a")
            await system.wait_stopped()

    with pytest.raises(SupervisorFailed):
        await break_it()


async def test_member_of_a_pool_is_renewed(autojump_clock: MockClock) -> None:
    """It starts again at once with what waits for it; an idle or failed one is started."""
    pool_spec: PoolSpec[str] = PoolSpec(start=lambda key: Echo(), intensity=0)
    async with open_system(SupervisorSpec([ChildSpec("pool", pool_spec)])) as system:
        pool = system.pool("pool")
        running, failed, idle = (pool.address(key) for key in ("running", "failed", "idle"))
        failed.tell("crash")
        running.tell("in hand")
        running.tell("waiting")
        await trio.sleep(0.5)
        before = [(a.state, a.generation) for a in (running, failed, idle)]
        for key in ("running", "failed", "idle"):
            pool.renew(key)
        await wait_all_tasks_blocked()

        assert before == [(State.RUNNING, 1), (State.FAILED, 1), (State.IDLE, 0)]
        assert [a.generation for a in (running, failed, idle)] == [2, 2, 1]
        await running.ask("next")
        assert running.depth == 0
        with pytest.raises(UnknownPath):
            pool.renew("nobody")


async def test_renewed_member_may_crash_as_often_as_before(autojump_clock: MockClock) -> None:
    """The failures before a renewal are forgiven; those after it are counted as ever."""
    pool_spec: PoolSpec[str] = PoolSpec(start=lambda key: Echo(), intensity=1)
    async with open_system(SupervisorSpec([ChildSpec("pool", pool_spec)])) as system:
        member = system.pool("pool").address("x")
        states = []
        for _ in range(2):
            member.tell("crash")
            await wait_all_tasks_blocked()
            system.pool("pool").renew("x")
            await wait_all_tasks_blocked()
            states.append(member.state)
        for _ in range(2):
            member.tell("crash")
            await wait_all_tasks_blocked()

        assert states == [State.RUNNING] * 2
        assert member.state is State.FAILED
