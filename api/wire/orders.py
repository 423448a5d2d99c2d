"""Orders on the wire: the short form of updates, and the long form of front ends and histories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, price_text, size_text
from api.wire.market import side_text
from model.commands import Tif
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument
from model.universe import Universe
from model.views.records import OrderRecord

TIF_TEXT: Final = {
    Tif.GTC: "Gtc",
    Tif.IOC: "Ioc",
    Tif.ALO: "Alo",
    Tif.FRONTEND_MARKET: "FrontendMarket",
    Tif.LIQUIDATION_MARKET: "LiquidationMarket",
}

NO_CONDITION: Final = "N/A"
TRIGGERED_CONDITION: Final = "Triggered"


class BasicOrder(Struct, frozen=True, rename="camel"):
    """An order in short. ``cloid`` is absent if there is none, ``reduce_only`` if it is false."""

    coin: str
    side: str
    limit_px: str
    sz: str
    oid: OrderId
    timestamp: int
    orig_sz: str
    cloid: Cloid | UnsetType = UNSET
    reduce_only: bool | UnsetType = UNSET


class FrontendOrder(Struct, frozen=True, rename="camel"):
    """An order in full, every key present.

    ``children`` are the take-profit and stop-loss orders that wait for it to be filled. ``tif`` is
    null for an order that waits or waited for a price.
    """

    coin: str
    side: str
    limit_px: str
    sz: str
    oid: OrderId
    timestamp: int
    trigger_condition: str
    is_trigger: bool
    trigger_px: str
    children: tuple[FrontendOrder, ...]
    is_position_tpsl: bool
    reduce_only: bool
    order_type: str
    orig_sz: str
    tif: str | None
    cloid: Cloid | None


class OrderUpdate(Struct, frozen=True, rename="camel"):
    """One change of an order's status, as pushed by ``orderUpdates``."""

    order: BasicOrder
    status: str
    status_timestamp: int


class HistoricalOrder(Struct, frozen=True, rename="camel"):
    """One change of an order's status, as kept in histories."""

    order: FrontendOrder
    status: str
    status_timestamp: int


class OrderHistory(Struct, frozen=True, rename="camel"):
    """Data of a ``userHistoricalOrders`` frame; ``is_snapshot`` only in the first."""

    user: Address
    order_history: list[HistoricalOrder]
    is_snapshot: bool | UnsetType = UNSET


class OrderFound(Struct, frozen=True):
    """Answer of ``orderStatus``."""

    order: HistoricalOrder
    status: str = "order"


class OrderUnknown(Struct, frozen=True):
    """Answer of ``orderStatus`` for an order that is not of this account or never got an id."""

    status: str = "unknownOid"


class OpenOrdersShape(Struct, frozen=True):
    """Data of an ``openOrders`` frame."""

    dex: str
    user: Address
    orders: list[FrontendOrder]


def basic_order(order: OrderRecord, instrument: Instrument) -> BasicOrder:
    """Return an order in short."""
    return BasicOrder(
        instrument.name,
        side_text(order.is_buy),
        price_text(order.price, instrument),
        size_text(order.remaining, instrument),
        order.oid,
        order.placed_ms,
        size_text(order.lots, instrument),
        UNSET if order.cloid is None else order.cloid,
        order.reduce_only or UNSET,
    )


def frontend_order(
    order: OrderRecord, instrument: Instrument, children: tuple[FrontendOrder, ...] = ()
) -> FrontendOrder:
    """Return an order in full."""
    trigger = order.trigger
    return FrontendOrder(
        instrument.name,
        side_text(order.is_buy),
        price_text(order.price, instrument),
        size_text(order.remaining, instrument),
        order.oid,
        order.placed_ms,
        _condition(order, instrument),
        trigger is not None,
        ZERO if trigger is None else price_text(trigger.price, instrument),
        children,
        order.is_position,
        order.reduce_only,
        _order_type(order),
        size_text(order.lots, instrument),
        TIF_TEXT[order.tif] if trigger is None else None,
        order.cloid,
    )


def _condition(order: OrderRecord, instrument: Instrument) -> str:
    """Return the words for what an order waits for."""
    if order.trigger is None:
        return NO_CONDITION
    if order.has_fired:
        return TRIGGERED_CONDITION
    price = price_text(order.trigger.price, instrument).removesuffix(".0")
    return f"Price {'above' if order.trigger.is_above else 'below'} {price}"


def _order_type(order: OrderRecord) -> str:
    if order.trigger is not None:
        kind = "Stop" if order.trigger.is_stop_loss else "Take Profit"
        return f"{kind} {'Market' if order.trigger.is_market else 'Limit'}"
    if order.twap_id is not None:
        return "Twap Slice"
    is_market = order.tif is Tif.FRONTEND_MARKET or order.tif is Tif.LIQUIDATION_MARKET
    return "Market" if is_market else "Limit"


def basic_orders(orders: Iterable[OrderRecord], universe: Universe) -> list[BasicOrder]:
    """Return orders in short, in the order given: the answer of ``openOrders``."""
    return [basic_order(order, universe[order.asset]) for order in orders]


def frontend_orders(orders: Iterable[OrderRecord], universe: Universe) -> list[FrontendOrder]:
    """Return orders in full, in the order given: the answer of ``frontendOpenOrders``.

    Children stand with their parent and again by themselves.
    """
    listed = list(orders)
    children: dict[OrderId, tuple[FrontendOrder, ...]] = {}
    for order in listed:
        if order.parent is not None and not order.is_armed:
            child = frontend_order(order, universe[order.asset])
            children[order.parent] = (*children.get(order.parent, ()), child)
    return [
        frontend_order(order, universe[order.asset], children.get(order.oid, ()))
        for order in listed
    ]


def order_updates(records: Iterable[OrderRecord], universe: Universe) -> list[OrderUpdate]:
    """Return the data of an ``orderUpdates`` frame."""
    return [
        OrderUpdate(basic_order(record, universe[record.asset]), record.status, record.status_ms)
        for record in records
    ]


def historical_order(record: OrderRecord, instrument: Instrument) -> HistoricalOrder:
    """Return one entry of ``historicalOrders``."""
    return HistoricalOrder(frontend_order(record, instrument), record.status, record.status_ms)


def historical_orders(records: Iterable[OrderRecord], universe: Universe) -> list[HistoricalOrder]:
    """Return entries of ``historicalOrders`` in the order given."""
    return [historical_order(record, universe[record.asset]) for record in records]


def order_status(record: OrderRecord | None, universe: Universe) -> OrderFound | OrderUnknown:
    """Return the answer of ``orderStatus`` from the latest record of an order, if there is one."""
    if record is None:
        return OrderUnknown()
    return OrderFound(historical_order(record, universe[record.asset]))


def open_orders(
    user: Address, orders: Iterable[OrderRecord], universe: Universe
) -> OpenOrdersShape:
    """Return the data of an ``openOrders`` frame."""
    return OpenOrdersShape("", user, frontend_orders(orders, universe))


def order_history(
    user: Address, records: Iterable[OrderRecord], universe: Universe, *, is_snapshot: bool = False
) -> OrderHistory:
    """Return the data of a ``userHistoricalOrders`` frame."""
    return OrderHistory(user, historical_orders(records, universe), is_snapshot or UNSET)
