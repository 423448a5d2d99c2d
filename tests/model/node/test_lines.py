"""Lines of a node's files: what is read, and what is skipped without harm."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.node.decimals import decimal_text, e8, time_ms_of, time_ns_of, time_text
from model.node.lines import (
    PROBLEMS_PER_LINE_MAX,
    Change,
    Diff,
    Fill,
    Form,
    Line,
    Misc,
    Problem,
    Status,
    Stream,
    folder_of,
    height_of,
    parse_line,
    parse_run,
)

USER = "0x1111111111111111111111111111111111111111"
TIME = "2026-05-05T17:39:13.024084407"


def line(*events: Any, height: Any = 985148182, **more: Any) -> bytes:
    """Return a line of a node's file."""
    envelope = {"local_time": TIME, "block_time": TIME, "block_number": height}
    return json.dumps({**envelope, "events": events, **more}, separators=(",", ":")).encode()


def diff(change: Any, **more: Any) -> dict[str, Any]:
    """Return a diff as nodes write it."""
    body = {"user": USER, "oid": 412036231803, "coin": "BTC", "side": "A", "px": "81308.0"}
    return {**body, "raw_book_diff": change, **more}


def order(**more: Any) -> dict[str, Any]:
    """Return an order as statuses and snapshots show it."""
    return {
        "coin": "BTC", "side": "B", "limitPx": "81307.0", "sz": "0.18385", "oid": 7,
        "timestamp": 1778002736649, "triggerCondition": "N/A", "isTrigger": False,
        "triggerPx": "0.0", "children": [], "isPositionTpsl": False, "reduceOnly": False,
        "orderType": "Limit", "origSz": "0.30747", "tif": "Alo", "cloid": None, **more,
    }  # fmt: skip


def status(name: str = "open", **more: Any) -> dict[str, Any]:
    """Return a status as nodes write it."""
    return {"time": TIME, "user": USER, "hash": None, "builder": None, "status": name,
            "order": order(**more)}  # fmt: skip


def fill(**more: Any) -> list[Any]:
    """Return one side of a match as nodes write it."""
    body = {
        "coin": "BTC", "px": "81308.0", "sz": "0.00033", "side": "B", "time": 1778002753024,
        "startPosition": "0.20486", "dir": "Open Long", "closedPnl": "0.0", "hash": "0x00",
        "oid": 412036451245, "crossed": True, "fee": "0.010866", "tid": 316059956208702,
        "feeToken": "USDC", "twapId": None,
    }  # fmt: skip
    return [USER, {**body, **more}]


def read(stream: Stream, data: bytes) -> Line:
    """Read a line that can be read."""
    found = parse_line(stream, data)
    assert isinstance(found, Line)
    return found


def test_three_kinds_of_diff() -> None:
    """A diff adds, resizes or removes an order, with exact sizes."""
    update = {"update": {"origSz": "0.1804", "newSz": "0.18007"}}

    found = read(Stream.DIFFS, line(diff({"new": {"sz": "0.61488"}}), diff(update), diff("remove")))

    price = 81308 * 10**8
    assert (found.height, found.time_ms) == (985148182, 1778002753024)
    assert found.events == [
        Diff("BTC", 412036231803, USER, False, price, Change.NEW, 61488000),
        Diff("BTC", 412036231803, USER, False, price, Change.UPDATE, 18007000, 18040000),
        Diff("BTC", 412036231803, USER, False, price, Change.REMOVE),
    ]
    assert (found.problems, found.skipped) == ([], 0)


@pytest.mark.parametrize(
    ("side", "is_bid"), [("B", True), ("Bid", True), ("A", False), ("Ask", False)]
)
def test_sides_in_both_spellings(side: str, is_bid: bool) -> None:
    """The letters that nodes write and the words of the documents mean the same."""
    (event,) = read(Stream.DIFFS, line(diff("remove", side=side))).events

    assert isinstance(event, Diff)
    assert event.is_bid is is_bid


def test_diff_without_side() -> None:
    """Lines from before the key was added are read; their side is unknown."""
    body = diff("remove")
    del body["side"]

    (event,) = read(Stream.DIFFS, line(body)).events

    assert isinstance(event, Diff)
    assert event.is_bid is None


def test_other_streams() -> None:
    """Statuses, fills and miscellaneous events are read with what their readers need."""
    (seen,) = read(Stream.STATUSES, line(status("badAloPxRejected"))).events
    (match,) = read(Stream.FILLS, line(fill(cloid="0x01"))).events
    inner = {"LedgerUpdate": {"users": [USER], "delta": {"type": "deposit", "usdc": "1.0"}}}
    (misc,) = read(Stream.MISC, line({"time": TIME, "hash": "0x0", "inner": inner})).events

    assert isinstance(seen, Status)
    assert (seen.status, seen.order.oid, seen.order.tif) == ("badAloPxRejected", 7, "Alo")
    assert isinstance(match, Fill)
    assert (match.user, match.size, match.is_buy, match.body.cloid) == (USER, 33000, True, "0x01")
    assert isinstance(misc, Misc)
    assert (misc.kind, json.loads(bytes(misc.payload))["users"]) == ("LedgerUpdate", [USER])


def test_unknown_key_is_ignored() -> None:
    """Keys that were added since do no harm, wherever they stand."""
    found = read(Stream.DIFFS, line(diff("remove", colour="red"), weather={"rain": True}))

    assert len(found.events) == 1
    assert found.problems == []


def test_unknown_status_is_kept() -> None:
    """The list of statuses is open: a new one is passed on as it is."""
    (event,) = read(Stream.STATUSES, line(status("moonPhaseCanceled"))).events

    assert isinstance(event, Status)
    assert event.status == "moonPhaseCanceled"


