"""Tests and `supervision.faults` lean on a few private names of Trio; here we notice a move."""

import random
from collections.abc import Callable

import pytest
import trio
import trio.testing

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


async def test_trio_still_has_the_names_of_the_fault_kit() -> None:
    """A ready task is resumed by a function and a value; a blocked one has an abort function."""
    runner = trio._core._run.GLOBAL_RUN_CONTEXT.runner
    ready: list[tuple[object, object, object]] = []
    blocked: list[tuple[object, object, object]] = []

    async def observed() -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(observed)
        (task,) = nursery.child_tasks
        assert task in runner.runq
        ready.append((task._next_send_fn, task._next_send, task._abort_func))
        await trio.testing.wait_all_tasks_blocked()
        blocked.append((task._next_send_fn, task._next_send, task._abort_func))
        assert task not in runner.runq
        assert callable(task._attempt_abort)
        nursery.cancel_scope.cancel()

    assert callable(ready[0][0])
    assert ready[0][2] is None
    assert blocked[0][:2] == (None, None)
    assert callable(blocked[0][2])


async def test_creation_orders_the_tasks_of_a_batch() -> None:
    """Trio numbers its tasks; a schedule that was recorded counts on that order."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)
        nursery.start_soon(trio.lowlevel.checkpoint)
        numbers = [task._counter for task in nursery.child_tasks]

        assert len(set(numbers)) == 2


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
