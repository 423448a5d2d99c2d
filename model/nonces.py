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


def use_nonce(kept: list[int], nonce: int, time_ms: int) -> tuple[Refusal, tuple[int, ...]] | None:
    """Enter a nonce into a signer's kept ones, or say why it may not be used and leave them alone.

    ``kept`` is ascending. The detail of a refusal is the nonce and, where it is out of bounds, the
    nearest one that would do.
    """
    if nonce <= time_ms - WINDOW_PAST_MS:
        return Refusal.NONCE_TOO_LOW, (nonce, time_ms - WINDOW_PAST_MS + 1)
    if nonce >= time_ms + WINDOW_FUTURE_MS:
        return Refusal.NONCE_TOO_HIGH, (nonce, time_ms + WINDOW_FUTURE_MS - 1)
    if not kept or nonce > kept[-1]:
        kept.append(nonce)
    else:
        place = bisect_left(kept, nonce)
        if kept[place] == nonce:
            return Refusal.NONCE_DUPLICATE, (nonce,)
        if place == 0 and len(kept) >= NONCES_KEPT:
            return Refusal.NONCE_TOO_LOW, (nonce, kept[0] + 1)
        kept.insert(place, nonce)
    if len(kept) > NONCES_KEPT:
        del kept[0]
    return None
