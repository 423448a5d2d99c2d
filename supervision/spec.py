"""What a program says about its tree: specifications, immutable and checked before anything starts.

Defaults and words are those of Erlang/OTP: permanent children, one_for_one, one restart in five
seconds, five seconds to stop.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from enum import Enum
from math import inf
from typing import Any, Generic, TypeVar

import attrs
import trio

from supervision.actor import Actor
from supervision.errors import SpecError
from supervision.mailbox import MailboxSpec
from supervision.restarts import Backoff, Budget, Restart
from supervision.strategies import Strategy

K = TypeVar("K", bound=Hashable)

DEFAULT_MAILBOX = MailboxSpec()
DEFAULT_BACKOFF = Backoff()


class AutoShutdown(Enum):
    """When a supervisor ends because its significant children ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any significant"
    ALL_SIGNIFICANT = "all significant"


@attrs.frozen
class Task:
    """A plain async function as a child: it has no mailbox, only a start and an end.

    Attributes:
        run: called with ``task_status``; it calls ``task_status.started()`` when it is ready. When
            it returns, the child ended normally.
        stop: called to ask for an end. The function is then cancelled only when its time to stop is
            over; without it, it is cancelled at once.
    """

    run: Callable[[trio.TaskStatus[None]], Awaitable[None]]
    stop: Callable[[], None] | None = None


@attrs.frozen(kw_only=True)
class PoolSpec(Generic[K]):
    """Children of one kind, one a key, started by their first message.

    Attributes:
        start: makes the actor of a key.
        restart: of each child. A temporary child's cell is forgotten when it ends.
        intensity, period_seconds: budget of each child; one that spends it is marked failed.
        capacity: most keys, running or idle. At the bound, an idle one is forgotten.
        idle_seconds: stop an actor that had nothing to do for this long, and start it again on
            demand; None to keep it. Timers, kept replies and ``may_passivate`` prevent it.
        starting_max: most children in their start at once, so that a mass restart does not starve
            the rest of the program.
    """

    start: Callable[[K], Actor]
    mailbox: MailboxSpec = DEFAULT_MAILBOX
    restart: Restart = Restart.PERMANENT
    intensity: int = 1
    period_seconds: float = 5.0
    backoff: Backoff = DEFAULT_BACKOFF
    shutdown_seconds: float = 5.0
    init_seconds: float = 30.0
    drain_seconds: float = 0.0
    capacity: int = 100_000
    idle_seconds: float | None = None
    starting_max: int = 64

    def __attrs_post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            SpecError: a bound or a time cannot be.
        """
        _check_words(restart=(self.restart, Restart))
        _check_budget(self.intensity, self.period_seconds)
        _check_times(self.shutdown_seconds, self.init_seconds, self.drain_seconds)
        if self.capacity < 1 or self.starting_max < 1:
            raise SpecError("a pool needs room for one child, and for one that starts")
        if self.idle_seconds is not None and self.idle_seconds <= 0:
            raise SpecError("idle_seconds must be positive")


@attrs.frozen
class SupervisorSpec:
    """Children in the order of their start, and what happens when one fails.

    Attributes:
        intensity: restart attempts allowed in ``period_seconds``; one more and the supervisor stops
            its children and ends with SHUTDOWN. Its parent then restarts it only if it is
            permanent there. 0: the first failure escalates. Before the root gives up, restarts
            multiply along the path to it: keep upper levels low.
        budget: whether children share the intensity or each has its own.
        auto_shutdown: end when significant children have ended by themselves. Do not make such a
            supervisor permanent under its parent: it would be restarted only to end again.
    """

    children: "Sequence[ChildSpec]"
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period_seconds: float = 5.0
    budget: Budget = Budget.SHARED
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER

    def __attrs_post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            SpecError: two children with one id, an impossible budget, or a misplaced significant.
        """
        _check_words(
            strategy=(self.strategy, Strategy),
            budget=(self.budget, Budget),
            auto_shutdown=(self.auto_shutdown, AutoShutdown),
        )
        _check_budget(self.intensity, self.period_seconds)
        ids = [child.id for child in self.children]
        if len(set(ids)) != len(ids):
            raise SpecError(f"child ids are not unique: {ids}")
        if self.budget is Budget.PER_CHILD and self.strategy is not Strategy.ONE_FOR_ONE:
            raise SpecError("a budget per child only makes sense with ONE_FOR_ONE")
        for child in self.children:
            self.check_child(child)

    def check_child(self, child: "ChildSpec") -> None:
        """Refuse a child that does not fit this supervisor.

        Raises:
            SpecError: it is significant and nothing here asks for that.
        """
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise SpecError(f"{child.id}: significant, but auto_shutdown is never")


Startable = Actor | SupervisorSpec | PoolSpec[Any] | Task


@attrs.frozen
class ChildSpec:
    """One child of a supervisor.

    Attributes:
        id: its name among its siblings and the last part of its path; no "/" in it.
        start: a callable without arguments that makes a new actor (or a `Task`) for each
            incarnation; or a `SupervisorSpec`, `PoolSpec` or `Task` itself. Prefer the latter for
            nested supervisors and pools: their cells then exist as soon as the specification does.
        shutdown_seconds: from the request to stop until the clean-up is cancelled; 0 to give it no
            time, inf for no limit. Not used for supervisors and pools, which take what their
            children take.
        init_seconds: most time for the start.
        drain_seconds: on a stop, first refuse new messages and handle those that wait, so long.
        significant: its end counts for ``auto_shutdown``; not for permanent children.
    """

    id: str
    start: Callable[[], Startable] | SupervisorSpec | PoolSpec[Any] | Task
    mailbox: MailboxSpec = DEFAULT_MAILBOX
    restart: Restart = Restart.PERMANENT
    shutdown_seconds: float = 5.0
    init_seconds: float = 30.0
    backoff: Backoff = DEFAULT_BACKOFF
    significant: bool = False
    drain_seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            SpecError: the id cannot be part of a path, a time is negative, or the child is both
                permanent and significant.
        """
        if not self.id or "/" in self.id:
            raise SpecError(f"{self.id!r} cannot be part of a path")
        _check_words(restart=(self.restart, Restart))
        _check_times(self.shutdown_seconds, self.init_seconds, self.drain_seconds)
        if self.significant and self.restart is Restart.PERMANENT:
            raise SpecError(f"{self.id}: a permanent child never ends, so it cannot be significant")


def _check_words(**words: tuple[object, type[Enum]]) -> None:
    for name, (value, kind) in words.items():
        if not isinstance(value, kind):
            raise SpecError(f"{name}: {value!r} is not a {kind.__name__}")


def _check_budget(intensity: int, period_seconds: float) -> None:
    if intensity < 0:
        raise SpecError("intensity must not be negative")
    if not 0 < period_seconds < inf:
        raise SpecError("period_seconds must be positive and finite")


def _check_times(*seconds: float) -> None:
    if any(not value >= 0 for value in seconds):
        raise SpecError("times must not be negative")
