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

from model.balances import Balance
from model.fees import FeeBook
from model.ids import BACKSTOP, Address, AssetId, Cloid, OrderId, TokenId
from model.instruments import Instrument, MarginMode, MarginTier
from model.markets import NEVER_DUE, Market
from model.orders import Order, resting_order
from model.state import AccountState, AgentState, PositionState
from model.tiers import notional_max

if TYPE_CHECKING:
    from model.triggers import AccountTriggers, Trigger


class Position:
    """One account in one market: what it holds and what it has resting there.

    ``size`` is signed lots, ``entry_notional`` the signed cost of it. ``resting_buys`` and
    ``resting_sells`` are lots of open orders that are not reduce-only; ``reducing`` are those that
    are, oldest first, ``reducing_lots`` their sum.

    A position that is not ``is_cross`` is isolated: ``isolated_usd`` is its own ledger of cash,
    margin posted minus the signed cost minus funding. What it is worth is that plus its size at the
    mark price, and neither profit nor loss of it reaches the rest of the account.

    ``funding_ever``, ``funding_open`` and ``funding_change`` are micro-USD of funding paid
    (negative: received) ever, since the position was opened, and since it last changed.

    ``margin`` is what the market demands of the account, at the marks of the account's epoch.
    ``tiers`` are the market's where there are several. Positions up to ``notional_max`` may have
    the chosen leverage; larger ones count with that of their tier. ``due`` is how far the market's
    mark price may have travelled before the account must be looked at (``model.watch``). All four
    are kept for speed.
    """

    __slots__ = (
        "due",
        "entry_notional",
        "funding_change",
        "funding_ever",
        "funding_open",
        "is_cross",
        "isolated_usd",
        "leverage",
        "margin",
        "notional_max",
        "reducing",
        "reducing_lots",
        "resting_buys",
        "resting_sells",
        "size",
        "tiers",
    )

    def __init__(
        self, leverage: int, is_cross: bool = True, tiers: tuple[MarginTier, ...] = ()
    ) -> None:
        self.size = 0
        self.entry_notional = 0
        self.isolated_usd = 0
        self.funding_ever = 0
        self.funding_open = 0
        self.funding_change = 0
        self.resting_buys = 0
        self.resting_sells = 0
        self.reducing: dict[OrderId, Order] = {}
        self.reducing_lots = 0
        self.margin = 0
        self.due = NEVER_DUE
        self.tiers = tiers if len(tiers) > 1 else ()
        self.choose(leverage, is_cross=is_cross)

    def choose(self, leverage: int, *, is_cross: bool) -> None:
        """Set leverage and kind of margin; the kept totals are not touched."""
        self.leverage = leverage
        self.is_cross = is_cross
        self.notional_max = notional_max(self.tiers, leverage)

    def trade(self, signed_lots: int, price: int) -> int:
        """Add signed lots at a price; return the profit realised by it, before fees.

        A part that closes takes its proportion of the entry notional with it, rounded towards zero,
        so the rest keeps what the division left over; closing the whole position takes all of it. A
        flip closes the whole position and opens the rest at the price of the trade.
        """
        size = self.size
        self.funding_change = 0
        if size * signed_lots >= 0:
            if not size:
                self.funding_open = 0
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
        self.funding_open = 0
        return profit

    def pay_funding(self, usd: int) -> None:
        """Count funding that was paid, negative if received; cash is not touched."""
        self.funding_ever += usd
        self.funding_open += usd
        self.funding_change += usd

    def restore(self, state: PositionState) -> None:
        """Take over what a plain value says."""
        self.choose(state.leverage, is_cross=state.is_cross)
        self.size = state.size
        self.entry_notional = state.entry_notional
        self.isolated_usd = state.isolated_usd
        self.funding_ever, self.funding_open, self.funding_change = state.funding_paid

    def to_state(self, instrument: Instrument, account: Address) -> PositionState | None:
        """Return the position as a plain value, ``None`` if it is as if never touched."""
        if not (
            self.size
            or self.isolated_usd
            or self.funding_ever
            or self.leverage != instrument.default_leverage
            or self.is_cross is not is_cross_by_default(instrument, account)
        ):
            return None
        return PositionState(
            instrument.asset,
            self.size,
            self.entry_notional,
            self.is_cross,
            self.leverage,
            self.isolated_usd,
            (self.funding_ever, self.funding_open, self.funding_change),
        )


def flat_position(instrument: Instrument, account: Address) -> Position:
    """Return the position of an account that has none and chose nothing."""
    is_cross = is_cross_by_default(instrument, account)
    return Position(instrument.default_leverage, is_cross, instrument.margin_tiers)


