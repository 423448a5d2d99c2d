"""Fills and events of an account on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from api.wire.decimals import price_text, size_text, token_text, usd_text
from api.wire.market import side_text
from model.events import CancelReason, TradeKind
from model.ids import USDC, Address, Cloid, OrderId
from model.instruments import Instrument
from model.units import format_decimal
from model.universe import Universe
from model.views.open_orders import CANCEL_STATUS
from model.views.records import Fill, OrderRecord, fill_direction, fill_hash
from model.views.summary import round_half_up

AVERAGE_PRICE_DECIMALS: Final = 8

NOT_BY_THE_USER: Final = frozenset(
    CANCEL_STATUS[reason]
    for reason in (
        CancelReason.SELF_TRADE,
        CancelReason.MARGIN,
        CancelReason.REDUCE_ONLY,
        CancelReason.LIQUIDATED,
        CancelReason.SIBLING_FILLED,
        CancelReason.OPEN_INTEREST,
    )
)
"""Statuses of orders that the exchange canceled of its own accord."""

LIQUIDATION_METHODS: Final = {
    TradeKind.LIQUIDATION: "market",
    TradeKind.BACKSTOP: "backstop",
}
"""How a position was liquidated, by the kind of trade; other kinds show nothing of it."""


class LiquidationShape(Struct, frozen=True, rename="camel"):
    """Who was liquidated by a fill, and how."""

    liquidated_user: Address
    mark_px: str
    method: str


class FillShape(Struct, frozen=True, rename="camel"):
    """A fill. ``cloid`` is absent if its order had none, ``liquidation`` if nobody was."""

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
    twap_id: int | None
    cloid: Cloid | UnsetType = UNSET
    liquidation: LiquidationShape | UnsetType = UNSET


class UserFills(Struct, frozen=True, rename="camel"):
    """Data of a ``userFills`` frame. ``is_snapshot`` is absent in all but the first."""

    user: Address
    fills: list[FillShape]
    is_snapshot: bool | UnsetType = UNSET


class FillEvents(Struct, frozen=True):
    """Data of a ``user`` frame that tells of fills."""

    fills: list[FillShape]


class SliceFill(Struct, frozen=True, rename="camel"):
    """A fill of a TWAP's slice."""

    fill: FillShape
    twap_id: int | None


class SliceFills(Struct, frozen=True, rename="camel"):
    """Data of a ``userTwapSliceFills`` frame."""

    user: Address
    twap_slice_fills: list[SliceFill]
    is_snapshot: bool | UnsetType = UNSET


class SliceEvents(Struct, frozen=True, rename="camel"):
    """Data of a ``user`` frame that tells of slices."""

    twap_slice_fills: list[SliceFill]


class CanceledOrder(Struct, frozen=True):
    """An order that the exchange canceled."""

    coin: str
    oid: OrderId


class CancelEvents(Struct, frozen=True, rename="camel"):
    """Data of a ``user`` frame that tells of orders that the exchange canceled."""

    non_user_cancel: list[CanceledOrder]


def fill(record: Fill, universe: Universe) -> FillShape:
    """Return a fill."""
    instrument = universe[record.asset]
    return FillShape(
        instrument.name,
        price_text(record.price, instrument),
        size_text(record.lots, instrument),
        side_text(record.is_buy),
        record.time_ms,
        size_text(record.start_position, instrument),
        fill_direction(record),
        usd_text(record.closed_pnl),
        fill_hash(record),
        record.oid,
        record.crossed,
        token_text(record.fee) if instrument.is_spot else usd_text(record.fee),
        record.tid,
        _fee_token(record, instrument, universe),
        record.twap_id,
        UNSET if record.cloid is None else record.cloid,
        _liquidation(record, instrument),
    )


def _fee_token(record: Fill, instrument: Instrument, universe: Universe) -> str:
    """Return the token of a fee: of a pair the one that was received."""
    token = instrument.base if record.is_buy and instrument.base is not None else USDC
    return universe.tokens[token].name


def _liquidation(record: Fill, instrument: Instrument) -> LiquidationShape | UnsetType:
    method = LIQUIDATION_METHODS.get(record.kind)
    if method is None or record.liquidated is None:
        return UNSET
    return LiquidationShape(record.liquidated, price_text(record.mark, instrument), method)


def fills(records: Iterable[Fill], universe: Universe, *, by_time: bool = False) -> list[FillShape]:
    """Return fills in the order given; with ``by_time`` those of one order at one moment as one."""
    if not by_time:
        return [fill(record, universe) for record in records]
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


def slice_fills(records: Iterable[Fill], universe: Universe) -> list[SliceFill]:
    """Return the fills of slices in the order given: the answer of ``userTwapSliceFills``."""
    return [
        SliceFill(fill(record, universe), record.twap_id)
        for record in records
        if record.twap_id is not None
    ]


def slice_fills_frame(
    user: Address, records: Iterable[Fill], universe: Universe, *, is_snapshot: bool = False
) -> SliceFills:
    """Return the data of a ``userTwapSliceFills`` frame."""
    return SliceFills(user, slice_fills(records, universe), is_snapshot or UNSET)


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
    return replace(fill(whole, universe), px=average)
