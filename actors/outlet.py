"""Outlets: the one way out of a connection.

Everything the application says on a connection goes through its outlet: acknowledgements, answers
and data. What goes out is decided by three rules, in this order:

1. A frame that the socket took in part is finished first. Bytes never interleave.
2. Replies go before data. They wait in one short queue, so their order is the order of the calls;
   an acknowledgement therefore precedes any data of the subscription that it confirms.
3. Data goes straight to the socket while nothing else waits. Otherwise it stays in the backlog of
   its own subscription, and the subscriptions with a backlog take turns, oldest request first. A
   frame that arrives meanwhile for a subscription without a backlog joins one: it may not overtake.

The fast case must cost little more than the system call, so all of this is folded into the flag
`clear`, kept up to date where its reasons change. Everything but `run` and `wait_turn` is
synchronous and never blocks; one task per connection, `run`, waits for the socket.

An outlet reads no clock. `Connections` looks at all outlets now and then and aborts those that made
no progress while something waited: the only cure for a peer that does not read.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import attrs
import trio

from actors.frames import Frame

REPLIES_MAX = 256
"""More than twice the requests a client may have in flight, so only a client that asks without
reading gets there."""

REPLIES_BYTES_MAX = 8 << 20
"""A few of the largest answers (all instruments, an account's history). A single one is always
taken."""

HELD_BYTES_MAX = 16 << 20
"""What the subscriptions of one connection may keep alive together: a thousand subscriptions each
within its own bound would still be too much for one client."""


@attrs.frozen
class Close:
    """Why an outlet closes.

    Attributes:
        code: WebSocket close code (RFC 6455, section 7.4.1).
        reason: a clause for people, at most 123 bytes of UTF-8.
    """

    code: int
    reason: str


NORMAL = Close(1000, "")
GOING_AWAY = Close(1001, "server is stopping")
SLOW_CONSUMER = Close(1013, "client reads too slowly")
FAILED = Close(1011, "internal error")


@attrs.define
class FanoutCounts:
    """What fan-out did since the start; plain numbers that a telemetry module may read any time.

    Attributes:
        frames: frames taken by sockets, wholly or in part.
        bytes: bytes of those frames.
        held: frames that entered a backlog.
        conflated: held frames that were replaced by a newer one before they went out.
        overflowed: subscriptions ended because their backlog was full.
        flooded: connections closed because replies or backlogs passed the connection's bound.
        stalled: connections aborted because nothing moved while something waited.
        direct: connections served on the server's socket, ever.
        fallback: connections served through the framework, ever.
    """

    frames: int = 0
    bytes: int = 0
    held: int = 0
    conflated: int = 0
    overflowed: int = 0
    flooded: int = 0
    stalled: int = 0
    direct: int = 0
    fallback: int = 0


class Holder(Protocol):
    """What takes a frame when the socket did not."""

    def hold(self, frame: Frame) -> None:
        """Keep the frame until the socket takes it."""


class Outlet(ABC):
    """The way out of one connection; see the module for its rules.

    A transport fills in the abstract methods. The owner of the connection keeps `run` going, then
    calls `release`.

    Attributes:
        clear: whether `write_nowait` goes straight to the transport.
        closing: why no more frames are taken, or None.
        closed: nothing more goes out, not even a close frame.
        counts: shared counters.
    """

    __slots__ = (
        "_backlogs",
        "_held_bytes",
        "_kick",
        "_opened",
        "_progress",
        "_progress_seen",
        "_quiet_since",
        "_replies",
        "_replies_bytes",
        "_turn_taken",
        "_turns",
        "clear",
        "closed",
        "closing",
        "counts",
    )

    def __init__(self, counts: FanoutCounts) -> None:
        self.clear = False
        self.closing: Close | None = None
        self.closed = False
        self.counts = counts
        self._opened = False
        self._replies: deque[Frame] = deque()
        self._replies_bytes = 0
        self._backlogs = 0
        self._held_bytes = 0
        self._turns = trio.lowlevel.ParkingLot()
        self._turn_taken = False
        self._kick = trio.Event()
        self._progress = 0
        self._progress_seen = -1
        self._quiet_since = 0.0

    # What a publisher does.

    def write_nowait(self, frame: Frame) -> bool:
        """Offer a data frame; return False when it was not taken and must be held.

        True means taken by the transport, wholly or in part. Never blocks.
        """
        return self.clear and self._take(frame)

    def write_batch(self, batch: Sequence[tuple[Holder, Frame]]) -> None:
        """Offer several data frames, in order; what is not taken goes to its holder."""
        for holder, frame in batch:
            if not self.write_nowait(frame):
                holder.hold(frame)

    # What the connection's handler does.

    def open(self) -> None:
        """Begin to write: the transport has confirmed the connection."""
        self._opened = True
        self._refresh()
        self._kick.set()

    def reply(self, frame: Frame) -> bool:
        """Send an answer, after earlier answers and before waiting data.

        Returns False when it will never be sent: the connection is closing, or closes now because
        its client asked faster than it reads.
        """
        if self.closed or self.closing is not None:
            return False
        if not self._replies and self._opened and self._idle() and self._take(frame):
            return True
        return self._queue_reply(frame)

    def close(self, close: Close) -> None:
        """Take no more frames; finish the half-written one and the replies, then say goodbye.

        The first call decides the reason. Whoever watches deadlines aborts what does not end.
        """
        if self.closing is None:
            self.closing = close
        self.clear = False
        self._kick.set()
        self._turns.unpark_all()

    @abstractmethod
    def abort(self) -> None:
        """Shut the transport down at once, so that whatever waits for it fails."""

    async def run(self) -> None:
        """Wait for the transport on behalf of all who have something to say; end when closed."""
        while True:
            while not self._has_work():
                self._kick = trio.Event()
                await self._kick.wait()
            if self.closed:
                return
            if self._opened:
                await self._settle()
            if self.closing is not None and self._idle():
                await self._say_goodbye(self.closing)
                self.mark_closed()
            self._pass_turn()

    def release(self) -> None:
        """Give everything up; the connection is over. Safe to call more than once."""
        self.mark_closed()
        self._replies.clear()
        self._replies_bytes = 0

    # What a subscription with a backlog does.

    def begin_backlog(self) -> None:
        """Note that one more subscription has frames waiting; none may overtake them now."""
        self._backlogs += 1
        self.clear = False

    def end_backlog(self) -> None:
        """Note that one subscription less has frames waiting."""
        self._backlogs -= 1
        self._refresh()

    def resize_backlog(self, delta: int) -> None:
        """Account for bytes that a backlog gained or lost; past the bound the connection closes."""
        self._held_bytes += delta
        if self._held_bytes > HELD_BYTES_MAX and self.closing is None:
            self.counts.flooded += 1
            self.close(SLOW_CONSUMER)

    async def wait_turn(self) -> None:
        """Wait until it is the caller's turn to `write_in_turn`, then to `end_turn`.

        Returns at once when the outlet is closing. Cancelling is safe: a turn is never lost,
        provided the caller does not await between this and `end_turn`.
        """
        if self.closing is not None:
            return
        if not self._turn_taken:
            self._kick.set()
        await self._turns.park()

    def write_in_turn(self, frame: Frame) -> bool:
        """Write as `write_nowait` does, for the subscription whose turn it is."""
        if self._replies or self.closing is not None or not self._idle():
            return False
        taken = self._take(frame)
        if taken:
            self._progress += 1
        return taken

    def end_turn(self) -> None:
        """Let the next subscription with a backlog have its turn."""
        self._turn_taken = False
        self._pass_turn()

    # What the watch over all connections does.

    def is_waiting(self) -> bool:
        """Tell whether something waits for the peer to read."""
        if self.closed or not self._opened:
            return False
        return bool(self._replies or self._backlogs or self.closing or not self._idle())

    def quiet_seconds(self, now: float) -> float:
        """Return for how long nothing moved while something waited, as far as was looked.

        Args:
            now: seconds on any steady clock, the same one at each call.
        """
        if not self.is_waiting() or self._progress != self._progress_seen:
            self._progress_seen = self._progress
            self._quiet_since = now
        return now - self._quiet_since

    def mark_closed(self) -> None:
        """Note that nothing more goes out: the peer is gone, or the goodbye was said."""
        self.closed = True
        self.close(NORMAL)

    # What a transport fills in.

    @abstractmethod
    def _idle(self) -> bool:
        """Tell whether the transport would consider a frame now: nothing is in progress."""

    @abstractmethod
    def _take(self, frame: Frame) -> bool:
        """Hand a frame to an idle transport; clear the flag `clear` if it is idle no more."""

    @abstractmethod
    async def _settle(self) -> None:
        """Wait until the transport is idle and the replies are out, or the outlet is closed."""

    @abstractmethod
    async def _say_goodbye(self, close: Close) -> None:
        """End the connection in the manner of the transport."""

    # What the rules are made of.

    def _refresh(self) -> None:
        self.clear = (
            self._opened
            and self.closing is None
            and not self._backlogs
            and not self._replies
            and self._idle()
        )

    def _has_work(self) -> bool:
        if self.closed or (self.closing is not None and not self._opened):
            return True
        if not self._opened:
            return False
        wanted = len(self._turns) > 0 and not self._turn_taken
        return bool(wanted or self._replies or self.closing or self._has_unfinished())

    @abstractmethod
    def _has_unfinished(self) -> bool:
        """Tell whether `_settle` has something of ours to finish."""

    def _pass_turn(self) -> None:
        if self._turns and not self._turn_taken and not self._replies and self._idle():
            self._turn_taken = True
            self._turns.unpark()
            return
        self._refresh()
        if self._has_work():
            self._kick.set()

    def _queue_reply(self, frame: Frame) -> bool:
        over = self._replies_bytes + frame.size > REPLIES_BYTES_MAX
        if self._replies and (over or len(self._replies) >= REPLIES_MAX):
            self.counts.flooded += 1
            self.close(SLOW_CONSUMER)
            return False
        self._replies.append(frame)
        self._replies_bytes += frame.size
        self.clear = False
        self._kick.set()
        return True

    def _next_reply(self) -> Frame:
        frame = self._replies.popleft()
        self._replies_bytes -= frame.size
        return frame
