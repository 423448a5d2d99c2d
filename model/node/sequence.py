"""The order of one stream's lines: what is news, what was written again, what is missing.

By block, every height has exactly one line, so a height that is left out is a loss. Streaming, a
block without events has no line: only a silence that is far too long for the stream betrays a loss
here, all others show in the books.

A node that restarts goes on from its last saved state and writes blocks again that it wrote before,
with the same content: those are skipped, after a comparison by checksum. Only the block it was at
when it fell may have been written in part (streaming); what it lacked is taken in then.
"""

from __future__ import annotations

from collections import deque
from typing import Final
from zlib import crc32

from msgspec import Struct

from model.node.lines import Form, Line, Problem, Stream

HEIGHTS_KEPT: Final = 8_192
"""Blocks whose checksums are kept, some ten minutes. A node that falls back further is skipped
without a comparison.
"""

JUMP_MAX: Final = 1_000
"""Blocks, some minute, that one line alone may leap over: a height that is nonsense must not make
all that follow look old. Two lines in a row are believed.
"""

DENSITY_BLOCKS: Final = 256
"""Over how many blocks it is judged how often a stream has something to tell."""

DENSITY_BLOCKS_MIN: Final = 64
SILENCES: Final = ((15, 16, 8), (7, 8, 10), (3, 4, 15), (1, 2, 30), (1, 4, 73))
"""How many blocks in a row a stream may leave out (last) that tells something in at least so many
out of so many: one more is less likely than one in a thousand million.
"""

LINES_KEPT_MAX: Final = 100_000
"""Lines of one block that are kept to compare them if the node writes the block again (streaming).
The fullest blocks seen had some 30,000 events in all streams together.
"""

SILENCE_AT_START: Final = 30
"""Blocks that may be without lines after the height to begin with, if the files begin after it."""


class Loss(Struct, frozen=True):
    """Something of a stream is missing or doubtful in the blocks ``first`` to ``last``.

    An empty ``coin`` means that any coin may be concerned.
    """

    stream: Stream
    first: int
    last: int
    what: str
    coin: str = ""

    def is_followed_by(self, other: Loss) -> bool:
        """Tell whether another is more of the same."""
        is_same = (self.stream, self.what, self.coin) == (other.stream, other.what, other.coin)
        return is_same and self.first <= other.first <= self.last + 1

    def with_all_of(self, other: Loss) -> Loss:
        """Return one that stands for both, and for whatever lies between them."""
        is_same = (self.stream, self.coin) == (other.stream, other.coin)
        return Loss(
            self.stream if self.stream is other.stream else Stream.DIFFS,
            min(self.first, other.first),
            max(self.last, other.last),
            self.what if self.what == other.what else "more losses than can be kept",
            self.coin if is_same else "",
        )


