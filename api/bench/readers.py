"""Clients of the fan-out benchmark, in a process of their own: `python -m api.bench.readers`.

Some read everything as fast as they can and add up the bytes in a shared file; some never read.
They look at no frame: the server's cost is measured, not theirs.
"""

import argparse
import base64
import mmap
import os
import select
import socket
import struct
import sys
from pathlib import Path

READ_BYTES_MAX = 1 << 18
STALLED_BUFFER_BYTES = 4_096
COUNTER = struct.Struct("=QQ")
"""The shared file: bytes read since the handshakes, and 1 once all clients are connected."""


def connect(port: int, buffer_bytes: int | None = None) -> socket.socket:
    """Return a socket that has shaken hands, with whatever came after that still unread.

    Raises:
        ConnectionError: the server did not upgrade.
    """
    client = socket.socket()
    if buffer_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    client.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
    )
    response = b""
    while not response.endswith(b"\r\n\r\n"):
        received = client.recv(1)
        if not received:
            raise ConnectionError("the server closed during the handshake")
        response += received
    if not response.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(response.decode())
    return client


def read_all(readers: list[socket.socket], shared: mmap.mmap) -> None:
    """Read until standard input ends; keep the sum of bytes in the shared file."""
    poll = select.epoll()
    sockets = {reader.fileno(): reader for reader in readers}
    for number in sockets:
        poll.register(number, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    total = 0
    buffer = bytearray(READ_BYTES_MAX)
    shared[:] = COUNTER.pack(0, 1)
    while True:
        for number, _event in poll.poll():
            reader = sockets.get(number)
            if reader is None:
                return
            size = reader.recv_into(buffer)
            if not size:
                return
            total += size
        shared[:] = COUNTER.pack(total, 1)


def main() -> None:
    """Connect the clients, then read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("readers", type=int)
    parser.add_argument("stalled", type=int)
    parser.add_argument("shared", type=Path)
    arguments = parser.parse_args()
    with arguments.shared.open("r+b") as file, mmap.mmap(file.fileno(), COUNTER.size) as shared:
        readers = [connect(arguments.port) for _ in range(arguments.readers)]
        stalled = [connect(arguments.port, STALLED_BUFFER_BYTES) for _ in range(arguments.stalled)]
        read_all(readers, shared)
        for client in readers + stalled:
            client.close()


if __name__ == "__main__":
    main()
