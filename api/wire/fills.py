"""Fills and events of an account on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from api.wire.decimals import price_text, size_text, usd_text
from api.wire.market import side_text
from model.events import CancelReason
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument
from model.units import format_decimal
from model.universe import Universe
from model.views.open_orders import CANCEL_STATUS
from model.views.records import Fill, OrderRecord, fill_direction, transaction_hash
from model.views.summary import round_half_up

AVERAGE_PRICE_DECIMALS: Final = 8

NOT_BY_THE_USER: Final = frozenset(
    CANCEL_STATUS[reason]
    for reason in (CancelReason.SELF_TRADE, CancelReason.MARGIN, CancelReason.REDUCE_ONLY)
)
"""Statuses of orders that the exchange canceled of its own accord."""


class FillShape(Struct, frozen=True, rename="camel"):
    """A fill. ``cloid`` is absent if its order had none."""

    coin: str
    px: str
    sz: str
    side: str
    time: int
    start_position: str
    dir: str
    closed_pnl: str
    hash: str
    oid: OrderId
    crossed: bool
    fee: str
    tid: int
    fee_token: str
    twap_id: None
    cloid: Cloid | UnsetType = UNSET


class UserFills(Struct, frozen=True, rename="camel"):
    """Data of a ``userFills`` frame. ``is_snapshot`` is absent in all but the first."""

    user: Address
    fills: list[FillShape]
    is_snapshot: bool | UnsetType = UNSET


class FillEvents(Struct, frozen=True):
    """Data of a ``user`` frame that tells of fills."""

    fills: list[FillShape]


class CanceledOrder(Struct, frozen=True):
    """An order that the exchange canceled."""

    coin: str
    oid: OrderId


class CancelEvents(Struct, frozen=True, rename="camel"):
    """Data of a ``user`` frame that tells of orders that the exchange canceled."""

    non_user_cancel: list[CanceledOrder]


def fill(record: Fill, instrument: Instrument) -> FillShape:
    """Return a fill."""
    return FillShape(
        instrument.name,
        price_text(record.price, instrument),
        size_text(record.lots, instrument),
        side_text(record.is_buy),
        record.time_ms,
        size_text(record.start_position, instrument),
        fill_direction(record),
        usd_text(record.closed_pnl),
        transaction_hash(record.height, record.index),
        record.oid,
        record.crossed,
        usd_text(record.fee),
        record.tid,
        "USDC",
        None,
        UNSET if record.cloid is None else record.cloid,
    )


def fills(records: Iterable[Fill], universe: Universe, *, by_time: bool = False) -> list[FillShape]:
    """Return fills in the order given; with ``by_time`` those of one order at one moment as one."""
    if not by_time:
        return [fill(record, universe[record.asset]) for record in records]
    groups = groupby(records, key=lambda record: (record.oid, record.time_ms, record.crossed))
    return [_merged([*group], universe) for _, group in groups]


def user_fills(
    user: Address,
    records: Iterable[Fill],
    universe: Universe,
    *,
    is_snapshot: bool = False,
    by_time: bool = False,
) -> UserFills:
    """Return the data of a ``userFills`` frame."""
    return UserFills(user, fills(records, universe, by_time=by_time), is_snapshot or UNSET)


def fill_events(records: Iterable[Fill], universe: Universe) -> FillEvents:
    """Return the data of a ``user`` frame that tells of fills."""
    return FillEvents(fills(records, universe))


def cancel_events(records: Iterable[OrderRecord], universe: Universe) -> CancelEvents | None:
    """Return the data of a ``user`` frame for the orders that the exchange canceled, if any."""
    canceled = [
        CanceledOrder(universe[record.asset].name, record.oid)
        for record in records
        if record.status in NOT_BY_THE_USER
    ]
    return CancelEvents(canceled) if canceled else None


def _merged(records: list[Fill], universe: Universe) -> FillShape:
    """Return fills of one order at one moment as one: sizes summed, price averaged (half up)."""
    first = min(records, key=lambda record: record.tid)
    instrument = universe[first.asset]
    lots = sum(record.lots for record in records)
    notional = sum(record.lots * record.price for record in records)
    whole = replace(
        first,
        lots=lots,
        closed_pnl=sum(record.closed_pnl for record in records),
        fee=sum(record.fee for record in records),
    )
    scale = 10 ** (AVERAGE_PRICE_DECIMALS - instrument.price_decimals)
    average = format_decimal(round_half_up(notional * scale, lots), AVERAGE_PRICE_DECIMALS)
    return replace(fill(whole, instrument), px=average)
