"""The running exchange that all conformance tests share, and the wallets they bring to it."""

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.wallets import Wallet
from tests.program.fixtures import _spare_numbers, asset, coin, exchange, markets_file
from tests.program.harness import Program

__all__ = ["_spare_numbers", "asset", "coin", "exchange", "markets_file", "open_wallet"]


@pytest.fixture
def open_wallet(exchange: Program) -> Iterator[Callable[..., Wallet]]:
    """Return a function that makes a funded wallet with the published client; closed afterwards."""
    opened: list[Wallet] = []

    def make(usd: int | str = 10_000, **options: object) -> Wallet:
        wallet = Wallet.open(exchange, usd, **options)  # type: ignore[arg-type]
        opened.append(wallet)
        return wallet

    yield make
    for wallet in opened:
        wallet.close()
