"""Find the socket behind an ASGI connection in hypercorn's own objects.

The `send` that hypercorn hands an application is a bound method; its owners lead to the stream:
`WSStream` or `HTTPStream`, then `H11Protocol` (or `H2Protocol`), then `TCPServer`. None of this is
a promise of hypercorn's, so every step is checked by exact type and any surprise gives up. What was
found is for two uses:

- aborting: shutting the socket down is what ends a send that hypercorn shields from cancellation;
- writing to it directly, only for a plain WebSocket over HTTP/1.1 without TLS.

Written for hypercorn 0.18 with quart-trio 0.12.
"""

import contextlib
import socket as stdlib_socket
from typing import Any, cast

import attrs
import trio
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from wsproto.connection import ConnectionState

from actors.connections import Connections

SCOPE_KEY = "zaraba.connection"
"""Where `ServerSockets` leaves the `ServerConnection` in an ASGI scope; absent when not found."""


@attrs.frozen(eq=False)
class ServerConnection:
    """hypercorn's objects of one connection.

    Attributes:
        server: holds the send lock of the socket.
        stream: the request's; its kind tells HTTP from WebSocket.
        socket: the transport.
        plain: HTTP/1.1 without TLS, so that the socket carries our bytes as they are.
    """

    server: TCPServer
    stream: HTTPStream | WSStream
    socket: trio.socket.SocketType
    plain: bool

    def abort(self) -> None:
        """Shut the socket down in both directions: reads end, writes fail, waits wake."""
        with contextlib.suppress(OSError):  # already closed, here or by the peer
            self.socket.shutdown(trio.socket.SHUT_RDWR)

    def is_open(self) -> bool:
        """Tell whether data frames may be written: after the upgrade, before any close frame."""
        stream = self.stream
        return (
            isinstance(stream, WSStream)
            and not stream.closed
            and stream.state is ASGIWebsocketState.CONNECTED
            and stream.connection.state is ConnectionState.OPEN
        )

    def raw_socket(self) -> stdlib_socket.socket | None:
        """Return the non-blocking socket under trio's, or None when trio keeps it elsewhere."""
        raw = getattr(self.socket, "_sock", None)
        if type(raw) is stdlib_socket.socket and raw.gettimeout() == 0.0:
            return raw
        return None

    def can_write_directly(self) -> bool:
        """Tell whether a `DirectOutlet` may share this connection's socket."""
        lock: object = self.server.send_lock
        return (
            self.plain
            and type(self.stream) is WSStream
            and type(lock) is trio.Lock
            and not lock.locked()
            and self.raw_socket() is not None
        )


def find_connection(send: ASGISendCallable) -> ServerConnection | None:
    """Return what is behind an ASGI `send`, or None when it is not the server we know."""
    try:
        stream = send.__self__  # type: ignore[attr-defined]
        protocol = stream.send.__self__
        server = protocol.send.__self__
        transport: object = server.stream
    except AttributeError:
        return None
    known = type(stream) in {HTTPStream, WSStream} and type(protocol) in {H11Protocol, H2Protocol}
    if not known or type(server) is not TCPServer:
        return None
    carrier = transport.transport_stream if isinstance(transport, trio.SSLStream) else transport
    if type(carrier) is not trio.SocketStream:
        return None
    plain = carrier is transport and type(protocol) is H11Protocol
    return ServerConnection(server, stream, carrier.socket, plain)


class ServerSockets:
    """ASGI wrapper that notes each request's connection while the application works on it.

    It is what makes shutdown finite: at the deadline `abort_all` ends whatever still waits for a
    peer to read, plain HTTP answers included.

    Args:
        application: the wrapped ASGI application.
        connections: calls `abort_all` at the end of its drain, if given.
    """

    def __init__(self, application: ASGIFramework, connections: Connections | None = None) -> None:
        self._application = application
        self._busy: set[ServerConnection] = set()
        if connections is not None:
            connections.abort_also(self.abort_all)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        connection = None if scope["type"] == "lifespan" else find_connection(send)
        if connection is None:
            await self._application(scope, receive, send)
            return
        cast(dict[str, Any], scope)[SCOPE_KEY] = connection
        self._busy.add(connection)
        try:
            await self._application(scope, receive, send)
        finally:
            self._busy.discard(connection)

    def abort_all(self) -> None:
        """Shut down every socket that serves a request now."""
        for connection in list(self._busy):
            connection.abort()
