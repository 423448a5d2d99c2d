"""Spot pairs: the same book and the same order of matching as everywhere, without any margin.

An order is accepted when its account has what it may have to give: of a buy its limit price times
its size in USDC, of a sell the tokens. While it rests this is held. A trade therefore never asks
anybody anything: each side gives what it held and gets what the other gave, less its fee, which is
taken out of the token that it receives and rounded up.

A pair's reference price is that of its last trade, and until then the one that it was listed with.
Prices are ticks, sizes lots; a price times a size is a number of 1e-8 USDC.

Sources: Hyperliquid API documentation, tick and lot size, error responses; Hyperliquid
documentation, fees. The band of prices was measured by third parties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model.accounts import Account
from model.balances import E8_PER_MICRO_USD, Balance
from model.commands import OrderSpec, Tif
from model.events import CancelReason, Event, Leg, OrderCanceled, OrderPlaced, OrderRefused, Traded
from model.fees import SPOT_WEIGHT, fee_towards_exchange, open_orders_max
from model.ids import SPOT_ASSETS_FROM, USDC, AssetId, TokenId
from model.instruments import is_on_grid
from model.markets import Market
from model.orders import LOTS_MAX, PRICE_E8_MAX, Order, liquidity_refusal
from model.refusals import Refusal
from model.units import E8

if TYPE_CHECKING:
    from model.matching import MatchingEngine

SPOT_NOTIONAL_MIN: Final = 10 * E8
"""Smallest order at its limit price, in 1e-8 USDC."""

BAND_FACTOR: Final = 5
"""An order's price lies above this part of the reference price, and not beyond its multiple."""

_Refused = tuple[Refusal, tuple[int, ...]]


def find_pair(engine: MatchingEngine, asset: AssetId) -> Market | None:
    """Return the pair with an asset id, or ``None`` if there is none."""
    index = asset - SPOT_ASSETS_FROM
    return engine.pairs[index] if 0 <= index < len(engine.pairs) else None


def base_of(market: Market) -> TokenId:
    """Return the token that a pair trades."""
    base = market.instrument.base
    assert base is not None, "a perpetual is no pair"
    return base


def held(market: Market, order: Order) -> tuple[TokenId, int]:
    """Return what a resting order reserves: the token, and 1e-8 of it."""
    if order.is_buy:
        return USDC, order.price * order.remaining
    return base_of(market), order.remaining * market.lot_e8


# ---- placing -----------------------------------------------------------------------------------


def place(engine: MatchingEngine, account: Account, spec: OrderSpec, events: list[Event]) -> None:
    """Place one order of a pair: refuse it, or match it and let what is left rest or go."""
    market = find_pair(engine, spec.asset)
    refused = (Refusal.ASSET_UNKNOWN, ()) if market is None else _refusal(market, account, spec)
    if market is None or refused is not None:
        assert refused is not None
        events.append(OrderRefused(account.address, spec, *refused))
        return
    order = Order(
        spec.asset,
        account.address,
        engine.next_oid,
        spec.is_buy,
        spec.price_e8 // market.tick_e8,
        spec.size_e8 // market.lot_e8,
        spec.size_e8 // market.lot_e8,
        spec.tif,
        False,
        spec.cloid,
        engine.time_ms,
    )
    engine.next_oid += 1  # type: ignore[assignment]  # as in the matching engine
    events.append(
        OrderPlaced(
            order.asset,
            order.account,
            order.oid,
            order.is_buy,
            order.price,
            order.lots,
            order.tif,
            False,
            order.cloid,
        )
    )
    _match(engine, account, market, order, events)
    if not order.remaining:
        return
    if spec.tif is Tif.GTC or spec.tif is Tif.ALO:
        rest(account, market, order)
        return
    reason = CancelReason.IOC_REMAINDER
    events.append(OrderCanceled(order.asset, order.account, order.oid, order.remaining, reason))


def rest(account: Account, market: Market, order: Order) -> None:
    """Put an order into the book and hold what it may have to give."""
    (market.bids if order.is_buy else market.asks).add(order)
    account.orders[order.oid] = order
    if order.cloid is not None:
        account.cloids[order.cloid] = order
    token, amount = held(market, order)
    account.balance(token).hold += amount


def _refusal(market: Market, account: Account, spec: OrderSpec) -> _Refused | None:
    """Name the first rule that an order breaks, with the numbers of its text."""
    reason = _form_refusal(market, spec)
    if reason is not None:
        return reason, ()
    if spec.cloid is not None and spec.cloid in account.cloids:
        return Refusal.CLOID_IN_USE, ()
    price, lots = spec.price_e8 // market.tick_e8, spec.size_e8 // market.lot_e8
    opposite = market.asks if spec.is_buy else market.bids
    limit_key = -price if spec.is_buy else price
    crosses = bool(opposite.keys) and opposite.keys[-1] >= limit_key
    if spec.tif is not Tif.GTC and (spec.tif is Tif.ALO) is crosses:
        return liquidity_refusal(market, spec.tif)
    if spec.tif is Tif.GTC or spec.tif is Tif.ALO:
        most = open_orders_max(account.volume)
        if account.open_count() >= most:
            return Refusal.OPEN_ORDERS_AT_MAX, (most,)
    token, amount = (USDC, price * lots)
    if not spec.is_buy:
        token, amount = base_of(market), spec.size_e8
    if account.available(token) < amount:
        return Refusal.SPOT_BALANCE_TOO_LOW, ()
    return None


