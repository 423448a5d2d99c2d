"""Decimals of a node's files, read the short way and the long one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.node.decimals import e8
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
