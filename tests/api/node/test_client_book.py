"""Our own client of the native feed, beside a node that runs."""

from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field

from api import client_book
from api.client import Client, open_client
from api.client_book import follow_book
from api.client_errors import SubscriptionRefusedError
from model.node.feed import FeedBook, FeedMessage
from tests.api.node.test_program import COIN, Beside, beside, best

SECONDS_MAX = 20.0

pytestmark = pytest.mark.program


@define
class Follower:
    """Notes what a book's messages were, and compares each proven book with the truth."""

    there: Beside
    kinds: list[str] = field(factory=list)
    wrong: list[int] = field(factory=list)
    last: dict[str, Any] = field(factory=dict)

    def told(self, book: FeedBook, message: FeedMessage) -> None:
        self.kinds.append(message.kind)
        self.last = {"bid": best(book.bids), "ask": best(book.asks)}
        truth = self.there.node.truths.get((COIN, message.height))
        if message.kind != "diff" or truth is None or book.is_doubtful:
            return
        if self.last != {"bid": truth["bid"], "ask": truth["ask"]}:
            self.wrong.append(message.height)

    async def agrees(self) -> None:
        """Wait until the book is that of the node's newest block."""
        truth = self.there.node.chain.truth(COIN)
        with trio.fail_after(SECONDS_MAX):
            while self.last != {"bid": truth["bid"], "ask": truth["ask"]}:  # noqa: ASYNC110
                await trio.sleep(0.02)


async def break_connection(client: Client) -> None:
    """Close the socket under a client."""
    socket = client.link._socket
    assert socket is not None
    await socket.aclose()


async def test_book_goes_on_after_a_disconnect(tmp_path: Path) -> None:
    """The client resumes where its book stands: one snapshot, and every book is the truth."""
    async with beside(tmp_path) as there, open_client(there.url) as client:
        follower = Follower(there)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_book, client, COIN, follower.told)
            await follower.agrees()
            for _ in range(3):
                for _ in range(5):
                    there.node.step()
                await break_connection(client)
                for _ in range(5):
                    there.node.step()
                await follower.agrees()
            nursery.cancel_scope.cancel()

    assert follower.wrong == []
    assert follower.kinds.count("snapshot") == 1
    assert follower.kinds.count("diff") > 15


async def test_book_that_cannot_be_proven_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose book went wrong sees it by the checksum, drops it, and asks for another."""
    monkeypatch.setattr(client_book, "AGAIN_SECONDS", 0.01)
    async with beside(tmp_path) as there, open_client(there.url) as client:
        follower = Follower(there)

        def spoil(book: FeedBook, message: FeedMessage) -> None:
            follower.told(book, message)
            if follower.kinds == ["snapshot"]:
                best_bid = book.bids.best()
                assert best_bid is not None
                book.bids.take(best_bid.price, 1, 0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_book, client, COIN, spoil)
            with trio.fail_after(SECONDS_MAX):
                while follower.kinds.count("snapshot") < 2:
                    there.node.step()
                    await trio.sleep(0.05)
            await follower.agrees()
            nursery.cancel_scope.cancel()

    assert follower.wrong == []


async def test_coin_that_is_not_there(tmp_path: Path) -> None:
    """What the server does not serve is told as such."""
    async with beside(tmp_path) as there, open_client(there.url) as client:
        with trio.fail_after(SECONDS_MAX), pytest.raises(SubscriptionRefusedError):
            await follow_book(client, "NOWHERE", lambda *_: None)
