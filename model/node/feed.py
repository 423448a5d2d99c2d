"""The native feed of a book: what is sent, what is kept for who comes back, what a client does.

Every message names ``epoch`` and ``seq``. Within an epoch, a *diff* follows the message whose
sequence is its ``prev``, and brings the book to its own ``seq``; its ``crc`` is that of the best
levels then, so a client proves its book at each message. A *snapshot* is the whole book at its
``seq``. What leaves the book in doubt, or makes it whole again, is said; a healed book begins a new
epoch with a snapshot. ``docs/feed.md`` is the same for readers without this code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, Literal
from zlib import crc32

import msgspec
from msgspec import Struct

from model.node.book import Move
from model.node.decimals import decimal_text, e8
from model.views.depth import BookSide

CRC_LEVELS: Final = 10
"""Levels of each side that the checksum covers."""

RING_DIFFS: Final = 4_096
"""Diffs of a coin that are kept for clients that come back: minutes of a busy coin."""

RING_BYTES: Final = 2 << 20
"""Bytes of them at most."""

LevelText = tuple[str, str, int]
"""Price, size and number of orders; no orders means that the level is gone."""


class FeedMessage(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One message of the feed.

    ``time`` is the block's, ``node_time`` the node's text of when it wrote it, ``sent`` our clock
    (ms) when the message was made. ``why`` tells why a snapshot was sent or what raised doubt.
    """

    kind: Literal["snapshot", "diff", "doubt", "whole", "heartbeat"]
    coin: str
    epoch: str
    seq: int
    height: int
    time: int
    prev: int | None = None
    crc: int | None = None
    node_time: str = ""
    sent: int = 0
    why: str = ""
    bids: tuple[LevelText, ...] | None = None
    asks: tuple[LevelText, ...] | None = None
    is_doubtful: bool = False


def checksum(bids: BookSide, asks: BookSide) -> int:
    """Return the checksum of a book's best levels.

    CRC-32 of ``px:sz`` of the first bid, the first ask, the second bid and so on, joined by colons;
    a side that has no such level is left out.
    """
    best = [list(islice(side, CRC_LEVELS)) for side in (bids, asks)]
    texts = [
        f"{decimal_text(level.price)}:{decimal_text(level.lots)}"
        for index in range(CRC_LEVELS)
        for levels in best
        for level in levels[index : index + 1]
    ]
    return crc32(":".join(texts).encode())


def level_texts(moves: Iterable[Move], *, is_bid: bool) -> tuple[LevelText, ...]:
    """Return the levels of one side as they are sent."""
    return tuple(
        (decimal_text(move.price), decimal_text(move.size), move.count)
        for move in moves
        if move.is_bid is is_bid
    )


def side_texts(side: BookSide) -> tuple[LevelText, ...]:
    """Return a whole side as it is sent, best first."""
    return tuple(
        (decimal_text(level.price), decimal_text(level.lots), level.count) for level in side
    )


class Ring:
    """The newest encoded diffs of one epoch, oldest first."""

    def __init__(self) -> None:
        self._diffs: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def add(self, seq: int, frame: bytes) -> None:
        """Keep a diff; the oldest make room for it."""
        self._diffs.append((seq, frame))
        self._bytes += len(frame)
        while len(self._diffs) > RING_DIFFS or (self._bytes > RING_BYTES and len(self._diffs) > 1):
            self._bytes -= len(self._diffs.popleft()[1])

    def after(self, seq: int, newest: int) -> list[bytes] | None:
        """Return what followed a sequence number up to the newest; ``None`` if some is gone."""
        if seq == newest:
            return []
        if not self._diffs or not self._diffs[0][0] - 1 <= seq < newest:
            return None
        return [frame for number, frame in self._diffs if number > seq]


class FeedError(Exception):
    """A message that a client must not apply: it has to subscribe again, without ``from``."""


_message = msgspec.json.Decoder(FeedMessage)


class FeedBook:
    """What a client holds: the book of a coin, proven at every message.

    ``is_doubtful`` tells whether the server said that the book may be wrong.
    """

    def __init__(self) -> None:
        self.epoch = ""
        self.seq = -1
        self.height = 0
        self.time = 0
        self.is_doubtful = False
        self.bids = BookSide(1)
        self.asks = BookSide(-1)

    def take(self, data: bytes) -> FeedMessage:
        """Apply the data of a message.

        Raises:
            FeedError: it does not follow what was applied before, or the book is not the server's.
        """
        try:
            message = _message.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FeedError(f"not a message: {error}") from error
        match message.kind:
            case "snapshot":
                self._replace(message)
            case "diff":
                self._change(message)
            case _:
                self._follow(message)
        self.height, self.time = message.height, message.time
        return message

    def _replace(self, message: FeedMessage) -> None:
        self.bids, self.asks = BookSide(1), BookSide(-1)
        self.epoch, self.seq, self.is_doubtful = message.epoch, message.seq, message.is_doubtful
        self._set(message)
        self._prove(message)

    def _change(self, message: FeedMessage) -> None:
        if message.epoch != self.epoch or message.prev != self.seq:
            raise FeedError(
                f"at {self.epoch}/{self.seq}, but {message.epoch}/{message.prev} was sent before"
            )
        self.seq = message.seq
        self._set(message)
        self._prove(message)

    def _follow(self, message: FeedMessage) -> None:
        """What changes nothing must still find us where the server is."""
        if (message.epoch, message.seq) != (self.epoch, self.seq):
            raise FeedError(f"at {self.epoch}/{self.seq}, the server at {message.seq}")
        if message.kind == "doubt":
            self.is_doubtful = True
        elif message.kind == "whole":
            self.is_doubtful = False

    def _set(self, message: FeedMessage) -> None:
        for side, levels in ((self.bids, message.bids), (self.asks, message.asks)):
            for price_text, size_text, count in levels or ():
                set_level(side, e8(price_text), e8(size_text), count)

    def _prove(self, message: FeedMessage) -> None:
        if message.crc != checksum(self.bids, self.asks):
            raise FeedError(f"the book at {message.epoch}/{message.seq} is not the server's")


def set_level(side: BookSide, price: int, size: int, count: int) -> None:
    """Make a level what it is now; one of no orders goes."""
    known = side.levels.get(price * side.sign)
    if known is not None:
        if count and known[1]:
            known[1] = count
            side.take(price, known[0] - size, 0)
            return
        known[1] = 1
        side.take(price, known[0], 1)
    if count:
        side.add(price, size)
        side.levels[price * side.sign][1] = count
