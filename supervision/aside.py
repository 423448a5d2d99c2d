"""Messages that an incarnation put aside, and those with which it goes on before all others."""

from supervision.cell import Cell
from supervision.deadletters import DeadReason
from supervision.envelope import Envelope
from supervision.errors import NotUnderstood, StashFull


class Aside:
    """What one incarnation holds outside the order of its mailbox.

    Attributes:
        stashed: messages that came too early, oldest first. Their askers go on waiting.
    """

    __slots__ = ("_cell", "_continued", "stashed")

    def __init__(self, cell: Cell) -> None:
        self.stashed: list[Envelope] = []
        self._continued: list[Envelope] = []
        self._cell = cell

    def stash(self, envelope: Envelope, most: int) -> None:
        """Put the message in hand aside.

        Raises:
            StashFull: ``most`` messages are there already.
        """
        if len(self.stashed) >= most:
            raise StashFull(f"{self._cell.path} has put aside {most} messages")
        envelope.attempt -= 1
        self.stashed.append(envelope)

    def unstash(self, count: int | None) -> int:
        """Put the oldest ones back before all that waits; see `Context.unstash`."""
        back = self.stashed if count is None else self.stashed[:count]
        self.stashed = self.stashed[len(back) :]
        for envelope in reversed(back):
            self._cell.mailbox.insert_front(envelope)
        self._cell.mailbox.wake()
        return len(back)

    def continue_with(self, message: object) -> None:
        """Put a message before all that waits; see `Context.continue_with`."""
        mailbox = self._cell.mailbox
        envelope = Envelope(message, None, self._cell.services.clock(), self._cell.path)
        self._continued = [waiting for waiting in self._continued if waiting.attempt == 0]
        mailbox.insert_front(envelope, len(self._continued))
        mailbox.accepted += 1
        self._continued.append(envelope)
        mailbox.wake()

    def close(self) -> None:
        """The incarnation ends: what it would have gone on with goes, what it stashed stays."""
        for envelope in self._continued:
            self._cell.mailbox.discard(envelope)
        self.unstash(None)


def refuse_unknown(cell: Cell, envelope: Envelope) -> None:
    """Dispose of a message that its actor does not know."""
    if envelope.reply is None:
        cell.bury(envelope, DeadReason.UNKNOWN, None)
    else:
        cell.mailbox.handled += 1
        envelope.reply.fail(NotUnderstood(cell.path, type(envelope.message).__name__))
