"""What an exchange writes as a node does is read back to its own books."""

from pathlib import Path

import pytest

from actors.node.offline import read_to_the_end, streams_of
from actors.node.writer import NodeWriter
from model.blocks import GENESIS_DIGEST, Block, Entry
from model.commands import Tick
from model.ids import AssetId
from model.node.checks import Checker
from model.node.coins import Coins
from model.node.ingest import Ingest
from model.node.lines import Form
from model.node.snapshot import Snapshot
from model.node.translate import Translator
from model.universe import Universe
from tests.properties.busy_markets import BusyMarkets

COMMANDS = 600


def blocks_of(markets: BusyMarkets, commands: int) -> list[Block]:
    """Run commands and return them as blocks, one for each height."""
    by_height: dict[int, list[Entry]] = {}
    times: dict[int, int] = {}
    for _ in range(commands):
        events = markets.step()
        height = markets.exchange.height
        by_height.setdefault(height, []).append(Entry(Tick(), tuple(events)))
        times[height] = markets.exchange.time_ms
    return [
        Block(height, times[height], GENESIS_DIGEST, tuple(entries), GENESIS_DIGEST)
        for height, entries in by_height.items()
    ]


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("seed", range(3))
def test_followed_writing_is_the_exchange(tmp_path: Path, form: Form, seed: int) -> None:
    """Arbitrary order flow, written as a node's files and followed, gives the exchange's books."""
    markets = BusyMarkets(seed)
    exchange = markets.exchange
    states = [exchange.market_state(AssetId(asset)) for asset in (0, 1)]
    translator = Translator(Universe(state.instrument for state in states))
    writer = NodeWriter(tmp_path, form)
    height = exchange.height - 1
    for block in blocks_of(markets, COMMANDS):
        writer.write(translator.translate(block), block.time_ms * 10**6)
    writer.close()
    coins = Coins()
    coins.start(Snapshot(height, {}), height)
    ingest = Ingest(form, streams_of(tmp_path, form), coins)
    checkers = [Checker(state.instrument.name, has_statuses=True) for state in states]
    odd = [
        fault
        for applied in read_to_the_end(tmp_path, form, ingest)
        for checker in checkers
        for fault in checker.look(applied.block)
        if "is missing" in fault.what
    ]

    assert coins.in_doubt() == []
    assert ingest.counts.odd.total() == 0
    assert odd == []
    for asset in (0, 1):
        state = exchange.market_state(AssetId(asset))
        tick, lot = state.instrument.tick_e8, state.instrument.lot_e8
        book = coins.by_name[state.instrument.name].book
        assert [(o.oid, o.user, o.is_bid, o.price, o.size) for o in book] == [
            (o.oid, o.account, o.is_buy, o.price * tick, o.remaining * lot)
            for o in (*state.bids, *state.asks)
        ]
