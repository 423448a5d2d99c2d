"""Whole gateways in this process, and signed requests to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from api.program import Program, open_program, wall_clock_ms
from api.settings import Settings
from api.signing import SigningKey, sign_l1_action
from supervision import State

_nonces = count(wall_clock_ms())


def key(number: int) -> SigningKey:
    """Return the worthless key of a test account."""
    return SigningKey.of_hex(f"0x{number:064x}")


def order_body(who: SigningKey, *, price: str = "40000", size: str = "0.01", **more: Any) -> bytes:
    """Return the body of an order for BTC."""
    wire = {"a": 0, "b": True, "p": price, "s": size, "r": False, "t": {"limit": {"tif": "Gtc"}}}
    return signed(who, {"type": "order", "orders": [{**wire, **more}], "grouping": "na"})


def signed(who: SigningKey, action: dict[str, Any]) -> bytes:
    """Return the body of a signed request."""
    nonce = next(_nonces)
    signature = sign_l1_action(who, action, nonce)
    return msgspec.json.encode({"action": action, "nonce": nonce, "signature": signature.to_wire()})


@asynccontextmanager
async def open_gateway(
    path: Path, *, serve: bool = False, **settings: Any
) -> AsyncIterator[Program]:
    """Run a gateway on a free port, or without a server."""
    chosen = Settings(data=path / "data", port=0, **settings)
    with trio.fail_after(30):
        async with open_program(chosen, serve=serve) as program:
            yield program


async def info(program: Program, kind: str, **question: Any) -> Any:
    """Ask a question."""
    body = msgspec.json.encode({"type": kind, **question})
    return msgspec.json.decode(await program.info.answer(body))


@asynccontextmanager
async def connect(program: Program) -> AsyncIterator[WebSocketConnection]:
    """Open a WebSocket to a gateway that serves."""
    address = urlsplit(program.urls[0])
    assert address.hostname is not None
    assert address.port is not None
    # The stream is ours to close: when the server closes first, the WebSocket's own closing
    # forgets it.
    stream = await trio.open_tcp_stream(address.hostname, address.port)
    async with (
        stream,
        trio.open_nursery() as nursery,
        await wrap_client_stream(nursery, stream, address.netloc, "/ws") as socket,
    ):
        yield socket


async def send(socket: WebSocketConnection, message: dict[str, Any]) -> None:
    await socket.send_message(msgspec.json.encode(message).decode())


async def subscribe(socket: WebSocketConnection, kind: str, **more: Any) -> Any:
    """Subscribe; return the first answer."""
    await send(socket, {"method": "subscribe", "subscription": {"type": kind, **more}})
    return msgspec.json.decode(await socket.get_message())


async def receive(socket: WebSocketConnection, channel: str) -> Any:
    """Return the data of the next frame of a channel."""
    while True:
        frame = msgspec.json.decode(await socket.get_message())
        if frame["channel"] == channel:
            return frame.get("data")


async def wait_generation(program: Program, path: str, generation: int) -> None:
    """Wait until an actor was started so often, and runs."""
    address = program.registry.address(path)
    while address.generation < generation or address.state is not State.RUNNING:  # noqa: ASYNC110
        await trio.sleep(0.005)
