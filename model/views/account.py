"""One account as its owner sees it: money, positions, open orders, and what happened lately.

The view starts from an ``AccountState`` and what the history knows (``AccountSeeds``), and applies
the events of its account. Positions and balances are moved by the exchange's own arithmetic. Mark
prices are not kept here: they belong to the markets and are given when a summary is asked for.

Two things that an ``AccountState`` tells are not followed, since no event says when they change:
the fee tier, which may change with the day, and the count of requests. Ask the source for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from model.accounts import Position, flat_position
from model.balances import E8_PER_MICRO_USD
from model.events import (
    AgentApproved,
    AssetSent,
    CancelScheduled,
    ClassTransferred,
    CollateralSeized,
    Credited,
    Event,
    FundingPaid,
    IsolatedMarginMoved,
    Leg,
    LeverageUpdated,
    Liquidated,
    OrderCanceled,
    OrderPlaced,
    RequestsReserved,
    ShortfallCovered,
    SubAccountCreated,
    SubAccountFunded,
    SubAccountRenamed,
    TokenCredited,
    TokenSent,
    Traded,
    TwapEnded,
    TwapStarted,
    UsdSent,
    Withdrawn,
)
from model.ids import SPOT_ASSETS_FROM, AssetId
from model.state import (
    AccountState,
    AgentState,
    RestingOrder,
    SubAccountState,
)
from model.universe import Universe
from model.views.money import fundings_from, ledger_from, paid_in
from model.views.open_orders import OpenOrders
from model.views.purse import Purse
from model.views.records import (
    Fill,
    FundingRecord,
    LedgerRecord,
    Moment,
    OrderRecord,
    TwapRecord,
    fill_of_leg,
)
from model.views.twaps import Twaps

RECENT_FILLS_MAX: Final = 2000
RECENT_ORDERS_MAX: Final = 2000
RECENT_LEDGER_MAX: Final = 500
RECENT_FUNDINGS_MAX: Final = 500
RECENT_TWAPS_MAX: Final = 500
"""Records that a view remembers: as many as the wire shows at once."""


class AccountSeeds(Struct, frozen=True, array_like=True):
    """What the history knows of an account up to the height of its state; all oldest first.

    ``paid_in`` are micro-USD that it was paid in by then and did not take out again.
    """

    fills: tuple[Fill, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    ledger: tuple[LedgerRecord, ...] = ()
    fundings: tuple[FundingRecord, ...] = ()
    twaps: tuple[TwapRecord, ...] = ()
    paid_in: int = 0


NO_SEEDS: Final = AccountSeeds()
"""Of an account without history."""


class AccountChanges(Struct, frozen=True, array_like=True):
    """What one event did to an account. ``state`` tells whether its summary is different now."""

    orders: tuple[OrderRecord, ...] = ()
    fills: tuple[Fill, ...] = ()
    ledger: tuple[LedgerRecord, ...] = ()
    state: bool = False
    fundings: tuple[FundingRecord, ...] = ()
    twaps: tuple[TwapRecord, ...] = ()


NOTHING: Final = AccountChanges()
SUMMARY_ONLY: Final = AccountChanges(state=True)


class AccountView:
    """One account, followed event by event.

    Public parts: ``address``, ``known``, ``purse``, ``volume``, ``open_orders``, ``running`` TWAPs,
    ``sub_accounts`` (names by address), ``master``, ``cancel_at_ms``, ``paid_in`` (micro-USD), and
    the rings ``fills``, ``orders``, ``ledger``, ``fundings`` and ``twaps``, oldest first.
    ``universe`` is kept by reference.
    """

    def __init__(
        self, state: AccountState, universe: Universe, seeds: AccountSeeds = NO_SEEDS
    ) -> None:
        self.address = state.address
        self.known = state.known
        self.purse = Purse(state.address, state.cash, state.balances)
        self.volume = state.volume
        self.master = state.master
        self.cancel_at_ms = state.cancel_at_ms
        self.open_orders = OpenOrders(
            universe, state.orders, state.triggers, account=state.address, known=seeds.orders
        )
        self.running = Twaps(state.twaps, account=state.address)
        self.fills: deque[Fill] = deque(seeds.fills, RECENT_FILLS_MAX)
        self.orders: deque[OrderRecord] = deque(seeds.orders, RECENT_ORDERS_MAX)
        self.ledger: deque[LedgerRecord] = deque(seeds.ledger, RECENT_LEDGER_MAX)
        self.fundings: deque[FundingRecord] = deque(seeds.fundings, RECENT_FUNDINGS_MAX)
        self.twaps: deque[TwapRecord] = deque(seeds.twaps, RECENT_TWAPS_MAX)
        self.paid_in = seeds.paid_in
        self.sub_accounts = {each.account: each.name for each in state.sub_accounts}
        self._universe = universe
        self._agents = {agent.name: agent for agent in state.agents}
        self._positions: dict[AssetId, Position] = {}
        for held in state.positions:
            self._touch(held.asset).restore(held)
        for order in state.orders:
            if order.asset < SPOT_ASSETS_FROM:
                self._rest(order, order.remaining)

    def apply(self, event: Event, at: Moment) -> AccountChanges:
        """Take in one event that names this account; others change nothing."""
        handler = _HANDLERS.get(type(event))
        return self._with_orders(event, at) if handler is None else handler(self, event, at)

    # ---- looking -----------------------------------------------------------------------------

    def position(self, asset: AssetId) -> Position:
        """Return the position in a market, flat at the default leverage if never touched."""
        position = self._positions.get(asset)
        return flat_position(self._universe[asset], self.address) if position is None else position

    def positions(self) -> Iterator[tuple[AssetId, Position]]:
        """Iterate over the markets that the account ever touched, by asset id."""
        return iter(sorted(self._positions.items()))

    def agents(self, time_ms: int) -> tuple[AgentState, ...]:
        """Return the agents that may sign at that time, ordered by name."""
        return tuple(
            agent for _, agent in sorted(self._agents.items()) if time_ms < agent.valid_until
        )

    @property
    def cash(self) -> int:
        """The money behind the cross positions, in micro-USD."""
        return self.purse.cash

    def to_state(self, time_ms: int) -> AccountState:
        """Return the account as the exchange tells it, without agents expired by that time.

        Fee tier and requests are left out.
        """
        told = (
            held.to_state(self._universe[asset], self.address) for asset, held in self.positions()
        )
        return AccountState(
            self.address,
            self.known,
            self.cash,
            self.volume,
            tuple(position for position in told if position is not None),
            tuple(self.open_orders),
            self.agents(time_ms),
            tuple(self.open_orders.triggers.values()),
            tuple(self.running),
            self.purse.balances(),
            tuple(SubAccountState(*each) for each in self.sub_accounts.items()),
            self.master,
            self.cancel_at_ms,
        )

    # ---- orders and trades -------------------------------------------------------------------

    def _placed(self, event: OrderPlaced, at: Moment) -> AccountChanges:
        changes = self._with_orders(event, at)
        order = self.open_orders.get(event.oid)
        if order is not None and event.account == self.address:
            self._reserve(order, order.remaining)
        return changes

    def _canceled(self, event: OrderCanceled, at: Moment) -> AccountChanges:
        order = self.open_orders.get(event.oid)
        if order is not None:
            self._reserve(order, -order.remaining)
        return self._with_orders(event, at)

    def _trade(self, event: Traded, at: Moment) -> AccountChanges:
        is_taker = event.taker.account == self.address
        if not is_taker and event.maker.account != self.address:
            return NOTHING
        leg = event.taker if is_taker else event.maker
        self.known = True
        order = self.open_orders.get(leg.oid)
        if order is not None:
            self._reserve(order, -event.lots)
        instrument = self._universe[event.asset]
        is_buy = event.taker_is_buy is is_taker
        if instrument.base is None:
            self._settle(event, leg, is_buy=is_buy)
        else:
            self.purse.trade(event, leg, instrument, is_buy=is_buy)
            self.volume += event.lots * event.price // E8_PER_MICRO_USD
        self.running.apply(event, at)
        fill = fill_of_leg(event, leg, is_taker=is_taker, at=at)
        self.fills.append(fill)
        return self._with_orders(event, at, fills=(fill,))

    def _settle(self, event: Traded, leg: Leg, *, is_buy: bool) -> None:
        signed_lots = event.lots if is_buy else -event.lots
        cost = signed_lots * event.price
        position = self._touch(event.asset)
        position.trade(signed_lots, event.price)
        if position.is_cross:
            self.purse.cash -= cost + leg.fee
        else:
            position.isolated_usd += leg.margin - cost
            self.purse.cash -= leg.margin + leg.fee
        self.volume += abs(cost)

    def _with_orders(
        self, event: Event, at: Moment, fills: tuple[Fill, ...] = ()
    ) -> AccountChanges:
        orders = tuple(self.open_orders.apply(event, at.time_ms))
        self.orders.extend(orders)
        return AccountChanges(orders, fills, (), bool(orders or fills))

    def _reserve(self, order: RestingOrder, lots: int) -> None:
        """Reserve what so many lots of an order demand, or free it if negative."""
        instrument = self._universe[order.asset]
        if instrument.base is None:
            self._rest(order, lots)
        else:
            self.purse.hold(order, instrument, lots)

    def _rest(self, order: RestingOrder, lots: int) -> None:
        """Add to the lots that rest in a market; reduce-only orders demand nothing."""
        position = self._touch(order.asset)
        if order.reduce_only:
            return
        if order.is_buy:
            position.resting_buys += lots
        else:
            position.resting_sells += lots

    def _twap(self, event: TwapStarted | TwapEnded, at: Moment) -> AccountChanges:
        record = self.running.apply(event, at)
        if record is None:
            return NOTHING
        self.twaps.append(record)
        return AccountChanges(twaps=(record,))

    # ---- positions ---------------------------------------------------------------------------

    def _leverage(self, event: LeverageUpdated, _: Moment) -> AccountChanges:
        if event.account != self.address:
            return NOTHING
        self._touch(event.asset).choose(event.leverage, is_cross=event.is_cross)
        return SUMMARY_ONLY

    def _isolated_margin(self, event: IsolatedMarginMoved, _: Moment) -> AccountChanges:
        if event.account != self.address:
            return NOTHING
        self.purse.cash -= event.usd
        self._touch(event.asset).isolated_usd += event.usd
        return SUMMARY_ONLY

    def _funding(self, event: FundingPaid, at: Moment) -> AccountChanges:
        mine = tuple(paid for paid in event.payments if paid.account == self.address)
        for paid in mine:
            position = self._touch(event.asset)
            position.pay_funding(-paid.usd)
            if paid.is_cross:
                self.purse.cash += paid.usd
            else:
                position.isolated_usd += paid.usd
        records = tuple(fundings_from(event, at, mine))
        self.fundings.extend(records)
        return AccountChanges(state=bool(records), fundings=records)

    def _seized(self, event: CollateralSeized, _: Moment) -> AccountChanges:
        if event.account == self.address:
            self._pay(event.asset, -event.usd)
        if event.backstop == self.address:
            self.known = True
            self.purse.cash += event.usd
        return SUMMARY_ONLY

    def _shortfall(self, event: ShortfallCovered, _: Moment) -> AccountChanges:
        if event.account == self.address:
            self._pay(event.asset, event.usd)
        if event.backstop == self.address:
            self.purse.cash -= event.from_backstop
        return SUMMARY_ONLY

    def _pay(self, asset: AssetId | None, usd: int) -> None:
        """Pay into the cross cash, or into an isolated position."""
        if asset is None:
            self.purse.cash += usd
        else:
            self._touch(asset).isolated_usd += usd

    # ---- money -------------------------------------------------------------------------------

    def _moved(self, event: Event, at: Moment) -> AccountChanges:
        """Take in an event that the ledger shows."""
        mine = tuple(entry for entry in ledger_from(event, at) if entry.account == self.address)
        if not mine:
            return NOTHING
        self.known = True
        self.purse.move(event)
        self.ledger.extend(mine)
        self.paid_in += sum(paid_in(entry)[0] for entry in mine)
        return AccountChanges(ledger=mine, state=True)

    def _bought_requests(self, event: RequestsReserved, _: Moment) -> AccountChanges:
        if event.account != self.address:
            return NOTHING
        self.purse.cash -= event.usd
        return SUMMARY_ONLY

    # ---- who acts ----------------------------------------------------------------------------

    def _approve(self, event: AgentApproved, at: Moment) -> AccountChanges:
        if event.account != self.address:
            return NOTHING
        self._agents.pop(event.name, None)
        if event.agent:
            for name, agent in list(self._agents.items()):
                if agent.valid_until <= at.time_ms:
                    del self._agents[name]
            self._agents[event.name] = AgentState(event.agent, event.name, event.valid_until)
        return NOTHING

    def _sub_account(
        self, event: SubAccountCreated | SubAccountRenamed, _: Moment
    ) -> AccountChanges:
        if event.master == self.address:
            self.sub_accounts[event.account] = event.name
        elif event.account == self.address:
            self.known = True
            self.master = event.master
        return NOTHING

    def _schedule(self, event: CancelScheduled, _: Moment) -> AccountChanges:
        if event.account == self.address:
            self.cancel_at_ms = event.at_ms
        return NOTHING

    def _touch(self, asset: AssetId) -> Position:
        return self._positions.setdefault(asset, self.position(asset))


_HANDLERS: Final[dict[type, Callable[[AccountView, Any, Moment], AccountChanges]]] = {
    OrderPlaced: AccountView._placed,
    OrderCanceled: AccountView._canceled,
    Traded: AccountView._trade,
    TwapStarted: AccountView._twap,
    TwapEnded: AccountView._twap,
    LeverageUpdated: AccountView._leverage,
    IsolatedMarginMoved: AccountView._isolated_margin,
    FundingPaid: AccountView._funding,
    CollateralSeized: AccountView._seized,
    ShortfallCovered: AccountView._shortfall,
    RequestsReserved: AccountView._bought_requests,
    AgentApproved: AccountView._approve,
    SubAccountCreated: AccountView._sub_account,
    SubAccountRenamed: AccountView._sub_account,
    CancelScheduled: AccountView._schedule,
    **dict.fromkeys(
        (
            Credited,
            Withdrawn,
            UsdSent,
            SubAccountFunded,
            ClassTransferred,
            TokenCredited,
            TokenSent,
            AssetSent,
            Liquidated,
        ),
        AccountView._moved,
    ),
}
"""What an event means to an account; those that are not here can only concern its orders."""
