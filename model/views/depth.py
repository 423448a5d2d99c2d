"""Depth: a market's book by price level, followed event by event.

An order-level map is needed because an event after ``OrderPlaced`` names only the order's id.
Levels are kept in a dictionary and their prices in a sorted list, so an event costs a dictionary
access and only a new or emptied level costs a binary search. Bids are keyed by price and asks by
its negative: on both sides the best level has the largest key and stands last, and one code serves
both.

While the events of a block are read the book may be crossed; after the last of them it is not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

from model.events import Event, OrderCanceled, OrderPlaced, Traded
from model.ids import OrderId
from model.state import MarketState, RestingOrder
from model.views.records import OFF_BOOK

LEVELS_MAX: Final = 20
"""Levels of a side that the wire shows."""

_NO_LEVEL: Final = -(2**62)
"""Key below that of every level."""


class Level(Struct, frozen=True, array_like=True, gc=False):
    """All orders of a side at one price: their lots together and how many they are."""

    price: int
    lots: int
    count: int


Levels: TypeAlias = tuple[Level, ...]


class Changes(Struct, frozen=True, array_like=True, gc=False):
    """What is different since the last look: best levels, the first LEVELS_MAX, anything at all."""

    best: bool
    top: bool
    any: bool


class BookSide:
    """One side of the book: ``sign`` is 1 for bids and -1 for asks, a key is the price times it.

    A level is its lots and its count of orders. The fields from ``changed`` on serve ``look``.
    """

    __slots__ = (
        "best_seen",
        "changed",
        "keys",
        "levels",
        "sign",
        "top_changed",
        "top_key",
        "top_seen",
    )

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, list[int]] = {}
        self.keys: list[int] = []
        self.changed = False
        self.top_changed = False
        self.top_key = _NO_LEVEL
        self.top_seen: Levels = ()
        self.best_seen: Level | None = None

    def add(self, price: int, lots: int) -> None:
        """Put an order of so many lots at a price."""
        key = price * self.sign
        level = self.levels.get(key)
        if level is None:
            self.levels[key] = [lots, 1]
            insort(self.keys, key)
        else:
            level[0] += lots
            level[1] += 1
        self.changed = True
        if key >= self.top_key:
            self.top_changed = True

    def take(self, price: int, lots: int, orders: int) -> None:
        """Take lots off a level and so many orders (0 or 1) with them."""
        key = price * self.sign
        level = self.levels[key]
        level[0] -= lots
        level[1] -= orders
        if level[1] == 0:
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]
        self.changed = True
        if key >= self.top_key:
            self.top_changed = True

    def best(self) -> Level | None:
        """Return the best level, or None if the side is empty."""
        return self._level(self.keys[-1]) if self.keys else None

    def __iter__(self) -> Iterator[Level]:
        """Iterate over the levels, best first."""
        return map(self._level, reversed(self.keys))

    def top(self, count: int = LEVELS_MAX) -> Levels:
        """Return the first levels, best first."""
        if not self.keys:
            return ()
        return tuple(map(self._level, self.keys[: -count - 1 : -1]))

    def look(self) -> tuple[bool, bool]:
        """Tell whether the best level and whether the top differ from the last look.

        A level below the last of the top cannot enter it unless one above changed too, which is why
        ``top_key`` may stay what it was at the last look.
        """
        self.changed = False
        if not self.top_changed:
            return False, False
        self.top_changed = False
        top = self.top()
        best = top[0] if top else None
        changed = best != self.best_seen, top != self.top_seen
        self.best_seen, self.top_seen = best, top
        self.top_key = self.keys[-LEVELS_MAX] if len(self.keys) >= LEVELS_MAX else _NO_LEVEL
        return changed

    def _level(self, key: int) -> Level:
        lots, count = self.levels[key]
        return Level(key * self.sign, lots, count)


class BookView:
    """The book of one market by level."""

    __slots__ = ("_orders", "asks", "bids")

    def __init__(self, state: MarketState) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self._orders: dict[OrderId, list[int]] = {}
        self._rest(state.bids, self.bids)
        self._rest(state.asks, self.asks)
        self.take_changes()

    def __len__(self) -> int:
        """Return the number of open orders."""
        return len(self._orders)

    def apply(self, event: Event) -> None:
        """Take in one event of this market; events that do not touch the book change nothing."""
        if isinstance(event, OrderPlaced):
            side = self.bids if event.is_buy else self.asks
            self._orders[event.oid] = [side.sign, event.price, event.lots]
            side.add(event.price, event.lots)
        elif isinstance(event, OrderCanceled):
            if event.oid in self._orders:  # else a trigger that never was in the book
                self._reduce(event.oid, event.remaining)
        elif isinstance(event, Traded) and event.kind not in OFF_BOOK:
            self._reduce(event.maker.oid, event.lots)
            self._reduce(event.taker.oid, event.lots)

    def take_changes(self) -> Changes:
        """Tell what changed since this was last asked. To be asked between blocks."""
        changed = self.bids.changed or self.asks.changed
        if not changed:
            return Changes(False, False, False)
        best_bid, bids = self.bids.look()
        best_ask, asks = self.asks.look()
        return Changes(best_bid or best_ask, bids or asks, changed)

    def levels(self, count: int = LEVELS_MAX) -> tuple[Levels, Levels]:
        """Return bids and asks, each best first."""
        return self.bids.top(count), self.asks.top(count)

    def aggregated(
        self, n_sig_figs: int, mantissa: int = 1, count: int = LEVELS_MAX
    ) -> tuple[Levels, Levels]:
        """Return bids and asks in buckets of so many significant figures, each best first.

        ``mantissa`` is 1, 2 or 5: the bucket in units of the last of the figures. Bids round down
        and asks up, so no bucket looks better than what is in it.
        """
        return (
            aggregate(self.bids, n_sig_figs, mantissa, count),
            aggregate(self.asks, n_sig_figs, mantissa, count),
        )

    def _rest(self, orders: Iterable[RestingOrder], side: BookSide) -> None:
        for order in orders:
            self._orders[order.oid] = [side.sign, order.price, order.remaining]
            side.add(order.price, order.remaining)

    def _reduce(self, oid: OrderId, lots: int) -> None:
        order = self._orders[oid]
        sign, price, remaining = order
        side = self.bids if sign == 1 else self.asks
        if lots == remaining:
            del self._orders[oid]
            side.take(price, lots, 1)
        else:
            order[2] = remaining - lots
            side.take(price, lots, 0)


def aggregate(side: BookSide, n_sig_figs: int, mantissa: int, count: int = LEVELS_MAX) -> Levels:
    """Sum a side's levels, best first, into ``count`` buckets of so many significant figures.

    The width of a bucket follows from the magnitude of the price itself. A price with fewer figures
    than asked for stands alone.
    """
    upwards = side.sign < 0
    step, magnitude_end = 1, None
    buckets: list[list[int]] = []
    for key in reversed(side.keys):
        ticks = abs(key)
        if magnitude_end is None or not magnitude_end // 10 <= ticks < magnitude_end:
            figures = len(str(ticks))
            magnitude_end = 10**figures
            step = mantissa * 10 ** (figures - n_sig_figs) if figures >= n_sig_figs else 1
        price = (-(-ticks // step) if upwards else ticks // step) * step
        lots, orders = side.levels[key]
        if buckets and buckets[-1][0] == price:
            buckets[-1][1] += lots
            buckets[-1][2] += orders
        elif len(buckets) == count:
            break
        else:
            buckets.append([price, lots, orders])
    return tuple(Level(*bucket) for bucket in buckets)
