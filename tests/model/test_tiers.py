"""Margin tiers: deductions, maintenance, and what leverage a position may have."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.instruments import Instrument, MarginTier
from model.margin_invariants import maintenance
from model.tiers import (
    NOTIONAL_UNBOUNDED,
    MarginTable,
    are_valid,
    deductions,
    leverage_max,
    notional_max,
)
from model.units import E8, USD
from tests.model.desk import BTC


def tiers_of(*pairs: tuple[int, int]) -> tuple[MarginTier, ...]:
    """Make tiers of lower bounds in USD and leverages."""
    return tuple(MarginTier(lower * USD, leverage) for lower, leverage in pairs)


TIERED_40X = tiers_of((0, 40), (150_000_000, 20))
"""The margin table 56 of the universe (Hyperliquid API documentation, perpetuals, meta)."""


def test_maintenance_of_a_recorded_position() -> None:
    """377,667 USD at 40x maintain with 4,720.8375 (Hyperliquid, a recorded clearinghouseState)."""
    assert MarginTable(TIERED_40X).maintenance(377_667 * USD) == 4_720_837_500


def test_deduction_is_what_the_step_would_cost() -> None:
    """150 million times (1/40 - 1/80), so that the margin is continuous there."""
    assert deductions(TIERED_40X) == (0, 1_875_000 * USD)
    table = MarginTable(TIERED_40X)
    assert table.maintenance(150_000_000 * USD) == 1_875_000 * USD
    assert table.maintenance(150_000_000 * USD - 1) == 1_875_000 * USD
    assert table.maintenance(200_000_000 * USD) == 3_125_000 * USD


def test_leverage_of_a_notional_and_notional_of_a_leverage() -> None:
    """A notional that equals a lower bound belongs to the tier above."""
    assert leverage_max(TIERED_40X, 150_000_000 * USD - 1) == 40
    assert leverage_max(TIERED_40X, 150_000_000 * USD) == 20
    assert notional_max(TIERED_40X, 40) == 150_000_000 * USD - 1
    assert notional_max(TIERED_40X, 21) == 150_000_000 * USD - 1
    assert notional_max(TIERED_40X, 20) == NOTIONAL_UNBOUNDED


@st.composite
def tables(draw: st.DrawFn) -> tuple[MarginTier, ...]:
    """Make valid tiers."""
    leverages = draw(st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True))
    bounds = draw(
        st.lists(
            st.integers(1, 10**15),
            min_size=len(leverages) - 1,
            max_size=len(leverages) - 1,
            unique=True,
        )
    )
    pairs = zip([0, *sorted(bounds)], sorted(leverages, reverse=True), strict=True)
    return tuple(MarginTier(*pair) for pair in pairs)


@given(tables(), st.integers(0, 10**16), st.integers(0, 10**14))
def test_maintenance_grows_with_the_notional_and_not_faster_than_promised(
    tiers: tuple[MarginTier, ...], notional: int, more: int
) -> None:
    """What ``watch`` relies on: two micro-USD of rounding beyond the largest rate."""
    table = MarginTable(tiers)
    growth = table.maintenance(notional + more) - table.maintenance(notional)

    assert growth >= -1
    assert growth <= Fraction(more, table.movement_divisor) + 2


@given(tables(), st.integers(0, 10**16))
def test_maintenance_is_what_the_rule_says(tiers: tuple[MarginTier, ...], notional: int) -> None:
    """The fast one against the one of the invariants, and never more than half the initial."""
    instrument = Instrument(BTC, "X", 2, tiers[0].max_leverage, E8, tiers)
    margin = MarginTable(tiers).maintenance(notional)

    assert are_valid(instrument)
    assert margin == maintenance(instrument, notional)
    assert 0 <= 2 * margin <= -(notional // -leverage_max(tiers, notional)) + 1


@pytest.mark.parametrize(
    "tiers",
    [
        tiers_of((0, 20)),
        tiers_of((1, 40)),
        tiers_of((0, 40), (0, 20)),
        tiers_of((0, 40), (10, 40)),
        tiers_of((0, 40), (10, 50)),
        tiers_of((0, 40), (10, 0)),
        tiers_of((0, 40), (20, 10), (10, 5)),
        tiers_of((0, 40), *((n, 40 - n) for n in range(1, 17))),
    ],
)
def test_tiers_that_make_no_sense_are_not_valid(tiers: tuple[MarginTier, ...]) -> None:
    """They begin at zero with the market's leverage, ascend, and allow ever less."""
    assert not are_valid(Instrument(BTC, "X", 2, 40, E8, tiers))
