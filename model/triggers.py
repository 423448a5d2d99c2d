"""Trigger orders: stops and take-profits, alone, attached to an order, or bound to a position.

A trigger is in no book and reserves no margin. It waits until its market's mark price reaches it,
and then becomes an ordinary reduce-only order under its own id, or fails as one would be refused.

**Watching.** A market's armed triggers stand in two lists sorted by price, those that fire above a
price and those that fire below one, so a mark price that reaches none costs two comparisons.

**Groups.** The triggers placed with an order (its *children*) are not armed before it is filled
completely. If it is cancelled instead, so are they; but one that the exchange took off the book
after a part was filled arms them, since there is a position to protect. Children of one order are
siblings: when one of them is filled, the others are cancelled. Triggers bound to a position have no
parent and go when the position is closed or turns round.

Source: Hyperliquid documentation, take profit and stop loss orders; API documentation, exchange
endpoint, order groupings.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import astuple

from model.accounts import Account
from model.commands import OrderSpec, Tif
from model.events import (
    CancelReason,
    Event,
    OrderCanceled,
    OrderRefused,
    TriggerArmed,
    TriggerFailed,
    TriggerFired,
    TriggerTerms,
)
from model.ids import Address, AssetId, Cloid, OrderId
from model.orders import Order
from model.state import TriggerOrder

if TYPE_CHECKING:
    from model.matching import MatchingEngine

_OWNERS_CANCELS: Final = frozenset(
    {
        CancelReason.CANCELED,
        CancelReason.MODIFIED,
        CancelReason.SCHEDULED,
        CancelReason.LIQUIDATED,
    }
)
"""Reasons for which a parent takes its children along even if a part of it was filled."""


class Trigger(Struct, array_like=True, gc=False):
    """A trigger order in the machine. Field by field what ``state.TriggerOrder`` shows."""

    asset: AssetId
    account: Address
    oid: OrderId
    is_buy: bool
    price: int
    lots: int
    reduce_only: bool
    cloid: Cloid | None
    terms: TriggerTerms
    parent: OrderId | None
    is_position: bool
    is_armed: bool
    placed_ms: int


class AccountTriggers:
    """The triggers of one account.

    ``orders`` are those that have not fired, oldest first, and ``bound`` those of them that are
    bound to a position, by market. ``children`` lists, by parent, triggers and the orders that they
    became; ``fired`` are resting orders that were triggers, with their parents.
    """

    __slots__ = ("bound", "children", "fired", "orders")

    def __init__(self) -> None:
        self.orders: dict[OrderId, Trigger] = {}
        self.bound: dict[AssetId, dict[OrderId, Trigger]] = {}
        self.children: dict[OrderId, list[OrderId]] = {}
        self.fired: dict[OrderId, OrderId | None] = {}

    def join(self, parent: OrderId, child: OrderId) -> None:
        """Enter a child of an order."""
        self.children.setdefault(parent, []).append(child)

    def leave(self, parent: OrderId | None, child: OrderId) -> None:
        """Take a child that is done out of its family."""
        if parent is None:
            return
        siblings = self.children[parent]
        siblings.remove(child)
        if not siblings:
            del self.children[parent]

    def to_state(self) -> tuple[TriggerOrder, ...]:
        """Return the triggers as plain values, oldest first."""
        return tuple(TriggerOrder(*astuple(trigger)) for trigger in self.orders.values())


class MarketTriggers:
    """The armed triggers of one market, by id, and as (price, id), next to fire first.

    Prices in ``below`` are negated.
    """

    __slots__ = ("above", "below", "triggers")

    def __init__(self) -> None:
        self.triggers: dict[OrderId, Trigger] = {}
        self.above: list[tuple[int, OrderId]] = []
        self.below: list[tuple[int, OrderId]] = []

    def add(self, trigger: Trigger) -> None:
        """Watch a trigger."""
        self.triggers[trigger.oid] = trigger
        insort(*self._entry(trigger))

    def remove(self, trigger: Trigger) -> None:
        """Watch it no longer."""
        del self.triggers[trigger.oid]
        entries, entry = self._entry(trigger)
        del entries[bisect_left(entries, entry)]

    def due(self, mark: int) -> Trigger | None:
        """Return the trigger that fires first at a mark price, or ``None``."""
        if self.below and -self.below[0][0] >= mark:
            return self.triggers[self.below[0][1]]
        if self.above and self.above[0][0] <= mark:
            return self.triggers[self.above[0][1]]
        return None

    def _entry(self, trigger: Trigger) -> tuple[list[tuple[int, OrderId]], tuple[int, OrderId]]:
        price = trigger.terms.price
        if trigger.terms.is_above:
            return self.above, (price, trigger.oid)
        return self.below, (-price, trigger.oid)


# ---- coming and going --------------------------------------------------------------------------


def enter(engine: MatchingEngine, account: Account, trigger: Trigger) -> None:
    """Put a trigger into all indexes."""
    held = account.triggers
    if held is None:
        held = account.triggers = AccountTriggers()
    held.orders[trigger.oid] = trigger
    if trigger.cloid is not None:
        account.cloids[trigger.cloid] = trigger
    if trigger.is_position:
        held.bound.setdefault(trigger.asset, {})[trigger.oid] = trigger
    if trigger.parent is not None:
        held.join(trigger.parent, trigger.oid)
    if trigger.is_armed:
        _watch(engine, trigger)


def enter_fired(account: Account, oid: OrderId, parent: OrderId | None) -> None:
    """Note that a resting order was a trigger."""
    held = account.triggers
    if held is None:
        held = account.triggers = AccountTriggers()
    held.fired[oid] = parent
    if parent is not None:
        held.join(parent, oid)


def _watch(engine: MatchingEngine, trigger: Trigger) -> None:
    armed = engine.triggers.get(trigger.asset)
    if armed is None:
        armed = engine.triggers[trigger.asset] = MarketTriggers()
    armed.add(trigger)


def _take_out(engine: MatchingEngine, account: Account, trigger: Trigger) -> AccountTriggers:
    """Take a trigger out of all indexes but that of its family."""
    held = account.triggers
    assert held is not None
    del held.orders[trigger.oid]
    if trigger.cloid is not None:
        del account.cloids[trigger.cloid]
    if trigger.is_position:
        del held.bound[trigger.asset][trigger.oid]
    if trigger.is_armed:
        engine.triggers[trigger.asset].remove(trigger)
    return held


def cancel(
    engine: MatchingEngine,
    account: Account,
    trigger: Trigger,
    reason: CancelReason,
    events: list[Event],
) -> None:
    """Cancel a trigger that has not fired."""
    _take_out(engine, account, trigger).leave(trigger.parent, trigger.oid)
    events.append(OrderCanceled(trigger.asset, account.address, trigger.oid, trigger.lots, reason))


def cancel_bound(
    engine: MatchingEngine, account: Account, asset: AssetId, events: list[Event]
) -> None:
    """Cancel the triggers that are bound to a position that is gone or has turned round."""
    held = account.triggers
    if held is None or not held.bound.get(asset):
        return
    size = account.positions[asset].size
    for trigger in list(held.bound[asset].values()):
        if not size or (size > 0) is trigger.is_buy:
            cancel(engine, account, trigger, CancelReason.POSITION_CLOSED, events)


# ---- families ----------------------------------------------------------------------------------


def order_filled(
    engine: MatchingEngine, account: Account, oid: OrderId, events: list[Event]
) -> None:
    """An order was filled completely: its children are armed, its siblings cancelled."""
    held = account.triggers
    assert held is not None
    parent = held.fired.pop(oid, None)
    if parent is not None:
        held.leave(parent, oid)
        for sibling in list(held.children.get(parent, ())):
            _cancel_child(engine, account, sibling, CancelReason.SIBLING_FILLED, events)
    for child in held.children.get(oid, ()):
        _arm(engine, held.orders[child], events)


def order_canceled(
    engine: MatchingEngine,
    account: Account,
    order: Order,
    reason: CancelReason,
    events: list[Event],
) -> None:
    """A resting order was cancelled: its children go with it or are armed."""
    held = account.triggers
    assert held is not None
    held.leave(held.fired.pop(order.oid, None), order.oid)
    is_filled = order.remaining < order.lots and reason not in _OWNERS_CANCELS
    for child in list(held.children.get(order.oid, ())):
        if is_filled:
            _arm(engine, held.orders[child], events)
        else:
            _cancel_child(engine, account, child, CancelReason.PARENT_CANCELED, events)


def _arm(engine: MatchingEngine, trigger: Trigger, events: list[Event]) -> None:
    trigger.is_armed = True
    _watch(engine, trigger)
    events.append(TriggerArmed(trigger.asset, trigger.account, trigger.oid))


def _cancel_child(
    engine: MatchingEngine,
    account: Account,
    oid: OrderId,
    reason: CancelReason,
    events: list[Event],
) -> None:
    """Cancel a child, whether it is still a trigger or rests as the order that it became."""
    child = account.find(oid)
    assert child is not None, "a child that is done is in no family"
    if isinstance(child, Trigger):
        cancel(engine, account, child, reason, events)
    else:
        engine.expel(account, child, reason, events)


# ---- firing ------------------------------------------------------------------------------------


def run_due(engine: MatchingEngine, events: list[Event]) -> None:
    """Fire all triggers that the mark prices have reached, market by market.

    In a market those below the mark's way down come first, then those on its way up; nearest price
    first, then oldest. What one causes may arm another, which then fires as well; each fires once.
    """
    for asset in sorted(engine.triggers):
        armed, mark = engine.triggers[asset], engine.markets[asset].mark
        while (trigger := armed.due(mark)) is not None:
            _fire(engine, trigger, events)


def _fire(engine: MatchingEngine, trigger: Trigger, events: list[Event]) -> None:
    """Turn a trigger into an order, or report that it could not become one.

    Of a position that has grown beyond the largest order, as much as one may have is closed.
    """
    account = engine.accounts[trigger.account]
    held = _take_out(engine, account, trigger)
    asset, oid = trigger.asset, trigger.oid
    events.append(TriggerFired(asset, account.address, oid))
    position = account.positions.get(asset)
    lots = trigger.lots or abs(position.size if position is not None else 0)
    held.fired[oid] = trigger.parent
    head = len(events)
    market = engine.markets[asset]
    is_market = trigger.terms.is_market
    most = market.market_notional_max if is_market else market.limit_notional_max
    lots = min(lots, most // trigger.price)
    spec = OrderSpec(
        asset,
        trigger.is_buy,
        trigger.price * market.tick_e8,
        lots * market.lot_e8,
        Tif.FRONTEND_MARKET if is_market else Tif.GTC,
        True,
        trigger.cloid,
    )
    engine.place(account, spec, events, oid=oid)
    outcome = events[head]
    if isinstance(outcome, OrderRefused):
        events[head] = TriggerFailed(asset, account.address, oid, outcome.reason)
    if oid in account.orders:
        _file_by_age(account, asset)
    elif oid in held.fired:
        held.leave(held.fired.pop(oid), oid)


def _file_by_age(account: Account, asset: AssetId) -> None:
    """Bring an account's orders back in order of id: one that was a trigger is older than some."""
    account.orders = dict(sorted(account.orders.items()))
    position = account.positions[asset]
    position.reducing = dict(sorted(position.reducing.items()))
