"""Clients that do not behave: they never read, stop in the middle of a word, or say nothing."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Final

from tests.program.harness import Program


@contextlib.contextmanager
def connected(program: Program, data: bytes = b"") -> Iterator[socket.socket]:
    """Connect with the smallest receive buffer there is, and say something."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.connect(program.address)
        connection.sendall(data)
        yield connection


@contextlib.contextmanager
def upgraded(program: Program, data: bytes = b"") -> Iterator[socket.socket]:
    """Open a WebSocket by hand, say something, and never read."""
    with connected(program, UPGRADE) as connection:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        connection.sendall(data)
        yield connection


UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POST: Final = (
    b"POST /%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)


def text_frame(text: bytes) -> bytes:
    """Return a client's text frame under a mask of zeros."""
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(text)) + bytes(4) + text


def never_reads(questions: int) -> bytes:
    """Return what a client sends that asks a lot and reads nothing."""
    ask = (
        b'{"method":"post","id":1,"request":{"type":"info","payload":{"type":"metaAndAssetCtxs"}}}'
    )
    books = b'{"method":"subscribe","subscription":{"type":"l2Book","coin":"SPARE0"}}'
    return text_frame(books) + text_frame(ask) * questions


FRAMES: Final = (
    b"",
    b"\x81\xfe",  # half the head of a frame
    never_reads(3),
    never_reads(60),
    never_reads(400),
)
REQUESTS: Final = (
    b"",
    UPGRADE + never_reads(3),
    b"GET /health/live HT",
    POST % (b"info", 40, b'{"type":'),
    POST % (b"exchange", 1_000, b"{"),
    POST % (b"info", 15, b'{"type":"meta"}') * 50,
)


@contextlib.contextmanager
def crowd(program: Program) -> Iterator[None]:
    """Connect every kind of them at once: WebSockets that never read, half-open requests."""
    with contextlib.ExitStack() as connections:
        for data in FRAMES:
            connections.enter_context(upgraded(program, data))
        for data in REQUESTS:
            connections.enter_context(connected(program, data))
        yield
