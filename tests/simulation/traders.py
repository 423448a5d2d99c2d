"""Clients of the simulated exchange: they trade, follow feeds, misbehave, and remember.

Everything that a client was told is held against the log at once, and once more at the end.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import trio
from attrs import define, field

from api.actions import sign_request
from api.client_orders import limit_order
from api.entry import CRASHED, NOT_DONE, UNKNOWN
from api.exchange.errors import MalformedBodyError
from api.signing import SigningKey
from model.ids import AssetId
from tests.simulation.audit import Audit, Json, require
from tests.simulation.chaos import START_MS, Chaos
from tests.simulation.feeds import Feed, feed_of, name_of, name_of_frame
from tests.simulation.network import DisconnectedError, FrameReader, Link, Listener

COINS: Final = {"AAA": AssetId(0), "BBB": AssetId(1)}
MIDDLE: Final = {"AAA": 2000, "BBB": 50}
FAULT_SECONDS: Final = 10.0
"""How long after a fault an outcome may still be unknown."""
GARBAGE: Final = (
    "",
    "{",
    "[]",
    '{"method":"subscribe"}',
    '{"method":"subscribe","subscription":{"type":"l2Book","coin":"NOPE"}}',
    '{"method":"post","id":-1,"request":{"type":"action","payload":{}}}',
    '{"method":"unsubscribe","subscription":{"type":"trades","coin":"AAA","x":1}}',
    '{"method":"nothing"}',
    "\u0000\U0001f600",
)


class World(Protocol):
    """What a trader sees of the world."""

    chaos: Chaos
    audit: Audit
    listener: Listener
    is_settling: bool

    def trace(self, text: str) -> None:
        """Write down what happened, so that two runs can be compared."""


@define(eq=False)
class Promise:
    """One order that was sent, maybe more than once, and what was told about it."""

    cloid: str
    coin: str
    body: bytes
    sent_at: float
    oid: int | None = None
    refused: bool = False
    sends: int = 0
    not_done: int = 0
    cancel_sent: bool = False
    canceled: bool = False
    modified: bool = False


@define(eq=False)
class Trader:
    """One account, its key and its memory."""

    number: int
    world: World
    rng: random.Random
    promises: dict[str, Promise] = field(init=False, factory=dict)
    session: Session | None = field(init=False, default=None)
    answers: int = field(init=False, default=0)
    unknown: int = field(init=False, default=0)
    frames: int = field(init=False, default=0)
    _key: SigningKey = field(init=False)
    _nonce: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._key = SigningKey.of_hex(f"0x{self.number + 1:064x}")

    @property
    def address(self) -> str:
        """The account, in lower case."""
        return self._key.address

    async def live(self) -> None:
        """Connect, trade until the connection is over, and so on."""
        while True:
            try:
                link = self.world.listener.connect()
            except DisconnectedError:
                await trio.sleep(self.rng.uniform(0.05, 1.0))
                continue
            self.session = Session(self, link)
            await self.session.run()
            self.session = None
            await trio.sleep(self.rng.choice((0.0, 0.0, 0.1, 2.0)))

    # -- actions

    def sign(self, action: Mapping[str, Any]) -> bytes:
        """Return the signed body of an action."""
        self._nonce += 1
        nonce = START_MS + int(trio.current_time() * 1000) + self._nonce
        return sign_request(self._key, action, nonce)

    def order(self, coin: str, *, quiet: bool = False) -> Promise:
        """Make up an order; a quiet one meets nobody."""
        rng, middle = self.rng, MIDDLE[coin]
        cloid = f"0x{self.number:08x}{len(self.promises):024x}"
        is_buy = rng.random() < 0.5
        away = rng.randint(-3, 6)
        tif = rng.choice(("Gtc", "Gtc", "Gtc", "Ioc", "Alo"))
        if quiet:
            away, tif = 15 + self.number, "Gtc"
        price = middle - away if is_buy else middle + away
        spec = limit_order(
            COINS[coin],
            is_buy=is_buy,
            price=str(price),
            size=str(rng.randint(1, 5)),
            tif=tif,
            cloid=cloid,
        )
        body = self.sign({"type": "order", "orders": [spec], "grouping": "na"})
        promise = Promise(cloid, coin, body, trio.current_time())
        self.promises[cloid] = promise
        return promise

    def cancel(self, promise: Promise) -> bytes:
        """Ask for an order to be cancelled, by one of its names."""
        promise.cancel_sent = True
        asset = COINS[promise.coin]
        if promise.oid is not None and self.rng.random() < 0.5:
            return self.sign({"type": "cancel", "cancels": [{"a": asset, "o": promise.oid}]})
        entry = {"asset": asset, "cloid": promise.cloid}
        return self.sign({"type": "cancelByCloid", "cancels": [entry]})

    def modify(self, old: Promise) -> Promise:
        """Ask for an order to be replaced by another one."""
        new = self.order(old.coin, quiet=True)
        spec = limit_order(
            COINS[old.coin],
            is_buy=True,
            price=str(MIDDLE[old.coin] - 10),
            size="2",
            cloid=new.cloid,
        )
        old.modified = True
        new.body = self.sign({"type": "modify", "oid": old.oid, "order": spec})
        return new

    # -- what was told

    def note_order(self, promise: Promise, answer: Json, upto: int) -> None:
        """Hold the answer to an order against the log."""
        self.answers += 1
        audit, where = self.world.audit, f"{promise.cloid}: {answer}"
        placed = audit.placed.get(promise.cloid, [])
        if answer["status"] != "ok":
            self._note_failure(promise, answer["response"])
            return
        statuses = answer["response"].get("data", {}).get("statuses", ["success"])
        status = statuses[0]
        if isinstance(status, dict) and "error" in status:
            promise.refused = True
            return
        require(len(placed) == 1, f"acknowledged, but in the log {len(placed)} times: {where}")
        oid, height = placed[0]
        require(height <= upto, f"acknowledged before it was durable: {where}")
        if isinstance(status, dict):
            told = status.get("resting") or status["filled"]
            require(told["oid"] == oid, f"the log has order {oid}: {where}")
            require(told["cloid"] == promise.cloid, f"the answer to another order: {where}")
        promise.oid = oid

    def _note_failure(self, promise: Promise, text: str) -> None:
        if text == UNKNOWN:
            self.unknown += 1
            since = self.world.chaos.last_fault - promise.sent_at
            require(since > -FAULT_SECONDS, f"unknown without a fault: {promise.cloid}")
        elif text in (NOT_DONE, CRASHED):
            promise.not_done += 1

    def note_cancel(self, promise: Promise, answer: Json, upto: int) -> None:
        """Hold the answer to a cancel against the log."""
        self.answers += 1
        if answer["status"] != "ok":
            return
        if answer["response"]["data"]["statuses"][0] != "success":
            return
        placed = self.world.audit.placed.get(promise.cloid)
        require(bool(placed), f"cancelled, but never placed: {promise.cloid}")
        assert placed
        height = self.world.audit.canceled.get(placed[0][0])
        require(
            height is not None and height <= upto,
            f"a cancel was acknowledged before it was durable: {promise.cloid}",
        )
        require(not promise.canceled, f"cancelled twice: {promise.cloid}")
        promise.canceled = True

    def check_end(self) -> None:
        """Hold all that was ever told against the whole log."""
        placed = self.world.audit.placed
        for cloid, promise in self.promises.items():
            orders = placed.get(cloid, [])
            if promise.oid is not None:
                require([oid for oid, _ in orders] == [promise.oid], f"{cloid} was undone")
            if promise.sends and promise.not_done == promise.sends:
                require(not orders, f"{cloid} was called not done, and is in the log")


@define(eq=False)
class Session:
    """One connection of a trader."""

    trader: Trader
    link: Link
    feeds: dict[str, Feed] = field(init=False, factory=dict)
    last_read: float = field(init=False, default=0.0)
    _wanted: dict[str, Mapping[str, Any]] = field(init=False, factory=dict)
    _waiting: dict[int, Callable[[Json, int], None]] = field(init=False, factory=dict)
    _posts: int = field(init=False, default=0)

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._waiting)

    async def run(self) -> None:
        """Trade until the connection is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read, nursery.cancel_scope)
            nursery.start_soon(self._act, nursery.cancel_scope)
        self.link.reset()

    # -- in

    async def read(self, over: trio.CancelScope) -> None:
        """Take what arrives, until the connection is over."""
        trader, reader = self.trader, FrameReader()
        world, rng = trader.world, trader.rng
        part = f"client {trader.number}"
        while True:
            if world.chaos.strikes("stall", part):
                await trio.sleep(rng.uniform(0.5, 25.0))
            try:
                data = await self.link.read(rng.choice((1, 7, 100, 4_000, 4_000, 4_000)))
            except DisconnectedError:
                over.cancel()
                return
            cut = world.chaos.strikes("reset", part, len(data) / 1_000)
            if cut:
                data = data[: rng.randrange(len(data))]
            for payload, offset in reader.feed(data):
                self._take(json.loads(payload), self.link.durable_at(offset))
            if cut:
                self.link.reset()
                over.cancel()
                return

    def _take(self, frame: Json, upto: int) -> None:
        trader, channel, data = self.trader, frame["channel"], frame.get("data")
        trader.frames += 1
        trader.world.trace(f"{trader.number} {frame}")
        match channel:
            case "pong":
                pass
            case "post":
                then = self._waiting.pop(data["id"], None)
                require(then is not None, f"an answer that nobody waits for: {frame}")
                assert then is not None
                then(data["response"], upto)
            case "subscriptionResponse":
                self._take_confirmation(data)
            case "error":
                self._take_error(data)
            case _:
                name = name_of_frame(channel, data)
                require(name in self.feeds, f"a frame of {name}, which is not subscribed to")
                self.feeds[name].take(data, upto)

    def _take_confirmation(self, data: Json) -> None:
        name = name_of(data["subscription"])
        if data["method"] == "subscribe":
            require(name in self._wanted, f"{name} was confirmed, but not asked for")
            feed = feed_of(data["subscription"], self.trader.world.audit, COINS)
            self.feeds[name] = feed
        else:
            require(name in self.feeds, f"the end of {name}, which never began")
            del self.feeds[name]
            del self._wanted[name]

    def _take_error(self, text: str) -> None:
        """An overloaded publisher takes a confirmation back."""
        head, brace, rest = text.partition("{")
        if head == "Invalid subscription " and '"NOPE"' not in text:
            name = name_of(json.loads(brace + rest))
            self.feeds.pop(name, None)
            self._wanted.pop(name, None)

    # -- out

    def send(self, message: object) -> None:
        """Send a message; it is lost if the connection is."""
        text = message if isinstance(message, str) else json.dumps(message)
        if not self.link.gone:
            self.link.to_server.send_nowait(text)

    def post(self, kind: str, payload: bytes, then: Callable[[Json, int], None]) -> None:
        """Send a request over the socket."""
        self._posts += 1
        self._waiting[self._posts] = then
        self.send(
            f'{{"method":"post","id":{self._posts},'
            f'"request":{{"type":"{kind}","payload":{payload.decode()}}}}}'
        )

    def place(self, promise: Promise) -> None:
        """Send an order."""
        promise.sent_at = trio.current_time()
        promise.sends += 1
        self.post("action", promise.body, lambda answer, upto: self._placed(promise, answer, upto))

    def _placed(self, promise: Promise, answer: Json, upto: int) -> None:
        assert answer["type"] == "action", answer
        self.trader.note_order(promise, answer["payload"], upto)

    def subscribe(self, subscription: Mapping[str, Any]) -> None:
        """Ask for a subscription."""
        name = name_of(subscription)
        if name not in self._wanted:
            self._wanted[name] = subscription
            self.send({"method": "subscribe", "subscription": dict(subscription)})

    def unsubscribe(self) -> None:
        """End one of the subscriptions."""
        names = [name for name in self.feeds if name in self._wanted]
        if names:
            subscription = self._wanted[self.trader.rng.choice(names)]
            self.send({"method": "unsubscribe", "subscription": dict(subscription)})

    def subscribe_to_all(self) -> None:
        """Ask for every feed that is judged at the end."""
        user = self.trader.address
        for coin in COINS:
            for kind in ("trades", "l2Book", "bbo"):
                self.subscribe({"type": kind, "coin": coin})
        for kind in ("orderUpdates", "userFills", "openOrders"):
            self.subscribe({"type": kind, "user": user})

    async def _act(self, over: trio.CancelScope) -> None:
        trader = self.trader
        rng, world = trader.rng, trader.world
        self.subscribe_to_all()
        while True:
            await trio.sleep(rng.expovariate(4.0))
            if world.is_settling:
                continue
            if rng.random() < 0.01:
                over.cancel()
                return
            self._do_something()
            if rng.random() < 0.05:
                await self._request_plainly()

    def _do_something(self) -> None:
        trader, rng = self.trader, self.trader.rng
        resting = [
            promise
            for promise in trader.promises.values()
            if promise.oid is not None and not promise.cancel_sent and not promise.modified
        ]
        match rng.choices(range(7), (50, 20, 6, 6, 4, 4, 6))[0]:
            case 1 if resting:
                promise = rng.choice(resting)
                self.post("action", trader.cancel(promise), self.when_canceled(promise))
            case 2 if resting:
                self.place(trader.modify(rng.choice(resting)))
            case 3:
                self.unsubscribe()
            case 4:
                self.send(rng.choice((*GARBAGE, {"method": "ping"})))
            case 5:
                self._subscribe_to_something()
            case 6 if trader.promises:
                self.place(rng.choice(list(trader.promises.values())[-5:]))  # the same once more
            case _:
                self.place(trader.order(rng.choice(list(COINS))))

    def when_canceled(self, promise: Promise) -> Callable[[Json, int], None]:
        """Return what takes the answer to a cancel."""
        return lambda answer, upto: self.trader.note_cancel(promise, answer["payload"], upto)

    def _subscribe_to_something(self) -> None:
        self.subscribe_to_all()
        coin, user = self.trader.rng.choice(list(COINS)), self.trader.address
        others: list[Mapping[str, Any]] = [
            {"type": "candle", "coin": coin, "interval": "1m"},
            {"type": "activeAssetCtx", "coin": coin},
            {"type": "allMids"},
            {"type": "webData2", "user": user},
            {"type": "clearinghouseState", "user": user},
            {"type": "userEvents", "user": user},
        ]
        self.subscribe(self.trader.rng.choice(others))

    async def _request_plainly(self) -> None:
        """Place an order, or ask a question, over what would be HTTP."""
        trader, listener = self.trader, self.trader.world.listener
        question = json.dumps({"type": "openOrders", "user": trader.address}).encode()
        try:
            if trader.rng.random() < 0.5:
                await listener.request(lambda program: program.info.answer(question))
                return
            promise = trader.order(trader.rng.choice(list(COINS)))
            promise.sends += 1
            answer = await listener.request(lambda program: program.entry.enter(promise.body))
        except (DisconnectedError, MalformedBodyError):
            return
        trader.note_order(promise, json.loads(answer), trader.world.audit.height)
