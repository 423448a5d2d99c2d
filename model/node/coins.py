"""All books of a node, and what is known of each: is it whole, since when, and how to mend it.

A coin's book is **whole** while nothing of it was lost. Each loss leaves a bound, the highest block
it may have touched; until a snapshot of that block or a later one has been looked at, the coin is
**in doubt**. Looking at a snapshot means: take the coin's orders out of it, apply the diffs that
came after it, and compare with our book, order by order. Where they agree, doubt ends and nobody
needs to know. Where they do not, the coin alone gets the new book and a new **epoch**; every other
goes on as if nothing had happened.

Within an epoch the **sequence** of a coin counts the blocks that changed its book, from 1 on; the
book at the start of the epoch is number 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from model.node.book import Flaw, Mismatch, Move, NodeBook, compare
from model.node.joiner import NodeBlock
from model.node.lines import Change, Diff, Stream
from model.node.sequence import Loss
from model.node.skim import RESTING
from model.node.snapshot import CoinOrders, Snapshot

DIFFS_KEPT: Final = 500_000
"""Diffs kept to bring a snapshot up to date: half a minute of a very busy day, an hour of a quiet
one. A node takes 10 to 30 seconds to write a snapshot.
"""

COINS_MAX: Final = 10_000
"""Coins that are followed. Lines that name still more are counted and skipped."""

ORDERS_MAX: Final = 2_000_000
"""Orders that rest in all books, some four times what the main network has. New ones beyond that
are left out, and put their coin in doubt.
"""


class Coin(Struct):
    """What is known of one coin. ``doubt`` is the bound of its losses, and why there is one."""

    name: str
    book: NodeBook
    epoch: int
    sequence: int = 0
    height: int = 0
    time_ms: int = 0
    doubt: int | None = None
    why: str = ""

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing of the book is known to be lost."""
        return self.doubt is None


class Fault(Struct, frozen=True):
    """A diff that did not fit, or a loss, as it is told to whoever keeps watch."""

    height: int
    coin: str
    what: str
    oid: int = 0

    @property
    def kind(self) -> str:
        """What it is, without what is different each time."""
        head, _, rest = self.what.partition(": ")
        return f"{head}: {rest.partition(': ')[0]}" if head in _STREAMS else head


class CoinChange(Struct):
    """What a block did to a coin's book; its state is that after the block."""

    coin: Coin
    diffs: list[Diff]
    moves: tuple[Move, ...]


class BlockChanges(Struct):
    """What a block did: ``doubted`` names the coins that were whole before it."""

    changes: list[CoinChange] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)


class Healing(Struct):
    """What a look at a snapshot did.

    ``reset`` are coins with a new book and epoch, with what gave them away; ``moves`` the levels
    that are different there now. ``confirmed`` were in doubt and are whole; ``doubtful`` still are
    in doubt, since the snapshot is too old for them.
    """

    height: int
    reset: dict[str, Mismatch | None] = field(default_factory=dict)
    moves: dict[str, tuple[Move, ...]] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)


