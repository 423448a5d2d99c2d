"""From the wire form of what takes effect later to its canonical form and its command."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from api.exchange.money_canonical import Head
from api.exchange.timed_wire import (
    ScheduleCancelAction,
    TwapCancelAction,
    TwapDetailsWire,
    TwapOrderAction,
)
from api.exchange.values import read_decimal, u64
from model.commands import CancelTwap, ClientCommand, PlaceTwap, ScheduleCancel
from model.ids import AssetId

DETAILS_NOT_OFFERED: Final = "TWAP orders with a trigger or a stop price are not offered."

TimedAction = ScheduleCancelAction | TwapOrderAction | TwapCancelAction


def read_timed_action(action: TimedAction, head: Head) -> tuple[TimedAction, ClientCommand]:
    """Return the canonical form of an action and the command it asks for.

    Raises:
        MalformedDecimalError, UnreadableValueError: a field has no possible value.
    """
    match action:
        case ScheduleCancelAction(time=time):
            return action, ScheduleCancel(*head, None if time is None else u64(time))
        case TwapCancelAction(asset=asset, twap_id=twap_id):
            return action, CancelTwap(*head, AssetId(asset), u64(twap_id))
        case TwapOrderAction(twap=twap, details=details):
            size_e8, size = read_decimal(twap.size)
            command = PlaceTwap(
                *head,
                AssetId(twap.asset),
                twap.is_buy,
                size_e8,
                twap.reduce_only,
                u64(twap.minutes),
                twap.randomize,
            )
            canonical = structs.replace(
                action,
                twap=structs.replace(twap, size=size),
                details=None if details is None else _canonical_details(details),
            )
            return canonical, command


def _canonical_details(details: TwapDetailsWire) -> TwapDetailsWire:
    trigger, stop = details.trigger, details.stop
    if trigger is not None:
        trigger = structs.replace(trigger, price=read_decimal(trigger.price)[1])
    return TwapDetailsWire(trigger, None if stop is None else read_decimal(stop)[1])


def timed_refusal(action: object) -> str | None:
    """Say what of an action is not offered here, whoever signed it."""
    if isinstance(action, TwapOrderAction) and action.details is not None:
        details = action.details
        if details.trigger is not None or details.stop is not None:
            return DETAILS_NOT_OFFERED
    return None
