"""Connections: the outlets that live now, watched for stalls and closed together at the end.

A write to a peer that does not read may be out of reach of cancellation (servers shield theirs), so
the watch does what always works: it aborts the transport, and whatever waited for it fails.
"""

from collections.abc import Callable

import trio

from actors.outlet import GOING_AWAY, Outlet

STALL_SECONDS_MAX = 15.0
"""No byte moved for so long while bytes wait: the peer is gone or stuck. Longer than a mobile
network's hand-over, much shorter than a TCP time-out."""

CLOSE_SECONDS_MAX = 2.0
"""What a closing connection may take for its last bytes: a healthy peer needs a round trip."""

CHECK_SECONDS = 1.0
"""Between two looks; looking at a thousand outlets takes well under a millisecond."""


class Connections:
    """The live outlets of a process.

    Args:
        stall_seconds: how long nothing may move while something waits.
        close_seconds: the same for a connection that is closing.
    """

    def __init__(
        self,
        *,
        stall_seconds: float = STALL_SECONDS_MAX,
        close_seconds: float = CLOSE_SECONDS_MAX,
    ) -> None:
        self._outlets: dict[Outlet, None] = {}
        self._stall_seconds = stall_seconds
        self._close_seconds = close_seconds
        self._abort_others: list[Callable[[], None]] = []
        self._draining = False
        self._empty = trio.Event()

    def __len__(self) -> int:
        return len(self._outlets)

    def add(self, outlet: Outlet) -> None:
        """Watch an outlet; one that arrives while draining is told to close."""
        self._outlets[outlet] = None
        if self._draining:
            outlet.close(GOING_AWAY)

    def discard(self, outlet: Outlet) -> None:
        """Watch an outlet no longer."""
        self._outlets.pop(outlet, None)
        if not self._outlets:
            self._empty.set()

    def abort_also(self, abort: Callable[[], None]) -> None:
        """Call this too at the deadline of `drain`, for what has no outlet: plain requests."""
        self._abort_others.append(abort)

    def check(self, now: float) -> None:
        """Abort the outlets on which nothing moves.

        Args:
            now: seconds on a steady clock.
        """
        for outlet in list(self._outlets):
            limit = self._stall_seconds if outlet.closing is None else self._close_seconds
            if outlet.quiet_seconds(now) >= limit:
                outlet.counts.stalled += 1
                outlet.abort()

    async def watch(self) -> None:
        """Check for ever."""
        while True:
            self.check(trio.current_time())
            await trio.sleep(CHECK_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Close all connections; abort those that are not over in time.

        Args:
            seconds: how long clients may take; the call may last a moment longer, not more.
        """
        self._draining = True
        for outlet in list(self._outlets):
            outlet.close(GOING_AWAY)
        with trio.move_on_after(seconds):
            await self._wait_empty()
        for outlet in list(self._outlets):
            outlet.abort()
        for abort in self._abort_others:
            abort()

    async def _wait_empty(self) -> None:
        while self._outlets:
            self._empty = trio.Event()
            await self._empty.wait()
