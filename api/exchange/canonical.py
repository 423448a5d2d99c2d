"""From the wire form of an action to its canonical form and to the command that it asks for.

A signature covers the canonical form: hex in lower case, decimals without needless zeros. Clients
that signed it but sent a cosmetic variant are understood; clients that signed the variant are not,
as everywhere else on this protocol. Every action is read once, and gives both: the form to hash and
the command, whose signer is not known yet.
"""

from __future__ import annotations

import re
from operator import is_not
from typing import Final

from msgspec import structs

from api.exchange.money_canonical import read_money_action
from api.exchange.timed_canonical import read_timed_action
from api.exchange.timed_wire import ScheduleCancelAction, TwapCancelAction, TwapOrderAction
from api.exchange.values import UnreadableValueError, read_decimal, u64
from api.exchange.wire import (
    Action,
    ApproveAgentAction,
    ApproveBuilderFeeAction,
    BatchModifyAction,
    CancelAction,
    CancelByCloidAction,
    ModifyAction,
    ModifyWire,
    NoopAction,
    OrderAction,
    OrderTypeWire,
    OrderWire,
    PriorityWire,
    SetReferrerAction,
    TopUpIsolatedOnlyMarginAction,
    TriggerWire,
    UpdateIsolatedMarginAction,
    UpdateLeverageAction,
)
from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    ClientCommand,
    Grouping,
    ModifyOrders,
    ModifySpec,
    Noop,
    OrderSpec,
    PlaceOrders,
    Tif,
    TopUpIsolatedMargin,
    TriggerSpec,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.ids import Address, AssetId, Cloid, OrderId
from model.universe import Universe

NO_SIGNER: Final = Address("")
"""Stands in a command until its signature has been looked at."""

USDC_ONLY: Final = Universe()
"""For those who only sign: which token an action names does not matter to its signature."""

_TIFS: Final = {
    "Gtc": Tif.GTC,
    "Ioc": Tif.IOC,
    "Alo": Tif.ALO,
    "FrontendMarket": Tif.FRONTEND_MARKET,
}
_GROUPINGS: Final = {
    "na": Grouping.NA,
    "normalTpsl": Grouping.NORMAL_TPSL,
    "positionTpsl": Grouping.POSITION_TPSL,
}
_AGENT_NAME: Final = re.compile(r"(.*) valid_until ([0-9]{1,20})", re.DOTALL)


def read_action(  # noqa: C901, PLR0911 - one place branches
    action: Action,
    nonce: int,
    expires_after: int | None,
    vault: Address | None,
    universe: Universe = USDC_ONLY,
) -> tuple[Action, ClientCommand]:
    """Return the canonical form of an action and the command it asks for, its signer left open.

    ``universe`` has the tokens that the action may name.

    Raises:
        MalformedDecimalError, UnreadableValueError: a field has no possible value.
    """
    head = (NO_SIGNER, nonce, expires_after, vault)
    match action:
        case OrderAction():
            canonical, orders, grouping = _read_orders(action)
            return canonical, PlaceOrders(*head, orders, grouping)
        case CancelAction(cancels=cancels):
            return action, CancelOrders(
                *head,
                tuple([CancelSpec(AssetId(c.asset), OrderId(u64(c.oid))) for c in cancels]),
            )
        case CancelByCloidAction():
            lowered = _lower_cloids(action)
            return lowered, CancelOrders(
                *head,
                tuple([CancelSpec(AssetId(c.asset), Cloid(c.cloid)) for c in lowered.cancels]),
            )
        case ModifyAction(oid=oid, order=order):
            wire, modify = _read_modify(ModifyWire(oid, order))
            return (
                structs.replace(action, oid=wire.oid, order=wire.order),
                ModifyOrders(*head, (modify,), bool(action.always_place)),
            )
        case BatchModifyAction():
            read = [_read_modify(modify) for modify in action.modifies]
            return (
                structs.replace(action, modifies=tuple([wire for wire, _ in read])),
                ModifyOrders(*head, tuple([spec for _, spec in read]), bool(action.always_place)),
            )
        case UpdateLeverageAction(asset, is_cross, leverage):
            return action, UpdateLeverage(*head, AssetId(asset), is_cross, leverage)
        case UpdateIsolatedMarginAction(asset=asset, ntli=usd):
            return action, UpdateIsolatedMargin(*head, AssetId(asset), usd)
        case TopUpIsolatedOnlyMarginAction(asset=asset):
            leverage_e8, text = read_decimal(action.leverage)
            return (
                structs.replace(action, leverage=text),
                TopUpIsolatedMargin(*head, AssetId(asset), leverage_e8),
            )
        case ScheduleCancelAction() | TwapOrderAction() | TwapCancelAction():
            return read_timed_action(action, head)
        case NoopAction() | SetReferrerAction():
            return action, Noop(*head)
        case ApproveBuilderFeeAction():
            return action, Noop(*head, as_owner=True)
        case ApproveAgentAction():
            name, valid_until = split_agent_name(action.agent_name or "")
            agent = Address(action.agent_address.lower())
            return action, ApproveAgent(*head, agent, name, valid_until)
        case _:
            return read_money_action(action, head, universe)


