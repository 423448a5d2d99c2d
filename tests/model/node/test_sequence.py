"""The order of a stream's lines: what is news, what is written again, what is missing."""

from typing import Any

import pytest

from model.node import sequence as sequence_module
from model.node.lines import Form, Line, Problem, Stream
from model.node.sequence import DENSITY_BLOCKS_MIN, JUMP_MAX, SILENCE_AT_START, Loss, Sequence

STREAM = Stream.DIFFS


def line(height: int, what: str = "x") -> Line:
    """Return a line of which only height and content matter here."""
    return Line(STREAM, height, 0, "", "", [], [], [what.encode()])


def taken(sequence: Sequence, *heights: int | tuple[int, str]) -> tuple[list[int], list[Loss]]:
    """Take lines; return the heights of those that were news, and all losses."""
    news, losses = [], []
    for height in heights:
        found, lost = sequence.take(line(*height) if isinstance(height, tuple) else line(height))
        losses += lost
        if found is not None:
            news.append(found.height)
    return news, losses


def spans(losses: list[Loss]) -> list[tuple[int, int]]:
    """Return which blocks losses are about."""
    return [(loss.first, loss.last) for loss in losses]


@pytest.mark.parametrize("form", Form)
def test_lines_from_before_the_snapshot_are_skipped(form: Form) -> None:
    """What the snapshot holds already is not news."""
    assert taken(Sequence(STREAM, form, 10), 9, 10, 11, 12) == ([11, 12], [])


def test_missing_height_by_block() -> None:
    """By block, a height that is left out is a loss of just that height."""
    news, losses = taken(Sequence(STREAM, Form.BLOCK, 10), 11, 14, 15)

    assert news == [11, 14, 15]
    assert spans(losses) == [(12, 13)]


def test_missing_height_streaming() -> None:
    """Streaming, a block without events has no line: a height that is left out is nothing."""
    assert taken(Sequence(STREAM, Form.STREAMING, 10), 11, 14, 15) == ([11, 14, 15], [])


def test_silence_that_is_too_long() -> None:
    """Streaming, a stream that tells something in every block is not silent for so long."""
    sequence = Sequence(STREAM, Form.STREAMING, 0)
    taken(sequence, *range(1, DENSITY_BLOCKS_MIN + 2))
    newest = DENSITY_BLOCKS_MIN + 1

    assert taken(sequence, newest + 5)[1] == []
    assert spans(taken(sequence, newest + 25)[1]) == [(newest + 6, newest + 24)]


def test_quiet_stream_may_be_silent() -> None:
    """Streaming, a stream that has little to tell may be silent for long."""
    sequence = Sequence(STREAM, Form.STREAMING, 0)

    assert taken(sequence, *range(1, 4_000, 20))[1] == []


def test_files_that_begin_after_the_snapshot() -> None:
    """Streaming, files that begin long after the snapshot do not go on from it."""
    late = 10 + SILENCE_AT_START + 5

    assert spans(taken(Sequence(STREAM, Form.STREAMING, 10), late)[1]) == [(11, late - 1)]
    assert taken(Sequence(STREAM, Form.STREAMING, 10), 10, late)[1] == []
    assert taken(Sequence(STREAM, Form.STREAMING, 10), 12)[1] == []


@pytest.mark.parametrize("form", Form)
def test_rewind_with_the_same_content(form: Form) -> None:
    """Blocks that are written again as they were are skipped, and what follows is news."""
    sequence = Sequence(STREAM, form, 0)
    taken(sequence, *range(1, 301))

    news, losses = taken(sequence, *range(101, 303))

    assert news == [301, 302]
    assert losses == []
    assert sequence.rewinds == 1
    assert sequence.repeated == 200


@pytest.mark.parametrize("form", Form)
def test_rewind_with_other_content(form: Form) -> None:
    """A block that is written again otherwise is a loss: one of the two was not true."""
    sequence = Sequence(STREAM, form, 0)
    taken(sequence, 1, 2, 3, 4)

    assert spans(taken(sequence, 1, (2, "y"), 3, 4, 5)[1]) == [(2, 2)]


def test_rewind_after_an_incomplete_block() -> None:
    """Streaming, what the block lacked in which the node fell is news, and the rest is not."""
    sequence = Sequence(STREAM, Form.STREAMING, 0)
    taken(sequence, (1, "a"), (2, "a"), (2, "b"))

    news, losses = taken(sequence, (1, "a"), (2, "a"), (2, "b"), (2, "c"), (2, "d"), (3, "a"))

    assert news == [2, 2, 3]
    assert losses == []


def test_incomplete_block_in_one_run() -> None:
    """Lines that were read together are told apart where only the last of them are news."""
    sequence = Sequence(STREAM, Form.STREAMING, 0)
    taken(sequence, (1, "a"), (2, "a"), (2, "b"))
    taken(sequence, (1, "a"))
    events: list[Any] = ["A", "B", "C"]
    run = Line(STREAM, 2, 0, "", "", events, [], [b"a", b"b", b"c"])

    found, losses = sequence.take(run)

    assert found is not None
    assert (found.events, found.marks, losses) == (events[2:], [b"c"], [])


def test_rewind_that_writes_less() -> None:
    """Streaming, a block that is written again with less than before is a loss."""
    sequence = Sequence(STREAM, Form.STREAMING, 0)
    taken(sequence, (1, "a"), (2, "a"), (2, "b"))

    assert spans(taken(sequence, (1, "a"), (2, "a"), (3, "a"))[1]) == [(2, 2)]


def test_line_that_cannot_be_read() -> None:
    """Streaming it is a loss, unless the node fell as it wrote it and goes back."""
    torn, lost = (Sequence(STREAM, Form.STREAMING, 0) for _ in range(2))
    for sequence in (torn, lost):
        taken(sequence, 1, 2)
        assert sequence.take_problem(Problem(STREAM, "line")) == []

    assert taken(torn, 1, 2, 3)[1] == []
    assert spans(taken(lost, 3)[1]) == [(2, 3)]


def test_absurd_height_alone_is_not_believed() -> None:
    """One line that leaps ahead is nonsense and a doubt; two in a row are where the node is."""
    sequence = Sequence(STREAM, Form.BLOCK, 0)
    far = 10 * JUMP_MAX
    taken(sequence, 1)

    assert taken(sequence, far, 2, 3)[0] == [2, 3]
    assert taken(sequence, far, far + 1, far + 2)[0] == [far + 1, far + 2]


def test_late_line() -> None:
    """A line that comes after the next file was begun is a loss, unless it was there before."""
    sequence = Sequence(STREAM, Form.BLOCK, 0)
    taken(sequence, 1, 3)

    assert spans(sequence.take_late(line(2))) == [(2, 2)]
    assert sequence.take_late(line(1)) == []


def test_block_of_more_lines_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming, a block that never ends is a loss, told once for so many lines; memory is not."""
    monkeypatch.setattr(sequence_module, "LINES_KEPT_MAX", 100)
    sequence = Sequence(STREAM, Form.STREAMING, 10)

    news, losses = taken(sequence, *([11] * 1_000), 12)

    assert len(news) == 1_001
    assert spans(losses) == [(11, 11)]
    assert len(sequence._open) == 1
    assert taken(sequence, *([11] * 1_000), 13) == ([13], [])
