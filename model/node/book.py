"""The book of one coin, order by order, as diffs make it.

Diffs alone decide what rests, at what price and in which order; statuses only add what nobody needs
for that. A diff that does not fit what the book holds proves that something was missed: it is
reported as a ``Flaw`` and changes nothing that it is not sure of.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from model.node.lines import Change, Diff, Status
from model.node.snapshot import CoinOrders, Order, details_of
from model.views.depth import BookSide

GONE_MAX: Final = 4_096
"""Orders that an update took to nothing, of which a removal may still follow."""


class Flaw(StrEnum):
    """How a diff can fail to fit the book."""

    UNKNOWN_UPDATE = "update of an order that is not there"
    UNKNOWN_REMOVE = "removal of an order that is not there"
    TWICE = "new order that is there already"
    BEFORE = "update from a size that is not ours"
    PRICE = "the order stands at another price"
    SIDE = "new order without a side"
    CROSSED = "the book is crossed"


class Mismatch(Struct, frozen=True):
    """An order that two books of one coin do not agree on, and how."""

    oid: int
    what: str


class Move(Struct, frozen=True, array_like=True, gc=False):
    """A level as it is after a block: the sizes of its orders together, and how many they are.

    Nothing is left of a level of no orders.
    """

    is_bid: bool
    price: int
    size: int
    count: int


_NO_LEVEL: Final = (0, 0)
_NEW: Final = Change.NEW
_REMOVE: Final = Change.REMOVE


class NodeBook:
    """One coin. ``bids`` and ``asks`` are levels; prices and sizes are integers of 1e-8.

    ``touched`` collects the keys of levels that changed, in the order in which they first did.
    """

    __slots__ = ("_gone", "_orders", "_queues", "asks", "bids", "coin", "touched")

    def __init__(self, coin: str, orders: CoinOrders | None = None) -> None:
        self.coin = coin
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self._orders: dict[int, Order] = {}
        self._queues: dict[int, dict[int, Order]] = {}
        self._gone: dict[int, None] = {}
        self.touched: dict[int, None] = {}
        if orders is not None:
            for side in (orders.bids, orders.asks):
                for order in side:
                    self._add(order)
        self.touched.clear()

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all orders: bids, then asks, each best first and oldest first at a price."""
        for side in (self.bids, self.asks):
            for key in reversed(side.keys):
                yield from self._queues[key].values()

    def get(self, oid: int) -> Order | None:
        """Return an order that rests."""
        return self._orders.get(oid)

    def orders(self) -> CoinOrders:
        """Return copies of all orders, as a snapshot holds them."""
        sides: tuple[list[Order], list[Order]] = ([], [])
        for order in self:
            copy = Order(
                order.oid, order.user, order.is_bid, order.price, order.size, order.details
            )
            sides[0 if order.is_bid else 1].append(copy)
        return CoinOrders(*sides)

    def apply(self, diff: Diff) -> Flaw | None:
        """Take in one diff; return what does not fit."""
        order = self._orders.get(diff.oid)
        change = diff.change
        if change is _NEW:
            return self._new(diff, order)
        if order is None:
            return self._missing(diff)
        is_bid = diff.is_bid
        if order.price != diff.price or (is_bid is not None and is_bid is not order.is_bid):
            self._take(order)
            return Flaw.PRICE
        if change is _REMOVE:
            self._take(order)
            return None
        flaw = None if diff.before == order.size else Flaw.BEFORE
        self._resize(order, diff.size)
        return flaw

    def take_touched(self) -> tuple[Move, ...]:
        """Return the levels that changed since this was last asked, as they are now."""
        bids, asks = self.bids.levels, self.asks.levels
        moves = []
        for key in self.touched:
            if key > 0:
                size, count = bids.get(key, _NO_LEVEL)
                moves.append(Move(True, key, size, count))
            else:
                size, count = asks.get(key, _NO_LEVEL)
                moves.append(Move(False, -key, size, count))
        self.touched.clear()
        return tuple(moves)

    def is_crossed(self) -> bool:
        """Tell whether the best bid reaches the best ask, which no complete book does."""
        bids, asks = self.bids.keys, self.asks.keys
        return bool(bids) and bool(asks) and bids[-1] >= -asks[-1]

    def enrich(self, status: Status) -> None:
        """Keep what a status says of an order that rests."""
        order = self._orders.get(status.order.oid)
        if order is not None and order.details is None:
            order.details = details_of(status.order)

    def learn_from(self, other: NodeBook) -> None:
        """Take over what another book of the coin knows of orders beside what rests."""
        for oid, order in self._orders.items():
            known = other.get(oid)
            if order.details is None and known is not None:
                order.details = known.details

    def _new(self, diff: Diff, known: Order | None) -> Flaw | None:
        if known is not None:
            self._take(known)
        if diff.is_bid is None:
            return Flaw.SIDE
        if diff.size:
            self._add(Order(diff.oid, diff.user, diff.is_bid, diff.price, diff.size))
        return None if known is None else Flaw.TWICE

    def _missing(self, diff: Diff) -> Flaw | None:
        """An order that an update took to nothing may be removed once more."""
        if diff.change is Change.UPDATE:
            return Flaw.UNKNOWN_UPDATE
        if diff.oid in self._gone:
            del self._gone[diff.oid]
            return None
        return Flaw.UNKNOWN_REMOVE

    def _resize(self, order: Order, size: int) -> None:
        if size == 0:
            if len(self._gone) >= GONE_MAX:
                del self._gone[next(iter(self._gone))]
            self._gone[order.oid] = None
            self._take(order)
            return
        side = self.bids if order.is_bid else self.asks
        side.take(order.price, order.size - size, 0)
        self.touched[order.price * side.sign] = None
        order.size = size

    def _add(self, order: Order) -> None:
        side = self.bids if order.is_bid else self.asks
        oid, price = order.oid, order.price
        key = price * side.sign
        self._orders[oid] = order
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = {oid: order}
        else:
            queue[oid] = order
        side.add(price, order.size)
        self.touched[key] = None

    def _take(self, order: Order) -> None:
        side = self.bids if order.is_bid else self.asks
        oid, price = order.oid, order.price
        key = price * side.sign
        queue = self._queues[key]
        del self._orders[oid], queue[oid]
        if not queue:
            del self._queues[key]
        side.take(price, order.size, 1)
        self.touched[key] = None


def compare(ours: NodeBook, theirs: NodeBook) -> Mismatch | None:
    """Compare two books of a coin order by order, queues included; return the first difference."""
    mine, other = list(ours), list(theirs)
    for a, b in zip(mine, other, strict=False):
        if a.oid != b.oid:
            return Mismatch(a.oid, f"order {b.oid} should stand there")
        if (a.is_bid, a.price, a.size) != (b.is_bid, b.price, b.size):
            return Mismatch(a.oid, "side, price or size differ")
        if b.user and a.user != b.user:
            return Mismatch(a.oid, "the owner differs")
    if len(mine) != len(other):
        longer = mine if len(mine) > len(other) else other
        return Mismatch(longer[min(len(mine), len(other))].oid, "one side has orders more")
    return None