class Coins:
    """All coins of a node. ``height`` is that of the last block; -1 before the first snapshot."""

    def __init__(self) -> None:
        self.height = -1
        self.time_ms = 0
        self.by_name: dict[str, Coin] = {}
        self.ignored = 0
        self._recent: deque[tuple[int, dict[str, list[Diff]]]] = deque()
        self._recent_diffs = 0
        self._recent_from = -1
        self._epochs = 0
        self._resting = 0
        self._all_doubt: tuple[int, str] | None = None

    def start(self, snapshot: Snapshot, height: int) -> None:
        """Begin with a snapshot of a height; blocks after it follow."""
        self.height = self._recent_from = height
        for name, orders in snapshot.coins.items():
            self._put(name, NodeBook(name, orders))

    def apply(self, block: NodeBlock) -> BlockChanges:
        """Take in a block."""
        self.height, self.time_ms = block.height, block.time_ms
        result = self.lose(block.losses)
        for problem in block.problems:
            if problem.stream is Stream.DIFFS:
                what = f"a diff cannot be read: {problem.detail}"
                loss = Loss(Stream.DIFFS, block.height, block.height, what, problem.coin)
                self._lose(loss, result)
        by_coin: dict[str, list[Diff]] = {}
        for diff in block.diffs:
            name = diff.coin
            diffs = by_coin.get(name)
            if diffs is None:
                by_coin[name] = [diff]
            else:
                diffs.append(diff)
        self._remember(block.height, by_coin)
        for name, diffs in by_coin.items():
            self._change(name, diffs, result)
        for status in block.statuses:
            if status.status in _RESTS:
                coin = self.by_name.get(status.order.coin)
                if coin is not None:
                    coin.book.enrich(status)
        return result

    def lose(self, losses: Iterable[Loss]) -> BlockChanges:
        """Take note of losses that no block came after."""
        result = BlockChanges()
        for loss in losses:
            self._lose(loss, result)
        return result

    def look_at(self, snapshot: Snapshot, height: int) -> Healing | None:
        """Compare with a snapshot of a height at once, and heal what differs.

        ``None`` as from ``comparison``.
        """
        comparison = self.comparison(snapshot, height)
        if comparison is not None:
            while comparison.step():
                pass
        return None if comparison is None else comparison.healing

    def comparison(self, snapshot: Snapshot, height: int) -> Comparison | None:
        """Begin to compare with a snapshot of a height, coin by coin.

        ``None`` if it cannot be brought up to date: it is of a block that is not there yet, or the
        diffs after it are not kept any more.
        """
        if not self._recent_from <= height <= self.height:
            return None
        return Comparison(self, snapshot, height)

    def diffs_after(self, height: int) -> dict[str, list[Diff]] | None:
        """Return the diffs after a height by coin; ``None`` if they are not all kept."""
        if height < self._recent_from:
            return None
        found: dict[str, list[Diff]] = {}
        for at, by_coin in reversed(self._recent):
            if at <= height:
                break
            for name, diffs in by_coin.items():
                found.setdefault(name, []).extend(reversed(diffs))
        for diffs in found.values():
            diffs.reverse()
        return found

    def in_doubt(self) -> list[str]:
        """Return the coins of which something may be lost."""
        return [name for name, coin in self.by_name.items() if not coin.is_whole]

    def _change(self, name: str, diffs: list[Diff], result: BlockChanges) -> None:
        coin = self.by_name.get(name)
        if coin is None:
            if len(self.by_name) >= COINS_MAX:
                self.ignored += 1
                return
            coin = self._put(name, NodeBook(name))
            if self._all_doubt is not None:
                coin.doubt, coin.why = self._all_doubt
        was_crossed, orders = coin.book.is_crossed(), len(coin.book)
        if self._resting + len(diffs) > ORDERS_MAX:
            kept = [diff for diff in diffs if diff.change is not Change.NEW]
            if len(kept) < len(diffs):
                self._doubt(coin, self.height, "more orders than can be kept", result)
            diffs = kept
        for diff in diffs:
            flaw = coin.book.apply(diff)
            if flaw is not None:
                self._doubt(coin, self.height, flaw.value, result, diff.oid)
        if coin.book.is_crossed() and not was_crossed:
            self._doubt(coin, self.height, Flaw.CROSSED.value, result)
        self._resting += len(coin.book) - orders
        coin.sequence += 1
        coin.height, coin.time_ms = self.height, self.time_ms
        result.changes.append(CoinChange(coin, diffs, coin.book.take_touched()))

    def _put(self, name: str, book: NodeBook) -> Coin:
        self._epochs += 1
        old = self.by_name.get(name)
        self._resting += len(book) - (0 if old is None else len(old.book))
        coin = self.by_name[name] = Coin(
            name, book, self._epochs, height=self.height, time_ms=self.time_ms
        )
        return coin

    def _lose(self, loss: Loss, result: BlockChanges) -> None:
        if loss.stream is not Stream.DIFFS:
            result.faults.append(Fault(loss.last, loss.coin, f"{loss.stream}: {loss.what}"))
            return
        last = loss.last
        concerned = self.by_name.values() if not loss.coin else self._named(loss.coin)
        for coin in concerned:
            self._doubt(coin, last, loss.what, result, is_told=bool(loss.coin))
        if not loss.coin:
            result.faults.append(Fault(loss.last, "", _span(loss)))
            bound = last if self._all_doubt is None else max(last, self._all_doubt[0])
            self._all_doubt = bound, loss.what

    def _named(self, name: str) -> Iterable[Coin]:
        coin = self.by_name.get(name)
        return () if coin is None else (coin,)

    def _doubt(
        self,
        coin: Coin,
        height: int,
        why: str,
        result: BlockChanges,
        oid: int = 0,
        *,
        is_told: bool = True,
    ) -> None:
        if coin.doubt is None:
            result.doubted.append(coin.name)
            coin.why = why
        coin.doubt = max(height, -1 if coin.doubt is None else coin.doubt)
        if is_told:
            result.faults.append(Fault(height, coin.name, why, oid))

    def _remember(self, height: int, by_coin: dict[str, list[Diff]]) -> None:
        if not by_coin:
            return  # a quiet node has no end of empty blocks
        self._recent.append((height, by_coin))
        self._recent_diffs += sum(map(len, by_coin.values()))
        while self._recent_diffs > DIFFS_KEPT and len(self._recent) > 1:
            self._recent_from, gone = self._recent.popleft()
            self._recent_diffs -= sum(map(len, gone.values()))

    def replace(self, name: str, book: NodeBook) -> tuple[Move, ...]:
        """Give a coin another book and a new epoch; return the levels that are different now."""
        old = self.by_name.get(name)
        moves = _difference(NodeBook(name) if old is None else old.book, book)
        if old is not None:
            book.learn_from(old.book)
        book.take_touched()
        self._put(name, book)
        return moves

    def end_doubt_of_all(self, height: int) -> None:
        """Coins that turn up from now on begin whole, if every loss was at or below a height."""
        if self._all_doubt is not None and self._all_doubt[0] <= height:
            self._all_doubt = None


