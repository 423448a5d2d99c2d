"""Liquidation: what happens to an account that is worth less than its maintenance margin.

Cross positions and their pool are liquidated together, an isolated position by itself. In order,
each step only if the one before did not help:

1. The account's open orders are cancelled (those of the market, if the position is isolated).
2. Its positions are sold into the book, the one with the largest maintenance margin first, until
   the account is healthy. Of a position of more than PARTIAL_FROM the first order takes a fifth,
   and the rest is left alone for COOL_DOWN_MS. No fill may take what the account is worth below
   zero.
3. Below two thirds of the maintenance margin the backstop takes over all positions at the mark
   price, and all that is left of the money with them, if it can carry them at their initial margin.
4. Where it cannot, or where the account is worth less than nothing, its positions are closed
   against those of others at the mark price as it was before it last moved (``deleveraging``).
5. What is then still missing is paid by the backstop from what it has free, and by the insurance
   fund, which may fall below zero: debt that nobody could pay, kept where everybody sees it.

An account that none of this could help is tried again each time the clock moves. An attempt that
changes nothing leaves no event.

``heal`` runs after every command, over the accounts that the command made worth less and, when
prices moved, over those that ``model.watch`` finds. It goes on until nobody is left whom it could
help: makers of liquidating trades may be the next ones. Accounts are taken in the order of their
addresses, round by round, so what happens does not depend on what is kept for speed.

Source: Hyperliquid documentation, liquidations; auto-deleveraging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model import twap
from model.accounts import Account, Position
from model.deleveraging import Deleveraging
from model.events import (
    CancelReason,
    CollateralSeized,
    Event,
    Liquidated,
    ShortfallCovered,
    TradeKind,
)
from model.forced_trades import close_into_book, trade_off_book
from model.ids import BACKSTOP, Address, AssetId
from model.margin import cross_maintenance, demand_of, equity, refresh
from model.markets import Market
from model.units import USD

if TYPE_CHECKING:
    from model.matching import MatchingEngine

PARTIAL_FROM: Final = 100_000 * USD
"""Positions of more than this are not sold at once."""

PARTIAL_DIVISOR: Final = 5
"""The first order takes this part of a large position, rounded up to a lot."""

COOL_DOWN_MS: Final = 30_000
"""How long the rest of a large position is left alone."""

BACKSTOP_NUMERATOR: Final = 2
BACKSTOP_DENOMINATOR: Final = 3
"""Below this fraction of the maintenance margin the book is given up."""


def heal_after_command(engine: MatchingEngine, events: list[Event]) -> None:
    """Liquidate whom a client's command brought below its maintenance margin.

    Who covers its demand is healthy (``model.margin``), so most are done with a comparison.
    """
    watch, accounts = engine.watch, engine.accounts
    suspects = set()
    for address in watch.touched:
        account = accounts[address]
        if account.epoch != engine.epoch:
            refresh(account, engine.markets, engine.epoch)
        if account.value < account.required or account.has_isolated:
            suspects.add(address)
    if watch.cooling:
        # Who has recovered must be forgotten now: a tick that changes something must be kept.
        suspects.update(address for address, _ in watch.cooling if address in watch.touched)
    watch.pending |= watch.touched
    watch.touched.clear()
    if suspects:
        _Healing(engine, events).run(suspects)


def heal_after_move(engine: MatchingEngine, events: list[Event]) -> None:
    """Liquidate whom time and prices brought below its maintenance margin."""
    watch = engine.watch
    suspects = watch.reached(engine.markets) | watch.pending | watch.touched | watch.ailing
    suspects.update(address for address, _ in watch.cooling)
    watch.pending.clear()
    watch.touched.clear()
    if suspects:
        _Healing(engine, events).run(suspects)


def ails(engine: MatchingEngine, account: Account) -> list[AssetId | None]:
    """Return what of an account is below its maintenance margin: isolated positions, or ``None``.

    ``None`` stands for the cross positions together. A flat position or pool that owes money is
    below it as well. Brings the account's totals up to date.
    """
    if account.epoch != engine.epoch:
        refresh(account, engine.markets, engine.epoch)
    found: list[AssetId | None] = []
    if account.value < account.required and account.value < cross_maintenance(
        account, engine.markets
    ):
        found.append(None)
    if account.has_isolated:
        for asset, position in sorted(account.positions.items()):
            if not position.is_cross and _isolated_slack(engine.markets[asset], position) < 0:
                found.append(asset)
    return found


def _isolated_slack(market: Market, position: Position) -> int:
    notional = abs(position.size) * market.mark
    return equity(position, market.mark) - market.margins.maintenance(notional)


class _Healing:
    """One run over everybody who may be in need of it."""

    def __init__(self, engine: MatchingEngine, events: list[Event]) -> None:
        self.engine = engine
        self.events = events
        self.deleveraging = Deleveraging(engine)

    def run(self, suspects: set[Address]) -> None:
        """Go on, round by round, while accounts are touched."""
        watch = self.engine.watch
        while suspects:
            for address in sorted(suspects):
                self._look(self.engine.accounts[address])
            suspects = set(watch.touched)
            watch.touched.clear()

    def _look(self, account: Account) -> None:
        engine, watch = self.engine, self.engine.watch
        ailing = ails(engine, account)
        for asset in ailing:
            self._liquidate(account, asset)
        if ailing:
            ailing = ails(engine, account)
        if watch.cooling:
            for asset in (None, *account.positions):
                if asset not in ailing:
                    watch.cooling.pop((account.address, asset), None)
        if ailing:
            watch.ailing.add(account.address)
        else:
            watch.ailing.discard(account.address)
            watch.enter(account, engine.markets)

    def _liquidate(self, account: Account, asset: AssetId | None) -> None:
        """Go through the steps; leave no event where none of them did anything."""
        case = _Case(self.engine, account, asset)
        events = self.events
        head = case.head()
        start = len(events)
        if head is not None:
            events.append(head)
        if case.positions():
            self.engine.cancel_all(account, CancelReason.LIQUIDATED, events, asset)
            twap.stop_all(self.engine, account, events, asset)
            self._sell(case)
            worth, maintenance = case.worth(), case.maintenance()
            if worth < 0 or worth * BACKSTOP_DENOMINATOR < maintenance * BACKSTOP_NUMERATOR:
                if worth >= 0 and self._can_backstop(case):
                    self._hand_over(case)
                else:
                    self._deleverage(case)
        if case.worth() < 0 and not case.positions():
            self._cover(case)
        if head is not None and len(events) == start + 1:
            events.pop()

    # ---- into the book -----------------------------------------------------------------------

    def _sell(self, case: _Case) -> None:
        engine = self.engine
        cooling = engine.watch.cooling
        until = cooling.get(case.key)
        if until is not None and engine.time_ms < until:
            return
        for asset in case.by_maintenance():
            if case.is_healthy():
                return
            market, position = case.market(asset), case.account.positions[asset]
            lots = abs(position.size)
            if until is None and lots * market.mark > PARTIAL_FROM:
                lots = -(lots // -PARTIAL_DIVISOR)
            size = position.size
            close_into_book(engine, case.account, position, market, lots=lots, events=self.events)
            if lots < abs(size) and position.size != size:
                cooling[case.key] = engine.time_ms + COOL_DOWN_MS

    # ---- the backstop ------------------------------------------------------------------------

    def _can_backstop(self, case: _Case) -> bool:
        """Tell whether the backstop can carry all positions, with the money that comes along."""
        engine = self.engine
        backstop = engine.accounts.get(BACKSTOP)
        if backstop is None or backstop is case.account:
            return False
        if backstop.epoch != engine.epoch:
            refresh(backstop, engine.markets, engine.epoch)
        required = backstop.required
        for asset in case.positions():
            own = backstop.position(case.market(asset))
            size = own.size + case.account.positions[asset].size
            mark = case.market(asset).mark
            required -= own.margin
            required += demand_of(own, mark, size, own.resting_buys, own.resting_sells)
        return backstop.value + case.worth() >= required

    def _hand_over(self, case: _Case) -> None:
        engine, account = self.engine, case.account
        backstop = engine.accounts[BACKSTOP]
        for asset in case.by_maintenance():
            market = case.market(asset)
            trade_off_book(
                engine,
                account,
                backstop,
                market,
                price=market.mark,
                kind=TradeKind.BACKSTOP,
                events=self.events,
            )
        usd = case.worth()
        case.pay(-usd)
        backstop.pay(usd)
        self.events.append(CollateralSeized(account.address, BACKSTOP, case.asset, usd))

    # ---- the others --------------------------------------------------------------------------

    def _deleverage(self, case: _Case) -> None:
        engine, account = self.engine, case.account
        for asset in case.by_maintenance():
            market, position = case.market(asset), account.positions[asset]
            while position.size and not case.is_healthy():
                found = self.deleveraging.next(
                    market,
                    of_longs=position.size < 0,
                    price=market.mark_before,
                    but=account.address,
                )
                if found is None:
                    break
                other, _, lots = found
                trade_off_book(
                    engine,
                    account,
                    other,
                    market,
                    price=market.mark_before,
                    kind=TradeKind.DELEVERAGING,
                    events=self.events,
                    lots_max=lots,
                )

    # ---- what is missing ---------------------------------------------------------------------

    def _cover(self, case: _Case) -> None:
        engine, account = self.engine, case.account
        usd = -case.worth()
        backstop = engine.accounts.get(BACKSTOP)
        from_backstop = 0
        if backstop is not None and backstop is not account:
            if backstop.epoch != engine.epoch:
                refresh(backstop, engine.markets, engine.epoch)
            from_backstop = min(usd, max(0, backstop.value - backstop.required))
            if from_backstop:
                backstop.pay(-from_backstop)
        from_insurance = usd - from_backstop
        engine.insurance -= from_insurance
        case.pay(usd)
        self.events.append(
            ShortfallCovered(
                account.address, case.asset, usd, BACKSTOP, from_backstop, from_insurance
            )
        )


class _Case:
    """What is liquidated: an account's isolated position, or all its cross positions together."""

    def __init__(self, engine: MatchingEngine, account: Account, asset: AssetId | None) -> None:
        self.engine = engine
        self.account = account
        self.asset = asset
        self.key = account.address, asset

    def market(self, asset: AssetId) -> Market:
        """Return a market."""
        return self.engine.markets[asset]

    def positions(self) -> list[AssetId]:
        """Return where something is held, by asset id."""
        held = self.account.positions
        if self.asset is not None:
            return [self.asset] if held[self.asset].size else []
        return sorted(asset for asset, own in held.items() if own.size and own.is_cross)

    def by_maintenance(self) -> list[AssetId]:
        """Return the same, the largest maintenance margin first."""
        return sorted(self.positions(), key=lambda asset: (-self._maintenance_of(asset), asset))

    def _notional_of(self, asset: AssetId) -> int:
        return abs(self.account.positions[asset].size) * self.market(asset).mark

    def _maintenance_of(self, asset: AssetId) -> int:
        return self.market(asset).margins.maintenance(self._notional_of(asset))

    def maintenance(self) -> int:
        """Return what the account must be worth."""
        return sum(map(self._maintenance_of, self.positions()))

    def worth(self) -> int:
        """Return what it is worth."""
        if self.asset is not None:
            return equity(self.account.positions[self.asset], self.market(self.asset).mark)
        return self.account.value

    def is_healthy(self) -> bool:
        """Tell whether it needs no more help."""
        return self.worth() >= self.maintenance()

    def pay(self, usd: int) -> None:
        """Add money to the pool or the isolated position, or take it out if negative."""
        if self.asset is None:
            self.account.pay(usd)
        else:
            self.account.positions[self.asset].isolated_usd += usd
            self.account.touched.add(self.account.address)

    def head(self) -> Liquidated | None:
        """Return the event that it begins with; there is none where nothing is held."""
        held = self.positions()
        if not held:
            return None
        return Liquidated(
            self.account.address,
            self.asset,
            sum(map(self._notional_of, held)),
            self.worth(),
            tuple((asset, self.account.positions[asset].size) for asset in held),
        )
