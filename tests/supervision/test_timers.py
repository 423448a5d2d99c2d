"""Timers: what is held, and for how long."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from supervision import (
    Actor,
    ChildSpec,
    Envelope,
    PoolSpec,
    State,
    SupervisorSpec,
    System,
    open_system,
)
from supervision.timers import SPARE_MAX

TURNS = 20 * SPARE_MAX


class Sleeper(Actor):
    """Sets the timers that it is told of."""

    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    async def handle(self, message: Any) -> Any:
        match message:
            case ("set", key, seconds):
                self.context.set_timer(key, seconds, "rang")
            case ("cancel", key):
                self.context.cancel_timer(key)
            case _:
                self.heard.append(message)


def tree(heard: list[Any]) -> SupervisorSpec:
    pool: PoolSpec[str] = PoolSpec(start=lambda _: Sleeper(heard), idle_seconds=10)
    return SupervisorSpec([ChildSpec("pool", pool)])


def held(system: System) -> int:
    """How many timers the system holds, over or not."""
    return len(system.registry.services.timers)


async def test_actor_whose_timers_have_fired_is_idle(autojump_clock: MockClock) -> None:
    """A pending timer keeps an actor; one that fired and was handled does not."""
    heard: list[Any] = []
    async with open_system(tree(heard)) as system:
        one = system.pool("pool").address("one")
        one.tell(("set", "k", 30))
        states = []
        for _ in range(2):
            await trio.sleep(29)
            states.append(one.state)

        assert heard == ["rang"]
        assert states == [State.RUNNING, State.IDLE]


async def test_timer_that_is_set_again_and_again_is_held_once(autojump_clock: MockClock) -> None:
    """However often a timer is put off, memory holds it and some that are over."""
    heard: list[Any] = []
    async with open_system(tree(heard)) as system:
        one = system.pool("pool").address("one")
        most = 0
        for _ in range(TURNS):
            await one.ask(("set", "k", 5))
            most = max(most, held(system))

        assert most <= SPARE_MAX + 2
        assert held(system) >= 1
        await trio.sleep(6)
        assert (heard, held(system)) == (["rang"], 0)


async def test_keys_of_fired_timers_are_forgotten(autojump_clock: MockClock) -> None:
    """A new key for every timer costs no memory once it has fired."""
    heard: list[Any] = []
    async with open_system(tree(heard)) as system:
        one = system.pool("pool").address("one")
        most = 0
        for key in range(TURNS):
            await one.ask(("set", key, 0.1))
            await trio.sleep(0.2)
            most = max(most, await system.probe("pool/one", _known))

        assert len(heard) == TURNS
        assert most <= SPARE_MAX + 1


class Waiter(Actor):
    """Wants to hear of quiet times; notes what it hears and when."""

    def __init__(self, heard: list[tuple[Any, float]], seconds: float) -> None:
        self.heard = heard
        self.seconds = seconds

    async def init(self) -> None:
        self.context.set_idle_timeout(self.seconds, "quiet")

    async def handle(self, message: Any) -> Any:
        match message:
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case "enough":
                self.context.cancel_idle_timeout()
            case _:
                pass
        self.heard.append((message, trio.current_time()))


class GroupWaiter(Waiter):
    """The same with batches."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            envelope.answer(await self.handle(envelope.message))


@pytest.mark.parametrize("kind", [Waiter, GroupWaiter])
async def test_any_message_ends_a_quiet_time(autojump_clock: MockClock, kind: type[Waiter]) -> None:
    """The time counts from the last message on, and each quiet time is told of once."""
    heard: list[tuple[Any, float]] = []
    spec = SupervisorSpec([ChildSpec("a", lambda: kind(heard, 5))])
    async with open_system(spec) as system:
        a = system.address("a")
        for _ in range(3):
            await trio.sleep(4)
            a.tell("x")
        await trio.sleep(30)
        a.tell(("sleep", 20))
        await trio.sleep(40)
        a.tell("enough")
        await trio.sleep(40)

    quiet = [at for message, at in heard if message == "quiet"]
    assert quiet == [17, 67]


async def test_looking_at_an_actor_does_not_end_its_quiet_time(autojump_clock: MockClock) -> None:
    """Nor does holding it: what waits then is no quiet."""
    heard: list[tuple[Any, float]] = []
    spec = SupervisorSpec([ChildSpec("a", lambda: Waiter(heard, 5))])
    async with open_system(spec) as system:
        await trio.sleep(3)
        await system.inspect("a").get_state()
        await trio.sleep(3)
        assert heard == [("quiet", 5)]

        system.inspect("a").suspend()
        system.address("a").tell("x")
        await trio.sleep(20)
        assert len(heard) == 1
        system.inspect("a").resume()
        await trio.sleep(20)
        assert heard[1:] == [("x", 26), ("quiet", 31)]


async def test_what_waits_goes_before_no_time_at_all(autojump_clock: MockClock) -> None:
    """With a timeout of zero everything that waits is handled first."""
    heard: list[tuple[Any, float]] = []
    spec = SupervisorSpec([ChildSpec("a", lambda: Waiter(heard, 0))])
    async with open_system(spec) as system:
        await trio.sleep(1)
        for number in range(100):
            system.address("a").tell(number)
        await trio.sleep(1)

    assert [message for message, _ in heard] == ["quiet", *range(100), "quiet"]


async def test_quiet_times_end_with_their_incarnation(autojump_clock: MockClock) -> None:
    """A pool puts an actor to sleep that only waits for quiet, and nothing stays behind."""
    heard: list[tuple[Any, float]] = []
    pool: PoolSpec[str] = PoolSpec(start=lambda _: Waiter(heard, 60), idle_seconds=10)
    async with open_system(SupervisorSpec([ChildSpec("pool", pool)])) as system:
        one = system.pool("pool").address("one")
        one.tell("x")
        await trio.sleep(100)

        assert one.state is State.IDLE
        assert heard == [("x", 0)]


def _known(actor: Actor) -> int:
    timers = actor.context._run._timers
    assert timers is not None
    return len(timers._by_key)


async def test_cancelled_timers_leave_the_others_alone(autojump_clock: MockClock) -> None:
    """When those that are over are thrown out, the pending stay and fire in their order."""
    heard: list[Any] = []
    async with open_system(tree(heard)) as system:
        one = system.pool("pool").address("one")
        for key in range(TURNS):
            one.tell(("set", key, 10))
            await one.ask(("cancel", key - 1 if key % 10 else -1))

        kept = TURNS // 10
        assert held(system) <= 2 * kept + SPARE_MAX
        await trio.sleep(11)
        assert len(heard) == kept
