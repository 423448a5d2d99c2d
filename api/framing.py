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
    AllDexsState,
    ClearinghouseState,
    SpotStateFrame,
    active_asset_data,
    clearinghouse_frame,
    clearinghouse_state,
    spot_state,
)
from api.wire.book import BookEncoder
from api.wire.fills import (
    SliceEvents,
    cancel_events,
    fill_events,
    slice_fills,
    slice_fills_frame,
    user_fills,
)
from api.wire.frames import MAIN_DEX, Notification, frame, frame_of
from api.wire.funding import FundingEvent, flat_funding, fundings_frame
from api.wire.ledger import ledger_frame, liquidation_event
from api.wire.market import (
    ActiveSpotContext,
    AllDexsContexts,
    AssetContexts,
    PerpContext,
    SpotContext,
    active_asset_context,
    all_mids,
    asset_contexts,
    candle,
    mid_text,
    spot_context,
    trades,
)
from api.wire.metadata import meta
from api.wire.orders import frontend_orders, open_orders, order_history, order_updates
from api.wire.overview import Markets, Owner, WebData, web_data, web_data_3
from api.wire.twaps import (
    TwapEvents,
    TwapStates,
    twap_history,
    twap_history_frame,
    twap_states,
)
from model.ids import BACKSTOP, AssetId
from model.instruments import Instrument
from model.universe import Universe
from model.views.account import AccountView
from model.views.market import MarketContext, MarketView
from model.views.money import LIQUIDATION
from model.views.news import News
from model.views.records import Candle, LedgerRecord, OrderRecord, TradeRecord
from model.views.summary import asset_summary, summarize

BOOK_ENCODERS_MAX: Final = 16
"""Variants of one book whose level texts are kept: more than there are aggregations."""

_USER_EVENTS: Final = "user"


@define(eq=False)
class MarketWire:
    """Frames of one market."""

    instrument: Instrument
    directory: Directory
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
        """Encode the market's context numbers; those of a pair have a channel of their own."""
        base = self.instrument.base
        if base is None:
            data = active_asset_context(view.context(), self.instrument)
            return Frame(frame("activeAssetCtx", data))
        shown = spot_context(view.context(), self.instrument, self.directory.supply[base])
        return Frame(frame("activeSpotAssetCtx", ActiveSpotContext(self.instrument.name, shown)))

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

    def user_events(self, news: News) -> list[Frame]:
        """Encode what an account should hear of, with a frame for each kind of it."""
        universe = self.universe
        told: list[object] = []
        if news.fills:
            told.append(fill_events(news.fills, universe))
            if slices := slice_fills(news.fills, universe):
                told.append(SliceEvents(slices))
        told += [FundingEvent(flat_funding(paid, universe)) for paid in news.fundings]
        told += [liquidation_event(entry, BACKSTOP) for entry in liquidations(news.ledger)]
        canceled = cancel_events(news.orders, universe)
        if canceled is not None:
            told.append(canceled)
        if news.twaps:
            told.append(TwapEvents(twap_history(news.twaps, universe)))
        return [Frame(frame(_USER_EVENTS, data)) for data in told]

    def notifications(self, news: News) -> list[Frame]:
        """Encode what a person should read: that the account was liquidated."""
        return [
            Frame(frame("notification", Notification(liquidation_text(entry, self.universe))))
            for entry in liquidations(news.ledger)
        ]

    def entries(
        self, view: AccountView, channel: Channel, news: News, *, is_snapshot: bool
    ) -> Frame | None:
        """Encode what a list channel adds; fills and orders of a snapshot stand newest first."""
        user, universe = view.address, self.universe
        records: Sequence[object]
        match channel.kind:
            case "userFills":
                records = shown = news.fills[::-1] if is_snapshot else news.fills
                data: object = user_fills(
                    user,
                    shown,
                    universe,
                    is_snapshot=is_snapshot,
                    by_time=channel.aggregate_by_time,
                )
            case "userFundings":
                records = news.fundings
                data = fundings_frame(user, news.fundings, universe, is_snapshot=is_snapshot)
            case "userNonFundingLedgerUpdates":
                records = news.ledger
                data = ledger_frame(user, news.ledger, universe, is_snapshot=is_snapshot)
            case "userHistoricalOrders":
                records = orders = news.orders[::-1] if is_snapshot else news.orders
                data = order_history(user, orders, universe, is_snapshot=is_snapshot)
            case "userTwapSliceFills":
                records = slices = [fill for fill in news.fills if fill.twap_id is not None]
                data = slice_fills_frame(user, slices, universe, is_snapshot=is_snapshot)
            case "userTwapHistory":
                records = news.twaps
                data = twap_history_frame(user, news.twaps, universe, is_snapshot=is_snapshot)
            case _:
                return None
        return Frame(frame(channel.kind, data)) if records or is_snapshot else None

    def state(self, view: AccountView, channel: Channel) -> Frame | None:
        """Encode what a state channel shows now."""
        user, universe = view.address, self.universe
        match channel.kind:
            case "openOrders":
                data: object = open_orders(user, view.open_orders.records(), universe)
            case "clearinghouseState":
                data = clearinghouse_frame(user, self.account_state(view))
            case "allDexsClearinghouseState":
                data = AllDexsState(user, ((MAIN_DEX, self.account_state(view)),))
            case "activeAssetData":
                instrument = universe.by_name.get(channel.coin or "")
                if instrument is None or instrument.is_spot:
                    return None
                summary = asset_summary(view, instrument.asset, self.board.marks())
                data = active_asset_data(user, summary, instrument)
            case "spotState":
                data = SpotStateFrame(user, spot_state(view.purse.balances(), universe))
            case "twapStates":
                data = TwapStates(MAIN_DEX, user, twap_states(view.running, universe))
            case "webData2":
                data = self.web_data(view)
            case "webData3":
                data = web_data_3(self._owner(view), time_ms=self.directory.time_ms)
            case _:
                return None
        return Frame(frame(channel.kind, data))

    def account_state(self, view: AccountView) -> ClearinghouseState:
        """Return an account's money and positions at the marks of now."""
        summary = summarize(view, self.universe, self.board.marks())
        return clearinghouse_state(summary, self.universe, time_ms=self.directory.time_ms)

    def _owner(self, view: AccountView) -> Owner:
        agents = view.agents(self.directory.time_ms)
        return Owner(view.address, agents, view.paid_in)

    def web_data(self, view: AccountView) -> WebData:
        """Return the overview of an account at the marks of now."""
        perps = self.board.perps()
        instruments = self.universe.perps[: len(perps)]
        contexts = asset_contexts(instruments, perps)
        return web_data(
            self._owner(view),
            Markets(meta(instruments), contexts, spot_contexts(self.directory, self.board)),
            state=self.account_state(view),
            open_orders=frontend_orders(view.open_orders.records(), self.universe),
            twaps=twap_states(view.running, self.universe),
            spot=spot_state(view.purse.balances(), self.universe),
        )


