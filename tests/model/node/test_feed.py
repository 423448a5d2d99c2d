"""The native feed: its document's test vectors, what a client refuses, and what the ring keeps."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from model.node import feed
from model.node.feed import FeedBook, FeedError, Ring, checksum, set_level
from model.views.depth import BookSide

DOCUMENT = Path(__file__).parents[3] / "docs" / "feed.md"


def vectors() -> list[dict[str, Any]]:
    """Return the messages of the document."""
    (block,) = re.findall(
        r"## Test vectors.*?```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL
    )
    return [json.loads(line) for line in block.splitlines()]


def encoded(message: dict[str, Any], **changes: Any) -> bytes:
    """Return a message as it is sent."""
    return json.dumps({**message, **changes}).encode()


def test_vectors_are_accepted() -> None:
    """A client that follows the document has the book of the document after its messages."""
    book = FeedBook()
    for message in vectors():
        book.take(encoded(message))

    assert (book.epoch, book.seq, book.is_doubtful) == ("7d1c-1", 43, True)
    assert [level.price for level in book.bids] == [8130700000000, 8130650000000]
    assert list(book.asks) == []


@pytest.mark.parametrize(
    ("index", "changes"),
    [(1, {"prev": 40}), (1, {"epoch": "7d1c-2"}), (1, {"crc": 1}), (3, {}), (2, {})],
)
def test_what_does_not_follow_is_refused(index: int, changes: dict[str, Any]) -> None:
    """A message that does not continue the book, or does not prove it, is not applied."""
    messages = vectors()
    book = FeedBook()
    book.take(encoded(messages[0]))

    with pytest.raises(FeedError):
        book.take(encoded(messages[index], **changes))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"kind":"party"}'])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Bytes that are no message are refused as such."""
    with pytest.raises(FeedError):
        FeedBook().take(data)


def test_reset_begins_anew() -> None:
    """A snapshot of a new epoch replaces everything, doubt included."""
    messages = vectors()
    book = FeedBook()
    for message in messages:
        book.take(encoded(message))

    book.take(encoded(messages[0], epoch="7d1c-9", seq=0))

    assert (book.epoch, book.seq, book.is_doubtful) == ("7d1c-9", 0, False)
    assert len(list(book.asks)) == 1


def test_whole_ends_doubt() -> None:
    """A book that turns out to be right goes on as it is."""
    messages = vectors()
    book = FeedBook()
    for message in messages:
        book.take(encoded(message))

    book.take(encoded(messages[-1], kind="whole"))

    assert not book.is_doubtful


def test_ring_tells_what_was_missed() -> None:
    """A client is given all that followed, or nothing if some of it is gone."""
    ring = Ring()
    for seq in range(10, 20):
        ring.add(seq, b"%d" % seq)

    assert ring.after(16, 19) == [b"17", b"18", b"19"]
    assert ring.after(9, 19) == [b"%d" % seq for seq in range(10, 20)]
    assert ring.after(19, 19) == []
    assert ring.after(8, 19) is None
    assert ring.after(20, 19) is None


def test_ring_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither many diffs nor large ones fill the memory."""
    monkeypatch.setattr(feed, "RING_DIFFS", 3)
    monkeypatch.setattr(feed, "RING_BYTES", 100)
    many, large = Ring(), Ring()
    for seq in range(10):
        many.add(seq, b"x")
        large.add(seq, b"x" * 60)

    assert many.after(5, 9) is None
    assert many.after(6, 9) == [b"x"] * 3
    assert large.after(7, 9) is None
    assert large.after(8, 9) == [b"x" * 60]


def test_levels_are_set() -> None:
    """A level becomes what is sent, whatever it was."""
    side = BookSide(-1)
    for price, size, count in ((5, 10, 2), (6, 1, 1), (5, 4, 1), (6, 0, 0), (7, 0, 0)):
        set_level(side, price, size, count)

    assert [(level.price, level.lots, level.count) for level in side] == [(5, 4, 1)]
    assert checksum(BookSide(1), side) == checksum(BookSide(1), side)
