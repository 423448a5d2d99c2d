"""Summaries of an account: what its positions are worth and what they demand, at given mark prices.

Every figure is an integer: money in micro-USD, sizes in lots. The rules are those of the exchange's
documentation (margining; liquidations); each rounding is named beside its figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from model.accounts import Position
from model.ids import AssetId
from model.instruments import Instrument
from model.margin import demand
from model.universe import Universe
from model.views.account import AccountView
from model.views.market import RATIO_SCALE

PRICE_SCALE_DECIMALS: Final = 10
"""Liquidation prices have more decimals than the market's grid: they are integers of 10^-10 USD."""


class PositionSummary(Struct, frozen=True, array_like=True):
    """One position.

    ``entry_price`` is in ticks, rounded half up. ``margin_used`` is rounded up.
    ``return_on_equity`` is in 1 / RATIO_SCALE, rounded half up. ``liquidation_price`` is in
    10^-PRICE_SCALE_DECIMALS USD, rounded down; None where no price of the market would liquidate
    the account.
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


class AccountSummary(Struct, frozen=True, array_like=True):
    """A whole account; all its positions are cross. ``maintenance`` is rounded up by market."""

    account_value: int
    total_notional: int
    cash: int
    margin_used: int
    maintenance: int
    withdrawable: int
    positions: tuple[PositionSummary, ...]


class AssetSummary(Struct, frozen=True, array_like=True):
    """What an account could buy and sell in one market now, in lots, and the margin of that."""

    asset: AssetId
    leverage: int
    mark: int
    max_buy_lots: int
    max_sell_lots: int
    buy_margin: int
    sell_margin: int


def summarize(view: AccountView, universe: Universe, marks: Sequence[int]) -> AccountSummary:
    """Return the summary of an account; ``marks`` are indexed by asset id."""
    touched = list(view.positions())
    held = [(asset, position) for asset, position in touched if position.size]
    value = view.cash + sum(position.size * marks[asset] for asset, position in held)
    notional = sum(abs(position.size) * marks[asset] for asset, position in held)
    maintenance = sum(
        maintenance_margin(position.size, marks[asset], universe[asset].max_leverage)
        for asset, position in held
    )
    positions = tuple(
        _position_summary(position, universe[asset], marks[asset], available=value - maintenance)
        for asset, position in held
    )
    demanded = sum(demand(position, marks[asset]) for asset, position in touched)
    return AccountSummary(
        value,
        notional,
        view.cash,
        sum(position.margin_used for position in positions),
        maintenance,
        withdrawable(value, demanded=demanded, notional=notional),
        positions,
    )


def asset_summary(view: AccountView, asset: AssetId, marks: Sequence[int]) -> AssetSummary:
    """Return how much an account could buy and sell in one market, fees not counted.

    What only reduces a position demands nothing, so it is possible whatever the account is worth.
    """
    touched = list(view.positions())
    value = view.cash + sum(position.size * marks[held] for held, position in touched)
    elsewhere = sum(demand(position, marks[held]) for held, position in touched if held != asset)
    position, mark = view.position(asset), marks[asset]
    longest = position.size + position.resting_buys
    shortest = position.resting_sells - position.size
    affordable = max(0, value - elsewhere) * position.leverage // mark
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
    )


def maintenance_margin(size: int, mark: int, max_leverage: int) -> int:
    """Return half the initial margin of a position at full leverage, rounded up."""
    return -(abs(size) * mark // -(2 * max_leverage))


def withdrawable(value: int, *, demanded: int, notional: int) -> int:
    """Return what may leave: value beyond the initial margin and beyond a tenth of all positions.

    ``demanded`` includes what resting orders demand.
    """
    return max(0, value - max(demanded, -(notional // -10)))


def liquidation_price(
    size: int, instrument: Instrument, mark: int, *, available: int
) -> int | None:
    """Return the mark price at which the account would be liquidated, all other prices unchanged.

    Per lot the account gains ``side`` times the price and owes 1 / (2 max_leverage) of it, so
    ``available = (side - 1 / (2 max_leverage)) * |size| * (mark - price)``.

    Args:
        size: signed lots, not zero.
        instrument: the market.
        mark: its mark price in ticks.
        available: account value beyond the maintenance margin of all positions, in micro-USD.

    Returns:
        10^-PRICE_SCALE_DECIMALS USD, rounded down; None if no positive price does it.
    """
    scale = 10 ** (PRICE_SCALE_DECIMALS - instrument.price_decimals)
    doubled = 2 * instrument.max_leverage
    distance = available * doubled * scale // (doubled * size - abs(size))
    price = mark * scale - distance
    return price if price > 0 else None


def round_half_up(amount: int, divisor: int) -> int:
    """Return amount / divisor rounded to the nearest integer, ties up; the divisor is positive."""
    return (2 * amount + divisor) // (2 * divisor)


def _position_summary(
    position: Position, instrument: Instrument, mark: int, *, available: int
) -> PositionSummary:
    size, entry, leverage = position.size, abs(position.entry_notional), position.leverage
    value = abs(size) * mark
    pnl = size * mark - position.entry_notional
    return PositionSummary(
        instrument.asset,
        size,
        leverage,
        instrument.max_leverage,
        round_half_up(entry, abs(size)),
        value,
        pnl,
        round_half_up(pnl * leverage * RATIO_SCALE, entry) if entry else 0,
        liquidation_price(size, instrument, mark, available=available),
        -(value // -leverage),
    )
