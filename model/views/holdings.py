"""What accounts hold, as far as their worth over time goes: the fold behind portfolios.

Much less than a view of an account, and of all accounts at once: money, sizes, tokens, and what was
paid in. Worth at any time follows from these and the marks of that time, so an account in which
nothing happens costs nothing, however its positions move in value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from model.balances import E8_PER_MICRO_USD
from model.events import (
    AssetSent,
    ClassTransferred,
    CollateralSeized,
    Credited,
    Event,
    FundingPaid,
    Leg,
    RequestsReserved,
    ShortfallCovered,
    SubAccountFunded,
    TokenCredited,
    TokenSent,
    Traded,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address, AssetId, TokenId
from model.instruments import Instrument
from model.universe import Universe
from model.views.money import ledger_from, paid_in
from model.views.records import Moment


class HoldingsRecord(Struct, frozen=True, array_like=True):
    """What an account held at some time. Sizes are signed lots, tokens 1e-8, money micro-USD."""

    cash: int
    sizes: tuple[tuple[AssetId, int], ...]
    tokens: tuple[tuple[TokenId, int], ...]
    paid_in: int
    paid_in_perp: int


class Worth(Struct, frozen=True, array_like=True, gc=False):
    """What an account was worth in all and in perpetuals alone, and its profit since ever."""

    total: int
    perp: int
    profit: int
    perp_profit: int


NOTHING_HELD: Final = HoldingsRecord(0, (), (), 0, 0)


class Holdings:
    """What one account holds. ``cash`` is cross and isolated together."""

    __slots__ = ("cash", "paid_in", "paid_in_perp", "sizes", "tokens")

    def __init__(self, record: HoldingsRecord = NOTHING_HELD) -> None:
        self.cash = record.cash
        self.sizes = dict(record.sizes)
        self.tokens = dict(record.tokens)
        self.paid_in = record.paid_in
        self.paid_in_perp = record.paid_in_perp

    def record(self) -> HoldingsRecord:
        """Return the holdings as a plain value, without what is zero."""
        return HoldingsRecord(
            self.cash,
            tuple((asset, size) for asset, size in sorted(self.sizes.items()) if size),
            tuple((token, amount) for token, amount in sorted(self.tokens.items()) if amount),
            self.paid_in,
            self.paid_in_perp,
        )

    def add_size(self, asset: AssetId, lots: int) -> None:
        """Add signed lots to a position."""
        self.sizes[asset] = self.sizes.get(asset, 0) + lots

    def add_token(self, token: TokenId, amount_e8: int) -> None:
        """Add tokens, or take them out if negative."""
        self.tokens[token] = self.tokens.get(token, 0) + amount_e8


class AllHoldings:
    """The holdings of all accounts.

    Args:
        universe: kept by reference.
        load: returns what an account held at the end of what was kept earlier.
    """

    def __init__(self, universe: Universe, load: Callable[[Address], HoldingsRecord]) -> None:
        self._universe = universe
        self._load = load
        self._accounts: dict[Address, Holdings] = {}
        self._touched: dict[Address, None] = {}

    def apply(self, event: Event, at: Moment) -> None:
        """Take in one event."""
        move = _MOVES.get(type(event))
        if move is not None:
            move(self, event, at)

    def take_touched(self) -> list[tuple[Address, HoldingsRecord]]:
        """Return what changed since this was last asked, as it is now."""
        touched, self._touched = self._touched, {}
        return [(account, self._accounts[account].record()) for account in touched]

    def _of(self, account: Address) -> Holdings:
        self._touched[account] = None
        holdings = self._accounts.get(account)
        if holdings is None:
            holdings = self._accounts[account] = Holdings(self._load(account))
        return holdings

    def _traded(self, event: Traded, _: Moment) -> None:
        lots = event.lots if event.taker_is_buy else -event.lots
        instrument = self._universe[event.asset]
        self._trade(event, event.taker, lots, instrument)
        self._trade(event, event.maker, -lots, instrument)

    def _trade(self, event: Traded, leg: Leg, lots: int, instrument: Instrument) -> None:
        holdings = self._of(leg.account)
        cost = lots * event.price
        if instrument.base is None:
            holdings.cash -= cost + leg.fee
            holdings.add_size(event.asset, lots)
            return
        holdings.add_token(USDC, -cost if lots > 0 else -cost - leg.fee)
        amount = lots * instrument.lot_e8
        holdings.add_token(instrument.base, amount - leg.fee if lots > 0 else amount)

    def _funding(self, event: FundingPaid, _: Moment) -> None:
        for paid in event.payments:
            self._of(paid.account).cash += paid.usd

    def _seized(self, event: CollateralSeized, _: Moment) -> None:
        self._of(event.account).cash -= event.usd
        self._of(event.backstop).cash += event.usd

    def _shortfall(self, event: ShortfallCovered, _: Moment) -> None:
        self._of(event.account).cash += event.usd
        self._of(event.backstop).cash -= event.from_backstop

    def _bought_requests(self, event: RequestsReserved, _: Moment) -> None:
        self._of(event.account).cash -= event.usd

    def _moved(self, event: Event, at: Moment) -> None:
        """Take in what the ledger shows: each of its entries is one account's part."""
        for entry in ledger_from(event, at):
            holdings = self._of(entry.account)
            total, perp = paid_in(entry)
            holdings.paid_in += total
            holdings.paid_in_perp += perp
            comes, goes = entry.destination == entry.account, entry.sender == entry.account
            if isinstance(event, Credited | TokenCredited):
                goes = False
            elif isinstance(event, Withdrawn):
                comes = False
            if comes:
                _put(holdings, entry.token, entry.usd, entry.amount_e8, is_perp=entry.to_perp)
            if goes:
                usd = -entry.usd - entry.fee
                _put(holdings, entry.token, usd, -entry.amount_e8, is_perp=entry.from_perp)


def _put(holdings: Holdings, token: TokenId, usd: int, amount_e8: int, *, is_perp: bool) -> None:
    if is_perp:
        holdings.cash += usd
    else:
        holdings.add_token(token, amount_e8)


def worth_of(held: HoldingsRecord, marks: Mapping[AssetId, int], universe: Universe) -> Worth:
    """Return what holdings are worth at mark prices in ticks; a market without one counts nothing.

    Tokens are valued at the mark of their pair, rounded down.
    """
    perp = held.cash + sum(size * marks.get(asset, 0) for asset, size in held.sizes)
    pairs = {pair.base: pair for pair in universe.pairs}
    spot = 0
    for token, amount in held.tokens:
        pair = pairs.get(token)
        if token == USDC:
            spot += amount // E8_PER_MICRO_USD
        elif pair is not None:
            spot += amount * marks.get(pair.asset, 0) // (pair.lot_e8 * E8_PER_MICRO_USD)
    total = perp + spot
    return Worth(total, perp, total - held.paid_in, perp - held.paid_in_perp)


_MOVES: Final[dict[type, Callable[[AllHoldings, Any, Moment], None]]] = {
    Traded: AllHoldings._traded,
    FundingPaid: AllHoldings._funding,
    CollateralSeized: AllHoldings._seized,
    ShortfallCovered: AllHoldings._shortfall,
    RequestsReserved: AllHoldings._bought_requests,
    **dict.fromkeys(
        (
            Credited,
            UsdSent,
            Withdrawn,
            SubAccountFunded,
            ClassTransferred,
            TokenCredited,
            TokenSent,
            AssetSent,
        ),
        AllHoldings._moved,
    ),
}
"""What an event moves; those that are not here move nothing."""
