"""Funding on the wire: what markets charged, what positions paid, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ratio_text, size_text, usd_text
from model.ids import Address
from model.universe import Universe
from model.views.candles import HOUR_MS
from model.views.records import NO_HASH, FundingRecord, RateRecord

VENUE: Final = "HlPerp"
"""What clients know this exchange as, among those whose funding they compare."""

FUNDING_HOURS: Final = 1


class FundingRate(Struct, frozen=True, rename="camel"):
    """One hour's funding of a market; the rate is the hourly one."""

    coin: str
    funding_rate: str
    premium: str
    time: int


class FundingDelta(Struct, frozen=True, rename="camel", tag="funding"):
    """What one position got, or paid if negative."""

    coin: str
    usdc: str
    szi: str
    funding_rate: str
    n_samples: None = None


class FundingEntry(Struct, frozen=True):
    """One entry of ``userFunding``."""

    time: int
    hash: str
    delta: FundingDelta


class FlatFunding(Struct, frozen=True, rename="camel"):
    """The same in one piece, as streams show it."""

    time: int
    coin: str
    usdc: str
    szi: str
    funding_rate: str
    n_samples: None = None


class FundingsFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``userFundings`` frame; ``is_snapshot`` only in the first."""

    user: Address
    fundings: list[FlatFunding]
    is_snapshot: bool | UnsetType = UNSET


class FundingEvent(Struct, frozen=True):
    """Data of a ``user`` frame that tells of funding."""

    funding: FlatFunding


class PredictedFunding(Struct, frozen=True, rename="camel"):
    """What will be paid next if nothing changes."""

    funding_rate: str
    next_funding_time: int
    funding_interval_hours: int = FUNDING_HOURS


def funding_rates(records: Iterable[RateRecord], universe: Universe) -> list[FundingRate]:
    """Return a market's funding in the order given: the answer of ``fundingHistory``."""
    return [
        FundingRate(
            universe[record.asset].name,
            ratio_text(record.rate),
            ratio_text(record.premium),
            record.time_ms,
        )
        for record in records
    ]


def user_funding(records: Iterable[FundingRecord], universe: Universe) -> list[FundingEntry]:
    """Return an account's funding in the order given: the answer of ``userFunding``."""
    return [
        FundingEntry(
            record.time_ms,
            NO_HASH,
            FundingDelta(
                universe[record.asset].name,
                usd_text(record.usd),
                size_text(record.size, universe[record.asset]),
                ratio_text(record.rate),
            ),
        )
        for record in records
    ]


def flat_funding(record: FundingRecord, universe: Universe) -> FlatFunding:
    """Return what one position got or paid, in one piece."""
    instrument = universe[record.asset]
    return FlatFunding(
        record.time_ms,
        instrument.name,
        usd_text(record.usd),
        size_text(record.size, instrument),
        ratio_text(record.rate),
    )


def fundings_frame(
    user: Address,
    records: Iterable[FundingRecord],
    universe: Universe,
    *,
    is_snapshot: bool = False,
) -> FundingsFrame:
    """Return the data of a ``userFundings`` frame."""
    listed = [flat_funding(record, universe) for record in records]
    return FundingsFrame(user, listed, is_snapshot or UNSET)


def predicted_fundings(
    rates: Iterable[tuple[str, int]], *, time_ms: int
) -> list[tuple[str, list[tuple[str, PredictedFunding]]]]:
    """Return the answer of ``predictedFundings`` from names and hourly rates so far."""
    following_ms = time_ms - time_ms % HOUR_MS + HOUR_MS
    return [
        (name, [(VENUE, PredictedFunding(ratio_text(rate), following_ms))]) for name, rate in rates
    ]
