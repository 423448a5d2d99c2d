"""Our own client of the native feed: a book that proves itself, whatever the connection does.

The rules are those of ``docs/feed.md``. After a disconnect the feed goes on where the book stands,
if the server still has what came since; a book that does not agree with the server's is dropped and
begun anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
import trio

from api.client import Client
from api.client_errors import FeedOverflowError
from api.client_feeds import Feed, Frame, Interruption, Overflow
from model.node.feed import FeedBook, FeedError, FeedMessage

FRAMES_WAITING_MAX: Final = 4_096
"""Messages that may wait for the reader. When they are more, the book begins anew."""

AGAIN_SECONDS: Final = 1.0
"""How long to wait before a book is begun anew, so that a broken server is not pressed."""

Told: TypeAlias = Callable[[FeedBook, FeedMessage], None]
"""Is told of each message after the book took it in and proved it. Must not keep the book."""


async def follow_book(client: Client, coin: str, told: Told) -> None:
    """Keep a coin's book, for ever.

    Raises:
        SubscriptionRefusedError: the server has no such feed or coin.
    """
    wanted = {"type": "book", "coin": coin}
    while True:
        async with client.subscribe(
            wanted, overflow=Overflow.FAIL, frames_waiting_max=FRAMES_WAITING_MAX
        ) as feed:
            try:
                await _keep(feed, wanted, told)
            except (FeedError, FeedOverflowError):
                feed.subscription = wanted
        await trio.sleep(AGAIN_SECONDS)


async def _keep(feed: Feed, wanted: dict[str, Any], told: Told) -> None:
    """Apply what a feed says to a new book until it fails."""
    book, is_back = FeedBook(), False
    async for item in feed:
        if isinstance(item, Interruption):
            is_back = True
            continue
        if _is_for(book, item, is_back=is_back):
            message = book.take(msgspec.json.encode(item.data))
            feed.subscription = {**wanted, "from": {"epoch": book.epoch, "seq": book.seq}}
            told(book, message)


def _is_for(book: FeedBook, frame: Frame, *, is_back: bool) -> bool:
    """Tell whether a message is news.

    A new book begins with a snapshot. After a disconnect the server tells again what had arrived
    but was not read when the connection broke.
    """
    match frame.data:
        case {"kind": "snapshot"}:
            return True
        case {"kind": "diff", "epoch": book.epoch, "seq": int(seq)} if is_back:
            return seq > book.seq
        case _:
            return bool(book.epoch)