class Sequence:
    """One stream. Lines up to ``height`` are known already and skipped.

    ``height`` is the newest block that was passed on; ``rewinds`` and ``repeated`` count how often
    the node fell back and how many lines that made.
    """

    def __init__(self, stream: Stream, form: Form, height: int | None = None) -> None:
        self.stream = stream
        self.height = height
        self.rewinds = 0
        self.repeated = 0
        self._form = form
        self._start = height
        self._written: dict[int, int] = {}
        self._open: list[bytes] = []
        self._again: tuple[int, list[bytes]] | None = None
        self._torn: Problem | None = None
        self._far: int | None = None
        self._uncompared: int | None = None
        self._is_joined = height is None
        self._told: deque[int] = deque(maxlen=DENSITY_BLOCKS)

    def take(self, line: Line) -> tuple[Line | None, list[Loss]]:
        """Take the next line; return it if it is news, and what it shows to be lost."""
        losses: list[Loss] = []
        self._judge_torn(line, losses)
        if self.height is None:
            self.height = line.height
            self._note(line)
            return line, losses
        if self._start is not None and line.height <= self._start:
            self._is_joined = True
            self.repeated += 1
            return None, losses
        if not self._is_joined and self._form is Form.STREAMING and self._far is None:
            self._far = line.height  # the first line of all may be anywhere after the snapshot
        if not self._is_believed(line.height):
            losses.append(self._loss(self.height, self.height + 1, "a height that leaps"))
            return None, losses
        if self._form is Form.BLOCK:
            return self._take_block(line, losses), losses
        return self._take_event(line, losses), losses

    def take_late(self, line: Line) -> list[Loss]:
        """Take a line that the node added to a file after the next one was begun."""
        known = self._written.get(line.height)
        if line.height <= (self._start or -1) or (
            self._form is Form.BLOCK and known == _fold(line.marks)
        ):
            return []
        return [self._loss(line.height, line.height, "a line came too late")]

    def take_problem(self, problem: Problem) -> list[Loss]:
        """Take a line that cannot be read.

        By block, the height that then fails to come tells whether anything is lost. Streaming, it
        is, unless the node falls back next: then the line was what it wrote as it died.
        """
        if self._form is Form.BLOCK or self.height is None:
            return []
        losses = self._lost_torn()
        self._torn = problem
        return losses

    def forget(self) -> None:
        """Compare what was written up to now with nothing that is written again.

        For whoever leaves out lines: more or fewer of them from now on.
        """
        self._written.clear()
        self._uncompared = self.height

    def end(self) -> list[Loss]:
        """Tell what is lost if nothing more comes."""
        return self._lost_torn()

    def _is_believed(self, height: int) -> bool:
        assert self.height is not None
        if height <= self.height + JUMP_MAX:
            self._far = None
            return True
        far, self._far = self._far, height
        return far is not None and far <= height <= far + JUMP_MAX

    # -- by block

    def _take_block(self, line: Line, losses: list[Loss]) -> Line | None:
        assert self.height is not None
        height = line.height
        if height <= self.height:
            if height != self.height or self._written.get(height) != _fold(line.marks):
                self._note_rewind(height)
            self.repeated += 1
            known = self._written.get(height)
            if known is not None and known != _fold(line.marks):
                losses.append(self._loss(height, height, "written again with other content"))
            return None
        self._again = None
        if height > self.height + 1:
            losses.append(self._loss(self.height + 1, height - 1, "heights are missing"))
        self.height = height
        self._note(line)
        return line

    def _note_rewind(self, height: int) -> None:
        if self._again is None or height < self._again[0]:
            self.rewinds += 1
        self._again = (height, [])

    # -- streaming

    def _take_event(self, line: Line, losses: list[Loss]) -> Line | None:
        assert self.height is not None
        height = line.height
        if self._again is not None:
            self._go_on_again(height, losses)
        if height < self.height or self._again is not None:
            return self._take_again(line, losses)
        if height > self.height:
            self._close()
            self._judge_silence(height, losses)
            self.height = height
        self._note(line)
        if len(self._open) > LINES_KEPT_MAX:
            losses.append(self._loss(height, height, _TOO_LONG))
            self._open, self._uncompared = [], height
        return line

    def _judge_silence(self, height: int, losses: list[Loss]) -> None:
        assert self.height is not None
        told, missing = self._told, height - self.height - 1
        if not self._is_joined:
            self._is_joined = True
            if missing > SILENCE_AT_START:
                what = "the files begin after the snapshot"
                losses.append(self._loss(self.height + 1, height - 1, what))
        if missing and len(told) >= DENSITY_BLOCKS_MIN:
            span = told[-1] - told[0] + 1
            for part, whole, silence in SILENCES:
                if len(told) * whole >= span * part:
                    if missing > silence:
                        what = "a silence that is too long"
                        losses.append(self._loss(self.height + 1, height - 1, what))
                    break
        told.append(height)

    def _go_on_again(self, height: int, losses: list[Loss]) -> None:
        """While a node repeats itself: compare a block that it has now written again in full."""
        assert self._again is not None
        assert self.height is not None
        again, marks = self._again
        if height == again:
            return
        if height < again:
            self.rewinds += 1
        elif again == self._uncompared:
            pass
        elif again == self.height and len(marks) < len(self._open):
            losses.append(self._loss(again, again, "written again with less content"))
        elif again < self.height and self._written.get(again, _fold(marks)) != _fold(marks):
            losses.append(self._loss(again, again, "written again with other content"))
        self._again = None if height > self.height else (height, [])

    def _take_again(self, line: Line, losses: list[Loss]) -> Line | None:
        assert self.height is not None
        if self._again is None:
            self.rewinds += 1
            self._again = (line.height, [])
        height, marks = self._again
        if height == self._uncompared:
            self.repeated += len(line.marks)
            return None
        if len(marks) > LINES_KEPT_MAX:
            losses.append(self._loss(height, height, _TOO_LONG))
            return None
        news = 0
        for mark in line.marks:
            marks.append(mark)
            if height == self.height and len(marks) > len(self._open):
                self._open.append(mark)  # the node fell before it had written this
                news += 1
                continue
            self.repeated += 1
            if height == self.height and self._open[len(marks) - 1] != mark:
                losses.append(self._loss(height, height, "written again with other content"))
        if news == 0:
            return None
        if news < len(line.marks):
            line.events, line.marks = line.events[-news:], line.marks[-news:]
        return line

    def _close(self) -> None:
        if self._open and self.height is not None and self.height != self._uncompared:
            self._keep(self.height, _fold(self._open))
        self._open = []

    # -- both

    def _note(self, line: Line) -> None:
        if self._form is Form.BLOCK:
            self._keep(line.height, _fold(line.marks))
        elif line.height != self._uncompared:
            self._open += line.marks

    def _keep(self, height: int, crc: int) -> None:
        self._written[height] = crc
        if len(self._written) > HEIGHTS_KEPT:
            del self._written[next(iter(self._written))]

    def _judge_torn(self, line: Line, losses: list[Loss]) -> None:
        if self._torn is None:
            return
        if self.height is not None and line.height < self.height:
            self._torn = None  # the node fell back and writes it again
        else:
            losses += self._lost_torn()

    def _lost_torn(self) -> list[Loss]:
        problem, self._torn = self._torn, None
        if problem is None:
            return []
        newest = self.height or 0
        if problem.height and problem.height <= (self._start or -1):
            return []
        is_near = 0 < problem.height <= newest + JUMP_MAX
        last = problem.height if is_near else newest + 1
        return [self._loss(min(last, newest), last, "a line cannot be read")]

    def _loss(self, first: int, last: int, what: str) -> Loss:
        return Loss(self.stream, first, last, what)


_TOO_LONG: Final = "a block of more lines than can be kept"


def _fold(marks: list[bytes]) -> int:
    return crc32(b"".join(marks))
