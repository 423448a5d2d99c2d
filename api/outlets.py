"""Outlets of the WebSocket endpoint: on the server's own socket, or through the framework.

`DirectOutlet` writes ready frames to the socket that hypercorn uses too. Both take the same lock,
ours in the place of the server's, and we keep it while a frame of ours is half-written; so neither
ever writes inside a frame of the other. Before the upgrade is answered and after any close frame
nothing is written. On a connection that negotiated compression our frames simply are uncompressed,
which RFC 7692 (section 6) allows frame by frame.

`FallbackOutlet` sends one frame at a time through `websocket.send`: for TLS, HTTP/2, another server
or anything that `server_objects` does not recognise. Slower, same rules.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio

from actors.connections import Connections
from actors.frames import Frame
from actors.outlet import NORMAL, Close, FanoutCounts, Holder, Outlet
from api.server_objects import SCOPE_KEY, ServerConnection
from api.socket_lock import ServerSide, SocketLock

JOINED_BYTES_MAX = 256 << 10
"""Replies joined for one write; more than a socket ever takes at once."""

GOODBYE_SECONDS_MAX = 5.0
"""Outer bound of the server's close, should nobody watch the connection."""


class WebSocket(Protocol):
    """What is used of the framework's WebSocket."""

    @property
    def scope(self) -> Any:
        """The ASGI scope."""

    async def accept(self) -> None:
        """Answer the upgrade."""

    async def send(self, data: Any) -> None:
        """Send one message."""

    async def close(self, code: int, reason: str = ...) -> None:
        """Send a close frame."""