def is_cross_by_default(instrument: Instrument, account: Address) -> bool:
    """Tell which margin an account has that chose none; the backstop has one pool everywhere."""
    return instrument.margin_mode is MarginMode.ANY or account == BACKSTOP


def proportion_towards_zero(amount: int, part: int, whole: int) -> int:
    """Return amount * part / whole, rounded towards zero; ``part`` and ``whole`` are positive."""
    if amount < 0:
        return -(-amount * part // whole)
    return amount * part // whole


class Account:
    """One account. Money in micro-USD.

    ``orders`` are the open orders by id, oldest first, and ``cloids`` those of them that have a
    client id. ``agents`` are the addresses that may sign for it, by name. ``balances`` are its spot
    balances, ``sub_accounts`` the names of the accounts that it commands, and ``fees`` what its
    trades cost, which it shares with them. ``requests`` were counted so far, ``reserved`` bought,
    and ``beyond_ms`` is when the last one came that was beyond the allowance. ``cancel_at_ms`` is
    when all orders are to be cancelled; ``schedules_fired`` counts how often that came true on the
    day ``schedules_day``. ``triggers`` is ``None`` until there was one.

    ``has_isolated`` is true from when a market is first traded with isolated margin; it only saves
    looking. ``touched`` is the exchange's set of accounts whose worth was changed by the command
    that is being executed; every account enters itself.
    """

    __slots__ = (
        "address",
        "agents",
        "balances",
        "beyond_ms",
        "cancel_at_ms",
        "cash",
        "cloids",
        "epoch",
        "fees",
        "has_isolated",
        "master",
        "orders",
        "positions",
        "requests",
        "required",
        "reserved",
        "schedules_day",
        "schedules_fired",
        "sub_accounts",
        "touched",
        "triggers",
        "value",
        "volume",
    )

    def __init__(self, address: Address, touched: set[Address]) -> None:
        self.address = address
        self.touched = touched
        self.cash = 0
        self.volume = 0
        self.fees = FeeBook()
        self.balances: dict[TokenId, Balance] = {}
        self.sub_accounts: dict[Address, str] = {}
        self.master: Address | None = None
        self.requests = 0
        self.reserved = 0
        self.beyond_ms = 0
        self.positions: dict[AssetId, Position] = {}
        self.orders: dict[OrderId, Order] = {}
        self.cloids: dict[Cloid, Order | Trigger] = {}
        self.triggers: AccountTriggers | None = None
        self.agents: dict[str, Address] = {}
        self.cancel_at_ms: int | None = None
        self.schedules_day = 0
        self.schedules_fired = 0
        self.has_isolated = False
        self.epoch = -1
        self.value = 0
        self.required = 0

    def find(self, target: OrderId | Cloid) -> Order | Trigger | None:
        """Return the open order with this id or client id.

        The two cannot be mistaken: one is a number.
        """
        if isinstance(target, str):
            return self.cloids.get(target)
        order = self.orders.get(target)
        if order is None and self.triggers is not None:
            return self.triggers.orders.get(target)
        return order

    def open_count(self) -> int:
        """Return how many orders are open, triggers included."""
        waiting = 0 if self.triggers is None else len(self.triggers.orders)
        return len(self.orders) + waiting

    def position(self, market: Market) -> Position:
        """Return the account's position in a market, an empty one if it has none yet."""
        asset = market.instrument.asset
        position = self.positions.get(asset)
        if position is None:
            position = self.positions[asset] = flat_position(market.instrument, self.address)
            self.has_isolated |= not position.is_cross
        return position

    def balance(self, token: TokenId) -> Balance:
        """Return the account's balance of a token, an empty one if it has none yet."""
        balance = self.balances.get(token)
        if balance is None:
            balance = self.balances[token] = Balance(token)
        return balance

    def available(self, token: TokenId) -> int:
        """Return how much of a token the account may spend, in 1e-8 tokens."""
        balance = self.balances.get(token)
        return 0 if balance is None else balance.available

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
        self.touched.add(self.address)

    def to_state(
        self, positions: tuple[PositionState, ...], agents: tuple[AgentState, ...]
    ) -> AccountState:
        """Return the account as a plain value."""
        orders = tuple(resting_order(order) for order in self.orders.values())
        held = self.triggers
        return AccountState(
            self.address,
            True,
            self.cash,
            self.volume,
            positions,
            orders,
            agents,
            triggers=held.to_state() if held is not None else (),
            cancel_at_ms=self.cancel_at_ms,
        )
