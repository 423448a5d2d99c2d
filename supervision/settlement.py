"""Where the messages go that an incarnation held when it ended.

Only what was in hand can be lost: everything else waits in the mailbox, which survives. Each
message goes by the policy of its type, and every ask among them either ends here or goes on waiting
for the next incarnation.
"""

from supervision.cell import Cell, Exit
from supervision.deadletters import DeadReason
from supervision.envelope import Envelope, InHand, Reply, in_hand_policy
from supervision.errors import AskError, ServerDied, Stopped
from supervision.restarts import ExitKind

ATTEMPTS_MAX = 2
"""A message that crashed its actor this often is poison, whatever its policy."""


class Settlement:
    """Settles what one incarnation of a cell held, given how it ended."""

    def __init__(self, cell: Cell, exit: Exit) -> None:
        self._cell = cell
        self._exit = exit
        self._crashed = exit.kind is ExitKind.ABNORMAL

    def settle(self, in_hand: tuple[Envelope, ...]) -> None:
        """Settle a message or a batch. What is redelivered keeps its order, before all that waits.

        Nobody can tell which message of a crashed batch was guilty. So none is blamed, and those to
        be delivered again are marked to be taken in hand one at a time.
        """
        alone = len(in_hand) == 1
        for envelope in reversed(in_hand):
            self._settle_one(envelope, alone=alone)

    def _settle_one(self, envelope: Envelope, *, alone: bool) -> None:
        mailbox, reply = self._cell.mailbox, envelope.reply
        elsewhere = reply is not None and reply.carrier not in (envelope, None)
        answered = reply is not None and (reply.done or reply.abandoned)
        if elsewhere or answered or self._exit.kind in (ExitKind.NORMAL, ExitKind.SHUTDOWN):
            mailbox.handled += 1
            if not elsewhere:
                self.fail(reply)
            return
        policy = in_hand_policy(envelope.message)
        if self._crashed and alone and envelope.attempt >= ATTEMPTS_MAX:
            self._lose(envelope, DeadReason.POISON)
        elif policy is InHand.REDELIVER:
            self._put_back(envelope, alone=alone)
        elif policy is InHand.DROP:
            mailbox.dropped += 1
            self.fail(reply)
        else:
            self._lose(envelope, DeadReason.IN_HAND if self._crashed else DeadReason.INTERRUPTED)

    def _put_back(self, envelope: Envelope, *, alone: bool) -> None:
        mailbox = self._cell.mailbox
        if not (self._crashed and alone):
            envelope.attempt -= 1
        if self._crashed and not alone:
            mailbox.singly += 1
        if envelope.reply is not None:
            envelope.reply.carry(envelope, self._cell)
        mailbox.push_front(envelope)

    def _lose(self, envelope: Envelope, reason: DeadReason) -> None:
        self.fail(envelope.reply)
        self._cell.bury(envelope, reason, self._exit.cause)

    def fail_kept(self, replies: dict[Reply, None]) -> None:
        """Fail the asks whose replies the incarnation had kept for later."""
        for reply in list(replies):
            self.fail(reply)
        replies.clear()

    def fail(self, reply: Reply | None) -> None:
        """Tell an asker that still waits how the server ended."""
        if reply is None or reply.done or reply.abandoned:
            return
        error: AskError
        if self._crashed:
            error = ServerDied(self._cell.path, repr(self._exit.cause))
        else:
            error = Stopped(self._cell.path, self._exit.reason)
        error.__cause__ = self._exit.cause
        reply.fail(error)
