"""Decimal texts of prices, sizes and money."""

from __future__ import annotations

from typing import Final

from model.instruments import Instrument
from model.units import format_decimal

USD_DECIMALS: Final = 6
TOKEN_DECIMALS: Final = 8
RATIO_DECIMALS: Final = 10
ZERO: Final = "0.0"


def price_text(ticks: int, instrument: Instrument) -> str:
    """Write a price in ticks."""
    return format_decimal(ticks, instrument.price_decimals)


def half_price_text(half_ticks: int, instrument: Instrument) -> str:
    """Write a price in half ticks, as mids are: it may have one decimal more than the grid."""
    return format_decimal(half_ticks * 5, instrument.price_decimals + 1)


def size_text(lots: int, instrument: Instrument) -> str:
    """Write a size in lots, signed or not."""
    return format_decimal(lots, instrument.size_decimals)


def usd_text(micro_usd: int) -> str:
    """Write an amount of micro-USD."""
    return format_decimal(micro_usd, USD_DECIMALS)


def rate_text(ppm: int) -> str:
    """Write a rate in parts per million (450 is ``0.00045``)."""
    return format_decimal(ppm, 6)


def token_text(amount_e8: int) -> str:
    """Write an amount of 1e-8 tokens."""
    return format_decimal(amount_e8, TOKEN_DECIMALS)


def ratio_text(ratio: int) -> str:
    """Write a premium or a rate of funding, in 1 / RATE_SCALE."""
    return format_decimal(ratio, RATIO_DECIMALS)


def notional_text(notional: int, instrument: Instrument) -> str:
    """Write a price in ticks times a size in lots."""
    return format_decimal(notional, instrument.notional_decimals)
