"""Markets on the wire: contexts, mids, trades and candles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from api.wire.decimals import (
    half_price_text,
    notional_text,
    price_text,
    ratio_text,
    size_text,
    token_text,
)
from api.wire.metadata import Meta, meta
from model.ids import Address
from model.instruments import Instrument
from model.views.candles import interval_end
from model.views.market import MarketContext
from model.views.records import Candle, TradeRecord, transaction_hash

BUY: Final = "B"
SELL: Final = "A"


class PerpContext(Struct, frozen=True, rename="camel"):
    """The numbers of a market. ``funding`` is the hourly rate so far."""

    funding: str
    open_interest: str
    prev_day_px: str
    day_ntl_vlm: str
    premium: str | None
    oracle_px: str
    mark_px: str
    mid_px: str | None
    impact_pxs: tuple[str, str] | None
    day_base_vlm: str


class SpotContext(Struct, frozen=True, rename="camel"):
    """The numbers of a spot pair, and how much of its token there is."""

    prev_day_px: str
    day_ntl_vlm: str
    mark_px: str
    mid_px: str | None
    circulating_supply: str
    coin: str
    total_supply: str
    day_base_vlm: str


class ActiveSpotContext(Struct, frozen=True):
    """Data of an ``activeSpotAssetCtx`` frame."""

    coin: str
    ctx: SpotContext


class AssetContexts(Struct, frozen=True):
    """Data of an ``assetCtxs`` frame."""

    dex: str
    ctxs: tuple[PerpContext, ...]


class AllDexsContexts(Struct, frozen=True):
    """Data of an ``allDexsAssetCtxs`` frame: there is one dex."""

    ctxs: tuple[tuple[str, tuple[PerpContext, ...]], ...]


class ActiveAssetContext(Struct, frozen=True):
    """Data of an ``activeAssetCtx`` frame."""

    coin: str
    ctx: PerpContext


class AllMids(Struct, frozen=True):
    """Data of an ``allMids`` frame; the info request is answered with the mids alone."""

    mids: dict[str, str]


class Trade(Struct, frozen=True):
    """A public trade. ``side`` is the aggressor's; ``users`` are buyer and seller."""

    coin: str
    side: str
    px: str
    sz: str
    time: int
    hash: str
    tid: int
    users: tuple[Address, Address]


class CandleShape(
    Struct,
    frozen=True,
    rename={
        "open_ms": "t",
        "close_ms": "T",
        "coin": "s",
        "interval": "i",
        "open": "o",
        "close": "c",
        "high": "h",
        "low": "l",
        "volume": "v",
        "count": "n",
    },
):
    """A candle. ``close_ms`` is its last ms; ``volume`` is in units of the base asset."""

    open_ms: int
    close_ms: int
    coin: str
    interval: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    count: int


def side_text(is_buy: bool) -> str:
    """Return the letter of a side."""
    return BUY if is_buy else SELL


def perp_context(context: MarketContext, instrument: Instrument) -> PerpContext:
    """Return the context of a market."""
    impact, premium = context.impact, context.premium
    return PerpContext(
        ratio_text(context.funding_rate),
        size_text(context.open_interest, instrument),
        price_text(context.previous_day_price, instrument),
        notional_text(context.day_notional, instrument),
        None if premium is None else ratio_text(premium),
        price_text(context.oracle, instrument),
        price_text(context.mark, instrument),
        None if context.twice_mid is None else half_price_text(context.twice_mid, instrument),
        None
        if impact is None
        else (price_text(impact[0], instrument), price_text(impact[1], instrument)),
        size_text(context.day_lots, instrument),
    )


def spot_context(context: MarketContext, instrument: Instrument, supply_e8: int) -> SpotContext:
    """Return the context of a spot pair; all tokens that there are circulate."""
    supply = token_text(supply_e8)
    return SpotContext(
        price_text(context.previous_day_price, instrument),
        notional_text(context.day_notional, instrument),
        price_text(context.mark, instrument),
        None if context.twice_mid is None else half_price_text(context.twice_mid, instrument),
        supply,
        instrument.name,
        supply,
        size_text(context.day_lots, instrument),
    )


def active_asset_context(context: MarketContext, instrument: Instrument) -> ActiveAssetContext:
    """Return the data of an ``activeAssetCtx`` frame."""
    return ActiveAssetContext(instrument.name, perp_context(context, instrument))


def meta_and_contexts(
    instruments: Sequence[Instrument], contexts: Sequence[MarketContext]
) -> tuple[Meta, tuple[PerpContext, ...]]:
    """Return the universe with the contexts of its markets, both in the order of asset ids."""
    return meta(instruments), asset_contexts(instruments, contexts)


def asset_contexts(
    instruments: Sequence[Instrument], contexts: Sequence[MarketContext]
) -> tuple[PerpContext, ...]:
    """Return the contexts of all markets in the order of asset ids."""
    return tuple(
        perp_context(context, instrument)
        for instrument, context in zip(instruments, contexts, strict=True)
    )


def mid_text(context: MarketContext, instrument: Instrument) -> str:
    """Return the mid price of a market, or its mark price where a side of its book is empty."""
    twice_mid = 2 * context.mark if context.twice_mid is None else context.twice_mid
    return half_price_text(twice_mid, instrument)


def all_mids(mids: Mapping[str, str]) -> AllMids:
    """Return the data of an ``allMids`` frame from mids by name."""
    return AllMids(dict(mids))


def trade(record: TradeRecord, instrument: Instrument) -> Trade:
    """Return a public trade."""
    return Trade(
        instrument.name,
        side_text(record.taker_is_buy),
        price_text(record.price, instrument),
        size_text(record.lots, instrument),
        record.time_ms,
        transaction_hash(record.height, record.index),
        record.tid,
        (record.buyer, record.seller),
    )


def trades(records: Iterable[TradeRecord], instrument: Instrument) -> list[Trade]:
    """Return public trades of one market in the order given. An empty list must not be pushed."""
    return [trade(record, instrument) for record in records]


def candle(record: Candle, instrument: Instrument) -> CandleShape:
    """Return a candle."""
    return CandleShape(
        record.open_ms,
        interval_end(record.interval, record.open_ms) - 1,
        instrument.name,
        record.interval,
        price_text(record.open, instrument),
        price_text(record.close, instrument),
        price_text(record.high, instrument),
        price_text(record.low, instrument),
        size_text(record.lots, instrument),
        record.count,
    )
