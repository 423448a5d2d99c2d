"""Nonces: what makes a signed action take effect at most once.

For each signer the highest 100 nonces are kept. A new one must lie inside a window round the
block's time, must not be among the kept ones and, once 100 are kept, must be above the lowest of
them. Everything below that was either used or given up, so nothing can be replayed, yet actions
signed at about the same time may arrive in any order.

Source: Hyperliquid API documentation, nonces and API wallets.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from model.refusals import Refusal

NONCES_KEPT: Final = 100
DAY_MS: Final = 86_400_000
WINDOW_PAST_MS: Final = 2 * DAY_MS
WINDOW_FUTURE_MS: Final = DAY_MS
"""Both ends of the window are outside it."""


def nonce_refusal(
    kept: list[int], nonce: int, time_ms: int
) -> tuple[Refusal, tuple[int, ...]] | None:
    """Say why a nonce may not be used, with the refusal's detail, or return ``None``.

    ``kept`` is ascending. The detail of a nonce out of bounds is the nonce and the nearest one that
    would do.
    """
    if nonce <= time_ms - WINDOW_PAST_MS:
        return Refusal.NONCE_TOO_LOW, (nonce, time_ms - WINDOW_PAST_MS + 1)
    if nonce >= time_ms + WINDOW_FUTURE_MS:
        return Refusal.NONCE_TOO_HIGH, (nonce, time_ms + WINDOW_FUTURE_MS - 1)
    if not kept or nonce > kept[-1]:
        return None
    if kept[bisect_left(kept, nonce)] == nonce:
        return Refusal.NONCE_DUPLICATE, (nonce,)
    if len(kept) >= NONCES_KEPT and nonce < kept[0]:
        return Refusal.NONCE_TOO_LOW, (nonce, kept[0] + 1)
    return None


def use_nonce(kept: list[int], nonce: int) -> None:
    """Enter an admitted nonce, forgetting the lowest one if there are too many."""
    if not kept or nonce > kept[-1]:
        kept.append(nonce)
    else:
        kept.insert(bisect_left(kept, nonce), nonce)
    if len(kept) > NONCES_KEPT:
        del kept[0]
