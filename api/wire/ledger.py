"""An account's money over time on the wire: ledger and portfolio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, size_text, token_text, usd_text
from model.ids import Address
from model.universe import Universe
from model.views.money import (
    CLASS_TRANSFER,
    DEPOSIT,
    INTERNAL_TRANSFER,
    LIQUIDATION,
    SEND,
    SPOT_TRANSFER,
    SUB_ACCOUNT_TRANSFER,
    TOKENS_CREDITED,
    WITHDRAW,
)
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

SPOT_DEX: Final = "spot"
PERP_DEX: Final = ""
"""What a transfer calls the classes at its ends."""


class Deposit(Struct, frozen=True, tag=DEPOSIT):
    """Money that came in."""

    usdc: str


class Withdrawal(Struct, frozen=True, tag=WITHDRAW):
    """Money that left."""

    usdc: str
    nonce: int | None
    fee: str


class InternalTransfer(Struct, frozen=True, tag=INTERNAL_TRANSFER):
    """Money from one account to another."""

    usdc: str
    user: Address
    destination: Address
    fee: str


class AccountClassTransfer(Struct, frozen=True, rename="camel", tag=CLASS_TRANSFER):
    """Money between an account's perpetuals and spot."""

    usdc: str
    to_perp: bool


class SubAccountTransfer(Struct, frozen=True, tag=SUB_ACCOUNT_TRANSFER):
    """Money between an account and its sub-account."""

    usdc: str
    user: Address
    destination: Address


class SpotTransfer(Struct, frozen=True, rename="camel", tag=SPOT_TRANSFER):
    """Tokens from one account to another."""

    token: str
    amount: str
    usdc_value: str
    user: Address
    destination: Address
    fee: str
    native_token_fee: str = ZERO
    nonce: None = None
    fee_token: str = ""


class Send(Struct, frozen=True, rename="camel", tag=SEND):
    """Tokens between classes and accounts."""

    user: Address
    destination: Address
    source_dex: str
    destination_dex: str
    token: str
    amount: str
    usdc_value: str
    fee: str
    nonce: int | None
    native_token_fee: str = ZERO
    fee_token: str = ""


class TokensCredited(Struct, frozen=True, tag=TOKENS_CREDITED):
    """Tokens that came in."""

    token: str
    amount: str


class LiquidatedPosition(Struct, frozen=True):
    """A position that an account had when it was liquidated."""

    coin: str
    szi: str


class LiquidationDelta(Struct, frozen=True, rename="camel", tag=LIQUIDATION):
    """A liquidation of the account, or of one isolated position."""

    liquidated_ntl_pos: str
    account_value: str
    leverage_type: str
    liquidated_positions: list[LiquidatedPosition]


Delta: TypeAlias = (
    Deposit
    | Withdrawal
    | InternalTransfer
    | AccountClassTransfer
    | SubAccountTransfer
    | SpotTransfer
    | Send
    | TokensCredited
    | LiquidationDelta
)


class LedgerUpdate(Struct, frozen=True):
    """One entry of an account's ledger."""

    time: int
    hash: str
    delta: Delta


class LedgerFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``userNonFundingLedgerUpdates`` frame; ``is_snapshot`` only in the first."""

    user: Address
    non_funding_ledger_updates: list[LedgerUpdate]
    is_snapshot: bool | UnsetType = UNSET


class LiquidationEvent(Struct, frozen=True):
    """A liquidation as the ``user`` channel tells of it; its keys are the wire's exception."""

    lid: int
    liquidator: Address
    liquidated_user: Address
    liquidated_ntl_pos: str
    liquidated_account_value: str


class LiquidationEvents(Struct, frozen=True):
    """Data of a ``user`` frame that tells of a liquidation."""

    liquidation: LiquidationEvent


class PortfolioPeriod(Struct, frozen=True, rename="camel"):
    """An account over a period: points of time and amount, and what it traded."""

    account_value_history: tuple[tuple[int, str], ...]
    pnl_history: tuple[tuple[int, str], ...]
    vlm: str


