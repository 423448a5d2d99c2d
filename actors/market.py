"""Market actors: one for each market, owner of its book view, trades, candles and context.

A market takes the parts of blocks that concern it, and at the end of each batch publishes what
changed: trades and the best bid and ask at once, the book, candles and context at most every so
often. It encodes a frame only where somebody subscribed to it, and once for all who did.

If it falls, its supervisor builds it anew from the source; its subscribers are in a table that
outlives it. They are sent a snapshot of every state they follow, and the trades they missed. Where
the market no longer remembers all of those, their connections are closed rather than left with a
gap.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

import trio
from attrs import Factory, define, field, frozen

from actors.carried import HISTORY, Role, inside
from actors.channels import Channel, Channels, Shown, Subscribe
from actors.errors import LostPartError
from actors.fanout import Cork, publish
from actors.frames import Frame
from actors.router import Attach, BlockPart
from actors.source import At, Source, answer_read
from actors.subscription import Ended, Subscription
from actors.throttle import Throttle
from actors.ticker import Board
from model.ids import AssetId
from model.state import MarketState
from model.views.market import MarketView
from model.views.records import Candle, TradeRecord
from supervision import Actor, Envelope, InHand
from supervision import Address as ActorAddress

BOOK_SECONDS: Final = 0.2
"""Shortest time between two frames of a book; the best bid and ask come with every block."""
BOOK_REPEAT_SECONDS: Final = 5.0
"""A quiet book is shown again after this long, so that a client can tell quiet from dead."""
CANDLE_SECONDS: Final = 0.5
CONTEXT_SECONDS: Final = 1.0
RECENT_TRADES_MAX: Final = 30
"""Trades that a new subscriber is shown."""

_TRADES: Final = Channel("trades")
_BBO: Final = Channel("bbo")
_CONTEXT: Final = Channel("activeAssetCtx")


class MarketFrames(Protocol):
    """How a market's news looks on the wire. Every method encodes one frame."""

    def trades(self, trades: Sequence[TradeRecord]) -> Frame:
        """Encode trades, oldest first; never none."""
        ...

    def bbo(self, view: MarketView) -> Frame:
        """Encode the best bid and ask."""
        ...

    def book(self, view: MarketView, n_sig_figs: int | None, mantissa: int | None) -> Frame:
        """Encode the top of the book at an aggregation."""
        ...

    def candle(self, candle: Candle) -> Frame:
        """Encode a candle, forming or closed."""
        ...

    def context(self, view: MarketView) -> Frame:
        """Encode the market's context numbers."""
        ...