@define(eq=False)
class TickerWire:
    """Frames of the ticker."""

    directory: Directory

    def all_mids(self, contexts: Mapping[AssetId, MarketContext]) -> Frame:
        """Encode the mid price of every market."""
        return Frame(frame("allMids", all_mids(mids(self.directory.universe, contexts))))

    def contexts(self, channel: Channel, board: Board) -> Frame | None:
        """Encode what a channel shows of all contexts."""
        match channel.kind:
            case "assetCtxs":
                data: object = AssetContexts(MAIN_DEX, perp_contexts(self.directory, board))
            case "allDexsAssetCtxs":
                data = AllDexsContexts(((MAIN_DEX, perp_contexts(self.directory, board)),))
            case "spotAssetCtxs":
                data = spot_contexts(self.directory, board)
            case _:
                return None
        return Frame(frame(channel.kind, data))


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
            wire = self._markets[instrument.asset] = MarketWire(instrument, self.directory)
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


def perp_contexts(directory: Directory, board: Board) -> tuple[PerpContext, ...]:
    """Return the contexts of all perpetuals that have shown their numbers."""
    contexts = board.perps()
    return asset_contexts(directory.universe.perps[: len(contexts)], contexts)


def spot_contexts(directory: Directory, board: Board) -> tuple[SpotContext, ...]:
    """Return the contexts of all pairs that have shown their numbers."""
    contexts = board.pairs()
    pairs = directory.universe.pairs[: len(contexts)]
    return tuple(
        spot_context(context, pair, 0 if pair.base is None else directory.supply[pair.base])
        for pair, context in zip(pairs, contexts, strict=True)
    )


def liquidations(entries: Sequence[LedgerRecord]) -> list[LedgerRecord]:
    """Return those entries of a ledger that are liquidations."""
    return [entry for entry in entries if entry.kind == LIQUIDATION]


def liquidation_text(entry: LedgerRecord, universe: Universe) -> str:
    """Return the words that tell the owner of a liquidated account."""
    coins = ", ".join(universe[asset].name for asset, _ in entry.positions)
    return (
        f"Your {'cross' if entry.is_cross else 'isolated'} margin was too low: {coins} liquidated"
    )
