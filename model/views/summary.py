"""Summaries of an account: what its positions are worth and what they demand, at given mark prices.

Every figure is an integer: money in micro-USD, sizes in lots. The rules are those of the exchange's
documentation (margining; margin tiers; liquidations); each rounding is named beside its figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from model.accounts import Position
from model.ids import AssetId
from model.instruments import Instrument, MarginTier
from model.margin import demand, equity, leverage_at
from model.tiers import MarginTable, deductions, leverage_max, tier_index
from model.universe import Universe
from model.views.account import AccountView
from model.views.market import RATIO_SCALE

PRICE_SCALE_DECIMALS: Final = 10
"""Liquidation prices have more decimals than the market's grid: they are integers of 10^-10 USD."""

TABLES_MAX: Final = 1_024
"""Margin tables that are remembered: there are no more markets."""


class PositionSummary(Struct, frozen=True, array_like=True):
    """One position.

    ``max_leverage`` is that of the position's tier. ``entry_price`` is in ticks, rounded half up.
    ``margin_used`` is rounded up; of an isolated position it is what the position is worth.
    ``return_on_equity`` is in 1 / RATIO_SCALE, rounded half up. ``liquidation_price`` is in
    10^-PRICE_SCALE_DECIMALS USD, rounded down; None where no price of the market would liquidate
    the account. ``isolated_usd`` and ``funding_paid`` are as in ``state.PositionState``.
    """

    asset: AssetId
    size: int
    leverage: int
    max_leverage: int
    entry_price: int
    value: int
    unrealized_pnl: int
    return_on_equity: int
    liquidation_price: int | None
    margin_used: int
    is_cross: bool = True
    isolated_usd: int = 0
    funding_paid: tuple[int, int, int] = (0, 0, 0)


class Totals(Struct, frozen=True, array_like=True, gc=False):
    """Sums over positions, with the cash that stands behind them."""

    account_value: int
    total_notional: int
    cash: int
    margin_used: int


class AccountSummary(Struct, frozen=True, array_like=True):
    """A whole account. ``maintenance`` is that of the cross positions, rounded up by market.

    ``everything`` counts isolated positions and their cash as well.
    """

    everything: Totals
    cross: Totals
    maintenance: int
    withdrawable: int
    positions: tuple[PositionSummary, ...]


class AssetSummary(Struct, frozen=True, array_like=True):
    """What an account could buy and sell in one market now, in lots, and the margin of that.

    ``isolated_usd`` is that of an isolated position, None without one.
    """

    asset: AssetId
    leverage: int
    mark: int
    max_buy_lots: int
    max_sell_lots: int
    buy_margin: int
    sell_margin: int
    is_cross: bool = True
    isolated_usd: int | None = None


def summarize(view: AccountView, universe: Universe, marks: Sequence[int]) -> AccountSummary:
    """Return the summary of an account; ``marks`` are indexed by asset id."""
    touched = list(view.positions())
    held = [(asset, position) for asset, position in touched if position.size]
    cross = [(asset, position) for asset, position in held if position.is_cross]
    value = view.cash + sum(position.size * marks[asset] for asset, position in cross)
    maintenance = sum(
        maintenance_margin(universe[asset], abs(position.size) * marks[asset])
        for asset, position in cross
    )
    summaries = tuple(
        _position_summary(
            position,
            universe[asset],
            marks[asset],
            free=value - maintenance if position.is_cross else None,
        )
        for asset, position in held
    )
    shared = _totals(value, view.cash, [one for one in summaries if one.is_cross])
    own = sum(one.margin_used for one in summaries if not one.is_cross)
    own_cash = sum(one.isolated_usd for one in summaries if not one.is_cross)
    demanded = sum(demand(position, marks[asset]) for asset, position in touched)
    return AccountSummary(
        _totals(value + own, view.cash + own_cash, summaries),
        shared,
        maintenance,
        withdrawable(value, demanded=demanded, notional=shared.total_notional),
        summaries,
    )


