"""The lock over one socket that two writers share: the HTTP server and our outlet.

Unlike `trio.Lock` it belongs to nobody in particular: synchronous code takes it when a write ends
in the middle of a frame, and whichever task finishes the frame gives it back.
"""

from types import TracebackType
from typing import Protocol

import trio


class SocketLock:
    """A fair lock without an owner.

    Attributes:
        held: whether somebody is writing or has something half-written.
    """

    __slots__ = ("_waiters", "held")

    def __init__(self) -> None:
        self.held = False
        self._waiters = trio.lowlevel.ParkingLot()

    def acquire_nowait(self) -> None:
        """Take the lock, which must be free."""
        assert not self.held, "a frame was begun while somebody else was writing"
        self.held = True

    async def acquire(self) -> None:
        """Wait for the lock, first come first served. Cancelled means not taken."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.held:
            await self._waiters.park()  # the one who releases leaves it held, for us
        else:
            self.held = True

    def release(self) -> None:
        """Give the lock to the next in line, or free it."""
        assert self.held, "released a lock that nobody holds"
        if self._waiters:
            self._waiters.unpark()
        else:
            self.held = False


class ServerWrites(Protocol):
    """What is told about the server's writes. Both calls are synchronous and must not raise."""

    def server_begins(self) -> None:
        """The server holds the lock."""

    def server_ends(self) -> None:
        """The server gave the lock back."""


class ServerSide:
    """What the server gets in place of its own lock: the same interface, our lock behind it."""

    __slots__ = ("_lock", "_server")

    def __init__(self, lock: SocketLock, server: ServerWrites) -> None:
        self._lock = lock
        self._server = server

    async def __aenter__(self) -> None:
        await self._lock.acquire()
        self._server.server_begins()

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
        self._server.server_ends()
