"""An exchange's own blocks in the words of a node's files.

Events put an order on the book whole and take off what it trades; a node tells only what rests in
the end. So an order that has just come is held back until the events of its command that it caused
are over: what is left of it then is new in the book.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET

from model.blocks import Block
from model.commands import Tif
from model.events import Event, Leg, MarketListed, OrderCanceled, OrderPlaced, Traded
from model.ids import OrderId
from model.instruments import Instrument
from model.node.decimals import decimal_text, time_text
from model.node.joiner import NodeBlock
from model.node.lines import Change, Diff, Fill, FillBody, OrderBody, Status
from model.node.writing import NO_HASH
from model.state import RestingOrder
from model.units import format_decimal
from model.universe import Universe
from model.views.open_orders import OPEN, OpenOrders
from model.views.records import (
    OFF_BOOK,
    Moment,
    OrderRecord,
    fill_direction,
    fills_from,
    transaction_hash,
)
from model.views.records import Fill as FillRecord

_TIF: Final = {
    Tif.GTC: "Gtc",
    Tif.IOC: "Ioc",
    Tif.ALO: "Alo",
    Tif.FRONTEND_MARKET: "FrontendMarket",
    Tif.LIQUIDATION_MARKET: "LiquidationMarket",
}
_USD_DECIMALS: Final = 6


class _Resting(msgspec.Struct, gc=False):
    """An order as a node knows it: price and size are integers of 1e-8."""

    coin: str
    oid: int
    user: str
    is_bid: bool
    price: int
    size: int


class Translator:
    """Translates block after block.

    Args:
        universe: the markets, kept by reference; those that are listed later are added here.
        orders: those that rest before the first block.
    """

    def __init__(self, universe: Universe, orders: Iterable[RestingOrder] = ()) -> None:
        self._universe = universe
        known = list(orders)
        self._records = OpenOrders(universe, known)
        self._resting: dict[OrderId, _Resting] = {}
        self._coming: _Resting | None = None
        for order in known:
            self._resting[order.oid] = self._order(order, order.remaining)

    def translate(self, block: Block) -> NodeBlock:
        """Return what a node would write of a block."""
        node = NodeBlock(block.height, block.time_ms, time_text(block.time_ms * 10**6))
        for index, entry in enumerate(block.entries):
            for event in entry.events:
                self._take(event, Moment(block.height, block.time_ms, index), node)
            self._settle(node)
        return node

    def _take(self, event: Event, at: Moment, node: NodeBlock) -> None:
        match event:
            case MarketListed(instrument=instrument):
                if self._universe.get(instrument.asset) is None:
                    self._universe.list(instrument)
            case OrderPlaced():
                self._settle(node)
                self._coming = self._order(event, event.lots)
            case OrderCanceled(oid=oid):
                self._cancel(oid, node)
            case Traded() if event.kind not in OFF_BOOK:
                for leg in (event.taker, event.maker):
                    self._reduce(leg, event, node)
            case _:
                pass
        if isinstance(event, Traded):
            self._tell_fills(event, at, node)
        for record in self._records.apply(event, at.time_ms):
            if record.status != OPEN or record.remaining == record.lots:
                node.statuses.append(self._status(record, node, at))

    # -- the book

    def _order(self, order: RestingOrder | OrderPlaced, lots: int) -> _Resting:
        instrument = self._instrument(order.asset)
        return _Resting(
            instrument.name,
            order.oid,
            order.account,
            order.is_buy,
            order.price * instrument.tick_e8,
            lots * instrument.lot_e8,
        )

    def _settle(self, node: NodeBlock) -> None:
        """Put what is left of the order that came last into the book."""
        coming, self._coming = self._coming, None
        if coming is not None and coming.size:
            self._resting[OrderId(coming.oid)] = coming
            self._tell(node, coming, Change.NEW, coming.size)

    def _cancel(self, oid: OrderId, node: NodeBlock) -> None:
        if self._coming is not None and self._coming.oid == oid:
            self._coming = None
            return
        order = self._resting.pop(oid, None)
        if order is not None:
            self._tell(node, order, Change.REMOVE)

    def _reduce(self, leg: Leg, event: Traded, node: NodeBlock) -> None:
        size = event.lots * self._instrument(event.asset).lot_e8
        coming = self._coming
        if coming is not None and coming.oid == leg.oid:
            coming.size -= size
            return
        order = self._resting.get(leg.oid)
        if order is None:
            return
        before, order.size = order.size, order.size - size
        if order.size:
            self._tell(node, order, Change.UPDATE, order.size, before)
        else:
            del self._resting[leg.oid]
            self._tell(node, order, Change.REMOVE)

    def _tell(
        self, node: NodeBlock, order: _Resting, change: Change, size: int = 0, before: int = 0
    ) -> None:
        node.diffs.append(
            Diff(order.coin, order.oid, order.user, order.is_bid, order.price, change, size, before)
        )

    # -- statuses and fills

    def _status(self, record: OrderRecord, node: NodeBlock, at: Moment) -> Status:
        instrument = self._instrument(record.asset)
        trigger = record.trigger
        body = OrderBody(
            instrument.name,
            "B" if record.is_buy else "A",
            decimal_text(record.price * instrument.tick_e8),
            decimal_text(record.remaining * instrument.lot_e8),
            record.oid,
            record.placed_ms,
            trigger_condition="N/A" if trigger is None else "Triggered",
            is_trigger=trigger is not None and not record.has_fired,
            is_position_tpsl=record.is_position,
            reduce_only=record.reduce_only,
            order_type="Limit",
            orig_sz=decimal_text(record.lots * instrument.lot_e8),
            tif=None if trigger is not None and not record.has_fired else _TIF[record.tif],
            cloid=record.cloid,
        )
        is_open = record.status == OPEN
        hash_text = transaction_hash(at.height, at.index) if is_open else None
        return Status(node.block_time, record.account, record.status, body, hash_text)

    def _tell_fills(self, event: Traded, at: Moment, node: NodeBlock) -> None:
        """Both sides, the buyer's first."""
        for record in sorted(fills_from(event, at), key=lambda fill: not fill.is_buy):
            node.fills.append(self._fill(record, at))

    def _fill(self, record: FillRecord, at: Moment) -> Fill:
        instrument = self._instrument(record.asset)
        price, size = record.price * instrument.tick_e8, record.lots * instrument.lot_e8
        fee_decimals = 8 if instrument.is_spot else _USD_DECIMALS
        body = FillBody(
            coin=instrument.name,
            px=decimal_text(price),
            sz=decimal_text(size),
            side="B" if record.is_buy else "A",
            time=record.time_ms,
            start_position=decimal_text(record.start_position * instrument.lot_e8),
            dir=fill_direction(record),
            closed_pnl=format_decimal(record.closed_pnl, _USD_DECIMALS),
            hash=transaction_hash(at.height, at.index) if at.height else NO_HASH,
            oid=record.oid,
            crossed=record.crossed,
            fee=format_decimal(record.fee, fee_decimals),
            tid=record.tid,
            fee_token=self._fee_token(record, instrument),
            cloid=UNSET if record.cloid is None else record.cloid,
            twap_id=record.twap_id,
        )
        return Fill(record.account, price, size, record.is_buy, body)

    def _fee_token(self, record: FillRecord, instrument: Instrument) -> str:
        if instrument.base is None or not record.is_buy:
            return "USDC"
        token = self._universe.token(instrument.base)
        return "USDC" if token is None else token.name

    def _instrument(self, asset: int) -> Instrument:
        instrument = self._universe.get(asset)  # type: ignore[arg-type]  # from an event
        assert instrument is not None
        return instrument
