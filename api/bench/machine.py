"""How many commands per second the exchange machine executes, and what it costs over a bare book.

What is timed is ``Exchange.apply`` alone, on the flow of ``api.bench.flow``: signer, nonce, all
rules, margin, matching, fees and events. Left out: signatures, decoding, the journal and everybody
who is told.

Seconds are those that the process had a core, so that neighbours on a shared machine count little.

The baseline puts the same adds, cancels and trades through the same book structure and does nothing
else, so the ratio is what the exchange costs over its kernel.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Final

from api.bench.flow import MARKETS, Block, Flow, block_time_ms
from api.bench.rows import Row, print_rows
from model.book import BookSide
from model.commands import CancelOrders, OrderSpec, PlaceOrders, Tif
from model.exchange import Exchange
from model.ids import Address, OrderId
from model.orders import Order

BATCH: Final = 40


Prepare = Callable[[Block], Callable[[list[Block]], None]]
"""Takes the opening block, outside the timing, and returns what is timed."""


def run(*, orders: int = 200_000, rounds: int = 5) -> list[Row]:
    """Time the machine and its bare kernel on the same flow, one order a command and in batches."""
    flow = Flow()
    singles = flow.opening(), flow.blocks(orders)
    flow = Flow(batch=BATCH)
    batches = flow.opening(), flow.blocks(orders)
    kernel = _measure(singles, rounds, _bare_kernel)
    return [
        _row("bare book", kernel, None),
        _row("machine, one order a command", _measure(singles, rounds, _machine), kernel),
        _row(f"machine, {BATCH} orders a command", _measure(batches, rounds, _machine), kernel),
    ]


def _row(name: str, rates: list[float], baseline: list[float] | None) -> Row:
    rate = statistics.median(rates)
    ratio = None if baseline is None else rate / statistics.median(baseline)
    note = f"{1e6 / rate:.2f} us each; best {max(rates):,.0f}, worst {min(rates):,.0f}"
    return Row(name, rate, "orders/s", ratio, note)


def _measure(flow: tuple[Block, list[Block]], rounds: int, prepare: Prepare) -> list[float]:
    """Return orders and cancels per second of each round."""
    opening, blocks = flow
    count = sum(_orders_in(block) for block in blocks)
    rates = []
    for _ in range(rounds):
        execute = prepare(opening)
        gc.collect()
        started = time.process_time()
        execute(blocks)
        rates.append(count / (time.process_time() - started))
    return rates


def _orders_in(block: Block) -> int:
    count = 0
    for command in block:
        if isinstance(command, PlaceOrders):
            count += len(command.orders)
        elif isinstance(command, CancelOrders):
            count += len(command.cancels)
    return count


def _machine(opening: Block) -> Callable[[list[Block]], None]:
    exchange = Exchange()
    exchange.begin_block(1, block_time_ms(1))
    for command in opening:
        exchange.apply(command)

    def execute(blocks: list[Block]) -> None:
        apply = exchange.apply
        for height, block in enumerate(blocks, start=2):
            exchange.begin_block(height, block_time_ms(height))
            for command in block:
                apply(command)

    return execute


class _Kernel:
    """The same books with nothing round them: no accounts, rules, nonces or events."""

    def __init__(self) -> None:
        self.sides: dict[tuple[int, bool], BookSide] = {}
        self.open: dict[OrderId, Order] = {}
        self.next_oid = 1

    def execute(self, blocks: list[Block]) -> None:
        for block in blocks:
            for command in block:
                if isinstance(command, PlaceOrders):
                    for spec in command.orders:
                        self.place(spec)
                elif isinstance(command, CancelOrders):
                    for cancel in command.cancels:
                        order = self.open.pop(cancel.target, None)  # type: ignore[arg-type]
                        if order is not None:
                            self.sides[order.asset, order.is_buy].remove(order)

    def place(self, spec: OrderSpec) -> None:
        asset, is_buy, price, lots = spec.asset, spec.is_buy, spec.price_e8, spec.size_e8
        oid = OrderId(self.next_oid)
        self.next_oid += 1
        opposite = self.sides[asset, not is_buy]
        limit_key = -price if is_buy else price
        while lots and opposite.keys and opposite.keys[-1] >= limit_key:
            maker = opposite.first()
            traded = min(lots, maker.remaining)
            lots -= traded
            maker.remaining -= traded
            if not maker.remaining:
                opposite.remove(maker)
                del self.open[maker.oid]
        if lots and spec.tif is Tif.GTC:
            order = Order(asset, _NOBODY, oid, is_buy, price, lots, lots, Tif.GTC, False, None, 0)
            self.open[oid] = order
            self.sides[asset, is_buy].add(order)


_NOBODY: Final = Address("")


def _bare_kernel(opening: Block) -> Callable[[list[Block]], None]:
    kernel = _Kernel()
    for asset in range(len(MARKETS)):
        kernel.sides[asset, True] = BookSide(1)
        kernel.sides[asset, False] = BookSide(-1)
    kernel.execute([opening])
    return kernel.execute


if __name__ == "__main__":
    print_rows(run())
