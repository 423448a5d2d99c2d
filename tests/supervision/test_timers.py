"""Timers: what is held, and for how long."""

from typing import Any

import trio
from trio.testing import MockClock

from supervision import Actor, ChildSpec, PoolSpec, State, SupervisorSpec, System, open_system
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
