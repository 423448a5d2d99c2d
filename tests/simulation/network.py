"""Connections in memory: bytes that arrive late, in parts, or not at all.

The server's side is the real ``DirectOutlet`` on a socket that takes what its buffer has room for.
The client's side reads bytes when it feels like it. Either direction may break at any byte. What
the client sends goes through the parser of the real server's framework, in pieces of any size.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import trio
from attrs import define, field
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Message, TextMessage

from actors.connections import Connections
from api.outlets import DirectOutlet, serve_outlet
from api.program import Program
from api.server import DRAIN_SECONDS, HALT_SECONDS
from api.server_objects import ServerConnection
from api.stream import Stream
from tests.simulation.chaos import Chaos

BUFFER_BYTES: Final = 8_192
PIECES: Final = (1, 5, 60, 1_000, 1_000, 1_000)
FRAGMENTED: Final = 0.1
"""How many messages come in two frames."""
log = logging.getLogger("zaraba")

_TEXT: Final = 0x81
_LENGTH_16_BITS: Final = 126
_LENGTH_64_BITS: Final = 127


class DisconnectedError(Exception):
    """The connection is over, or there was nobody to connect to."""


@define(eq=False)
class Link:
    """Both ends of one connection.

    Attributes:
        durable: tells the durable height; noted with every write.
        rng: how what the client sends is divided.
        notes: for each write, the bytes written up to its end, and what was durable then.
        breaks: whether the connection breaks when the server has read what was sent.
        goodbye: the code of the server's close frame.
        gone: no more bytes in either direction.
    """

    durable: Callable[[], int]
    rng: random.Random
    capacity: int = BUFFER_BYTES
    written: int = field(init=False, default=0)
    notes: deque[tuple[int, int]] = field(init=False, factory=deque)
    goodbye: int | None = field(init=False, default=None)
    gone: bool = field(init=False, default=False)
    on_gone: Callable[[], object] = field(init=False, default=lambda: None)
    breaks: bool = field(init=False, default=False)
    _bytes: bytearray = field(init=False, factory=bytearray)
    _sent: bytearray = field(init=False, factory=bytearray)
    _parser: Connection = field(init=False)
    _writer: Connection = field(init=False)
    _parts: list[str] = field(init=False, factory=list)
    _messages: deque[str] = field(init=False, factory=deque)
    _changed: trio.Event = field(init=False, factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._parser = Connection(ConnectionType.SERVER)
        self._writer = Connection(ConnectionType.CLIENT)

    # -- the server's socket

    async def receive(self) -> str:
        """Return the next message of which every byte has arrived."""
        while not self._messages:
            while not self._sent:
                if self.breaks:
                    self.reset()
                await self._changed.wait()
            part = bytes(self._sent[: self.rng.choice(PIECES)])
            del self._sent[: len(part)]
            self._parser.receive_data(part)
            for event in self._parser.events():
                assert isinstance(event, Message), event
                self._parts.append(str(event.data))
                if event.message_finished:
                    self._messages.append("".join(self._parts))
                    self._parts.clear()
        await trio.lowlevel.checkpoint()
        return self._messages.popleft()

    def send(self, data: bytes | memoryview) -> int:
        """Take what there is room for, as a non-blocking socket does."""
        if self.over:
            raise BrokenPipeError
        room = self.capacity - len(self._bytes)
        if room <= 0:
            raise BlockingIOError
        part = bytes(data[:room])
        self._bytes += part
        self.written += len(part)
        self.notes.append((self.written, self.durable()))
        self._notify()
        return len(part)

    async def wait_writable(self) -> None:
        """Wait for room."""
        while len(self._bytes) >= self.capacity and not self.gone:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()

    # -- the client's

    def write(self, text: str, cut: float | None = None) -> bool:
        """Send a message, in frames of any number; tell whether all of it left.

        Args:
            text: the message.
            cut: the part of its bytes after which the connection breaks.
        """
        if self.gone or self.breaks:
            return False
        middle = self.rng.randrange(len(text) + 1) if self.rng.random() < FRAGMENTED else 0
        first = self._frame(text[:middle], is_last=False) if middle else b""
        data = first + self._frame(text[middle:], is_last=True)
        if cut is not None:
            data = data[: int(len(data) * cut)]
            self.breaks = True
        self._sent += data
        self._notify()
        return cut is None

    def _frame(self, text: str, *, is_last: bool) -> bytes:
        return bytes(self._writer.send(TextMessage(text, message_finished=is_last)))

    async def read(self, size: int) -> bytes:
        """Return some bytes.

        Raises:
            DisconnectedError: there will be no more.
        """
        while not self._bytes:
            if self.over:
                raise DisconnectedError
            await self._changed.wait()
        part = bytes(self._bytes[:size])
        del self._bytes[:size]
        self._notify()
        await trio.lowlevel.checkpoint()
        return part

    def durable_at(self, offset: int) -> int:
        """Return what was durable when the byte before this offset was written."""
        while self.notes[0][0] < offset:
            self.notes.popleft()
        return self.notes[0][1]

    # -- both

    @property
    def over(self) -> bool:
        """Tell whether the server takes no more requests."""
        return self.gone or self.goodbye is not None

    def say_goodbye(self, code: int) -> None:
        """Close from the server's side, after what was written."""
        self.goodbye = code
        self._notify()

    def reset(self) -> None:
        """Break the connection; what is on its way is lost."""
        if not self.gone:
            self.gone = True
            self._bytes.clear()
            self._notify()
            self.on_gone()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class FrameReader:
    """Puts frames together from bytes, however they were cut."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._offset = 0

    def feed(self, part: bytes) -> list[tuple[bytes, int]]:
        """Take bytes in; return the payloads that are whole now, with the offset behind each."""
        self._bytes += part
        frames = []
        while (header := self._header()) is not None:
            start, length = header
            if len(self._bytes) < start + length:
                break
            self._offset += start + length
            frames.append((bytes(self._bytes[start : start + length]), self._offset))
            del self._bytes[: start + length]
        return frames

    def _header(self) -> tuple[int, int] | None:
        data = self._bytes
        if len(data) < 2:
            return None
        assert data[0] == _TEXT, f"not the beginning of a frame: {bytes(data[:40])!r}"
        length = data[1]
        extra = {_LENGTH_16_BITS: 2, _LENGTH_64_BITS: 8}.get(length, 0)
        if len(data) < 2 + extra:
            return None
        return 2 + extra, int.from_bytes(data[2 : 2 + extra], "big") if extra else length


@define(eq=False)
class _Socket:
    """The server's objects of a connection, as far as an outlet looks at them."""

    link: Link
    server: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = self

    send_lock: object = None

    @property
    def socket(self) -> Link:
        return self.link

    def raw_socket(self) -> Link:
        return self.link

    def can_write_directly(self) -> bool:
        return True

    def is_open(self) -> bool:
        return not self.link.over

    def abort(self) -> None:
        self.link.reset()


