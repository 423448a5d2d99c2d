"""How the news of markets and accounts looks on the wire: the one place where views become frames.

Actors publish bytes and do not know JSON; they are given this. A book keeps the texts of its levels
between two frames, one encoder for each variant that somebody follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import define, field

from actors.channels import Channel
from actors.frames import Frame
from actors.router import Directory
from actors.ticker import Board
from api.wire.account import (
    ClearinghouseState,
    active_asset_data,
    clearinghouse_frame,
    clearinghouse_state,
)
from api.wire.book import BookEncoder
from api.wire.fills import cancel_events, fill_events, user_fills
from api.wire.frames import frame, frame_of
from api.wire.ledger import fundings_frame, ledger_frame
from api.wire.market import (
    active_asset_context,
    all_mids,
    asset_contexts,
    candle,
    mid_text,
    trades,
)
from api.wire.metadata import meta
from api.wire.orders import frontend_orders, open_orders, order_updates
from api.wire.overview import WebData, paid_in, web_data
from model.ids import AssetId
from model.instruments import Instrument
from model.universe import Universe
from model.views.account import AccountView
from model.views.market import MarketContext, MarketView
from model.views.records import Candle, Fill, LedgerRecord, OrderRecord, TradeRecord
from model.views.summary import asset_summary, summarize

BOOK_ENCODERS_MAX: Final = 16
"""Variants of one book whose level texts are kept: more than there are aggregations."""

_USER_EVENTS: Final = "user"


@define(eq=False)
class MarketWire:
    """Frames of one market."""

    instrument: Instrument
    _books: dict[tuple[int | None, int | None], BookEncoder] = field(init=False, factory=dict)

    def trades(self, records: Sequence[TradeRecord]) -> Frame:
        """Encode trades, oldest first."""
        return Frame(frame("trades", trades(records, self.instrument)))

    def bbo(self, view: MarketView) -> Frame:
        """Encode the best bid and ask."""
        book = view.book
        best = self._encoder(None, None).bbo(
            book.bids.best(), book.asks.best(), time_ms=view.time_ms
        )
        return Frame(frame_of("bbo", best))

    def book(self, view: MarketView, n_sig_figs: int | None, mantissa: int | None) -> Frame:
        """Encode the top of the book at an aggregation."""
        return Frame(frame_of("l2Book", self.book_data(view, n_sig_figs, mantissa)))

    def book_data(self, view: MarketView, n_sig_figs: int | None, mantissa: int | None) -> bytes:
        """Encode the book as the info request is answered."""
        book = view.book
        if n_sig_figs is None:
            bids, asks = book.bids.top(), book.asks.top()
        else:
            bids, asks = book.aggregated(n_sig_figs, mantissa or 1)
        return self._encoder(n_sig_figs, mantissa).encode(
            bids, asks, time_ms=view.time_ms, with_spread=n_sig_figs is not None
        )

    def candle(self, record: Candle) -> Frame:
        """Encode a candle, forming or closed."""
        return Frame(frame("candle", candle(record, self.instrument)))

    def context(self, view: MarketView) -> Frame:
        """Encode the market's context numbers."""
        data = active_asset_context(view.context(), self.instrument)
        return Frame(frame("activeAssetCtx", data))

    def _encoder(self, n_sig_figs: int | None, mantissa: int | None) -> BookEncoder:
        variant = n_sig_figs, mantissa
        encoder = self._books.get(variant)
        if encoder is None:
            if len(self._books) >= BOOK_ENCODERS_MAX:
                self._books.clear()
            encoder = self._books[variant] = BookEncoder(self.instrument)
        return encoder


