"""The premium of a perpetual over its oracle price, and the funding rate that follows from it.

A sample asks what the book would pay for the impact notional on either side: it is how far the
impact bid lies above the oracle price, less how far the impact ask lies below it, over the oracle
price. A side that is too thin to fill the impact notional adds nothing. With the average premium P
of an hour the rate of eight hours is P + clamp(0.01 % - P, -0.05 %, +0.05 %), of which an eighth is
paid each hour, at most 4 %.

Rates and premiums are integers of 1 / RATE_SCALE, rounded down where they are divided; the rate is
rounded towards zero.

Source: Hyperliquid documentation, funding.
"""

from __future__ import annotations

from typing import Final

from model.book import BookSide
from model.marks import FINE
from model.units import RATE_SCALE

INTEREST: Final = RATE_SCALE // 10_000
"""What longs pay in eight hours at no premium."""

CLAMP: Final = RATE_SCALE * 5 // 10_000
RATE_MAX: Final = RATE_SCALE * 4 // 100
"""Most that is paid in one hour."""

PREMIUM_MAX: Final = RATE_SCALE
"""A sample further from zero counts as this: far beyond where it still matters."""

PAYMENTS_PER_PERIOD: Final = 8


class Premiums:
    """The samples of one market since its last payment.

    ``premium`` is the latest sample and ``rate`` the hourly rate of all of them; both outlive a
    payment, as what is shown until the next sample.
    """

    __slots__ = ("count", "premium", "rate", "total")

    def __init__(self) -> None:
        self.total = 0
        self.count = 0
        self.premium = 0
        self.rate = 0

    def sample(self, premium: int) -> None:
        """Take in a sample."""
        self.premium = premium
        self.total += premium
        self.count += 1
        self.rate = hourly_rate(self.average())

    def average(self) -> int:
        """Return the average premium of the samples, 0 of none."""
        return self.total // self.count if self.count else 0

    def settle(self) -> tuple[int, int]:
        """Begin the next hour; return average premium and hourly rate of the one that is over."""
        average = self.average()
        self.total = 0
        self.count = 0
        self.rate = hourly_rate(average)
        return average, self.rate

    def to_tuple(self) -> tuple[int, int, int, int]:
        """Return all that cannot be computed."""
        return self.total, self.count, self.premium, self.rate

    def restore(self, kept: tuple[int, int, int, int]) -> None:
        """Take over what ``to_tuple`` returned."""
        self.total, self.count, self.premium, self.rate = kept


def hourly_rate(premium: int) -> int:
    """Return what longs pay of their notional in one hour at an average premium."""
    rate = premium + min(max(INTEREST - premium, -CLAMP), CLAMP)
    hourly = rate // PAYMENTS_PER_PERIOD if rate >= 0 else -(-rate // PAYMENTS_PER_PERIOD)
    return min(max(hourly, -RATE_MAX), RATE_MAX)


def premium_of(oracle: int, impact_bid: int | None, impact_ask: int | None) -> int:
    """Return a premium; the oracle price is in ticks, impact prices in 1 / FINE ticks."""
    fine = oracle * FINE
    above = max(impact_bid - fine, 0) if impact_bid is not None else 0
    below = max(fine - impact_ask, 0) if impact_ask is not None else 0
    premium = (above - below) * RATE_SCALE // fine
    return min(max(premium, -PREMIUM_MAX), PREMIUM_MAX)


def impact_price(side: BookSide, notional: int) -> int | None:
    """Return the average price at which a notional would trade against a side of a book.

    In 1 / FINE ticks, rounded down; ``None`` if the side is too thin. The last order that is needed
    counts in part, with a fraction of a lot.
    """
    lots, left = 0, notional
    for order in side:
        value = order.price * order.remaining
        if value >= left:
            return notional * order.price * FINE // (lots * order.price + left)
        lots += order.remaining
        left -= value
    return None
