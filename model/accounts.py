"""Accounts: cash, positions, open orders.

An account's value is its cash plus its positions at the mark price. Cash is a ledger of everything
that was paid: deposits minus the signed cost of positions minus fees. Buying takes the cost out of
it and adds lots; selling does the opposite. No profit is ever booked, so nothing is ever rounded
away: over all accounts, cash plus collected fees is exactly what was paid in.

``value`` and ``required`` are totals kept for speed. They hold for the marks of ``epoch`` and are
worthless once the exchange's epoch has moved on; see ``margin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.ids import Address, AssetId, Cloid, OrderId
from model.orders import Order, resting_order
from model.state import AccountState, AgentState, PositionState

if TYPE_CHECKING:
    from model.markets import Market


class Position:
    """One account in one market: what it holds and what it has resting there.

    ``size`` is signed lots, ``entry_notional`` the signed cost of it. ``resting_buys`` and
    ``resting_sells`` are lots of open orders that are not reduce-only; ``reducing`` are those that
    are, oldest first, ``reducing_lots`` their sum. ``margin`` is what the market demands of the
    account, at the marks of the account's epoch.
    """

    __slots__ = (
        "entry_notional",
        "leverage",
        "margin",
        "reducing",
        "reducing_lots",
        "resting_buys",
        "resting_sells",
        "size",
    )

    def __init__(self, leverage: int) -> None:
        self.leverage = leverage
        self.size = 0
        self.entry_notional = 0
        self.resting_buys = 0
        self.resting_sells = 0
        self.reducing: dict[OrderId, Order] = {}
        self.reducing_lots = 0
        self.margin = 0

    def trade(self, signed_lots: int, price: int) -> int:
        """Add signed lots at a price; return the profit realised by it, before fees.

        A part that closes takes its proportion of the entry notional with it, rounded towards zero,
        so the rest keeps what the division left over; closing the whole position takes all of it. A
        flip closes the whole position and opens the rest at the price of the trade.
        """
        size = self.size
        if size * signed_lots >= 0:
            self.size = size + signed_lots
            self.entry_notional += signed_lots * price
            return 0
        if abs(signed_lots) < abs(size):
            released = proportion_towards_zero(self.entry_notional, abs(signed_lots), abs(size))
            self.size = size + signed_lots
            self.entry_notional -= released
            return -signed_lots * price - released
        profit = size * price - self.entry_notional
        self.size = size + signed_lots
        self.entry_notional = self.size * price
        return profit


def proportion_towards_zero(amount: int, part: int, whole: int) -> int:
    """Return amount * part / whole, rounded towards zero; ``part`` and ``whole`` are positive."""
    if amount < 0:
        return -(-amount * part // whole)
    return amount * part // whole


class Account:
    """One account. Money in micro-USD.

    ``orders`` are the open orders by id, oldest first, and ``cloids`` those of them that have a
    client id. ``agents`` are the addresses that may sign for it, by name.
    """

    __slots__ = (
        "address",
        "agents",
        "cash",
        "cloids",
        "epoch",
        "orders",
        "positions",
        "required",
        "value",
        "volume",
    )

    def __init__(self, address: Address) -> None:
        self.address = address
        self.cash = 0
        self.volume = 0
        self.positions: dict[AssetId, Position] = {}
        self.orders: dict[OrderId, Order] = {}
        self.cloids: dict[Cloid, Order] = {}
        self.agents: dict[str, Address] = {}
        self.epoch = -1
        self.value = 0
        self.required = 0

    def find(self, target: OrderId | Cloid) -> Order | None:
        """Return the open order with this id or client id.

        The two cannot be mistaken: one is a number.
        """
        if isinstance(target, str):
            return self.cloids.get(target)
        return self.orders.get(target)

    def position(self, market: Market) -> Position:
        """Return the account's position in a market, an empty one if it has none yet."""
        asset = market.instrument.asset
        position = self.positions.get(asset)
        if position is None:
            position = self.positions[asset] = Position(market.default_leverage)
        return position

    def index(self, order: Order, position: Position) -> None:
        """Enter an order that came to rest; the kept totals are not touched."""
        self.orders[order.oid] = order
        if order.cloid is not None:
            self.cloids[order.cloid] = order
        if order.reduce_only:
            position.reducing[order.oid] = order
            position.reducing_lots += order.remaining
        elif order.is_buy:
            position.resting_buys += order.remaining
        else:
            position.resting_sells += order.remaining

    def forget(self, order: Order, position: Position) -> None:
        """Take an order out again with what it has left; the kept totals are not touched."""
        del self.orders[order.oid]
        if order.cloid is not None:
            del self.cloids[order.cloid]
        if order.reduce_only:
            del position.reducing[order.oid]
            position.reducing_lots -= order.remaining
        elif order.is_buy:
            position.resting_buys -= order.remaining
        else:
            position.resting_sells -= order.remaining

    def pay(self, usd: int) -> None:
        """Add money, or take it out if negative."""
        self.cash += usd
        self.value += usd

    def to_state(
        self, positions: tuple[PositionState, ...], agents: tuple[AgentState, ...]
    ) -> AccountState:
        """Return the account as a plain value."""
        orders = tuple(resting_order(order) for order in self.orders.values())
        return AccountState(self.address, True, self.cash, self.volume, positions, orders, agents)
