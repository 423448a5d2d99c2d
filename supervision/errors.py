"""Every error of the package, drawn as the tree that a caller may catch.

SupervisionError
├── SpecError             a specification contradicts itself
├── UnknownPath           no such cell
├── PoolFull              the pool holds as many keys as it may
├── ControlLaneFull       more control messages than any correct program sends
├── StashFull             an actor put aside more messages than it said it would
├── AnsweredTwice         a server answered one ask a second time (in strict systems only)
├── AskError              an ask ended without an answer
│   ├── MailboxFull       not accepted; nothing was done
│   ├── Restarting        not accepted; the server is waiting to be started again
│   ├── WaitedTooLong     not handled; it was too old when its turn came, nothing was done
│   ├── Stopped           not handled; the server is gone for good
│   ├── ServerDied        the server crashed while it held the message: outcome unknown
│   ├── NotUnderstood     the server does not know this message; nothing was done
│   ├── NoReply           the handler finished without an answer and without keeping the cell
│   └── AskCycle          answering would need the asker, who is waiting
├── StartError            a child did not start
│   ├── InitFailed        its start raised; the original exception is ``__cause__``
│   └── InitTimeout       its start was not done within the deadline
├── ControlError          a control call that the supervisor refused
│   ├── AlreadyStarted, AlreadyPresent, NotFound, StillRunning
└── SupervisorFailed      a supervisor gave up (also an ExceptionGroup of the causes)
"""

from collections.abc import Sequence
from typing import Self


class SupervisionError(Exception):
    """Base of every error that this package raises."""


class SpecError(SupervisionError):
    """A specification contradicts itself; nothing was started."""


class UnknownPath(SupervisionError):
    """No cell has this path."""


class PoolFull(SupervisionError):
    """The pool holds as many keys as its capacity and none of them is idle."""


class ControlLaneFull(SupervisionError):
    """A control lane overflowed. It is sized so that this is always a bug; the actor is failed."""


class StashFull(SupervisionError):
    """An actor put aside more messages than its ``stash_max``."""


class AnsweredTwice(SupervisionError):
    """A server answered one ask a second time, in a system that was opened as strict."""


class AskError(SupervisionError):
    """An ask ended without an answer. ``path`` names the server."""

    def __init__(self, path: str, detail: str = "") -> None:
        super().__init__(f"{path}: {detail}" if detail else path)
        self.path = path


class MailboxFull(AskError):
    """The mailbox had no room. The message was not accepted and nothing was done with it."""


class Restarting(AskError):
    """The server waits to be started again. Nothing was done; retry after ``retry_at``.

    ``retry_at`` is absolute Trio time in seconds.
    """

    def __init__(self, path: str, retry_at: float) -> None:
        super().__init__(path, f"restarting at {retry_at:.3f}")
        self.retry_at = retry_at


class WaitedTooLong(AskError):
    """The message was older than messages of this mailbox are useful. Nothing was done."""


class Stopped(AskError):
    """The server has stopped, or stopped before it came to this message."""


class ServerDied(AskError):
    """The server crashed with the message in hand: whether it took effect is unknown.

    ``__cause__`` is the exception that killed the server.
    """


class NotUnderstood(AskError):
    """The server does not know this message. Nothing was done with it."""


class NoReply(AskError):
    """The handler finished and neither answered the message nor kept its reply cell."""


class AskCycle(AskError):
    """The ask would wait for itself. ``chain`` holds the paths from the asker back to the asker."""

    def __init__(self, path: str, chain: Sequence[str]) -> None:
        super().__init__(path, " -> ".join(chain))
        self.chain = tuple(chain)


class StartError(SupervisionError):
    """A child did not start."""


class InitFailed(StartError):
    """The start of a child raised; ``__cause__`` is what it raised."""


class InitTimeout(StartError):
    """The start of a child was not finished within its deadline."""


class ControlError(SupervisionError):
    """A supervisor refused a control call."""


class AlreadyStarted(ControlError):
    """A child with this id is running."""


class AlreadyPresent(ControlError):
    """A child with this id is known but stopped: restart it or delete it."""


class NotFound(ControlError):
    """The supervisor has no child with this id."""


class StillRunning(ControlError):
    """The child must be stopped first."""


class SupervisorFailed(ExceptionGroup[Exception], SupervisionError):
    """A supervisor gave up. Its members are what the last failing child raised."""

    def derive(self, excs: Sequence[Exception]) -> Self:  # type: ignore[override]
        """Keep the type when the group is split."""
        return type(self)(self.message, excs)
