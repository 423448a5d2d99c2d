"""A node's files read from beginning to end, as they lie there: for looking and for checking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from actors.node.errors import NodeDataError
from actors.node.tail import LINGER_SECONDS, Item, LateLine, Tail, Trouble, list_files, locate
from model.node.ingest import Applied, Ingest
from model.node.lines import Form, Stream, folder_of
from model.node.snapshot import Snapshot, SnapshotError, read_snapshot

LINES_PER_PIECE: Final = 200
"""Lines that are read before others get their turn: about a millisecond of work."""
LONG_LINE_BYTES: Final = 100_000
"""A line that is a piece of its own."""

_READS_AT_THE_END: Final = 4
"""Reads without anything after which a stream is at its end: two, and as many to leave a file."""


def detect_form(root: Path) -> Form:
    """Return the form in which a node writes its diffs: that of the newest file, if there are both.

    Raises:
        NodeDataError: there is neither.
    """
    newest: list[tuple[int, Form]] = []
    for form in Form:
        files = list_files(root / folder_of(Stream.DIFFS, form))
        if files:
            newest.append((files[-1][1].stat().st_mtime_ns, form))
        elif (root / folder_of(Stream.DIFFS, form)).is_dir():
            newest.append((0, form))
    if not newest:
        names = " or ".join(folder_of(Stream.DIFFS, form) for form in Form)
        raise NodeDataError(f"{root} holds no {names}")
    return max(newest)[1]


def streams_of(root: Path, form: Form) -> frozenset[Stream]:
    """Return the streams that a node writes in a form.

    Raises:
        NodeDataError: diffs are not among them.
    """
    found = frozenset(stream for stream in Stream if (root / folder_of(stream, form)).is_dir())
    if Stream.DIFFS not in found:
        raise NodeDataError(f"{root} holds no {folder_of(Stream.DIFFS, form)}")
    return found


def load_snapshot(path: Path, coins: Iterable[str] | None = None) -> Snapshot:
    """Read a snapshot file; where it does not tell its height, its name may.

    Raises:
        NodeDataError: it cannot be read, or is not one.
    """
    try:
        snapshot = read_snapshot(path.read_bytes(), coins)
    except OSError as error:
        raise NodeDataError(f"cannot read {path}: {error.strerror}") from error
    except SnapshotError as error:
        raise NodeDataError(f"{path}: {error}") from error
    if snapshot.height is None:
        digits = path.name.partition(".")[0]
        snapshot.height = int(digits) if digits.isdecimal() else None
    return snapshot


def feed(
    ingest: Ingest, stream: Stream, items: Sequence[Item], now_ms: int = 0
) -> Iterator[Iterator[Applied]]:
    """Give what was read of a stream to whom it is for; yield, piece by piece, what came of it."""
    lines: list[bytes] = []
    for item in items:
        if isinstance(item, bytes):
            lines.append(item)
            if len(lines) < LINES_PER_PIECE and len(item) < LONG_LINE_BYTES:
                continue
        ingest.lines(stream, lines)
        lines = []
        if isinstance(item, Trouble):
            ingest.trouble(stream, item.what)
        elif isinstance(item, LateLine):
            ingest.late_line(stream, item.data)
        yield ingest.blocks(now_ms)
    if lines:
        ingest.lines(stream, lines)
        yield ingest.blocks(now_ms)


def read_to_the_end(root: Path, form: Form, ingest: Ingest) -> Iterator[Applied]:
    """Yield all blocks after the height at which the books begin.

    The stream that is furthest behind is read next, so little waits in memory.
    """
    seconds = count(step=LINGER_SECONDS)
    tails = {
        stream: Tail(
            root / folder_of(stream, form),
            locate(root / folder_of(stream, form), ingest.coins.height),
            clock=lambda: next(seconds),
        )
        for stream in ingest.sequences
    }
    idle = dict.fromkeys(tails, 0)
    while tails:
        stream = ingest.joiner.furthest_behind(tails)
        items = tails[stream].read()
        idle[stream] = 0 if items else idle[stream] + 1
        if idle[stream] >= _READS_AT_THE_END:
            items = tails[stream].rest()
            tails.pop(stream).close()
            ingest.joiner.end(stream)
        for part in feed(ingest, stream, items):
            yield from part
    yield from ingest.finish()
