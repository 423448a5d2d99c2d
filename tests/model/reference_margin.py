"""The slow, obvious reference of margin: every figure from scratch, in fractions, each time.

``Bank`` is what both sides can do: two accounts trade at a price, mark prices move, accounts choose
leverage and move isolated margin. Nothing rests when prices move, so liquidation begins with the
backstop. There are no fees.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Final, Protocol

from attrs import define, field

from model.commands import (
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.events import CancelReason, CommandRefused, OrderPlaced, Traded
from model.exchange import Exchange
from model.ids import BACKSTOP, Address, AssetId
from model.instruments import Instrument, MarginTier
from model.invariants import check
from model.units import E8, USD

ACCOUNTS: Final = tuple(Address(f"0x{number:040x}") for number in range(16, 22))
TIERS: Final = (
    (MarginTier(0, 40), MarginTier(3_000 * USD, 10), MarginTier(9_000 * USD, 3)),
    (MarginTier(0, 25),),
)
"""Of the two markets. Prices are ticks of 0.0001 USD, lots 0.01."""

OPENING: Final = 1_000_000
MONEY: Final = 500 * USD
BACKSTOP_MONEY: Final = 100 * USD

View = tuple[dict[Address, int], dict[tuple[Address, int], tuple[int, int]], int]
"""Cash by account, size and own money by position (those that have either), insurance."""


class Bank(Protocol):
    """What is asked of both."""

    def trade(self, buyer: int, seller: int, asset: int, price: int, lots: int) -> bool:
        """Trade between two accounts, if both may; the seller's order comes first."""

    def move(self, asset: int, price: int) -> None:
        """Move a mark price, and liquidate."""

    def choose(self, account: int, asset: int, *, is_cross: bool, leverage: int) -> bool:
        """Choose leverage and kind of margin, if possible."""

    def shift(self, account: int, asset: int, usd: int) -> bool:
        """Move money into an isolated position, or out of it, if possible."""

    def view(self) -> View:
        """Return what everybody has."""


# ---- the reference -------------------------------------------------------------------------------


@define
class Held:
    """A position."""

    size: int = 0
    cost: int = 0
    own: int = 0
    is_cross: bool = True
    leverage: int = 20


