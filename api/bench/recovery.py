"""How long a start takes: a snapshot and a long journal after it.

The journal is that of a busy market (see ``flow``), sealed in blocks as a sequencer under load
would. Four parts are measured in the same run on the same files: reading and proving every block,
decoding them (the baseline), executing them again with all comparisons (the start itself), and
replaying with the history's writer. Files are in the page cache; reading them from a cold disk is
left out, and so is making the journal.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from actors.history import COMMANDS_PER_LONG_STEP, step
from actors.history_store import HistoryStore
from actors.journal import Journal, Sealed
from actors.journal_reader import JournalReader
from actors.recovery import recover
from actors.snapshots import Snapshot, Snapshots
from actors.storage import DataDirectory
from api.bench.flow import RESTING_AT_START, Block, Flow, block_time_ms
from api.bench.rows import Row, print_rows
from model.blocks import GENESIS_DIGEST, Entry, seal
from model.exchange import Exchange

COMMANDS_PER_BLOCK: Final = 40
"""As many as come together during one commit at some 20,000 commands a second."""

COMMANDS_PER_SLICE: Final = 20_000
"""Commands that are made and kept in memory at once."""

BLOCKS_PER_APPEND: Final = 500


def run(commands: int = 1_000_000, *, rounds: int = 3) -> list[Row]:
    """Make a journal of so many commands after a snapshot and measure what a start does with it.

    Args:
        commands: journalled commands above the snapshot.
        rounds: how often each part is measured; the figures are medians.
    """
    path = Path(tempfile.mkdtemp(prefix="zaraba-bench-"))
    try:
        made = _make(path, commands)
        size_mb = DataDirectory(path).journal.stat().st_size / 2**20
        prove = _median(lambda: _read(path), rounds)
        decode = _median(lambda: _decode(path), rounds)
        start = _median(lambda: _recover(path, made), rounds)
        opening = _median(lambda: Journal.open(path).close(), rounds)
        follow = _median(lambda: _follow(path), 1)
    finally:
        shutil.rmtree(path)
    what = f"{made:,} commands, {size_mb:,.0f} MB, {COMMANDS_PER_BLOCK} a block"
    return [
        Row("recovery: bare decode", decode, "s", None, f"baseline: every block decoded; {what}"),
        Row("recovery: read and prove", prove, "s", prove / decode, "digest chain, no decoding"),
        Row("recovery: open the journal", opening, "s", opening / decode, "lock, prove all, mend"),
        Row(
            "recovery: start from a snapshot",
            start,
            "s",
            start / decode,
            f"executed and compared; {made / start:,.0f} commands/s",
        ),
        Row(
            "recovery: rebuild the history",
            follow,
            "s",
            follow / decode,
            f"fills, orders, candles; one round; {made / follow:,.0f} commands/s",
        ),
    ]


def _median(measured: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        measured()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _make(path: Path, commands: int) -> int:
    """Trade into a data directory, with an early snapshot; count the commands after it."""
    exchange, made, waiting = Exchange(), 0, []
    with Journal.open(path) as journal:
        for block, body in _sealed(exchange, commands):
            waiting.append((block, body))
            if block.height == 1:
                state = Snapshot(1, block.digest, exchange.digest(), exchange.dump())
                Snapshots(DataDirectory(path).snapshots).save(state)
            else:
                made += len(block.entries)
            if len(waiting) == BLOCKS_PER_APPEND:
                journal.append(waiting)
                waiting.clear()
        journal.append(waiting)
    return made


def _sealed(exchange: Exchange, commands: int) -> Iterator[Sealed]:
    parent = GENESIS_DIGEST
    for height, batch in enumerate(_batches(commands), start=1):
        time_ms = block_time_ms(height)
        exchange.begin_block(height, time_ms)
        entries = [Entry(command, tuple(exchange.apply(command))) for command in batch]
        block, body = seal(height=height, time_ms=time_ms, parent=parent, entries=entries)
        parent = block.digest
        yield block, body


class _LastingFlow(Flow):
    """A flow whose books do not run dry in the long run, since more is taken than rests."""

    def refill(self) -> Block:
        """Return as many resting orders as are missing of those at the start."""
        missing = RESTING_AT_START - len(self.live.oids)
        return [self._place(self._resting(1)) for _ in range(missing)]


def _batches(commands: int) -> Iterator[Block]:
    flow = _LastingFlow()
    yield flow.opening()
    left = commands
    while left > 0:
        blocks = flow.blocks(min(left, COMMANDS_PER_SLICE))
        slice_of = [one for block in [*blocks, flow.refill()] for one in block]
        for start in range(0, len(slice_of), COMMANDS_PER_BLOCK):
            yield slice_of[start : start + COMMANDS_PER_BLOCK]
        left -= len(slice_of)


def _read(path: Path) -> None:
    with JournalReader(path) as reader:
        for _ in reader.rows(after=1):
            pass


def _decode(path: Path) -> None:
    with JournalReader(path) as reader:
        for _ in reader.blocks(after=1):
            pass


def _recover(path: Path, commands: int) -> None:
    recovered = recover(path)
    assert recovered.snapshot_height == 1
    assert recovered.commands == commands


def _follow(path: Path) -> None:
    directory = DataDirectory(path)
    store = HistoryStore.open(directory.history)
    while step(directory, store, COMMANDS_PER_LONG_STEP):
        pass
    store.close()


if __name__ == "__main__":
    print_rows(run())
