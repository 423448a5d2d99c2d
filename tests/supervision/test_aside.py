"""Messages put aside, messages that come first, and messages nobody knows."""

from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    AnsweredTwice,
    ChildSpec,
    DeadReason,
    Event,
    Inspection,
    NotUnderstood,
    Registry,
    ServerDied,
    Stash,
    SupervisionError,
    SupervisorSpec,
    Unhandled,
    open_system,
)
from supervision.address import cell_of
from supervision.faults import Fault, sweep


class Gate(Actor):
    """Puts numbers aside until it is opened; continues its start with a message."""

    stash_max = 3

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.open = False

    async def init(self) -> None:
        self.context.continue_with("load 1")
        self.context.continue_with("load 2")

    async def handle(self, message: Any) -> Any:
        match message:
            case int() if not self.open:
                raise Stash
            case int() | "load 1" | "load 2" | "plain":
                pass
            case "open":
                self.open = True
                return self.context.unstash()
            case ("unstash", count):
                self.open = True
                self.context.unstash(count)
            case "crash":
                raise ValueError("crash")
            case "then":
                self.context.continue_with("plain")
                return None
            case "stop with reply":
                self.context.stop()
                return "bye"
            case _:
                raise Unhandled
        self.seen.append(message)
        return message

    async def on_stop(self, exit: object) -> None:
        self.seen.append("on_stop")


def gate(seen: list[Any]) -> SupervisorSpec:
    spec = ChildSpec("gate", lambda: Gate(seen), backoff=NO_BACKOFF)
    return SupervisorSpec([spec], intensity=5)


async def test_continue_after_init_comes_before_any_message(autojump_clock: MockClock) -> None:
    """What init continues with is handled first, in order, whatever waits already."""
    seen: list[Any] = []
    async with open_system(gate(seen)) as system:
        system.address("gate").tell("plain")
        await wait_all_tasks_blocked()

    assert seen[:3] == ["load 1", "load 2", "plain"]


async def test_continue_after_a_handler_comes_before_what_waits(autojump_clock: MockClock) -> None:
    """A handler too can say what comes next."""
    seen: list[Any] = []
    async with open_system(gate(seen)) as system:
        for message in ("open", "then", 1):
            system.address("gate").tell(message)
        await wait_all_tasks_blocked()

    assert seen[2:4] == ["plain", 1]


async def test_what_an_incarnation_would_continue_with_ends_with_it(
    autojump_clock: MockClock,
) -> None:
    """The next incarnation continues from its own init only, and no message is unaccounted for."""

    class Twice(Gate):
        async def handle(self, message: Any) -> Any:
            if message == "load 1" and self.context.generation == 1:
                raise ValueError("crash")
            return await super().handle(message)

    seen: list[Any] = []
    spec = ChildSpec("gate", lambda: Twice(seen), backoff=NO_BACKOFF)
    async with open_system(SupervisorSpec([spec])) as system:
        await wait_all_tasks_blocked()
        counted = system.inspect("gate").statistics()

    assert seen == ["on_stop", "load 1", "load 2", "on_stop"]
    assert counted.accepted == counted.handled + counted.dead + counted.expired == 4


async def test_stashed_messages_come_back_in_order(autojump_clock: MockClock) -> None:
    """What was put aside is handled before what waits, as many at a time as asked for."""
    seen: list[Any] = []
    async with open_system(gate(seen)) as system:
        a = system.address("gate")
        for message in (1, 2, 3):
            a.tell(message)
        await wait_all_tasks_blocked()
        assert system.inspect("gate").statistics().stashed == 3

        a.tell(("unstash", 2))
        a.tell("plain")
        await wait_all_tasks_blocked()
        assert seen[2:] == [("unstash", 2), 1, 2, "plain"]
        assert await a.ask("open") == 1
        await wait_all_tasks_blocked()
        assert seen[-1] == 3


async def test_stashed_ask_is_answered_later(autojump_clock: MockClock) -> None:
    """The caller of a stashed ask waits, and gets its answer."""
    async with open_system(gate([])) as system, trio.open_nursery() as nursery:
        answers: list[Any] = []

        @nursery.start_soon
        async def ask() -> None:
            answers.append(await system.address("gate").ask(7))

        await wait_all_tasks_blocked()
        assert answers == []
        system.address("gate").tell("open")
        await wait_all_tasks_blocked()
        assert answers == [7]


