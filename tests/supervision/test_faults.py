"""The sweep finds planted mistakes; `test_sweeps` turns it on the package itself."""

from collections.abc import Callable
from functools import partial

import pytest
import trio
from trio.lowlevel import Task

from supervision.faults import Fault, SweepError, run_step, run_virtual, settle, sweep

Reseed = Callable[[], None]


@pytest.fixture
def reseed(seed_scheduling: Callable[[int], None], seed: int) -> Reseed:
    """Every run of a sweep takes the same course."""
    return partial(seed_scheduling, seed)


class Account:
    """Money that must not be half way when nobody looks."""

    def __init__(self) -> None:
        self.held = False

    async def use(self, *, shielded: bool) -> None:
        self.held = True
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=shielded):
                await trio.sleep(1)  # noqa: ASYNC102  # the mistake under test
                self.held = False


async def use_account(fault: Fault, *, shielded: bool) -> None:
    account = Account()
    with fault:
        await account.use(shielded=shielded)
    assert not account.held


def test_sweep_finds_an_unshielded_clean_up(reseed: Reseed) -> None:
    """A clean-up that a cancellation can cut short is found, with the step that shows it."""
    with pytest.raises(SweepError, match="step 1"):
        sweep(partial(use_account, shielded=False), reseed=reseed)

    assert sweep(partial(use_account, shielded=True), reseed=reseed).steps == 2


def test_sweep_finds_a_hang(reseed: Reseed) -> None:
    """A run that does not end after the strike is a failure."""

    async def hangs(fault: Fault) -> None:
        with fault:
            await trio.sleep(1)
        if fault.fired:
            await trio.sleep_forever()

    with pytest.raises(SweepError, match="TooSlowError"):
        sweep(hangs, reseed=reseed)


def test_one_step_can_be_repeated(reseed: Reseed) -> None:
    """The case of one step can be run alone, and no step at all is a plain run."""
    scenario = partial(use_account, shielded=True)

    assert run_step(scenario, 2, reseed=reseed).site.endswith("Account.use")
    assert not run_step(scenario, 0, reseed=reseed).fired


def test_instrument_that_raises_is_not_overlooked() -> None:
    """Trio switches an instrument off that raised, and goes on: the run counts as failed."""

    class Broken(trio.abc.Instrument):
        def after_task_step(self, task: Task) -> None:
            raise ValueError("broken")

    with pytest.raises(AssertionError, match="switched off"):
        run_virtual(trio.lowlevel.checkpoint, instruments=[Broken()])


def test_run_leaves_no_task_behind() -> None:
    """A task that outlives the function that is run is a failure."""

    async def leaves() -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        await trio.lowlevel.checkpoint()

    with pytest.raises(AssertionError, match="1 tasks were left behind"):
        run_virtual(leaves)


def test_virtual_time_stands_still_while_settling() -> None:
    """Everything that can happen now has happened, and no timer has fired."""
    seen = []

    async def main() -> float:
        async def work() -> None:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            seen.append(trio.current_time())
            await trio.sleep(10)
            seen.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await settle()
            assert seen == [0]
        return trio.current_time()

    assert run_virtual(main) == 10
    assert seen == [0, 10]
