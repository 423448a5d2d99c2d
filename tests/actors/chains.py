"""Chains of blocks to store: small, sound, and made without an exchange."""

from collections.abc import Iterator, Sequence

from actors.journal import Sealed
from model.blocks import GENESIS_DIGEST, Entry, seal
from model.commands import Credit, CreditSource
from model.events import Credited
from model.ids import Address


def account(number: int) -> Address:
    return Address(f"0x{number:040x}")


def entry(number: int) -> Entry:
    credit = Credit(account(number % 97), number + 1, CreditSource.FUND)
    return Entry(credit, (Credited(credit.account, credit.usd, credit.source),))


def chain(sizes: Sequence[int]) -> Iterator[Sealed]:
    """Yield sealed blocks with so many entries each."""
    parent, number = GENESIS_DIGEST, 0
    for height, size in enumerate(sizes, start=1):
        entries = [entry(number + index) for index in range(size)]
        number += size
        block, body = seal(height=height, time_ms=1000 + height, parent=parent, entries=entries)
        parent = block.digest
        yield block, body
