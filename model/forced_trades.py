"""Trades that the exchange makes for an account which it liquidates.

Into the book with an order of its own, or beside it against an account that was chosen, where both
sides get an order id that no book ever held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model import triggers
from model.accounts import Account, Position
from model.commands import Tif
from model.events import CancelReason, Event, OrderPlaced, Traded, TradeKind
from model.fees import fee_towards_exchange
from model.margin import can_carry
from model.markets import Market
from model.orders import Order

if TYPE_CHECKING:
    from model.matching import MatchingEngine


def close_into_book(
    engine: MatchingEngine,
    account: Account,
    position: Position,
    market: Market,
    *,
    lots: int,
    events: list[Event],
) -> None:
    """Close lots of a position against the book, losing no more than there is.

    Nothing happens where not even the best resting order can be met. The account's totals must
    be current.
    """
    is_buy = position.size < 0
    opposite = market.asks if is_buy else market.bids
    price = market.price_high if is_buy else market.price_low
    limit_key = -price if is_buy else price
    if not opposite.keys or opposite.keys[-1] < limit_key:
        return
    first = opposite.first()
    least = min(lots, first.remaining)
    fee = fee_towards_exchange(least * first.price, engine.fee_book(account).taker_ppm)
    if not can_carry(
        account,
        position,
        mark=market.mark,
        signed_lots=least if is_buy else -least,
        price=first.price,
        fee=fee,
    ):
        return
    order = _forced_order(engine, account, market, is_buy=is_buy, price=price, lots=lots)
    events.append(
        OrderPlaced(
            order.asset, order.account, order.oid, is_buy, price, lots, order.tif, True, None
        )
    )
    engine.match(account, position, market, order, events)
    if order.remaining:
        engine.report_canceled(order, CancelReason.IOC_REMAINDER, events)


def trade_off_book(
    engine: MatchingEngine,
    account: Account,
    other: Account,
    market: Market,
    *,
    price: int,
    kind: TradeKind,
    events: list[Event],
    lots_max: int | None = None,
) -> None:
    """Move a liquidated account's position to another account, free of fees.

    An isolated position that the backstop takes over keeps its money, to be taken from there.
    Both accounts' totals must be current.
    """
    position = account.position(market)
    others = other.position(market)
    lots = abs(position.size)
    if lots_max is not None:
        lots = min(lots, lots_max)
    is_buy = position.size < 0
    signed_lots = lots if is_buy else -lots
    order = _forced_order(engine, account, market, is_buy=is_buy, price=price, lots=lots)
    against = _forced_order(engine, other, market, is_buy=not is_buy, price=price, lots=lots)
    order.remaining = against.remaining = 0
    is_isolated = not position.is_cross
    taker = engine.settle(
        account,
        position,
        market,
        order,
        signed_lots=signed_lots,
        price=price,
        fee=0,
        keeps_margin=kind is TradeKind.BACKSTOP,
    )
    maker = engine.settle(
        other, others, market, against, signed_lots=-signed_lots, price=price, fee=0
    )
    trade_id = engine.next_trade_id
    engine.next_trade_id += 1  # type: ignore[assignment]  # NewType would cost a call
    asset = market.instrument.asset
    events.append(
        Traded(asset, trade_id, price, lots, is_buy, taker, maker, kind, market.mark, is_isolated)
    )
    for owner, held in ((account, position), (other, others)):
        engine.trim(owner, held, market, events)
        if owner.triggers is not None:
            triggers.cancel_bound(engine, owner, asset, events)


def _forced_order(
    engine: MatchingEngine, account: Account, market: Market, *, is_buy: bool, price: int, lots: int
) -> Order:
    """Make an order that no client sent."""
    oid = engine.next_oid
    engine.next_oid += 1  # type: ignore[assignment]  # NewType would cost a call
    return Order(
        market.instrument.asset,
        account.address,
        oid,
        is_buy,
        price,
        lots,
        lots,
        Tif.LIQUIDATION_MARKET,
        True,
        None,
        engine.time_ms,
    )
