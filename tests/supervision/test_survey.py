"""A bounded look at a running tree."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from supervision import (
    Actor,
    ChildSpec,
    PoolSpec,
    Registry,
    State,
    SupervisorSpec,
    Task,
    UnknownPath,
    open_system,
)


class Worker(Actor):
    """Works for as many seconds as it is told."""

    async def handle(self, message: float) -> None:
        if message < 0:
            raise ValueError("negative")
        await trio.sleep(message)


async def _idle(task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


def tree() -> SupervisorSpec:
    pool: PoolSpec[Any] = PoolSpec(start=lambda key: Worker(), intensity=0)
    inner = SupervisorSpec([ChildSpec("b", Worker), ChildSpec("pool", pool)])
    return SupervisorSpec(
        [ChildSpec("a", Worker), ChildSpec("s", inner), ChildSpec("t", Task(_idle))]
    )


async def test_busy_share_counts_what_is_in_hand(autojump_clock: MockClock) -> None:
    """A handler that has not come back is busy, and says since when."""
    async with open_system(tree()) as system:
        system.address("a").tell(1000.0)
        system.address("s/b").tell(0.25)
        rows = {row.status.path: row for row in await system.survey(seconds=1.0)}

    assert rows["a"].busy_share == pytest.approx(1.0)
    assert rows["a"].status.in_hand_seconds == pytest.approx(1.0)
    assert rows["s/b"].busy_share == pytest.approx(0.25)
    assert rows["t"].busy_share is None


async def test_survey_is_in_the_order_of_the_tree(autojump_clock: MockClock) -> None:
    """Parents come before their children, children in the order of their start."""
    async with open_system(tree()) as system:
        system.pool("s/pool").address("x").tell(0.0)
        everything = await system.survey()
        below = await system.survey("s/pool")
        one = await system.survey("s/pool/x")

    assert [row.status.path for row in everything] == [
        "", "a", "s", "s/b", "s/pool", "s/pool/x", "t",
    ]  # fmt: skip
    assert [row.status.path for row in below] == ["s/pool", "s/pool/x"]
    assert [row.status.path for row in one] == ["s/pool/x"]


async def test_promised_cells_keep_their_place(autojump_clock: MockClock) -> None:
    """Whose address was asked for early stands where it is specified, not where it was asked."""
    registry = Registry()
    registry.address("s/b")
    registry.address("t")
    async with open_system(tree(), registry=registry) as system:
        paths = [row.status.path for row in await system.survey()]

    assert paths == ["", "a", "s", "s/b", "s/pool", "t"]


async def test_pool_lists_whom_somebody_should_look_at(autojump_clock: MockClock) -> None:
    """The failed, the one that lets others wait and the busy are listed; the rest is counted."""
    async with open_system(tree()) as system:
        pool = system.pool("s/pool")
        for key in range(1200):
            pool.address(key).tell(0.0)
        await trio.sleep(1)
        pool.address(700).tell(-1.0)
        pool.address(30).tell(50.0)
        pool.address(31).tell(0.01)
        for _ in range(3):
            pool.address(600).tell(50.0)
        await trio.sleep(1)
        head, *members = await system.survey("s/pool", members_max=3, seconds=1.0)

    assert [row.status.path for row in members] == ["s/pool/30", "s/pool/600", "s/pool/700"]
    assert head.crowd is not None
    assert head.crowd.known == 1200
    assert head.crowd.states == {State.RUNNING: 1199, State.FAILED: 1}
    assert head.crowd.depth == 2
    assert head.crowd.busy_share == pytest.approx(2.0)
    assert head.crowd.oldest_age == pytest.approx(2.0)


async def test_survey_of_an_unknown_path_is_refused(autojump_clock: MockClock) -> None:
    """It neither waits nor makes a cell."""
    async with open_system(tree()) as system:
        for path in ("nobody", "s/pool/nobody"):
            with pytest.raises(UnknownPath):
                await system.survey(path)
