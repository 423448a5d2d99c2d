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
    CancelTwap,
    Command,
    Credit,
    CreditSource,
    Grouping,
    ListMarket,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    ScheduleCancel,
    Tick,
    Tif,
    TriggerSpec,
    UpdateLeverage,
    UsdSend,
)
from model.events import Event
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument, round_to_grid
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
        """Execute one more command, every now and then in a new block."""
        if self.random.random() < 0.1:
            self.pass_time()
        return self.exchange.apply(self.draw())

    def draw(self) -> Command:
        """Draw the next command."""
        draw = self.random.random()
        self.nonce += 1
        head = (self.random.choice(ACCOUNTS), self.nonce, None, None)
        if draw < 0.50:
            return PlaceOrders(*head, (self._order(), self._order()))
        if draw < 0.70:
            return self._waiting(head, draw)
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

    def _waiting(self, head: tuple[Address, int, None, None], draw: float) -> Command:
        """Draw what waits for a price or a time, or the time itself."""
        if draw < 0.57:
            return PlaceOrders(*head, (self._trigger(self._asset(), self._is_buy()),))
        if draw < 0.63:
            main = self._order()
            children = [self._trigger(main.asset, not main.is_buy) for _ in range(2)]
            return PlaceOrders(*head, (main, *children), Grouping.NORMAL_TPSL)
        if draw < 0.65:
            bound = self._trigger(self._asset(), self._is_buy(), lots=0)
            return PlaceOrders(*head, (bound,), Grouping.POSITION_TPSL)
        if draw < 0.67:
            return self._twap(head)
        if draw < 0.68:
            return ScheduleCancel(*head, self.exchange.time_ms + self.random.randint(0, 20_000))
        return Tick()

    def pass_time(self) -> None:
        """Begin the next block, mostly soon, now and then after a slice's time."""
        pause_ms = self.random.choice([100, 100, 100, 1_000, 30_000])
        self.exchange.begin_block(self.exchange.height + 1, self.exchange.time_ms + pause_ms)

    def _is_buy(self) -> bool:
        return self.random.random() < 0.5

    def _twap(self, head: tuple[Address, int, None, None]) -> Command:
        if self.random.random() < 0.2:
            newest = self.exchange.engine.twaps.next_id
            return CancelTwap(*head, self._asset(), self.random.randint(1, newest))
        asset = self._asset()
        size_e8 = self.random.randint(10, 90) * (1, 10)[asset] * E8
        reduce_only, randomize = self._is_buy(), self._is_buy()
        return PlaceTwap(*head, asset, self._is_buy(), size_e8, reduce_only, 5, randomize)

    def _trigger(self, asset: AssetId, is_buy: bool, lots: int | None = None) -> OrderSpec:
        """Draw a stop or a take-profit that waits a few percent away from the oracle price."""
        is_stop = self.random.random() < 0.5
        away = self.random.randint(0, 4) * (1 if is_buy is is_stop else -1)
        price_e8 = self.prices_usd[asset] * (100 + away) * E8 // 100
        limit_e8 = price_e8 * (105 if is_buy else 95) // 100
        tick_e8 = self.exchange.instruments[asset].tick_e8
        if lots is None:
            lots = self.random.randint(1, (300, 3_000)[asset])
        return OrderSpec(
            asset,
            is_buy,
            round_to_grid(limit_e8, tick_e8),
            lots * (E8 // 100, E8)[asset],
            Tif.GTC,
            True,
            self._cloid() if self.random.random() < 0.2 else None,
            TriggerSpec(round_to_grid(price_e8, tick_e8), self._is_buy(), is_stop),
        )

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
        if markets.random.random() < 0.1:
            markets.pass_time()
        command = markets.draw()
        digest.update(encode_entries([Entry(command, tuple(markets.exchange.apply(command)))]))
    digest.update(markets.exchange.dump())
    return digest.hexdigest()


if __name__ == "__main__":
    print(history_digest(int(sys.argv[1]), int(sys.argv[2])))
