"""How a node's coins look on the wire: the shapes of the public API, the node's own decimals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field

from actors.channels import Channel
from actors.frames import Frame
from actors.node.feeds import frame_of
from actors.ticker import Board
from api.wire.book import BookEncoder
from api.wire.frames import frame_of as frame_of_data
from model.ids import AssetId
from model.instruments import Instrument
from model.node.decimals import DECIMALS, decimal_text
from model.node.views import NodeContext, NodeMarketView, NodeTrade
from model.views.candles import interval_end
from model.views.records import Candle

BOOK_ENCODERS_MAX: Final = 16


class NodeInstrument(Instrument, frozen=True, array_like=True):
    """A coin whose grid is not known: prices and sizes are integers of 1e-8."""

    @property
    def price_decimals(self) -> int:
        """Decimals of a price."""
        return DECIMALS


def node_instrument(asset: AssetId, coin: str) -> NodeInstrument:
    """Return a coin as encoders want it; only its name and decimals mean anything."""
    return NodeInstrument(asset, coin, DECIMALS, 1, 0)


@define(eq=False)
class NodeMarketWire:
    """Frames of one coin."""

    instrument: NodeInstrument
    _books: dict[tuple[int | None, int | None], BookEncoder] = field(init=False, factory=dict)

    def trades(self, records: Sequence[NodeTrade]) -> Frame:
        """Encode trades, oldest first."""
        return frame_of("trades", trades(records))

    def bbo(self, view: NodeMarketView) -> Frame:
        """Encode the best bid and ask."""
        bids, asks = view.book.bids, view.book.asks
        best = self._encoder(None, None).bbo(bids.best(), asks.best(), time_ms=view.time_ms)
        return Frame(frame_of_data("bbo", best))

    def book(self, view: NodeMarketView, n_sig_figs: int | None, mantissa: int | None) -> Frame:
        """Encode the top of the book at an aggregation."""
        return Frame(frame_of_data("l2Book", self.book_data(view, n_sig_figs, mantissa)))

    def book_data(
        self, view: NodeMarketView, n_sig_figs: int | None, mantissa: int | None
    ) -> bytes:
        """Encode the book as the info request is answered."""
        if n_sig_figs is None:
            bids, asks = view.book.bids.top(), view.book.asks.top()
        else:
            bids, asks = view.book.aggregated(n_sig_figs, mantissa or 1)
        encoder = self._encoder(n_sig_figs, mantissa)
        return encoder.encode(bids, asks, time_ms=view.time_ms, with_spread=n_sig_figs is not None)

    def candle(self, record: Candle) -> Frame:
        """Encode a candle, forming or closed."""
        return frame_of("candle", candle(record, self.instrument.name))

    def context(self, view: NodeMarketView) -> Frame:
        """Encode the coin's numbers."""
        return frame_of("activeAssetCtx", {"coin": view.coin, "ctx": context_shape(view.context())})

    def _encoder(self, n_sig_figs: int | None, mantissa: int | None) -> BookEncoder:
        variant = n_sig_figs, mantissa
        encoder = self._books.get(variant)
        if encoder is None:
            if len(self._books) >= BOOK_ENCODERS_MAX:
                self._books.clear()
            encoder = self._books[variant] = BookEncoder(self.instrument)
        return encoder


@define(eq=False)
class NodeTickerWire:
    """Frames of the ticker: mids of all coins by name."""

    coins: Sequence[str]

    def all_mids(self, contexts: Mapping[AssetId, Any]) -> Frame:
        """Encode the mid price of every coin that has one."""
        return frame_of("allMids", {"mids": mids(self.coins, contexts)})

    def contexts(self, channel: Channel, board: Board) -> Frame | None:
        """Encode nothing: a node's files hold no contexts of all markets."""
        return None


def mids(coins: Sequence[str], contexts: Mapping[AssetId, NodeContext]) -> dict[str, str]:
    """Return the mid of every coin, or its last trade; without either it is left out."""
    return {
        coins[asset]: mid_text(context)
        for asset, context in contexts.items()
        if context.mark or context.twice_mid
    }


def mid_text(context: NodeContext) -> str:
    """Return a mid, which may have one decimal more than its prices."""
    if context.twice_mid is None or context.twice_mid % 2 == 0:
        return decimal_text(context.mark)
    return decimal_text(context.twice_mid // 2).rstrip("0") + "5"


def context_shape(context: NodeContext) -> dict[str, str | None]:
    """Return the numbers of a coin: those that are not in the files are left out."""
    return {
        "markPx": decimal_text(context.mark),
        "midPx": None if context.twice_mid is None else mid_text(context),
        "dayBaseVlm": decimal_text(context.day_size),
    }


def trades(records: Sequence[NodeTrade]) -> list[dict[str, Any]]:
    """Return public trades."""
    return [
        {
            "coin": trade.coin,
            "side": "B" if trade.taker_is_buy else "A",
            "px": decimal_text(trade.price),
            "sz": decimal_text(trade.size),
            "time": trade.time_ms,
            "hash": trade.hash,
            "tid": trade.tid,
            "users": [trade.buyer, trade.seller],
        }
        for trade in records
    ]


def candle(record: Candle, coin: str) -> dict[str, Any]:
    """Return a candle."""
    return {
        "t": record.open_ms,
        "T": interval_end(record.interval, record.open_ms) - 1,
        "s": coin,
        "i": record.interval,
        "o": decimal_text(record.open),
        "c": decimal_text(record.close),
        "h": decimal_text(record.high),
        "l": decimal_text(record.low),
        "v": decimal_text(record.lots),
        "n": record.count,
    }
