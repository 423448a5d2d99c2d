"""Run a scenario again and again, with a strike one step later each time."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import attrs

from supervision.faults.cases import Case, SweepError, broken, name_of, wanted
from supervision.faults.fault import Fault, Strike
from supervision.faults.schedules import seeded
from supervision.faults.worlds import VIRTUAL_SECONDS_MAX, run_virtual

Scenario = Callable[[Fault], Awaitable[None]]
"""An async function that makes its whole world anew, and puts a part of it under ``with fault``."""


@attrs.frozen
class Sweep:
    """What a sweep did.

    Attributes:
        steps: how many steps, or pairs of steps, were struck.
        cut_short: how many runs the strike cut short; the others finished first.
        sites: how often each place was struck, by "file:line function".
        seen: all places at which a task under test waited, those after a strike included.
        refused: steps at which the strike could not be done.
        total: steps that there are; more than were struck if ``runs_max`` bounded the sweep.
    """

    steps: int
    cut_short: int
    sites: Counter[str]
    seen: frozenset[str] = frozenset()
    refused: int = 0
    total: int = 0

    def summary(self) -> str:
        """Say it in a line."""
        of_total = f" of {self.total}" if self.total > self.steps + self.refused else ""
        refused = f", {self.refused} refused" if self.refused else ""
        return (
            f"{self.steps}{of_total} steps struck{refused} at {len(self.sites)} of "
            f"{len(self.seen)} sites; {self.cut_short} runs were cut short, the others finished "
            "first"
        )


@attrs.define
class _Runner:
    """How to run one case of a scenario; what it saw in all of them."""

    scenario: Scenario
    strikes: tuple[Strike, ...]
    where: Callable[[str], bool] | None
    seed: int | None
    reseed: Callable[[], object] | None
    virtual_seconds_max: float
    pytest_args: str = ""
    search: str = ""
    seen: set[str] = attrs.field(factory=set)
    sites: Counter[str] = attrs.field(factory=Counter)
    done: int = 0
    cut_short: int = 0
    refused: int = 0

    def run(self, *steps: int) -> Fault:
        """Run with strikes at some steps, and count what happened."""
        fault = Fault(*steps, strikes=self.strikes, where=self.where)
        if self.reseed is not None:
            self.reseed()
        try:
            with seeded(self.seed):
                run_virtual(
                    partial(self.scenario, fault),
                    clock=fault.clock,
                    instruments=[fault],
                    virtual_seconds_max=self.virtual_seconds_max,
                )
            if fault.error is not None:
                raise fault.error
        except Exception as error:
            case = Case(name_of(self.scenario), steps, self.seed, search=self.search)
            place = fault.site or "no task"
            raise broken(case, place, error, self.pytest_args) from error
        self.seen.update(fault.trail)
        return fault

    def strike(self, *steps: int) -> bool:
        """Run with strikes; False if they found nothing left to hit."""
        fault = self.run(*steps)
        if not fault.fired:
            return False
        if fault.refused:
            self.refused += 1
            return True
        self.done += 1
        self.sites[fault.site] += 1
        self.cut_short += fault.scope.cancelled_caught or fault.caught
        return True

    def repeat_wanted(self) -> None:
        """Run the case that the environment asks for, if any."""
        case = wanted(name_of(self.scenario), self.search)
        if case is not None:
            seed, self.seed = self.seed, case.seed
            self.run(*case.steps)
            self.seed = seed
            print(f"{case}: passes now")  # noqa: T201  # somebody repeats a case and waits for it

    def result(self, total: int) -> Sweep:
        """Return what was done."""
        return Sweep(
            self.done, self.cut_short, self.sites, frozenset(self.seen), self.refused, total
        )


def sweep(
    scenario: Scenario,
    *,
    strike: Strike | None = None,
    where: Callable[[str], bool] | None = None,
    seed: int | None = None,
    reseed: Callable[[], object] | None = None,
    runs_max: int | None = None,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    steps_max: int = 20_000,
    pytest_args: str = "",
) -> Sweep:
    """Run a scenario once for each of its steps, with a strike there.

    Call it from ordinary code: each run is a ``trio.run`` of its own.

    Args:
        scenario: an async function that makes its whole world anew.
        strike: what to do at the step; by default, what the scenario set as ``fault.strike``,
            which is to cancel the block if it set nothing.
        where: count only steps at which the task waits at a place that this says yes to, given as
            "file:line function". For `raising`: only where the program can really fail.
        seed: makes every run take the same course, so that the sweep is complete for that course.
            Uses private names of Trio; without it each run is still a valid one.
        reseed: called before each run, if something else must start over.
        runs_max: at most so many runs; steps are chosen so that each place is struck at least once,
            and at random after that.
        virtual_seconds_max: a run that takes longer counts as hanging.
        steps_max: bound of the sweep, in case the scenario grows with each run.
        pytest_args: what the line that repeats a failure must pass to pytest.

    Raises:
        SweepError: the scenario failed, hung or left a task behind under some strike, or has more
            than ``steps_max`` steps.
    """
    strikes = () if strike is None else (strike,)
    runner = _Runner(scenario, strikes, where, seed, reseed, virtual_seconds_max, pytest_args)
    runner.repeat_wanted()
    trail = runner.run(0).trail
    if runs_max is not None and len(trail) > runs_max:
        for step in _sample(trail, runs_max, random.Random(seed)):
            runner.strike(step)
        return runner.result(len(trail))
    for step in range(1, steps_max + 1):
        if not runner.strike(step):
            return runner.result(step - 1)
    raise SweepError(f"{name_of(scenario)} has more than {steps_max} steps")


def sweep_pairs(
    scenario: Scenario,
    *,
    first: Strike,
    second: Strike,
    where: Callable[[str], bool] | None = None,
    seed: int | None = None,
    reseed: Callable[[], object] | None = None,
    runs_max: int = 1000,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    pytest_args: str = "",
) -> Sweep:
    """Strike twice in a run, the second time in the aftermath of the first.

    Arguments and errors are those of `sweep`. Up to about ``runs_max`` pairs are tried; each
    first step gets its share of second steps, chosen at random by the seed.
    """
    chance = random.Random(seed)
    runner = _Runner(
        scenario, (first, second), where, seed, reseed, virtual_seconds_max, pytest_args, "pairs"
    )
    runner.repeat_wanted()
    steps = len(runner.run(0).trail)
    total = 0
    for step in range(1, steps + 1):
        aftermath = _steps_after(runner, step)
        total += len(aftermath)
        share = max((runs_max - runner.done) // max(steps - step + 1, 1), 1)
        for later in sorted(chance.sample(aftermath, min(share, len(aftermath)))):
            runner.strike(step, later)
    return runner.result(total)


def _steps_after(runner: _Runner, step: int) -> range:
    """Return the steps that follow a first strike."""
    fault = runner.run(step)
    return range(step + 1, fault.steps + 1)


def _sample(trail: list[str], runs_max: int, chance: random.Random) -> Iterable[int]:
    """Choose steps: one for each place, then any."""
    by_site: dict[str, list[int]] = {}
    for step, site in enumerate(trail, 1):
        by_site.setdefault(site, []).append(step)
    chosen = {chance.choice(steps) for steps in by_site.values()}
    rest = sorted(set(range(1, len(trail) + 1)) - chosen)
    chosen.update(chance.sample(rest, max(min(runs_max - len(chosen), len(rest)), 0)))
    return sorted(chosen)


def run_step(
    scenario: Scenario,
    step: int,
    *,
    strike: Strike | None = None,
    where: Callable[[str], bool] | None = None,
    seed: int | None = None,
    reseed: Callable[[], object] | None = None,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    pytest_args: str = "",
) -> Fault:
    """Run a scenario once, with a strike at one step; with step 0 there is none.

    Raises:
        SweepError: it failed, hung or left a task behind.
    """
    strikes = () if strike is None else (strike,)
    runner = _Runner(scenario, strikes, where, seed, reseed, virtual_seconds_max, pytest_args)
    return runner.run(step)
