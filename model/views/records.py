"""Records: what histories keep and streams push, made from events.

Events are terse: after ``OrderPlaced`` an order is only an id. A record is complete, so whoever
holds it can show it without looking anything up but the instrument. Prices are ticks, sizes lots,
money micro-USD, times milliseconds.

``OpenOrders`` is the fold that completes them. It is the only place that knows what an order's
status becomes when an event touches it, so the history, the account and the streams cannot
disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from model.commands import Tif
from model.events import (
    CancelReason,
    Credited,
    Event,
    Leg,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    UsdSent,
)
from model.ids import Address, AssetId, Cloid, OrderId, TradeId
from model.instruments import Instrument
from model.refusals import WIRE
from model.state import RestingOrder
from model.universe import Universe

OPEN: Final = "open"
FILLED: Final = "filled"
CANCEL_STATUS: Final[dict[CancelReason, str]] = {
    CancelReason.CANCELED: "canceled",
    CancelReason.IOC_REMAINDER: "canceled",
    CancelReason.SELF_TRADE: "selfTradeCanceled",
    CancelReason.MARGIN: "marginCanceled",
    CancelReason.REDUCE_ONLY: "reduceOnlyCanceled",
    CancelReason.MODIFIED: "canceled",
}
"""Status of an order that left the book. Source: Hyperliquid API documentation, order statuses."""

NOTHING_FOUND_STATUS: Final[dict[Tif, str]] = {
    Tif.IOC: "iocCancelRejected",
    Tif.FRONTEND_MARKET: "marketOrderNoLiquidityRejected",
}
"""Status of an immediate order that met nobody; its owner was answered with an error.

Same source.
"""

NO_ORDER_ID: Final = OrderId(0)
"""Id in the record of a refused order, which never got one."""

DEPOSIT: Final = "deposit"
INTERNAL_TRANSFER: Final = "internalTransfer"


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


class Fill(Struct, frozen=True, array_like=True, gc=False):
    """One account's side of a trade.

    ``start_position`` is signed and from before the trade; ``closed_pnl`` is before the fee; a
    negative ``fee`` is a rebate; ``crossed`` is true for the taker. ``height`` and ``index`` give
    the hash.
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
    """Money of one account that moved without a trade.

    ``kind`` is DEPOSIT or INTERNAL_TRANSFER. ``usd`` is positive in both directions; ``sender`` and
    ``destination`` tell which it was, and are the account itself for a deposit. ``fee`` is what the
    sender paid on top.
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


def fill_direction(fill: Fill) -> str:
    """Return what a fill did to its account's position in the words of the wire: ``Open Long``."""
    before = fill.start_position
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


def ledger_from(event: Event, at: Moment) -> tuple[LedgerRecord, ...]:
    """Return the ledger entries of an event: one for a credit, one a side for a transfer."""
    if isinstance(event, Credited):
        kind, sender, destination = DEPOSIT, event.account, event.account
    elif isinstance(event, UsdSent):
        kind, sender, destination = INTERNAL_TRANSFER, event.sender, event.destination
    else:
        return ()
    accounts = (sender,) if sender == destination else (sender, destination)
    return tuple(
        LedgerRecord(
            account, kind, event.usd, sender, destination, 0, at.time_ms, at.height, at.index
        )
        for account in accounts
    )


def refused_order(event: OrderRefused, instrument: Instrument, time_ms: int) -> OrderRecord | None:
    """Return the record of a refused order, or None where only the answer tells of it.

    Reasons with a status come after the checks of form, so price and size are on the grid.
    """
    status = WIRE[event.reason].status
    if status is None:
        return None
    spec = event.spec
    lots = spec.size_e8 // instrument.lot_e8
    return OrderRecord(
        event.account,
        spec.asset,
        NO_ORDER_ID,
        spec.cloid,
        spec.is_buy,
        spec.price_e8 // instrument.tick_e8,
        lots,
        lots,
        spec.tif,
        spec.reduce_only,
        time_ms,
        status,
        time_ms,
    )


