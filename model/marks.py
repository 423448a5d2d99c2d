"""The mark price: what margin, liquidation and triggers go by.

It is the median of three prices, so that neither a thin book nor one bad source can move it alone:

1. the oracle price plus the 150-second average of how far the book's middle is from it;
2. the median of best bid, best ask and last trade;
3. the price of the same perpetual on other exchanges.

One that does not exist is left out: the second while a side of the book is empty, the third while
nobody tells it. With exactly two the 30-second average of the second joins. An average whose latest
sample is older than its time constant does not exist either; the first price is then the oracle.
Two prices that remain alone give their middle.

**The average** weights a sample x after a time t by t and lets older weight fade by e^(-t / tau):
``num <- num * fade + x * t``, ``den <- den * fade + t``. Here ``num / den`` and ``den`` are kept.
It begins with the weight of one time constant, and begins again after a longer pause: the second
price's with its first sample, the basis with zero. Whoever is the first to quote in an empty book
therefore cannot move two of the three prices at once.

**No floats.** Prices are integers of 1 / FINE ticks, weights of 1 / WEIGHT_SCALE ms. A step rounds
the average to the nearest integer, so with steps of one second it is off by at most tau / 2
of those, 0.02 ticks. ``fade`` is within 2 / FADE_SCALE of the exponential.

Source: Hyperliquid documentation, robust price indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

FINE: Final = 2**12
"""Parts of a tick. Prices of up to 10^15 ticks still fit 63 bits."""

WEIGHT_SCALE: Final = 2**16

FADE_SCALE: Final = 2**48
_WORK_SCALE: Final = 2**80
_HALVINGS: Final = 8
_TERMS: Final = 12
"""After so many halvings x is below 1/4; the first term left out of its series is below 2^-52."""

FADED_AFTER: Final = 64
"""Time constants after which nothing is left: e^-64 is below 2^-92."""

BASIS_MS: Final = 150_000
BOOK_MS: Final = 30_000
"""Time constants of the two averages."""


@lru_cache(maxsize=4096)
def fade(elapsed_ms: int, constant_ms: int) -> int:
    """Return e^(-elapsed / constant) as an integer of 1 / FADE_SCALE, rounded down.

    The exponent is halved until its series converges at once, and the result squared as often.
    """
    if elapsed_ms >= FADED_AFTER * constant_ms:
        return 0
    x = elapsed_ms * _WORK_SCALE // (constant_ms << _HALVINGS)
    term = total = _WORK_SCALE
    for n in range(1, _TERMS + 1):
        term = -term * x // (_WORK_SCALE * n)
        total += term
    for _ in range(_HALVINGS):
        total = total * total // _WORK_SCALE
    return total * FADE_SCALE // _WORK_SCALE


class Average:
    """An exponential average over ``constant_ms``.

    ``value`` is in 1 / FINE ticks, ``weight`` in 1 / WEIGHT_SCALE ms; 0 before the first sample.
    It begins with ``start``, or with its first sample if that is ``None``.
    """

    __slots__ = ("at_ms", "constant_ms", "start", "value", "weight")

    def __init__(self, constant_ms: int, start: int | None = None) -> None:
        self.constant_ms = constant_ms
        self.start = start
        self.value = 0
        self.weight = 0
        self.at_ms = 0

    def sample(self, value: int, time_ms: int) -> None:
        """Take in what the value is now; time does not go backwards."""
        if self.get(time_ms) is None:
            self.value = value if self.start is None else self.start
            self.weight = self.constant_ms * WEIGHT_SCALE
            self.at_ms = time_ms
            return
        elapsed = time_ms - self.at_ms
        kept = self.weight * fade(elapsed, self.constant_ms) // FADE_SCALE
        added = elapsed * WEIGHT_SCALE
        self.at_ms = time_ms
        self.weight = kept + added
        whole = self.value * kept + value * added
        self.value = (2 * whole + self.weight) // (2 * self.weight)

    def get(self, time_ms: int) -> int | None:
        """Return the average, ``None`` if there is none that is recent."""
        if not self.weight or time_ms - self.at_ms > self.constant_ms:
            return None
        return self.value

    def to_tuple(self) -> tuple[int, int, int]:
        """Return all that cannot be computed."""
        return self.value, self.weight, self.at_ms

    def restore(self, kept: tuple[int, int, int]) -> None:
        """Take over what ``to_tuple`` returned."""
        self.value, self.weight, self.at_ms = kept


def book_price(best_bid: int, best_ask: int, last: int) -> int | None:
    """Return the second price in 1 / FINE ticks; 0 stands for a price that does not exist."""
    if not best_bid or not best_ask:
        return None
    if not last:
        return (best_bid + best_ask) * FINE // 2
    return sorted((best_bid, best_ask, last))[1] * FINE


def mark_price(
    *,
    oracle: int,
    basis: int | None,
    book: int | None,
    book_average: int | None,
    outside: int | None,
) -> int:
    """Return the mark price in ticks, at least one, from an oracle price in ticks.

    The other inputs are in 1 / FINE ticks, ``None`` where they do not exist.
    """
    prices = [oracle * FINE + (basis or 0)]
    prices += [price for price in (book, outside) if price is not None]
    if len(prices) == 2 and book_average is not None:
        prices.append(book_average)
    return max(1, (median(prices) + FINE // 2) // FINE)


def median(prices: Sequence[int]) -> int:
    """Return the median of one to three prices, of two their middle rounded down."""
    ordered = sorted(prices)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2