async def test_stashed_messages_survive_a_crash(autojump_clock: MockClock) -> None:
    """They wait for the next incarnation, before all that came later."""
    seen: list[Any] = []
    async with open_system(gate(seen)) as system:
        for message in (1, 2, "crash", "open", 3):
            system.address("gate").tell(message)
        await wait_all_tasks_blocked()

    assert seen == ["load 1", "load 2", "on_stop", "load 1", "load 2", 1, 2, 3, "on_stop"]


async def test_overfull_stash_is_a_failure(autojump_clock: MockClock, recorder: Any) -> None:
    """The bound of the stash is explicit, and one message more fails the actor."""
    async with open_system(gate([]), hooks=recorder) as system:
        for message in (1, 2, 3, 4, "open"):
            system.address("gate").tell(message)
        await wait_all_tasks_blocked()

    [ended] = recorder.of(Event.CHILD_ENDED)
    assert type(ended.cause).__name__ == "StashFull"


async def test_unknown_ask_is_answered_with_an_error(autojump_clock: MockClock) -> None:
    """The caller learns that nothing was done, and the server goes on."""
    async with open_system(gate([])) as system:
        a = system.address("gate")
        with pytest.raises(NotUnderstood):
            await a.ask("what?")

        assert a.generation == 1


async def test_unknown_tell_is_a_dead_letter(autojump_clock: MockClock) -> None:
    """It does not crash the server, also if the actor defines no handler at all."""
    spec = SupervisorSpec([ChildSpec("a", Actor)])
    async with open_system(spec) as system:
        system.address("a").tell("what?")
        await wait_all_tasks_blocked()

        [letter] = system.dead_letters.ring
        assert (letter.reason, letter.message) == (DeadReason.UNKNOWN, "what?")
        assert system.address("a").generation == 1


async def test_stop_with_reply_replies_first(autojump_clock: MockClock) -> None:
    """The answer reaches the caller although the actor ends with it, and on_stop comes after."""
    seen: list[Any] = []
    async with open_system(gate(seen)) as system:
        assert await system.address("gate").ask("stop with reply") == "bye"
        await wait_all_tasks_blocked()

        assert seen == ["load 1", "load 2", "on_stop", "load 1", "load 2"]


@pytest.mark.parametrize("strict", [False, True])
async def test_second_answer(autojump_clock: MockClock, strict: bool) -> None:
    """Answering twice is counted in production, and fails the server in a strict system."""

    class Twice(Actor):
        async def handle(self, message: Any) -> Any:
            reply = self.context.take_reply()
            assert reply is not None
            reply.answer("first")
            reply.answer("second")

    spec = SupervisorSpec([ChildSpec("a", Twice)])
    async with open_system(spec, strict=strict) as system:
        a = system.address("a")
        assert await a.ask("x") == "first"
        await wait_all_tasks_blocked()

        assert a.generation == (2 if strict else 1)
        assert isinstance(a._cell.last_failure, AnsweredTwice) is strict
        assert system.inspect("a").statistics().late_replies == (0 if strict else 1)


async def test_crashed_ask_of_a_stashing_actor_fails_once(autojump_clock: MockClock) -> None:
    """A crash while messages are stashed fails only what was in hand."""
    async with open_system(gate([])) as system, trio.open_nursery() as nursery:
        a = system.address("gate")
        answers: list[Any] = []

        @nursery.start_soon
        async def ask() -> None:
            answers.append(await a.ask(1))

        await wait_all_tasks_blocked()
        with pytest.raises(ServerDied):
            await a.ask("crash")
        await a.ask("open")
        await wait_all_tasks_blocked()
        assert answers == [1]


def test_aside_is_conserved_wherever_it_is_cancelled() -> None:
    """At every checkpoint: no stashed message is lost, handled twice or left without an account."""

    async def scenario(fault: Fault) -> None:
        seen: list[Any] = []
        registry = Registry()
        registry.address("gate")
        with fault:
            async with open_system(gate(seen), registry=registry) as system:
                a, inspection = system.address("gate"), system.inspect("gate")
                for message in (1, 2, "crash", 3):
                    a.tell(message)
                trace = inspection.trace(messages_max=5, seconds_max=1)
                await trio.sleep(0.1)
                with suppress(SupervisionError, ValueError):
                    await inspection.get_state()
                with suppress(SupervisionError, ValueError):
                    await a.ask("open")
                await trace.wait_stopped()
        counted = Inspection(cell_of(registry.address("gate"))).statistics()
        assert counted.accepted == counted.handled + counted.dead + counted.expired
        assert (counted.waiting, counted.stashed) == (0, 0)
        numbers = [message for message in seen if isinstance(message, int)]
        assert numbers == sorted(set(numbers))

    print(sweep(scenario).summary())