def asset_summary(view: AccountView, asset: AssetId, marks: Sequence[int]) -> AssetSummary:
    """Return how much an account could buy and sell in one market, fees not counted.

    What only reduces a position demands nothing, so it is possible whatever the account is worth.
    No more than the tier of the chosen leverage is offered.
    """
    touched = list(view.positions())
    value = view.cash + sum(
        position.size * marks[held] for held, position in touched if position.is_cross
    )
    elsewhere = sum(demand(position, marks[held]) for held, position in touched if held != asset)
    position, mark = view.position(asset), marks[asset]
    longest = position.size + position.resting_buys
    shortest = position.resting_sells - position.size
    affordable = max(0, value - elsewhere) * position.leverage // mark
    if not position.is_cross:  # the position itself is paid for already
        affordable += abs(position.size)
    affordable = min(affordable, position.notional_max // mark)
    worst = max(affordable, longest, shortest)
    buy, sell = worst - longest, worst - shortest
    return AssetSummary(
        asset,
        position.leverage,
        mark,
        buy,
        sell,
        buy * mark // position.leverage,
        sell * mark // position.leverage,
        position.is_cross,
        position.isolated_usd if position.size and not position.is_cross else None,
    )


def maintenance_margin(instrument: Instrument, notional: int) -> int:
    """Return what a position of this notional must be worth, by the market's tiers."""
    return _table(instrument.tiers).maintenance(notional)


@lru_cache(TABLES_MAX)
def _table(tiers: tuple[MarginTier, ...]) -> MarginTable:
    return MarginTable(tiers)


@lru_cache(TABLES_MAX)
def _deductions(tiers: tuple[MarginTier, ...]) -> tuple[int, ...]:
    return deductions(tiers)


def withdrawable(value: int, *, demanded: int, notional: int) -> int:
    """Return what may leave: value beyond the initial margin and beyond a tenth of all positions.

    ``demanded`` includes what resting orders demand.
    """
    return max(0, value - max(demanded, -(notional // -10)))


def liquidation_price(size: int, instrument: Instrument, mark: int, *, free: int) -> int | None:
    """Return the mark price at which the account would be liquidated, all other prices unchanged.

    Per lot the account gains ``side`` times the price and owes 1 / (2 max_leverage) of it, so
    ``free = (side - 1 / (2 max_leverage)) * |size| * (mark - price)``. The price may lie in another
    tier than the position is in now; then the leverage and deduction of that one count.

    Args:
        size: signed lots, not zero.
        instrument: the market.
        mark: its mark price in ticks.
        free: what the account, or the isolated position, is worth beyond its maintenance margin.

    Returns:
        10^-PRICE_SCALE_DECIMALS USD, rounded down; None if no positive price does it.
    """
    tiers, scale = instrument.tiers, 10 ** (PRICE_SCALE_DECIMALS - instrument.price_decimals)
    notional = abs(size) * mark
    worth = free + maintenance_margin(instrument, notional)
    index = tier_index(tiers, notional)
    price = 0
    for _ in tiers:
        doubled = 2 * tiers[index].max_leverage
        owed = -(notional // -doubled) - _deductions(tiers)[index]
        distance = (worth - owed) * doubled * scale // (doubled * size - abs(size))
        price = mark * scale - distance
        if price <= 0:
            return None
        found = tier_index(tiers, abs(size) * price // scale)
        if found == index:
            break
        index = found
    return price


def round_half_up(amount: int, divisor: int) -> int:
    """Return amount / divisor rounded to the nearest integer, ties up; the divisor is positive."""
    return (2 * amount + divisor) // (2 * divisor)


def _totals(value: int, cash: int, positions: Sequence[PositionSummary]) -> Totals:
    return Totals(
        value,
        sum(position.value for position in positions),
        cash,
        sum(position.margin_used for position in positions),
    )


def _position_summary(
    position: Position, instrument: Instrument, mark: int, *, free: int | None
) -> PositionSummary:
    """Summarise a position; ``free`` is the account's, None for an isolated position."""
    size, entry, leverage = position.size, abs(position.entry_notional), position.leverage
    value = abs(size) * mark
    pnl = size * mark - position.entry_notional
    own = equity(position, mark)
    if free is None:
        free = own - maintenance_margin(instrument, value)
    return PositionSummary(
        instrument.asset,
        size,
        leverage,
        leverage_max(instrument.tiers, value),
        round_half_up(entry, abs(size)),
        value,
        pnl,
        round_half_up(pnl * leverage * RATIO_SCALE, entry) if entry else 0,
        liquidation_price(size, instrument, mark, free=free),
        -(value // -leverage_at(position, value)) if position.is_cross else own,
        position.is_cross,
        position.isolated_usd,
        (position.funding_ever, position.funding_open, position.funding_change),
    )
