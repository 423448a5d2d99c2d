"""The connection under ``api.client``: one WebSocket that heals, its requests and its feeds.

One task connects, reads, and connects again with growing pauses. Whoever sends waits for a
connection first. When one breaks, every awaited answer fails at once and every feed is told.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import trio
from attrs import define, field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from api.client_errors import (
    ClientError,
    ConnectionLostError,
    RequestRefusedError,
    SubscriptionRefusedError,
    UnreachableError,
)
from api.client_feeds import Feed, Frame, Overflow, topic_of, topic_of_frame

PING_SECONDS: Final = 20.0
SILENCE_SECONDS_MAX: Final = 50.0
"""Without any frame for so long, two pings went unanswered: the connection counts as broken."""
CONNECT_SECONDS_MAX: Final = 10.0
DISCONNECT_SECONDS_MAX: Final = 2.0
BACKOFF_SECONDS: Final = (0.2, 5.0)
"""Wait before the first and, doubling, before each later attempt to connect; a random half less."""
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
"""A larger frame ends the connection; the largest answer of the exchange is far below."""
POSTS_PENDING_MAX: Final = 100
"""Requests without an answer; the exchange takes no more of one connection. Others wait here."""

_TOO_MANY_POSTS = re.compile(r"too many pending post requests id=(\d+)")


@frozen
class Endpoint:
    """Where the WebSocket of an exchange is."""

    host: str
    port: int
    use_tls: bool

    @classmethod
    def of_url(cls, url: str) -> Endpoint:
        """Read a base URL such as ``http://127.0.0.1:8000`` (also https, ws or wss).

        Raises:
            ValueError: the text is not such a URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise ValueError(f"not a URL such as http://127.0.0.1:8000: {url}")
        use_tls = parts.scheme in {"https", "wss"}
        return cls(parts.hostname, parts.port or (443 if use_tls else 80), use_tls)

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@define(eq=False)
class Answer:
    """A request's answer, once it is there."""

    done: trio.Event = field(factory=trio.Event)
    value: Any = None
    error: ClientError | None = None

    def set(self, value: Any = None, error: ClientError | None = None) -> None:
        self.value, self.error = value, error
        self.done.set()

    async def wait(self) -> Any:
        await self.done.wait()
        if self.error is not None:
            raise self.error
        return self.value


