"""Integer units of prices, sizes and money, and their decimal texts.

Three scales meet here:

* **e8**: what the wire can say at most, eight decimals. Requests carry prices and sizes as integers
  of 1e-8, before anything is known about their market.
* **ticks and lots**: a market with ``size_decimals`` d counts sizes in lots of 10^-d and prices in
  ticks of 10^-(6-d) USD. A price in ticks times a size in lots is therefore exactly a number of
  micro-USD, with no rounding.
* **micro-USD**: all money.

Rates of fees are in parts per million of a notional, rates of funding in 1 / RATE_SCALE.
"""

from __future__ import annotations

import re
from typing import Final

E8: Final = 10**8
USD: Final = 10**6
"""Micro-USD in one USD."""

RATE_SCALE: Final = 10**10
"""Funding rates and premiums are integers of this fraction."""

PRICE_DECIMALS_MAX: Final = 6
"""Decimals of price and size of a perpetual together (Hyperliquid: tick and lot size)."""

SPOT_PRICE_DECIMALS_MAX: Final = 8
"""The same of a spot pair."""

DECIMAL_TEXT_LENGTH_MAX: Final = 40
"""Longest decimal text that is looked at; 20 integer digits and 8 decimals fit well within it."""

_DECIMAL = re.compile(r"(-?)(\d{1,20})(?:\.(\d{0,8})(0*))?", re.ASCII)


class MalformedDecimalError(ValueError):
    """The text is not a plain decimal with at most eight significant decimals."""


def parse_decimal(text: str, decimals: int = 8) -> int:
    """Read a plain decimal text as an integer of 10^-decimals.

    Exponents, signs other than a leading minus, blanks, NaN and infinities are refused, and so is a
    text that has more decimals than asked for (trailing zeros do not count).

    Raises:
        MalformedDecimalError: the text is not such a decimal.
    """
    match = _DECIMAL.fullmatch(text) if len(text) <= DECIMAL_TEXT_LENGTH_MAX else None
    if match is None:
        raise MalformedDecimalError(f"not a decimal: {text[:DECIMAL_TEXT_LENGTH_MAX]!r}")
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > decimals:
        raise MalformedDecimalError(f"more than {decimals} decimals: {text!r}")
    value = int(whole + fraction.ljust(decimals, "0"))
    return -value if sign else value


def format_decimal(value: int, decimals: int) -> str:
    """Write an integer of 10^-decimals as its shortest text with a decimal (``"100.0"``)."""
    if decimals == 0:
        return f"{value}.0"
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0") or "0"
    return f"{sign}{digits[:-decimals]}.{fraction}"


def canonical_decimal(text: str) -> str:
    """Write a decimal text as clients sign it, without trailing zeros (``"1.5"``, ``"2"``).

    Raises:
        MalformedDecimalError: the text is not a plain decimal of at most eight decimals.
    """
    shortest = format_decimal(parse_decimal(text), 8)
    return shortest.removesuffix(".0")
