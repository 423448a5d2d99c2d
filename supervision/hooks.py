"""What a program may learn about its tree: reports, dead letters, and spans around handlers.

The package logs nothing and counts nothing for anybody. It hands out facts; a program turns them
into log lines, counters and traces.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any

import attrs

from supervision.restarts import ExitKind, Restart

if TYPE_CHECKING:
    from supervision.deadletters import DeadLetter
    from supervision.envelope import Envelope
    from supervision.mailbox import Delivery


class Event(Enum):
    """What a report is about."""

    STARTED = "started"
    START_FAILED = "start failed"
    CHILD_ENDED = "child ended"
    RESTART_SCHEDULED = "restart scheduled"
    CHILD_FAILED = "child failed"
    """A child spent its own restart budget and stays down; its siblings run."""
    GAVE_UP = "gave up"
    """The shared restart budget is spent: the supervisor stops its children and ends."""
    AUTO_SHUTDOWN = "auto shutdown"
    STOPPED = "stopped"
    SHUTDOWN_ERROR = "shutdown error"
    """A child failed while it was being stopped. It is neither restarted nor counted."""
    CLEANUP_FAILED = "clean-up failed"
    """``on_stop`` raised or ran out of its time."""
    OVERDUE = "overdue"
    """A child is still alive after its time to stop and a margin; ``frames`` says where."""


_QUIET = {Event.STARTED, Event.STOPPED, Event.AUTO_SHUTDOWN}


@attrs.frozen(kw_only=True)
class Report:
    """One fact about one child. Times in seconds; ``at`` is absolute Trio time.

    Attributes:
        supervisor: path of the supervisor that reports.
        child: path of the child.
        kind: how the child ended, if it did.
        cause: the exception itself, with its traceback and causes.
        attempt, intensity, period_seconds: restarts charged in the window, and the window.
        delay: wait before the restart.
        uptime: how long the incarnation ran after its start was done.
        shutdown_seconds: the time it has to stop; inf for supervisors and pools.
        depth, control_depth: messages waiting in each lane.
        in_hand: names of the types of the messages in hand.
        contexts: what the ``capture`` hook said when they were sent: their traces.
        frames: for an overdue child, where its task waits, outermost first.
    """

    event: Event
    at: float
    supervisor: str
    child: str
    generation: int = 0
    restart: Restart | None = None
    kind: ExitKind | None = None
    reason: str = ""
    cause: BaseException | None = None
    attempt: int = 0
    intensity: int = 0
    period_seconds: float = 0.0
    delay: float = 0.0
    uptime: float = 0.0
    shutdown_seconds: float = inf
    depth: int = 0
    control_depth: int = 0
    in_hand: tuple[str, ...] = ()
    contexts: tuple[object, ...] = ()
    frames: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether somebody should look: everything but starts, stops and intended ends."""
        if self.event is Event.CHILD_ENDED:
            return self.kind is ExitKind.ABNORMAL
        return self.event not in _QUIET


@attrs.frozen(kw_only=True)
class Shed:
    """One message that a mailbox turned away or let go because it was full, or because it was old.

    Attributes:
        at: absolute Trio time in seconds.
        path: the cell that would have handled it.
        owner: its pool, or itself.
        why: FULL, DROPPED, DISPLACED (the message was in the mailbox) or OUTDATED (likewise).
        message: the one that is lost.
        context: what it carried; see `Hooks.capture`.
        depth: messages that wait.
    """

    at: float
    path: str
    owner: str
    why: "Delivery"
    message: object
    sender: str
    context: object
    depth: int


class Hooks:
    """Override what is of interest. A hook must not block; if it raises, that is only counted."""

    def on_report(self, report: Report) -> None:
        """Hear of one event of a supervisor."""

    def on_dead_letter(self, letter: "DeadLetter") -> None:
        """Hear of one message that reached nobody."""

    def on_shed(self, shed: Shed) -> None:
        """Hear of one message that a mailbox shed, in the task of its sender or its receiver."""

    carried: ContextVar[Any] | None = None
    """Where the value stands that messages are to carry. Sending reads it without calling a hook;
    it must have a default."""

    def capture(self) -> object:
        """Return what a message sent now should carry in ``Envelope.context``; None for nothing.

        Not called where there is a variable ``carried``.
        """
        return None

    def handling(self, path: str, envelope: "Envelope") -> AbstractContextManager[Any] | None:
        """Return a context to handle a message in that carries something, or None for none.

        Entering and leaving it must not raise: that would count as a crash of the handler.
        """
        return None

    def handling_batch(
        self, path: str, envelopes: "Sequence[Envelope]"
    ) -> AbstractContextManager[Any] | None:
        """Return a context to handle a batch in, given those of its messages that carry something.

        Likewise; at least one does.
        """
        return None

    def starting(self, path: str, generation: int) -> AbstractContextManager[Any] | None:
        """Return a context for the ``init`` of an actor, or None for none. Likewise."""
        return None


class Reporter:
    """Hands facts to the hooks and survives them.

    Attributes:
        errors: how many times a hook raised.
        capture: the ``capture`` hook, or None when it is not overridden: sending then skips it.
        handling, handling_batch, starting, shed: likewise the hooks of these names.
    """

    def __init__(self, hooks: Hooks) -> None:
        self.errors = 0
        self._hooks = hooks
        overridden = type(hooks)
        self.capture: Callable[[], object] | None = None
        if hooks.carried is not None:
            self.capture = hooks.carried.get
        elif overridden.capture is not Hooks.capture:
            self.capture = self._capture
        self.handling = self._handling if overridden.handling is not Hooks.handling else None
        batches = overridden.handling_batch is not Hooks.handling_batch
        self.handling_batch = self._handling_batch if batches else None
        self.starting = self._starting if overridden.starting is not Hooks.starting else None
        self.shed = self._shed if overridden.on_shed is not Hooks.on_shed else None

    def report(self, report: Report) -> None:
        """Tell of one event."""
        try:
            self._hooks.on_report(report)
        except Exception:  # noqa: BLE001  # a broken observer must not break what it observes
            self.errors += 1

    def dead_letter(self, letter: "DeadLetter") -> None:
        """Tell of one dead message."""
        try:
            self._hooks.on_dead_letter(letter)
        except Exception:  # noqa: BLE001  # a broken observer must not break what it observes
            self.errors += 1

    def _shed(self, shed: Shed) -> None:
        try:
            self._hooks.on_shed(shed)
        except Exception:  # noqa: BLE001  # a broken observer must not break a sender
            self.errors += 1

    def _capture(self) -> object:
        try:
            return self._hooks.capture()
        except Exception:  # noqa: BLE001  # a broken observer must not break a sender
            self.errors += 1
            return None

    def _handling(self, path: str, envelope: "Envelope") -> AbstractContextManager[Any] | None:
        try:
            return self._hooks.handling(path, envelope)
        except Exception:  # noqa: BLE001  # nor a receiver
            self.errors += 1
            return None

    def _handling_batch(
        self, path: str, envelopes: "Sequence[Envelope]"
    ) -> AbstractContextManager[Any] | None:
        try:
            return self._hooks.handling_batch(path, envelopes)
        except Exception:  # noqa: BLE001  # a broken observer must not break what it observes
            self.errors += 1
            return None

    def _starting(self, path: str, generation: int) -> AbstractContextManager[Any] | None:
        try:
            return self._hooks.starting(path, generation)
        except Exception:  # noqa: BLE001  # a broken observer must not break what it observes
            self.errors += 1
            return None
