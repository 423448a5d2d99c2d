"""What the scenarios of ``zaraba trace`` share: a socket, and the header that asks for a trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

SCENARIO_SECONDS_MAX: Final = 30.0
TRACEPARENT: Final = "00-7a61726162617a6172616261000000ff-7a61726162610001-01"
"""What the traced request carries: a sampled trace of somebody else."""


async def follow(socket: WebSocketConnection, kind: str, **more: Any) -> None:
    """Subscribe, and wait for the answer."""
    request = {"method": "subscribe", "subscription": {"type": kind, **more}}
    await socket.send_message(msgspec.json.encode(request).decode())
    while msgspec.json.decode(await socket.get_message())["channel"] != "subscriptionResponse":
        pass


@asynccontextmanager
async def open_socket(
    url: str, headers: list[tuple[bytes, bytes]] | None = None
) -> AsyncIterator[WebSocketConnection]:
    """Open a WebSocket to a gateway; its frames are read and forgotten."""
    address = urlsplit(url)
    stream = await trio.open_tcp_stream(address.hostname or "", address.port or 0)
    async with (
        stream,
        trio.open_nursery() as nursery,
        await wrap_client_stream(
            nursery, stream, address.netloc, "/ws", extra_headers=headers, message_queue_size=1_000
        ) as socket,
    ):
        yield socket
        nursery.cancel_scope.cancel()
