"""Miscellaneous events as the accounts they concern see them: movements of money, and funding."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from model.ids import Address
from model.node.lines import Misc, Text


class LedgerEntry(Struct, frozen=True):
    """A movement of money, as the public API shows it: ``delta`` is the node's own object."""

    time: int
    hash: str
    delta: Raw


class FundingEntry(Struct, frozen=True, rename="camel"):
    """A payment of funding, as the public API shows it."""

    time: int
    coin: str
    usdc: str
    szi: str
    funding_rate: str


class _Ledger(Struct):
    users: list[Text]
    delta: Raw


class _Delta(Struct, gc=False):
    user: Text
    coin: Text
    funding_amount: Text
    szi: Text
    funding_rate: Text


class _Funding(Struct):
    deltas: list[_Delta]


_ledger: Final = msgspec.json.Decoder(_Ledger)
_funding: Final = msgspec.json.Decoder(_Funding)


def entries_of(
    misc: Misc, time_ms: int, followed: Collection[str]
) -> Iterator[tuple[Address, LedgerEntry | FundingEntry]]:
    """Yield what an event means to the accounts that are followed; of a malformed one nothing."""
    try:
        if misc.kind == "LedgerUpdate":
            ledger = _ledger.decode(misc.payload)
            for user in ledger.users:
                if user in followed:
                    yield Address(user), LedgerEntry(time_ms, misc.hash, ledger.delta)
        elif misc.kind == "Funding":
            for delta in _funding.decode(misc.payload).deltas:
                if delta.user in followed:
                    amount, rate = delta.funding_amount, delta.funding_rate
                    entry = FundingEntry(time_ms, delta.coin, amount, delta.szi, rate)
                    yield Address(delta.user), entry
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
