"""Order entry, the way back: from what the exchange did to the body of the answer.

The events of one command are folded into one status per entry of the request, in its order. A
status says how its entry stood when the exchange was done with it: an order that rested and fell to
a later order of the same batch still answers as resting, and its owner learns the rest from the
order updates. Source: Hyperliquid API documentation, exchange endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from api.actions import SignedRequest
from model.commands import (
    CancelOrders,
    CancelTwap,
    CreateSubAccount,
    ModifyOrders,
    PlaceOrders,
    PlaceTwap,
    Tif,
)
from model.events import (
    CancelReason,
    CancelRefused,
    CommandRefused,
    Event,
    Liquidated,
    ModifyRefused,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    SubAccountCreated,
    Traded,
    TriggerPlaced,
    TwapEnded,
    TwapRefused,
    TwapStarted,
)
from model.ids import AssetId
from model.instruments import Instrument
from model.refusals import Refusal, refusal_text
from model.units import format_decimal

Instruments: TypeAlias = Callable[[AssetId], Instrument]
"""Finds the instrument of an asset that orders were placed in."""

Status: TypeAlias = str | dict[str, Any]

AVERAGE_PRICE_DECIMALS: Final = 8
"""Decimals of ``avgPx``, rounded half up: two more than any tick has, and all that a decimal of the
wire may have."""

MODIFY_FAILED: Final = "Error placing new order during modify: {0}"

_UNFILLED: Final = {
    CancelReason.MARGIN: Refusal.MARGIN_TOO_LOW,
    CancelReason.REDUCE_ONLY: Refusal.REDUCE_ONLY_INCREASES,
    CancelReason.OPEN_INTEREST: Refusal.OPEN_INTEREST_AT_CAP,
}
"""How an order that was accepted, met nobody and was gone at once is told. All others found nothing
to match."""

_encode = msgspec.json.Encoder().encode
DEFAULT_ANSWER: Final = _encode({"status": "ok", "response": {"type": "default"}})


def answer(request: SignedRequest, events: Sequence[Event], instruments: Instruments) -> bytes:
    """Return the JSON answer to a request, given all events that its command caused.

    Raises:
        AssertionError: the events are not those of the request's command.
    """
    refused = next((event for event in events if isinstance(event, CommandRefused)), None)
    if refused is not None:
        return refusal_answer(refusal_text(refused.reason, refused.detail))
    match request.draft:
        case PlaceOrders(orders=orders):
            return _statuses_answer("order", order_statuses(events, instruments), len(orders))
        case CancelOrders(cancels=cancels):
            return _statuses_answer("cancel", cancel_statuses(events), len(cancels))
        case ModifyOrders(modifies=modifies):
            statuses = order_statuses(events, instruments, MODIFY_FAILED)
            if request.kind == "modify":
                return _modify_answer(statuses)
            return _statuses_answer("order", statuses, len(modifies))
        case PlaceTwap() | CancelTwap():
            return _kind_answer(request.kind, {"status": twap_status(events)})
        case CreateSubAccount():
            created = next(event for event in events if isinstance(event, SubAccountCreated))
            return _kind_answer(request.kind, created.account)
        case _:
            return DEFAULT_ANSWER


def refusal_answer(text: str) -> bytes:
    """Return the answer to a request that was refused as a whole."""
    return _encode({"status": "err", "response": text})


def cancel_statuses(events: Sequence[Event]) -> list[Status]:
    """Return one status per entry of a cancel."""
    statuses: list[Status] = []
    for event in events:
        match event:
            case OrderCanceled(reason=CancelReason.CANCELED):
                statuses.append("success")
            case CancelRefused(reason=reason, asset=asset):
                statuses.append(_error(refusal_text(reason, asset=asset)))
            case _:
                pass
    return statuses


def order_statuses(
    events: Sequence[Event], instruments: Instruments, error_form: str = "{0}"
) -> list[Status]:
    """Return one status per entry of an order, or of a modify.

    What becomes of an accepted order stands between its head and the next one. ``error_form`` is
    put round the error of an order that was refused, not round that of an order that could not be
    modified. Liquidations that the trades called for come last and answer nothing.
    """
    entries: list[_Placement | Status] = []
    latest: _Placement | None = None
    for event in events:
        match event:
            case OrderPlaced():
                latest = _Placement(event)
                entries.append(latest)
            case TriggerPlaced():
                entries.append(_trigger_status(event))
            case OrderRefused():
                entries.append(_error(error_form.format(_order_refusal(event, instruments))))
            case ModifyRefused(reason=reason):
                entries.append(_error(refusal_text(reason)))
            case Traded() if latest is not None:
                latest.add_trade(event)
            case OrderCanceled() if latest is not None:
                latest.add_cancel(event)
            case Liquidated():
                break
            case _:
                pass
    return [
        entry.status(instruments, error_form) if isinstance(entry, _Placement) else entry
        for entry in entries
    ]


def twap_status(events: Sequence[Event]) -> Status:
    """Return the status of a TWAP that was asked for, or was to be ended."""
    for event in events:
        match event:
            case TwapStarted(twap_id=twap_id):
                return {"running": {"twapId": twap_id}}
            case TwapEnded():
                return "success"
            case TwapRefused(reason=reason, detail=detail, asset=asset):
                return _error(refusal_text(reason, detail, asset))
            case _:
                pass
    raise AssertionError("a TWAP has one outcome")


def _trigger_status(event: TriggerPlaced) -> Status:
    """Say what a trigger waits for. Only one that stands alone tells its id."""
    if event.parent is None and not event.is_position:
        body: dict[str, Any] = {"oid": event.oid}
        if event.cloid is not None:
            body["cloid"] = event.cloid
        return {"resting": body}
    return "waitingForTrigger" if event.is_armed else "waitingForFill"


class _Placement:
    """An accepted order while its consequences are being read.

    Mutable, and with slots: one for every order that is answered.
    """

    __slots__ = ("canceled", "filled_lots", "notional", "placed")

    def __init__(self, placed: OrderPlaced) -> None:
        self.placed = placed
        self.filled_lots = 0
        self.notional = 0
        self.canceled: CancelReason | None = None

    def add_trade(self, trade: Traded) -> None:
        if trade.taker.oid == self.placed.oid:
            self.filled_lots += trade.lots
            self.notional += trade.lots * trade.price

    def add_cancel(self, cancel: OrderCanceled) -> None:
        # The next entry of the request may modify this very order, but not change its answer.
        if cancel.oid == self.placed.oid and cancel.reason is not CancelReason.MODIFIED:
            self.canceled = cancel.reason

    def status(self, instruments: Instruments, error_form: str) -> Status:
        placed = self.placed
        body: dict[str, Any] = {"oid": placed.oid}
        if placed.cloid is not None:
            body["cloid"] = placed.cloid
        if self.canceled is None and self.filled_lots < placed.lots:
            return {"resting": body}
        if self.filled_lots == 0:
            return _error(error_form.format(self._unfilled_text()))
        instrument = instruments(placed.asset)
        total = format_decimal(self.filled_lots, instrument.size_decimals)
        average = average_price(self.notional, self.filled_lots, instrument.price_decimals)
        return {"filled": {"totalSz": total, "avgPx": average, **body}}

    def _unfilled_text(self) -> str:
        nothing = (
            Refusal.MARKET_FOUND_NOTHING
            if self.placed.tif is Tif.FRONTEND_MARKET
            else Refusal.IOC_FOUND_NOTHING
        )
        assert self.canceled is not None, "an order of no lots was accepted"
        return refusal_text(_UNFILLED.get(self.canceled, nothing), asset=self.placed.asset)


def average_price(notional: int, lots: int, price_decimals: int) -> str:
    """Return the average price, a decimal text, of lots that cost ``notional`` ticks times lots.

    Rounded half up to AVERAGE_PRICE_DECIMALS.
    """
    scaled = notional * 10 ** (AVERAGE_PRICE_DECIMALS - price_decimals)
    return format_decimal((2 * scaled + lots) // (2 * lots), AVERAGE_PRICE_DECIMALS)


def _order_refusal(event: OrderRefused, instruments: Instruments) -> str:
    """Return the text of a refused order. Only the details of a post-only one are prices."""
    asset = event.spec.asset
    detail: Sequence[int | str] = event.detail
    if event.reason is Refusal.POST_ONLY_WOULD_MATCH:
        decimals = instruments(asset).price_decimals
        detail = [format_decimal(price, decimals) for price in event.detail]
    return refusal_text(event.reason, detail, asset)


def _error(text: str) -> Status:
    return {"error": text}


def _modify_answer(statuses: list[Status]) -> bytes:
    """Answer a single modify: nothing but success, or its error as that of the whole request."""
    assert len(statuses) == 1, "a modify has one outcome"
    match statuses[0]:
        case {"error": str(text)}:
            return refusal_answer(text)
        case _:
            return DEFAULT_ANSWER


def _statuses_answer(kind: str, statuses: list[Status], entries: int) -> bytes:
    assert len(statuses) == entries, "every entry of a request has one outcome"
    return _kind_answer(kind, {"statuses": statuses})


def _kind_answer(kind: str, data: object) -> bytes:
    return _encode({"status": "ok", "response": {"type": kind, "data": data}})
