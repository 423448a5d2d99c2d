"""A chain that does not exist, from a seed: blocks with the profile of a real one, and the truth.

The profile is that published for the main network: many times more rejected orders than accepted
ones, as many removals as new orders, about one in a hundred changes a fill, a burst now and then, a
few markets with most of the traffic. The truth is kept by means as plain as possible, and not by
those that are to be tested with it.
"""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import Any, Final

import msgspec
from attrs import define, evolve, field, frozen
from msgspec import UNSET, Raw

from model.node.decimals import decimal_text, time_text
from model.node.joiner import NodeBlock
from model.node.lines import Change, Diff, Fill, FillBody, Misc, OrderBody, Status
from model.node.snapshot import CoinOrders, Order, details_of
from model.node.writing import NO_HASH
from model.units import E8

FIRST_HEIGHT: Final = 985_148_181
FIRST_NS: Final = 1_778_002_752_000_000_000
BLOCK_NS: Final = 67_000_000
BLOCK_JITTER_NS: Final = 6_000_000
OWNERS: Final = 104
IDS_PER_BLOCK: Final = 1_300
BURST_SHARE: Final = 0.02
BURST_FACTOR: Final = 8
LEVELS_SPREAD: Final = 40
"""How many ticks from the best price new orders go at most, near the touch more often."""

SYSTEM_OWNER: Final = "0x" + "f" * 40
"""Owner of the orders of the exchange's own market maker, which never have a status."""

NAMES: Final = ("BTC", "ETH", "SOL", "HYPE", "kPEPE", "XRP", "dex:GOLD", "@107", "PURR/USDC", "#90")
"""First markets of each chain; further ones are numbered."""


@frozen
class Profile:
    """How much happens in a block, on average.

    Args:
        coins: markets; the first has the most traffic.
        orders: that rest at the beginning, in all markets.
        changes: of books, in a block.
        rejections: orders refused, in a block.
    """

    coins: int = 10
    orders: int = 1_000
    changes: int = 30
    rejections: int = 30


@frozen
class Resting:
    """An order in the true book: ``details`` is its status, which its owner's orders may lack."""

    coin: str
    oid: int
    user: str
    is_bid: bool
    price: int
    size: int
    details: OrderBody | None


@define(eq=False)
class TrueBook:
    """One market: orders by price, in order of time. Prices and sizes are integers of 1e-8."""

    coin: str
    tick: int
    lot: int
    mid: int
    sides: dict[bool, dict[int, dict[int, Resting]]] = field(factory=lambda: {True: {}, False: {}})
    where: dict[int, Resting] = field(factory=dict)
    oids: list[int] = field(factory=list)

    def put(self, order: Resting) -> None:
        """Add an order at the end of its level, or resize one that is there."""
        self.sides[order.is_bid].setdefault(order.price, {})[order.oid] = order
        if order.oid not in self.where:
            self.oids.append(order.oid)
        self.where[order.oid] = order

    def drop(self, oid: int) -> Resting:
        """Remove an order."""
        order = self.where.pop(oid)
        level = self.sides[order.is_bid][order.price]
        del level[oid]
        if not level:
            del self.sides[order.is_bid][order.price]
        return order

    def best(self, *, is_bid: bool) -> int | None:
        """Return the best price of a side."""
        prices = self.sides[is_bid]
        if not prices:
            return None
        return max(prices) if is_bid else min(prices)

    def any_oid(self, random: Random) -> int | None:
        """Return some order, each as likely as the other."""
        while self.oids:
            index = random.randrange(len(self.oids))
            oid = self.oids[index]
            if oid in self.where:
                return oid
            self.oids[index] = self.oids[-1]
            self.oids.pop()
        return None

    def level(self, *, is_bid: bool) -> dict[str, Any] | None:
        """Return the best level as it is shown."""
        price = self.best(is_bid=is_bid)
        if price is None:
            return None
        orders = self.sides[is_bid][price].values()
        size = sum(order.size for order in orders)
        return {"px": decimal_text(price), "sz": decimal_text(size), "n": len(orders)}

    def orders(self) -> CoinOrders:
        """Return all orders as a snapshot holds them."""
        sides = []
        for is_bid in (True, False):
            levels = self.sides[is_bid]
            sides.append(
                [
                    Order(
                        order.oid,
                        order.user,
                        is_bid,
                        order.price,
                        order.size,
                        None if order.details is None else details_of(order.details),
                    )
                    for price in sorted(levels, reverse=is_bid)
                    for order in levels[price].values()
                ]
            )
        return CoinOrders(*sides)


