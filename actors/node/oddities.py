"""A synthetic node with everything that goes wrong with real ones, on demand.

An ``OddNode`` makes blocks, writes their files, and keeps the truth. Each ``Mishap`` spoils the
next block or how it is written. Those in ``LOSSES`` make something unknowable for a reader, who
must say so; all others must leave no trace in any book.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from attrs import define, field

from actors.node.synthetic import SyntheticChain
from actors.node.writer import NodeWriter, path_of
from model.node.decimals import decimal_text, time_text
from model.node.joiner import NodeBlock
from model.node.lines import Change, Form, Status, Stream
from model.node.snapshot import write_snapshot
from model.node.writing import WRITTEN_ORDER, write_block

LAG_NS: Final = 370_000_000
"""From a block's time to its writing, as observed."""
REWIND_BLOCKS: Final = 200
HOUR_NS: Final = 3_600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
SILENT_BLOCKS: Final = 40
"""How long statuses are held back: longer than a stream may be behind the others unnoticed."""
FUNDING_DELTAS: Final = 180_000
"""Makes a line of some 25 MB."""


class Mishap(StrEnum):
    """What can happen. Each value names the case as documents and options do."""

    REWIND = "rewind"
    REWIND_INCOMPLETE = "rewind-incomplete"
    TORN_BY_CRASH = "torn-by-crash"
    HOUR = "hour"
    DAY = "day"
    LATE_LINE = "late-line"
    SILENT_STREAM = "silent-stream"
    INODE = "inode"
    LONG_LINE = "long-line"
    EMPTY_BLOCK = "empty-block"
    UNKNOWN_KEY = "unknown-key"
    UNKNOWN_STATUS = "unknown-status"
    SIDE_IN_WORDS = "side-in-words"
    NEW_WITHOUT_STATUS = "new-without-status"
    STATUS_WITHOUT_NEW = "status-without-new"
    TRIGGERED_THEN_REJECTED = "triggered-then-rejected"
    REDUCE_ONLY = "reduce-only-smaller"
    SINGLE_LEG = "single-leg"
    GAP = "gap"
    FOURTH_VARIANT = "fourth-variant"
    CORRUPT = "corrupt"
    HOSTILE = "hostile"


LOSSES: Final = frozenset({Mishap.GAP, Mishap.FOURTH_VARIANT, Mishap.CORRUPT, Mishap.HOSTILE})

HOSTILE_LINES: Final = (
    b"",
    b"{",
    b"null",
    b"\xff\xfe\xfd",
    b'{"block_number":"x","events":[]}',
    b'{"local_time":"x","block_time":"y","block_number":7,"events":[]}',
    b'{"local_time":"","block_time":"2026-05-05T17:39:13","block_number":99999999999,"events":[]}',
    b"[" * 10_000,
)


