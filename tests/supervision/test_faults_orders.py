"""The searches over orders find planted races, find all orders, and say how to see one again."""

import pytest
import trio

from supervision.faults import (
    Course,
    Fault,
    SweepError,
    explore,
    run_priorities,
    run_seeds,
    seeded,
    sweep,
)


class Register:
    """Read, yield, write: the smallest race."""

    def __init__(self) -> None:
        self.value = 0

    async def add(self) -> None:
        seen = self.value
        await trio.lowlevel.checkpoint()
        self.value = seen + 1


async def lost_update(course: Course) -> None:
    register = Register()
    with course:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(register.add)
            nursery.start_soon(register.add)
    assert register.value == 2


async def locked_update(course: Course) -> None:
    register, lock = Register(), trio.Lock()

    async def add() -> None:
        async with lock:
            await register.add()

    with course:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(add)
    assert register.value == 2


def test_exploring_finds_the_race() -> None:
    """The update that is lost in some orders is found, and the lock that prevents it passes all."""
    with pytest.raises(SweepError, match="lost_update search=order"):
        explore(lost_update)

    done = explore(locked_update)
    assert done.complete
    assert done.runs >= 4


def test_exploring_takes_every_order_once() -> None:
    """Three tasks of two steps each interleave in all 90 ways, and in none twice."""
    orders = []

    async def scenario(course: Course) -> None:
        trace: list[int] = []

        async def step(number: int) -> None:
            trace.append(number)
            await trio.lowlevel.checkpoint()
            trace.append(number)

        async with trio.open_nursery() as nursery:
            with course:
                for number in range(3):
                    nursery.start_soon(step, number)
                await trio.testing.wait_all_tasks_blocked()
        orders.append(tuple(trace))

    done = explore(scenario)

    assert done.complete
    assert len(set(orders)) == 90
    assert done.runs == len(orders)


def test_few_departures_make_few_runs() -> None:
    """A bound on departures makes the search small, and still finds a race that needs one."""
    assert explore(locked_update, departures_max=0).runs == 1
    assert explore(locked_update, departures_max=1).runs < explore(locked_update).runs
    with pytest.raises(SweepError):
        explore(lost_update, departures_max=1)


def test_priorities_find_the_race() -> None:
    """Random priorities with a change find a race in a crowd, and shrink it to few departures."""

    async def crowd(course: Course) -> None:
        turn: list[str] = []

        async def busy() -> None:
            for _ in range(20):
                await trio.lowlevel.checkpoint()

        async def first() -> None:
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            turn.append("first")

        async def second() -> None:  # noqa: ASYNC124  # a task
            turn.append("second")

        with course:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(busy)
                nursery.start_soon(first)
                nursery.start_soon(second)
        assert turn == ["second", "first"]

    with pytest.raises(SweepError, match=r"search=order order=\d+:\d+") as raised:
        run_priorities(crowd, runs=200, seed=1)
    assert str(raised.value).count(":") < 40


def test_priorities_let_spinning_tasks_end() -> None:
    """A task that spins until another has run does not spin for ever."""

    async def scenario(course: Course) -> None:
        done = False

        async def spin() -> None:
            while not done:  # noqa: ASYNC110  # that is the point
                await trio.lowlevel.checkpoint()

        async def finish() -> None:
            nonlocal done
            await trio.lowlevel.checkpoint()
            done = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(spin)
            nursery.start_soon(finish)

    assert run_priorities(scenario, runs=5).runs == 5


def test_seeds_find_the_race_and_name_the_seed() -> None:
    """A seed that fails is named, and it fails again by itself."""

    async def unlucky(course: Course) -> None:
        ended: list[int] = []

        async def end(number: int) -> None:  # noqa: ASYNC124  # a task
            ended.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(end, number)
        assert ended != [2, 0, 1]
        assert 0 <= course.random.random() < 1

    with pytest.raises(SweepError, match=r"unlucky seed=(\d+)") as raised:
        run_seeds(unlucky)
    seed = int(str(raised.value).partition("seed=")[2].partition("'")[0])
    with pytest.raises(SweepError):
        run_seeds(unlucky, [seed])


def test_sweep_with_a_seed_takes_one_course() -> None:
    """The same seed strikes the same places in the same order."""

    async def scenario(fault: Fault) -> None:
        with fault:
            async with trio.open_nursery() as nursery:
                for seconds in (1, 1, 2):
                    nursery.start_soon(trio.sleep, seconds)
                await trio.sleep(1)

    assert sweep(scenario, seed=4) == sweep(scenario, seed=4)


def test_schedule_is_given_back() -> None:
    """After a search Trio's own source of chance is in its place again."""
    run = trio._core._run
    before = run._r, run._ALLOW_DETERMINISTIC_SCHEDULING

    with seeded(1):
        assert run._r is not before[0]
    explore(locked_update)

    assert (run._r, run._ALLOW_DETERMINISTIC_SCHEDULING) == before
