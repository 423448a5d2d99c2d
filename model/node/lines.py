"""The lines of a node's output files, and how they are read without trusting them.

A line is one JSON object: the block it belongs to and a list of events. In the form *by block* a
line holds all events of a block, in the form *streaming* usually one. Four streams are read: raw
book diffs, order statuses, fills and miscellaneous events.

Nothing that a line holds raises an error out of here. A line that is not an envelope becomes a
``Problem``; an event that is not what its stream promises becomes a ``Problem`` within its line,
and the other events of the line are kept. Unknown keys are ignored, since keys are added over time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias
from zlib import crc32

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from model.node.decimals import InvalidTimeError, e8, time_ms_of
from model.units import MalformedDecimalError

HEAD_BYTES: Final = 256
"""Where the height and the times of a line stand: before its events."""

INTEGER_MAX: Final = 2**63 - 1
"""Largest id or height that is believed."""

TEXT_LENGTH_MAX: Final = 128
"""Longest name, address or hash that is believed; the longest real one has 66 characters."""

MARK_BYTES_MAX: Final = 1_024
"""Longest mark of a line that is its bytes themselves; of longer ones it is a checksum."""

PROBLEMS_PER_LINE_MAX: Final = 100
"""Problems that are told of one line; what is beyond is only counted."""

Id: TypeAlias = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]


class Form(StrEnum):
    """How a node groups events into lines."""

    BLOCK = "block"
    STREAMING = "streaming"


class Stream(StrEnum):
    """What a node tells in a file of its own."""

    DIFFS = "diffs"
    STATUSES = "statuses"
    FILLS = "fills"
    MISC = "misc"


_FOLDERS: Final = {
    Stream.DIFFS: "node_raw_book_diffs",
    Stream.STATUSES: "node_order_statuses",
    Stream.FILLS: "node_fills",
    Stream.MISC: "misc_events",
}
_SUFFIXES: Final = {Form.BLOCK: "_by_block", Form.STREAMING: "_streaming"}


def folder_of(stream: Stream, form: Form) -> str:
    """Return the name of a stream's folder below the node's data root."""
    return _FOLDERS[stream] + _SUFFIXES[form]


class Change(StrEnum):
    """What a diff does to an order in the book."""

    NEW = "new"
    UPDATE = "update"
    REMOVE = "remove"


_NEW: Final = Change.NEW
_UPDATE: Final = Change.UPDATE
_REMOVE: Final = Change.REMOVE


class Diff(Struct, frozen=True, array_like=True, gc=False):
    """One change of the resting book.

    ``size`` is what rests afterwards, nothing for a removal; ``before`` is what an update says
    rested. ``is_bid`` is unknown in lines that are older than the key.
    """

    coin: str
    oid: int
    user: str
    is_bid: bool | None
    price: int
    change: Change
    size: int = 0
    before: int = 0


class OrderBody(Struct, rename="camel", gc=False):
    """An order as statuses and snapshots show it; decimals are texts, ``timestamp`` is ms."""

    coin: Text
    side: str
    limit_px: str
    sz: str
    oid: Id
    timestamp: Id
    trigger_condition: Text = "N/A"
    is_trigger: bool = False
    trigger_px: str = "0.0"
    children: Raw = Raw(b"[]")
    is_position_tpsl: bool = False
    reduce_only: bool = False
    order_type: Text = "Limit"
    orig_sz: str = "0.0"
    tif: Text | None = None
    cloid: Text | None = None


class Status(Struct, gc=False):
    """A change of an order's status. ``time`` is the node's text."""

    time: Text
    user: Text
    status: Text
    order: OrderBody
    hash: Text | None = None


class Liquidation(Struct, rename="camel", gc=False):
    """Whose position a forced fill closed, and how."""

    liquidated_user: Text
    mark_px: str
    method: Text


class FillBody(Struct, rename="camel", gc=False):
    """One side of a match as the public API shows it; ``time`` is ms.

    Keys that only some fills have are written again only if they were read.
    """

    coin: Text
    px: str
    sz: str
    side: str
    time: Id
    start_position: str
    dir: Text
    closed_pnl: str
    hash: Text
    oid: Id
    crossed: bool
    fee: str
    tid: Id
    fee_token: Text
    cloid: Text | UnsetType | None = UNSET
    builder: Text | UnsetType | None = UNSET
    builder_fee: str | UnsetType | None = UNSET
    deployer_fee: str | UnsetType | None = UNSET
    priority_gas: str | int | UnsetType | None = UNSET
    liquidation: Liquidation | UnsetType | None = UNSET
    twap_id: Id | None = None


class Fill(Struct, frozen=True, array_like=True, gc=False):
    """One side of a match, whose it is, and its price and size as integers of 1e-8."""

    user: str
    price: int
    size: int
    is_buy: bool
    body: FillBody


class Misc(Struct):
    """A miscellaneous event: its kind, and its payload as it stands in the line."""

    time: Text
    hash: Text
    kind: str
    payload: Raw


Event: TypeAlias = Diff | Status | Fill | Misc


class Problem(Struct, frozen=True):
    """Something in a line that was skipped.

    ``coin`` is empty and ``height`` 0 where not even that could be read.
    """

    stream: Stream
    what: str
    detail: str = ""
    coin: str = ""
    height: int = 0


class Line(Struct):
    """One line: its block, the node's clock when it was written (its text), and its events.

    ``skipped`` counts the events that could not be read, of which ``problems`` names the first.
    ``marks`` are of the bytes from the events on, one for each line that is in this one: so a line
    that is written again, with another time of writing, can be told from one that says something
    else. Where there are several, each line had one event.
    """

    stream: Stream
    height: int
    time_ms: int
    block_time: str
    local_time: str
    events: list[Event]
    problems: list[Problem]
    marks: list[bytes]
    skipped: int = 0


class _New(Struct, gc=False):
    sz: str


class _Update(Struct, rename="camel", gc=False):
    orig_sz: str
    new_sz: str


class _Change(Struct, gc=False):
    new: _New | None = None
    update: _Update | None = None


class _DiffBody(Struct, gc=False):
    user: Text
    oid: Id
    coin: Text
    px: str
    raw_book_diff: str | _Change
    side: str | None = None


class _MiscBody(Struct):
    time: Text
    hash: Text
    inner: dict[str, Raw]


class _Envelope(Struct, gc=False):
    local_time: Text
    block_time: Text
    block_number: Id


class _RawLine(_Envelope, gc=False):
    events: list[Raw]


class _DiffLine(_Envelope, gc=False):
    events: list[_DiffBody]


class _StatusLine(_Envelope, gc=False):
    events: list[Status]


class _FillLine(_Envelope, gc=False):
    events: list[tuple[Text, FillBody]]


class _MiscLine(_Envelope, gc=False):
    events: list[_MiscBody]


class _HasCoin(Struct):
    coin: Text = ""


class _UnknownVariantError(ValueError):
    """An event is well formed but of a kind that is not known."""


_SIDES: Final = {"B": True, "A": False, "Bid": True, "Ask": False}


def _side(text: str) -> bool:
    try:
        return _SIDES[text]
    except KeyError:
        raise _UnknownVariantError(f"side {text[:20]!r}") from None


def _size(text: str) -> int:
    size = e8(text)
    if size < 0:
        raise MalformedDecimalError(f"negative: {text!r}")
    return size


def _price(text: str) -> int:
    price = e8(text)
    if price <= 0:
        raise MalformedDecimalError(f"not a price: {text!r}")
    return price


def _diff(body: _DiffBody) -> Diff:
    # Run for each diff: flat, and with names that are looked up once. What is not as it should be
    # is left to those who tell why.
    text, change = body.side, body.raw_book_diff
    side = None if text is None else _SIDES[text] if text in _SIDES else _side(text)
    price = e8(body.px)
    if price <= 0:
        _price(body.px)
    if change == "remove":
        return Diff(body.coin, body.oid, body.user, side, price, _REMOVE)
    if isinstance(change, str):
        raise _UnknownVariantError(f"diff {change[:20]!r}")
    new, update = change.new, change.update
    if new is not None and update is None:
        size = e8(new.sz)
        if size < 0:
            _size(new.sz)
        return Diff(body.coin, body.oid, body.user, side, price, _NEW, size)
    if update is not None and new is None:
        size, before = _size(update.new_sz), _size(update.orig_sz)
        return Diff(body.coin, body.oid, body.user, side, price, _UPDATE, size, before)
    raise _UnknownVariantError("diff of an unknown kind")


def _status(body: Status) -> Status:
    order = body.order
    if order.side not in _SIDES:
        _side(order.side)
    if e8(order.sz) < 0 or e8(order.limit_px) < 0:
        _size(order.sz)
        _size(order.limit_px)
    return body


def _fill(event: tuple[str, FillBody]) -> Fill:
    user, body = event
    return Fill(user, _price(body.px), _size(body.sz), _side(body.side), body)


def _misc(body: _MiscBody) -> Misc:
    if len(body.inner) != 1:
        raise _UnknownVariantError(f"{len(body.inner)} kinds in one event")
    ((kind, payload),) = body.inner.items()
    return Misc(body.time, body.hash, kind[:TEXT_LENGTH_MAX], payload)


class _Reader(Struct):
    """How the events of a stream are read: a line at once, or event by event."""

    line: msgspec.json.Decoder[Any]
    event: msgspec.json.Decoder[Any]
    convert: Callable[[Any], Event]


_READERS: Final = {
    Stream.DIFFS: _Reader(msgspec.json.Decoder(_DiffLine), msgspec.json.Decoder(_DiffBody), _diff),
    Stream.STATUSES: _Reader(
        msgspec.json.Decoder(_StatusLine), msgspec.json.Decoder(Status), _status
    ),
    Stream.FILLS: _Reader(
        msgspec.json.Decoder(_FillLine), msgspec.json.Decoder(tuple[Text, FillBody]), _fill
    ),
    Stream.MISC: _Reader(msgspec.json.Decoder(_MiscLine), msgspec.json.Decoder(_MiscBody), _misc),
}
_raw_line = msgspec.json.Decoder(_RawLine)
_has_coin = msgspec.json.Decoder(_HasCoin | list[Any])
_EVENTS: Final = b'"events"'
_HEIGHT = re.compile(rb'"block_number"\s*:\s*(\d{1,19})\s*[,}]')
_BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def height_of(line: bytes) -> int | None:
    """Return the block of a line by a look at its head, without reading its events.

    ``None`` if the head does not show one.
    """
    match = _HEIGHT.search(line, 0, HEAD_BYTES)
    return None if match is None else int(match.group(1))


def mark_of(data: bytes) -> bytes:
    """Return the mark of a line; see ``Line``. Of a long one it is a checksum."""
    start = max(data.find(_EVENTS), 0)
    if len(data) - start <= MARK_BYTES_MAX:
        return data[start:]
    return crc32(memoryview(data)[start:]).to_bytes(4, "big")


def parse_run(stream: Stream, lines: Sequence[bytes]) -> list[Line | Problem]:
    """Read lines that follow each other; those of one block, with an event each, become one."""
    reader = _READERS[stream]
    convert = reader.convert
    runs: list[Line | Problem] = []
    run: Line | None = None
    height = -1
    own_events: list[Event] = []
    own_marks: list[bytes] = []
    try:
        for data, envelope in zip(lines, reader.line.decode_lines(b"\n".join(lines)), strict=True):
            events = envelope.events
            if len(events) != 1:
                return [parse_line(stream, line) for line in lines]
            event = convert(events[0])
            if run is None or height != envelope.block_number:
                height = envelope.block_number
                run = _line(stream, envelope, time_ms_of(envelope.block_time), data)
                own_events, own_marks = run.events, run.marks
                runs.append(run)
            else:
                start = data.find(_EVENTS, 0, HEAD_BYTES)
                is_short = start > 0 and len(data) - start <= MARK_BYTES_MAX
                own_marks.append(data[start:] if is_short else mark_of(data))
                run.local_time = envelope.local_time
            own_events.append(event)
    except (
        *_BAD_JSON,
        ValueError,  # a line that holds a newline, or one that is none: they do not fit together
        InvalidTimeError,
        _UnknownVariantError,
        MalformedDecimalError,
    ):
        return [parse_line(stream, line) for line in lines]
    return runs


def parse_line(stream: Stream, data: bytes) -> Line | Problem:
    """Read a line of a stream, without its newline; see the module for what is done about dirt."""
    reader = _READERS[stream]
    try:
        envelope = reader.line.decode(data)
        time_ms = time_ms_of(envelope.block_time)
    except _BAD_JSON:
        return _parse_by_event(stream, data)
    except InvalidTimeError as error:
        return Problem(stream, "time", str(error), height=height_of(data) or 0)
    line = _line(stream, envelope, time_ms, data)
    events, convert = line.events, reader.convert
    try:
        events += [convert(body) for body in envelope.events]
    except (_UnknownVariantError, MalformedDecimalError):
        pass  # one of them is odd: they are taken one by one
    else:
        return line
    for body in envelope.events:
        try:
            events.append(convert(body))
        except (_UnknownVariantError, MalformedDecimalError) as error:
            _note(line, _coin_of(body), error)
    return line


def _parse_by_event(stream: Stream, data: bytes) -> Line | Problem:
    """Read a line of which at least one event is not as it should be."""
    reader = _READERS[stream]
    try:
        envelope = _raw_line.decode(data)
        line = _line(stream, envelope, time_ms_of(envelope.block_time), data)
    except (*_BAD_JSON, InvalidTimeError) as error:
        return Problem(stream, "line", str(error)[:TEXT_LENGTH_MAX], height=height_of(data) or 0)
    for raw in envelope.events:
        try:
            line.events.append(reader.convert(reader.event.decode(raw)))
        except (*_BAD_JSON, _UnknownVariantError, MalformedDecimalError) as error:
            _note(line, _coin_in(raw), error)
    return line


def _line(stream: Stream, envelope: _Envelope, time_ms: int, data: bytes) -> Line:
    return Line(
        stream,
        envelope.block_number,
        time_ms,
        envelope.block_time,
        envelope.local_time,
        [],
        [],
        [mark_of(data)],
    )


def _note(line: Line, coin: str, error: Exception) -> None:
    line.skipped += 1
    if len(line.problems) < PROBLEMS_PER_LINE_MAX:
        what = "variant" if isinstance(error, _UnknownVariantError) else "event"
        detail = str(error)[:TEXT_LENGTH_MAX]
        line.problems.append(Problem(line.stream, what, detail, coin, line.height))


def _coin_of(body: Any) -> str:
    match body:
        case _DiffBody(coin=coin):
            return coin
        case Status(order=order):
            return order.coin
        case (_, FillBody(coin=coin)):
            return str(coin)
        case _:
            return ""


def _coin_in(raw: Raw) -> str:
    """Return the coin of an event that is otherwise not as it should be, if it names one."""
    try:
        found = _has_coin.decode(raw)
    except _BAD_JSON:
        return ""
    return found.coin if isinstance(found, _HasCoin) else ""
