"""Records: what histories keep and streams push, made from events.

Events are terse: after ``OrderPlaced`` an order is only an id. A record is complete, so whoever
holds it can show it without looking anything up but the instrument. Prices are ticks, sizes lots,
money micro-USD, times milliseconds.

Records of trades are made here. Those of orders need what was placed before: they come from the
fold in ``model.views.open_orders``; those of TWAPs from ``model.views.twaps``; those of money from
``model.views.money``.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from model.commands import Tif
from model.events import Leg, Traded, TradeKind, TriggerTerms
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, Cloid, OrderId, TokenId, TradeId

NO_ORDER_ID: Final = OrderId(0)
"""Id in the record of a refused order, which never got one."""

NO_HASH: Final = "0x" + "0" * 64
"""Hash of what no command of a client caused, such as a TWAP's slices."""


OFF_BOOK: Final = frozenset((TradeKind.BACKSTOP, TradeKind.DELEVERAGING))
"""Kinds of trades in which no order met another. They are shown to their accounts only: they are no
news of what the market would trade at.
"""


class Moment(Struct, frozen=True, array_like=True, gc=False):
    """Where in the log something happened: the block, its time, the command's index in it."""

    height: int
    time_ms: int
    index: int


class OrderRecord(Struct, frozen=True, array_like=True, gc=False):
    """An order at one change of its status.

    ``lots`` is the size at placement and ``remaining`` what was unfilled when the status was taken:
    nothing for a filled order, the dropped remainder for a canceled one. ``oid`` is NO_ORDER_ID for
    a refused order.

    ``trigger`` are the terms of an order that waits for a price or, with ``has_fired``, that came
    of one. ``parent`` is the order that it is attached to; ``is_position`` means that it closes
    whatever the position is. ``twap_id`` is that of the TWAP whose slice the order is.
    """

    account: Address
    asset: AssetId
    oid: OrderId
    cloid: Cloid | None
    is_buy: bool
    price: int
    lots: int
    remaining: int
    tif: Tif
    reduce_only: bool
    placed_ms: int
    status: str
    status_ms: int
    trigger: TriggerTerms | None = None
    has_fired: bool = False
    is_position: bool = False
    parent: OrderId | None = None
    is_armed: bool = True
    twap_id: int | None = None


class Fill(Struct, frozen=True, array_like=True, gc=False):
    """One account's side of a trade.

    ``start_position`` is signed and from before the trade; ``closed_pnl`` is before the fee; a
    negative ``fee`` is a rebate; ``crossed`` is true for the taker. ``height`` and ``index`` give
    the hash. Of a pair, money is in 1e-8 and ``fee`` in the token that was received.

    ``liquidated`` is the account that was liquidated by the trade, at ``mark``, cross or isolated.
    """

    account: Address
    asset: AssetId
    oid: OrderId
    tid: TradeId
    cloid: Cloid | None
    is_buy: bool
    crossed: bool
    price: int
    lots: int
    start_position: int
    closed_pnl: int
    fee: int
    time_ms: int
    height: int
    index: int
    twap_id: int | None = None
    kind: TradeKind = TradeKind.BOOK
    liquidated: Address | None = None
    mark: int = 0
    is_isolated: bool = False


class TradeRecord(Struct, frozen=True, array_like=True, gc=False):
    """A trade as everyone sees it."""

    asset: AssetId
    tid: TradeId
    taker_is_buy: bool
    price: int
    lots: int
    buyer: Address
    seller: Address
    time_ms: int
    height: int
    index: int


class LedgerRecord(Struct, frozen=True, array_like=True, gc=False):
    """Money or tokens of one account that moved without a trade, or a liquidation of it.

    ``kind`` is one of those in ``model.views.money``. ``usd`` is positive in both directions;
    ``sender`` and ``destination`` tell which it was, and are the account itself where nobody else
    has part in it. ``fee`` is what the sender paid on top. ``token`` and ``amount_e8`` are those of
    a transfer of tokens, ``usd`` then what they were worth. ``from_perp`` and ``to_perp`` name the
    class at each end. Of a liquidation, ``usd`` is the notional of ``positions`` (asset and signed
    size), and ``account_value`` what the account or the isolated position was worth.
    """

    account: Address
    kind: str
    usd: int
    sender: Address
    destination: Address
    fee: int
    time_ms: int
    height: int
    index: int
    token: TokenId = USDC
    amount_e8: int = 0
    from_perp: bool = True
    to_perp: bool = True
    nonce: int | None = None
    account_value: int = 0
    is_cross: bool = True
    positions: tuple[tuple[AssetId, int], ...] = ()