@define(eq=False)
class AccountWire:
    """Frames of accounts, at the marks that the board shows."""

    directory: Directory
    board: Board

    @property
    def universe(self) -> Universe:
        """All markets and tokens."""
        return self.directory.universe

    def order_updates(self, orders: Sequence[OrderRecord]) -> Frame:
        """Encode changes of order status, oldest first."""
        return Frame(frame("orderUpdates", order_updates(orders, self.universe)))

    def user_events(self, fills: Sequence[Fill], orders: Sequence[OrderRecord]) -> list[Frame]:
        """Encode fills, and cancels that the user did not ask for; a frame for each kind."""
        frames = []
        if fills:
            frames.append(Frame(frame(_USER_EVENTS, fill_events(fills, self.universe))))
        canceled = cancel_events(orders, self.universe)
        if canceled is not None:
            frames.append(Frame(frame(_USER_EVENTS, canceled)))
        return frames

    def user_fills(
        self, view: AccountView, fills: Sequence[Fill], *, aggregate: bool, is_snapshot: bool
    ) -> Frame:
        """Encode fills: all that are remembered, newest first, or the latest ones."""
        shown = fills[::-1] if is_snapshot else fills
        data = user_fills(
            view.address, shown, self.universe, is_snapshot=is_snapshot, by_time=aggregate
        )
        return Frame(frame("userFills", data))

    def ledger_updates(
        self, view: AccountView, entries: Sequence[LedgerRecord], *, is_snapshot: bool
    ) -> Frame:
        """Encode movements of money other than by trading."""
        data = ledger_frame(view.address, entries, is_snapshot=is_snapshot)
        return Frame(frame("userNonFundingLedgerUpdates", data))

    def state(self, view: AccountView, channel: Channel) -> Frame | None:
        """Encode what a state channel shows now."""
        match channel.kind:
            case "openOrders":
                data: object = open_orders(view.address, view.open_orders, self.universe)
            case "clearinghouseState":
                data = clearinghouse_frame(view.address, self.account_state(view))
            case "activeAssetData":
                instrument = self.directory.universe.by_name.get(channel.coin or "")
                if instrument is None:
                    return None
                summary = asset_summary(view, instrument.asset, self.board.marks())
                data = active_asset_data(view.address, summary, instrument)
            case "webData2":
                data = self._web_data(view)
            case "userFundings":
                data = fundings_frame(view.address)
            case _:
                return None
        return Frame(frame(channel.kind, data))

    def account_state(self, view: AccountView) -> ClearinghouseState:
        """Return an account's money and positions at the marks of now."""
        summary = summarize(view, self.universe, self.board.marks())
        return clearinghouse_state(summary, self.universe, time_ms=self.directory.time_ms)

    def _web_data(self, view: AccountView) -> WebData:
        contexts = self.board.in_order()
        instruments = self.universe.perps[: len(contexts)]
        return web_data(
            view.address,
            state=self.account_state(view),
            open_orders=frontend_orders(view.open_orders, self.universe),
            agents=view.agents(self.directory.time_ms),
            paid_in=paid_in(list(view.ledger)),
            meta=meta(instruments),
            contexts=asset_contexts(instruments, contexts),
        )


@define(eq=False)
class TickerWire:
    """Frames of the ticker."""

    directory: Directory

    def all_mids(self, contexts: Mapping[AssetId, MarketContext]) -> Frame:
        """Encode the mid price of every market."""
        return Frame(frame("allMids", all_mids(mids(self.directory.universe, contexts))))


@define(eq=False)
class Wires:
    """The wires of one gateway: streams and answers about one subject share what they encode."""

    directory: Directory
    board: Board
    accounts: AccountWire = field(init=False)
    ticker: TickerWire = field(init=False)
    _markets: dict[AssetId, MarketWire] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.accounts = AccountWire(self.directory, self.board)
        self.ticker = TickerWire(self.directory)

    def market(self, instrument: Instrument) -> MarketWire:
        """Return the wire of a market."""
        wire = self._markets.get(instrument.asset)
        if wire is None or wire.instrument != instrument:
            wire = self._markets[instrument.asset] = MarketWire(instrument)
        return wire


def mids(
    instruments: Iterable[Instrument], contexts: Mapping[AssetId, MarketContext]
) -> dict[str, str]:
    """Return the mid of every market that has shown its numbers, by name."""
    return {
        instrument.name: mid_text(contexts[instrument.asset], instrument)
        for instrument in instruments
        if instrument.asset in contexts
    }
