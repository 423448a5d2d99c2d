"""The seed fixture leans on two private names of Trio; these tests notice when they move."""

import random
from collections.abc import Callable

import pytest
import trio

TASKS = 6
STEPS = 5


def trace() -> list[int]:
    """Run a few tasks that only yield, and tell who ran when."""
    order: list[int] = []

    async def step(task: int) -> None:
        for _ in range(STEPS):
            order.append(task)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for task in range(TASKS):
                nursery.start_soon(step, task)

    trio.run(main)
    return order


def test_trio_still_has_the_names() -> None:
    """The switch and the generator that the seed fixture sets are where they were."""
    assert isinstance(trio._core._run._r, random.Random)
    assert isinstance(trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING, bool)


@pytest.mark.parametrize("repeated_seed", [0, 1, 2**32 - 1])
def test_same_seed_same_schedule(
    seed_scheduling: Callable[[int], None], repeated_seed: int
) -> None:
    """Two runs from one seed run their tasks in the same order."""
    seed_scheduling(repeated_seed)
    first = trace()
    seed_scheduling(repeated_seed)

    assert trace() == first


def test_different_seeds_explore_schedules(seed_scheduling: Callable[[int], None]) -> None:
    """Ten seeds give ten schedules, far beyond the two of Trio's usual coin toss."""
    schedules = set()
    for other_seed in range(10):
        seed_scheduling(other_seed)
        schedules.add(tuple(trace()))

    assert len(schedules) == 10


def test_seed_of_a_test_is_its_own(request: pytest.FixtureRequest, seed: int) -> None:
    """A test's seed follows from the session's seed and the test's name, nothing else."""
    name = f"{request.config.getoption('--seed')} {request.node.nodeid}"

    assert seed == random.Random(name).getrandbits(32)