@define
class ReferenceBank:
    """Everything is computed when it is asked for."""

    cash: dict[Address, int] = field(factory=dict)
    held: dict[tuple[Address, int], Held] = field(factory=dict)
    marks: list[int] = field(factory=lambda: [OPENING, OPENING])
    before: list[int] = field(factory=lambda: [OPENING, OPENING])
    insurance: int = 0
    rankings: dict[tuple[int, bool], int] = field(factory=dict)
    queues: dict[tuple[int, bool], list[Address]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for account in (*ACCOUNTS, BACKSTOP):
            self.cash[account] = MONEY if account != BACKSTOP else BACKSTOP_MONEY
            for asset in (0, 1):
                self.held[account, asset] = Held()

    # figures

    def tier(self, asset: int, notional: int) -> MarginTier:
        return [tier for tier in TIERS[asset] if tier.lower_bound <= notional][-1]

    def maintenance(self, asset: int, size: int) -> int:
        notional = abs(size) * self.marks[asset]
        total, before = Fraction(0), None
        for tier in TIERS[asset]:
            rate = Fraction(1, 2 * tier.max_leverage)
            if before is not None and tier.lower_bound <= notional:
                total += tier.lower_bound * (rate - before)
            before = rate
        rate = Fraction(1, 2 * self.tier(asset, notional).max_leverage)
        return ceil(notional * rate) - floor(total)

    def initial(self, asset: int, held: Held, size: int, more: int = 0, price: int = 0) -> int:
        """Return the margin of a size, with ``more`` signed lots resting on top."""
        price = price or self.marks[asset]
        sizes = [size, size + more]
        largest = max(abs(one) for one in sizes if one * (size + more) >= 0 or one == size)
        leverage = min(held.leverage, self.tier(asset, largest * self.marks[asset]).max_leverage)
        if held.is_cross:
            return ceil(Fraction(largest * price, leverage))
        over = size + more
        if over * size < 0:
            added = abs(over)
        else:
            added = max(0, abs(over) - abs(size))
        return ceil(Fraction(added * price, leverage))

    def value(self, account: Address) -> int:
        return self.cash[account] + sum(
            held.size * self.marks[asset]
            for asset in (0, 1)
            if (held := self.held[account, asset]).is_cross
        )

    def worth(self, account: Address, asset: int) -> int:
        held = self.held[account, asset]
        return held.own + held.size * self.marks[asset]

    def required(self, account: Address, but: int | None = None) -> int:
        return sum(
            self.initial(asset, self.held[account, asset], self.held[account, asset].size)
            for asset in (0, 1)
            if asset != but
        )

    # trading

    def trade(self, buyer: int, seller: int, asset: int, price: int, lots: int) -> bool:
        first, second = ACCOUNTS[seller], ACCOUNTS[buyer]
        if not self.may_place(first, asset, -lots, None):
            return False
        if not self.may_place(second, asset, lots, price):
            return False
        if not (
            self.may_trade(second, asset, lots, price)
            and self.may_trade(first, asset, -lots, price)
        ):
            return False
        self.settle(second, asset, lots, price)
        self.settle(first, asset, -lots, price)
        self.heal()
        return True

    def may_place(self, account: Address, asset: int, signed: int, crossing: int | None) -> bool:
        held, mark = self.held[account, asset], self.marks[asset]
        side = 1 if signed > 0 else -1
        reached = (held.size + signed) * side * mark
        if reached >= 0 and self.tier(asset, reached).max_leverage < held.leverage:
            return False
        now = self.initial(asset, held, held.size)
        wanted = self.initial(asset, held, held.size, signed)
        if wanted <= now:
            return True
        value = self.value(account)
        if crossing is not None:
            value -= max(0, signed * (crossing - mark))
        return value >= self.required(account, but=asset) + wanted

    def may_trade(self, account: Address, asset: int, signed: int, price: int) -> bool:
        held, mark = self.held[account, asset], self.marks[asset]
        size = held.size + signed
        if held.is_cross:
            value = self.value(account) - signed * (price - mark)
            if abs(size) <= abs(held.size):
                return signed * (price - mark) <= 0 or value >= 0
            return value >= self.required(account, but=asset) + self.initial(asset, held, size)
        if held.size * signed < 0:
            closed = min(abs(signed), abs(held.size)) * (1 if signed > 0 else -1)
            loss = closed * (price - mark)
            if loss > 0 and self.worth(account, asset) < loss:
                return False
            if abs(signed) <= abs(held.size):
                return True
        posted = self.transfer(account, asset, signed, price)
        return self.value(account) - posted >= self.required(account, but=asset)

    def transfer(self, account: Address, asset: int, signed: int, price: int) -> int:
        """Return what a trade moves into an isolated position."""
        held, mark = self.held[account, asset], self.marks[asset]
        size, own, moved = held.size, held.own, 0
        closing = 0
        if size * signed < 0:
            closing = min(abs(signed), abs(size)) * (1 if signed > 0 else -1)
            own -= closing * price
            worth = own + (size + closing) * mark
            released = max(0, floor(Fraction(worth * abs(closing), abs(size))))
            moved, own, size = moved - released, own - released, size + closing
        opening = signed - closing
        if opening:
            own -= opening * price
            size += opening
            leverage = min(held.leverage, self.tier(asset, abs(size) * mark).max_leverage)
            posted = ceil(Fraction(abs(opening) * price, leverage))
            least = ceil(Fraction(abs(size) * mark, leverage)) - (own + size * mark)
            moved += max(posted, least)
        return moved

    def settle(
        self, account: Address, asset: int, signed: int, price: int, *, keeps: bool = False
    ) -> None:
        held = self.held[account, asset]
        if held.is_cross:
            self.cash[account] -= signed * price
        else:
            moved = 0 if keeps else self.transfer(account, asset, signed, price)
            self.cash[account] -= moved
            held.own += moved - signed * price
        after = held.size + signed
        if held.size * signed >= 0:
            held.cost += signed * price
        elif held.size * after > 0:
            part = Fraction(held.cost * abs(signed), abs(held.size))
            held.cost -= floor(part) if part >= 0 else ceil(part)
        else:
            held.cost = after * price
        held.size = after

    # choosing

    def choose(self, account: int, asset: int, *, is_cross: bool, leverage: int) -> bool:
        address = ACCOUNTS[account]
        held, mark = self.held[address, asset], self.marks[asset]
        if not 1 <= leverage <= TIERS[asset][0].max_leverage:
            return False
        if held.size and held.is_cross is not is_cross:
            return False
        notional = abs(held.size) * mark
        if leverage > held.leverage and self.tier(asset, notional).max_leverage < leverage:
            return False
        is_lowered = not is_cross and held.size != 0 and leverage < held.leverage
        if is_lowered and self.worth(address, asset) < Fraction(notional, leverage):
            return False
        now = self.initial(asset, held, held.size)
        then = self.initial(asset, Held(held.size, 0, 0, is_cross, leverage), held.size)
        if then > now and self.value(address) < self.required(address, but=asset) + then:
            return False
        held.is_cross, held.leverage = is_cross, leverage
        return True

    def shift(self, account: int, asset: int, usd: int) -> bool:
        address = ACCOUNTS[account]
        held = self.held[address, asset]
        if held.is_cross or not held.size or not usd:
            return False
        notional = abs(held.size) * self.marks[asset]
        least = max(Fraction(notional, held.leverage), Fraction(notional, 10))
        if usd < 0 and self.worth(address, asset) + usd < least:
            return False
        if usd > 0 and usd > self.value(address) - self.required(address):
            return False
        self.cash[address] -= usd
        held.own += usd
        return True

    # liquidating

    def move(self, asset: int, price: int) -> None:
        self.before = list(self.marks)
        self.marks[asset] = price
        self.heal()

    def heal(self) -> None:
        """Go through all accounts by address until a whole round changes nothing."""
        self.rankings.clear()
        self.queues.clear()
        while True:
            start = self.view()
            for account in sorted((*ACCOUNTS, BACKSTOP)):
                cases: list[tuple[int, ...]] = []
                shared = tuple(a for a in (0, 1) if self.held[account, a].is_cross)
                if self.lacks(account, shared, is_shared=True):
                    cases.append((-1, *shared))
                cases += [
                    (asset,)
                    for asset in (0, 1)
                    if asset not in shared and self.lacks(account, (asset,), is_shared=False)
                ]
                for case in cases:
                    is_shared = case[0] == -1
                    self.liquidate(account, case[1:] if is_shared else case, is_shared=is_shared)
            if self.view() == start:
                return

    def money(self, account: Address, assets: tuple[int, ...], *, is_shared: bool) -> int:
        return self.value(account) if is_shared else self.worth(account, assets[0])

    def lacks(self, account: Address, assets: tuple[int, ...], *, is_shared: bool) -> bool:
        needed = sum(self.maintenance(asset, self.held[account, asset].size) for asset in assets)
        return self.money(account, assets, is_shared=is_shared) < needed

    def liquidate(self, account: Address, assets: tuple[int, ...], *, is_shared: bool) -> None:
        def worth() -> int:
            return self.money(account, assets, is_shared=is_shared)

        order = sorted(
            (asset for asset in assets if self.held[account, asset].size),
            key=lambda asset: (-self.maintenance(asset, self.held[account, asset].size), asset),
        )
        needed = sum(self.maintenance(asset, self.held[account, asset].size) for asset in order)
        if order and (worth() < 0 or worth() < Fraction(2 * needed, 3)):
            if worth() >= 0 and account != BACKSTOP and self.backstop_can(account, order, worth()):
                for asset in order:
                    size = self.held[account, asset].size
                    self.settle(account, asset, -size, self.marks[asset], keeps=True)
                    self.settle(BACKSTOP, asset, size, self.marks[asset])
                left = worth()
                self.pay(account, assets, -left, is_shared=is_shared)
                self.cash[BACKSTOP] += left
            else:
                for asset in order:
                    while self.held[account, asset].size and self.lacks(
                        account, assets, is_shared=is_shared
                    ):
                        if not self.deleverage(account, asset):
                            break
        if worth() < 0 and not any(self.held[account, asset].size for asset in assets):
            missing = -worth()
            self.pay(account, assets, missing, is_shared=is_shared)
            free = max(0, self.value(BACKSTOP) - self.required(BACKSTOP))
            paid = min(missing, free) if account != BACKSTOP else 0
            self.cash[BACKSTOP] -= paid
            self.insurance -= missing - paid

    def pay(self, account: Address, assets: tuple[int, ...], usd: int, *, is_shared: bool) -> None:
        if is_shared:
            self.cash[account] += usd
        else:
            self.held[account, assets[0]].own += usd

    def backstop_can(self, account: Address, assets: list[int], money: int) -> bool:
        required = sum(
            self.initial(
                asset,
                self.held[BACKSTOP, asset],
                self.held[BACKSTOP, asset].size
                + (self.held[account, asset].size if asset in assets else 0),
            )
            for asset in (0, 1)
        )
        return self.value(BACKSTOP) + money >= required

    def deleverage(self, account: Address, asset: int) -> bool:
        """Close as much as the next candidate bears; tell whether there was one."""
        of_longs = self.held[account, asset].size < 0
        price = self.before[asset]
        key = asset, of_longs
        while True:
            if not self.queues.get(key):
                if self.rankings.get(key, 0) == 4:
                    return False
                self.rankings[key] = self.rankings.get(key, 0) + 1
                self.queues[key] = self.ranked(asset, of_longs=of_longs)
                if not self.queues[key]:
                    return False
            other = self.queues[key][0]
            size = self.held[other, asset].size
            if other != account and size and (size > 0) is of_longs:
                lots = abs(size)
                loss = (self.marks[asset] - price) * (1 if of_longs else -1)
                if loss > 0:
                    lots = min(lots, max(0, self.standing(other, asset)) // loss)
                if lots:
                    lots = min(lots, abs(self.held[account, asset].size))
                    signed = lots if self.held[account, asset].size < 0 else -lots
                    self.settle(account, asset, signed, price)
                    self.settle(other, asset, -signed, price)
                    return True
            self.queues[key].pop(0)

    def standing(self, account: Address, asset: int) -> int:
        if self.held[account, asset].is_cross:
            return self.value(account)
        return self.worth(account, asset)

    def ranked(self, asset: int, *, of_longs: bool) -> list[Address]:
        def rank(account: Address) -> Fraction:
            held = self.held[account, asset]
            worth = self.standing(account, asset)
            if worth <= 0:
                return Fraction(0)
            notional = abs(held.size) * self.marks[asset]
            gain = Fraction(notional, max(1, abs(held.cost)))
            return (gain if of_longs else 1 / gain) * Fraction(notional, worth)

        candidates = [
            account
            for account in (*ACCOUNTS, BACKSTOP)
            if self.held[account, asset].size and (self.held[account, asset].size > 0) is of_longs
        ]
        return sorted(candidates, key=lambda account: (-rank(account), account))

    def view(self) -> View:
        positions = {
            key: (held.size, held.own) for key, held in self.held.items() if held.size or held.own
        }
        return dict(self.cash), positions, self.insurance


# ---- the exchange --------------------------------------------------------------------------------


@define
class ExchangeBank:
    """The exchange, asked for the same."""

    exchange: Exchange = field(factory=Exchange)
    nonce: int = 1_700_000_000_000

    def __attrs_post_init__(self) -> None:
        self.exchange.begin_block(1, self.nonce)
        self.exchange.apply(OpenExchange(0, 0))
        for number, tiers in enumerate(TIERS):
            instrument = Instrument(
                AssetId(number), f"M{number}", 2, tiers[0].max_leverage, 100 * E8, tiers
            )
            self.exchange.apply(ListMarket(instrument))
        for account in ACCOUNTS:
            self.exchange.apply(Credit(account, MONEY, CreditSource.FUND))
        self.exchange.apply(Credit(BACKSTOP, BACKSTOP_MONEY, CreditSource.FUND))

    def head(self, account: int) -> tuple[Address, int, None, None]:
        self.nonce += 1
        return ACCOUNTS[account], self.nonce, None, None

    def trade(self, buyer: int, seller: int, asset: int, price: int, lots: int) -> bool:
        def spec(is_buy: bool, tif: Tif) -> OrderSpec:
            return OrderSpec(
                AssetId(asset), is_buy, price * E8 // 10_000, lots * E8 // 100, tif, False
            )

        placed = self.exchange.apply(PlaceOrders(*self.head(seller), (spec(False, Tif.GTC),)))
        if not isinstance(placed[0], OrderPlaced):
            return False
        events = self.exchange.apply(PlaceOrders(*self.head(buyer), (spec(True, Tif.IOC),)))
        traded = any(isinstance(event, Traded) for event in events)
        engine = self.exchange.engine
        engine.cancel_all(engine.accounts[ACCOUNTS[seller]], CancelReason.CANCELED, [])
        check(self.exchange)
        return traded

    def move(self, asset: int, price: int) -> None:
        prices = (OraclePrice(AssetId(asset), price * E8 // 10_000),)
        self.exchange.apply(MoveOracle(prices))
        check(self.exchange)

    def choose(self, account: int, asset: int, *, is_cross: bool, leverage: int) -> bool:
        command = UpdateLeverage(*self.head(account), AssetId(asset), is_cross, leverage)
        return not isinstance(self.exchange.apply(command)[0], CommandRefused)

    def shift(self, account: int, asset: int, usd: int) -> bool:
        command = UpdateIsolatedMargin(*self.head(account), AssetId(asset), usd)
        return not isinstance(self.exchange.apply(command)[0], CommandRefused)

    def view(self) -> View:
        engine = self.exchange.engine
        cash = {account.address: account.cash for account in engine.accounts.values()}
        positions = {
            (account.address, int(asset)): (position.size, position.isolated_usd)
            for account in engine.accounts.values()
            for asset, position in account.positions.items()
            if position.size or position.isolated_usd
        }
        return cash, positions, engine.insurance