class FundingRecord(Struct, frozen=True, array_like=True, gc=False):
    """Funding of one position: ``usd`` is negative if it was paid. ``rate`` in 1 / RATE_SCALE."""

    account: Address
    asset: AssetId
    usd: int
    size: int
    rate: int
    time_ms: int
    height: int


class RateRecord(Struct, frozen=True, array_like=True, gc=False):
    """One hour's funding of a market, in 1 / RATE_SCALE."""

    asset: AssetId
    rate: int
    premium: int
    time_ms: int
    height: int


class TwapRecord(Struct, frozen=True, array_like=True, gc=False):
    """A TWAP at one change of its status. Fields as in ``state.TwapState``."""

    account: Address
    twap_id: int
    asset: AssetId
    is_buy: bool
    lots: int
    reduce_only: bool
    minutes: int
    randomize: bool
    started_ms: int
    executed_lots: int
    executed_notional: int
    status: str
    status_ms: int
    height: int


class Candle(Struct, frozen=True, array_like=True, gc=False):
    """The trades of one interval, which begins at ``open_ms``. ``notional`` is their value."""

    asset: AssetId
    interval: str
    open_ms: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    notional: int
    count: int


def transaction_hash(height: int, index: int) -> str:
    """Return the hash that the wire shows for a command: 0x and 64 hex digits.

    Height and index side by side, 32 digits each: it cannot collide, it is never all zeros (heights
    count from 1), and an operator reads the block off it.
    """
    return f"0x{height:032x}{index:032x}"


def fill_hash(fill: Fill) -> str:
    """Return the hash that the wire shows for a fill; slices of a TWAP have none."""
    return NO_HASH if fill.twap_id is not None else transaction_hash(fill.height, fill.index)


def fill_direction(fill: Fill) -> str:
    """Return what a fill did to its account's position in the words of the wire: ``Open Long``.

    Only the backstop's trades are named after the liquidation: those in the book look like others.
    """
    if fill.asset >= SPOT_ASSETS_FROM:
        return "Buy" if fill.is_buy else "Sell"
    before = fill.start_position
    if fill.kind is TradeKind.DELEVERAGING:
        return "Auto-Deleveraging"
    if fill.kind is TradeKind.BACKSTOP and fill.crossed:
        margin = "Isolated" if fill.is_isolated else "Cross"
        return f"Liquidated {margin} {'Long' if before > 0 else 'Short'}"
    after = before + (fill.lots if fill.is_buy else -fill.lots)
    if before * after < 0:
        return "Long > Short" if before > 0 else "Short > Long"
    verb = "Open" if abs(after) > abs(before) else "Close"
    return f"{verb} Long" if before > 0 or after > 0 else f"{verb} Short"


def fills_from(event: Traded, at: Moment) -> tuple[Fill, Fill]:
    """Return both sides of a trade, the taker's first."""
    return (
        fill_of_leg(event, event.taker, is_taker=True, at=at),
        fill_of_leg(event, event.maker, is_taker=False, at=at),
    )


def fill_of_leg(event: Traded, leg: Leg, *, is_taker: bool, at: Moment) -> Fill:
    """Return one side of a trade."""
    kind = event.kind
    return Fill(
        leg.account,
        event.asset,
        leg.oid,
        event.trade_id,
        leg.cloid,
        event.taker_is_buy is is_taker,
        is_taker,
        event.price,
        event.lots,
        leg.start_position,
        leg.closed_pnl,
        leg.fee,
        at.time_ms,
        at.height,
        at.index,
        leg.twap_id,
        kind,
        None if kind is TradeKind.BOOK else event.taker.account,
        event.mark,
        event.is_isolated,
    )


def trade_from(event: Traded, at: Moment) -> TradeRecord:
    """Return the public side of a trade."""
    taker, maker = event.taker.account, event.maker.account
    buyer, seller = (taker, maker) if event.taker_is_buy else (maker, taker)
    return TradeRecord(
        event.asset,
        event.trade_id,
        event.taker_is_buy,
        event.price,
        event.lots,
        buyer,
        seller,
        at.time_ms,
        at.height,
        at.index,
    )