class OpenOrders:
    """The orders that are open, kept by applying events, and the records that the changes give.

    With ``account`` only that account's orders are followed and recorded. ``universe`` is
    kept by reference, so that markets listed later are seen. Events of
    orders that are not known are left out: they belong to other accounts. Orders iterate in the
    order of their ids, oldest first.

    An immediate order never rests, so it gets no record before its last one: *filled*, or
    *canceled* with what it could not fill. A partial fill of any other order is a record *open*
    with a smaller remainder.
    """

    __slots__ = ("_account", "_orders", "_universe")

    def __init__(
        self,
        universe: Universe,
        orders: Iterable[RestingOrder] = (),
        *,
        account: Address | None = None,
    ) -> None:
        self._universe = universe
        self._account = account
        self._orders: dict[OrderId, RestingOrder] = {
            order.oid: order for order in sorted(orders, key=_by_id)
        }

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[RestingOrder]:
        return iter(self._orders.values())

    def get(self, oid: OrderId) -> RestingOrder | None:
        """Return an open order, or None."""
        return self._orders.get(oid)

    def by_cloid(self, account: Address, cloid: Cloid) -> RestingOrder | None:
        """Return the open order of an account with that client id, or None. Linear in orders."""
        for order in self._orders.values():
            if order.cloid == cloid and order.account == account:
                return order
        return None

    def apply(self, event: Event, time_ms: int) -> list[OrderRecord]:
        """Take one event in; return the status changes that it means, in order."""
        match event:  # the most frequent first: every view and the history pass here
            case OrderPlaced():
                change = self._placed(event, time_ms)
            case OrderCanceled():
                change = self._canceled(event, time_ms)
            case Traded():
                taken = self._filled(event.taker, event.lots, time_ms)
                made = self._filled(event.maker, event.lots, time_ms)
                return [change for change in (taken, made) if change is not None]
            case OrderRefused():
                change = self._refused(event, time_ms)
            case _:
                return []
        return [] if change is None else [change]

    def _placed(self, event: OrderPlaced, time_ms: int) -> OrderRecord | None:
        if self._account is not None and event.account != self._account:
            return None
        order = RestingOrder(
            event.asset,
            event.account,
            event.oid,
            event.is_buy,
            event.price,
            event.lots,
            event.lots,
            event.tif,
            event.reduce_only,
            event.cloid,
            time_ms,
        )
        self._orders[event.oid] = order
        return None if is_immediate(event.tif) else order_record(order, OPEN, time_ms)

    def _filled(self, leg: Leg, lots: int, time_ms: int) -> OrderRecord | None:
        order = self._orders.get(leg.oid)
        if order is None:
            return None
        remaining = order.remaining - lots
        if remaining == 0:
            del self._orders[leg.oid]
            return order_record(order, FILLED, time_ms, remaining)
        left = self._orders[leg.oid] = replace(order, remaining=remaining)
        return None if is_immediate(order.tif) else order_record(left, OPEN, time_ms)

    def _canceled(self, event: OrderCanceled, time_ms: int) -> OrderRecord | None:
        order = self._orders.pop(event.oid, None)
        if order is None:
            return None
        status = _status_of_canceled(order, event)
        return order_record(order, status, time_ms, event.remaining)

    def _refused(self, event: OrderRefused, time_ms: int) -> OrderRecord | None:
        if self._account is not None and event.account != self._account:
            return None
        instrument = self._universe.get(event.spec.asset)
        return None if instrument is None else refused_order(event, instrument, time_ms)


def _status_of_canceled(order: RestingOrder, event: OrderCanceled) -> str:
    """Return the status of an order that is gone; an immediate one that met nobody was refused."""
    if event.reason is CancelReason.IOC_REMAINDER and event.remaining == order.lots:
        return NOTHING_FOUND_STATUS[order.tif]
    return CANCEL_STATUS[event.reason]


def _by_id(order: RestingOrder) -> OrderId:
    return order.oid


def is_immediate(tif: Tif) -> bool:
    """Tell whether an order of that time in force never rests."""
    return tif is Tif.IOC or tif is Tif.FRONTEND_MARKET


def order_record(
    order: RestingOrder, status: str, status_ms: int, remaining: int | None = None
) -> OrderRecord:
    """Return the record of an order at a status; ``remaining`` replaces the order's own."""
    return OrderRecord(
        order.account,
        order.asset,
        order.oid,
        order.cloid,
        order.is_buy,
        order.price,
        order.lots,
        order.remaining if remaining is None else remaining,
        order.tif,
        order.reduce_only,
        order.placed_ms,
        status,
        status_ms,
    )
