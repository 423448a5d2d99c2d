"""One suite for all matchers: the exchange's two, of perpetuals and pairs, and the obvious one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.commands import Tif
from tests.model.reference_book import (
    Ask,
    ExchangeMatcher,
    Matcher,
    Outcome,
    ReferenceMatcher,
    SpotMatcher,
)


@pytest.fixture(
    params=[ReferenceMatcher, ExchangeMatcher, SpotMatcher], ids=["reference", "exchange", "spot"]
)
def matcher(request: pytest.FixtureRequest) -> Matcher:
    """All, one after the other."""
    made: Matcher = request.param()
    return made


def test_order_rests_when_nothing_matches(matcher: Matcher) -> None:
    """Bids below asks stay in the book."""
    matcher.place(Ask(0, True, 99, 3))
    matcher.place(Ask(1, False, 101, 4))

    assert matcher.book() == ([(1, 99, 3)], [(2, 101, 4)])


def test_better_price_trades_first(matcher: Matcher) -> None:
    """A taker meets the best price first, whoever came first, and pays the maker's price."""
    matcher.place(Ask(0, False, 102, 1))
    matcher.place(Ask(0, False, 101, 1))

    outcomes = matcher.place(Ask(1, True, 103, 2))

    assert outcomes[1:] == [("traded", 2, 101, 1), ("traded", 1, 102, 1)]


def test_earlier_order_trades_first_at_one_price(matcher: Matcher) -> None:
    """Within a price the queue is first come, first served."""
    for account in (0, 1, 2):
        matcher.place(Ask(account, True, 99, 1))

    outcomes = matcher.place(Ask(3, False, 99, 2))

    assert outcomes[1:] == [("traded", 1, 99, 1), ("traded", 2, 99, 1)]
    assert matcher.book() == ([(3, 99, 1)], [])


def test_partly_filled_order_keeps_its_place(matcher: Matcher) -> None:
    """What is left of a maker still stands before those who came later."""
    matcher.place(Ask(0, True, 99, 3))
    matcher.place(Ask(1, True, 99, 3))
    matcher.place(Ask(2, False, 99, 1))

    assert matcher.place(Ask(2, False, 99, 1))[1:] == [("traded", 1, 99, 1)]


def test_remainder_of_a_taker_rests_at_its_limit(matcher: Matcher) -> None:
    """A limit order that trades in part joins the book with the rest."""
    matcher.place(Ask(0, False, 100, 1))
    matcher.place(Ask(1, True, 101, 3))

    assert matcher.book() == ([(2, 101, 2)], [])


@pytest.mark.parametrize("tif", [Tif.IOC, Tif.FRONTEND_MARKET])
def test_immediate_order_drops_what_it_cannot_fill(matcher: Matcher, tif: Tif) -> None:
    """An immediate order never rests."""
    matcher.place(Ask(0, False, 100, 1))

    outcomes = matcher.place(Ask(1, True, 101, 3, tif))

    assert outcomes[1:] == [("traded", 1, 100, 1), ("dropped", 2, 2, 0)]
    assert matcher.book() == ([], [])


@pytest.mark.parametrize("tif", [Tif.IOC, Tif.FRONTEND_MARKET])
def test_immediate_order_with_nothing_to_match_is_refused(matcher: Matcher, tif: Tif) -> None:
    """It is not accepted and then cancelled, but refused."""
    matcher.place(Ask(0, False, 100, 1))

    assert matcher.place(Ask(1, True, 99, 1, tif)) == [("refused", 0, 0, 0)]


def test_post_only_order_rests_or_is_refused(matcher: Matcher) -> None:
    """It is refused at the price that would match and rests one tick away from it."""
    matcher.place(Ask(0, False, 100, 1))

    assert matcher.place(Ask(1, True, 100, 1, Tif.ALO)) == [("refused", 0, 0, 0)]
    assert matcher.place(Ask(1, True, 99, 1, Tif.ALO)) == [("placed", 2, 99, 1)]


def test_own_order_expires_instead_of_trading(matcher: Matcher) -> None:
    """The resting order of the same account goes, and the taker goes on to the next."""
    matcher.place(Ask(0, False, 100, 1))
    matcher.place(Ask(1, False, 101, 1))

    outcomes = matcher.place(Ask(0, True, 101, 1))

    assert outcomes[1:] == [("expired", 1, 1, 0), ("traded", 2, 101, 1)]


def test_immediate_order_that_meets_only_its_own_is_dropped(matcher: Matcher) -> None:
    """It was accepted, expired what stood in its way, and found nobody else."""
    matcher.place(Ask(0, False, 100, 1))

    outcomes = matcher.place(Ask(0, True, 100, 2, Tif.IOC))

    assert outcomes == [("placed", 2, 100, 2), ("expired", 1, 1, 0), ("dropped", 2, 2, 0)]


def test_cancelled_order_is_gone(matcher: Matcher) -> None:
    """It is cancelled once, only by its owner, and trades no more."""
    matcher.place(Ask(0, False, 100, 1))

    assert matcher.cancel(1, 1) == [("unknown", 1, 0, 0)]
    assert matcher.cancel(0, 1) == [("canceled", 1, 1, 0)]
    assert matcher.cancel(0, 1) == [("unknown", 1, 0, 0)]
    assert matcher.book() == ([], [])


asks = st.builds(
    Ask,
    account=st.integers(0, 3),
    is_buy=st.booleans(),
    price=st.integers(97, 103),
    lots=st.integers(1, 5),
    tif=st.sampled_from([Tif.GTC, Tif.GTC, Tif.GTC, Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
)
cancels = st.tuples(st.integers(0, 3), st.integers(1, 30))


@settings(max_examples=60, deadline=None)
@given(st.lists(asks | cancels, max_size=40))
def test_all_matchers_do_the_same(actions: list[Ask | tuple[int, int]]) -> None:
    """Any sequence of orders and cancels has the same outcomes and leaves the same books."""
    slow, fast, spot = ReferenceMatcher(), ExchangeMatcher(), SpotMatcher()

    for action in actions:
        outcomes: list[list[Outcome]] = [
            matcher.place(action) if isinstance(action, Ask) else matcher.cancel(*action)
            for matcher in (slow, fast, spot)
        ]
        assert outcomes[0] == outcomes[1] == outcomes[2]
        assert slow.book() == fast.book() == spot.book()
