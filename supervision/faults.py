"""Faults at every checkpoint: run a scenario again and again, and strike at its k-th step.

A Trio task can be cancelled only where it yields. So the ways in which a cancellation can mix
with a scenario are finite: count the steps of the tasks under test, and in run k strike right after
the k-th step. At that moment the task has just blocked, so a cancellation takes effect at exactly
that await. Run until a strike finds nothing left to hit. Only public parts of Trio are used, so
this serves any Trio program::

    async def scenario(fault: Fault) -> None:
        with fault:                      # what runs in here, and below it, is under test
            await transfer(bank)
        assert bank.is_balanced()        # must hold wherever the strike fell

    print(sweep(scenario).summary())

The default strike cancels the block. Set ``fault.strike`` to something else to stop a server, drop
a connection, crash an actor or let the clock jump. Each run has virtual time of its own; it must
end, and leave no task behind. A failure tells how to run exactly that case again.

Trio chooses the order of tasks at random. Pass ``reseed`` to make every run take the same course,
so that the sweep is complete for that course; without it each run is still a valid one.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType

import attrs
import trio
from trio.lowlevel import Task, current_task
from trio.testing import MockClock

Scenario = Callable[["Fault"], Awaitable[None]]


class SweepError(AssertionError):
    """A scenario broke under a fault. ``__cause__`` is how; the text says how to repeat it."""


class Fault(trio.abc.Instrument):
    """A strike at one step of the tasks in a ``with`` block and below it.

    Attributes:
        step: the step to strike at, from 1.
        strike: what to do there, synchronously; by default the block is cancelled.
        steps: how many steps were counted.
        fired: the strike was done.
        site: where the struck task was waiting, as "file:line function".
        scope: the scope of the block; ``scope.cancelled_caught`` tells whether it was cut short.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.scope = trio.CancelScope()
        self.strike: Callable[[], object] = self._cancel
        self.steps = 0
        self.fired = False
        self.site = ""
        self.error: BaseException | None = None
        self._tasks: set[Task] = set()

    def _cancel(self) -> None:
        self.scope.cancel(reason=f"injected at step {self.step}")

    def __enter__(self) -> "Fault":
        """Put what follows under test."""
        self._tasks.add(current_task())
        self.scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Absorb the cancellation that was injected, and nothing else."""
        self._tasks.clear()
        return self.scope.__exit__(kind, error, traceback)

    def task_spawned(self, task: Task) -> None:
        """Follow the children of the tasks under test."""
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def task_exited(self, task: Task) -> None:
        """Forget a task."""
        self._tasks.discard(task)

    def after_task_step(self, task: Task) -> None:
        """Count a step, and strike if it is the one."""
        if task not in self._tasks:
            return
        self.steps += 1
        if self.steps == self.step:
            self.fired = True
            self.site = _site(task)
            try:
                self.strike()
            except BaseException as error:  # noqa: BLE001, ASYNC103  # Trio would only log it
                self.error = error  # noqa: ASYNC104  # raised after the run


@attrs.frozen
class Sweep:
    """What a sweep did: how many steps were struck, and how often at each site."""

    steps: int
    cut_short: int
    sites: Counter[str]

    def summary(self) -> str:
        """Say it in a line."""
        return (
            f"{self.steps} steps struck at {len(self.sites)} sites; "
            f"{self.cut_short} runs were cut short, the others finished first"
        )


def sweep(
    scenario: Scenario,
    *,
    reseed: Callable[[], object] | None = None,
    virtual_seconds_max: float = 3600.0,
    steps_max: int = 20_000,
) -> Sweep:
    """Run a scenario once for each of its steps, with a strike there.

    Call it from ordinary code: each run is a ``trio.run`` of its own.

    Args:
        scenario: an async function that makes its whole world anew.
        reseed: called before each run.
        virtual_seconds_max: a run that takes longer counts as hanging.
        steps_max: bound of the sweep, in case the scenario grows with each run.

    Raises:
        SweepError: the scenario failed, hung or left a task behind under some strike, or has more
            than ``steps_max`` steps.
    """
    sites: Counter[str] = Counter()
    cut_short = 0
    for step in range(1, steps_max + 1):
        fault = run_step(scenario, step, reseed=reseed, virtual_seconds_max=virtual_seconds_max)
        if not fault.fired:
            return Sweep(step - 1, cut_short, sites)
        sites[fault.site] += 1
        cut_short += fault.scope.cancelled_caught
    raise SweepError(f"{_name(scenario)} has more than {steps_max} steps")


def run_step(
    scenario: Scenario,
    step: int,
    *,
    reseed: Callable[[], object] | None = None,
    virtual_seconds_max: float = 3600.0,
) -> Fault:
    """Run a scenario once, with a strike at one step; with step 0 there is none.

    Raises:
        SweepError: it failed, hung or left a task behind.
    """
    fault = Fault(step)
    if reseed is not None:
        reseed()
    try:
        trio.run(
            _run_once,
            scenario,
            fault,
            virtual_seconds_max,
            clock=MockClock(autojump_threshold=0),
            instruments=[fault],
        )
        if fault.error is not None:
            raise fault.error
    except Exception as error:
        raise SweepError(
            f"{_name(scenario)} broke when struck at step {step}, in {fault.site or 'no task'}: "
            f"{error!r}; repeat with run_step({_name(scenario)}, {step})"
        ) from error
    return fault


async def _run_once(scenario: Scenario, fault: Fault, seconds_max: float) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(seconds_max):
        await scenario(fault)
    left = trio.lowlevel.current_statistics().tasks_living - before
    assert left == 0, f"{left} tasks were left behind"


def _site(task: Task) -> str:
    """Return the innermost frame of a waiting task that is not Trio's."""
    site = ""
    for frame, line in task.iter_await_frames():
        if not frame.f_globals.get("__name__", "").startswith("trio."):
            site = f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
    return site


def _name(scenario: Scenario) -> str:
    return getattr(scenario, "__qualname__", repr(scenario))
