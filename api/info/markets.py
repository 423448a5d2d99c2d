"""Answers about markets: what there is, at which prices, and what was traded and charged."""

from __future__ import annotations

import time
from typing import Final

from api.exchange.errors import not_a_request
from api.framing import mids, perp_contexts, spot_contexts
from api.gateway import Gateway
from api.info.questions import Question, check_dex, coin_of, number_of, span_of, text_of
from api.subscriptions import (
    INTERVALS,
    InvalidSubscriptionError,
    MalformedMessageError,
    read_aggregation,
)
from api.wire import funding, market, metadata
from api.wire.frames import encode
from api.wire.tokens import token_id
from model.markets import market_notional_max
from model.views.market import MarketView
from model.views.records import TradeRecord

RECENT_TRADES_MAX: Final = 30


def meta(gateway: Gateway, question: Question) -> bytes:
    """Answer ``meta``."""
    check_dex(question)
    return encode(metadata.meta(gateway.directory.universe.perps))


def all_perp_metas(gateway: Gateway, _: Question) -> bytes:
    """Answer ``allPerpMetas``."""
    return encode([metadata.meta(gateway.directory.universe.perps)])


def meta_and_contexts(gateway: Gateway, question: Question) -> bytes:
    """Answer ``metaAndAssetCtxs``."""
    check_dex(question)
    contexts = perp_contexts(gateway.directory, gateway.board)
    return encode((metadata.meta(gateway.directory.universe.perps[: len(contexts)]), contexts))


def spot_meta(gateway: Gateway, _: Question) -> bytes:
    """Answer ``spotMeta``."""
    return encode(metadata.spot_meta(gateway.directory.universe))


def spot_meta_and_contexts(gateway: Gateway, _: Question) -> bytes:
    """Answer ``spotMetaAndAssetCtxs``."""
    directory = gateway.directory
    return encode((metadata.spot_meta(directory.universe), spot_contexts(directory, gateway.board)))


def token_details(gateway: Gateway, question: Question) -> bytes:
    """Answer ``tokenDetails``; null for a token that there is not."""
    asked, directory = text_of(question, "tokenId"), gateway.directory
    universe = directory.universe
    token = next((one for one in universe.tokens if token_id(one) == asked.lower()), None)
    if token is None:
        return b"null"
    pair = next((pair for pair in universe.pairs if pair.base == token.token), None)
    context = None if pair is None else gateway.board.contexts.get(pair.asset)
    supply = directory.supply.get(token.token, 0)
    return encode(metadata.token_details(token, pair, context, supply))


def margin_table(gateway: Gateway, question: Question) -> bytes:
    """Answer ``marginTable``; null for a number that no table has."""
    asked = number_of(question, "id")
    for tiers, number in metadata.margin_table_ids(gateway.directory.universe.perps).items():
        if number == asked:
            return encode(metadata.margin_table(tiers))
    return b"null"


def max_market_order_notionals(gateway: Gateway, _: Question) -> bytes:
    """Answer ``maxMarketOrderNtls``."""
    leverages = sorted({one.max_leverage for one in gateway.directory.universe.perps})
    return encode(
        metadata.max_market_orders((most, market_notional_max(most)) for most in leverages[::-1])
    )


def at_open_interest_cap(gateway: Gateway, question: Question) -> bytes:
    """Answer ``perpsAtOpenInterestCap``."""
    check_dex(question)
    universe = gateway.directory.universe
    return encode(
        [
            perp.name
            for perp, context in zip(universe.perps, gateway.board.perps(), strict=False)
            if 0 < perp.open_interest_max <= context.open_interest * context.mark
        ]
    )


def predicted_fundings(gateway: Gateway, _: Question) -> bytes:
    """Answer ``predictedFundings``."""
    universe = gateway.directory.universe
    shown = zip(universe.perps, gateway.board.perps(), strict=False)
    rates = [(perp.name, context.funding_rate) for perp, context in shown]
    return encode(funding.predicted_fundings(rates, time_ms=gateway.directory.time_ms))


async def funding_history(gateway: Gateway, question: Question) -> bytes:
    """Answer ``fundingHistory``: the oldest of the span."""
    instrument = coin_of(gateway, question)
    start, end = span_of(question, start_required=True)
    if instrument is None:
        return b"[]"
    found = await gateway.read_history(
        lambda reader: reader.rates(instrument.asset, start_ms=start, end_ms=end)
    )
    return encode(funding.funding_rates(found, gateway.directory.universe))


def all_mids(gateway: Gateway, question: Question) -> bytes:
    """Answer ``allMids``."""
    check_dex(question)
    return encode(mids(gateway.directory.universe, gateway.board.contexts))


def exchange_status(_: Gateway, __: Question) -> bytes:
    """Answer ``exchangeStatus``."""
    return encode(metadata.exchange_status(time.time_ns() // 1_000_000))


async def book(gateway: Gateway, question: Question) -> bytes:
    """Answer ``l2Book``."""
    instrument = coin_of(gateway, question)
    try:
        n_sig_figs, mantissa = read_aggregation(question)
    except (MalformedMessageError, InvalidSubscriptionError) as error:
        raise not_a_request("invalid aggregation") from error
    if instrument is None:
        return b"null"
    wire = gateway.wires.market(instrument)
    return await gateway.read_market(
        instrument.asset, lambda view: wire.book_data(view, n_sig_figs, mantissa)
    )


async def recent_trades(gateway: Gateway, question: Question) -> bytes:
    """Answer ``recentTrades``: newest first."""
    instrument = coin_of(gateway, question)
    if instrument is None:
        return b"null"

    def newest_first(view: MarketView) -> list[TradeRecord]:
        return list(view.trades)[: -RECENT_TRADES_MAX - 1 : -1]

    newest = await gateway.read_market(instrument.asset, newest_first)
    return encode(market.trades(newest, instrument))


async def candles(gateway: Gateway, question: Question) -> bytes:
    """Answer ``candleSnapshot``: the newest of the span, oldest first."""
    asked = question.get("req")
    if not isinstance(asked, dict):
        raise not_a_request("missing field req")
    instrument, interval = coin_of(gateway, asked), asked.get("interval")
    if interval not in INTERVALS:
        raise not_a_request("unknown interval")
    start, end = span_of(asked, start_required=True)
    if instrument is None:
        return b"[]"
    asset = instrument.asset
    found = await gateway.read_history(
        lambda reader: reader.candles(asset, interval, start_ms=start, end_ms=end)
    )
    return encode([market.candle(record, instrument) for record in found])


async def dex_status(gateway: Gateway, question: Question) -> bytes:
    """Answer ``perpDexStatus``: what all accounts together paid in."""
    check_dex(question)
    deposited = await gateway.read_history(lambda reader: reader.net_deposits())
    return encode(metadata.dex_status(deposited))
