"""Changing a running supervisor."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    AlreadyPresent,
    AlreadyStarted,
    Backoff,
    Budget,
    ChildCounts,
    ChildSpec,
    ControlError,
    Delivery,
    InitFailed,
    NotFound,
    Restart,
    State,
    StillRunning,
    Strategy,
    SupervisorSpec,
    System,
    open_system,
)
from supervision.faults import Course, explore


class Echo(Actor):
    """Answers."""

    async def handle(self, message: Any) -> Any:
        return message


class Broken(Actor):
    """Never starts."""

    async def init(self) -> None:
        raise ValueError("broken")


async def test_child_can_be_added(autojump_clock: MockClock) -> None:
    """A new child is ready when the call returns, and the last in the order."""
    async with open_system(SupervisorSpec([ChildSpec("a", Echo)])) as system:
        root = system.supervisor()
        address = await root.start_child(ChildSpec("b", Echo))

        assert await address.ask(1) == 1
        assert [row.id for row in root.which_children()] == ["a", "b"]
        with pytest.raises(AlreadyStarted):
            await root.start_child(ChildSpec("b", Echo))


async def test_child_that_does_not_start_is_not_kept(autojump_clock: MockClock) -> None:
    """The caller gets the cause, and the supervisor is as before."""
    async with open_system(SupervisorSpec([ChildSpec("a", Echo)])) as system:
        root = system.supervisor()
        with pytest.raises(InitFailed) as caught:
            await root.start_child(ChildSpec("b", Broken))

        assert isinstance(caught.value.__cause__, ValueError)
        assert root.count_children() == ChildCounts(specs=1, active=1, supervisors=0, workers=1)


async def test_life_of_a_child_under_control(autojump_clock: MockClock) -> None:
    """Terminate keeps the specification, restart uses it, delete forgets it."""
    async with open_system(SupervisorSpec([ChildSpec("a", Echo)])) as system:
        root, a = system.supervisor(), system.address("a")
        with pytest.raises(StillRunning):
            await root.restart_child("a")
        with pytest.raises(StillRunning):
            await root.delete_child("a")

        await root.terminate_child("a")
        assert a.state is State.STOPPED
        assert a.tell("x") is Delivery.STOPPED
        with pytest.raises(AlreadyPresent):
            await root.start_child(ChildSpec("a", Echo))

        await root.restart_child("a")
        assert await a.ask("x") == "x"
        assert root.get_childspec("a").restart is Restart.PERMANENT

        await root.terminate_child("a")
        await root.delete_child("a")
        with pytest.raises(NotFound):
            await root.restart_child("a")


async def test_terminated_temporary_child_is_forgotten(autojump_clock: MockClock) -> None:
    """A temporary child leaves nothing behind."""
    spec = SupervisorSpec([ChildSpec("t", Echo, restart=Restart.TEMPORARY)])
    async with open_system(spec) as system:
        await system.supervisor().terminate_child("t")

        assert system.supervisor().which_children() == []


async def test_change_that_comes_too_late_is_refused(autojump_clock: MockClock) -> None:
    """A supervisor that is stopping starts nothing, and says so."""

    class Slow(Echo):
        async def on_stop(self, exit: object) -> None:
            await trio.sleep(1)

    async with open_system(SupervisorSpec([ChildSpec("a", Slow)])) as system:
        root = system.supervisor()
        system.stop()
        await wait_all_tasks_blocked()

        with pytest.raises(ControlError):
            await root.start_child(ChildSpec("b", Echo))


async def test_added_child_ends_with_its_incarnation(autojump_clock: MockClock) -> None:
    """A supervisor that is restarted has the children of its specification only."""

    class Fuse(Echo):
        async def handle(self, message: Any) -> Any:
            raise ValueError("blown")

    inner = SupervisorSpec([ChildSpec("fuse", Fuse)], intensity=0)
    async with open_system(SupervisorSpec([ChildSpec("s", inner)])) as system:
        added = await system.supervisor("s").start_child(ChildSpec("added", Echo))
        system.address("s/fuse").tell("blow")
        await wait_all_tasks_blocked()

        assert added.tell("x") is Delivery.STOPPED
        assert [row.id for row in system.supervisor("s").which_children()] == ["fuse"]


async def test_failed_child_restarted_by_hand_is_forgiven(autojump_clock: MockClock) -> None:
    """A child that spent its own budget has it back when somebody starts it again."""

    class Crash(Echo):
        async def handle(self, message: Any) -> Any:
            raise ValueError("crash")

    spec = SupervisorSpec([ChildSpec("a", Crash)], budget=Budget.PER_CHILD)
    async with open_system(spec) as system:
        a = system.address("a")
        for _ in range(2):
            a.tell("crash")
            await wait_all_tasks_blocked()
        failed = a.state
        await system.supervisor().restart_child("a")
        a.tell("crash")
        await wait_all_tasks_blocked()

        assert (failed, a.state) == (State.FAILED, State.RUNNING)


class Brief(Actor):
    """Ends as soon as it is ready."""

    async def init(self) -> None:
        self.context.stop("done")


def test_child_that_ends_at_once_has_an_address() -> None:
    """The caller gets the address of a child that is forgotten before the caller goes on."""

    async def scenario(course: Course) -> None:
        async with open_system(SupervisorSpec([ChildSpec("a", Echo)])) as system:
            with course:
                brief = ChildSpec("b", Brief, restart=Restart.TEMPORARY)
                address = await system.supervisor().start_child(brief)
            assert address.path == "b"

    assert explore(scenario).complete


class Shaky(Actor):
    """Crashes when told to."""

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        return message


SLOW = Backoff(min_seconds=1.0, jitter=0.0)


async def crash_twice(system: System, path: str) -> None:
    """The second crash makes its child wait for a second."""
    for _ in range(2):
        system.address(path).tell("crash")
        await wait_all_tasks_blocked()
    assert system.address(path).state is State.BACKOFF


def group() -> SupervisorSpec:
    children = [ChildSpec(id, Shaky, backoff=SLOW) for id in "abc"]
    return SupervisorSpec(children, Strategy.REST_FOR_ONE, intensity=5)


async def test_group_does_not_wait_for_a_child_that_was_terminated(
    autojump_clock: MockClock,
) -> None:
    """What was to start with the child stays down as well, and says so."""
    async with open_system(group()) as system:
        await crash_twice(system, "b")
        await system.supervisor().terminate_child("b")

        assert system.address("c").state is State.STOPPED
        await system.supervisor().restart_child("c")
        assert await system.address("c").ask(1) == 1


async def test_restart_by_hand_brings_the_group_that_waits(autojump_clock: MockClock) -> None:
    """The wait is over for all of the group, and nothing that was queued is lost."""
    async with open_system(group()) as system:
        await crash_twice(system, "b")
        system.address("c").tell(1)
        await system.supervisor().restart_child("b")

        assert trio.current_time() == 0
        assert await system.address("c").ask(2) == 2
        assert [letter.message for letter in system.dead_letters.ring] == ["crash", "crash"]


async def test_group_restart_does_not_cut_a_wait_short(autojump_clock: MockClock) -> None:
    """When an earlier sibling fails, a child that backs off is still given its time."""
    async with open_system(group()) as system:
        await crash_twice(system, "b")
        system.address("a").tell("crash")
        await wait_all_tasks_blocked()

        assert system.address("b").state is State.BACKOFF
        await trio.sleep(1.5)
        assert await system.address("b").ask(1) == 1
