"""From the lines of a node's files to books: the whole way, without a file or a clock.

Lines go in stream by stream, in the order in which they stand in their files; blocks come out, each
with what it did to the books. Everything odd on the way is counted, and the first of each kind is
told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct, field

from model.node.coins import BlockChanges, Coins, Fault
from model.node.joiner import Joiner, NodeBlock
from model.node.lines import (
    Form,
    Line,
    Problem,
    Stream,
    height_of,
    mark_of,
    parse_line,
    parse_run,
)
from model.node.sequence import JUMP_MAX, Loss
from model.node.sequence import Sequence as LineSequence
from model.node.skim import events_that_rest, lines_that_rest

FAULTS_KEPT: Final = 1_000
"""Faults that wait to be told; further ones are only counted."""


class Applied(Struct):
    """A block and what it did to the books."""

    block: NodeBlock
    changes: BlockChanges


class Counts(Struct):
    """What went through. ``odd`` counts by stream and kind what was skipped or doubted."""

    lines: int = 0
    bytes: int = 0
    events: int = 0
    skimmed: int = 0
    blocks: int = 0
    odd: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Turns lines into blocks and books.

    Args:
        form: how the node groups events.
        streams: those that are there; diffs among them.
        coins: started with a snapshot, whose height the lines must go beyond.

    Most statuses are of orders that do not rest. Unless somebody ``wants_all_statuses``, those are
    counted as skimmed and not read; see ``model.node.skim``.
    """

    def __init__(self, form: Form, streams: Iterable[Stream], coins: Coins) -> None:
        self.coins = coins
        self.counts = Counts()
        self.faults: list[Fault] = []
        self._wants_all_statuses = True
        self._form = form
        known = frozenset(streams)
        height = coins.height if coins.height >= 0 else None
        self.sequences = {stream: LineSequence(stream, form, height) for stream in known}
        self.joiner = Joiner(form, known, coins.height)

    @property
    def wants_all_statuses(self) -> bool:
        """Whether somebody wants to know of orders that do not rest, or no longer."""
        return self._wants_all_statuses

    @wants_all_statuses.setter
    def wants_all_statuses(self, wanted: bool) -> None:
        if wanted == self._wants_all_statuses:
            return
        self._wants_all_statuses = wanted
        if self._form is Form.STREAMING and Stream.STATUSES in self.sequences:
            self.sequences[Stream.STATUSES].forget()

    def lines(self, stream: Stream, lines: Sequence[bytes]) -> None:
        """Take lines that follow each other in a file."""
        counts = self.counts
        counts.bytes += sum(map(len, lines))
        if self._form is Form.BLOCK:
            skims = stream is Stream.STATUSES and not self._wants_all_statuses
            for data in lines:
                self.take(self._skimmed(data) if skims else parse_line(stream, data))
            return
        if stream is Stream.STATUSES and lines and not self._wants_all_statuses:
            lines = self._that_rest(stream, lines)
        for run in parse_run(stream, lines) if lines else ():
            self.take(run)

    def late_line(self, stream: Stream, data: bytes) -> None:
        """Take a line that was added to a file after the next one was begun."""
        self.counts.bytes += len(data)
        self.take(parse_line(stream, data), is_late=True)

    def _skimmed(self, data: bytes) -> Line | Problem:
        """Read the statuses of a block as far as they concern its books; all if any is odd."""
        shorter, left_out = events_that_rest(data)
        if not left_out:
            return parse_line(Stream.STATUSES, data)
        line = parse_line(Stream.STATUSES, shorter)
        if isinstance(line, Problem) or line.problems:
            return parse_line(Stream.STATUSES, data)
        line.marks = [mark_of(data)]
        self.counts.skimmed += left_out
        return line

    def _that_rest(self, stream: Stream, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Leave out what changes no book, and what nobody follows."""
        wanted = lines_that_rest(lines)
        self.counts.lines += len(lines) - len(wanted)
        self.counts.skimmed += len(lines) - len(wanted)
        height = height_of(lines[-1])
        newest = self.sequences[stream].height
        if height is not None and newest is not None and height <= newest + JUMP_MAX:
            self.joiner.pass_over(stream, height)
        return wanted

    def take(self, line: Line | Problem, *, is_late: bool = False) -> None:
        """Take a line that was read already."""
        self.counts.lines += 1 if isinstance(line, Problem) else len(line.marks)
        sequence = self.sequences[line.stream]
        if isinstance(line, Problem):
            self._note(line)
            self._lose(sequence.take_problem(line))
        elif is_late:
            self.counts.odd[f"{line.stream}: late line"] += 1
            self._lose(sequence.take_late(line))
        else:
            news, losses = sequence.take(line)
            self._lose(losses)
            if news is not None:
                self.counts.events += len(news.events)
                if news.problems:
                    self.counts.odd.update(f"{p.stream}: {p.what}" for p in news.problems)
                self.joiner.add(news)

    def trouble(self, stream: Stream, what: str) -> None:
        """Take note of bytes that are no line."""
        self.take(Problem(stream, what))

    def blocks(self, now_ms: int) -> Iterator[Applied]:
        """Apply and yield the blocks that are complete."""
        yield from map(self._apply, self.joiner.closed(now_ms))

    def finish(self) -> Iterator[Applied]:
        """Apply and yield what is left, at the end of files that nobody adds to."""
        for sequence in self.sequences.values():
            self._lose(sequence.end())
        yield from map(self._apply, self.joiner.flush())
        for fault in self.coins.lose(self.joiner.take_losses()).faults:
            self._fault(fault)

    def take_faults(self) -> list[Fault]:
        """Return the faults that nobody was told of yet."""
        faults, self.faults = self.faults, []
        return faults

    def _apply(self, block: NodeBlock) -> Applied:
        self.counts.blocks += 1
        changes = self.coins.apply(block)
        for fault in changes.faults:
            self._fault(fault)
        return Applied(block, changes)

    def _lose(self, losses: list[Loss]) -> None:
        if losses:
            self.joiner.lose(losses)

    def _note(self, problem: Problem) -> None:
        self._fault(Fault(problem.height, problem.coin, f"{problem.stream}: {problem.what}"))

    def _fault(self, fault: Fault) -> None:
        self.counts.odd[fault.kind] += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(fault)
