"""The lines of a node's files, written: the counterpart of ``model.node.lines``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from model.node.decimals import decimal_text
from model.node.joiner import NodeBlock
from model.node.lines import Change, Diff, Event, Fill, Form, Misc, Status, Stream

NO_HASH: Final = "0x" + "0" * 64

WRITTEN_ORDER: Final = (Stream.FILLS, Stream.DIFFS, Stream.STATUSES, Stream.MISC)
"""In which order a node writes the lines of one block."""


class _DiffOut(Struct, gc=False):
    user: str
    oid: int
    coin: str
    side: str | None
    px: str
    raw_book_diff: str | dict[str, dict[str, str]]


class _StatusOut(Struct, gc=False):
    time: str
    user: str
    hash: str | None
    builder: None
    status: str
    order: object


class _MiscOut(Struct):
    time: str
    hash: str
    inner: dict[str, Raw]


class _LineOut(Struct):
    local_time: str
    block_time: str
    block_number: int
    events: list[object]


Out: TypeAlias = _DiffOut | _StatusOut | _MiscOut | tuple[str, object]
_encode = msgspec.json.Encoder().encode


def event_out(event: Event) -> Out:
    """Return an event as it stands in a line."""
    match event:
        case Diff():
            return _diff_out(event)
        case Status():
            return _StatusOut(event.time, event.user, event.hash, None, event.status, event.order)
        case Fill():
            return (event.user, event.body)
        case Misc():
            return _MiscOut(event.time, event.hash, {event.kind: event.payload})


def write_line(block: NodeBlock, local_time: str, events: Iterable[Event]) -> bytes:
    """Return a line with its newline."""
    out: list[object] = [event_out(event) for event in events]
    return _encode(_LineOut(local_time, block.block_time, block.height, out)) + b"\n"


def events_of(block: NodeBlock, stream: Stream) -> list[Event]:
    """Return what a block holds for a stream."""
    match stream:
        case Stream.DIFFS:
            return list(block.diffs)
        case Stream.STATUSES:
            return list(block.statuses)
        case Stream.FILLS:
            return list(block.fills)
        case Stream.MISC:
            return list(block.misc)


def write_block(
    block: NodeBlock, form: Form, local_time: str, streams: Iterable[Stream] = WRITTEN_ORDER
) -> Iterator[tuple[Stream, bytes]]:
    """Yield the lines of a block in the order in which a node writes them.

    By block, every stream has one; streaming, every event has one.
    """
    for stream in streams:
        events = events_of(block, stream)
        if form is Form.BLOCK:
            yield stream, write_line(block, local_time, events)
        else:
            for event in events:
                yield stream, write_line(block, local_time, (event,))


def _diff_out(diff: Diff) -> _DiffOut:
    change: str | dict[str, dict[str, str]]
    if diff.change is Change.NEW:
        change = {"new": {"sz": decimal_text(diff.size)}}
    elif diff.change is Change.UPDATE:
        change = {"update": {"origSz": decimal_text(diff.before), "newSz": decimal_text(diff.size)}}
    else:
        change = "remove"
    side = {True: "B", False: "A", None: None}[diff.is_bid]
    return _DiffOut(diff.user, diff.oid, diff.coin, side, decimal_text(diff.price), change)
