"""Markets: what is traded, in which units, under which limits."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct

from model.ids import USDC, AssetId, TokenId
from model.units import E8, PRICE_DECIMALS_MAX, SPOT_PRICE_DECIMALS_MAX, USD

SIGNIFICANT_FIGURES_MAX: Final = 5
DEFAULT_LEVERAGE_MAX: Final = 20
"""Leverage where an account never chose one: this, or the market's maximum if that is lower."""

IMPACT_NOTIONAL: Final = 6_000 * USD
"""Impact notional of most markets; 20,000 USD for the largest (Hyperliquid: funding)."""


class MarginMode(IntEnum):
    """Which margin a market allows."""

    ANY = 0
    NO_CROSS = 1
    """Isolated only."""
    STRICT_ISOLATED = 2
    """Isolated only, and margin may not be taken out of a position."""


class MarginTier(Struct, frozen=True, array_like=True, gc=False):
    """The largest leverage of positions from a notional (micro-USD) on."""

    lower_bound: int
    max_leverage: int


class Token(Struct, frozen=True, array_like=True, gc=False):
    """What spot balances are held in. Balances are integers of 10^-8, whatever the token."""

    token: TokenId
    name: str
    size_decimals: int


USDC_TOKEN: Final = Token(USDC, "USDC", 8)
"""The quote token of every pair."""


class Instrument(Struct, frozen=True, array_like=True):
    """What is traded: a perpetual settled in USD, or a spot pair of a token against USDC.

    ``opening_price_e8`` is the oracle price until the oracle moves. Prices are counted in ticks of
    10^-price_decimals USD and sizes in lots of 10^-size_decimals, so a price times a size is a
    number of 10^-notional_decimals USD: micro-USD of a perpetual, 1e-8 USDC of a pair.

    ``margin_tiers`` ascend from a lower bound of 0; none means a single tier at ``max_leverage``,
    which is the leverage of the first tier. ``impact_notional`` (micro-USD) is what the book is
    asked for when funding is sampled. ``open_interest_max`` is in micro-USD at the mark price, 0
    for no cap. ``base`` is the traded token of a pair and ``None`` for a perpetual; a pair has no
    margin, so ``max_leverage`` is 1.
    """

    asset: AssetId
    name: str
    size_decimals: int
    max_leverage: int
    opening_price_e8: int
    margin_tiers: tuple[MarginTier, ...] = ()
    margin_mode: MarginMode = MarginMode.ANY
    impact_notional: int = IMPACT_NOTIONAL
    open_interest_max: int = 0
    base: TokenId | None = None

    @property
    def is_spot(self) -> bool:
        """Tell whether this is a spot pair."""
        return self.base is not None

    @property
    def notional_decimals(self) -> int:
        """Decimals of a price in ticks times a size in lots."""
        return PRICE_DECIMALS_MAX if self.base is None else SPOT_PRICE_DECIMALS_MAX

    @property
    def price_decimals(self) -> int:
        """Decimals of a price: one tick is 10^-price_decimals USD."""
        return self.notional_decimals - self.size_decimals

    @property
    def tiers(self) -> tuple[MarginTier, ...]:
        """The margin tiers, at least one."""
        return self.margin_tiers or (MarginTier(0, self.max_leverage),)

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
