"""The permanent thing behind an address: mailbox, state and history of one place in the tree.

Incarnations come and go; the cell stays, and with it the mailbox, the address and the counters. It
belongs to the supervisor of its place. A cell is *open* from the moment it is made until its
supervisor decides that nothing will run in it again; only then are waiting messages dead.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio

from supervision.deadletters import DeadLetters, DeadReason
from supervision.envelope import Envelope, undelivered
from supervision.errors import Restarting, WaitedTooLong
from supervision.hooks import Reporter, Shed
from supervision.mailbox import ACCEPTED, CONFLATED, Delivery, Mailbox, MailboxSpec
from supervision.restarts import ExitKind

if TYPE_CHECKING:
    from supervision.registry import Registry
    from supervision.run import Run
    from supervision.timers import Timers
    from supervision.trace import Recorder


class State(Enum):
    """Where a cell is in its life."""

    IDLE = "idle"
    """Nothing runs; a message or its supervisor starts it."""
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    """It refuses new messages and handles those that wait."""
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """It waits to be started again; tells queue, asks fail at once."""
    STOPPED = "stopped"
    FAILED = "failed"
    """It spent its restart budget and stays down."""


class Kind(Enum):
    """What runs in a cell."""

    ACTOR = "actor"
    TASK = "task"
    SUPERVISOR = "supervisor"
    POOL = "pool"


@attrs.frozen
class Exit:
    """How one incarnation ended.

    Attributes:
        kind: the class of the end, which decides about a restart.
        cause: what it raised, if it did.
        reason: words for a reader: why it was stopped, or what it said.
        initialised: its start had been done.
        cleanup_error: what ``on_stop`` raised, or TimeoutError when it ran out of time.
        in_hand: names of the types of the messages that were in hand.
        contexts: what they carried; see `Hooks.capture`.
    """

    kind: ExitKind
    cause: Exception | None = None
    reason: str = ""
    initialised: bool = True
    cleanup_error: Exception | None = None
    in_hand: tuple[str, ...] = ()
    contexts: tuple[object, ...] = ()


@attrs.frozen
class Down:
    """A watched incarnation has ended."""

    path: str
    generation: int
    exit: Exit


class Services:
    """What every cell of one system shares.

    Attributes:
        clock: absolute Trio time in seconds.
        capture: the hook that says what messages carry, or None: a hop less for every message.
        uniform: the source of jitter, floats in [0, 1).
        strict: answering an ask twice raises in the server, rather than being counted.
        closing: the whole system ends: what stops now is closed at once.
    """

    __slots__ = (
        "capture",
        "clock",
        "closing",
        "dead_letters",
        "registry",
        "reporter",
        "strict",
        "timers",
        "uniform",
    )

    def __init__(
        self,
        registry: Registry,
        reporter: Reporter,
        timers: Timers,
        uniform: Callable[[], float],
    ) -> None:
        self.registry = registry
        self.timers = timers
        self.closing = False
        self.strict = False
        self.clock: Callable[[], float] = trio.current_time
        self.dead_letters = DeadLetters(reporter)
        self.bind(reporter, uniform)

    def bind(self, reporter: Reporter, uniform: Callable[[], float]) -> None:
        """Take over what a system was opened with."""
        self.reporter = self.dead_letters.reporter = reporter
        self.capture = reporter.capture
        self.uniform = uniform


class Cell:
    """One place in the tree.

    Attributes:
        path: names joined by "/", unique in the system.
        owner: path under which dead letters are counted: itself, or its pool.
        generation: number of the current or last incarnation, from 1; 0 before the first.
        closed: nothing will run here unless somebody asks for it.
        run: the current incarnation, or None.
        started_at: when the current incarnation was ready; absolute Trio time.
        busy_seconds: time spent in handlers, awaits included, since the cell was made.
        held_since: when it began to wait for its next start; inf if it does not.
        recorders: who is told of each message that its actor gets and sends; None for nobody.
    """

    __slots__ = (
        "_held_seconds",
        "busy_seconds",
        "closed",
        "generation",
        "held_since",
        "kind",
        "last_failure",
        "mailbox",
        "owner",
        "path",
        "recorders",
        "retry_at",
        "run",
        "services",
        "started_at",
        "state",
        "watchers",
    )

    def __init__(self, path: str, services: Services, owner: str | None = None) -> None:
        self.path = path
        self.owner = path if owner is None else owner
        self.services = services
        self.kind = Kind.ACTOR
        self.mailbox = Mailbox(_DEFAULT_MAILBOX)
        self.state = State.IDLE
        self.closed = False
        self.generation = 0
        self.run: Run | None = None
        self.started_at = 0.0
        self.retry_at = 0.0
        self.busy_seconds = 0.0
        self._held_seconds = 0.0
        self.held_since = inf
        self.last_failure: Exception | None = None
        self.watchers: dict[Callable[[Down], None], bool] | None = None
        self.recorders: tuple[Recorder, ...] | None = None

    @property
    def restarts(self) -> int:
        """Incarnations after the first."""
        return max(self.generation - 1, 0)

    @property
    def backoff_seconds(self) -> float:
        """Time spent waiting to be started again, since the cell was made."""
        return self._held_seconds + max(self.services.clock() - self.held_since, 0.0)

    def _held_no_more(self) -> None:
        self._held_seconds = self.backoff_seconds
        self.held_since = inf

    def waits_for(self) -> list[Cell]:
        """Cells whose answers the current incarnation waits for in its asks."""
        if self.run is None:
            return []
        return [reply.server for reply in self.run.waiting_on if reply.server is not None]

    def offer(self, envelope: Envelope) -> Delivery:
        """Put a message into the mailbox by its policy, or bury it if the cell is closed."""
        mailbox = self.mailbox
        if mailbox.closed:
            self._count_dead(envelope, DeadReason.STOPPED, self.last_failure)
            return Delivery.STOPPED
        delivery, loser = mailbox.offer(envelope)
        if delivery is not ACCEPTED and delivery is not CONFLATED:
            self._tell_shed(envelope if loser is None else loser, delivery)
        if loser is not None and loser.reply is not None:
            loser.reply.fail(undelivered(self.path, "displaced by a newer message", None))
        return delivery

    def outlive(self, envelope: Envelope) -> None:
        """A message has waited for longer than it is useful."""
        self.mailbox.expired += 1
        self.mailbox.outdated += 1
        self._tell_shed(envelope, Delivery.OUTDATED)
        if envelope.reply is not None:
            envelope.reply.fail(WaitedTooLong(self.path, "it had waited for too long"))

    def _tell_shed(self, envelope: Envelope, why: Delivery) -> None:
        tell = self.services.reporter.shed
        if tell is not None:
            tell(
                Shed(
                    at=self.services.clock(),
                    path=self.path,
                    owner=self.owner,
                    why=why,
                    message=envelope.message,
                    sender=envelope.sender,
                    context=envelope.context,
                    depth=len(self.mailbox.user),
                )
            )

    def control(self, item: object) -> None:
        """Send a control message; a full control lane fails the actor."""
        if not self.mailbox.push_control(item) and self.run is not None:
            self.run.fail_control_lane()

    def bury(self, envelope: Envelope, reason: DeadReason, cause: Exception | None) -> None:
        """Record an accepted message that nobody will handle, and fail its ask as stopped."""
        self.mailbox.dead += 1
        self._count_dead(envelope, reason, cause)
        if envelope.reply is not None and not envelope.reply.done:
            envelope.reply.fail(undelivered(self.path, reason.value, cause))

    def _count_dead(self, envelope: Envelope, reason: DeadReason, cause: Exception | None) -> None:
        self.services.dead_letters.add(
            self.owner, self.path, envelope, reason, at=self.services.clock(), cause=cause
        )

    def begin(self, run: Run) -> None:
        """A new incarnation starts."""
        assert self.run is None, f"{self.path} runs already"
        self.run = run
        self.closed = False
        self.generation += 1
        self.state = State.STARTING
        self._held_no_more()
        if run.receives:
            self.mailbox.open()

    def ready(self) -> None:
        """The incarnation finished its start."""
        self.started_at = self.services.clock()
        self.state = State.RUNNING

    def end(self, exit: Exit) -> None:
        """The incarnation is over. The mailbox stays open: whoever owns the cell decides."""
        self.run = None
        self.state = State.STOPPED
        if exit.cause is not None:
            self.last_failure = exit.cause
        self._notify(exit)

    def hold(self, state: State, retry_at: float = 0.0) -> None:
        """Nothing runs for now: IDLE, or BACKOFF until ``retry_at``, when waiting asks fail."""
        self.state = state
        self.retry_at = retry_at
        if state is not State.BACKOFF:
            self._held_no_more()
        else:
            self.held_since = min(self.held_since, self.services.clock())
            self._fail_waiting_asks(retry_at)

    def _fail_waiting_asks(self, retry_at: float) -> None:
        for envelope in self.mailbox.take_asks():
            assert envelope.reply is not None
            if not envelope.reply.abandoned:
                error = Restarting(self.path, retry_at)
                error.__cause__ = self.last_failure
                envelope.reply.fail(error)

    def close(self, state: State = State.STOPPED) -> None:
        """Nothing will run here again, or not until somebody asks for it: bury what waits."""
        assert self.run is None, f"{self.path} still runs"
        self.state = state
        self.closed = True
        self._held_no_more()
        for envelope in self.mailbox.close():
            self.bury(envelope, DeadReason.UNDELIVERED, self.last_failure)

    def watch(self, notify: Callable[[Down], None], *, once: bool) -> None:
        """Call ``notify`` at the end of each incarnation, or of the next one only.

        A cell in which nothing runs and nothing is about to answers at once.
        """
        if self.closed:
            kind = ExitKind.NORMAL if self.last_failure is None else ExitKind.ABNORMAL
            gone = Exit(kind, self.last_failure, "not running")
            notify(Down(self.path, self.generation, gone))
            if once:
                return
        if self.watchers is None:
            self.watchers = {}
        self.watchers[notify] = once

    def unwatch(self, notify: Callable[[Down], None]) -> None:
        """Forget a watcher."""
        if self.watchers is not None:
            self.watchers.pop(notify, None)

    def attach(self, recorder: Recorder) -> None:
        """Tell ``recorder`` of every message from the next one on."""
        self.recorders = (*(self.recorders or ()), recorder)
        if self.run is not None:
            self.control(None)

    def detach(self, recorder: Recorder) -> None:
        """Tell ``recorder`` no more."""
        left = tuple(r for r in self.recorders or () if r != recorder)
        self.recorders = left or None

    def _notify(self, exit: Exit) -> None:
        if not self.watchers:
            return
        down = Down(self.path, self.generation, exit)
        for notify, once in list(self.watchers.items()):
            if once:
                del self.watchers[notify]
            notify(down)


_DEFAULT_MAILBOX = MailboxSpec()