class SyntheticChain:
    """The chain described above. ``height`` is that of the last block that was made."""

    def __init__(self, seed: int, profile: Profile | None = None) -> None:
        self.random = Random(seed)
        self.profile = Profile() if profile is None else profile
        self.height = FIRST_HEIGHT
        self.time_ns = FIRST_NS
        self._oid = 412_036_000_000
        self._tid = 316_059_956_208_702
        self._positions: dict[tuple[str, str], int] = {}
        self.owners = [f"0x{self.random.getrandbits(160):040x}" for _ in range(OWNERS)]
        self.books = {book.coin: book for book in map(self._market, range(self.profile.coins))}
        self._coins = list(self.books)
        self._weights = list(accumulate(1 / (rank + 1) for rank in range(len(self._coins))))
        for _ in range(self.profile.orders):
            self._rest(self._pick(), spread=LEVELS_SPREAD * 10)

    def snapshot(self) -> dict[str, CoinOrders]:
        """Return all books of now."""
        return {coin: book.orders() for coin, book in self.books.items()}

    def truth(self, coin: str) -> dict[str, Any]:
        """Return the best prices of a market after the last block, as they are to be shown."""
        book = self.books[coin]
        return {
            "height": self.height,
            "time": self.time_ns // 10**6,
            "bid": book.level(is_bid=True),
            "ask": book.level(is_bid=False),
        }

    def next_block(self) -> NodeBlock:
        """Make the next block."""
        random, profile = self.random, self.profile
        self.height += 1
        self.time_ns += BLOCK_NS + random.randint(-BLOCK_JITTER_NS, BLOCK_JITTER_NS)
        block = NodeBlock(self.height, self.time_ns // 10**6, time_text(self.time_ns))
        if random.random() < 2 / 51:
            return block  # as many of the observed blocks were empty
        factor = BURST_FACTOR if random.random() < BURST_SHARE else 1
        for _ in range(random.randint(0, 2 * profile.changes) * factor):
            self._change(block)
        for _ in range(random.randint(0, 2 * profile.rejections) * factor):
            self._reject(block)
        self._oid += random.randrange(IDS_PER_BLOCK)
        return block

    # -- what happens

    def _market(self, rank: int) -> TrueBook:
        name = NAMES[rank] if rank < len(NAMES) else f"COIN{rank}"
        size_decimals = self.random.randint(0, 5)
        lot = E8 // 10**size_decimals
        tick = E8 // 10 ** (6 - size_decimals)
        ticks = self.random.randint(10_000, 99_999)
        return TrueBook(name, tick, lot, ticks * tick)

    def _pick(self) -> TrueBook:
        (coin,) = self.random.choices(self._coins, cum_weights=self._weights)
        return self.books[coin]

    def _change(self, block: NodeBlock) -> None:
        book, dice = self._pick(), self.random.random()
        oid = book.any_oid(self.random)
        if oid is None or dice < 0.525:
            self._place(block, book)
        elif dice < 0.99:
            self._cancel(block, book, oid)
        else:
            self._match(block, book)

    def _rest(self, book: TrueBook, spread: int) -> Resting:
        """Put a new order on a free side of the touch; it never crosses."""
        random = self.random
        is_bid = random.random() < 0.5
        distance = 1 + min(random.randrange(spread), random.randrange(spread))
        other = book.best(is_bid=not is_bid)
        price = book.mid + (-distance if is_bid else distance) * book.tick
        if other is not None and (price >= other if is_bid else price <= other):
            price = other + (-book.tick if is_bid else book.tick)
        self._oid += 1
        user = SYSTEM_OWNER if book.coin.startswith("@") else random.choice(self.owners)
        size = random.randint(1, 100_000) * book.lot
        details = None
        if user != SYSTEM_OWNER:
            details = self._body(book, is_bid=is_bid, price=price, size=size)
        order = Resting(book.coin, self._oid, user, is_bid, price, size, details)
        book.put(order)
        return order

    def _body(
        self, book: TrueBook, *, is_bid: bool, price: int, size: int, tif: str = "Alo"
    ) -> OrderBody:
        text = decimal_text(size)
        cloid = f"0x{self.random.getrandbits(128):032x}" if self.random.random() < 0.5 else None
        return OrderBody(
            book.coin,
            "B" if is_bid else "A",
            decimal_text(price),
            text,
            self._oid,
            self.time_ns // 10**6,
            orig_sz=text,
            tif=tif,
            cloid=cloid,
        )

    def _place(self, block: NodeBlock, book: TrueBook) -> None:
        order = self._rest(book, LEVELS_SPREAD)
        self._diff(block, order, Change.NEW, size=order.size)
        if order.details is not None:
            self._status(block, order.user, "open", order.details)
        if self.random.random() < 0.1:
            self._cancel(block, book, order.oid)

    def _cancel(self, block: NodeBlock, book: TrueBook, oid: int) -> None:
        order = book.drop(oid)
        self._diff(block, order, Change.REMOVE)
        if order.details is not None:
            body = msgspec.structs.replace(order.details, sz=decimal_text(order.size))
            self._status(block, order.user, "canceled", body)

    def _match(self, block: NodeBlock, book: TrueBook) -> None:
        """An immediate order takes some of the oldest order at the best price, or all of it."""
        random = self.random
        takes_bid = random.random() < 0.5
        price = book.best(is_bid=takes_bid)
        if price is None:
            return
        maker = next(iter(book.sides[takes_bid][price].values()))
        is_whole = random.random() < 0.5 or maker.size == book.lot
        size = maker.size if is_whole else random.randrange(1, maker.size // book.lot) * book.lot
        left = maker.size - size
        self._oid += 1
        taker = random.choice(self.owners)
        body = self._body(book, is_bid=not takes_bid, price=price, size=size, tif="Ioc")
        self._status(block, taker, "open", body)
        self._status(block, taker, "filled", msgspec.structs.replace(body, sz="0.0"))
        self._fills(block, book, maker, taker, size)
        self._diff(block, maker, Change.UPDATE, size=left, before=maker.size)
        book.drop(maker.oid)
        if left:
            at = book.sides[maker.is_bid].get(maker.price, {})
            rest = evolve(maker, size=left)
            book.sides[maker.is_bid][price] = {maker.oid: rest, **at}
            book.where[maker.oid] = rest
            return
        if maker.details is not None:
            self._status(
                block, maker.user, "filled", msgspec.structs.replace(maker.details, sz="0.0")
            )
        if random.random() < 0.5:
            self._diff(block, maker, Change.REMOVE)

    def _reject(self, block: NodeBlock) -> None:
        book = self._pick()
        self._oid += 1
        size = self.random.randint(1, 1_000) * book.lot
        body = self._body(book, is_bid=True, price=book.mid, size=size)
        name = self.random.choices(
            ("badAloPxRejected", "perpMarginRejected", "iocCancelRejected"), (777, 9, 3)
        )[0]
        self._status(block, self.random.choice(self.owners), name, body)

    # -- what is told of it

    def _diff(
        self, block: NodeBlock, order: Resting, change: Change, *, size: int = 0, before: int = 0
    ) -> None:
        side, price = order.is_bid, order.price
        block.diffs.append(
            Diff(order.coin, order.oid, order.user, side, price, change, size, before)
        )

    def _status(self, block: NodeBlock, user: str, name: str, body: OrderBody) -> None:
        hash_text = f"0x{self.random.getrandbits(256):064x}" if name == "open" else None
        block.statuses.append(Status(block.block_time, user, name, body, hash_text))

    def _fills(
        self, block: NodeBlock, book: TrueBook, maker: Resting, taker: str, size: int
    ) -> None:
        """Both sides of a match, the buyer's first."""
        self._tid += self.random.randint(1, 10**6)
        sides = [(maker.user, maker.is_bid, maker.oid, False)]
        sides.insert(1 if maker.is_bid else 0, (taker, not maker.is_bid, self._oid, True))
        for user, is_buy, oid, crossed in sides:
            body = self._fill_body(book, user, is_buy, size, maker.price)
            body = msgspec.structs.replace(body, oid=oid, crossed=crossed, tid=self._tid)
            block.fills.append(Fill(user, maker.price, size, is_buy, body))

    def _fill_body(
        self, book: TrueBook, user: str, is_buy: bool, size: int, price: int
    ) -> FillBody:
        position = self._positions.get((user, book.coin), 0)
        self._positions[user, book.coin] = position + (size if is_buy else -size)
        return FillBody(
            coin=book.coin,
            px=decimal_text(price),
            sz=decimal_text(size),
            side="B" if is_buy else "A",
            time=self.time_ns // 10**6,
            start_position=decimal_text(position),
            dir="Open Long" if is_buy else "Open Short",
            closed_pnl="0.0",
            hash=NO_HASH,
            oid=0,
            crossed=False,
            fee="0.0",
            tid=0,
            fee_token="USDC",
            cloid=UNSET,
        )

    def funding(self, block: NodeBlock, deltas: int) -> None:
        """Add an hourly payment of so many positions, all in one event."""
        delta = {
            "user": self.owners[0],
            "coin": "BTC",
            "funding_amount": "-0.000123",
            "szi": "1.5",
            "funding_rate": "0.0000125",
        }
        payload = Raw(msgspec.json.encode({"deltas": [delta] * deltas}))
        block.misc.append(Misc(block.block_time, NO_HASH, "Funding", payload))
