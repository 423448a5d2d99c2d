"""Fees and limits that follow from what an account traded.

The rates of an account stand for a day (UTC). They are chosen at its first trade of the day, by
what it traded on the fourteen full days before: its volume, spot trades counted double, chooses the
tier, and its share in what all makers traded may lower its maker rate below that. Sub-accounts
trade under the rates of their master, and what they trade counts for it: all of them share one
``FeeBook``.

Nothing happens at midnight, and an account that does not trade costs nothing. Whether a book is up
to date can be told from its ``day`` alone, since all that rates depend on lies before that day.

Source: Hyperliquid documentation, fees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from model.commands import OpenExchange
from model.nonces import DAY_MS
from model.state import FeeState
from model.units import USD

PPM: Final = 10**6

DAYS_COUNTED: Final = 14
"""Full days whose volume chooses the rates."""

SPOT_WEIGHT: Final = 2
"""How often a spot trade's value counts as volume."""

FEE_TIERS_MAX: Final = 32
"""Tiers of either kind that an exchange may have."""

NEVER: Final = -1
"""The day of a book that was not used yet."""

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


def are_terms_valid(terms: OpenExchange) -> bool:
    """Tell whether an exchange may run under these fees.

    No pair of sides may be paid more than it pays. Spot fees are taken in the token that each side
    receives, so there a rebate would have nothing to come from, and there are none.
    """
    takers = [terms.taker_fee_ppm, *(tier.taker_ppm for tier in terms.fee_tiers)]
    makers = [terms.maker_fee_ppm, *(tier.maker_ppm for tier in terms.fee_tiers)]
    makers += [tier.maker_ppm for tier in terms.maker_tiers]
    spot = [terms.spot_taker_fee_ppm, terms.spot_maker_fee_ppm]
    for tier in terms.fee_tiers:
        spot += [tier.spot_taker_ppm, tier.spot_maker_ppm]
    return (
        len(terms.fee_tiers) <= FEE_TIERS_MAX
        and len(terms.maker_tiers) <= FEE_TIERS_MAX
        and all(-PPM < rate < PPM for rate in takers + makers)
        and all(0 <= rate < PPM for rate in spot)
        and min(takers) + min(makers) >= 0
        and _ascends([tier.volume for tier in terms.fee_tiers])
        and _ascends([tier.share_ppm for tier in terms.maker_tiers])
        and terms.requests_free >= 0
    )


def _ascends(bounds: list[int]) -> bool:
    return all(low < high for low, high in zip([-1, *bounds], bounds, strict=False))


class DayVolume(Struct, frozen=True, array_like=True, gc=False):
    """What was traded on one day since 1970, in micro-USD with spot counted double.

    ``maker`` is the part in which the resting order was one's own.
    """

    day: int
    volume: int
    maker: int


class VolumeBook:
    """Traded volume day by day: ``volume`` and ``maker`` of ``day``, and ``past`` before it."""

    __slots__ = ("day", "maker", "past", "volume")

    def __init__(self, days: Iterable[DayVolume] = ()) -> None:
        self.day = NEVER
        self.volume = 0
        self.maker = 0
        self.past: list[DayVolume] = list(days)

    def turn(self, day: int) -> None:
        """Let ``day`` be the current one; forget what no longer counts."""
        self.past = self.days(day)
        self.day = day
        self.volume = self.maker = 0
        if self.past and self.past[-1].day == day:
            today = self.past.pop()
            self.volume, self.maker = today.volume, today.maker

    def days(self, today: int) -> list[DayVolume]:
        """Return the days that count today or will later, oldest first."""
        days = [kept for kept in self.past if kept.day >= today - DAYS_COUNTED]
        if self.volume and self.day >= today - DAYS_COUNTED:
            days.append(DayVolume(self.day, self.volume, self.maker))
        return days


class FeeBook(VolumeBook):
    """What trading costs an account and its sub-accounts on ``day``, and what they traded.

    Rates are in parts per million. ``volume_14d`` and ``share_ppm`` are what they were chosen by.
    """

    __slots__ = (
        "maker_ppm",
        "share_ppm",
        "spot_maker_ppm",
        "spot_taker_ppm",
        "taker_ppm",
        "volume_14d",
    )

    def __init__(self, days: Iterable[DayVolume] = ()) -> None:
        super().__init__(days)
        self.taker_ppm = 0
        self.maker_ppm = 0
        self.spot_taker_ppm = 0
        self.spot_maker_ppm = 0
        self.volume_14d = 0
        self.share_ppm = 0

    def to_state(self) -> FeeState:
        """Return the rates as a plain value; the book must have been assessed today."""
        return FeeState(
            self.taker_ppm,
            self.maker_ppm,
            self.spot_taker_ppm,
            self.spot_maker_ppm,
            self.volume_14d,
            self.share_ppm,
        )


class FeeSchedule:
    """What the exchange charges, and what was traded on all of it.

    Every trade has one maker, so ``traded.volume`` is also what all makers traded. It is up to date
    on a day once any book was assessed on it, which is before the first trade of that day.
    """

    __slots__ = ("terms", "traded")

    def __init__(self, terms: OpenExchange) -> None:
        self.terms = terms
        self.traded = VolumeBook()

    def assess(self, book: FeeBook, day: int) -> None:
        """Choose the rates of a book for a day; on the same day it may be done again."""
        if self.traded.day != day:
            self.traded.turn(day)
        book.turn(day)
        terms = self.terms
        book.volume_14d = sum(kept.volume for kept in book.past)
        maker_14d = sum(kept.maker for kept in book.past)
        traded = sum(kept.volume for kept in self.traded.past)
        book.share_ppm = maker_14d * PPM // traded if traded else 0
        book.taker_ppm, book.maker_ppm = terms.taker_fee_ppm, terms.maker_fee_ppm
        book.spot_taker_ppm = terms.spot_taker_fee_ppm
        book.spot_maker_ppm = terms.spot_maker_fee_ppm
        for tier in terms.fee_tiers:
            if book.volume_14d > tier.volume:
                book.taker_ppm, book.maker_ppm = tier.taker_ppm, tier.maker_ppm
                book.spot_taker_ppm = tier.spot_taker_ppm
                book.spot_maker_ppm = tier.spot_maker_ppm
        for rebate in terms.maker_tiers:
            if book.share_ppm >= rebate.share_ppm:
                book.maker_ppm = min(book.maker_ppm, rebate.maker_ppm)


def day_of(time_ms: int) -> int:
    """Return the day since 1970 (UTC) that a time falls on."""
    return time_ms // DAY_MS
