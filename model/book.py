"""One side of an order book: price levels in order, each a queue in order of arrival.

Both sides are the same structure under a *key*: the price of a bid, the negated price of an ask. A
larger key is always the better one, so the best level is the last of an ascending list, where
insertion and removal, which happen mostly near the best price, move the fewest entries.

A level is a dict from order id to order. Dicts keep insertion order, which is arrival order, and
take any order out in constant time. The one price: the first entry is found by walking over entries
that were deleted in front of it since the dict last grew, about a nanosecond each.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from model.ids import OrderId
from model.orders import Order


class BookSide:
    """The bids (``sign`` 1) or asks (``sign`` -1) of one market.

    ``keys`` is ascending and holds exactly the keys of ``levels``; no level is empty. Both are open
    to the matching engine, which reads them in its inner loop.
    """

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, dict[OrderId, Order]] = {}

    def add(self, order: Order) -> None:
        """Put an order at the end of its level's queue."""
        key = order.price * self.sign
        level = self.levels.get(key)
        if level is None:
            self.levels[key] = {order.oid: order}
            insort(self.keys, key)
        else:
            level[order.oid] = order

    def remove(self, order: Order) -> None:
        """Take an order out, and its level with it if it was the last.

        Raises:
            KeyError: the order is not here.
        """
        key = order.price * self.sign
        level = self.levels[key]
        del level[order.oid]
        if not level:
            del self.levels[key]
            keys = self.keys
            if keys[-1] == key:
                keys.pop()
            else:
                del keys[bisect_left(keys, key)]

    def first(self) -> Order:
        """Return the order with the highest priority; the side must not be empty."""
        return next(iter(self.levels[self.keys[-1]].values()))

    def best_price(self) -> int:
        """Return the best price in ticks, or 0 if the side is empty."""
        return self.keys[-1] * self.sign if self.keys else 0

    def __iter__(self) -> Iterator[Order]:
        """Go through all orders in priority order, best first."""
        for key in reversed(self.keys):
            yield from self.levels[key].values()
