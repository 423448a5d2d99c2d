"""Positions: entry, realised profit and flips, in integers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model.accounts import Position, proportion_towards_zero


def position(*trades: tuple[int, int]) -> Position:
    """Make a position of trades: signed lots at a price."""
    made = Position(20)
    for signed_lots, price in trades:
        made.trade(signed_lots, price)
    return made


def test_opening_adds_up_the_cost() -> None:
    """The entry notional is what was paid; nothing is realised."""
    long = position((2, 100))

    assert long.trade(3, 110) == 0
    assert (long.size, long.entry_notional) == (5, 530)


def test_reducing_realises_against_the_average_entry() -> None:
    """A part takes its proportion of the entry with it and leaves the average as it was."""
    long = position((4, 100))

    assert long.trade(-1, 130) == 30
    assert (long.size, long.entry_notional) == (3, 300)


def test_short_profits_from_falling_prices() -> None:
    """Signs are mirrored."""
    short = position((-4, 100))

    assert short.trade(1, 70) == 30
    assert (short.size, short.entry_notional) == (-3, -300)


def test_remainder_of_the_proportion_stays_with_the_position() -> None:
    """Three lots for 100: one takes 33, two keep 67."""
    long, short = Position(20), Position(20)
    long.size, long.entry_notional = 3, 100
    short.size, short.entry_notional = -3, -100

    assert (long.trade(-1, 40), long.entry_notional) == (40 - 33, 67)
    assert (short.trade(1, 40), short.entry_notional) == (33 - 40, -67)


def test_closing_leaves_nothing() -> None:
    """The last part takes all that is left of the entry."""
    long = position((3, 33), (-1, 40))

    assert long.trade(-2, 40) == 14
    assert (long.size, long.entry_notional) == (0, 0)


def test_flip_closes_all_and_opens_the_rest_anew() -> None:
    """The new position enters at the price of the trade."""
    long = position((2, 100))

    assert long.trade(-5, 110) == 20
    assert (long.size, long.entry_notional) == (-3, -330)


def test_proportion_is_rounded_towards_zero() -> None:
    """For either sign."""
    assert proportion_towards_zero(10, 1, 3) == 3
    assert proportion_towards_zero(-10, 1, 3) == -3


@given(st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 1000)), max_size=30))
def test_realised_profit_and_entry_account_for_every_payment(
    trades: list[tuple[int, int]],
) -> None:
    """Whatever the trades, cost paid = entry of what is held - profit realised, to the unit."""
    held = Position(20)
    paid = realised = 0
    for signed_lots, price in trades:
        realised += held.trade(signed_lots, price)
        paid += signed_lots * price

        assert held.entry_notional - realised == paid
        assert (held.entry_notional > 0) is (held.size > 0)