@define(eq=False)
class Listener:
    """Where clients connect to, whichever process listens there now.

    Attributes:
        wrap: may put something between a link and its outlet, to plant a mistake.
    """

    chaos: Chaos
    durable: Callable[[], int]
    links: dict[Link, None] = field(init=False, factory=dict)
    program: Program | None = field(init=False, default=None)
    wrap: Callable[[DirectOutlet], DirectOutlet] = lambda outlet: outlet
    _nursery: trio.Nursery | None = field(init=False, default=None)
    _calls: dict[trio.CancelScope, None] = field(init=False, factory=dict)

    def connect(self) -> Link:
        """Return a new connection.

        Raises:
            DisconnectedError: nobody listens.
        """
        if self._nursery is None or self.program is None:
            raise DisconnectedError
        link = Link(self.durable, self.chaos.rng("pieces"))
        self._nursery.start_soon(self._serve, self.program, link)
        return link

    @property
    def is_stopping(self) -> bool:
        """Tell whether a process says goodbye to its clients."""
        return self.program is not None and self._nursery is None

    async def request(self, call: Callable[[Program], Any]) -> bytes:
        """Make a plain request: await what ``call`` returns, unless the process ends before.

        Raises:
            DisconnectedError: it did, or nobody listens.
        """
        if self._nursery is None or self.program is None:
            raise DisconnectedError
        with trio.CancelScope() as scope:
            self._calls[scope] = None
            try:
                return cast(bytes, await call(self.program))
            finally:
                self._calls.pop(scope, None)
        raise DisconnectedError

    def kill(self) -> None:
        """Break everything at once, as the death of the process does."""
        self.program = None
        for link in list(self.links):
            link.reset()
        for scope in list(self._calls):
            scope.cancel(reason="the process is dead")

    async def serve(self, program: Program, task_status: trio.TaskStatus[None]) -> None:
        """Be the program's server: a child of its tree, and drained as the real one is."""
        gateway = program.gateway
        gateway.connections = connections = Connections()
        gateway.is_draining = False
        stopping, ended = trio.Event(), trio.Event()
        keep = trio.CancelScope()

        async def host(task_status: trio.TaskStatus[None]) -> None:
            try:
                with keep:
                    async with trio.open_nursery() as nursery:
                        self._nursery, self.program = nursery, program
                        task_status.started()
                        await stopping.wait()
            finally:
                ended.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(host)
            keep.shield = True
            task_status.started()
            try:
                await ended.wait()
            finally:
                self._nursery = None
                program.note_draining()
                stopping.set()
                with trio.CancelScope(shield=True):
                    await connections.drain(DRAIN_SECONDS)
                    with trio.move_on_after(HALT_SECONDS):
                        await ended.wait()
                keep.cancel(reason="the server is stopping")

    async def _serve(self, program: Program, link: Link) -> None:
        """Serve one connection as the route does, which is cancelled when the peer is gone."""
        gateway = program.gateway

        async def close(code: int, _reason: str) -> None:
            await trio.lowlevel.checkpoint()
            link.say_goodbye(code)

        socket = cast(ServerConnection, _Socket(link))
        outlet = self.wrap(DirectOutlet(socket, close, gateway.counts))
        self.links[link] = None
        try:
            with trio.CancelScope() as scope:
                link.on_gone = scope.cancel
                if link.gone:
                    return
                async with serve_outlet(outlet, gateway.connections):
                    stream = Stream(gateway, program.entry, program.info, outlet)
                    with contextlib.suppress(trio.ClosedResourceError):
                        await stream.run(link.receive)
        except Exception as error:  # as the framework: the server goes on
            log.error("a connection failed", exc_info=error)
        finally:
            self.links.pop(link, None)
            if link.goodbye is None:
                link.reset()
