"""Two lanes of messages that belong to a cell and outlive every incarnation of its actor.

The user lane is bounded and its policy says what happens when it is full. The control lane is
small, is always looked at first and never drops anything. Both are plain deques: sending never
blocks and wakes the receiver only when it sleeps, and the receiver drains in batches; that is what
makes a message cost about a microsecond instead of the 14 of an awaited channel operation.
"""

from collections import deque
from collections.abc import Callable, Hashable
from enum import Enum
from math import inf
from typing import Any

import attrs
from trio.lowlevel import ParkingLot

from supervision.envelope import Envelope
from supervision.errors import SpecError

CONTROL_MAX = 65_536
"""Bound of a control lane: far above the number of actors that one actor can sensibly watch."""


class OnFull(Enum):
    """What a full user lane does with a tell. Asks are refused in every case."""

    REFUSE = "refuse"
    """Say FULL to the sender, who decides."""
    DROP_OLDEST = "drop oldest"
    """Accept, and drop the message that waited longest."""
    DROP_NEWEST = "drop newest"
    """Drop the message that just came, and say so."""
    CONFLATE = "conflate"
    """Keep one message a key, the newest, in the place of the first; refuse new keys when full."""


class Delivery(Enum):
    """What became of a tell. True when the message, or what replaced it, will be delivered."""

    ACCEPTED = "accepted"
    CONFLATED = "conflated"
    """Took the place of an older message with its key."""
    DISPLACED = "displaced"
    """Accepted, and the oldest message was dropped for it."""
    FULL = "full"
    DROPPED = "dropped"
    OUTDATED = "outdated"
    """Accepted, and let go when its turn came, because it had waited for too long."""
    STOPPED = "stopped"
    """The cell will not run again; the message is a dead letter."""

    def __bool__(self) -> bool:
        """Tell whether the receiver will see it."""
        return self is ACCEPTED or self is CONFLATED or self is DISPLACED


ACCEPTED = Delivery.ACCEPTED
CONFLATED = Delivery.CONFLATED
DISPLACED = Delivery.DISPLACED


