"""Margin tiers: how much leverage a position of some notional may have, and what must maintain it.

Tiers ascend by their lower bound, the first from 0. The maintenance rate of a tier is half the
initial rate at its largest leverage, 1 / (2 * max_leverage), less a deduction that makes the margin
continuous where a tier begins. All money is in micro-USD.

Source: Hyperliquid documentation, margin tiers; margining.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from model.instruments import Instrument, MarginTier

NOTIONAL_UNBOUNDED: Final = 2**127
"""More than any position can be worth."""

LEVERAGE_MAX: Final = 100
"""Largest leverage of a market."""

TIERS_MAX: Final = 16
"""Tiers that a market may have."""


class MarginTable:
    """The tiers of one market with what follows from them.

    ``movement_divisor`` bounds how fast maintenance grows with the notional: by no more than the
    growth divided by it, whatever the tier.
    """

    __slots__ = ("_deductions", "_single_divisor", "movement_divisor", "tiers")

    def __init__(self, tiers: Sequence[MarginTier]) -> None:
        self.tiers = tuple(tiers)
        self._deductions = deductions(tiers)
        self._single_divisor = 2 * tiers[0].max_leverage if len(tiers) == 1 else 0
        self.movement_divisor = 2 * min(tier.max_leverage for tier in tiers)

    def maintenance(self, notional: int) -> int:
        """Return the maintenance margin of a position, its gross part rounded up."""
        if self._single_divisor:
            return -(notional // -self._single_divisor)
        index = tier_index(self.tiers, notional)
        gross = -(notional // -(2 * self.tiers[index].max_leverage))
        return gross - self._deductions[index]


def deductions(tiers: Sequence[MarginTier]) -> tuple[int, ...]:
    """Return what the maintenance margin of each tier is reduced by, rounded down.

    It is the sum over the tiers up to it of lower bound times the step of the rate.
    """
    found = []
    total = Fraction(0)
    before = Fraction(1, 2 * tiers[0].max_leverage)
    for tier in tiers:
        rate = Fraction(1, 2 * tier.max_leverage)
        total += tier.lower_bound * (rate - before)
        found.append(int(total))
        before = rate
    return tuple(found)


def tier_index(tiers: Sequence[MarginTier], notional: int) -> int:
    """Return which tier a notional falls into; one that equals a lower bound is in that tier."""
    index = len(tiers) - 1
    while tiers[index].lower_bound > notional:
        index -= 1
    return index


def leverage_max(tiers: Sequence[MarginTier], notional: int) -> int:
    """Return the largest leverage that a position of this notional may have."""
    return tiers[tier_index(tiers, notional)].max_leverage


def notional_max(tiers: Sequence[MarginTier], leverage: int) -> int:
    """Return the largest notional whose tier allows a leverage."""
    for tier in tiers:
        if tier.max_leverage < leverage:
            return tier.lower_bound - 1
    return NOTIONAL_UNBOUNDED


def are_valid(instrument: Instrument) -> bool:
    """Tell whether an instrument's tiers make sense: ascending, with ever less leverage."""
    tiers = instrument.tiers
    return (
        len(tiers) <= TIERS_MAX
        and tiers[0] == MarginTier(0, instrument.max_leverage)
        and tiers[-1].max_leverage >= 1
        and instrument.max_leverage <= LEVERAGE_MAX
        and all(
            low.lower_bound < high.lower_bound and low.max_leverage > high.max_leverage
            for low, high in pairwise(tiers)
        )
    )
