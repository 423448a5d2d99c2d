"""Fees and limits that follow from what an account traded."""

from __future__ import annotations

from typing import Final

from model.units import USD

PPM: Final = 10**6

OPEN_ORDERS_MAX: Final = 1000
"""Open orders of an account that has not traded; from here on reduce-only orders are refused."""

OPEN_ORDERS_MAX_EVER: Final = 5000

VOLUME_PER_OPEN_ORDER: Final = 5_000_000 * USD
"""Volume that earns one more open order (Hyperliquid: order limits)."""


def fee_towards_exchange(notional: int, rate_ppm: int) -> int:
    """Return the fee on a notional, rounded up: no fee too small and no rebate too large."""
    return -(notional * rate_ppm // -PPM)


def open_orders_max(volume: int) -> int:
    """Return how many open orders an account may have after trading this much."""
    return min(OPEN_ORDERS_MAX + volume // VOLUME_PER_OPEN_ORDER, OPEN_ORDERS_MAX_EVER)
