"""Clients that see every byte: a raw WebSocket, and a trader who signs with the program's own code.

The published SDKs have tests of their own; what is here shows the wire as it is, and is fast enough
to put load on a server.
"""

import contextlib
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import trio
import trio_websocket
from attrs import define, field, frozen

from api.actions import sign_request
from api.signing import SigningKey

RECEIVE_SECONDS_MAX: Final = 20.0
POLL_SECONDS: Final = 0.01
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
MESSAGES_WAITING: Final = 1_000


@define(eq=False)
class Wire:
    """One WebSocket connection; ``seen`` holds all frames received so far, oldest first."""

    connection: trio_websocket.WebSocketConnection
    seen: list[Any] = field(init=False, factory=list)
    _post_ids: Iterator[int] = field(init=False, factory=lambda: itertools.count(1))

    async def send(self, message: object) -> None:
        """Send a text frame: a text as it is, anything else as JSON."""
        text = message if isinstance(message, str) else json.dumps(message)
        await self.connection.send_message(text)

    async def send_bytes(self, message: bytes) -> None:
        """Send a binary frame."""
        await self.connection.send_message(message)

    async def receive(self) -> Any:
        """Return the next frame."""
        with trio.fail_after(RECEIVE_SECONDS_MAX):
            frame = json.loads(await self.connection.get_message())
        self.seen.append(frame)
        return frame

    async def until(self, channel: str, holds: Callable[[Any], bool] = lambda _data: True) -> Any:
        """Pass over frames until one of this channel holds; return its data."""
        passed = []
        try:
            while True:
                frame = await self.receive()
                passed.append(frame)
                if frame["channel"] == channel and holds(frame.get("data")):
                    return frame.get("data")
        except trio.TooSlowError:
            raise AssertionError(f"no such {channel} frame among {passed}") from None

    async def drain(self, seconds: float) -> list[Any]:
        """Return the frames that arrive before nothing has arrived for so long."""
        frames = []
        while True:
            with trio.move_on_after(seconds) as scope:
                frames.append(json.loads(await self.connection.get_message()))
            if scope.cancelled_caught:
                self.seen += frames
                return frames

    async def subscribe(self, kind: str, **members: Any) -> Any:
        """Subscribe and return the acknowledged subscription, which must come before any data."""
        await self.send({"method": "subscribe", "subscription": {"type": kind, **members}})
        answer = await self.until("subscriptionResponse")
        assert answer["method"] == "subscribe"
        return answer["subscription"]

    async def post(self, kind: str, payload: object) -> Any:
        """Send a request over the socket and return its response object."""
        number = next(self._post_ids)
        request = {"type": kind, "payload": payload}
        await self.send({"method": "post", "id": number, "request": request})
        return (await self.until("post", lambda data: bool(data["id"] == number)))["response"]

    async def act(self, body: bytes) -> Any:
        """Send a signed request and return its answer as POST /exchange would give it."""
        response = await self.post("action", json.loads(body))
        assert response["type"] == "action", response
        return response["payload"]


@contextlib.asynccontextmanager
async def open_wire(url: str) -> AsyncIterator[Wire]:
    """Connect to ``ws://.../ws``."""
    async with trio_websocket.open_websocket_url(
        url, max_message_size=MESSAGE_BYTES_MAX, message_queue_size=MESSAGES_WAITING
    ) as connection:
        try:
            yield Wire(connection)
        finally:
            if connection.closed:
                # trio-websocket forgets its socket where the other side ended the connection first.
                await trio.aclose_forcefully(connection._stream)


async def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something is so that only looking can tell."""
    with trio.fail_after(RECEIVE_SECONDS_MAX):
        while True:
            if holds():
                return
            await trio.sleep(POLL_SECONDS)


@frozen
class Wanted:
    """An order that somebody wants: market, side, price and size as texts."""

    asset: int
    is_buy: bool
    price: str
    size: str
    tif: str = "Gtc"
    cloid: str | None = None
    reduce_only: bool = False

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "a": self.asset,
            "b": self.is_buy,
            "p": self.price,
            "s": self.size,
            "r": self.reduce_only,
            "t": {"limit": {"tif": self.tif}},
        }
        return wire if self.cloid is None else {**wire, "c": self.cloid}


class Trader:
    """A wallet that signs requests; its nonces are the time, and never the same twice."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.address: str = key.address
        self._nonce = 0

    @classmethod
    def fresh(cls, chance: random.Random | None = None) -> "Trader":
        """Make a wallet that nobody has used."""
        bits = (chance or random.SystemRandom()).getrandbits(248) + 1
        return cls(SigningKey.of_hex(f"{bits:064x}"))

    def nonce(self) -> int:
        self._nonce = max(self._nonce + 1, time.time_ns() // 1_000_000)
        return self._nonce

    def sign(self, action: Mapping[str, Any], nonce: int | None = None, **options: Any) -> bytes:
        """Return the body of a signed request."""
        return sign_request(self.key, action, nonce or self.nonce(), **options)

    def place(self, *orders: Wanted) -> bytes:
        """Return a request that places orders."""
        wires = [order.to_wire() for order in orders]
        return self.sign({"type": "order", "orders": wires, "grouping": "na"})

    def cancel(self, asset: int, *oids: int) -> bytes:
        """Return a request that cancels orders by their ids."""
        return self.sign({"type": "cancel", "cancels": [{"a": asset, "o": oid} for oid in oids]})

    def cancel_cloids(self, asset: int, *cloids: str) -> bytes:
        """Return a request that cancels orders by their owner's ids."""
        cancels = [{"asset": asset, "cloid": cloid} for cloid in cloids]
        return self.sign({"type": "cancelByCloid", "cancels": cancels})


def cloid(number: int) -> str:
    """Return the client order id of this number."""
    return f"0x{number:032x}"


def statuses(answer: Any) -> list[Any]:
    """Return the statuses of an answer that must be a success as a whole."""
    assert answer["status"] == "ok", answer
    found: list[Any] = answer["response"]["data"]["statuses"]
    return found


def resting_oids(answer: Any) -> list[int]:
    """Return the ids of the orders of an answer, all of which must rest."""
    return [status["resting"]["oid"] for status in statuses(answer)]


def levels_of(orders: Sequence[Mapping[str, Any]], coin: str) -> list[dict[str, tuple[str, int]]]:
    """Add open orders up to a book as ``l2Book`` shows it: per side, price -> (size, count)."""
    totals: list[dict[str, tuple[int, int]]] = [{}, {}]
    for order in orders:
        if order["coin"] == coin:
            side = totals[0 if order["side"] == "B" else 1]
            size, count = side.get(order["limitPx"], (0, 0))
            side[order["limitPx"]] = size + _e8(order["sz"]), count + 1
    return [
        {price: (_decimal(size), count) for price, (size, count) in side.items()} for side in totals
    ]


def book_levels(book: Mapping[str, Any]) -> list[dict[str, tuple[str, int]]]:
    """Return the levels of an ``l2Book`` in the form of ``levels_of``."""
    return [{level["px"]: (level["sz"], level["n"]) for level in side} for side in book["levels"]]


def _e8(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**8 + int(fraction.ljust(8, "0"))


def _decimal(size_e8: int) -> str:
    whole, fraction = divmod(size_e8, 10**8)
    return f"{whole}.{f'{fraction:08d}'.rstrip('0') or '0'}"