@frozen
class ReadMarketView:
    """Ask for the result of a pure function of the market's view."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    read: Callable[[MarketView], Any]


@define
class Market(Actor):
    """The actor described above.

    Args:
        open_view: makes the view of a state, with the trades and candles of the time before it.
        board: is shown the context numbers whenever they change.
    """

    asset: AssetId
    source: Source
    router: ActorAddress
    open_view: Callable[[At[MarketState]], Awaitable[MarketView]]
    frames: MarketFrames
    channels: Channels
    board: Board
    view: MarketView = field(init=False)
    _height: int = field(init=False, default=0)
    _book: Throttle = Factory(lambda: Throttle(BOOK_SECONDS, BOOK_REPEAT_SECONDS))
    _candles: Throttle = Factory(lambda: Throttle(CANDLE_SECONDS))
    _context: Throttle = Factory(lambda: Throttle(CONTEXT_SECONDS))
    _trades: list[TradeRecord] = Factory(list)
    _closed: list[Candle] = Factory(list)
    _best_changed: bool = field(init=False, default=False)
    _shown: bool = field(init=False, default=True)

    async def init(self) -> None:
        """Attach, take the state, and greet whoever is subscribed already."""
        await self.router.ask(Attach(self.asset, self.context.address))
        at = await self.source.market(self.asset)
        with inside("read history", Role.CLIENT, HISTORY):
            self.view = await self.open_view(at)
        self._height = at.height
        self.board.show(self.asset, self.view.context())
        self._greet_all()
        self._note_shown()
        self._set_timer()

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Apply all parts, then publish once."""
        for envelope in batch:
            match envelope.message:
                case BlockPart() as part:
                    self._apply(part)
                case ReadMarketView(read):
                    answer_read(envelope, read, self.view)
                case Subscribe(channel, subscription):
                    self._subscribe(channel, subscription)
                case _:
                    pass  # the timer: what is due is published below
        self._publish()

    # -- parts of blocks

    def _apply(self, part: BlockPart) -> None:
        if part.height <= self._height:
            return
        if part.previous > self._height:
            raise LostPartError(f"at height {self._height}, but {part.previous} was sent before")
        changes = self.view.apply(part.height, part.time_ms, part.events)
        self._height = part.height
        self._trades += changes.trades
        self._best_changed |= changes.book.best
        if changes.book.any:
            self._book.change()
        if changes.trades:
            self._candles.change()
        self._closed += changes.closed
        self._context.change()
        self._shown = False

    # -- publication

    def _publish(self) -> None:
        if not self._shown:
            self._shown = True
            self.board.show(self.asset, self.view.context())
        with Cork() as cork:
            self._publish_news(cork)
            self._publish_throttled(cork)
        self._set_timer()

    def _publish_news(self, cork: Cork) -> None:
        """Publish what has happened since the last time and may not wait."""
        trades, self._trades = self._trades, []
        closed, self._closed = self._closed, []
        best_changed, self._best_changed = self._best_changed, False
        channels = self.channels
        if trades and (subscribers := channels.of(_TRADES)):
            cork.publish(subscribers, self.frames.trades(trades))
        if best_changed and (subscribers := channels.of(_BBO)):
            cork.publish(subscribers, self.frames.bbo(self.view))
        for candle in closed:
            if subscribers := channels.of(Channel("candle", interval=candle.interval)):
                cork.publish(subscribers, self.frames.candle(candle))
        self._note_shown()

    def _note_shown(self) -> None:
        shown = self.channels.shown
        if shown is None or shown.height != self._height:
            self.channels.shown = Shown(self._height, self.view.time_ms)

    def _publish_throttled(self, cork: Cork) -> None:
        now = trio.current_time()
        channels = self.channels
        if channels.of_kind("l2Book") and self._book.is_due(now):
            for channel in channels.of_kind("l2Book"):
                cork.publish(channels.of(channel), self._book_frame(channel))
        if channels.of_kind("candle") and self._candles.is_due(now):
            for channel in channels.of_kind("candle"):
                assert channel.interval is not None
                forming = self.view.forming(channel.interval)
                if forming is not None:
                    cork.publish(channels.of(channel), self.frames.candle(forming))
        if channels.of_kind(_CONTEXT.kind) and self._context.is_due(now):
            cork.publish(channels.of(_CONTEXT), self.frames.context(self.view))

    def _set_timer(self) -> None:
        """Come back when the next throttled frame is due."""
        kinds = (("l2Book", self._book), ("candle", self._candles), (_CONTEXT.kind, self._context))
        now = trio.current_time()
        wait = min(
            (throttle.wait_seconds(now) for kind, throttle in kinds if self.channels.of_kind(kind)),
            default=float("inf"),
        )
        if wait != float("inf"):
            self.context.set_timer("publish", wait, None)

    def _book_frame(self, channel: Channel) -> Frame:
        return self.frames.book(self.view, channel.n_sig_figs, channel.mantissa)

    # -- subscribers

    def _subscribe(self, channel: Channel, subscription: Subscription) -> None:
        with Cork() as cork:
            self._publish_news(cork)  # the newcomer finds it in its snapshot
        if self.channels.add(channel, subscription):
            frame = self._snapshot(channel)
            if frame is not None:
                publish([subscription], frame)

    def _greet_all(self) -> None:
        """Show those who followed the last incarnation where this one stands."""
        self.channels.epoch += 1
        for channel in self.channels:
            if channel == _TRADES:
                self._show_missed_trades()
            elif (frame := self._snapshot(channel)) is not None:
                publish(list(self.channels.of(channel)), frame)

    def _show_missed_trades(self) -> None:
        shown, known = self.channels.shown, self.view.trades
        missed = [trade for trade in known if shown is None or trade.height > shown.height]
        if len(missed) == known.maxlen:
            self.channels.end_all(Ended.CRASHED, (_TRADES.kind,))
        elif missed:
            publish(list(self.channels.of(_TRADES)), self.frames.trades(missed))

    def _snapshot(self, channel: Channel) -> Frame | None:
        match channel.kind:
            case "trades":
                recent = list(self.view.trades)[-RECENT_TRADES_MAX:]
                return self.frames.trades(recent) if recent else None
            case "bbo":
                return self.frames.bbo(self.view)
            case "l2Book":
                return self._book_frame(channel)
            case "candle":
                assert channel.interval is not None
                forming = self.view.forming(channel.interval)
                return None if forming is None else self.frames.candle(forming)
            case "activeAssetCtx":
                return self.frames.context(self.view)
            case _:
                return None
