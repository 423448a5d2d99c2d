"""Spot balances: what tokens cost, and what leaves takes along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.balances import Balance
from model.ids import USDC, TokenId

PURR = TokenId(1)


@pytest.mark.parametrize(
    ("spent", "released", "left"), [(1, 3, 7), (2, 6, 4), (3, 10, 0), (0, 0, 10)]
)
def test_cost_leaves_in_proportion(spent: int, released: int, left: int) -> None:
    """Rounded towards zero, and the last tokens take all that is left of it."""
    balance = Balance(PURR)
    balance.receive(3, 10)

    assert balance.spend(spent) == released
    assert balance.entry == left


def test_usdc_costs_nothing() -> None:
    """It is what costs are counted in."""
    balance = Balance(USDC)
    balance.receive(5, 500)

    assert (balance.total, balance.entry) == (5, 0)


@given(
    st.lists(
        st.tuples(st.integers(1, 10**18), st.integers(0, 10**18), st.integers(0, 10**18)),
        max_size=20,
    )
)
def test_cost_is_never_made_or_lost(moves: list[tuple[int, int, int]]) -> None:
    """What was paid is what was released and what is left; an empty balance has cost nothing."""
    balance, paid, released = Balance(PURR), 0, 0
    for amount, cost, spent in moves:
        kept = balance.entry
        balance.receive(amount, cost)
        paid += balance.entry - kept
        released += balance.spend(min(spent, balance.total))

    assert paid == released + balance.entry
    assert balance.entry >= 0
    released += balance.spend(balance.total)
    assert (balance.total, balance.entry, released) == (0, 0, paid)
