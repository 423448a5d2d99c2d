"""Load: clients that trade with each other as fast as they are answered, and note every promise."""

import contextlib
import http.client
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any, Final

import trio
import trio_websocket
from attrs import define, field

from tests.program.clients import Trader, Wanted, cloid, open_wire
from tests.program.harness import Program
from tests.program.promises import Promise, Promises

MIDDLE: Final = 2000
LEVELS: Final = 8
"""Prices a side; few enough for all of a book to be shown."""
IN_FLIGHT_MAX: Final = 12
CANCEL_SHARE: Final = 0.3
TAKE_SHARE: Final = 0.3


@define(eq=False)
class Desk:
    """One trader's choices, and where they are noted."""

    trader: Trader
    asset: int
    chance: random.Random
    promises: Promises
    cloids: Iterator[int]
    last_noop: bytes | None = None
    _resting: list[Promise] = field(factory=list)

    def next_request(self) -> tuple[bytes, Promise, bool]:
        """Return a signed request, the order that it is about, and whether it cancels it."""
        if self._resting and self.chance.random() < CANCEL_SHARE:
            promise = self._resting.pop(self.chance.randrange(len(self._resting)))
            promise.cancel_sent = True
            if self.chance.random() < 0.5:
                assert promise.wanted.cloid is not None
                return self.trader.cancel_cloids(self.asset, promise.wanted.cloid), promise, True
            assert promise.oid is not None
            return self.trader.cancel(self.asset, promise.oid), promise, True
        promise = Promise(self.trader, self._order())
        assert promise.wanted.cloid is not None
        self.promises.orders[promise.wanted.cloid] = promise
        return self.trader.place(promise.wanted), promise, False

    def note(self, promise: Promise, *, canceled: bool, answer: Any) -> None:
        """Note what was answered."""
        assert answer["status"] == "ok", answer
        (status,) = answer["response"]["data"]["statuses"]
        if canceled:
            promise.cancel_answer = status
            return
        promise.answer = status
        if "resting" in status:
            self._resting.append(promise)

    def forget(self) -> None:
        """Forget which orders rest; after a restart others may have taken them."""
        self._resting.clear()

    def _order(self) -> Wanted:
        chance = self.chance
        is_buy = chance.random() < 0.5
        distance = chance.randint(1, LEVELS)
        takes = chance.random() < TAKE_SHARE
        price = MIDDLE - distance if is_buy is not takes else MIDDLE + distance
        size = f"0.{chance.randint(1, 9)}"
        tif = chance.choice(("Gtc", "Ioc")) if takes else "Gtc"
        return Wanted(self.asset, is_buy, str(price), size, tif, cloid(next(self.cloids)))


async def load_over_websocket(program: Program, desk: Desk) -> None:
    """Send requests over one WebSocket, several at a time, until the connection breaks."""
    pending: dict[int, tuple[Promise, bool]] = {}
    room = trio.Semaphore(IN_FLIGHT_MAX)
    with contextlib.suppress(
        trio_websocket.ConnectionClosed, trio_websocket.HandshakeError, OSError
    ):
        async with open_wire(program.ws_url) as wire, trio.open_nursery() as nursery:

            async def send() -> None:
                for number in itertools.count():
                    await room.acquire()
                    body, promise, cancels = desk.next_request()
                    pending[number] = promise, cancels
                    request = b'{"type":"action","payload":' + body + b"}"
                    message = b'{"method":"post","id":%d,"request":%b}' % (number, request)
                    try:
                        await wire.connection.send_message(message.decode())
                    except trio_websocket.ConnectionClosed:
                        return

            nursery.start_soon(send)
            try:
                while True:
                    data = json.loads(await wire.connection.get_message())["data"]
                    promise, cancels = pending.pop(data["id"])
                    answer = data["response"]["payload"]
                    desk.note(promise, canceled=cancels, answer=answer)
                    room.release()
            except trio_websocket.ConnectionClosed:
                nursery.cancel_scope.cancel()


async def load_over_http(program: Program, desk: Desk) -> None:
    """Send requests over one kept HTTP connection, one at a time, until it breaks."""
    connection = http.client.HTTPConnection(*program.address, timeout=10)

    def exchange(body: bytes) -> Any:
        connection.request("POST", "/exchange", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    with contextlib.closing(connection):
        while True:
            body, promise, cancels = desk.next_request()
            try:
                answer = await trio.to_thread.run_sync(exchange, body)
            except (OSError, http.client.HTTPException, ValueError):
                return
            desk.note(promise, canceled=cancels, answer=answer)
