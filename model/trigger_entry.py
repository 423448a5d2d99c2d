"""Entry of trigger orders: alone, attached to an order, or bound to a position; and refusals.

What becomes of them afterwards is in ``model.triggers``.

Source: Hyperliquid API documentation, exchange endpoint, order; error responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import astuple

from model.accounts import Account
from model.commands import Grouping, OrderSpec, Tif
from model.events import (
    CancelReason,
    Event,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TriggerPlaced,
    TriggerTerms,
)
from model.fees import OPEN_ORDERS_MAX
from model.ids import SPOT_ASSETS_FROM, OrderId
from model.instruments import is_on_grid
from model.markets import BAND_PERCENT, Market
from model.orders import LOTS_MAX, PRICE_E8_MAX, Order
from model.refusals import Refusal
from model.triggers import Trigger, enter

if TYPE_CHECKING:
    from model.matching import MatchingEngine

CHILDREN_MAX: Final = 2
"""Triggers of one group: a take-profit and a stop-loss."""

# ---- placing -----------------------------------------------------------------------------------


def place_group(
    engine: MatchingEngine,
    account: Account,
    specs: Sequence[OrderSpec],
    grouping: Grouping,
    events: list[Event],
) -> Refusal | None:
    """Place the orders of a group, or say why they are none; then nothing was placed."""
    if grouping is Grouping.POSITION_TPSL:
        if not _is_group(specs):
            return Refusal.GROUP_COUNT_WRONG
        for spec in specs:
            place(engine, account, spec, events, is_position=True)
        return None
    main, children = specs[0], specs[1:]
    if main.trigger is not None:
        return Refusal.GROUP_MAIN_IS_TRIGGER
    if not _is_group(children) or children[0].asset != main.asset:
        return Refusal.GROUP_COUNT_WRONG
    first = len(events)
    engine.place(account, main, events)
    _place_children(engine, account, children, events, first)
    return None


def _is_group(specs: Sequence[OrderSpec]) -> bool:
    """Tell whether these are one or two triggers of one market."""
    return (
        1 <= len(specs) <= CHILDREN_MAX
        and all(spec.trigger is not None for spec in specs)
        and len({spec.asset for spec in specs}) == 1
    )


def _place_children(
    engine: MatchingEngine,
    account: Account,
    specs: Sequence[OrderSpec],
    events: list[Event],
    first: int,
) -> None:
    """Place the children of an order whose own events begin at ``first``."""
    head = events[first]
    if isinstance(head, OrderRefused):
        events += [OrderRefused(account.address, spec, head.reason, head.detail) for spec in specs]
        return
    assert isinstance(head, OrderPlaced)
    refused = _why_unprotected(head, events[first:])
    for spec in specs:
        if refused is not None:
            events.append(OrderRefused(account.address, spec, refused))
        elif spec.is_buy is head.is_buy:
            events.append(OrderRefused(account.address, spec, Refusal.REDUCE_ONLY_INCREASES))
        else:
            waits = head.oid in account.orders
            place(engine, account, spec, events, parent=head.oid, is_armed=not waits)


def _why_unprotected(head: OrderPlaced, events: Sequence[Event]) -> Refusal | None:
    """Return why a parent that went without a trade did, or ``None`` if it rests or traded."""
    reason = None
    for event in events:
        if isinstance(event, Traded) and event.taker.oid == head.oid:
            return None
        if isinstance(event, OrderCanceled) and event.oid == head.oid:
            reason = event.reason
    if reason is None:
        return None
    if reason is CancelReason.MARGIN:
        return Refusal.MARGIN_TOO_LOW
    market = head.tif is Tif.FRONTEND_MARKET
    return Refusal.MARKET_FOUND_NOTHING if market else Refusal.IOC_FOUND_NOTHING


def place(
    engine: MatchingEngine,
    account: Account,
    spec: OrderSpec,
    events: list[Event],
    *,
    parent: OrderId | None = None,
    is_position: bool = False,
    is_armed: bool = True,
) -> None:
    """Place one trigger order, or refuse it."""
    refused = _refusal(engine, account, spec, None if is_armed else parent, is_position)
    if refused is not None:
        detail = (OPEN_ORDERS_MAX,) if refused is Refusal.OPEN_ORDERS_AT_MAX else ()
        events.append(OrderRefused(account.address, spec, refused, detail))
        return
    market = engine.markets[spec.asset]
    trigger = Trigger(
        spec.asset,
        account.address,
        engine.next_oid,
        spec.is_buy,
        spec.price_e8 // market.tick_e8,
        spec.size_e8 // market.lot_e8,
        True,
        spec.cloid,
        _terms(market, spec),
        parent,
        is_position,
        is_armed,
        engine.time_ms,
    )
    engine.next_oid = OrderId(trigger.oid + 1)
    enter(engine, account, trigger)
    events.append(TriggerPlaced(*astuple(trigger)[:-1]))


def _terms(market: Market, spec: OrderSpec) -> TriggerTerms:
    """A stop that buys and a take-profit that sells wait for higher prices, the others for lower.

    Source: Hyperliquid documentation, take profit and stop loss orders.
    """
    ask = spec.trigger
    assert ask is not None
    return TriggerTerms(
        ask.price_e8 // market.tick_e8,
        spec.is_buy is ask.is_stop_loss,
        ask.is_market,
        ask.is_stop_loss,
    )


def replace(
    engine: MatchingEngine, account: Account, old: Trigger, spec: OrderSpec, events: list[Event]
) -> None:
    """Place what replaces a trigger that was just cancelled: a trigger takes over its relations."""
    if spec.trigger is None or spec.asset != old.asset:
        engine.place(account, spec, events)
    else:
        place(
            engine,
            account,
            spec,
            events,
            parent=old.parent,
            is_position=old.is_position,
            is_armed=old.is_armed,
        )


# ---- what is refused ---------------------------------------------------------------------------


def _refusal(
    engine: MatchingEngine,
    account: Account,
    spec: OrderSpec,
    waits_for: OrderId | None,
    is_position: bool,
) -> Refusal | None:
    """Name the first rule that a trigger order breaks, or ``None``."""
    if not 0 <= spec.asset < min(len(engine.markets), SPOT_ASSETS_FROM):
        return Refusal.ASSET_UNKNOWN
    market = engine.markets[spec.asset]
    refused = _form_refusal(market, spec, is_position)
    if refused is not None:
        return refused
    if spec.cloid is not None and spec.cloid in account.cloids:
        return Refusal.CLOID_IN_USE
    if is_position:
        position = account.positions.get(spec.asset)
        if position is None or not position.size or (position.size > 0) is spec.is_buy:
            return Refusal.REDUCE_ONLY_INCREASES
    if _is_satisfied(spec, market, account.orders.get(waits_for) if waits_for else None):
        return Refusal.TRIGGER_PRICE_BAD
    return Refusal.OPEN_ORDERS_AT_MAX if account.open_count() >= OPEN_ORDERS_MAX else None


def _form_refusal(market: Market, spec: OrderSpec, is_position: bool) -> Refusal | None:
    """Look at an order without its account.

    The limit price must be near the trigger price, since that is where the mark will be when it
    counts.
    """
    assert spec.trigger is not None
    if not spec.reduce_only:
        return Refusal.TRIGGER_NOT_REDUCING
    watched = spec.trigger.price_e8
    for price_e8 in (spec.price_e8, watched):
        if not 0 < price_e8 <= PRICE_E8_MAX:
            return Refusal.PRICE_INVALID
        if not is_on_grid(price_e8, market.tick_e8):
            return Refusal.PRICE_OFF_GRID
    lots, beyond = divmod(spec.size_e8, market.lot_e8)
    if spec.size_e8 == 0:
        if not is_position:
            return Refusal.SIZE_ZERO
    elif beyond or lots > LOTS_MAX:
        return Refusal.SIZE_OFF_GRID
    is_market = spec.trigger.is_market
    most = market.market_notional_max if is_market else market.limit_notional_max
    if spec.price_e8 // market.tick_e8 * lots > most:
        return Refusal.NOTIONAL_TOO_LARGE
    if abs(spec.price_e8 - watched) * 100 > watched * BAND_PERCENT:
        return Refusal.PRICE_TOO_FAR
    return None


def _is_satisfied(spec: OrderSpec, market: Market, parent: Order | None) -> bool:
    """Tell whether a trigger would fire at once: now, or as soon as its parent is filled."""
    terms = _terms(market, spec)
    expected = market.mark
    if parent is not None:
        expected = (min if parent.is_buy else max)(expected, parent.price)
    return expected >= terms.price if terms.is_above else expected <= terms.price
