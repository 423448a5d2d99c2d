"""A small exchange over WebSocket that tests script: it agrees, pushes, answers, hangs up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from attrs import define, field
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)


@define(eq=False)
class FakeExchange:
    """What arrived, who is connected, and what is answered.

    ``refuse`` gives the error text for a subscription, or None to agree. ``answer`` gives the
    answer to a post's request (kind, payload), or None to keep quiet.
    """

    url: str = ""
    received: list[dict[str, Any]] = field(factory=list)
    sockets: list[WebSocketConnection] = field(factory=list)
    refuse: Callable[[dict[str, Any]], str | None] = lambda _subscription: None
    answer: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda _kind, _payload: None
    _arrived: trio.Event = field(factory=trio.Event)

    def subscriptions(self, method: str = "subscribe") -> list[dict[str, Any]]:
        return [frame["subscription"] for frame in self.received if frame["method"] == method]

    async def wait_received(self, is_enough: Callable[[], bool]) -> None:
        """Wait until what arrived fulfils a condition."""
        with trio.fail_after(10):
            while not is_enough():
                self._arrived = trio.Event()
                await self._arrived.wait()

    async def push(self, channel: str, data: Any) -> None:
        """Send a data frame to everybody."""
        for socket in self.sockets:
            await send(socket, {"channel": channel, "data": data})

    async def hang_up(self) -> None:
        """Close all connections."""
        for socket in list(self.sockets):
            await socket.aclose()

    async def handle(self, request: WebSocketRequest) -> None:
        socket = await request.accept()
        self.sockets.append(socket)
        try:
            while True:
                await self.receive(socket, msgspec.json.decode(await socket.get_message()))
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(socket)

    async def receive(self, socket: WebSocketConnection, frame: dict[str, Any]) -> None:
        self.received.append(frame)
        self._arrived.set()
        match frame:
            case {"method": "ping"}:
                await send(socket, {"channel": "pong"})
            case {"method": "post", "id": number, "request": {"type": kind, "payload": payload}}:
                response = self.answer(kind, payload)
                if response is not None:
                    data = {"id": number, "response": response}
                    await send(socket, {"channel": "post", "data": data})
            case {"method": method, "subscription": subscription}:
                refusal = self.refuse(subscription) if method == "subscribe" else None
                if refusal is not None:
                    await send(socket, {"channel": "error", "data": refusal})
                    return
                echo = {"method": method, "subscription": {**subscription, "extra": None}}
                await send(socket, {"channel": "subscriptionResponse", "data": echo})
            case _:
                raise AssertionError(frame)


async def send(socket: WebSocketConnection, frame: Any) -> None:
    await socket.send_message(msgspec.json.encode(frame).decode())


@asynccontextmanager
async def open_fake_exchange(port: int = 0) -> AsyncIterator[FakeExchange]:
    """Serve a fake exchange on a free port, or on one that was free before."""
    exchange = FakeExchange()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            lambda task_status: serve_websocket(
                exchange.handle, "127.0.0.1", port, None, task_status=task_status
            )
        )
        exchange.url = f"http://127.0.0.1:{server.port}"
        yield exchange
        nursery.cancel_scope.cancel()
