"""One strike: count the steps of the tasks under test, and act right after one of them.

At that moment the task has just blocked, so a cancellation takes effect at exactly that await. If
the task stopped at a pure schedule point, the cancellation comes at its next cancel point. Trio's
own operations check for cancellation before they act and yield after it; so striking after every
step reaches every cancel point of the course. Public parts of Trio only.
"""

from collections.abc import Callable, Sequence
from types import TracebackType

import trio
from trio.lowlevel import Task, current_task
from trio.testing import MockClock

Strike = Callable[["Fault"], object]
"""What to do at the chosen step: it is given the fault. Synchronous."""


class Fault(trio.abc.Instrument):
    """A strike at one step, or at several, of the tasks in a ``with`` block and below it.

    Attributes:
        step: the step to strike at, from 1; 0 for none.
        strike: what to do there, called without arguments; by default the block is cancelled. A
            scenario may set it at any time before the strike: to stop a server, drop a connection,
            crash an actor.
        steps: how many steps were counted.
        fired: the strike was done.
        refused: the strike could not be done at that step (only `raising` has such steps).
        site: where the struck task was waiting, as "file:line function".
        task: the struck task, while it is struck.
        scope: the scope of the block; ``scope.cancelled_caught`` tells whether it was cut short.
        injected: the exceptions that were raised in tasks.
        caught: the block ended by injected exceptions, or by others raised from them.
        clock: the clock of the run.
    """

    def __init__(
        self,
        step: int = 0,
        *later: int,
        strikes: Sequence[Strike] = (),
        where: Callable[[str], bool] | None = None,
        clock: MockClock | None = None,
    ) -> None:
        self.step = step
        self.scope = trio.CancelScope()
        self.strike: Callable[[], object] = self.cancel
        self.steps = 0
        self.fired = False
        self.fired_times = 0
        self.refused = False
        self.site = ""
        self.task: Task | None = None
        self.injected: list[BaseException] = []
        self.caught = False
        self.error: BaseException | None = None
        self.clock = MockClock(autojump_threshold=0) if clock is None else clock
        self.trail: list[str] = []
        self._due = (step, *later)
        self._strikes = strikes
        self._where = where
        self._tasks: set[Task] = set()

    def cancel(self) -> None:
        """Cancel the block."""
        self.scope.cancel(reason=f"injected at step {self.steps}")

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
    ) -> bool:
        """Absorb what was injected, and nothing else."""
        self._tasks.clear()
        rest = error
        try:
            if self.scope.__exit__(kind, error, traceback):
                return True
        except BaseException as remaining:  # noqa: BLE001, ASYNC103  # Trio raises what it left over
            rest = remaining  # noqa: ASYNC104  # raised below, but for what was injected
        if rest is not None and self.injected:
            left = _without(rest, self.injected)
            self.caught = left is not rest
            rest = left
        if rest is not None and rest is not error:
            raise rest
        return rest is None

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
        try:
            self._count(task)
        except BaseException as error:  # noqa: BLE001, ASYNC103  # Trio would only log it
            self.error = error  # noqa: ASYNC104  # raised after the run

    def _count(self, task: Task) -> None:
        site = ""
        if self._where is not None:
            site = site_of(task)
            if not self._where(site):
                return
        self.steps += 1
        if self.steps < self.step:
            return
        self.trail.append(site or site_of(task))
        if self.steps in self._due:
            self._strike_now(task)

    def _strike_now(self, task: Task) -> None:
        site = self.trail[-1]
        self.site = f"{self.site} and {site}" if self.site else site
        chosen = None
        if self.fired_times < len(self._strikes):
            chosen = self._strikes[self.fired_times]
        self.fired_times += 1
        self.fired = self.fired_times == len(self._due)
        self.task = task
        try:
            if chosen is None:
                self.strike()
            else:
                chosen(self)
        finally:
            self.task = None


def site_of(task: Task) -> str:
    """Return the innermost frame of a waiting task that is not Trio's: "file:line function"."""
    site = ""
    for frame, line in task.iter_await_frames():
        if not frame.f_globals.get("__name__", "").startswith("trio."):
            site = f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
    return site


def _without(error: BaseException, injected: list[BaseException]) -> BaseException | None:
    """Return what is left of an error without what the injected ones explain."""
    if _stems_from(error, injected):
        return None
    if isinstance(error, BaseExceptionGroup):
        _, rest = error.split(lambda part: _stems_from(part, injected))
        whole: BaseException = error
        return whole if rest is not None and _leaves(rest) == _leaves(error) else rest
    return error


def _stems_from(error: BaseException, injected: list[BaseException]) -> bool:
    """Tell whether an exception is an injected one or was raised ``from`` one, by any steps."""
    link: BaseException | None = error
    while link is not None:
        if any(link is one for one in injected):
            return True
        if isinstance(link, BaseExceptionGroup) and all(
            _stems_from(part, injected) for part in link.exceptions
        ):
            return True
        link = link.__cause__
    return False


def _leaves(error: BaseException) -> int:
    if isinstance(error, BaseExceptionGroup):
        return sum(map(_leaves, error.exceptions))
    return 1