class Comparison:
    """A look at a snapshot, one coin at a time, while blocks go on to be applied in between."""

    def __init__(self, coins: Coins, snapshot: Snapshot, height: int) -> None:
        self.healing = Healing(height)
        self._coins = coins
        self._snapshot = snapshot
        self._names = list({**coins.by_name, **snapshot.coins})
        self._known_to = height
        self._later: dict[str, list[Diff]] = {}

    def step(self) -> bool:
        """Look at the next coin; tell whether there are more."""
        if not self._names:
            self._coins.end_doubt_of_all(self.healing.height)
            return False
        if not self._bring_up_to_date():
            self.healing.doubtful += self._names
            self._names.clear()
            return False
        name = self._names.pop()
        self._look_at(name, self._snapshot.coins.pop(name, None))
        return True

    def _bring_up_to_date(self) -> bool:
        """Take in the diffs since the last step; false if there were too many to be kept."""
        coins = self._coins
        if self._known_to == coins.height:
            return True
        news = coins.diffs_after(self._known_to)
        if news is None:
            return False
        for name, diffs in news.items():
            self._later.setdefault(name, []).extend(diffs)
        self._known_to = coins.height
        return True

    def _look_at(self, name: str, orders: CoinOrders | None) -> None:
        healing, coin = self.healing, self._coins.by_name.get(name)
        if coin is not None and coin.doubt is not None and coin.doubt > healing.height:
            healing.doubtful.append(name)
            return
        book = NodeBook(name, orders)
        flaws = [book.apply(diff) for diff in self._later.get(name, ())]
        if any(flaws):
            healing.doubtful.append(name)  # the diffs after the snapshot do not fit it
            return
        difference = None if coin is None else compare(coin.book, book)
        if coin is None or difference is not None:
            healing.moves[name] = self._coins.replace(name, book)
            healing.reset[name] = difference
        elif coin.doubt is not None:
            coin.doubt, coin.why = None, ""
            healing.confirmed.append(name)


def _difference(old: NodeBook, new: NodeBook) -> tuple[Move, ...]:
    moves = []
    for before, after in ((old.bids, new.bids), (old.asks, new.asks)):
        for key in {**before.levels, **after.levels}:
            level = after.levels.get(key, [0, 0])
            if before.levels.get(key) != level:
                moves.append(Move(before.sign > 0, abs(key), level[0], level[1]))
    return tuple(moves)


_STREAMS: Final = frozenset(map(str, Stream))

_RESTS: Final = frozenset(RESTING)


def _span(loss: Loss) -> str:
    if loss.first == loss.last:
        return f"{loss.what}: {loss.first}"
    return f"{loss.what}: {loss.first} to {loss.last}"