@attrs.frozen
class MailboxSpec:
    """How many messages wait, and what happens to the next one.

    Attributes:
        capacity: most messages in the user lane; at least 1.
        on_full: the policy.
        key: for CONFLATE: the key of a message; messages with equal keys replace each other. None
            as a key means that this message is never conflated.
        useful_seconds: a message that has waited for longer is not handled when its turn comes; an
            ask fails with `WaitedTooLong`. A bound by time: what is late may be worse than nothing.
    """

    capacity: int = 1024
    on_full: OnFull = OnFull.REFUSE
    key: Callable[[Any], Hashable] | None = None
    useful_seconds: float = inf

    def __attrs_post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            SpecError: no room or no time at all, or a key without conflation, or the reverse.
        """
        if self.capacity < 1:
            raise SpecError("a mailbox holds at least one message")
        if (self.on_full is OnFull.CONFLATE) != (self.key is not None):
            raise SpecError("CONFLATE needs a key, and a key needs CONFLATE")
        if not self.useful_seconds > 0:
            raise SpecError("a message is useful for some time")


class Mailbox:
    """The lanes of one cell, and the counters of what passed through them.

    Senders on the fast path touch ``user``, ``fast_limit``, ``accepted`` and ``waker`` themselves;
    everything else goes through methods. At any time, per mailbox,
    ``accepted = handled + conflated + dropped + expired + dead + waiting + in hand``.

    Attributes:
        expired: messages that were not handled because nobody waits for them, or they were too old.
        outdated: those of them that were too old.
        high_water: most messages in the user lane when a batch was taken.
        control_high_water: most messages in the control lane, ever.
        fast_limit: a sender may append while the lane is shorter than this; 0 when every message
            needs `offer` (closed, or conflating).
        room: where senders wait for room; None until one does.
        singly: how many messages at the front are to be taken in hand alone, because they were in
            a batch that crashed and the guilty one is to be found.
        waker: called once by the next sender; set by whoever sleeps until there is mail.
    """

    __slots__ = (
        "_index",
        "accepted",
        "closed",
        "conflated",
        "control",
        "control_high_water",
        "dead",
        "dropped",
        "expired",
        "fast_limit",
        "handled",
        "high_water",
        "late_replies",
        "outdated",
        "refused",
        "room",
        "singly",
        "spec",
        "user",
        "waker",
    )

    def __init__(self, spec: MailboxSpec) -> None:
        self.user: deque[Envelope] = deque()
        self.control: deque[object] = deque()
        self.waker: Callable[[], object] | None = None
        self.room: ParkingLot | None = None
        self.accepted = self.handled = self.refused = 0
        self.conflated = self.dropped = self.expired = self.dead = 0
        self.late_replies = self.high_water = self.control_high_water = self.singly = 0
        self.outdated = 0
        self.closed = False
        self.configure(spec)

    def configure(self, spec: MailboxSpec) -> None:
        """Take over a specification. Messages that already wait stay."""
        self.spec = spec
        self._index: dict[Hashable, Envelope] | None = None
        if spec.on_full is OnFull.CONFLATE:
            self._index = {}
        self._set_fast_limit()

    def _set_fast_limit(self) -> None:
        slow = self.closed or self._index is not None
        self.fast_limit = 0 if slow else self.spec.capacity

    @property
    def keyed(self) -> bool:
        """Whether messages must be taken with `take`, which keeps the index of keys right."""
        return self._index is not None

    def wake(self) -> None:
        """Wake the receiver if it sleeps."""
        waker = self.waker
        if waker is not None:
            self.waker = None
            waker()

    def offer(self, envelope: Envelope) -> tuple[Delivery, Envelope | None]:
        """Put a message into the user lane by policy. The cell has checked that it is open.

        Returns:
            What became of it, and the envelope that lost its place, if one did.
        """
        if self._index is not None and self._conflate(envelope):
            return CONFLATED, None
        loser: Envelope | None = None
        delivery = ACCEPTED
        if len(self.user) >= self.spec.capacity:
            policy = self.spec.on_full
            if envelope.reply is not None or policy in (OnFull.REFUSE, OnFull.CONFLATE):
                self.refused += 1
                return Delivery.FULL, None
            if policy is OnFull.DROP_NEWEST:
                self.refused += 1
                return Delivery.DROPPED, None
            loser = self.user.popleft()
            self.dropped += 1
            delivery = DISPLACED
        self.push(envelope)
        return delivery, loser

    def _conflate(self, envelope: Envelope) -> bool:
        assert self._index is not None
        assert self.spec.key is not None
        if envelope.reply is not None:
            return False
        key = self.spec.key(envelope.message)
        if key is None:
            return False
        waiting = self._index.get(key)
        if waiting is None:
            if len(self.user) < self.spec.capacity:
                self._index[key] = envelope
            return False
        waiting.message = envelope.message
        waiting.context = envelope.context
        waiting.sender = envelope.sender
        self.accepted += 1
        self.conflated += 1
        return True

    def push(self, envelope: Envelope) -> None:
        """Append whatever the bound says; for what is bounded elsewhere, such as timers."""
        self.user.append(envelope)
        self.accepted += 1
        waker = self.waker
        if waker is not None:
            self.waker = None
            waker()

    def push_front(self, envelope: Envelope) -> None:
        """Put a message that was in hand back to the front. It was accepted before."""
        self.user.appendleft(envelope)

    def insert_front(self, envelope: Envelope, place: int = 0) -> None:
        """Put a message before all that waits, after the first ``place`` ones."""
        self.user.insert(place, envelope)
        if self.singly:
            self.singly += 1

    def push_control(self, item: object) -> bool:
        """Append to the control lane; False if it is overfull, which is always a bug."""
        if len(self.control) >= CONTROL_MAX:
            return False
        self.control.append(item)
        self.control_high_water = max(self.control_high_water, len(self.control))
        self.wake()
        return True

    def take(self) -> Envelope:
        """Take the first message of the user lane."""
        envelope = self.user.popleft()
        if self._index and self.spec.key is not None and envelope.reply is None:
            key = self.spec.key(envelope.message)
            if self._index.get(key) is envelope:
                del self._index[key]
        return envelope

    def discard(self, envelope: Envelope) -> bool:
        """Remove one waiting message, compared by identity; False if it does not wait here."""
        for index, waiting in enumerate(self.user):
            if waiting is envelope:
                del self.user[index]
                self.expired += 1
                return True
        return False

    def take_asks(self) -> list[Envelope]:
        """Remove the asks from the user lane and leave the tells, in their order."""
        asks = [envelope for envelope in self.user if envelope.reply is not None]
        if asks:
            tells = [envelope for envelope in self.user if envelope.reply is None]
            self.user.clear()
            self.user.extend(tells)
            self.expired += len(asks)
        return asks

    async def wait_room(self) -> None:
        """Wait until there may be room, or the mailbox was closed."""
        if self.room is None:
            self.room = ParkingLot()
        await self.room.park()

    def made_room(self) -> None:
        """Let senders that wait for room try again, as many as there is room for."""
        if self.room is not None:
            self.room.unpark(count=max(self.spec.capacity - len(self.user), 0))

    def open(self) -> None:
        """Accept messages."""
        self.closed = False
        self._set_fast_limit()

    def refuse(self) -> None:
        """Accept no more messages; those that wait are still handled."""
        self.closed = True
        self._set_fast_limit()

    def close(self) -> list[Envelope]:
        """Accept no more messages and hand over those that wait, first first."""
        self.refuse()
        waiting = [self.take() for _ in range(len(self.user))]
        self.control.clear()
        if self.room is not None:
            self.room.unpark_all()
        return waiting
