"""A node's lines to books and frames: what an operator's gateway does all day.

The lines are made in memory with the published profile of the main network, so that neither a disk
nor the making of them is in the figures.
"""

from __future__ import annotations

import resource
import time
from statistics import quantiles
from typing import Final

import trio

from actors.channels import ChannelsByKey
from actors.frames import Frame
from actors.node.feeds import BOOK, FeedDesk
from actors.node.offline import LINES_PER_PIECE
from actors.node.synthetic import Profile, SyntheticChain
from actors.outlet import Close, FanoutCounts, Outlet
from actors.subscription import Policy, Subscription
from api.bench.rows import Row
from model.node.coins import Coins
from model.node.decimals import time_text
from model.node.ingest import Ingest
from model.node.lines import Form, Stream
from model.node.snapshot import read_snapshot, write_snapshot
from model.node.writing import write_block

CHANGES: Final = 1_000
REJECTIONS: Final = 500
"""A block of June 2026: 15,600 diffs and 23,500 statuses a second at 15 blocks a second."""
BLOCK_SECONDS: Final = 1 / 15
FOLLOWED: Final = 10
"""Coins that somebody follows."""


_Lines = list[list[tuple[Stream, list[bytes]]]]


class SinkOutlet(Outlet):
    """Takes every frame and forgets it; ``frames`` and ``bytes`` count them."""

    def __init__(self) -> None:
        super().__init__(FanoutCounts())
        self.frames = 0
        self.bytes = 0
        self.open()

    def abort(self) -> None:
        """End it."""
        self.mark_closed()

    def _idle(self) -> bool:
        return True

    def _has_unfinished(self) -> bool:
        return False

    def _take(self, frame: Frame) -> bool:
        self.frames += 1
        self.bytes += frame.size
        return True

    async def _settle(self) -> None:
        await trio.lowlevel.checkpoint()

    async def _say_goodbye(self, close: Close) -> None:
        await trio.lowlevel.checkpoint()


def run(
    *, blocks: int = 150, orders: int = 440_000, populations: tuple[int, ...] = (10, 100, 600)
) -> list[Row]:
    """Measure; see the rows."""
    rows: list[Row] = []
    for form in Form:
        rows += _follow(form, blocks)
    rows += _grow(blocks // 2, populations)
    rows += _start(orders)
    return rows


def _make(form: Form, profile: Profile, blocks: int) -> tuple[bytes, int, _Lines]:
    """Return a snapshot, and the lines of the blocks after it, by block and stream."""
    chain = SyntheticChain(1, profile)
    height = chain.height
    snapshot = b"".join(write_snapshot(height, chain.snapshot()))
    made: _Lines = []
    for _ in range(blocks):
        block = chain.next_block()
        by_stream: dict[Stream, list[bytes]] = {}
        for stream, line in write_block(block, form, time_text(chain.time_ns)):
            by_stream.setdefault(stream, []).append(line[:-1])
        made.append(list(by_stream.items()))
    return snapshot, height, made


def _ingest(form: Form, snapshot: bytes, height: int) -> tuple[Ingest, FeedDesk, SinkOutlet]:
    coins = Coins()
    coins.start(read_snapshot(snapshot), height)
    ingest = Ingest(form, Stream, coins)
    ingest.wants_all_statuses = False
    desk = FeedDesk("bench", coins, ChannelsByKey(), lambda: 0)
    outlet = SinkOutlet()
    for coin in list(coins.by_name)[:FOLLOWED]:
        subscription = Subscription(
            coin, outlet, Policy.LOSSLESS, wake=lambda _: True, on_end=lambda *_: None
        )
        desk.subscribe(BOOK, coin, subscription, None)
    return ingest, desk, outlet


def _apply(ingest: Ingest, block: list[tuple[Stream, list[bytes]]], desk: FeedDesk | None) -> None:
    for stream, lines in block:
        for start in range(0, len(lines), LINES_PER_PIECE):
            ingest.lines(stream, lines[start : start + LINES_PER_PIECE])
            for applied in ingest.blocks(0):
                if desk is not None:
                    desk.publish(applied, 0.0)


def _follow(form: Form, blocks: int) -> list[Row]:
    """Lines of a very busy day to books, and to the frames of ten coins that somebody follows."""
    profile = Profile(coins=300, orders=20_000, changes=CHANGES, rejections=REJECTIONS)
    snapshot, height, made = _make(form, profile, blocks)
    lines = sum(len(lines) for block in made for _, lines in block)
    ingest, _, _ = _ingest(form, snapshot, height)
    started = time.perf_counter()
    for block in made:
        _apply(ingest, block, None)
    to_books = time.perf_counter() - started
    assert not ingest.coins.in_doubt()
    events = ingest.counts.events + ingest.counts.skimmed

    ingest, desk, outlet = _ingest(form, snapshot, height)
    times = []
    for block in made:
        started = time.perf_counter()
        _apply(ingest, block, desk)
        times.append(time.perf_counter() - started)
    to_frames = sum(times)
    cuts = quantiles(times, n=100)
    share = to_frames / (blocks * BLOCK_SECONDS)
    note = f"{lines / blocks:,.0f} lines a block"
    return [
        Row(f"{form}: events to books", events / to_books, "/s", None, note),
        Row(
            f"{form}: events to frames of {FOLLOWED} coins",
            events / to_frames,
            "/s",
            to_books / to_frames,
            f"{outlet.frames:,} frames; ratio to the row above",
        ),
        Row(f"{form}: a block to its frames, p50", cuts[49] * 1_000, "ms"),
        Row(f"{form}: the same, p99", cuts[98] * 1_000, "ms"),
        Row(f"{form}: share of one core at the rate of June 2026", share * 100, "%"),
    ]


def _grow(blocks: int, populations: tuple[int, ...]) -> list[Row]:
    """The same traffic in more and more coins: a block must cost what it changes."""
    rows: list[Row] = []
    for coins in populations:
        profile = Profile(coins=coins, orders=20_000, changes=200, rejections=0)
        snapshot, height, made = _make(Form.BLOCK, profile, blocks)
        ingest, desk, _ = _ingest(Form.BLOCK, snapshot, height)
        started = time.perf_counter()
        for block in made:
            _apply(ingest, block, desk)
        cost = (time.perf_counter() - started) / blocks * 1_000
        ratio = cost / rows[0].figure if rows else None
        rows.append(Row(f"a block of 200 changes in {coins} coins", cost, "ms", ratio))
    return rows


def _start(orders: int) -> list[Row]:
    """Begin from a snapshot of every order of the main network."""
    chain = SyntheticChain(1, Profile(coins=600, orders=orders))
    data = b"".join(write_snapshot(chain.height, chain.snapshot()))
    height = chain.height
    del chain
    started = time.perf_counter()
    coins = Coins()
    coins.start(read_snapshot(data), height)
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    note = f"{orders:,} orders in 600 coins, {len(data) / 1e6:,.0f} MB of JSON"
    return [
        Row("start from a snapshot", took, "s", None, note),
        Row(
            "the largest the process ever was", peak / 1e6, "MB", None, "making the orders included"
        ),
    ]