def split_agent_name(text: str) -> tuple[str, int | None]:
    """Return an agent's name without its ``valid_until`` ending, and the milliseconds of that.

    Raises:
        UnreadableValueError: the time is larger than 64 bits.
    """
    match = _AGENT_NAME.fullmatch(text)
    return (match.group(1), u64(int(match.group(2)))) if match else (text, None)


# ---- orders ----------------------------------------------------------------------------------


def _read_orders(action: OrderAction) -> tuple[OrderAction, tuple[OrderSpec, ...], Grouping]:
    wires, specs = [], []
    for order in action.orders:
        wire, spec = _read_order(order)
        wires.append(wire)
        specs.append(spec)
    canonical = action
    if any(map(is_not, wires, action.orders)):
        canonical = structs.replace(canonical, orders=tuple(wires))
    if action.builder is not None and not action.builder.builder.islower():
        lowered = structs.replace(action.builder, builder=action.builder.builder.lower())
        canonical = structs.replace(canonical, builder=lowered)
    return canonical, tuple(specs), _grouping(action.grouping)


def _grouping(wire: str | PriorityWire) -> Grouping:
    return Grouping.NA if isinstance(wire, PriorityWire) else _GROUPINGS[wire]


def _read_order(order: OrderWire) -> tuple[OrderWire, OrderSpec]:
    """Return an order in canonical form (itself, where it was) and as the model has it."""
    price_e8, price = read_decimal(order.price)
    size_e8, size = read_decimal(order.size)
    cloid = order.cloid
    if cloid is not None:
        cloid = cloid.lower()
    kind, tif, trigger = _read_kind(order.kind)
    spec = OrderSpec(
        AssetId(order.asset),
        order.is_buy,
        price_e8,
        size_e8,
        tif,
        order.reduce_only,
        None if cloid is None else Cloid(cloid),
        trigger,
    )
    if price != order.price or size != order.size or cloid != order.cloid or kind is not order.kind:
        order = structs.replace(order, price=price, size=size, cloid=cloid, kind=kind)
    return order, spec


def _read_kind(kind: OrderTypeWire) -> tuple[OrderTypeWire, Tif, TriggerSpec | None]:
    """Read the type of an order. A trigger order has no time in force; its limit part stands."""
    match kind:
        case OrderTypeWire(limit=limit, trigger=None) if limit is not None:
            return kind, _TIFS[limit.tif], None
        case OrderTypeWire(limit=None, trigger=trigger) if trigger is not None:
            canonical, spec = _read_trigger(trigger)
            if canonical is not trigger:
                kind = OrderTypeWire(trigger=canonical)
            return kind, Tif.GTC, spec
        case _:
            raise UnreadableValueError("an order is either `limit` or `trigger`")


def _read_trigger(trigger: TriggerWire) -> tuple[TriggerWire, TriggerSpec]:
    price_e8, price = read_decimal(trigger.trigger_px)
    spec = TriggerSpec(price_e8, trigger.is_market, trigger.tpsl == "sl")
    if price != trigger.trigger_px:
        trigger = structs.replace(trigger, trigger_px=price)
    return trigger, spec


def _read_modify(modify: ModifyWire) -> tuple[ModifyWire, ModifySpec]:
    order, spec = _read_order(modify.order)
    oid = modify.oid
    if isinstance(oid, str):
        oid = oid.lower()
        return ModifyWire(oid, order), ModifySpec(Cloid(oid), spec)
    return ModifyWire(oid, order), ModifySpec(OrderId(u64(oid)), spec)


def _lower_cloids(action: CancelByCloidAction) -> CancelByCloidAction:
    if all(cancel.cloid.islower() for cancel in action.cancels):
        return action
    lowered = [structs.replace(c, cloid=c.cloid.lower()) for c in action.cancels]
    return structs.replace(action, cancels=tuple(lowered))
