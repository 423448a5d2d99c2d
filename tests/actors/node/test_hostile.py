"""Bytes of any kind on the whole way from a line to a frame: nothing raises, memory is bounded."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels import Channel, ChannelsByKey
from actors.node.feeds import ALL, BOOK, DIFFS, FILLS, L4, FeedDesk
from actors.node.oddities import OddNode
from actors.node.offline import feed
from actors.node.synthetic import Profile, SyntheticChain
from actors.node.tail import Item, LateLine, Trouble
from actors.subscription import Policy, Subscription
from api.bench.ingest import SinkOutlet
from model.node.coins import COINS_MAX, Coins
from model.node.ingest import FAULTS_KEPT, Ingest
from model.node.lines import Form, Stream
from model.node.snapshot import read_snapshot
from model.node.views import TradePairs
from model.node.writing import write_block

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1.5, "", "x" * 300, "-0.0", "1e9", "\u0000", "NaN", [], [[]], {},
    {"new": {}}, {"update": {"origSz": "1.0"}}, "remove", "9" * 60, "0x", "BTC", "2026-99-99T",
)  # fmt: skip


def whole_way(
    form: Form, lines: list[tuple[Stream, bytes]], *, wants_all_statuses: bool = True
) -> Ingest:
    """Take lines through everything that a gateway does with them."""
    chain = SyntheticChain(1, Profile(coins=3, orders=30))
    coins = Coins()
    coins.start(read_snapshot(OddNode(chain, Path(), form, Random(1)).snapshot()), chain.height)
    ingest = Ingest(form, Stream, coins)
    ingest.wants_all_statuses = wants_all_statuses
    desk = FeedDesk("f", coins, ChannelsByKey(), lambda: 0)
    pairs, outlet = TradePairs(), SinkOutlet()
    follows: tuple[tuple[Channel, str], ...] = (
        (BOOK, "BTC"),
        (L4, "BTC"),
        (DIFFS, ALL),
        (FILLS, ALL),
    )
    for channel, coin in follows:
        subscription = Subscription(
            coin, outlet, Policy.LOSSLESS, wake=lambda _: True, on_end=lambda *_: None
        )
        desk.subscribe(channel, coin, subscription, None)
    for stream, data in lines:
        items: list[Item] = [data]
        for blocks in feed(ingest, stream, items, 0):
            for applied in blocks:
                desk.publish(applied, 0.0)
                pairs.take(applied.block)
    for applied in ingest.finish():
        desk.publish(applied, 0.0)
    return ingest


def real_lines(form: Form) -> list[tuple[Stream, bytes]]:
    """Return the lines of a few blocks."""
    chain = SyntheticChain(1, Profile(coins=3, orders=30, changes=20, rejections=3))
    return [
        (stream, line[:-1])
        for _ in range(4)
        for stream, line in write_block(chain.next_block(), form, "2026-05-05T17:39:13.0")
    ]


@pytest.mark.parametrize("form", Form)
@given(data=st.data())
def test_changed_bytes(form: Form, data: st.DataObject) -> None:
    """Bytes that fell over on the way are counted, and the process goes on."""
    lines = [(stream, bytearray(line)) for stream, line in real_lines(form)]
    for _ in range(data.draw(st.integers(1, 8))):
        line = lines[data.draw(st.integers(0, len(lines) - 1))][1]
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))

    spoilt = [(stream, bytes(line)) for stream, line in lines]
    whole_way(form, spoilt, wants_all_statuses=data.draw(st.booleans()))


@pytest.mark.parametrize("form", Form)
@given(data=st.data())
def test_junk_in_place_of_values(form: Form, data: st.DataObject) -> None:
    """Values of other types and absurd sizes, anywhere in a line, harm nobody."""
    lines = real_lines(form)
    for _ in range(data.draw(st.integers(1, 6))):
        index = data.draw(st.integers(0, len(lines) - 1))
        stream, line = lines[index]
        tree = json.loads(line)
        spoil(tree, data)
        lines[index] = (stream, json.dumps(tree, separators=(",", ":")).encode())

    whole_way(form, lines, wants_all_statuses=data.draw(st.booleans()))


def spoil(tree: Any, data: st.DataObject) -> None:
    """Put junk somewhere into a tree of values."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        below = tree[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
            tree[key] = data.draw(st.sampled_from(JUNK))
            return
        tree = below


def test_flood_of_coins_and_faults() -> None:
    """However many coins and faults lines invent, only so many are kept."""
    events = [
        {
            "user": "0x1",
            "oid": 1,
            "coin": f"X{n}",
            "side": "B",
            "px": "1.0",
            "raw_book_diff": "remove",
        }
        for n in range(COINS_MAX + 500)
    ]
    head = {"local_time": "", "block_time": "2026-05-05T17:39:13", "block_number": 985148182}
    line = json.dumps({**head, "events": events}, separators=(",", ":")).encode()

    ingest = whole_way(Form.BLOCK, [(Stream.DIFFS, line)])

    assert len(ingest.coins.by_name) == COINS_MAX
    assert ingest.coins.ignored > 0
    assert len(ingest.faults) == FAULTS_KEPT


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("wants_all_statuses", [True, False])
def test_trouble_before_any_line(form: Form, wants_all_statuses: bool) -> None:
    """Bytes that are no line may be all that was read, in each stream, followed or not."""
    ingest = whole_way(form, [], wants_all_statuses=wants_all_statuses)

    for stream in Stream:
        for blocks in feed(ingest, stream, [Trouble("a file was cut"), LateLine(b"{")], 0):
            assert list(blocks) == []
    assert ingest.counts.odd.total() >= 2 * len(Stream)
