"""What travels: envelopes, and the one-shot cells in which an ask waits for its answer."""

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any

from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from supervision.errors import AnsweredTwice, AskError, Stopped

if TYPE_CHECKING:
    from supervision.cell import Cell


class InHand(Enum):
    """What becomes of a message that its actor held when it crashed.

    A message type names its policy in a class attribute ``in_hand`` (a member or its value).
    """

    DEAD_LETTER = "dead_letter"
    """Recorded with the cause; an ask fails with `ServerDied`. The default."""
    REDELIVER = "redeliver"
    """Put back at the front, once. A message that crashed its actor twice is a dead letter."""
    DROP = "drop"
    """Only counted; an ask fails with `ServerDied`."""


def in_hand_policy(message: object) -> InHand:
    """Return the policy that the type of ``message`` names."""
    return InHand(getattr(type(message), "in_hand", InHand.DEAD_LETTER))


class Reply:
    """Where the answer to one ask goes. It is answered at most once; later answers are counted.

    Whoever holds it answers it: the loop with what ``handle`` returned, or the actor that took it.
    If the asker is gone (cancelled, past its deadline) answering does nothing and harms nobody.

    Attributes:
        abandoned: the asker is gone.
        done: an answer or an error was given.
        server: the cell that is expected to answer; None while an actor keeps the reply.
        carrier: the envelope whose handling will answer; None while an actor keeps the reply, and
            when it is over: no ask leaves a cycle behind for the collector.
    """

    __slots__ = (
        "_error",
        "_home",
        "_keepers",
        "_task",
        "_then",
        "_value",
        "abandoned",
        "carrier",
        "done",
        "on_abandon",
        "server",
    )

    def __init__(self, server: "Cell", then: "Callable[[Reply], None] | None" = None) -> None:
        self.server: Cell | None = server
        self.carrier: Envelope | None = None
        self.abandoned = False
        self.done = False
        self.on_abandon: Callable[[], None] | None = None
        self._home = server
        self._keepers: dict[Reply, None] | None = None
        self._task: Task | None = None
        self._then = then
        self._error: Exception | None = None

    @property
    def deadline(self) -> float:
        """Until when the asker waits, in absolute Trio time; ``inf`` if for ever.

        It is that of the asker's scopes, and is read when somebody wants to know: finding it costs
        every ask as much as sending two messages.
        """
        return inf if self._task is None else _deadline_of(self._task)

    def answer(self, value: Any) -> None:
        """Wake the asker with ``value``."""
        if self.done or self.abandoned:
            self._late()
            return
        self._value = value
        task = self._task
        if task is None or self._keepers is not None:
            self._finish()
        else:
            self.done = True
            self.carrier = self._task = None
            reschedule(task)

    def fail(self, error: Exception) -> None:
        """Wake the asker with ``error`` raised from its ask."""
        if self.done or self.abandoned:
            self._late()
            return
        self._error = error
        self._finish()

    def _finish(self) -> None:
        self.done = True
        self.carrier = None
        self._unkeep()
        task = self._task
        if task is not None:
            self._task = None
            reschedule(task)
        elif self._then is not None:
            try:
                self._then(self)
            except Exception:  # noqa: BLE001
                # It runs in the server's task, which must not fall for a mistake of the asker.
                self._home.services.reporter.errors += 1

    @property
    def error(self) -> BaseException | None:
        """The error that the server answered with, if it was one."""
        return self._error

    @property
    def value(self) -> Any:
        """What the server answered."""
        return self._value

    @property
    def expected_from(self) -> "Cell":
        """The cell that will answer when it handles the message, or where the reply was kept."""
        return self._home if self.server is None else self.server

    @property
    def asked(self) -> str:
        """Path of the cell that was asked; another one may answer."""
        return self._home.path

    def _late(self) -> None:
        if self.done and self._home.services.strict:
            raise AnsweredTwice(f"{self._home.path} answered an ask twice")
        self._home.mailbox.late_replies += 1
        self._unkeep()

    def keep(self, keepers: "dict[Reply, None]") -> None:
        """Note that an actor keeps this reply; if it ends first, the asker hears of it."""
        self.server = self.carrier = None
        if not (self.done or self.abandoned):
            self._keepers = keepers
            keepers[self] = None

    def carry(self, envelope: "Envelope", server: "Cell") -> None:
        """Note that ``server`` answers when it handles ``envelope``; nobody keeps the reply."""
        self.server = server
        self.carrier = envelope
        self._unkeep()

    def _unkeep(self) -> None:
        if self._keepers is not None:
            self._keepers.pop(self, None)
            self._keepers = None

    async def wait(self) -> Any:
        """Wait for the answer. Cancelling marks the reply abandoned.

        Raises:
            AskError: the server could not answer.
        """
        if not self.done:
            self._task = current_task()
            await wait_task_rescheduled(self._abort)
        if self._error is not None:
            raise self._error
        value: Any = self._value
        return value

    def _abort(self, _: object) -> Abort:
        self.carrier = self._task = None
        self.abandoned = True
        self._unkeep()
        if self.on_abandon is not None:
            self.on_abandon()
        return Abort.SUCCEEDED


class Envelope:
    """A message on its way, with what the loop needs to know about it.

    Attributes:
        message: the message itself.
        reply: where the answer goes; None for a tell.
        sent_at: absolute Trio time in seconds.
        attempt: how often it was taken in hand; 0 while it waits for the first time.
        sender: path of the sending actor, "" from outside.
        context: opaque, whatever the ``capture`` hook returned when it was sent.
    """

    __slots__ = ("attempt", "context", "message", "reply", "sender", "sent_at")

    def __init__(self, message: Any, reply: Reply | None, sent_at: float, sender: str = "") -> None:
        self.message = message
        self.reply = reply
        self.sent_at = sent_at
        self.attempt = 0
        self.sender = sender
        self.context: object = None

    @property
    def deadline(self) -> float:
        """Until when handling makes sense, in absolute Trio time; ``inf`` if for ever."""
        return inf if self.reply is None else self.reply.deadline

    def answer(self, value: Any) -> None:
        """Answer an ask; for a tell do nothing."""
        if self.reply is not None:
            self.reply.answer(value)

    def fail(self, error: Exception) -> None:
        """Fail an ask; for a tell do nothing."""
        if self.reply is not None:
            self.reply.fail(error)

    @property
    def expired(self) -> bool:
        """Whether nobody waits for this message any more."""
        return self.reply is not None and self.reply.abandoned

    def __repr__(self) -> str:
        """Name the message type and who sent it."""
        kind = "ask" if self.reply is not None else "tell"
        return f"<{kind} {type(self.message).__name__} from {self.sender or 'outside'}>"


def undelivered(path: str, detail: str, cause: BaseException | None) -> AskError:
    """Return the error for an ask that was accepted and will never be handled."""
    error = Stopped(path, detail)
    error.__cause__ = cause
    return error


def _deadline_of(task: Task) -> float:
    """Return the effective deadline of a parked task.

    Trio tells a task its own deadline only. The private name is guarded by a test.
    """
    return task._cancel_status.effective_deadline()