@pytest.mark.parametrize("change", [{"moved": {"px": "1.0"}}, "explode", {}])
def test_fourth_diff_variant_is_told(change: Any) -> None:
    """A kind of diff that is not known is skipped and named with its coin; its neighbours count."""
    found = read(Stream.DIFFS, line(diff("remove"), diff(change), diff("remove")))

    assert len(found.events) == 2
    assert [(p.what, p.coin, p.height) for p in found.problems] == [("variant", "BTC", 985148182)]


@pytest.mark.parametrize(
    "bad",
    [
        diff("remove", oid="seven"),
        diff("remove", oid=-1),
        diff("remove", oid=10**30),
        diff("remove", px="1e5"),
        diff("remove", px="-1.0"),
        diff("remove", px="0.0"),
        diff("remove", px="9" * 1000),
        diff({"new": {"sz": "-0.1"}}),
        diff({"new": {"sz": None}}),
        diff({"new": {"sz": 3}}),
        diff({"new": {"sz": "NaN"}}),
        diff({"new": {"sz": "1.0"}, "update": {"origSz": "1.0", "newSz": "1.0"}}),
        diff("remove", side="X"),
    ],
)
def test_hostile_event_is_skipped_alone(bad: Any) -> None:
    """An event of wrong types or absurd numbers is skipped; the rest of its line is kept."""
    found = read(Stream.DIFFS, line(diff("remove"), bad))

    assert len(found.events) == 1
    assert found.skipped == 1
    assert found.problems[0].coin == "BTC"


@pytest.mark.parametrize("bad", [7, None, "text", [], ["BTC"], {"coin": 5}])
def test_event_that_is_no_event(bad: Any) -> None:
    """Whatever stands in place of an event is skipped in every stream."""
    for stream in Stream:
        found = read(stream, line(bad))

        assert (found.events, found.skipped) == ([], 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"local_time":"' + b"\xff" * 10 + b'"}',
        line(height="7"),
        line(height=-1),
        line(height=10**40),
        line(block_time="yesterday"),
        line(block_time="2026-02-31T00:00:00"),
        line(diff("remove"))[:-1],
    ],
)
def test_line_that_is_no_line(data: bytes) -> None:
    """A line that is no envelope is a problem and no error, in every stream."""
    for stream in Stream:
        assert isinstance(parse_line(stream, data), Problem)


def test_problems_of_a_line_are_bounded() -> None:
    """A line full of nonsense is counted in full and told of in part."""
    found = read(Stream.DIFFS, line(*[diff("remove", side="X")] * 1000))

    assert found.skipped == 1000
    assert len(found.problems) == PROBLEMS_PER_LINE_MAX


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    """No bytes make the reader raise."""
    for stream in Stream:
        assert isinstance(parse_line(stream, data), Line | Problem)


@given(st.data())
def test_damaged_lines_never_raise(data: st.DataObject) -> None:
    """A real line with one byte changed is read, or is a problem, or has one."""
    whole = bytearray(line(diff({"new": {"sz": "0.61488"}}), diff("remove")))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))

    for stream in Stream:
        assert isinstance(parse_line(stream, bytes(whole)), Line | Problem)


def test_lines_of_one_block_become_one() -> None:
    """Lines with an event each are read together, block by block, and each keeps its mark."""
    lines = [line(diff("remove", oid=oid), height=1 + oid // 3) for oid in range(5)]

    runs = parse_run(Stream.DIFFS, lines)

    assert [
        (run.height, len(run.events), len(run.marks)) for run in runs if isinstance(run, Line)
    ] == [
        (1, 3, 3),
        (2, 2, 2),
    ]


@pytest.mark.parametrize("bad", [b"", b"{", line(diff("explode")), line(diff("remove", px="x"))])
def test_one_bad_line_among_many(bad: bytes) -> None:
    """A line that cannot be read spoils none of those that it was read together with."""
    good = line(diff("remove"))

    runs = parse_run(Stream.DIFFS, [good, bad, good])

    assert sum(len(run.events) for run in runs if isinstance(run, Line)) == 2
    assert len(runs) == 3


def test_height_by_a_look_at_the_head() -> None:
    """The height of a line is found without reading its events."""
    assert height_of(line(diff("remove"))) == 985148182
    assert height_of(b'{"events":[' + b" " * 300 + line()) is None


def test_same_events_have_the_same_checksum() -> None:
    """A line that is written again differs by its time of writing, and not by its checksum."""
    again = line(diff("remove")).replace(b"13.024084407", b"59.999999999", 1)

    assert read(Stream.DIFFS, line(diff("remove"))).marks == read(Stream.DIFFS, again).marks
    assert read(Stream.DIFFS, line(diff("remove", oid=1))).marks != read(Stream.DIFFS, again).marks


@given(st.integers(0, 10**24))
def test_decimals_are_exact(value: int) -> None:
    """Prices and sizes come back from their text to the last digit, however large."""
    assert e8(decimal_text(value)) == value


@given(st.integers(0, 4 * 10**18))
def test_times_are_exact(time_ns: int) -> None:
    """Times come back from their text to the nanosecond."""
    assert time_ns_of(time_text(time_ns)) == time_ns


def test_times_with_fewer_decimals() -> None:
    """Older samples have milliseconds only."""
    assert time_ms_of("2024-01-01T00:00:00.5") == 1704067200500
    assert time_ms_of("2024-01-01T00:00:00") == 1704067200000


def test_folders() -> None:
    """Each form of a stream has a folder of its own."""
    assert folder_of(Stream.DIFFS, Form.BLOCK) == "node_raw_book_diffs_by_block"
    assert folder_of(Stream.MISC, Form.STREAMING) == "misc_events_streaming"
