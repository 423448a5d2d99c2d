"""Decimals of a node's files, read the short way and the long one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.node.decimals import e8, price_e8, size_e8
from model.units import MalformedDecimalError, parse_decimal

TEXTS = st.one_of(
    st.from_regex(r"-?[0-9]{0,22}\.?[0-9]{0,10}", fullmatch=True),
    st.text("0123456789.-+ e_٣", max_size=12),
)


@given(TEXTS)
def test_texts_are_read_as_everywhere(text: str) -> None:
    """The short way has the same answer, and refuses the same."""
    try:
        expected = parse_decimal(text)
    except MalformedDecimalError:
        with pytest.raises(MalformedDecimalError):
            e8(text)
    else:
        assert e8(text) == expected


@pytest.mark.parametrize(("text", "size"), [("0.0", 0), ("1.5", 150_000_000)])
def test_sizes_may_be_nothing(text: str, size: int) -> None:
    """Nothing is left of an order that was filled."""
    assert size_e8(text) == size


def test_what_cannot_be() -> None:
    """Sizes below nothing, and prices of nothing."""
    with pytest.raises(MalformedDecimalError):
        size_e8("-0.1")
    with pytest.raises(MalformedDecimalError):
        price_e8("0.0")
