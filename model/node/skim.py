"""Which statuses change nothing that is kept, told from their bytes alone.

Most statuses are of orders that were refused, cancelled or filled. Books come from diffs; of
statuses they only keep what those of resting orders tell. So unless somebody follows accounts or
single orders, all others need not be read. What is not told for certain from the bytes is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RESTING: Final = ("open", "triggered")
"""Statuses of orders that may have come into the book with this block."""

_STATUS: Final = b'"status":"'
_STATUS_BYTES: Final = len(_STATUS)
_RESTING: Final = tuple(f'{name}"'.encode() for name in RESTING)

_EVENTS: Final = b'"events":['
_FIRST: Final = b'{"time":'
_BETWEEN: Final = b"}," + _FIRST
"""Where an event of a line ends and the next begins, as nodes write them. Within a JSON text there
is no such thing: its quotes have a backslash before them.
"""
_END: Final = b"}]}"


def lines_that_rest(lines: Sequence[bytes]) -> list[bytes]:
    """Return the lines of statuses, each with one event, that must be read."""
    return [
        line
        for line in lines
        if (at := line.find(_STATUS)) < 0  # not written as nodes do
        or line.startswith(_RESTING, at + _STATUS_BYTES)
        or line.find(_STATUS, at + _STATUS_BYTES) >= 0  # more than one event
    ]


def events_that_rest(line: bytes) -> tuple[bytes, int]:
    """Return a line of all statuses of a block without those that need not be read.

    Also returns how many were left out. A line that is not as nodes write it stays as it is.
    """
    start = line.find(_EVENTS + _FIRST)
    if start < 0 or not line.endswith(_END):
        return line, 0
    start += len(_EVENTS)
    events = line[start + len(_FIRST) : -len(_END)].split(_BETWEEN)
    kept = lines_that_rest(events)
    if len(kept) == len(events):
        return line, 0
    rest = _FIRST + _BETWEEN.join(kept) + b"}" if kept else b""
    return line[:start] + rest + b"]}", len(events) - len(kept)