def _form_refusal(market: Market, spec: OrderSpec) -> Refusal | None:
    """Name the first rule on form, grid and value that an order breaks."""
    if spec.trigger is not None or spec.reduce_only:
        return Refusal.SPOT_PLAIN_ONLY
    if not 0 < spec.price_e8 <= PRICE_E8_MAX:
        return Refusal.PRICE_INVALID
    if not is_on_grid(spec.price_e8, market.tick_e8):
        return Refusal.PRICE_OFF_GRID
    if spec.size_e8 == 0:
        return Refusal.SIZE_ZERO
    lots, beyond = divmod(spec.size_e8, market.lot_e8)
    if beyond or not 0 < lots <= LOTS_MAX:
        return Refusal.SIZE_OFF_GRID
    price = spec.price_e8 // market.tick_e8
    if price * lots < SPOT_NOTIONAL_MIN:
        return Refusal.SPOT_NOTIONAL_TOO_SMALL
    if price * BAND_FACTOR <= market.mark or price > market.mark * BAND_FACTOR:
        return Refusal.PRICE_TOO_FAR
    return None


# ---- matching ----------------------------------------------------------------------------------


def _match(
    engine: MatchingEngine, account: Account, market: Market, taker: Order, events: list[Event]
) -> None:
    """Trade an order with the other side as far as its limit and its lots go."""
    opposite = market.asks if taker.is_buy else market.bids
    limit_key = -taker.price if taker.is_buy else taker.price
    while taker.remaining and opposite.keys and opposite.keys[-1] >= limit_key:
        maker = opposite.first()
        if maker.account == taker.account:
            expel(engine, account, maker, CancelReason.SELF_TRADE, events)
            continue
        events.append(_trade(engine, account, market, taker, maker))


def _trade(
    engine: MatchingEngine, account: Account, market: Market, taker: Order, maker: Order
) -> Traded:
    """Let two orders trade at the resting one's price."""
    price, lots = maker.price, min(taker.remaining, maker.remaining)
    maker_account = engine.accounts[maker.account]
    token, before = held(market, maker)
    taker.remaining -= lots
    maker.remaining -= lots
    maker_account.balances[token].hold -= before - held(market, maker)[1]
    if not maker.remaining:
        (market.bids if maker.is_buy else market.asks).remove(maker)
        _forget(maker_account, maker)
    taker_fees, maker_fees = engine.fee_book(account), engine.fee_book(maker_account)
    taker_leg = _settle(
        engine,
        account,
        market,
        taker,
        lots=lots,
        price=price,
        rate_ppm=taker_fees.spot_taker_ppm,
    )
    maker_leg = _settle(
        engine,
        maker_account,
        market,
        maker,
        lots=lots,
        price=price,
        rate_ppm=maker_fees.spot_maker_ppm,
    )
    weighted = price * lots * SPOT_WEIGHT // E8_PER_MICRO_USD
    engine.schedule.traded.volume += weighted
    taker_fees.volume += weighted
    maker_fees.volume += weighted
    maker_fees.maker += weighted
    market.last = market.mark = price
    trade_id = engine.next_trade_id
    engine.next_trade_id += 1  # type: ignore[assignment]  # as in the matching engine
    return Traded(taker.asset, trade_id, price, lots, taker.is_buy, taker_leg, maker_leg)


def _settle(
    engine: MatchingEngine,
    account: Account,
    market: Market,
    order: Order,
    *,
    lots: int,
    price: int,
    rate_ppm: int,
) -> Leg:
    """Move one side's balances by a trade; return its side of the event."""
    notional, amount = price * lots, lots * market.lot_e8
    base, quote = account.balance(base_of(market)), account.balance(USDC)
    start = base.total // market.lot_e8
    profit = 0
    if order.is_buy:
        fee = fee_towards_exchange(amount, rate_ppm)
        quote.spend(notional)
        base.receive(amount - fee, notional)
        engine.token_fees[base.token] += fee
    else:
        fee = fee_towards_exchange(notional, rate_ppm)
        profit = _micro_usd(notional - base.spend(amount))
        quote.receive(notional - fee)
        engine.token_fees[USDC] += fee
    account.volume += notional // E8_PER_MICRO_USD
    return Leg(account.address, order.oid, order.cloid, order.remaining, start, profit, fee)


def _micro_usd(amount_e8: int) -> int:
    """Return an amount of USDC in micro-USD, rounded towards zero."""
    whole = abs(amount_e8) // E8_PER_MICRO_USD
    return whole if amount_e8 >= 0 else -whole


# ---- cancelling --------------------------------------------------------------------------------


def expel(
    engine: MatchingEngine,
    account: Account,
    order: Order,
    reason: CancelReason,
    events: list[Event],
) -> None:
    """Take a resting order off the book and out of all indexes, and report it."""
    market = find_pair(engine, order.asset)
    assert market is not None, "an order rests where there is a market"
    (market.bids if order.is_buy else market.asks).remove(order)
    _forget(account, order)
    token, amount = held(market, order)
    balance: Balance = account.balances[token]
    balance.hold -= amount
    events.append(OrderCanceled(order.asset, account.address, order.oid, order.remaining, reason))


def _forget(account: Account, order: Order) -> None:
    del account.orders[order.oid]
    if order.cloid is not None:
        del account.cloids[order.cloid]
