"""A busy market drawn from a seed; as a program, it prints the digest of all that happened."""

from __future__ import annotations

import random
import sys
from hashlib import blake2b
from typing import Final

from model.blocks import Entry, encode_entries
from model.commands import (
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    UpdateLeverage,
    UsdSend,
)
from model.events import Event
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument
from model.units import E8, USD

START_MS: Final = 1_700_000_000_000
ACCOUNTS: Final = tuple(Address(f"0x{number:040x}") for number in range(1, 7))


class BusyMarkets:
    """Draws commands that mostly make sense from a seed and executes them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.exchange = Exchange()
        self.prices_usd = [100, 10]
        self.nonce = START_MS
        self.exchange.begin_block(1, START_MS)
        self.exchange.apply(OpenExchange(450, self.random.choice([150, -100])))
        for asset, decimals, leverage in ((0, 2, 20), (1, 0, 40)):
            price_e8 = self.prices_usd[asset] * E8
            self.exchange.apply(
                ListMarket(Instrument(AssetId(asset), f"M{asset}", decimals, leverage, price_e8))
            )
        for account in ACCOUNTS:
            usd = self.random.choice([200, 2_000, 100_000])
            self.exchange.apply(Credit(account, usd * USD, CreditSource.FAUCET))

    def step(self) -> list[Event]:
        """Execute one more command."""
        return self.exchange.apply(self.draw())

    def draw(self) -> Command:
        """Draw the next command."""
        draw = self.random.random()
        self.nonce += 1
        head = (self.random.choice(ACCOUNTS), self.nonce, None, None)
        if draw < 0.70:
            return PlaceOrders(*head, (self._order(), self._order()))
        if draw < 0.85:
            return CancelOrders(*head, (CancelSpec(self._asset(), self._target()),))
        if draw < 0.90:
            modify = ModifySpec(self._target(), self._order())
            return ModifyOrders(*head, (modify,), self.random.random() < 0.5)
        if draw < 0.94:
            return self._oracle_move()
        if draw < 0.97:
            return UpdateLeverage(*head, self._asset(), True, self.random.randint(1, 40))
        usd = self.random.randint(1, 300 * USD)
        return UsdSend(*head, self.random.choice(ACCOUNTS), usd)

    def _asset(self) -> AssetId:
        return AssetId(self.random.randrange(2))

    def _target(self) -> OrderId | Cloid:
        if self.random.random() < 0.3:
            return self._cloid()
        newest = self.exchange.engine.next_oid
        return OrderId(self.random.randint(max(1, newest - 30), newest))

    def _cloid(self) -> Cloid:
        return Cloid(f"0x{self.random.randrange(40):032x}")

    def _order(self) -> OrderSpec:
        asset = self._asset()
        price_e8 = self.prices_usd[asset] * self.random.randint(96, 104) * E8 // 100
        lots = self.random.randint(1, (300, 3_000)[asset])
        return OrderSpec(
            asset,
            self.random.random() < 0.5,
            price_e8,
            lots * (E8 // 100, E8)[asset],
            self.random.choice([Tif.GTC] * 5 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
            self.random.random() < 0.3,
            self._cloid() if self.random.random() < 0.2 else None,
        )

    def _oracle_move(self) -> MoveOracle:
        asset = self._asset()
        moved = self.prices_usd[asset] * self.random.randint(95, 105) // 100
        self.prices_usd[asset] = max(2, moved + self.random.randint(-1, 1))
        return MoveOracle((OraclePrice(asset, self.prices_usd[asset] * E8),))


def history_digest(seed: int, commands: int) -> str:
    """Return the digest of a run's commands, events and last state."""
    markets = BusyMarkets(seed)
    digest = blake2b(digest_size=32)
    for _ in range(commands):
        command = markets.draw()
        digest.update(encode_entries([Entry(command, tuple(markets.exchange.apply(command)))]))
    digest.update(markets.exchange.dump())
    return digest.hexdigest()


if __name__ == "__main__":
    print(history_digest(int(sys.argv[1]), int(sys.argv[2])))
