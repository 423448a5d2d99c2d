"""Orders on the wire: the short form of updates, and the long form of front ends and histories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, price_text, size_text
from api.wire.market import side_text
from model.commands import Tif
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument
from model.state import RestingOrder
from model.universe import Universe
from model.views.records import OrderRecord

AnyOrder: TypeAlias = RestingOrder | OrderRecord
"""Both name the facts of an order alike."""

TIF_TEXT: Final = {
    Tif.GTC: "Gtc",
    Tif.IOC: "Ioc",
    Tif.ALO: "Alo",
    Tif.FRONTEND_MARKET: "FrontendMarket",
}


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
    """An order in full, every key present; those of trigger orders are constant here."""

    coin: str
    side: str
    limit_px: str
    sz: str
    oid: OrderId
    timestamp: int
    trigger_condition: str
    is_trigger: bool
    trigger_px: str
    children: tuple[()]
    is_position_tpsl: bool
    reduce_only: bool
    order_type: str
    orig_sz: str
    tif: str
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


def basic_order(order: AnyOrder, instrument: Instrument) -> BasicOrder:
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


def frontend_order(order: AnyOrder, instrument: Instrument) -> FrontendOrder:
    """Return an order in full."""
    return FrontendOrder(
        instrument.name,
        side_text(order.is_buy),
        price_text(order.price, instrument),
        size_text(order.remaining, instrument),
        order.oid,
        order.placed_ms,
        "N/A",
        False,
        ZERO,
        (),
        False,
        order.reduce_only,
        "Market" if order.tif is Tif.FRONTEND_MARKET else "Limit",
        size_text(order.lots, instrument),
        TIF_TEXT[order.tif],
        order.cloid,
    )


def basic_orders(orders: Iterable[AnyOrder], universe: Universe) -> list[BasicOrder]:
    """Return orders in short, in the order given: the answer of ``openOrders``."""
    return [basic_order(order, universe[order.asset]) for order in orders]


def frontend_orders(orders: Iterable[AnyOrder], universe: Universe) -> list[FrontendOrder]:
    """Return orders in full, in the order given: the answer of ``frontendOpenOrders``."""
    return [frontend_order(order, universe[order.asset]) for order in orders]


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


def open_orders(user: Address, orders: Iterable[AnyOrder], universe: Universe) -> OpenOrdersShape:
    """Return the data of an ``openOrders`` frame."""
    return OpenOrdersShape("", user, frontend_orders(orders, universe))