def ledger_update(record: LedgerRecord, universe: Universe) -> LedgerUpdate:
    """Return one entry of an account's ledger."""
    delta = _DELTAS[record.kind](record, universe)
    return LedgerUpdate(record.time_ms, transaction_hash(record.height, record.index), delta)


def ledger_updates(records: Iterable[LedgerRecord], universe: Universe) -> list[LedgerUpdate]:
    """Return entries in the order given: the answer of ``userNonFundingLedgerUpdates``."""
    return [ledger_update(record, universe) for record in records]


def ledger_frame(
    user: Address,
    records: Iterable[LedgerRecord],
    universe: Universe,
    *,
    is_snapshot: bool = False,
) -> LedgerFrame:
    """Return the data of a ``userNonFundingLedgerUpdates`` frame."""
    return LedgerFrame(user, ledger_updates(records, universe), is_snapshot or UNSET)


def liquidation_event(record: LedgerRecord, liquidator: Address) -> LiquidationEvents:
    """Return the data of a ``user`` frame that tells of a liquidation."""
    return LiquidationEvents(
        LiquidationEvent(
            record.height * LIQUIDATIONS_PER_BLOCK + record.index,
            liquidator,
            record.account,
            usd_text(record.usd),
            usd_text(record.account_value),
        )
    )


LIQUIDATIONS_PER_BLOCK: Final = 100_000
"""More commands than any block has, so that the ids of liquidations differ."""


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


def portfolio(periods: Sequence[PortfolioPeriod]) -> tuple[tuple[str, PortfolioPeriod], ...]:
    """Return the eight pairs of ``portfolio``: four periods of all, then of perpetuals alone."""
    return tuple(zip(PORTFOLIO_PERIODS, periods, strict=True))


def _token(record: LedgerRecord, universe: Universe) -> str:
    return universe.tokens[record.token].name


def _dex(is_perp: bool) -> str:
    return PERP_DEX if is_perp else SPOT_DEX


def _spot_transfer(record: LedgerRecord, universe: Universe) -> SpotTransfer:
    return SpotTransfer(
        _token(record, universe),
        token_text(record.amount_e8),
        usd_text(record.usd),
        record.sender,
        record.destination,
        usd_text(record.fee),
    )


def _send(record: LedgerRecord, universe: Universe) -> Send:
    return Send(
        record.sender,
        record.destination,
        _dex(record.from_perp),
        _dex(record.to_perp),
        _token(record, universe),
        token_text(record.amount_e8),
        usd_text(record.usd),
        usd_text(record.fee),
        record.nonce,
    )


def _liquidation(record: LedgerRecord, universe: Universe) -> LiquidationDelta:
    return LiquidationDelta(
        usd_text(record.usd),
        usd_text(record.account_value),
        "Cross" if record.is_cross else "Isolated",
        [
            LiquidatedPosition(universe[asset].name, size_text(size, universe[asset]))
            for asset, size in record.positions
        ],
    )


_DELTAS: Final[dict[str, Callable[[LedgerRecord, Universe], Delta]]] = {
    DEPOSIT: lambda record, _: Deposit(usd_text(record.usd)),
    WITHDRAW: lambda record, _: Withdrawal(
        usd_text(record.usd), record.nonce, usd_text(record.fee)
    ),
    INTERNAL_TRANSFER: lambda record, _: InternalTransfer(
        usd_text(record.usd), record.sender, record.destination, usd_text(record.fee)
    ),
    CLASS_TRANSFER: lambda record, _: AccountClassTransfer(usd_text(record.usd), record.to_perp),
    SUB_ACCOUNT_TRANSFER: lambda record, _: SubAccountTransfer(
        usd_text(record.usd), record.sender, record.destination
    ),
    SPOT_TRANSFER: _spot_transfer,
    SEND: _send,
    TOKENS_CREDITED: lambda record, universe: TokensCredited(
        _token(record, universe), token_text(record.amount_e8)
    ),
    LIQUIDATION: _liquidation,
}
"""How each kind of entry is told."""
