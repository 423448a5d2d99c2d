"""Subscription actors in a real supervision tree."""

from functools import partial

import pytest
import trio

from actors.outlet import FAILED
from actors.subscription import Ended, Policy, Subscription, close_connection
from actors.subscription_actor import IDLE_SECONDS, subscriptions_pool, wake
from supervision import ChildSpec, Pool, PoolFull, State, SupervisorSpec, System, open_system
from tests.actors.memory_outlet import MemoryOutlet, text


def tree() -> SupervisorSpec:
    return SupervisorSpec(children=(ChildSpec("subscriptions", subscriptions_pool()),))


def open_subscription(
    system: System, outlet: MemoryOutlet, name: str = "c1:l2Book:BTC"
) -> Subscription:
    pool = system.pool("subscriptions")
    return Subscription(
        name, outlet, Policy.LOSSLESS, wake=partial(wake, pool), on_end=close_connection
    )


async def test_a_client_that_keeps_up_has_no_actor(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A thousand subscriptions whose sockets are writable leave the pool empty."""
    async with open_system(tree()) as system:
        outlet = MemoryOutlet(room=1_000)
        for number in range(1_000):
            open_subscription(system, outlet, str(number)).offer(text("a"))

        assert system.pool("subscriptions").keys() == []


async def test_a_slow_client_is_drained_by_an_actor_that_later_sleeps_and_wakes(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The actor starts with the backlog, is put to sleep when idle, and comes back in order."""
    async with open_system(tree()) as system:
        outlet = MemoryOutlet()
        nursery.start_soon(outlet.run)
        subscription = open_subscription(system, outlet)
        address = system.pool("subscriptions").address(subscription)

        for payload in "abc":
            subscription.offer(text(payload))
        await trio.sleep(1)
        outlet.make_room(3)
        await trio.sleep(3 * IDLE_SECONDS)
        assert outlet.texts == ["a", "b", "c"]
        assert address.state is State.IDLE
        for payload in "de":
            subscription.offer(text(payload))
        outlet.make_room(2)
        await trio.sleep(1)

        assert outlet.texts == ["a", "b", "c", "d", "e"]
        assert address.generation == 2


async def test_an_ended_subscription_leaves_the_pool(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Ending a subscription in the middle of its drain stops the actor and forgets it."""
    async with open_system(tree()) as system:
        outlet = MemoryOutlet()
        nursery.start_soon(outlet.run)
        subscription = open_subscription(system, outlet)
        subscription.offer(text("a"))
        await trio.sleep(1)
        assert system.pool("subscriptions").keys() == [subscription]

        subscription.end(Ended.UNSUBSCRIBED)
        await trio.sleep(1)

        assert system.pool("subscriptions").keys() == []
        assert outlet.closing is None


async def test_a_crash_of_the_drain_ends_the_subscription_and_closes_the_connection(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose stream broke on our side is told by a close, not left with a gap."""

    def fail(_frame: object) -> bool:
        raise ZeroDivisionError

    async with open_system(tree()) as system:
        outlet = MemoryOutlet()
        nursery.start_soon(outlet.run)
        subscription = open_subscription(system, outlet)
        monkeypatch.setattr(outlet, "write_in_turn", fail)
        subscription.offer(text("a"))

        outlet.make_room(1)
        await trio.sleep(1)

        assert subscription.ended is Ended.CRASHED
        assert outlet.goodbye == FAILED
        assert system.pool("subscriptions").keys() == []


def test_a_full_pool_ends_the_subscription() -> None:
    """Without room for another actor the client is closed rather than left with a gap."""

    class FullPool(Pool[Subscription]):
        def __init__(self) -> None: ...

        def address(self, key: Subscription) -> None:  # type: ignore[override]
            raise PoolFull("subscriptions")

        def stop(self, key: Subscription) -> None: ...

    outlet = MemoryOutlet()
    subscription = Subscription(
        "one", outlet, Policy.LOSSLESS, wake=partial(wake, FullPool()), on_end=close_connection
    )

    subscription.offer(text("a"))

    assert subscription.ended is Ended.CRASHED
    assert outlet.closing == FAILED
