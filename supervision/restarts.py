"""When a child is started again, how often and after what wait. Pure: no clock, no task.

Three separate questions, in the order in which a supervisor asks them:

1. *Should* this exit lead to a restart? `should_restart`: the table of restart type by exit kind.
2. *May* it? `RestartWindow`: at most ``intensity`` attempts in any ``period_seconds``. One unit per
   attempt, however many children one attempt touches; an attempt that is exactly ``period_seconds``
   old still counts.
3. *When*? `Backoff`: the first restart at once, then doubling waits with jitter. Waiting does not
   refund the budget.

Rules and defaults follow the Erlang/OTP supervisor; backoff, which OTP lacks, follows Pekko.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from math import inf

import attrs

from supervision.errors import SpecError


class Restart(Enum):
    """Whether a child that ended is started again."""

    PERMANENT = "permanent"
    """Always, even after a normal end; that costs budget too."""
    TRANSIENT = "transient"
    """Only after an abnormal end. A supervisor that gave up ended with SHUTDOWN, not abnormally."""
    TEMPORARY = "temporary"
    """Never; its specification is forgotten when it ends."""


class ExitKind(Enum):
    """How an incarnation ended."""

    NORMAL = "normal"
    """It returned, or asked to end."""
    SHUTDOWN = "shutdown"
    """It ended by itself on purpose, or it is a supervisor that gave up or ended automatically."""
    STOPPED = "stopped"
    """Its supervisor stopped it."""
    ABNORMAL = "abnormal"
    """It raised, or it did not start."""


class Budget(Enum):
    """Who shares a restart budget."""

    SHARED = "shared"
    """All children of the supervisor: finds a common cause; many independent failures add up."""
    PER_CHILD = "per child"
    """Each child has its own: a spent budget marks that child failed and its siblings go on."""


def should_restart(restart: Restart, kind: ExitKind) -> bool:
    """Tell whether an exit leads to a restart attempt."""
    match restart:
        case Restart.TEMPORARY:
            return False
        case Restart.TRANSIENT:
            return kind is ExitKind.ABNORMAL
        case Restart.PERMANENT:
            return kind is not ExitKind.STOPPED


class RestartWindow:
    """A sliding window of restart attempts. At most ``intensity`` + 1 times are kept."""

    __slots__ = ("_attempts", "intensity", "period_seconds")

    def __init__(self, *, intensity: int, period_seconds: float) -> None:
        self.intensity = intensity
        self.period_seconds = period_seconds
        self._attempts: deque[float] = deque(maxlen=intensity + 1)

    def admit(self, now: float) -> bool:
        """Charge one attempt at time ``now`` (seconds); False when the budget is exceeded."""
        oldest = now - self.period_seconds
        while self._attempts and self._attempts[0] < oldest:
            self._attempts.popleft()
        self._attempts.append(now)
        return len(self._attempts) <= self.intensity

    def __len__(self) -> int:
        """Attempts charged and not yet seen to be too old."""
        return len(self._attempts)


@attrs.frozen
class Backoff:
    """Waits before restarts, all in seconds.

    The first restart after a quiet time is immediate. The next waits are ``min_seconds`` doubled
    each time up to ``max_seconds``, each made longer by up to ``jitter`` of itself. A child that
    ran for ``reset_seconds`` starts over; by default the mean of the two ends.
    """

    min_seconds: float = 0.1
    max_seconds: float = 30.0
    jitter: float = 0.2
    reset_seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse waits that cannot be.

        Raises:
            SpecError: a bound is negative, or the ends are in the wrong order.
        """
        if not 0 <= self.min_seconds <= self.max_seconds < inf:
            raise SpecError("backoff needs 0 <= min_seconds <= max_seconds < inf")
        if self.jitter < 0:
            raise SpecError("backoff jitter must not be negative")

    def delay(self, failures: int, uniform: Callable[[], float]) -> float:
        """Return the wait before the next start after ``failures`` failures in a row (from 1).

        ``uniform`` yields floats in [0, 1); it is only called when there is a wait to vary.
        """
        if failures <= 1 or self.min_seconds == 0:
            return 0.0
        doublings = min(failures - 2, 64)
        base = min(self.min_seconds * 2.0**doublings, self.max_seconds)
        return base * (1.0 + self.jitter * uniform())

    @property
    def quiet_seconds(self) -> float:
        """Time of running after which earlier failures are forgotten."""
        if self.reset_seconds is not None:
            return self.reset_seconds
        return (self.min_seconds + self.max_seconds) / 2


NO_BACKOFF = Backoff(min_seconds=0.0, max_seconds=0.0, jitter=0.0)
"""Every restart is immediate, as in OTP."""


class FailureStreak:
    """Failures in a row of one child, forgotten after a quiet time."""

    __slots__ = ("backoff", "failures")

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.failures = 0

    def add(self, *, uptime: float, uniform: Callable[[], float]) -> float:
        """Count one failure after ``uptime`` seconds of running; return the wait in seconds."""
        if uptime >= self.backoff.quiet_seconds > 0:
            self.failures = 0
        self.failures += 1
        return self.backoff.delay(self.failures, uniform)