@define(eq=False)
class Link:
    """A connection to an exchange that heals, as long as ``run`` runs.

    ``last_failure`` says in a few words why there is no connection, or why the last one broke.
    """

    endpoint: Endpoint
    last_failure: str = "not connected yet"
    _socket: WebSocketConnection | None = field(init=False, default=None)
    _connected: trio.Event = field(init=False, factory=trio.Event)
    _attempted: trio.Event = field(init=False, factory=trio.Event)
    _closing: trio.Event = field(init=False, factory=trio.Event)
    _closed: trio.Event = field(init=False, factory=trio.Event)
    _answers: dict[int, Answer] = field(init=False, factory=dict)
    _room: trio.Semaphore = field(init=False, factory=lambda: trio.Semaphore(POSTS_PENDING_MAX))
    _feeds: list[tuple[Feed, Answer]] = field(init=False, factory=list)
    _next_id: int = field(init=False, default=0)

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a connection at this moment."""
        return self._socket is not None

    @property
    def has_tried(self) -> bool:
        """Tell whether the first attempt to connect is over."""
        return self._attempted.is_set()

    async def wait_connected_once(self) -> None:
        """Wait for the first attempt to connect.

        Raises:
            UnreachableError: it failed.
        """
        await self._attempted.wait()
        if not self._connected.is_set():
            raise UnreachableError(self.last_failure)

    async def post(self, kind: str, payload: Any) -> Any:
        """Send a request of kind ``info`` or ``action`` as it is; return the answer's payload.

        Raises:
            RequestRefusedError: the exchange does not understand the request.
            ConnectionLostError: the connection broke meanwhile.
        """
        async with self._room:
            self._next_id += 1
            number, answer = self._next_id, Answer()
            self._answers[number] = answer
            try:
                request = {"type": kind, "payload": payload}
                await self._send({"method": "post", "id": number, "request": request})
                return await answer.wait()
            finally:
                del self._answers[number]

    @asynccontextmanager
    async def subscribe(
        self,
        subscription: Mapping[str, Any],
        *,
        overflow: Overflow,
        frames_waiting_max: int,
    ) -> AsyncIterator[Feed]:
        """Do what ``Client.subscribe`` promises."""
        wanted = {
            name: value.lower() if name == "user" else value for name, value in subscription.items()
        }
        if any(feed.subscription == wanted for feed, _ in self._feeds):
            raise ClientError(f"subscribed already: {wanted}")
        entry = Feed(wanted, overflow, frames_waiting_max), Answer()
        self._feeds.append(entry)
        try:
            await self._send_if_connected({"method": "subscribe", "subscription": wanted})
            await entry[1].wait()
            yield entry[0]
        finally:
            self._feeds.remove(entry)
            with trio.move_on_after(DISCONNECT_SECONDS_MAX, shield=True):
                await self._send_if_connected({"method": "unsubscribe", "subscription": wanted})

    # -- the connection

    async def run(self) -> None:
        """Connect, and connect again, until ``close`` or cancelled."""
        shortest, longest = BACKOFF_SECONDS
        wait = shortest
        while not self._closing.is_set():
            try:
                await self._use_one_connection()
                wait = shortest
            except* (HandshakeError, ConnectionClosed, trio.TooSlowError, OSError) as errors:
                self.last_failure = _describe(_first(errors))
            self._attempted.set()
            with trio.move_on_after(wait * random.uniform(0.5, 1.0)):
                await self._closing.wait()
            wait = min(wait * 2, longest)
        self._closed.set()

    async def close(self) -> None:
        """Say goodbye to the exchange, and let ``run`` end; cancel it if this takes too long."""
        self._closing.set()
        if self._socket is None:
            return
        with trio.move_on_after(2 * DISCONNECT_SECONDS_MAX):
            await self._closed.wait()

    async def _use_one_connection(self) -> None:
        """Connect and use the connection until it breaks; leave no socket behind."""
        async with trio.open_nursery() as nursery:
            with trio.fail_after(CONNECT_SECONDS_MAX):
                stream = await _open_stream(self.endpoint)
            # Ours to close: when the peer closes first, the WebSocket's own closing forgets it.
            async with stream:
                with trio.fail_after(CONNECT_SECONDS_MAX):
                    socket = await wrap_client_stream(
                        nursery,
                        stream,
                        self.endpoint.host_header,
                        "/ws",
                        max_message_size=FRAME_BYTES_MAX,
                    )
                self.last_failure = await self._serve(socket)
                with trio.move_on_after(DISCONNECT_SECONDS_MAX):
                    await socket.aclose()
            nursery.cancel_scope.cancel()

    async def _serve(self, socket: WebSocketConnection) -> str:
        """Use a connection until it breaks; return why it did."""
        try:
            self._socket = socket
            self._connected.set()
            self._attempted.set()
            reason = "closed by us"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_closing, nursery.cancel_scope)
                nursery.start_soon(_keep_alive, socket)
                nursery.start_soon(self._subscribe_again, socket, list(self._feeds))
                reason = await self._receive(socket)
                nursery.cancel_scope.cancel()
            return reason
        finally:
            self._disconnected()

    async def _cancel_when_closing(self, scope: trio.CancelScope) -> None:
        await self._closing.wait()
        scope.cancel()

    async def _subscribe_again(
        self, socket: WebSocketConnection, entries: list[tuple[Feed, Answer]]
    ) -> None:
        with suppress(ConnectionClosed):
            for entry in entries:
                if entry in self._feeds:
                    wanted = entry[0].subscription
                    await _send(socket, {"method": "subscribe", "subscription": wanted})

    def _disconnected(self) -> None:
        self._socket = None
        self._connected = trio.Event()
        for answer in self._answers.values():
            answer.set(error=ConnectionLostError("the connection broke before the answer came"))
        for feed, agreed in self._feeds:
            if agreed.done.is_set():
                feed.interrupt("the connection was lost")

    async def _receive(self, socket: WebSocketConnection) -> str:
        while True:
            with trio.move_on_after(SILENCE_SECONDS_MAX) as patience:
                try:
                    message = await socket.get_message()
                except ConnectionClosed as error:
                    return _describe(error)
            if patience.cancelled_caught:
                return f"no frame for {SILENCE_SECONDS_MAX:.0f} s"
            self._dispatch(message)

    def _dispatch(self, message: str | bytes) -> None:
        try:
            frame = msgspec.json.decode(message)
        except msgspec.DecodeError:
            return  # one client library's greeting is plain text; nothing can depend on it
        match frame:
            case {"channel": "post", "data": {"id": int(number), "response": response}}:
                self._answered(number, response)
            case {
                "channel": "subscriptionResponse",
                "data": {"method": "subscribe", "subscription": dict(echo)},
            }:
                self._agreed(echo)
            case {"channel": "error", "data": str(text)}:
                self._refused(text)
            case {"channel": "pong" | "subscriptionResponse"}:
                pass
            case {"channel": str(channel), "data": data}:
                topic = topic_of_frame(channel, data)
                for feed, _ in self._feeds:
                    if topic_of(feed.subscription) == topic:
                        feed.offer(Frame(channel, data))
            case _:
                pass

    def _answered(self, number: int, response: Mapping[str, Any]) -> None:
        answer = self._answers.get(number)
        if answer is None:
            return  # whoever asked has given up
        if response["type"] == "error":
            answer.set(error=RequestRefusedError(response["payload"]))
        else:
            answer.set(response["payload"])

    def _agreed(self, echo: Mapping[str, Any]) -> None:
        for feed, agreed in self._feeds:
            if feed.subscription.items() <= echo.items():
                agreed.set()

    def _refused(self, text: str) -> None:
        """Find whom an error is for: its text holds the request, or the number of a post."""
        too_many = _TOO_MANY_POSTS.search(text)
        if too_many is not None:
            self._answered(int(too_many[1]), {"type": "error", "payload": text})
            return
        request = _json_within(text)
        for feed, agreed in self._feeds:
            if feed.subscription in (request, request.get("subscription")):
                error = SubscriptionRefusedError(text)
                if agreed.done.is_set():
                    feed.fail(error)
                else:
                    agreed.set(error=error)

    async def _send(self, request: Mapping[str, Any]) -> None:
        """Send as soon as there is a connection."""
        while True:
            await self._connected.wait()
            socket = self._socket
            if socket is not None:
                break
        try:
            await _send(socket, request)
        except ConnectionClosed as error:
            raise ConnectionLostError(_describe(error)) from error

    async def _send_if_connected(self, request: Mapping[str, Any]) -> None:
        """Send now or not at all: a new connection makes all subscriptions by itself."""
        if self._socket is None:
            return
        with suppress(ConnectionClosed):
            await _send(self._socket, request)


async def _open_stream(
    endpoint: Endpoint,
) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    if endpoint.use_tls:
        return await trio.open_ssl_over_tcp_stream(
            endpoint.host, endpoint.port, https_compatible=True
        )
    return await trio.open_tcp_stream(endpoint.host, endpoint.port)


async def _send(socket: WebSocketConnection, request: Mapping[str, Any]) -> None:
    await socket.send_message(msgspec.json.encode(request).decode())


async def _keep_alive(socket: WebSocketConnection) -> None:
    while True:
        await trio.sleep(PING_SECONDS)
        try:
            await _send(socket, {"method": "ping"})
        except ConnectionClosed:
            return


def _json_within(text: str) -> dict[str, Any]:
    """Return the JSON object inside an error text, or an empty one."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        return {}
    try:
        found = msgspec.json.decode(text[start : end + 1].encode())
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _describe(error: BaseException) -> str:
    """Say in a few words why there is no connection."""
    match error:
        case ConnectionClosed():
            code = error.reason.code if error.reason is not None else 1006
            return f"the connection broke (code {code})"
        case ConnectionRejected(status_code=code):
            return f"no WebSocket there (HTTP status {code})"
        case trio.TooSlowError():
            return f"no connection within {CONNECT_SECONDS_MAX:.0f} s"
        case OSError() if isinstance(error.__cause__, OSError | BaseExceptionGroup):
            return _describe(_first(error.__cause__))
        case OSError(errno=int(number)) if number > 0:  # names that do not resolve are below 0
            return os.strerror(number).lower()
        case OSError(strerror=str(words)):
            return words.lower()
        case _:
            return str(error) or type(error).__name__
