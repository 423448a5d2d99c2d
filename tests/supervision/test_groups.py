"""Ends that come while the supervisor is busy with another child."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    AskError,
    ChildSpec,
    Event,
    Exit,
    InitFailed,
    Restart,
    Restarting,
    ServerDied,
    State,
    Stopped,
    Strategy,
    SupervisorSpec,
    open_system,
)

Act = Callable[[Actor], Awaitable[object]]
GROUPS = [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL]


class Neighbour(Actor):
    """Does what it is given while it starts and stops, and crashes when told to."""

    def __init__(self, log: list[str], starts: list[Act | None], stop: Act | None) -> None:
        self.log = log
        self.starts = starts
        self.stop = stop

    async def init(self) -> None:
        act = self.starts.pop(0) if self.starts else None
        if act is not None:
            await act(self)
        self.log.append(f"+{self.context.path}")

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        return f"{self.context.path}: {message}"

    async def on_stop(self, exit: Exit) -> None:
        if self.stop is not None:
            await self.stop(self)
        self.log.append(f"-{self.context.path}")


def neighbour(
    log: list[str], id: str, *starts: Act | None, stop: Act | None = None, **options: Any
) -> ChildSpec:
    options.setdefault("backoff", NO_BACKOFF)
    left = list(starts)
    return ChildSpec(id, lambda: Neighbour(log, left, stop), **options)


async def crash_and_ask_a(actor: Actor) -> None:
    """Let ``a`` crash, and ask it something as if nothing were the matter."""
    a = actor.context.lookup("a")
    a.tell("crash")
    await a.ask("are you there?")


async def ask_a(actor: Actor) -> None:
    await actor.context.lookup("a").ask("are you there?")


@pytest.mark.parametrize("strategy", GROUPS)
async def test_crash_while_its_group_starts_begins_it_anew(
    autojump_clock: MockClock, recorder: Any, strategy: Strategy
) -> None:
    """The start that the restart would undo is called off; nobody waits for a deadline."""
    log: list[str] = []
    children = [
        neighbour(log, "a"),
        neighbour(log, "b", None, crash_and_ask_a),
        neighbour(log, "c"),
    ]
    spec = SupervisorSpec(children, strategy, intensity=2)
    async with open_system(spec, hooks=recorder) as system:
        log.clear()
        system.address("a").tell("crash")
        await wait_all_tasks_blocked()

        assert trio.current_time() == 0
        assert log == ["-a", "-c", "-b", "+a", "-a", "-b", "+a", "+b", "+c"]
        assert [r.attempt for r in recorder.of(Event.RESTART_SCHEDULED)] == [1, 2]
        assert recorder.of(Event.START_FAILED) == []
        assert [system.address(id).generation for id in "abc"] == [3, 3, 2]
        assert await system.address("c").ask("hello") == "c: hello"


async def test_messages_of_a_start_that_was_called_off_are_kept(autojump_clock: MockClock) -> None:
    """What waits for a child whose start was called off is handled after the next one."""
    log: list[str] = []
    slow_once: list[Act | None] = [None, crash_and_ask_a]
    children = [neighbour(log, "a"), neighbour(log, "b", *slow_once)]
    spec = SupervisorSpec(children, Strategy.REST_FOR_ONE, intensity=2)
    async with open_system(spec) as system, trio.open_nursery() as nursery:
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await system.address("b").ask("hello"))

        system.address("a").tell("crash")
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()

        assert answers == ["b: hello"]
        assert system.dead_letters.counts.total() == 2  # the two crashes


@pytest.mark.parametrize("strategy", Strategy)
async def test_first_start_does_not_wait_for_a_crashed_sibling(
    autojump_clock: MockClock, strategy: Strategy
) -> None:
    """An ask from a first start fails at once too, and the crash is the end of its causes."""
    log: list[str] = []
    children = [neighbour(log, "a"), neighbour(log, "b", crash_and_ask_a)]
    with pytest.raises(InitFailed) as caught:
        async with open_system(SupervisorSpec(children, strategy)):
            raise AssertionError("must not be entered")

    assert trio.current_time() == 0
    causes = list(_causes(caught.value))
    assert any(isinstance(cause, Restarting) for cause in causes)
    assert isinstance(causes[-1], ValueError)


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
async def test_sibling_that_ended_for_good_is_gone_at_once(
    autojump_clock: MockClock, restart: Restart
) -> None:
    """A sibling that will not come back refuses as stopped, also before its end is dealt with."""
    log: list[str] = []
    errors: list[AskError] = []

    async def look(actor: Actor) -> None:
        a = actor.context.lookup("a")
        a.tell("end" if restart is Restart.TRANSIENT else "crash")
        for _ in range(2):
            try:
                await a.ask("are you there?")
            except AskError as error:
                errors.append(error)

    class Mortal(Neighbour):
        async def handle(self, message: Any) -> Any:
            if message == "end":
                self.context.stop()
            return await super().handle(message)

    a = ChildSpec("a", lambda: Mortal(log, [], None), restart=restart)
    async with open_system(SupervisorSpec([a])) as system:
        await system.supervisor().start_child(neighbour(log, "b", look))

        kinds = {type(error) for error in errors}
        assert len(errors) == 2
        assert kinds <= {Stopped, ServerDied}
        assert system.address("b").state is State.RUNNING


@pytest.mark.parametrize("strategy", GROUPS)
async def test_clean_up_does_not_wait_for_a_crashed_sibling(
    autojump_clock: MockClock, recorder: Any, strategy: Strategy
) -> None:
    """A child that says goodbye to the one that crashed hears at once that nobody is there."""
    log: list[str] = []
    errors: list[AskError] = []

    async def say_goodbye(actor: Actor) -> None:
        try:
            await ask_a(actor)
        except AskError as error:
            errors.append(error)

    children = [neighbour(log, "a"), neighbour(log, "b", stop=say_goodbye)]
    async with open_system(SupervisorSpec(children, strategy), hooks=recorder) as system:
        system.address("a").tell("crash")
        await wait_all_tasks_blocked()

        assert trio.current_time() == 0
        assert [type(error) for error in errors] == [Restarting]
        assert recorder.of(Event.CLEANUP_FAILED) == []
        assert await system.address("a").ask("hello") == "a: hello"


async def test_crash_while_a_child_is_added_leaves_the_newcomer_alone(
    autojump_clock: MockClock,
) -> None:
    """A start that somebody waits for is not called off; the group is restarted afterwards."""
    log: list[str] = []

    async def take_time(actor: Actor) -> None:
        actor.context.lookup("a").tell("crash")
        await trio.sleep(1)

    spec = SupervisorSpec([neighbour(log, "a")], Strategy.REST_FOR_ONE)
    async with open_system(spec) as system:
        log.clear()
        await system.supervisor().start_child(neighbour(log, "b", take_time))
        await wait_all_tasks_blocked()

        assert log == ["-a", "+b", "-b", "+a", "+b"]


def _causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain
