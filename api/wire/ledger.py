"""An account's money over time on the wire: ledger, funding, portfolio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import usd_text
from model.ids import Address
from model.views.money import INTERNAL_TRANSFER
from model.views.records import LedgerRecord, transaction_hash

PORTFOLIO_PERIODS: Final = (
    "day",
    "week",
    "month",
    "allTime",
    "perpDay",
    "perpWeek",
    "perpMonth",
    "perpAllTime",
)


class Deposit(Struct, frozen=True, tag="deposit"):
    """Money that came in."""

    usdc: str


class InternalTransfer(Struct, frozen=True, tag="internalTransfer"):
    """Money from one account to another."""

    usdc: str
    user: Address
    destination: Address
    fee: str


class LedgerUpdate(Struct, frozen=True):
    """One entry of an account's ledger."""

    time: int
    hash: str
    delta: Deposit | InternalTransfer


class LedgerFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``userNonFundingLedgerUpdates`` frame; ``is_snapshot`` only in the first."""

    user: Address
    non_funding_ledger_updates: list[LedgerUpdate]
    is_snapshot: bool | UnsetType = UNSET


class FundingsFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``userFundings`` frame: never anything but the empty snapshot."""

    user: Address
    fundings: tuple[()]
    is_snapshot: bool | UnsetType = UNSET


class PortfolioPeriod(Struct, frozen=True, rename="camel"):
    """An account over a period: points of time and amount, and what it traded."""

    account_value_history: tuple[tuple[int, str], ...]
    pnl_history: tuple[tuple[int, str], ...]
    vlm: str


def ledger_update(record: LedgerRecord) -> LedgerUpdate:
    """Return one entry of an account's ledger."""
    usd = usd_text(record.usd)
    delta: Deposit | InternalTransfer
    if record.kind == INTERNAL_TRANSFER:
        delta = InternalTransfer(usd, record.sender, record.destination, usd_text(record.fee))
    else:
        delta = Deposit(usd)
    return LedgerUpdate(record.time_ms, transaction_hash(record.height, record.index), delta)


def ledger_updates(records: Iterable[LedgerRecord]) -> list[LedgerUpdate]:
    """Return entries in the order given: the answer of ``userNonFundingLedgerUpdates``."""
    return [ledger_update(record) for record in records]


def ledger_frame(
    user: Address, records: Iterable[LedgerRecord], *, is_snapshot: bool = False
) -> LedgerFrame:
    """Return the data of a ``userNonFundingLedgerUpdates`` frame."""
    return LedgerFrame(user, ledger_updates(records), is_snapshot or UNSET)


def fundings_frame(user: Address) -> FundingsFrame:
    """Return the snapshot that opens ``userFundings``."""
    return FundingsFrame(user, (), True)


def portfolio_period(
    *,
    values: Iterable[tuple[int, int]] = (),
    profits: Iterable[tuple[int, int]] = (),
    volume: int = 0,
) -> PortfolioPeriod:
    """Return one period of a portfolio from points of time in ms and micro-USD, oldest first."""
    return PortfolioPeriod(
        tuple((time_ms, usd_text(usd)) for time_ms, usd in values),
        tuple((time_ms, usd_text(usd)) for time_ms, usd in profits),
        usd_text(volume),
    )


def portfolio(
    day: PortfolioPeriod, week: PortfolioPeriod, month: PortfolioPeriod, all_time: PortfolioPeriod
) -> tuple[tuple[str, PortfolioPeriod], ...]:
    """Return the eight pairs of ``portfolio``: everything here is perpetuals, so halves agree."""
    periods = (day, week, month, all_time)
    return tuple(zip(PORTFOLIO_PERIODS, periods + periods, strict=True))
