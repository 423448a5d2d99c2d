"""One side of a book: order of levels and queues, whatever comes and goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.book import BookSide
from model.commands import Tif
from model.ids import Address, AssetId, OrderId
from model.orders import Order


def resting(oid: int, price: int, *, is_buy: bool) -> Order:
    """Make an order of one lot."""
    return Order(
        AssetId(0),
        Address("0x"),
        OrderId(oid),
        is_buy,
        price,
        1,
        1,
        Tif.GTC,
        False,
        None,
        0,
    )


@pytest.mark.parametrize(("sign", "best"), [(1, 103), (-1, 101)])
def test_best_price_is_the_highest_bid_and_the_lowest_ask(sign: int, best: int) -> None:
    """Both sides put their best first."""
    side = BookSide(sign)
    for oid, price in enumerate((102, 101, 103), start=1):
        side.add(resting(oid, price, is_buy=sign > 0))

    assert side.best_price() == best
    assert side.first().price == best


def test_empty_side_has_no_best_price() -> None:
    """It is told as 0, before anything came and after all went."""
    side = BookSide(1)
    order = resting(1, 100, is_buy=True)

    assert side.best_price() == 0
    side.add(order)
    side.remove(order)
    assert side.best_price() == 0
    assert list(side) == []


def test_removing_what_is_not_there_is_a_bug() -> None:
    """It raises instead of passing over it."""
    with pytest.raises(KeyError):
        BookSide(1).remove(resting(1, 100, is_buy=True))


@given(
    st.sampled_from([1, -1]),
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.integers(0, 30)), max_size=60),
)
def test_side_equals_a_sorted_list(sign: int, steps: list[tuple[int, bool, int]]) -> None:
    """After any adds and removals the orders are those of a list sorted by price and arrival."""
    side = BookSide(sign)
    expected: list[Order] = []
    for oid, (price, adds, drawn) in enumerate(steps, start=1):
        if adds or not expected:
            order = resting(oid, price, is_buy=sign > 0)
            side.add(order)
            expected.append(order)
        else:
            side.remove(expected.pop(drawn % len(expected)))
        expected.sort(key=lambda order: (-sign * order.price, order.oid))

        assert list(side) == expected
        assert side.best_price() == (expected[0].price if expected else 0)
