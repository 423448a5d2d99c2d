"""A coin of a node as readers of the public API see it: book by level, trades, candles, numbers.

A node's files hold no oracle and no funding, so the mark price shown is the mid of the book, or the
last trade where a side is empty. Volumes begin with the first block that was read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, field

from model.ids import AssetId
from model.node.book import Move, NodeBook
from model.node.feed import set_level
from model.node.joiner import Late, NodeBlock
from model.node.lines import Fill
from model.views.candles import INTERVALS, CandleFold
from model.views.depth import BookSide, Changes, Level, Levels, aggregate
from model.views.records import Candle

RECENT_TRADES_MAX: Final = 100
LEGS_WAITING_MAX: Final = 1_000
"""Single sides of a match, of all coins, that wait for the other one."""


class NodeTrade(Struct, frozen=True, gc=False):
    """A match as everyone sees it: one print, the side of the aggressor, buyer and seller."""

    coin: str
    taker_is_buy: bool
    price: int
    size: int
    time_ms: int
    height: int
    tid: int
    hash: str
    buyer: str
    seller: str


class NodeCoinState(Struct, frozen=True):
    """A coin at a height: levels of both sides, best first."""

    asset: AssetId
    coin: str
    bids: Levels
    asks: Levels


class CoinNews(Struct, frozen=True):
    """What one block means to one coin: levels that changed, and trades."""

    asset: AssetId
    moves: tuple[Move, ...] = ()
    trades: tuple[NodeTrade, ...] = ()


class NodeContext(Struct, frozen=True):
    """The numbers of a coin. ``twice_mid`` is ``None`` where a side is empty."""

    mark: int
    twice_mid: int | None
    day_size: int


class NodeChanges(Struct, frozen=True):
    """What one block did to a coin's view."""

    book: Changes
    trades: tuple[NodeTrade, ...]
    closed: tuple[Candle, ...]


class NodeBookView:
    """The book of one coin by level."""

    __slots__ = ("asks", "bids")

    def __init__(self, state: NodeCoinState) -> None:
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        for side, levels in ((self.bids, state.bids), (self.asks, state.asks)):
            for level in levels:
                set_level(side, level.price, level.lots, level.count)
        self.take_changes()

    def move(self, moves: Iterable[Move]) -> None:
        """Set the levels that changed."""
        for move in moves:
            side = self.bids if move.is_bid else self.asks
            set_level(side, move.price, move.size, move.count)

    def take_changes(self) -> Changes:
        """Tell what changed since this was last asked."""
        if not (self.bids.changed or self.asks.changed):
            return Changes(False, False, False)
        best_bid, bids = self.bids.look()
        best_ask, asks = self.asks.look()
        return Changes(best_bid or best_ask, bids or asks, True)

    def aggregated(self, n_sig_figs: int, mantissa: int = 1) -> tuple[Levels, Levels]:
        """Return bids and asks in buckets of so many significant figures, each best first."""
        return (
            aggregate(self.bids, n_sig_figs, mantissa),
            aggregate(self.asks, n_sig_figs, mantissa),
        )


class NodeMarketView:
    """One coin, followed block by block."""

    def __init__(self, state: NodeCoinState, time_ms: int) -> None:
        self.asset = state.asset
        self.coin = state.coin
        self.book = NodeBookView(state)
        self.trades: deque[NodeTrade] = deque(maxlen=RECENT_TRADES_MAX)
        self.candles = {name: CandleFold(name) for name in INTERVALS}
        self.time_ms = time_ms
        self.last = 0
        self._day_size = 0

    def apply(
        self, height: int, time_ms: int, events: Iterable[tuple[int, CoinNews]]
    ) -> NodeChanges:
        """Take in one block's news of this coin."""
        self.time_ms = max(self.time_ms, time_ms)
        ended = [fold.close(time_ms) for fold in self.candles.values()]
        trades: list[NodeTrade] = []
        for _, news in events:
            self.book.move(news.moves)
            trades += news.trades
        if trades:
            self._trade(trades)
        closed = tuple(candle for candle in ended if candle is not None)
        return NodeChanges(self.book.take_changes(), tuple(trades), closed)

    def forming(self, interval: str) -> Candle | None:
        """Return the forming candle of an interval, or the last one if nothing was traded since."""
        return self.candles[interval].latest

    def context(self) -> NodeContext:
        """Return the numbers of the coin."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        twice_mid = None if bid is None or ask is None else bid.price + ask.price
        mark = self.last if twice_mid is None else twice_mid // 2
        return NodeContext(mark, twice_mid, self._day_size)

    def _trade(self, trades: Sequence[NodeTrade]) -> None:
        self.trades.extend(trades)
        self.last = trades[-1].price
        for trade in trades:
            self._day_size += trade.size
            part = Candle(
                self.asset,
                "1m",
                trade.time_ms,
                trade.price,
                trade.price,
                trade.price,
                trade.price,
                trade.size,
                trade.size * trade.price,
                1,
            )
            for fold in self.candles.values():
                fold.add(part, trade.time_ms)


class TradePairs(Struct):
    """Puts the two sides of each match together, which may stand in different lines.

    Sides that stay alone, as those of outcome tokens may, are let go when too many wait.
    """

    single: int = 0
    _legs: dict[tuple[str, int], Fill] = field(default_factory=dict)

    def take(self, block: NodeBlock | Late) -> list[NodeTrade]:
        """Return the matches that are complete with a block."""
        trades = []
        for fill in block.fills:
            key = fill.body.coin, fill.body.tid
            other = self._legs.pop(key, None)
            if other is None:
                self._legs[key] = fill
                if len(self._legs) > LEGS_WAITING_MAX:
                    del self._legs[next(iter(self._legs))]
                    self.single += 1
            elif fill.is_buy != other.is_buy:
                trades.append(_trade(block, fill, other))
            else:
                self.single += 2
        return trades


def state_of(asset: AssetId, book: NodeBook) -> NodeCoinState:
    """Return what a view of a book starts from."""
    return NodeCoinState(asset, book.coin, _levels(book.bids), _levels(book.asks))


def _levels(side: BookSide) -> tuple[Level, ...]:
    return tuple(side)


def _trade(block: NodeBlock | Late, one: Fill, other: Fill) -> NodeTrade:
    buy, sell = (one, other) if one.is_buy else (other, one)
    taker = buy if buy.body.crossed else sell
    return NodeTrade(
        taker.body.coin,
        taker.is_buy,
        taker.price,
        taker.size,
        taker.body.time,
        block.height,
        taker.body.tid,
        taker.body.hash,
        buy.user,
        sell.user,
    )
