"""A made-up flow of commands for benchmarks: a busy market, the same for every run.

Of 100 commands about 48 rest, 46 cancel and 6 trade, by 1,000 accounts in six markets whose books
hold some 12,000 orders. The flow is made by executing it, so that every cancel names an order that
is there when the same commands are executed again.
"""

from __future__ import annotations

import random
from typing import Final, TypeAlias

from model.commands import (
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
)
from model.events import Event, OrderCanceled, OrderPlaced, Traded
from model.exchange import Exchange
from model.ids import Address, AssetId, OrderId
from model.instruments import Instrument, round_to_grid
from model.units import E8, USD

Block: TypeAlias = list[Command]

ACCOUNTS: Final = 1_000
MARKETS: Final = (
    ("BTC", 5, 40, 65_000),
    ("ETH", 4, 25, 2_600),
    ("SOL", 2, 20, 150),
    ("AVAX", 2, 10, 30),
    ("DOGE", 0, 10, 1),
    ("7203", 2, 10, 20),
)
"""Name, size decimals, maximum leverage, price in USD."""

RESTING_AT_START: Final = 12_000
COMMANDS_PER_BLOCK: Final = 500
ORDERS_PER_ORACLE_MOVE: Final = 10_000
START_MS: Final = 1_700_000_000_000
SEED: Final = 20_240_501


class LiveOrders:
    """The orders that are open, so that one of them can be drawn in constant time."""

    def __init__(self) -> None:
        self.oids: list[OrderId] = []
        self.found: dict[OrderId, tuple[int, Address, AssetId]] = {}

    def follow(self, events: list[Event]) -> None:
        """Bring the set up to date with what happened."""
        for event in events:
            match event:
                case OrderPlaced():
                    self.found[event.oid] = (len(self.oids), event.account, event.asset)
                    self.oids.append(event.oid)
                case OrderCanceled():
                    self._drop(event.oid)
                case Traded():
                    for leg in (event.taker, event.maker):
                        if not leg.remaining:
                            self._drop(leg.oid)
                case _:
                    pass

    def _drop(self, oid: OrderId) -> None:
        place, _, _ = self.found.pop(oid)
        last = self.oids.pop()
        if last != oid:
            self.oids[place] = last
            _, account, asset = self.found[last]
            self.found[last] = (place, account, asset)


class Flow:
    """Makes the commands of a busy market, in blocks; ``batch`` is how many orders each carries."""

    def __init__(self, *, batch: int = 1, seed: int = SEED) -> None:
        self.batch = batch
        self.random = random.Random(seed)
        self.exchange = Exchange()
        self.accounts = [Address(f"0x{number:040x}") for number in range(1, ACCOUNTS + 1)]
        self.live = LiveOrders()
        self.nonce = START_MS
        self.made = 0

    def opening(self) -> Block:
        """Return the first block: markets, money, and books to begin with."""
        block: Block = [OpenExchange(450, 150)]
        for asset, (name, size_decimals, leverage, price) in enumerate(MARKETS):
            instrument = Instrument(AssetId(asset), name, size_decimals, leverage, price * E8)
            block.append(ListMarket(instrument))
        block += [Credit(account, 1_000_000 * USD, CreditSource.FUND) for account in self.accounts]
        self._begin_block()
        for command in block:
            self._execute(command)
        block += [self._place(self._resting(1)) for _ in range(RESTING_AT_START)]
        return block

    def blocks(self, orders: int) -> list[Block]:
        """Return blocks with about this many orders and cancels altogether."""
        blocks: list[Block] = []
        end = self.made + orders
        while self.made < end:
            self._begin_block()
            block: Block = []
            for _ in range(max(1, COMMANDS_PER_BLOCK // self.batch)):
                block.append(self._client_command())
                self.made += self.batch
                if self.made % ORDERS_PER_ORACLE_MOVE < self.batch:
                    block.append(self._execute(self._oracle_move()))
            blocks.append(block)
        return blocks

    def _begin_block(self) -> None:
        height = self.exchange.height + 1
        self.exchange.begin_block(height, block_time_ms(height))

    def _client_command(self) -> Command:
        draw = self.random.random()
        if draw < 0.46:
            return self._cancel()
        if draw < 0.94:
            return self._place(self._resting(self.batch))
        return self._place(self._crossing(self.batch))

    def _execute(self, command: Command) -> Command:
        self.live.follow(self.exchange.apply(command))
        return command

    def _place(self, orders: tuple[OrderSpec, ...]) -> Command:
        self.nonce += 1
        account = self.random.choice(self.accounts)
        return self._execute(PlaceOrders(account, self.nonce, None, None, orders))

    def _cancel(self) -> Command:
        """Cancel a random open order, and as many more of its account as make up the batch."""
        self.nonce += 1
        _, account, asset = self.live.found[drawn := self.random.choice(self.live.oids)]
        cancels = [CancelSpec(asset, drawn)]
        for order in self.exchange.engine.accounts[account].orders.values():
            if len(cancels) < self.batch and order.oid != drawn:
                cancels.append(CancelSpec(order.asset, order.oid))
        return self._execute(CancelOrders(account, self.nonce, None, None, tuple(cancels)))

    def _resting(self, count: int) -> tuple[OrderSpec, ...]:
        """Make orders away from the other side's best price, most of them near it."""
        return tuple(self._order(self.random.choice(MARKET_IDS), -1) for _ in range(count))

    def _crossing(self, count: int) -> tuple[OrderSpec, ...]:
        """Make orders that reach over the other side's best price, half of them immediate."""
        return tuple(self._order(self.random.choice(MARKET_IDS), 1) for _ in range(count))

    def _order(self, asset: AssetId, reach: int) -> OrderSpec:
        market = self.exchange.engine.markets[asset]
        is_buy = self.random.random() < 0.5
        best = (market.asks if is_buy else market.bids).best_price() or market.mark
        distance = min(0.1, self.random.expovariate(200)) + 0.0002
        far = best * market.tick_e8 * (1 + distance * reach * (1 if is_buy else -1))
        price_e8 = round_to_grid(int(far), market.tick_e8)
        usd = self.random.randint(20, 2_000)
        lots = max(1, usd * USD * market.tick_e8 // price_e8)
        immediate = reach > 0 and self.random.random() < 0.5
        tif = Tif.IOC if immediate else Tif.GTC
        return OrderSpec(asset, is_buy, price_e8, lots * market.lot_e8, tif, False)

    def _oracle_move(self) -> MoveOracle:
        return MoveOracle(
            tuple(
                OraclePrice(
                    AssetId(asset), price * E8 * self.random.randint(9_950, 10_050) // 10_000
                )
                for asset, (_, _, _, price) in enumerate(MARKETS)
            )
        )


MARKET_IDS: Final = tuple(AssetId(asset) for asset in range(len(MARKETS)))


def block_time_ms(height: int) -> int:
    """Return the time of a block of the flow."""
    return START_MS + 100 * height
