"""Looking into a live actor: state, statistics, traces, and holding it still."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    Address,
    Backoff,
    ChildSpec,
    Direction,
    Envelope,
    MessageEvent,
    Registry,
    Restarting,
    Stopped,
    SupervisorSpec,
    System,
    open_system,
)


class Counter(Actor):
    """Adds, waits, passes on, or crashes."""

    def __init__(self, other: Address | None = None) -> None:
        self.count = 0
        self._other = other

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crashed")
        if message == "keep":
            self.context.take_reply()
        if message == "pass on":
            assert self._other is not None
            self._other.tell(1)
            return await self._other.ask(2)
        if isinstance(message, int):
            self.count += message
            await trio.sleep(message)
        return self.count


class Batches(Actor):
    """Takes many at once."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            envelope.answer(len(batch))


def pair() -> tuple[SupervisorSpec, Registry]:
    """Return a tree of two actors, of which one may ask the other."""
    registry = Registry()
    b = registry.address("b")
    children = [ChildSpec("b", Counter), ChildSpec("a", lambda: Counter(b))]
    return SupervisorSpec(children, intensity=5), registry


def told(system: System, path: str, *messages: Any) -> None:
    for message in messages:
        assert system.address(path).tell(message)


async def test_state_is_read_between_two_messages(autojump_clock: MockClock) -> None:
    """get_state waits for one handler and overtakes all that waits; no code of the actor's own."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        told(system, "b", 1, 10, 100)
        await trio.sleep(0.5)

        assert (await system.inspect("b").get_state())["count"] == 1
        assert trio.current_time() == 1


async def test_state_can_be_replaced(autojump_clock: MockClock) -> None:
    """replace_state takes what the function returns and goes on with it."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        b = system.inspect("b")
        await b.replace_state(lambda state: {**state, "count": 7})

        assert await system.address("b").ask("count") == 7
        assert b.status().generation == 1


async def test_replacement_that_raises_leaves_the_old_state(autojump_clock: MockClock) -> None:
    """The error belongs to who asked; the actor neither notices nor ends."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        b = system.inspect("b")
        with pytest.raises(KeyError):
            await b.replace_state(lambda state: state["missing"])

        assert await system.address("b").ask("count") == 0
        assert b.status().generation == 1


async def test_suspended_actor_answers_only_the_system(autojump_clock: MockClock) -> None:
    """Messages wait while it is suspended, system calls do not; it shows, and ends with resume."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        b = system.inspect("b")
        b.suspend()
        told(system, "b", 1)
        await wait_all_tasks_blocked()
        assert (await b.get_state())["count"] == 0
        assert (b.status().suspended, b.status().depth) == (True, 1)

        b.resume()
        assert await system.address("b").ask("count") == 1
        assert not b.status().suspended


async def test_nothing_is_inspected_where_nothing_runs(autojump_clock: MockClock) -> None:
    """A question to a stopped actor is refused, also when it stops with the question waiting."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system, trio.open_nursery() as nursery:
        told(system, "b", 5)
        await trio.sleep(1)

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(Stopped):
                await system.inspect("b").get_state()

        await wait_all_tasks_blocked()
        await system.supervisor().terminate_child("b")
        for refused in (system.inspect("b").suspend, system.inspect("b").resume):
            with pytest.raises(Stopped):
                refused()


async def test_statistics_are_conserved(autojump_clock: MockClock) -> None:
    """What came in is what went out one way or another, over a crash."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        told(system, "b", 1, "crash", 1)
        await trio.sleep(1.5)
        seen = system.inspect("b").statistics()

        assert (seen.accepted, seen.handled, seen.dead, seen.waiting) == (3, 1, 1, 0)
        assert seen.generation == 2
        assert seen.started_at == 1
        assert seen.high_water == 3


async def test_time_in_backoff_is_counted(autojump_clock: MockClock) -> None:
    """Over all waits, the one in progress included, and asks that came meanwhile are refused."""

    class Fuse(Actor):
        async def handle(self, message: Any) -> None:
            raise ValueError(message)

    backoff = Backoff(min_seconds=2, max_seconds=8, jitter=0, reset_seconds=100)
    spec = SupervisorSpec([ChildSpec("a", Fuse, backoff=backoff)], intensity=9, period_seconds=99)
    async with open_system(spec) as system:
        look = system.inspect("a").statistics
        system.address("a").tell("at once")
        await trio.sleep(1)
        assert look().backoff_seconds == 0
        system.address("a").tell("after 2 s")
        await trio.sleep(1.5)
        assert look().backoff_seconds == 1.5
        with pytest.raises(Restarting) as caught:
            await system.address("a").ask("x")
        await trio.sleep(3)
        system.address("a").tell("after 4 s")
        await trio.sleep(9)

        assert isinstance(caught.value.__cause__, ValueError)
        assert (look().backoff_seconds, look().refused, look().generation) == (6, 1, 4)


