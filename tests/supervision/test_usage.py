import pytest
import trio
from trio.testing import MockClock

from supervision import (
    Actor,
    ChildSpec,
    PoolSpec,
    Registry,
    SupervisorSpec,
    UsageMeter,
    open_system,
)


class Sleeper(Actor):
    async def handle(self, message: object) -> object:
        assert isinstance(message, float)
        await trio.sleep(message)
        return None


def tree() -> SupervisorSpec:
    pool: PoolSpec[int] = PoolSpec(start=lambda _key: Sleeper(), idle_seconds=5.0)
    return SupervisorSpec([ChildSpec("a", Sleeper), ChildSpec("pool", pool)])


async def test_kinds_are_summed_up(autojump_clock: MockClock) -> None:
    """All actors of a pool are one kind; what waits, for how long and what was done is added up."""
    registry = Registry()
    async with open_system(tree(), registry=registry) as system:
        meter = UsageMeter(registry)
        for key in range(600):
            system.pool("pool").address(key).tell(0.5)
        for _ in range(3):
            system.address("a").tell(4.0)
        await trio.sleep(2)
        await meter.look()

    assert meter.kinds.keys() == {"a", "pool"}
    pool, one = meter.kinds["pool"], meter.kinds["a"]
    assert (pool.actors, pool.handled, pool.depth) == (600, 600, 0)
    assert pool.busy_seconds == pytest.approx(300.0)
    assert (one.actors, one.handled) == (1, 0)
    assert one.depth == 2
    assert one.oldest_seconds == pytest.approx(2.0)


async def test_what_the_departed_did_is_kept(autojump_clock: MockClock) -> None:
    """Counts never fall, although idle actors are let go of, and nothing is counted twice."""
    registry = Registry()
    async with open_system(tree(), registry=registry) as system:
        meter = UsageMeter(registry)
        system.pool("pool").address(1).tell(0.5)
        await trio.sleep(1)
        await meter.look()
        await meter.look()
        before = meter.kinds["pool"]
        await trio.sleep(60)
        system.pool("pool").address(1).tell(0.5)
        await trio.sleep(1)
        await meter.look()

    assert before.handled == 1
    assert before.busy_seconds == pytest.approx(0.5)
    assert meter.kinds["pool"].handled == 2
