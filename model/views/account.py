"""One account as its owner sees it: money, positions, open orders, and what happened lately.

The view starts from an ``AccountState`` and what the history knows (``AccountSeeds``), and applies
the events of its account. Positions are moved by the exchange's own arithmetic. Mark prices are not
kept here: they belong to the markets and are given when a summary is asked for, as a sequence of
ticks indexed by asset id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from model.accounts import Position
from model.events import (
    AgentApproved,
    Credited,
    Event,
    Leg,
    LeverageUpdated,
    OrderCanceled,
    OrderPlaced,
    Traded,
    UsdSent,
)
from model.ids import AssetId
from model.state import AccountState, AgentState, PositionState
from model.universe import Universe
from model.views.records import (
    Fill,
    LedgerRecord,
    Moment,
    OpenOrders,
    OrderRecord,
    fill_of_leg,
    ledger_from,
)

RECENT_FILLS_MAX: Final = 2000
RECENT_ORDERS_MAX: Final = 2000
RECENT_LEDGER_MAX: Final = 500
"""Records that a view remembers: as many as the wire shows at once."""


class AccountSeeds(Struct, frozen=True, array_like=True):
    """What the history knows of an account up to the height of its state; all oldest first."""

    fills: tuple[Fill, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    ledger: tuple[LedgerRecord, ...] = ()


NO_SEEDS: Final = AccountSeeds()
"""Of an account without history."""


class AccountChanges(Struct, frozen=True, array_like=True):
    """What one event did to an account. ``state`` tells whether its summary is different now."""

    orders: tuple[OrderRecord, ...] = ()
    fills: tuple[Fill, ...] = ()
    ledger: tuple[LedgerRecord, ...] = ()
    state: bool = False


class AccountView:
    """One account, followed event by event.

    Public parts: ``address``, ``known``, ``cash``, ``volume``, ``open_orders``, and the rings
    ``fills``, ``orders`` and ``ledger``, oldest first. ``universe`` is kept by reference.
    """

    def __init__(
        self, state: AccountState, universe: Universe, seeds: AccountSeeds = NO_SEEDS
    ) -> None:
        self.address = state.address
        self.known = state.known
        self.cash = state.cash
        self.volume = state.volume
        self.open_orders = OpenOrders(universe, state.orders, account=state.address)
        self.fills: deque[Fill] = deque(seeds.fills, RECENT_FILLS_MAX)
        self.orders: deque[OrderRecord] = deque(seeds.orders, RECENT_ORDERS_MAX)
        self.ledger: deque[LedgerRecord] = deque(seeds.ledger, RECENT_LEDGER_MAX)
        self._universe = universe
        self._agents = {agent.name: agent for agent in state.agents}
        self._positions: dict[AssetId, Position] = {}
        for held in state.positions:
            position = self._touch(held.asset)
            position.size, position.entry_notional = held.size, held.entry_notional
            position.leverage = held.leverage
        for order in state.orders:
            self._rest(order.asset, order.is_buy, order.remaining, reduce_only=order.reduce_only)

    def apply(self, event: Event, at: Moment) -> AccountChanges:
        """Take in one event that names this account; others change nothing."""
        match event:
            case OrderPlaced() if event.account == self.address:
                self._rest(event.asset, event.is_buy, event.lots, reduce_only=event.reduce_only)
            case OrderCanceled() if event.account == self.address:
                order = self.open_orders.get(event.oid)
                if order is not None:
                    lots = -order.remaining
                    self._rest(order.asset, order.is_buy, lots, reduce_only=order.reduce_only)
            case Traded():
                return self._trade(event, at)
            case Credited() | UsdSent():
                return self._move_money(event, at)
            case LeverageUpdated() if event.account == self.address:
                self._touch(event.asset).leverage = event.leverage
                return AccountChanges(state=True)
            case AgentApproved() if event.account == self.address:
                self._approve(event, at.time_ms)
                return AccountChanges()
            case _:
                pass
        return self._with_orders(event, at)

    def position(self, asset: AssetId) -> Position:
        """Return the position in a market, flat at the default leverage if never touched."""
        position = self._positions.get(asset)
        return Position(self._universe[asset].default_leverage) if position is None else position

    def positions(self) -> Iterator[tuple[AssetId, Position]]:
        """Iterate over the markets that the account ever touched, by asset id."""
        return iter(sorted(self._positions.items()))

    def agents(self, time_ms: int) -> tuple[AgentState, ...]:
        """Return the agents that may sign at that time, ordered by name."""
        return tuple(
            agent for _, agent in sorted(self._agents.items()) if time_ms < agent.valid_until
        )

    def to_state(self, time_ms: int) -> AccountState:
        """Return the account as the exchange tells it, without agents expired by that time."""
        return AccountState(
            self.address,
            self.known,
            self.cash,
            self.volume,
            tuple(
                PositionState(asset, held.size, held.entry_notional, True, held.leverage)
                for asset, held in self.positions()
                if held.size or held.leverage != self._universe[asset].default_leverage
            ),
            tuple(self.open_orders),
            self.agents(time_ms),
        )

    def _touch(self, asset: AssetId) -> Position:
        return self._positions.setdefault(asset, self.position(asset))

    def _trade(self, event: Traded, at: Moment) -> AccountChanges:
        is_taker = event.taker.account == self.address
        if not is_taker and event.maker.account != self.address:
            return AccountChanges()
        leg = event.taker if is_taker else event.maker
        self._settle(event, leg, is_buy=event.taker_is_buy is is_taker)
        fill = fill_of_leg(event, leg, is_taker=is_taker, at=at)
        self.fills.append(fill)
        return self._with_orders(event, at, fills=(fill,))

    def _settle(self, event: Traded, leg: Leg, *, is_buy: bool) -> None:
        signed_lots = event.lots if is_buy else -event.lots
        cost = signed_lots * event.price
        self._touch(event.asset).trade(signed_lots, event.price)
        self.cash -= cost + leg.fee
        self.volume += abs(cost)
        order = self.open_orders.get(leg.oid)
        if order is not None:
            self._rest(event.asset, is_buy, -event.lots, reduce_only=order.reduce_only)

    def _with_orders(
        self, event: Event, at: Moment, fills: tuple[Fill, ...] = ()
    ) -> AccountChanges:
        orders = tuple(self.open_orders.apply(event, at.time_ms))
        self.orders.extend(orders)
        return AccountChanges(orders, fills, (), bool(orders or fills))

    def _move_money(self, event: Credited | UsdSent, at: Moment) -> AccountChanges:
        mine = tuple(entry for entry in ledger_from(event, at) if entry.account == self.address)
        if not mine:
            return AccountChanges()
        self.known = True
        is_sender = isinstance(event, UsdSent) and event.sender == self.address
        self.cash += -event.usd if is_sender else event.usd
        self.ledger.extend(mine)
        return AccountChanges(ledger=mine, state=True)

    def _approve(self, event: AgentApproved, time_ms: int) -> None:
        self._agents.pop(event.name, None)
        if event.agent:
            for name, agent in list(self._agents.items()):
                if agent.valid_until <= time_ms:
                    del self._agents[name]
            self._agents[event.name] = AgentState(event.agent, event.name, event.valid_until)

    def _rest(self, asset: AssetId, is_buy: bool, lots: int, *, reduce_only: bool) -> None:
        """Add to the lots that rest in a market; reduce-only orders demand nothing."""
        position = self._touch(asset)
        if reduce_only:
            return
        if is_buy:
            position.resting_buys += lots
        else:
            position.resting_sells += lots