async def test_most_control_messages_are_noted(autojump_clock: MockClock) -> None:
    """The high-water mark of the control lane stays when the lane is empty again."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        look = system.inspect("b")
        for _ in range(3):
            look.suspend()
            look.resume()
        await wait_all_tasks_blocked()

        assert look.status().control_depth == 0
        assert look.statistics().control_high_water == 6


async def test_trace_shows_both_directions_and_outcomes(autojump_clock: MockClock) -> None:
    """A trace tells when, which way, with whom, how long it waited and was handled, and the end."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        trace = system.inspect("a").trace()
        told(system, "a", 1)
        await system.address("a").ask("pass on")
        told(system, "a", "crash")
        await wait_all_tasks_blocked()

        def row(event: MessageEvent) -> tuple[object, ...]:
            times = (event.at, event.wait, event.seconds)
            return (event.direction, event.peer, event.kind, event.outcome, times)

        into, out = Direction.IN, Direction.OUT
        assert [row(event) for event in trace.events] == [
            (into, "", "int", "handled", (1, 0, 1)),
            (out, "b", "int", "told", (1, 0, 0)),
            (out, "b", "int", "asked", (1, 0, 0)),
            (into, "", "str", "answered", (4, 1, 3)),
            (into, "", "str", "raised ValueError('crashed')", (4, 0, 0)),
        ]


async def test_trace_switches_itself_off_after_its_messages(autojump_clock: MockClock) -> None:
    """The limit of messages is hard, and nothing is left attached."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        trace = system.inspect("b").trace(messages_max=2, seconds_max=100)
        told(system, "b", "x", "y", "z")

        assert [event.message for event in await trace.wait_stopped()] == ["x", "y"]
        await wait_all_tasks_blocked()
        assert len(trace.events) == 2
        assert not trace.active
        assert system.registry.address("b")._cell.recorders is None


async def test_trace_switches_itself_off_after_its_time(autojump_clock: MockClock) -> None:
    """The limit of time is hard, whether somebody waits for the trace or not."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        watched = system.inspect("b").trace(seconds_max=5)
        forgotten = system.inspect("a").trace(seconds_max=5)
        assert await watched.wait_stopped() == []
        assert trio.current_time() == 5
        assert not forgotten.active

        await trio.sleep(1)
        told(system, "a", "late")
        await wait_all_tasks_blocked()
        assert forgotten.events == []
        assert system.registry.address("a")._cell.recorders is None


async def test_trace_can_be_followed(autojump_clock: MockClock) -> None:
    """Events come one by one as they happen, and the iteration ends with the trace."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        trace = system.inspect("b").trace(seconds_max=4, match=lambda event: event.kind == "int")
        told(system, "b", 1, "skipped", 1)

        assert [event.at async for event in trace] == [1, 2]
        assert trio.current_time() == 4


async def test_trace_goes_on_over_a_restart(autojump_clock: MockClock) -> None:
    """A trace belongs to the place, not to the incarnation."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        trace = system.inspect("b").trace()
        told(system, "b", "crash", "x")
        await wait_all_tasks_blocked()

        assert [event.generation for event in trace.events] == [1, 2]


async def test_trace_of_a_batch_tells_of_each_message(autojump_clock: MockClock) -> None:
    """An actor that takes many at once is traced message by message."""
    async with open_system(SupervisorSpec([ChildSpec("a", Batches)])) as system:
        trace = system.inspect("a").trace()
        told(system, "a", 1, 2)
        with trio.move_on_after(0):
            await system.address("a").ask("gone")
        await wait_all_tasks_blocked()

        assert sorted(event.outcome for event in trace.events) == ["expired", "handled", "handled"]


async def test_last_events_are_a_ring(autojump_clock: MockClock) -> None:
    """The newest N events are kept until told otherwise, and read by anybody."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        b = system.inspect("b")
        kept = b.keep_last(2)
        told(system, "b", "x", "y", "keep")
        await wait_all_tasks_blocked()
        assert [event.message for event in system.inspect("b").last_events()] == ["y", "keep"]

        kept.stop()
        assert b.last_events() == []


async def test_installed_function_that_raises_is_taken_off(autojump_clock: MockClock) -> None:
    """Who looks cannot harm what is looked at."""
    spec, registry = pair()

    def broken(event: MessageEvent) -> None:
        raise RuntimeError("broken")

    async with open_system(spec, registry=registry) as system:
        b = system.inspect("b")
        b.install(broken)
        seen: list[MessageEvent] = []
        b.install(seen.append)
        told(system, "b", "x", "y")
        await wait_all_tasks_blocked()

        assert len(seen) == 2
        assert system.registry.services.reporter.errors == 1
        b.remove(seen.append)
        assert b.status().generation == 1


async def test_who_waits_on_whom(autojump_clock: MockClock) -> None:
    """Asks in progress between actors are listed, with what is asked and since when."""
    spec, registry = pair()
    async with open_system(spec, registry=registry) as system:
        told(system, "a", "pass on")
        await trio.sleep(2)
        [wait] = system.who_waits()

        assert (wait.asker, wait.server, wait.kind, wait.seconds) == ("a", "b", "int", 2)
        assert (wait.kept, wait.in_cycle) == (False, False)
