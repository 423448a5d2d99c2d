"""Wire forms of what takes effect later: scheduled cancels and TWAPs.

As in ``api.exchange.wire``, the order of fields is signed.
"""

from __future__ import annotations

from msgspec import Struct

from api.exchange.forms import U32, U64, DecimalText, Strict


class ScheduleCancelAction(Strict, frozen=True, tag_field="type", tag="scheduleCancel"):
    """Cancel all orders at a time (ms), or no longer."""

    time: U64 | None = None


class TwapWire(
    Strict,
    frozen=True,
    rename={
        "asset": "a",
        "is_buy": "b",
        "size": "s",
        "reduce_only": "r",
        "minutes": "m",
        "randomize": "t",
    },
):
    """A size to be traded over so many minutes."""

    asset: U32
    is_buy: bool
    size: DecimalText
    reduce_only: bool
    minutes: U64
    randomize: bool


class TwapTriggerWire(Strict, frozen=True, rename={"price": "p", "is_above": "a"}):
    """The mark price that a TWAP waits for."""

    price: DecimalText
    is_above: bool


class TwapDetailsWire(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"trigger": "t", "stop": "s"}
):
    """When a TWAP begins and where it stops. Both are always there, and signed where ``null``."""

    trigger: TwapTriggerWire | None
    stop: DecimalText | None


class TwapOrderAction(Strict, frozen=True, tag_field="type", tag="twapOrder"):
    """Begin a TWAP."""

    twap: TwapWire
    details: TwapDetailsWire | None = None


class TwapCancelAction(
    Strict, frozen=True, tag_field="type", tag="twapCancel", rename={"asset": "a", "twap_id": "t"}
):
    """End a TWAP."""

    asset: U32
    twap_id: U64
