"""Messages that reached nobody: a bounded ring for looking, and counters for alarms.

Dead is not dropped. What a mailbox discards because its policy says so is counted by the mailbox;
here is only what should have been handled and was not.
"""

from collections import Counter, deque
from enum import Enum

import attrs

from supervision.envelope import Envelope
from supervision.hooks import Reporter


class DeadReason(Enum):
    """Why a message died."""

    STOPPED = "stopped"
    """It was sent to a cell that will not run again."""
    UNDELIVERED = "undelivered"
    """It was queued when its cell stopped for good."""
    IN_HAND = "in hand"
    """Its actor crashed while holding it."""
    POISON = "poison"
    """It crashed its actor twice."""
    UNKNOWN = "unknown"
    """Its actor did not know what to do with it."""
    INTERRUPTED = "interrupted"
    """Its actor was stopped while holding it."""


@attrs.frozen
class DeadLetter:
    """One dead message.

    Attributes:
        at: absolute Trio time in seconds.
        owner: the pool of the cell, or the cell itself.
        context: what it carried; see `Hooks.capture`.
    """

    path: str
    reason: DeadReason
    message: object
    sender: str
    attempt: int
    at: float
    cause: BaseException | None
    owner: str = ""
    context: object = None


class DeadLetters:
    """The newest dead letters of a system, and how many there were by (owner, reason).

    The owner of a child of a pool is the pool, so that the number of counters stays bounded.
    """

    def __init__(self, reporter: Reporter, *, kept_max: int = 1024) -> None:
        self.ring: deque[DeadLetter] = deque(maxlen=kept_max)
        self.counts: Counter[tuple[str, DeadReason]] = Counter()
        self.reporter = reporter

    def add(
        self,
        owner: str,
        path: str,
        envelope: Envelope,
        reason: DeadReason,
        *,
        at: float,
        cause: BaseException | None = None,
    ) -> None:
        """Record one dead message and tell the hooks."""
        letter = DeadLetter(
            path=path,
            reason=reason,
            message=envelope.message,
            sender=envelope.sender,
            attempt=envelope.attempt,
            at=at,
            cause=cause,
            owner=owner,
            context=envelope.context,
        )
        self.ring.append(letter)
        self.counts[owner, reason] += 1
        self.reporter.dead_letter(letter)

    @property
    def total(self) -> int:
        """Dead messages since the start."""
        return self.counts.total()