@define(eq=False)
class OddNode:
    """The node described above.

    Args:
        chain: makes the blocks.
        root: where to write.
        form: in which form.
        random: decides what a mishap hits; not the chain's own source.
    """

    chain: SyntheticChain
    root: Path
    form: Form
    random: Random
    writer: NodeWriter = field(init=False)
    truths: dict[tuple[str, int], dict[str, Any]] = field(init=False, factory=dict)
    lost: list[int] = field(init=False, factory=list)
    _past: deque[NodeBlock] = field(init=False, factory=lambda: deque(maxlen=REWIND_BLOCKS))
    _late_ns: int = field(init=False, default=0)
    _late_line: tuple[int, bytes] | None = field(init=False, default=None)
    _silent_until: int = field(init=False, default=-1)
    _held: list[bytes] = field(init=False, factory=list)
    _spoilt: dict[int, Mishap] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.writer = NodeWriter(self.root, self.form)

    @property
    def now_ns(self) -> int:
        """Return the time of writing."""
        return self.chain.time_ns + LAG_NS + self._late_ns

    def snapshot(self) -> bytes:
        """Return a snapshot of now."""
        return b"".join(write_snapshot(self.chain.height, self.chain.snapshot()))

    def step(self, mishap: Mishap | None = None) -> NodeBlock:
        """Make a block and write it, with a mishap or without."""
        block = self.chain.next_block()
        for coin in {diff.coin for diff in block.diffs}:
            self.truths[coin, block.height] = self.chain.truth(coin)
        if mishap in LOSSES:
            self.lost.append(block.height)
        if self._held and block.height >= self._silent_until:
            self._end_silence()
        late, self._late_line = self._late_line, None
        self._write(block, mishap)
        if late is not None:
            written_ns, line = late
            self.writer.append(Stream.DIFFS, line, written_ns)
        self._past.append(block)
        self.writer.flush()
        return block

    def _write(self, block: NodeBlock, mishap: Mishap | None) -> None:
        match mishap:
            case Mishap.REWIND:
                self._write_lines(self._lines(block))
                self._again((*self._past, block))
            case Mishap.REWIND_INCOMPLETE:
                self._write_lines(self._part(self._lines(block)))
                self._again((*self._past, block))
            case Mishap.TORN_BY_CRASH:
                self._write_torn(block)
            case Mishap.INODE:
                self._replace_files()
                self._write_lines(self._lines(block))
            case Mishap.GAP:
                self._write_gap(block)
            case Mishap.CORRUPT:
                self._write_corrupt(block)
            case Mishap.HOSTILE:
                hostile = self.random.choice(HOSTILE_LINES) + b"\n"
                self._append(Stream.DIFFS, hostile)
                self._write_lines(self._lines(block))
            case Mishap.LATE_LINE:
                self._write_late(block)
            case Mishap.UNKNOWN_KEY | Mishap.SIDE_IN_WORDS | Mishap.FOURTH_VARIANT:
                self._spoilt[block.height] = mishap
                self._write_lines(self._lines(block))
            case _:
                self._prepare(block, mishap)
                self._write_lines(self._lines(block))

    def _prepare(self, block: NodeBlock, mishap: Mishap | None) -> None:
        """Make the node say something that is odd and true."""
        opened = [status for status in block.statuses if status.status == "open"]
        news = [diff for diff in block.diffs if diff.change is Change.NEW]
        match mishap:
            case Mishap.HOUR:
                self._late_ns += HOUR_NS
            case Mishap.DAY:
                self._late_ns += DAY_NS
            case Mishap.SILENT_STREAM if self._silent_until < block.height:
                self._silent_until = block.height + SILENT_BLOCKS
            case Mishap.LONG_LINE:
                self.chain.funding(block, FUNDING_DELTAS)
            case Mishap.EMPTY_BLOCK:
                pass  # the chain has them by itself
            case Mishap.UNKNOWN_STATUS if block.statuses:
                block.statuses[-1].status = "moonPhaseCanceled"
            case Mishap.NEW_WITHOUT_STATUS if news:
                gone = news[0].oid
                block.statuses[:] = [s for s in block.statuses if s.order.oid != gone]
            case Mishap.STATUS_WITHOUT_NEW if opened:
                block.statuses.append(_other_order(opened[0], "open"))
            case Mishap.TRIGGERED_THEN_REJECTED if opened:
                block.statuses.append(_other_order(opened[0], "triggered"))
                block.statuses.append(_other_order(opened[0], "minTradeNtlRejected"))
            case Mishap.REDUCE_ONLY if news:
                self._enlarge_status(block, news[0].oid)
            case Mishap.SINGLE_LEG if block.fills:
                del block.fills[-1]
            case _:
                pass

    def _enlarge_status(self, block: NodeBlock, oid: int) -> None:
        for index, status in enumerate(block.statuses):
            order = status.order
            if order.oid == oid and status.status == "open":
                larger = msgspec.structs.replace(order, sz=order.sz.replace(".", "9.", 1))
                larger.reduce_only = True
                block.statuses[index] = msgspec.structs.replace(status, order=larger)

    # -- how it is written

    def _lines(self, block: NodeBlock) -> list[tuple[Stream, bytes]]:
        """Return a block's lines: the same each time but for the time of writing."""
        lines = list(write_block(block, self.form, time_text(self.now_ns)))
        mishap = self._spoilt.get(block.height)
        if mishap is None:
            return lines
        return [(stream, self._spoil(mishap, stream, line)) for stream, line in lines]

    def _write_lines(self, lines: Any) -> None:
        for stream, line in lines:
            self._append(stream, line)

    def _append(self, stream: Stream, data: bytes) -> None:
        """Write bytes, or hold them back while their stream is silent."""
        if stream is Stream.STATUSES and self._silent_until > self.chain.height:
            self._held.append(data)
        else:
            self.writer.append(stream, data, self.now_ns)

    def _end_silence(self) -> None:
        """What was held back is written, all at once."""
        for data in self._held:
            self.writer.append(Stream.STATUSES, data, self.now_ns)
        self._held.clear()

    def _write_late(self, block: NodeBlock) -> None:
        """The hour ends, and the block's last diffs come after the next block began a new file."""
        lines = self._lines(block)
        diffs = [index for index, (stream, _) in enumerate(lines) if stream is Stream.DIFFS]
        if diffs:
            self._late_line = self.now_ns, lines.pop(diffs[-1])[1]
        self._write_lines(lines)
        self._late_ns += HOUR_NS

    def _part(self, lines: list[tuple[Stream, bytes]]) -> list[tuple[Stream, bytes]]:
        """Return what was written when the node fell: of each stream some lines from the first."""
        kept = {}
        for stream in WRITTEN_ORDER:
            count = sum(1 for other, _ in lines if other is stream)
            kept[stream] = self.random.randint(0, count)
        part = []
        for stream, line in lines:
            if kept[stream] > 0:
                kept[stream] -= 1
                part.append((stream, line))
        return part

    def _again(self, blocks: Any) -> None:
        """Write blocks again, as a node does that was restarted: later, and otherwise the same."""
        self._late_ns += 10**9
        for block in blocks:
            self._write_lines(self._lines(block))

    def _write_torn(self, block: NodeBlock) -> None:
        """The node falls in the middle of a line, and goes on from some blocks before."""
        lines = self._lines(block)
        if lines:
            place = self.random.randrange(len(lines))
            self._write_lines(lines[:place])
            stream, line = lines[place]
            cut = self.random.randrange(len(line))
            self._append(stream, line[:cut] + b"\n" if cut else b"")
        self._again((*self._past, block))

    def _write_gap(self, block: NodeBlock) -> None:
        """Some of the diffs are never written; streaming, one of them, by block, all."""
        lines = self._lines(block)
        diffs = [index for index, (stream, _) in enumerate(lines) if stream is Stream.DIFFS]
        gone = self.random.choice(diffs) if diffs else -1
        self._write_lines(line for index, line in enumerate(lines) if index != gone)

    def _write_corrupt(self, block: NodeBlock) -> None:
        """A byte of a diff line is another one."""
        lines = self._lines(block)
        diffs = [index for index, (stream, _) in enumerate(lines) if stream is Stream.DIFFS]
        if diffs:
            index = self.random.choice(diffs)
            line = bytearray(lines[index][1])
            line[self.random.randrange(len(line) - 1)] = 0
            lines[index] = (Stream.DIFFS, bytes(line))
        self._write_lines(lines)

    def _spoil(self, mishap: Mishap, stream: Stream, line: bytes) -> bytes:
        if mishap is Mishap.UNKNOWN_KEY:
            return line.replace(b'"block_time"', b'"weather":{"rain":[1]},"block_time"', 1)
        if stream is not Stream.DIFFS:
            return line
        if mishap is Mishap.SIDE_IN_WORDS:
            return line.replace(b'"side":"A"', b'"side":"Ask"').replace(
                b'"side":"B"', b'"side":"Bid"'
            )
        return line.replace(b'"remove"', b'{"evaporate":{}}', 1)

    def _replace_files(self) -> None:
        """The file of the hour is put aside and begun anew."""
        self.writer.close()
        for stream in WRITTEN_ORDER:
            path = path_of(self.root, stream, self.form, self.now_ns)
            if path.exists():
                path.rename(path.with_name(f"{path.name}.aside{self.chain.height}"))


def _other_order(status: Status, name: str) -> Status:
    """Return a status of an order that nobody else speaks of."""
    order = msgspec.structs.replace(status.order, oid=status.order.oid + 10**12)
    order.sz = decimal_text(0) if name != "open" else order.sz
    return msgspec.structs.replace(status, status=name, order=order)
