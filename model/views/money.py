"""Records of money that moved without a trade: ledger entries, funding, and what was paid in.

A ledger entry belongs to one account; a transfer gives one to each of its ends. What the ledger
calls an event is the wire's word for it (Hyperliquid API documentation, ledger updates).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from model.balances import E8_PER_MICRO_USD
from model.events import (
    AssetSent,
    ClassTransferred,
    Credited,
    Event,
    FundingPaid,
    FundingPayment,
    Liquidated,
    SubAccountFunded,
    TokenCredited,
    TokenSent,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address
from model.views.records import FundingRecord, LedgerRecord, Moment, RateRecord

DEPOSIT: Final = "deposit"
WITHDRAW: Final = "withdraw"
INTERNAL_TRANSFER: Final = "internalTransfer"
CLASS_TRANSFER: Final = "accountClassTransfer"
SUB_ACCOUNT_TRANSFER: Final = "subAccountTransfer"
SPOT_TRANSFER: Final = "spotTransfer"
SEND: Final = "send"
LIQUIDATION: Final = "liquidation"
TOKENS_CREDITED: Final = "spotGenesis"
"""Tokens that came in from outside; the wire has no other word for it."""


def ledger_from(event: Event, at: Moment) -> tuple[LedgerRecord, ...]:
    """Return the ledger entries of an event: one for each account that it concerns."""
    entries_of = _LEDGER.get(type(event))
    return () if entries_of is None else entries_of(event, at)


def fundings_from(
    event: FundingPaid, at: Moment, payments: Sequence[FundingPayment]
) -> list[FundingRecord]:
    """Return what positions got or paid."""
    return [
        FundingRecord(
            paid.account, event.asset, paid.usd, paid.size, event.rate, at.time_ms, at.height
        )
        for paid in payments
    ]


def rate_from(event: FundingPaid, at: Moment) -> RateRecord:
    """Return the hour's funding of a market."""
    return RateRecord(event.asset, event.rate, event.premium, at.time_ms, at.height)


def paid_in(entry: LedgerRecord) -> tuple[int, int]:
    """Return how much an entry brought its account from outside or from others, in micro-USD.

    First in all, then into perpetuals alone; negative for what it took away. Tokens count with what
    they were worth then. A liquidation brings nothing: what it took was lost by trading.
    """
    usd = entry.usd
    if entry.kind == LIQUIDATION:
        return 0, 0
    if entry.kind == CLASS_TRANSFER:
        return 0, usd if entry.to_perp else -usd
    total = perp = 0
    if entry.destination == entry.account and entry.kind != WITHDRAW:
        total += usd
        perp += usd if entry.to_perp else 0
    if entry.sender == entry.account and entry.kind not in (DEPOSIT, TOKENS_CREDITED):
        total -= usd + entry.fee
        perp -= usd + entry.fee if entry.from_perp else 0
    return total, perp


def _credited(event: Credited, at: Moment) -> tuple[LedgerRecord, ...]:
    return (_entry(at, DEPOSIT, event.usd, event.account),)


def _withdrawn(event: Withdrawn, at: Moment) -> tuple[LedgerRecord, ...]:
    return (_entry(at, WITHDRAW, event.usd, event.account, fee=event.fee, nonce=event.nonce),)


def _usd_sent(event: UsdSent, at: Moment) -> tuple[LedgerRecord, ...]:
    return _both_ends(at, INTERNAL_TRANSFER, event.usd, event.sender, event.destination)


def _class_transferred(event: ClassTransferred, at: Moment) -> tuple[LedgerRecord, ...]:
    to_perp = event.to_perp
    return (
        _entry(
            at,
            CLASS_TRANSFER,
            event.usd,
            event.account,
            from_perp=not to_perp,
            to_perp=to_perp,
            amount_e8=event.usd * E8_PER_MICRO_USD,
        ),
    )


def _sub_account_funded(event: SubAccountFunded, at: Moment) -> tuple[LedgerRecord, ...]:
    ends = (event.master, event.account) if event.is_deposit else (event.account, event.master)
    return _both_ends(at, SUB_ACCOUNT_TRANSFER, event.usd, *ends)


def _token_sent(event: TokenSent, at: Moment) -> tuple[LedgerRecord, ...]:
    return _both_ends(
        at,
        SPOT_TRANSFER,
        _worth(event),
        event.sender,
        event.destination,
        token=event.token,
        amount_e8=event.amount_e8,
        from_perp=False,
        to_perp=False,
    )


def _asset_sent(event: AssetSent, at: Moment) -> tuple[LedgerRecord, ...]:
    return _both_ends(
        at,
        SEND,
        _worth(event),
        event.sender,
        event.destination,
        token=event.token,
        amount_e8=event.amount_e8,
        from_perp=event.from_perp,
        to_perp=event.to_perp,
        nonce=event.nonce,
    )


def _token_credited(event: TokenCredited, at: Moment) -> tuple[LedgerRecord, ...]:
    return (
        _entry(
            at,
            TOKENS_CREDITED,
            _worth(event),
            event.account,
            token=event.token,
            amount_e8=event.amount_e8,
            from_perp=False,
            to_perp=False,
        ),
    )


def _liquidated(event: Liquidated, at: Moment) -> tuple[LedgerRecord, ...]:
    return (
        _entry(
            at,
            LIQUIDATION,
            event.notional,
            event.account,
            account_value=event.account_value,
            is_cross=event.asset is None,
            positions=event.positions,
        ),
    )


def _worth(event: TokenSent | AssetSent | TokenCredited) -> int:
    """Return what tokens were worth, in micro-USD, rounded down."""
    if event.token == USDC:
        return event.amount_e8 // E8_PER_MICRO_USD
    return event.usd


def _entry(at: Moment, kind: str, usd: int, account: Address, **more: Any) -> LedgerRecord:
    return _record(at, kind, usd, (account, account, account), **more)


def _both_ends(
    at: Moment, kind: str, usd: int, sender: Address, destination: Address, **more: Any
) -> tuple[LedgerRecord, ...]:
    accounts = (sender,) if sender == destination else (sender, destination)
    return tuple(
        _record(at, kind, usd, (account, sender, destination), **more) for account in accounts
    )


def _record(
    at: Moment,
    kind: str,
    usd: int,
    ends: tuple[Address, Address, Address],
    *,
    fee: int = 0,
    **more: Any,
) -> LedgerRecord:
    account, sender, destination = ends
    return LedgerRecord(
        account, kind, usd, sender, destination, fee, at.time_ms, at.height, at.index, **more
    )


_LEDGER: Final[dict[type, Callable[[Any, Moment], tuple[LedgerRecord, ...]]]] = {
    Credited: _credited,
    UsdSent: _usd_sent,
    Withdrawn: _withdrawn,
    ClassTransferred: _class_transferred,
    SubAccountFunded: _sub_account_funded,
    TokenSent: _token_sent,
    AssetSent: _asset_sent,
    TokenCredited: _token_credited,
    Liquidated: _liquidated,
}

LEDGER_EVENTS: Final = frozenset(_LEDGER)
"""Kinds of events that make ledger entries."""
