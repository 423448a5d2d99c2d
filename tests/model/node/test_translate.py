"""What an exchange writes as a node does is read back to its own books."""

from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.node.offline import read_to_the_end
from actors.node.writer import NodeWriter
from model.blocks import GENESIS_DIGEST, Block, Entry
from model.commands import Tick
from model.exchange import Exchange
from model.ids import AssetId
from model.node.checks import Checker
from model.node.coins import Coins
from model.node.ingest import Ingest
from model.node.lines import Form, Stream
from model.node.snapshot import CoinOrders, Snapshot
from model.node.translate import Translator
from model.universe import Universe
from tests.properties.busy_markets import BusyMarkets

COMMANDS_MAX = 400
ASSETS = (AssetId(0), AssetId(1))

Books: TypeAlias = dict[str, list[tuple[int, str, bool, int, int]]]
"""Coin to its resting orders, best first: number, owner, side, price and size in 1e-8."""


def books_of(exchange: Exchange) -> Books:
    """Return the books of an exchange."""
    books: Books = {}
    for asset in ASSETS:
        state = exchange.market_state(asset)
        tick, lot = state.instrument.tick_e8, state.instrument.lot_e8
        books[state.instrument.name] = [
            (order.oid, order.account, order.is_buy, order.price * tick, order.remaining * lot)
            for order in (*state.bids, *state.asks)
        ]
    return books


def books_read(coins: Coins) -> Books:
    """Return the books that were built from files."""
    return {
        name: [(o.oid, o.user, o.is_bid, o.price, o.size) for o in coin.book]
        for name, coin in coins.by_name.items()
    }


def blocks_of(markets: BusyMarkets, commands: int) -> list[tuple[Block, Books]]:
    """Run commands; return them as blocks, one for each height, with the books after each."""
    blocks: list[tuple[Block, Books]] = []
    entries: list[Entry] = []
    exchange = markets.exchange
    for _ in range(commands):
        events = markets.step()
        height = exchange.height
        if blocks and blocks[-1][0].height == height:
            blocks.pop()
        else:
            entries = []
        entries.append(Entry(Tick(), tuple(events)))
        block = Block(height, exchange.time_ms, GENESIS_DIGEST, tuple(entries), GENESIS_DIGEST)
        blocks.append((block, books_of(exchange)))
    return blocks


@pytest.mark.parametrize("form", Form)
@given(seed=st.integers(0, 2**32), commands=st.integers(1, COMMANDS_MAX))
@settings(max_examples=15)
def test_followed_writing_is_the_exchange(
    tmp_path_factory: pytest.TempPathFactory, form: Form, seed: int, commands: int
) -> None:
    """Arbitrary order flow, written as a node's files and followed, is the exchange's books.

    After each block, order by order; nothing is odd, and nobody misses a status or a fill.
    """
    root = tmp_path_factory.mktemp("node")
    markets = BusyMarkets(seed)
    instruments = [markets.exchange.market_state(asset).instrument for asset in ASSETS]
    blocks = blocks_of(markets, commands)
    height = blocks[0][0].height - 1
    write(root, form, Translator(Universe(instruments)), [block for block, _ in blocks])
    coins = Coins()
    coins.start(
        Snapshot(height, {name: CoinOrders([], []) for name in books_of(markets.exchange)}), height
    )
    ingest = Ingest(form, Stream, coins)
    checkers = [Checker(instrument.name, has_statuses=True) for instrument in instruments]
    truths = {block.height: books for block, books in blocks}

    for applied in read_to_the_end(root, form, ingest):
        assert books_read(coins) == truths[applied.block.height]
        faults = [fault for checker in checkers for fault in checker.look(applied.block)]
        assert [fault for fault in faults if "is missing" in fault.what] == []
    assert coins.in_doubt() == []
    assert ingest.counts.odd.total() == 0
    assert books_read(coins) == blocks[-1][1]


def write(root: Path, form: Form, translator: Translator, blocks: list[Block]) -> None:
    """Write blocks as a node would."""
    writer = NodeWriter(root, form)
    for block in blocks:
        writer.write(translator.translate(block), block.time_ms * 10**6)
    writer.close()
