"""A real server with the WebSocket edge alone, and a client that sees every byte of it."""

import base64
import contextlib
import os
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import attrs
import hypercorn.trio
import trio
from hypercorn.config import Config
from hypercorn.protocol.ws_stream import WSStream
from quart import websocket
from quart_trio import QuartTrio

from actors.connections import Connections
from actors.frames import Frame
from actors.outlet import FanoutCounts, Outlet
from actors.subscription import Ended, Policy, Subscription, close_connection
from api.outlets import DirectOutlet, open_outlet
from api.server_objects import SCOPE_KEY, ServerSockets

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Self-signed for localhost, with its key, for tests alone."""

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
SMALL_BUFFER_BYTES = 4_096


@attrs.frozen
class Received:
    """One frame as it came in."""

    opcode: int
    payload: bytes
    compressed: bool = False

    @property
    def code(self) -> int:
        return int(struct.unpack("!H", self.payload[:2])[0])


class RawClient:
    """A WebSocket client that reads only when told to."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.response = b""
        self._buffer = b""

    async def shake_hands(self, extensions: str | None) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        offer = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
        request = (
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        )
        await self.stream.send_all(request.encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += await self._receive()
        self.response, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        assert self.response.startswith(b"HTTP/1.1 101")

    async def send(self, opcode: int, payload: bytes = b"") -> None:
        mask = b"\0\0\0\0"
        await self.stream.send_all(bytes((0x80 | opcode, 0x80 | len(payload))) + mask + payload)

    async def read(self) -> Received:
        first, second = await self._take(2)
        assert not second & 0x80, "a server must not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._take(8))
        assert first & 0x80, "messages are not fragmented"
        return Received(first & 0x0F, await self._take(length), bool(first & 0x40))

    async def read_text(self) -> bytes:
        frame = await self.read()
        assert frame.opcode == TEXT
        return frame.payload

    async def read_to_end(self) -> list[Received]:
        """Read until the server ends the connection."""
        received = []
        with contextlib.suppress(EOFError):
            while True:
                received.append(await self.read())
        return received

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += await self._receive()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def _receive(self) -> bytes:
        data = await self.stream.receive_some(SMALL_BUFFER_BYTES)
        if not data:
            raise EOFError
        return bytes(data)


@attrs.define(eq=False)
class Edge:
    """The server under test. Each message of a client is replied to with `re:` before it."""

    nursery: trio.Nursery
    direct: bool = True
    counts: FanoutCounts = attrs.field(factory=FanoutCounts)
    connections: Connections = attrs.field(factory=Connections)
    outlets: list[Outlet] = attrs.field(factory=list)
    ended: list[tuple[str, Ended]] = attrs.field(factory=list)
    port: int = 0
    stop: trio.Event = attrs.field(factory=trio.Event)
    stopped: trio.Event = attrs.field(factory=trio.Event)
    tls: bool = False
    clients: list[RawClient] = attrs.field(factory=list)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        app = QuartTrio(__name__)
        app.websocket("/ws")(self._handle)
        app.get("/large")(self._large)
        sockets = ServerSockets(app, self.connections)
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.graceful_timeout = 1.0
        if self.tls:
            config.certfile = config.keyfile = str(CERTIFICATE)
        async with trio.open_nursery() as nursery:
            binds = await nursery.start(
                lambda task_status: hypercorn.trio.serve(
                    sockets, config, shutdown_trigger=self.stop.wait, task_status=task_status
                )
            )
            self.port = int(binds[0].rpartition(":")[2])
            task_status.started()
        self.stopped.set()

    async def connect(
        self, *, extensions: str | None = None, small_buffer: bool = True
    ) -> tuple[RawClient, Outlet]:
        """Return a client and the outlet that serves it."""
        sock = trio.socket.socket()
        if small_buffer:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        await sock.connect(("127.0.0.1", self.port))
        stream: trio.abc.Stream = trio.SocketStream(sock)
        if self.tls:
            context = ssl.create_default_context(cafile=str(CERTIFICATE))
            stream = trio.SSLStream(stream, context, server_hostname="localhost")
        client = RawClient(stream)
        self.clients.append(client)
        expected = len(self.outlets) + 1
        await client.shake_hands(extensions)
        await until(lambda: len(self.outlets) >= expected)
        return client, self.outlets[-1]

    def subscribe(self, outlet: Outlet, policy: Policy, name: str = "one") -> Subscription:
        """Return a subscription whose drain runs in the test's nursery when woken."""

        def wake(subscription: Subscription) -> bool:
            self.nursery.start_soon(subscription.drain)
            return True

        def on_end(subscription: Subscription, reason: Ended) -> None:
            self.ended.append((subscription.name, reason))
            close_connection(subscription, reason)

        return Subscription(name, outlet, policy, wake=wake, on_end=on_end)

    async def shut_down(self, seconds: float) -> None:
        """Stop as the program does: drain, stop the server, abort what is left."""
        await self.connections.drain(seconds)
        self.stop.set()
        await self.stopped.wait()

    async def _handle(self) -> None:
        if not self.direct:
            _forbid_sharing(cast(dict[str, Any], websocket.scope))
        async with open_outlet(websocket, self.connections, self.counts) as outlet:
            self.outlets.append(outlet)
            while True:
                message = await websocket.receive()
                outlet.reply(Frame(f"re:{message!s}".encode()))

    async def _large(self) -> bytes:
        return bytes(32 << 20)


@contextlib.asynccontextmanager
async def open_edge(
    *, direct: bool = True, tls: bool = False, connections: Connections | None = None
) -> AsyncIterator[Edge]:
    """Serve on a free port for the time of the body."""
    async with trio.open_nursery() as nursery:
        edge = Edge(nursery, direct=direct, tls=tls)
        if connections is not None:
            edge.connections = connections
        await nursery.start(edge.run)
        with trio.fail_after(30):
            yield edge
            await edge.shut_down(0.2)
        for client in edge.clients:
            await client.stream.aclose()
        nursery.cancel_scope.cancel()


def _forbid_sharing(scope: dict[str, Any]) -> None:
    """Make the connection look as if it were encrypted: known, but not to be written to."""
    scope[SCOPE_KEY] = attrs.evolve(scope[SCOPE_KEY], plain=False)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; the caller bounds the time."""
    while not condition():  # noqa: ASYNC110  # the peer is a socket, nobody sets an event
        await trio.sleep(0.001)


async def send_as_server(outlet: Outlet, text: str) -> None:
    """Send a message by the server's ordinary path, past the outlet."""
    assert isinstance(outlet, DirectOutlet)
    stream = outlet._connection.stream
    assert isinstance(stream, WSStream)
    await stream.app_send({"type": "websocket.send", "bytes": None, "text": text})


def numbered(number: int, size: int = 1_800, key: object = None) -> Frame:
    """Return a frame whose payload tells its number and can be checked byte by byte."""
    head = f"{number}:".encode()
    filler = bytes(65 + (number + index) % 26 for index in range(26))
    return Frame((head + filler * (size // 26 + 1))[:size], key)


def number_of(payload: bytes) -> int:
    """Return the number of a `numbered` frame after checking its payload."""
    number = int(payload.split(b":", 1)[0])
    assert payload == numbered(number, len(payload)).payload
    return number
