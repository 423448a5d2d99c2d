"""Markets: what is traded, in which units, under which limits."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from model.ids import AssetId
from model.units import E8, PRICE_DECIMALS_MAX

SIGNIFICANT_FIGURES_MAX: Final = 5
DEFAULT_LEVERAGE_MAX: Final = 20
"""Leverage where an account never chose one: this, or the market's maximum if that is lower."""


class Instrument(Struct, frozen=True, array_like=True):
    """A perpetual settled in USD.

    ``opening_price_e8`` is the oracle price until the oracle moves. Prices are counted in ticks of
    10^-price_decimals USD and sizes in lots of 10^-size_decimals.
    """

    asset: AssetId
    name: str
    size_decimals: int
    max_leverage: int
    opening_price_e8: int

    @property
    def price_decimals(self) -> int:
        """Decimals of a price: one tick is 10^-price_decimals USD."""
        return PRICE_DECIMALS_MAX - self.size_decimals

    @property
    def tick_e8(self) -> int:
        """One tick in units of 1e-8."""
        ticks_per_usd: int = 10**self.price_decimals
        return E8 // ticks_per_usd

    @property
    def lot_e8(self) -> int:
        """One lot in units of 1e-8."""
        lots_per_coin: int = 10**self.size_decimals
        return E8 // lots_per_coin

    @property
    def default_leverage(self) -> int:
        """Leverage of an account that never chose one here."""
        return min(DEFAULT_LEVERAGE_MAX, self.max_leverage)


def is_on_grid(price_e8: int, tick_e8: int) -> bool:
    """Tell whether a positive price obeys the price rule of its market.

    A whole number of USD always does. Any other price must be a whole number of ticks and have at
    most five significant figures. Source: Hyperliquid API documentation, tick and lot size.
    """
    if price_e8 % E8 == 0:
        return True
    ticks, beyond = divmod(price_e8, tick_e8)
    if beyond:
        return False
    while ticks % 10 == 0:
        ticks //= 10
    return ticks < 10**SIGNIFICANT_FIGURES_MAX


def round_to_grid(price_e8: int, tick_e8: int) -> int:
    """Round a positive price half up to the nearest valid one, never to zero."""
    step = tick_e8
    while step < E8 and price_e8 // step >= 10**SIGNIFICANT_FIGURES_MAX:
        step *= 10
    return max((price_e8 + step // 2) // step * step, tick_e8)
