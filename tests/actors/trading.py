"""A small exchange that trades, from a seed: it places, crosses, cancels and refuses."""

import random
from collections.abc import Iterator

from actors.journal import Sealed
from model.blocks import GENESIS_DIGEST, Entry, seal
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
from model.events import CommandRefused
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument
from model.units import E8, USD

START_MS = 1_700_000_000_000
BTC = Instrument(AssetId(0), "BTC", 5, 40, 50_000 * E8)
TRADERS = [Address(f"0x{number:040x}") for number in range(1, 9)]


def genesis() -> list[Command]:
    opening: list[Command] = [OpenExchange(450, 150), ListMarket(BTC)]
    return opening + [Credit(trader, 10**6 * USD, CreditSource.FUND) for trader in TRADERS]


def command(rng: random.Random, nonce: int, late_ms: int) -> Command:
    nonce_ms = START_MS + nonce + late_ms
    trader = rng.choice(TRADERS)
    kind = rng.random()
    if kind < 0.05:
        return MoveOracle((OraclePrice(AssetId(0), rng.randint(49_500, 50_500) * E8),))
    if kind < 0.35:
        target = OrderId(rng.randint(1, nonce))
        return CancelOrders(trader, nonce_ms, None, None, (CancelSpec(AssetId(0), target),))
    spec = OrderSpec(
        asset=AssetId(0),
        is_buy=rng.random() < 0.5,
        price_e8=rng.randint(49_900, 50_100) * E8,
        size_e8=rng.randint(1, 50) * E8 // 1000,
        tif=rng.choice([Tif.GTC, Tif.GTC, Tif.IOC, Tif.ALO]),
        reduce_only=rng.random() < 0.1,
        cloid=Cloid(f"0x{nonce:032x}") if rng.random() < 0.3 else None,
    )
    return PlaceOrders(trader, nonce_ms, None, None, (spec,))


def run(
    exchange: Exchange, blocks: int, *, seed: int, per_block: int = 5, block_ms: int = 1
) -> Iterator[Sealed]:
    """Trade on an exchange; yield its blocks as a sequencer would seal them."""
    rng, parent, nonce = random.Random(seed), GENESIS_DIGEST, 0
    for height in range(1, blocks + 1):
        time_ms = START_MS + height * block_ms
        exchange.begin_block(height, time_ms)
        if height == 1:
            commands = genesis()
        else:
            late_ms = height * (block_ms - 1)
            commands = [command(rng, nonce + i + 1, late_ms) for i in range(per_block)]
            nonce += per_block
        entries = []
        for one in commands:
            events = tuple(exchange.apply(one))
            if not (isinstance(events[0], CommandRefused) and not events[0].nonce_used):
                entries.append(Entry(one, events))
        block, body = seal(height=height, time_ms=time_ms, parent=parent, entries=entries)
        parent = block.digest
        yield block, body
