"""Searches over the order of tasks: plain seeds, priorities, and every order there is.

A scenario is given a `Course`. Where only a part of it is of interest, it says so::

    async def scenario(course: Course) -> None:
        account = Account()
        async with trio.open_nursery() as nursery:
            with course:                       # only the orders of this part are varied
                nursery.start_soon(account.deposit, 1)
                nursery.start_soon(account.deposit, 2)
                await settle()
        assert account.balance == 3

`run_seeds` shuffles each batch as Trio does, from one seed after another: for everything, and for
long. `run_priorities` gives each task a random priority and changes ``depth - 1`` of them at random
moments; a mistake that needs ``depth`` orderings is found with a chance of at least 1 in
tasks x steps ** (depth - 1) in each run (Burckhardt and others, "A randomized scheduler with
probabilistic guarantees of finding bugs", ASPLOS 2010). `explore` tries every order of a small
scenario, or every order with a bounded number of departures from the fair one.

In the last two one task goes at a time, so their orders are a superset of Trio's own: a checkpoint
allows other tasks to run but does not promise it.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType

import attrs
import trio
from trio.lowlevel import Task

from supervision.faults.cases import Case, Departures, SweepError, broken, name_of, wanted
from supervision.faults.schedules import Choose, chosen, seeded
from supervision.faults.worlds import VIRTUAL_SECONDS_MAX, run_virtual

IN_A_ROW_MAX = 1000
"""A task that goes this often while others are ready gives way, or it could spin for ever."""

SHRINKING_RUNS_MAX = 200


class Course:
    """The order that one run takes.

    As a context it bounds the part whose order is varied. A scenario that never enters it is varied
    as a whole by `run_seeds` and `run_priorities`, and not at all by `explore`.

    Attributes:
        random: for choices of the scenario's own; the same for the same case.
        made: what was chosen among how many, wherever several tasks were ready.
    """

    def __init__(self, choose: Choose | None = None, *, seed: int = 0, always: bool = True) -> None:
        self.random = random.Random(seed)
        self.made: list[tuple[int, int]] = []
        self._choose = choose
        self._varied = always
        self._turn = 0
        self._last_turn: dict[Task, int] = {}

    def __enter__(self) -> "Course":
        """From here on the order is varied."""
        self._varied = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """From here on the order is the fair one."""
        self._varied = False

    def choose(self, ready: list[Task]) -> int:
        """Return which of the ready tasks goes next; the fair choice is who waited longest."""
        fair = sorted(ready, key=lambda task: (self._last_turn.get(task, 0), task._counter))
        index = 0
        if self._varied and self._choose is not None:
            index = self._choose(fair)
            self.made.append((index, len(fair)))
        task = fair[index]
        self._turn += 1
        self._last_turn[task] = self._turn
        return ready.index(task)

    @property
    def departures(self) -> Departures:
        """Where another than the fair choice was made: (position, choice)."""
        return tuple((at, index) for at, (index, _) in enumerate(self.made) if index)


OrderScenario = Callable[[Course], Awaitable[None]]
"""An async function that makes its whole world anew and checks it."""


@attrs.frozen
class Exploration:
    """What a search did.

    Attributes:
        runs: how many orders were tried.
        choices_max: most choices in one run.
        complete: there are no other orders, within the departures that were allowed.
    """

    runs: int
    choices_max: int
    complete: bool

    def summary(self) -> str:
        """Say it in a line."""
        all_of_them = "all there are" if self.complete else "not all there are"
        return f"{self.runs} orders tried, {all_of_them}; up to {self.choices_max} choices in each"


def run_seeds(
    scenario: OrderScenario,
    seeds: Iterable[int] = range(100),
    *,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    pytest_args: str = "",
) -> Exploration:
    """Run a scenario once for each seed.

    Raises:
        SweepError: it failed, hung or left a task behind; the text says with which seed.
    """
    name = name_of(scenario)
    case = wanted(name, "")
    again = [case.seed] if case is not None and case.seed is not None else []
    runs = 0
    for seed in [*again, *seeds]:
        course = Course(seed=seed)
        with seeded(seed):
            _run(scenario, course, Case(name, seed=seed), virtual_seconds_max, pytest_args)
        runs += 1
    return Exploration(runs, 0, complete=False)


def explore(
    scenario: OrderScenario,
    *,
    departures_max: int | None = None,
    runs_max: int = 10_000,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    pytest_args: str = "",
) -> Exploration:
    """Run a scenario in every order of the tasks in its ``with course`` block.

    Args:
        scenario: keep it small: the orders multiply.
        departures_max: only orders that depart from the fair one so often; most mistakes need two.
        runs_max: give up after so many; ``complete`` tells.
        virtual_seconds_max: a run that takes longer counts as hanging.
        pytest_args: what the line that repeats a failure must pass to pytest.

    Raises:
        SweepError: it failed, hung or left a task behind. The text says how to run that order
            again, with as few departures as were found to do.
    """
    attempt = _Ordered(scenario, virtual_seconds_max, pytest_args)
    attempt.repeat_wanted()
    path: list[int] | None = []
    runs = longest = 0
    while path is not None and runs < runs_max:
        course = attempt.follow(dict(enumerate(path)))
        runs += 1
        longest = max(longest, len(course.made))
        path = _next_path(course.made, departures_max)
    return Exploration(runs, longest, complete=path is None)


def _next_path(made: list[tuple[int, int]], departures_max: int | None) -> list[int] | None:
    """Return the choices that come next, as an odometer counts; None after the last."""
    path = [index for index, _ in made]
    departures = sum(index > 0 for index in path)
    while path:
        index, width = path.pop(), made[len(path)][1]
        departures -= index > 0
        allowed = departures_max is None or departures < departures_max
        if index + 1 < width and allowed:
            return [*path, index + 1]
    return None


def run_priorities(
    scenario: OrderScenario,
    *,
    runs: int = 100,
    depth: int = 3,
    seed: int = 0,
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
    pytest_args: str = "",
) -> Exploration:
    """Run a scenario with random priorities that change ``depth - 1`` times, again and again.

    Raises:
        SweepError: as for `explore`.
    """
    attempt = _Ordered(scenario, virtual_seconds_max, pytest_args, always=True)
    attempt.repeat_wanted()
    longest = len(attempt.follow({}).made)
    for number in range(runs):
        chance = random.Random(f"{seed} {number}")
        changes = {chance.randrange(max(longest, 1)) for _ in range(depth - 1)}
        course = attempt.run(Course(_Priorities(chance, changes)))
        longest = max(longest, len(course.made))
    return Exploration(runs, longest, complete=False)


class _Priorities:
    """Lets the ready task with the highest priority go; at some moments it drops to the lowest."""

    def __init__(self, chance: random.Random, changes: set[int]) -> None:
        self._chance = chance
        self._changes = changes
        self._priority: dict[Task, float] = {}
        self._step = 0
        self._last: tuple[Task | None, int] = (None, 0)

    def __call__(self, ready: list[Task]) -> int:
        for task in ready:
            if task not in self._priority:
                self._priority[task] = self._chance.random()
        task = self._first(ready)
        if self._step in self._changes or self._in_a_row(task) > IN_A_ROW_MAX:
            self._priority[task] = -1.0 - self._step
            task = self._first(ready)
        self._step += 1
        return ready.index(task)

    def _first(self, ready: list[Task]) -> Task:
        return max(ready, key=self._priority.__getitem__)

    def _in_a_row(self, task: Task) -> int:
        last, count = self._last
        self._last = (task, count + 1 if last is task else 1)
        return self._last[1]


@attrs.define
class _Ordered:
    """How to run a scenario in a chosen order, and how to make a failing order simple."""

    scenario: OrderScenario
    virtual_seconds_max: float
    pytest_args: str
    always: bool = False

    def run(self, course: Course) -> Course:
        """Run, and on failure raise the simplest failure that is found."""
        try:
            return self._run(course)
        except SweepError:
            self._shrink(dict(course.departures))
            raise

    def follow(self, order: dict[int, int]) -> Course:
        """Run with the given choices, and the fair one where none is given."""
        return self.run(self._course(order))

    def _course(self, order: dict[int, int]) -> Course:
        course = Course(always=self.always)
        course._choose = lambda ready: min(order.get(len(course.made), 0), len(ready) - 1)
        return course

    def _run(self, course: Course) -> Course:
        with chosen(course.choose):
            case = partial(Case, name_of(self.scenario), search="order")
            _run(self.scenario, course, case, self.virtual_seconds_max, self.pytest_args)
        return course

    def _shrink(self, order: dict[int, int]) -> None:
        """Leave out departures while it still fails; raise the last failure, if there is one."""
        last: SweepError | None = None
        for at in list(order)[:SHRINKING_RUNS_MAX]:
            less = {key: value for key, value in order.items() if key != at}
            try:
                self._run(self._course(less))
            except SweepError as error:
                last, order = error, less
        if last is not None:
            raise last

    def repeat_wanted(self) -> None:
        """Run the case that the environment asks for, if any."""
        case = wanted(name_of(self.scenario), "order")
        if case is not None:
            self._run(self._course(dict(case.order or ())))
            print(f"{case}: passes now")  # noqa: T201  # somebody repeats a case and waits for it


def _run(
    scenario: OrderScenario,
    course: Course,
    case: Case | Callable[..., Case],
    virtual_seconds_max: float,
    pytest_args: str,
) -> None:
    try:
        run_virtual(partial(scenario, course), virtual_seconds_max=virtual_seconds_max)
    except (Exception, trio.TrioInternalError) as error:
        told = case if isinstance(case, Case) else case(order=course.departures)
        raise broken(told, "", error, pytest_args) from error
