"""Marks of the conformance tests."""

import ccxt
import pytest
from hyperliquid.utils.error import ServerError


def not_yet(what: str) -> pytest.MarkDecorator:
    """Mark a test of something that the exchange does not do yet; when it does, the mark goes."""
    raises = (AssertionError, ccxt.BaseError, ServerError, pytest.fail.Exception)
    return pytest.mark.xfail(reason=what, strict=True, raises=raises)
