"""Decimals and times of a node's files as integers."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

from model.units import format_decimal, parse_decimal

DECIMALS: Final = 8
TEXTS_MAX: Final = 1 << 16
"""Texts that are remembered: prices and sizes come again and again."""

_WHOLE_DIGITS: Final = 20
"""Digits before the point that ``parse_decimal`` allows."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z?", re.ASCII)


class InvalidTimeError(ValueError):
    """The text is not a time as nodes write it."""


@lru_cache(TEXTS_MAX)
def e8(text: str) -> int:
    """Read a decimal text as an integer of 1e-8; errors as ``parse_decimal``."""
    whole, _, fraction = text.partition(".")
    if (
        len(fraction) <= DECIMALS
        and len(whole) <= _WHOLE_DIGITS
        and text.isascii()
        and whole.isdigit()
        and (not fraction or fraction.isdigit())
    ):
        return int(whole + fraction.ljust(DECIMALS, "0"))  # as nodes write nearly all
    return parse_decimal(text)


@lru_cache(TEXTS_MAX)
def decimal_text(value: int) -> str:
    """Write an integer of 1e-8 as the node does: as short as can be, with a fraction."""
    return format_decimal(value, DECIMALS)


@lru_cache(64)
def time_ns_of(text: str) -> int:
    """Read a node's time (UTC, up to nine decimals, no zone) as nanoseconds since 1970.

    Raises:
        InvalidTimeError: it is not one.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidTimeError(f"not a time: {text[:40]!r}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise InvalidTimeError(f"not a time: {text[:40]!r}") from error
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
    return seconds * 10**9 + int((match.group(7) or "").ljust(9, "0"))


def time_ms_of(text: str) -> int:
    """Read a node's time as milliseconds since 1970, cut; errors as ``time_ns_of``."""
    return time_ns_of(text) // 10**6


def time_text(time_ns: int) -> str:
    """Write nanoseconds since 1970 as the node does."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    days, seconds = divmod(seconds, 86_400)
    day = date.fromordinal(_EPOCH_DAY + days).isoformat()
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{day}T{hours:02d}:{minutes:02d}:{seconds:02d}.{nanoseconds:09d}"