class DirectOutlet(Outlet):
    """Writes frames straight to the socket that it shares with hypercorn.

    Create it before the upgrade is answered, call `open` after.

    Args:
        connection: must say `can_write_directly`; its send lock is replaced.
        close: sends a close frame through the server.
        counts: shared counters.
    """

    __slots__ = ("_close", "_connection", "_full", "_holds_lock", "_lock", "_rest", "_send")

    def __init__(
        self,
        connection: ServerConnection,
        close: Callable[[int, str], Awaitable[None]],
        counts: FanoutCounts,
    ) -> None:
        super().__init__(counts)
        raw = connection.raw_socket()
        if raw is None or not connection.can_write_directly():
            raise ValueError("the connection has no socket to share")
        self._connection = connection
        self._send: Callable[[bytes | memoryview], int] = raw.send
        self._close = close
        self._lock = SocketLock()
        self._holds_lock = False
        self._rest: memoryview | None = None
        self._full = False
        connection.server.send_lock = ServerSide(self._lock, self)  # type: ignore[assignment]
        counts.direct += 1

    def open(self) -> None:
        """Begin to write, unless the peer has closed while the upgrade was answered."""
        if not self._connection.is_open():
            self.mark_closed()
        super().open()

    def write_nowait(self, frame: Frame) -> bool:
        """Offer a data frame; see `Outlet.write_nowait`, here without a call in between."""
        if not self.clear:
            return False
        try:
            sent = self._send(frame.wire)
        except BlockingIOError:
            self._note_full()
            return False
        except OSError:
            self.mark_closed()
            return False
        if sent != frame.size:
            self._keep_rest(frame, sent)
        counts = self.counts
        counts.frames += 1
        counts.bytes += sent
        return True

    def write_batch(self, batch: Sequence[tuple[Holder, Frame]]) -> None:
        """Offer several frames with one system call; see `Outlet.write_batch`."""
        if len(batch) == 1:
            super().write_batch(batch)
            return
        sent = 0
        if self.clear and batch:
            sent = self._transmit(b"".join([frame.wire for _, frame in batch]))
        for holder, frame in batch:
            if sent <= 0:
                holder.hold(frame)
            else:
                self._note_taken(frame, sent)
                sent -= frame.size

    def abort(self) -> None:
        """Shut the socket down: the server's send fails, its tasks end."""
        self._connection.abort()
        self.mark_closed()
        self._let_go()

    def release(self) -> None:
        """Give up; a frame left half-written takes the connection with it."""
        if self._rest is not None and not self.closed:
            self.abort()
        super().release()
        self._let_go()

    def server_begins(self) -> None:
        """Note that the server writes."""
        self.clear = False

    def server_ends(self) -> None:
        """Note that the server has written; perhaps its close frame."""
        if self._opened and not self._connection.is_open():
            self.mark_closed()
        self._pass_turn()

    def _idle(self) -> bool:
        return not self._lock.held and not self._full and not self.closed

    def _has_unfinished(self) -> bool:
        return self._rest is not None or self._full

    def _take(self, frame: Frame) -> bool:
        try:
            sent = self._send(frame.wire)
        except BlockingIOError:
            self._note_full()
            return False
        except OSError:
            self.mark_closed()
            return False
        counts = self.counts
        counts.frames += 1
        counts.bytes += sent
        if sent != frame.size:
            self._keep_rest(frame, sent)
        return True

    def _transmit(self, data: bytes | memoryview) -> int:
        """Write some of the data; return how many bytes, 0 when full or broken."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            self._note_full()
            return 0
        except OSError:
            self.mark_closed()
            return 0
        self.counts.bytes += sent
        if sent != len(data):
            self._note_full()
        return sent

    def _note_full(self) -> None:
        self._full = True
        self.clear = False
        self._kick.set()

    def _note_taken(self, frame: Frame, sent: int) -> None:
        self.counts.frames += 1
        if sent < frame.size:
            self._keep_rest(frame, sent)

    def _keep_rest(self, frame: Frame, sent: int) -> None:
        if not self._holds_lock:
            self._lock.acquire_nowait()
            self._holds_lock = True
        self._rest = memoryview(frame.wire)[sent:]
        self._note_full()

    async def _settle(self) -> None:
        if self._idle() and not self._replies:
            return
        if not self._holds_lock:
            await self._lock.acquire()
            self._holds_lock = True
        try:
            while not self.closed:
                if self._full:
                    await self._wait_writable()
                if self._push_rest() and self._push_replies():
                    break
        finally:
            if self._rest is None or self.closed:
                self._let_go()

    async def _wait_writable(self) -> None:
        try:
            await self._connection.socket.wait_writable()
        except (OSError, trio.ClosedResourceError):
            self.mark_closed()
        self._full = False
        self._progress += 1

    def _push_rest(self) -> bool:
        if self._rest is None:
            return True
        sent = self._transmit(self._rest)
        self._rest = self._rest[sent:] if sent < len(self._rest) else None
        return self._rest is None

    def _push_replies(self) -> bool:
        while self._replies and not self._full and not self.closed:
            frames, size = [], 0
            for frame in self._replies:
                frames.append(frame)
                size += frame.size
                if size >= JOINED_BYTES_MAX:
                    break
            sent = self._transmit(b"".join([frame.wire for frame in frames]))
            while sent > 0:
                frame = self._next_reply()
                self._note_taken(frame, sent)
                sent -= frame.size
        return not self._replies and self._rest is None

    def _let_go(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self._rest = None
            self._lock.release()

    async def _say_goodbye(self, close: Close) -> None:
        with trio.move_on_after(GOODBYE_SECONDS_MAX):
            await self._close(close.code, close.reason)


class FallbackOutlet(Outlet):
    """Sends frames one at a time through the framework.

    Args:
        websocket: accepted by the caller.
        counts: shared counters.
        connection: for `abort`; None when the server is unknown, and then a send that it shields
            from cancellation cannot be ended from here.
    """

    __slots__ = ("_connection", "_in_hand", "_sending", "_websocket")

    def __init__(
        self,
        websocket: WebSocket,
        counts: FanoutCounts,
        connection: ServerConnection | None = None,
    ) -> None:
        super().__init__(counts)
        self._websocket = websocket
        self._connection = connection
        self._in_hand: Frame | None = None
        self._sending = trio.CancelScope()
        counts.fallback += 1

    def abort(self) -> None:
        """Shut the socket down if it is known, and wait for the server no longer."""
        if self._connection is not None:
            self._connection.abort()
        self._sending.cancel()
        self.mark_closed()

    def _idle(self) -> bool:
        return self._in_hand is None and not self.closed

    def _has_unfinished(self) -> bool:
        return self._in_hand is not None

    def _take(self, frame: Frame) -> bool:
        self._in_hand = frame
        self.clear = False
        self._kick.set()
        return True

    async def _settle(self) -> None:
        while not self.closed:
            if self._in_hand is None:
                if not self._replies:
                    return
                self._in_hand = self._next_reply()
            await self._send_in_hand(self._in_hand)
            self._in_hand = None

    async def _send_in_hand(self, frame: Frame) -> None:
        with trio.CancelScope() as self._sending:
            try:
                await self._websocket.send(frame.payload.decode())
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.mark_closed()
                return
            self._progress += 1
            self.counts.frames += 1
            self.counts.bytes += frame.size

    async def _say_goodbye(self, close: Close) -> None:
        with trio.move_on_after(GOODBYE_SECONDS_MAX):
            await self._websocket.close(close.code, close.reason)


@asynccontextmanager
async def open_outlet(
    websocket: WebSocket, connections: Connections, counts: FanoutCounts
) -> AsyncIterator[Outlet]:
    """Accept the WebSocket and serve its outlet while the body runs.

    The body receives and replies. When it ends, what was replied is written and the connection is
    closed. When the outlet ends first (closed by us, aborted, peer gone), the body is cancelled and
    the context ends quietly.

    Args:
        websocket: not yet accepted. It must not be sent to by anyone else.
        connections: watches the outlet for as long as it lives.
        counts: shared counters.
    """
    outlet = make_outlet(websocket, counts)
    await websocket.accept()
    async with serve_outlet(outlet, connections):
        yield outlet


@asynccontextmanager
async def serve_outlet(outlet: Outlet, connections: Connections) -> AsyncIterator[Outlet]:
    """Serve the outlet of a connection that is accepted; see `open_outlet`."""
    connections.add(outlet)
    try:
        async with trio.open_nursery() as nursery:
            outlet.open()
            nursery.start_soon(_serve, outlet, nursery.cancel_scope)
            yield outlet
            outlet.close(NORMAL)
    finally:
        connections.discard(outlet)
        outlet.release()


def make_outlet(websocket: WebSocket, counts: FanoutCounts) -> Outlet:
    """Return the fastest outlet that the WebSocket's server allows."""
    connection: ServerConnection | None = websocket.scope.get(SCOPE_KEY)
    if connection is not None and connection.can_write_directly():
        return DirectOutlet(connection, websocket.close, counts)
    return FallbackOutlet(websocket, counts, connection)


async def _serve(outlet: Outlet, connection: trio.CancelScope) -> None:
    await outlet.run()
    connection.cancel()
