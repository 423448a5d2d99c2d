"""What a client makes of its subscriptions: each checks every frame against the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from model.ids import Address, AssetId
from model.views.account import RECENT_FILLS_MAX
from tests.simulation.audit import Audit, Json, Seen, require


@define(eq=False)
class Feed:
    """One subscription. Takes any frame; those below know what must be in it."""

    subject: str
    audit: Audit
    frames: int = field(init=False, default=0)

    def take(self, data: Json, upto: int) -> None:
        """Check a frame that was written when ``upto`` was the durable height."""
        self.frames += 1

    def check_end(self) -> None:
        """Check that nothing is missing, now that nothing happens any more."""


@define(eq=False)
class _Sequence(Feed):
    """A stream in which everything counts: a gapless piece of what the log has."""

    place: int | None = field(init=False, default=None)

    def _seen(self) -> Seen:
        raise NotImplementedError

    def _follow(self, at: int, item: Json, upto: int) -> None:
        seen = self._seen()
        where = f"{type(self).__name__} of {self.subject}"
        require(
            self.place is None or at == self.place + 1,
            f"{where}: item {at} came after item {self.place}: {item}",
        )
        require(at < len(seen.items), f"{where}: the log has no item {at}: {item}")
        require(seen.items[at] == item, f"{where}: {item}, but the log has {seen.items[at]}")
        require(seen.heights[at] <= upto, f"{where}: seen before it was durable: {item}")
        self.place = at

    def check_end(self) -> None:
        """See that the newest item arrived."""
        last = len(self._seen().items) - 1
        place = -1 if self.place is None else self.place
        require(place == last, f"{type(self).__name__} of {self.subject} ends at {place} of {last}")


@define(eq=False)
class Trades(_Sequence):
    """``trades`` of a coin: begins with the newest ones."""

    def _seen(self) -> Seen:
        return self.audit.trades[self.subject]

    def take(self, data: Json, upto: int) -> None:
        """Check trades, oldest first."""
        self.frames += 1
        for trade in data:
            at = self._seen().places.get(trade["tid"])
            require(at is not None, f"a trade that the log does not have: {trade}")
            assert at is not None
            self._follow(at, trade, upto)


@define(eq=False)
class OrderUpdates(_Sequence):
    """``orderUpdates`` of an account: begins somewhere."""

    def _seen(self) -> Seen:
        return self.audit.orders[self.subject]

    def take(self, data: Json, upto: int) -> None:
        """Check updates, oldest first."""
        self.frames += 1
        for update in data:
            at = self._seen().places.get(json.dumps(update, sort_keys=True))
            require(at is not None, f"an update that the log does not have: {update}")
            assert at is not None
            self._follow(at, update, upto)


@define(eq=False)
class UserFills(_Sequence):
    """``userFills`` of an account: a snapshot, newest first, then what follows it."""

    def _seen(self) -> Seen:
        return self.audit.fills[self.subject]

    def take(self, data: Json, upto: int) -> None:
        """Check a snapshot or the next fills."""
        self.frames += 1
        fills = data["fills"]
        if not data.get("isSnapshot"):
            require(self.place is not None, "fills came before their snapshot")
            for fill in fills:
                assert self.place is not None
                self._follow(self.place + 1, fill, upto)
            return
        seen, before = self._seen(), -1 if self.place is None else self.place
        end = len(seen.items) if not fills else self._place_of(fills[0]) + 1
        begin = max(0, end - RECENT_FILLS_MAX)
        if fills or before >= 0:
            require(seen.items[begin:end] == fills[::-1], "the snapshot of fills is not the log's")
            require(end - 1 >= before, f"a snapshot ends at {end - 1}, behind {before}")
            require(not end or seen.heights[end - 1] <= upto, "a fill was seen before durable")
        self.place = end - 1 if fills else before

    def _place_of(self, fill: Json) -> int:
        items = self._seen().items
        for at in range(len(items) - 1, -1, -1):
            if items[at] == fill:
                return at
        require(False, f"a fill that the log does not have: {fill}")
        return -1


@define(eq=False)
class Book(Feed):
    """``l2Book`` of a coin: each frame is the whole top of it."""

    asset: AssetId
    time_ms: int = field(init=False, default=0)
    levels: Json = field(init=False, default=None)

    def take(self, data: Json, upto: int) -> None:
        """Check a book."""
        self.frames += 1
        require(data["time"] >= self.time_ms, f"the book of {self.subject} went back in time")
        self.time_ms, self.levels = data["time"], data["levels"]
        self.audit.judge_book(self.subject, self.time_ms, self.levels, upto)

    def check_end(self) -> None:
        """See that the last book is that of now."""
        now = self.audit.book(self.asset)
        require(self.levels == now, f"{self.subject} ends as {self.levels}, but is {now}")


@define(eq=False)
class Best(Feed):
    """``bbo`` of a coin."""

    asset: AssetId
    best: Json = field(init=False, default=None)

    def take(self, data: Json, upto: int) -> None:
        """Check a best bid and ask."""
        self.frames += 1
        self.best = data["bbo"]
        self.audit.judge_best(self.subject, data["time"], self.best, upto)

    def check_end(self) -> None:
        """See that the last one is that of now."""
        now = [side[0] if side else None for side in self.audit.book(self.asset)]
        require(self.best == now, f"best of {self.subject} ends as {self.best}, but is {now}")


@define(eq=False)
class OpenOrders(Feed):
    """``openOrders`` of an account."""

    oids: list[int] = field(init=False, factory=list)

    def take(self, data: Json, upto: int) -> None:
        """Note the orders that are open."""
        self.frames += 1
        self.oids = sorted(order["oid"] for order in data["orders"])

    def check_end(self) -> None:
        """See that they are those of now."""
        now = self.audit.open_orders(Address(self.subject))
        require(self.oids == now, f"open orders end as {self.oids}, but are {now}")


def feed_of(subscription: Mapping[str, Any], audit: Audit, coins: Mapping[str, AssetId]) -> Feed:
    """Return the checker of a subscription."""
    kind = subscription["type"]
    coin, user = subscription.get("coin", ""), subscription.get("user", "")
    match kind:
        case "trades":
            return Trades(coin, audit)
        case "l2Book":
            return Book(coin, audit, coins[coin])
        case "bbo":
            return Best(coin, audit, coins[coin])
        case "orderUpdates":
            return OrderUpdates(user, audit)
        case "userFills":
            return UserFills(user, audit)
        case "openOrders":
            return OpenOrders(user, audit)
        case _:
            return Feed(coin or user, audit)


def name_of(subscription: Mapping[str, Any]) -> str:
    """Return what tells the frames of a subscription from others of one connection."""
    kind = str(subscription["type"])
    if kind in ("orderUpdates", "userEvents", "allMids"):
        return {"userEvents": "user"}.get(kind, kind)
    return f"{kind} {subscription.get('coin') or subscription.get('user')}"


def name_of_frame(channel: str, data: Json) -> str:
    """Return the same of a frame."""
    match channel:
        case "trades":
            return f"trades {data[0]['coin']}"
        case "l2Book" | "bbo" | "activeAssetCtx":
            return f"{channel} {data['coin']}"
        case "candle":
            return f"candle {data['s']}"
        case "userFills" | "openOrders" | "clearinghouseState" | "webData2":
            return f"{channel} {data['user']}"
        case "userNonFundingLedgerUpdates":
            return f"{channel} {data['user']}"
        case _:
            return channel
