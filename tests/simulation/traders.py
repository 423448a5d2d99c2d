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
SLOW_SECONDS: Final = 10.0
"""How long before a request over HTTP a fault may be that lets it run into its deadline."""
STOP_SECONDS: Final = 5.0
"""How long a process takes to stop, and gives requests back as unknown."""
BATCH_MAX: Final = 3
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
    """One order that was sent, maybe more than once, and what was told about it.

    Attributes:
        place, batch: its place among the orders of its action, and all of those.
        sends, answered: how often it was sent as a whole, and answered.
        executed: it was told that the action's nonce is used, so an earlier one was executed.
        replaces: it takes the place of another one, if that is still there.
        missing_at: the number of sends at which the exchange said that it knows no such order,
            with nothing under way.
    """

    cloid: str
    coin: str
    body: bytes
    sent_at: float
    place: int = 0
    batch: list[Promise] = field(factory=list)
    oid: int | None = None
    refused: bool = False
    sends: int = 0
    answered: int = 0
    not_done: int = 0
    executed: bool = False
    replaces: bool = False
    missing_at: int | None = None
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
    _orders: int = field(init=False, default=0)

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

    def order(self, coin: str, *, quiet: bool = False, size: int = 1) -> Promise:
        """Make up an action of some orders, and return the first; quiet ones meet nobody."""
        made = [self._spec(coin, quiet=quiet) for _ in range(size)]
        action = {"type": "order", "orders": [spec for _, spec in made], "grouping": "na"}
        body, now = self.sign(action), trio.current_time()
        batch: list[Promise] = []
        for place, (cloid, _) in enumerate(made):
            promise = Promise(cloid, coin, body, now, place, batch)
            batch.append(promise)
            self.promises[cloid] = promise
        return batch[0]

    def _spec(self, coin: str, *, quiet: bool) -> tuple[str, dict[str, Any]]:
        rng, middle = self.rng, MIDDLE[coin]
        self._orders += 1
        cloid = f"0x{self.number:08x}{self._orders:024x}"
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
        return cloid, spec

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
        old.modified = new.replaces = True
        new.body = self.sign({"type": "modify", "oid": old.oid, "order": spec})
        return new

    # -- what was told

    def note_order(self, promise: Promise, answer: Json, upto: int, *, slack: float = 0.0) -> None:
        """Hold the answer to an action against the log.

        Args:
            promise: the first order of the action.
            answer: what came back.
            upto: what was durable then.
            slack: seconds before it was sent in which a fault may explain an unknown outcome.
        """
        self.answers += 1
        for one in promise.batch:
            one.answered += 1
            if answer["status"] == "ok":
                statuses = answer["response"].get("data", {}).get("statuses", ["success"])
                require(
                    len(statuses) == len(promise.batch),
                    f"{len(promise.batch)} orders were sent, and {len(statuses)} answered",
                )
                self._note_status(one, statuses[one.place], upto)
            else:
                self._note_failure(one, answer["response"], slack)

    def _note_status(self, promise: Promise, status: Json, upto: int) -> None:
        audit, where = self.world.audit, f"{promise.cloid}: {status}"
        placed = audit.placed.get(promise.cloid, [])
        if isinstance(status, dict) and "error" in status:
            promise.refused = True
            if placed:
                require(len(placed) == 1, f"refused, but in the log {len(placed)} times: {where}")
                require(placed[0][0] not in audit.traded, f"refused, but it traded: {where}")
            return
        require(len(placed) == 1, f"acknowledged, but in the log {len(placed)} times: {where}")
        oid, height = placed[0]
        require(height <= upto, f"acknowledged before it was durable: {where}")
        if isinstance(status, dict):
            told = status.get("resting") or status["filled"]
            require(told["oid"] == oid, f"the log has order {oid}: {where}")
            require(told["cloid"] == promise.cloid, f"the answer to another order: {where}")
        promise.oid = oid

    def _note_failure(self, promise: Promise, text: str, slack: float) -> None:
        chaos = self.world.chaos
        if text == UNKNOWN:
            self.unknown += 1
            reason = max(
                chaos.last_doubt,
                chaos.last_fault + slack if slack else chaos.last_doubt,
                chaos.last_stop + STOP_SECONDS,
            )
            is_explained = reason >= promise.sent_at or self.world.listener.is_stopping
            require(is_explained, f"unknown without a reason: {promise.cloid}")
        elif text in (NOT_DONE, CRASHED):
            promise.not_done += 1
        elif text.startswith("Invalid nonce"):
            require(promise.sends > 1, f"a fresh nonce was called used: {promise.cloid}")
            promise.executed = not promise.replaces

    def note_lookup(self, promise: Promise, sends: int, answer: Json, upto: int) -> None:
        """Hold what the exchange says of an order, when asked, against the log.

        Args:
            promise: the order.
            sends: how often it had been sent when the question was.
            answer: what came back.
            upto: what was durable then.
        """
        placed = self.world.audit.placed.get(promise.cloid, [])
        where = f"{promise.cloid}: {answer}"
        if answer["status"] == "unknownOid":
            require(promise.oid is None, f"an acknowledged order is unknown: {where}")
            is_settled = promise.answered == sends or self.world.is_settling
            if is_settled and promise.sends == sends:
                require(not placed, f"it is in the log, but unknown to who asks: {where}")
                promise.missing_at = sends
            return
        require(len(placed) == 1, f"found, but in the log {len(placed)} times: {where}")
        oid, height = placed[0]
        order = answer["order"]["order"]
        require(height <= upto, f"seen before it was durable: {where}")
        require((order["oid"], order["cloid"]) == (oid, promise.cloid), f"another order: {where}")

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
        placed, decided = self.world.audit.placed, self.world.audit.decided
        for cloid, promise in self.promises.items():
            orders, heights = placed.get(cloid, []), decided.get(cloid, [])
            require(len(heights) <= 1, f"{cloid} was decided {len(heights)} times")
            require(
                all(decided.get(one.cloid, []) == heights for one in promise.batch),
                f"{cloid} is not where the others of its action are",
            )
            require(
                bool(heights) or not promise.executed,
                f"{cloid}: its nonce is used, but it was never decided",
            )
            if not promise.sends or promise.missing_at == promise.sends:
                require(not orders, f"{cloid} was never sent whole, or said to be unknown")
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

    def send(self, message: object) -> bool:
        """Send a message; tell whether all of it left, which does not mean that it arrives."""
        text = message if isinstance(message, str) else json.dumps(message)
        trader = self.trader
        if trader.world.chaos.strikes("cut", f"client {trader.number}"):
            return self.link.write(text, cut=trader.rng.random())
        return self.link.write(text)

    def post(self, kind: str, payload: bytes, then: Callable[[Json, int], None]) -> bool:
        """Send a request over the socket; tell whether all of it left."""
        self._posts += 1
        self._waiting[self._posts] = then
        return self.send(
            f'{{"method":"post","id":{self._posts},'
            f'"request":{{"type":"{kind}","payload":{payload.decode()}}}}}'
        )

    def place(self, promise: Promise) -> None:
        """Send the action of an order."""
        first = promise.batch[0]
        is_whole = self.post(
            "action", first.body, lambda answer, upto: self._placed(first, answer, upto)
        )
        for one in first.batch:
            one.sent_at = trio.current_time()
            one.sends += is_whole

    def _placed(self, promise: Promise, answer: Json, upto: int) -> None:
        assert answer["type"] == "action", answer
        self.trader.note_order(promise, answer["payload"], upto)
        if answer["payload"]["status"] != "ok":
            self.look_up(promise)

    def look_up(self, promise: Promise) -> None:
        """Ask what became of an order."""
        question = {"type": "orderStatus", "user": self.trader.address, "oid": promise.cloid}
        sends = promise.sends

        def told(answer: Json, upto: int) -> None:
            if answer["type"] == "info":
                self.trader.note_lookup(promise, sends, answer["payload"]["data"], upto)
            else:
                require(not self.trader.world.is_settling, f"no answer in the calm: {answer}")

        self.post("info", json.dumps(question).encode(), told)

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
        match rng.choices(range(8), (50, 20, 6, 6, 4, 4, 6, 4))[0]:
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
            case 7 if trader.promises:
                self.look_up(rng.choice(list(trader.promises.values())[-20:]))
            case _:
                self.place(trader.order(rng.choice(list(COINS)), size=rng.randint(1, BATCH_MAX)))

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
            with trio.move_on_after(self._patience()):
                answer = await listener.request(lambda program: program.entry.enter(promise.body))
                trader.note_order(
                    promise, json.loads(answer), trader.world.audit.height, slack=SLOW_SECONDS
                )
        except (DisconnectedError, MalformedBodyError):
            return

    def _patience(self) -> float:
        """Return when a request over HTTP breaks off, and with it its work."""
        trader = self.trader
        if trader.world.chaos.strikes("cut", f"client {trader.number} over HTTP", 20.0):
            return trader.rng.expovariate(100.0)
        return float("inf")
