"""The orders of an account, or of all, that are open: the fold that makes records of orders.

It is the only place that knows what an order's status becomes when an event touches it, so the
history, the account and the streams cannot disagree.

An immediate order never rests, so it gets no record before its last one: *filled*, or *canceled*
with what it could not fill. A partial fill of any other order is a record *open* with a smaller
remainder. A trigger is *open* from the start, *triggered* when it fires, and goes on as the order
that it became, under the same id.

Source of the statuses: Hyperliquid API documentation, order statuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from model.commands import Tif
from model.events import (
    CancelReason,
    Event,
    Leg,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TriggerArmed,
    TriggerFailed,
    TriggerFired,
    TriggerPlaced,
    TriggerTerms,
)
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument
from model.refusals import WIRE
from model.state import RestingOrder, TriggerOrder
from model.universe import Universe
from model.views.records import NO_ORDER_ID, OrderRecord

OPEN: Final = "open"
FILLED: Final = "filled"
TRIGGERED: Final = "triggered"
REJECTED: Final = "rejected"
CANCEL_STATUS: Final[dict[CancelReason, str]] = {
    CancelReason.CANCELED: "canceled",
    CancelReason.IOC_REMAINDER: "canceled",
    CancelReason.SELF_TRADE: "selfTradeCanceled",
    CancelReason.MARGIN: "marginCanceled",
    CancelReason.REDUCE_ONLY: "reduceOnlyCanceled",
    CancelReason.MODIFIED: "canceled",
    CancelReason.SCHEDULED: "scheduledCancel",
    CancelReason.LIQUIDATED: "liquidatedCanceled",
    CancelReason.SIBLING_FILLED: "siblingFilledCanceled",
    CancelReason.PARENT_CANCELED: "canceled",
    CancelReason.POSITION_CLOSED: "reduceOnlyCanceled",
    CancelReason.OPEN_INTEREST: "openInterestCapCanceled",
}
"""Status of an order that is gone without being filled."""

NOTHING_FOUND_STATUS: Final[dict[Tif, str]] = {
    Tif.IOC: "iocCancelRejected",
    Tif.FRONTEND_MARKET: "marketOrderNoLiquidityRejected",
    Tif.LIQUIDATION_MARKET: "canceled",
}
"""Status of an immediate order that met nobody; a client was answered with an error."""


class OpenOrders:
    """The orders that are open, kept by applying events, and the records that the changes give.

    With ``account`` only that account's orders are followed and recorded. ``universe`` is
    kept by reference, so that markets listed later are seen. Events of orders that are not known
    are left out: they belong to other accounts. Orders iterate in the order of their ids, oldest
    first, and so do ``triggers``.

    ``known`` are records of orders in ``orders``: a state does not tell which of them came of a
    trigger.
    """

    __slots__ = ("_account", "_orders", "_origins", "_twaps", "_universe", "triggers")

    def __init__(
        self,
        universe: Universe,
        orders: Iterable[RestingOrder] = (),
        triggers: Iterable[TriggerOrder] = (),
        *,
        account: Address | None = None,
        known: Iterable[OrderRecord] = (),
    ) -> None:
        self._universe = universe
        self._account = account
        self._orders: dict[OrderId, RestingOrder] = {
            order.oid: order for order in sorted(orders, key=_by_id)
        }
        self.triggers: dict[OrderId, TriggerOrder] = {
            trigger.oid: trigger for trigger in sorted(triggers, key=_by_id)
        }
        self._origins: dict[OrderId, TriggerOrder] = {
            record.oid: trigger_of(record, record.trigger)
            for record in known
            if record.trigger is not None and record.oid in self._orders
        }
        self._twaps: dict[OrderId, int] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[RestingOrder]:
        return iter(self._orders.values())

    def get(self, oid: OrderId) -> RestingOrder | None:
        """Return an open order that is or could be in the book, or None."""
        return self._orders.get(oid)

    def by_cloid(self, account: Address, cloid: Cloid) -> RestingOrder | None:
        """Return the open order of an account with that client id, or None. Linear in orders."""
        for order in self._orders.values():
            if order.cloid == cloid and order.account == account:
                return order
        return None

    def records(self) -> list[OrderRecord]:
        """Return the open orders as records, those that wait for a price included, oldest first."""
        resting = [self._record(order, OPEN, order.placed_ms) for order in self]
        waiting = [trigger_record(order, OPEN, order.placed_ms) for order in self.triggers.values()]
        return sorted([*resting, *waiting], key=_by_id)

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
            case TriggerPlaced() | TriggerArmed() | TriggerFired() | TriggerFailed():
                change = self._trigger(event, time_ms)
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
        if event.twap_id is not None:
            self._twaps[event.oid] = event.twap_id
        return None if is_immediate(event.tif) else self._record(order, OPEN, time_ms)

    def _filled(self, leg: Leg, lots: int, time_ms: int) -> OrderRecord | None:
        order = self._orders.get(leg.oid)
        if order is None:
            return None
        left = replace(order, remaining=order.remaining - lots)
        if left.remaining == 0:
            del self._orders[leg.oid]
            return self._last_record(left, FILLED, time_ms)
        self._orders[leg.oid] = left
        return None if is_immediate(order.tif) else self._record(left, OPEN, time_ms)

    def _canceled(self, event: OrderCanceled, time_ms: int) -> OrderRecord | None:
        order = self._orders.pop(event.oid, None)
        if order is not None:
            status = _status_of_canceled(order, event)
            return self._last_record(replace(order, remaining=event.remaining), status, time_ms)
        trigger = self.triggers.pop(event.oid, None)
        if trigger is None:
            return None
        return trigger_record(trigger, CANCEL_STATUS[event.reason], time_ms)

    def _trigger(
        self, event: TriggerPlaced | TriggerArmed | TriggerFired | TriggerFailed, time_ms: int
    ) -> OrderRecord | None:
        oid = event.oid
        if isinstance(event, TriggerPlaced):
            if self._account is not None and event.account != self._account:
                return None
            self.triggers[oid] = placed = _trigger_from(event, time_ms)
            return trigger_record(placed, OPEN, time_ms)
        if isinstance(event, TriggerFailed):
            failed = self._origins.pop(oid, None) or self.triggers.pop(oid, None)
            status = WIRE[event.reason].status or REJECTED
            return None if failed is None else trigger_record(failed, status, time_ms, fired=True)
        trigger = self.triggers.get(oid)
        if trigger is None:
            return None
        if isinstance(event, TriggerArmed):
            self.triggers[oid] = replace(trigger, is_armed=True)
            return None
        self._origins[oid] = self.triggers.pop(oid)
        return trigger_record(trigger, TRIGGERED, time_ms, fired=True)

    def _refused(self, event: OrderRefused, time_ms: int) -> OrderRecord | None:
        if self._account is not None and event.account != self._account:
            return None
        instrument = self._universe.get(event.spec.asset)
        return None if instrument is None else refused_order(event, instrument, time_ms)

    def _last_record(self, order: RestingOrder, status: str, time_ms: int) -> OrderRecord:
        record = self._record(order, status, time_ms)
        self._origins.pop(order.oid, None)
        self._twaps.pop(order.oid, None)
        return record

    def _record(self, order: RestingOrder, status: str, time_ms: int) -> OrderRecord:
        oid = order.oid
        record = order_record(order, status, time_ms)
        origin, twap_id = self._origins.get(oid), self._twaps.get(oid)
        if origin is None and twap_id is None:
            return record
        if origin is None:
            return replace(record, twap_id=twap_id)
        return replace(
            record,
            placed_ms=origin.placed_ms,
            trigger=origin.terms,
            has_fired=True,
            is_position=origin.is_position,
            parent=origin.parent,
        )


def _status_of_canceled(order: RestingOrder, event: OrderCanceled) -> str:
    """Return the status of an order that is gone; an immediate one that met nobody was refused."""
    if event.reason is CancelReason.IOC_REMAINDER and event.remaining == order.lots:
        return NOTHING_FOUND_STATUS[order.tif]
    return CANCEL_STATUS[event.reason]


def _by_id(order: RestingOrder | TriggerOrder | OrderRecord) -> OrderId:
    return order.oid


def is_immediate(tif: Tif) -> bool:
    """Tell whether an order of that time in force never rests."""
    return tif is Tif.IOC or tif is Tif.FRONTEND_MARKET or tif is Tif.LIQUIDATION_MARKET


def order_record(order: RestingOrder, status: str, status_ms: int) -> OrderRecord:
    """Return the record of an order at a status."""
    return OrderRecord(
        order.account,
        order.asset,
        order.oid,
        order.cloid,
        order.is_buy,
        order.price,
        order.lots,
        order.remaining,
        order.tif,
        order.reduce_only,
        order.placed_ms,
        status,
        status_ms,
    )


def trigger_record(
    order: TriggerOrder, status: str, status_ms: int, *, fired: bool = False
) -> OrderRecord:
    """Return the record of an order that waits for a price, or has just found it."""
    return OrderRecord(
        order.account,
        order.asset,
        order.oid,
        order.cloid,
        order.is_buy,
        order.price,
        order.lots,
        order.lots,
        Tif.FRONTEND_MARKET if order.terms.is_market else Tif.GTC,
        order.reduce_only,
        order.placed_ms,
        status,
        status_ms,
        order.terms,
        fired,
        order.is_position,
        order.parent,
        order.is_armed,
    )


def resting_of(record: OrderRecord) -> RestingOrder:
    """Return the order that a record with the status *open* is about."""
    return RestingOrder(
        record.asset,
        record.account,
        record.oid,
        record.is_buy,
        record.price,
        record.lots,
        record.remaining,
        record.tif,
        record.reduce_only,
        record.cloid,
        record.placed_ms,
    )


def trigger_of(record: OrderRecord, terms: TriggerTerms) -> TriggerOrder:
    """Return the trigger that a record is about, or that its order came of."""
    return TriggerOrder(
        record.asset,
        record.account,
        record.oid,
        record.is_buy,
        record.price,
        record.lots,
        record.reduce_only,
        record.cloid,
        terms,
        record.parent,
        record.is_position,
        record.is_armed,
        record.placed_ms,
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
        None if spec.trigger is None else _terms_asked(event, instrument),
    )


def _terms_asked(event: OrderRefused, instrument: Instrument) -> TriggerTerms:
    spec, asked = event.spec, event.spec.trigger
    assert asked is not None
    return TriggerTerms(
        asked.price_e8 // instrument.tick_e8,
        spec.is_buy is asked.is_stop_loss,
        asked.is_market,
        asked.is_stop_loss,
    )


def _trigger_from(event: TriggerPlaced, time_ms: int) -> TriggerOrder:
    return TriggerOrder(
        event.asset,
        event.account,
        event.oid,
        event.is_buy,
        event.price,
        event.lots,
        event.reduce_only,
        event.cloid,
        event.terms,
        event.parent,
        event.is_position,
        event.is_armed,
        time_ms,
    )
