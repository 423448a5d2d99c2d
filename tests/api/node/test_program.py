"""The gateway beside a node, on a free port: its answers and streams against the node's truth."""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio_websocket
from attrs import define, field

from actors.node.follower import Compare
from actors.node.oddities import Mishap, OddNode
from actors.node.synthetic import Profile, SyntheticChain
from api.node.program import NodeProgram, NodeSettings, open_node_program
from model.node.decimals import decimal_text
from model.node.feed import FeedBook
from model.node.lines import Form, Status
from model.views.depth import BookSide

PROFILE = Profile(coins=5, orders=200, changes=8, rejections=4)
COIN = "BTC"
RECEIVE_SECONDS_MAX = 20.0

pytestmark = pytest.mark.program


@define
class Client:
    """A WebSocket client of a gateway."""

    connection: trio_websocket.WebSocketConnection

    async def subscribe(self, **subscription: Any) -> None:
        message = {"method": "subscribe", "subscription": subscription}
        await self.connection.send_message(json.dumps(message))

    async def until(self, channel: str) -> Any:
        """Return the data of the next frame of a channel."""
        with trio.fail_after(RECEIVE_SECONDS_MAX):
            while True:
                frame = json.loads(await self.connection.get_message())
                if frame["channel"] == channel:
                    return frame["data"]


@define
class Beside:
    """A node, and the gateway beside it."""

    node: OddNode
    program: NodeProgram
    snapshot: Path
    clients: list[Client] = field(factory=list)

    @property
    def url(self) -> str:
        return self.program.urls[0]

    async def ask(self, **question: Any) -> Any:
        return await trio.to_thread.run_sync(self._post, "/info", question)

    async def act(self, **action: Any) -> Any:
        return await trio.to_thread.run_sync(self._post, "/exchange", action)

    def _post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        url = self.url.replace("http", "ws") + "/ws"
        async with trio_websocket.open_websocket_url(url, max_message_size=1 << 24) as connection:
            yield Client(connection)

    async def caught_up(self) -> None:
        """Wait until the gateway has applied the node's newest block that changed a book."""
        newest = max(height for _, height in self.node.truths)
        with trio.fail_after(RECEIVE_SECONDS_MAX):
            while self.program.gateway.status.height < newest:  # noqa: ASYNC110 - no event for it
                await trio.sleep(0.02)

    def renew_snapshot(self) -> None:
        """Put a snapshot of now where the gateway looks for one."""
        fresh = self.snapshot.with_suffix(".new")
        fresh.write_bytes(self.node.snapshot())
        fresh.rename(self.snapshot)


@asynccontextmanager
async def beside(
    tmp_path: Path, form: Form = Form.BLOCK, upstream: str | None = None
) -> AsyncIterator[Beside]:
    """Start a node and a gateway beside it."""
    root, snapshot = tmp_path / "node", tmp_path / "snapshot.json"
    root.mkdir(parents=True)
    node = OddNode(SyntheticChain(3, PROFILE), root, form, Random(3))
    snapshot.write_bytes(node.snapshot())
    for _ in range(5):
        node.step()
    settings = NodeSettings(root, tmp_path / "data", snapshot, upstream=upstream, port=0)
    async with open_node_program(settings) as program:
        yield Beside(node, program, snapshot)
    node.writer.close()


def best(side: BookSide) -> dict[str, object] | None:
    """Return the best level of a client's book as the truth shows it."""
    level = side.best()
    if level is None:
        return None
    return {"px": decimal_text(level.price), "sz": decimal_text(level.lots), "n": level.count}


@pytest.mark.parametrize("form", Form)
async def test_native_feed_equals_the_truth(tmp_path: Path, form: Form) -> None:
    """A client of the feed has the true book at every message, and proves it by checksum."""
    async with beside(tmp_path, form) as there, there.client() as client:
        await there.caught_up() if form is Form.BLOCK else None
        await client.subscribe(type="book", coin=COIN)
        book = FeedBook()
        book.take(json.dumps(await client.until("book")).encode())
        for index in range(30):
            there.node.step(Mishap.REWIND if index == 20 else None)
        last = max(height for coin, height in there.node.truths if coin == COIN)
        there.node.step()
        seen = 0
        while book.height < last - (form is Form.STREAMING):
            message = book.take(json.dumps(await client.until("book")).encode())
            if message.kind == "diff":
                truth = there.node.truths[COIN, message.height]
                assert (best(book.bids), best(book.asks)) == (truth["bid"], truth["ask"])
                seen += 1

    assert seen > 10


async def test_resumption_without_a_snapshot(tmp_path: Path) -> None:
    """A client that comes back soon is given what it missed, and nothing else."""
    async with beside(tmp_path) as there:
        await there.caught_up()
        book = FeedBook()
        async with there.client() as client:
            await client.subscribe(type="book", coin=COIN)
            book.take(json.dumps(await client.until("book")).encode())
        for _ in range(10):
            there.node.step()
        await there.caught_up()
        async with there.client() as client:
            start = {"epoch": book.epoch, "seq": book.seq}
            await client.subscribe(type="book", coin=COIN, **{"from": start})
            kinds: list[str] = []
            while not kinds or kinds[-1] == "diff":
                kinds.append(book.take(json.dumps(await client.until("book")).encode()).kind)
        truth = there.node.chain.truth(COIN)

    assert set(kinds) == {"diff", "heartbeat"}
    assert (best(book.bids), best(book.asks)) == (truth["bid"], truth["ask"])


async def test_loss_is_told_and_healed(tmp_path: Path) -> None:
    """A missing block is told as doubt; a snapshot that covers it ends it, and the book is true."""
    async with beside(tmp_path) as there, there.client() as client:
        await there.caught_up()
        await there.ask(type="l2Book", coin=COIN)  # its actor is awake before the loss
        await client.subscribe(type="book", coin=COIN)
        book = FeedBook()
        book.take(json.dumps(await client.until("book")).encode())
        for index in range(10):
            there.node.step(Mishap.GAP if index in {3, 4} else None)
        await there.caught_up()
        kind = ""
        while kind != "doubt":
            kind = book.take(json.dumps(await client.until("book")).encode()).kind
        there.renew_snapshot()
        fresh = await trio.to_thread.run_sync(there.program.snapshots.fresh)
        assert fresh is not None
        there.program.gateway.follower.tell(Compare(fresh))
        with trio.fail_after(RECEIVE_SECONDS_MAX):
            while book.is_doubtful:
                book.take(json.dumps(await client.until("book")).encode())
        truth = there.node.chain.truth(COIN)
        public = await there.ask(type="l2Book", coin=COIN)
        orders = there.node.chain.books[COIN]

    assert (best(book.bids), best(book.asks)) == (truth["bid"], truth["ask"])
    for is_bid, shown in zip((True, False), public["levels"], strict=True):
        prices = sorted(orders.sides[is_bid], reverse=is_bid)[:20]
        assert [level["px"] for level in shown] == [decimal_text(price) for price in prices]


async def test_public_api_of_a_node(tmp_path: Path) -> None:
    """Books, mids and open orders are answered as the public API does; the rest is refused."""
    async with beside(tmp_path) as there:
        await there.caught_up()
        await there.ask(type="l2Book", coin=COIN)  # the coin's actor is awake then
        book = await there.ask(type="l2Book", coin=COIN)
        order = next(iter(there.node.chain.books[COIN].where.values()))
        orders = await there.ask(type="openOrders", user=order.user)
        mids = await there.ask(type="allMids")
        meta = await there.ask(type="meta")
        with pytest.raises(urllib.error.HTTPError) as refused:
            await there.ask(type="clearinghouseState", user=order.user)
        refused.value.close()
        truth = there.node.chain.truth(COIN)

    assert book["levels"][0][:1] == [truth["bid"]]
    assert book["levels"][1][:1] == [truth["ask"]]
    assert order.oid in [shown["oid"] for shown in orders]
    assert COIN in mids
    assert COIN in [coin["name"] for coin in meta["universe"]]
    assert refused.value.code == 422


async def test_orders_one_by_one(tmp_path: Path) -> None:
    """``l4Book`` shows every order, then the statuses and diffs of each block."""
    async with beside(tmp_path) as there, there.client() as client:
        await there.caught_up()
        oids = set(there.node.chain.books[COIN].where)
        await client.subscribe(type="l4Book", coin=COIN)
        snapshot = (await client.until("l4Book"))["Snapshot"]
        there.node.step()
        while (COIN, there.node.chain.height) not in there.node.truths:
            there.node.step()
        updates = (await client.until("l4Book"))["Updates"]

    assert {order["oid"] for side in snapshot["levels"] for order in side} == oids
    assert updates["book_diffs"]
    assert updates["prev"] + 1 == updates["seq"]


async def test_account_streams(tmp_path: Path) -> None:
    """An account's changes of orders come as the node wrote them."""
    async with beside(tmp_path) as there, there.client() as client:
        await there.caught_up()
        user = there.node.chain.owners[0]
        await client.subscribe(type="openOrders", user=user)
        await client.until("openOrders")
        await client.subscribe(type="orderUpdates", user=user)
        await client.until("subscriptionResponse")
        statuses: list[Status] = []
        while not statuses:
            block = there.node.step()
            statuses = [status for status in block.statuses if status.user == user]
        updates = await client.until("orderUpdates")

    assert [update["order"]["oid"] for update in updates] == [s.order.oid for s in statuses]
    assert [update["status"] for update in updates] == [s.status for s in statuses]


async def test_actions_without_an_upstream(tmp_path: Path) -> None:
    """A node's files take no orders, and the refusal says what to do about it."""
    async with beside(tmp_path) as there:
        answer = await there.act(action={"type": "noop"}, nonce=1, signature={})

    assert answer["status"] == "err"
    assert "--upstream" in answer["response"]


async def test_actions_go_upstream_unchanged(tmp_path: Path) -> None:
    """With an upstream, an action goes there as it came, and its answer comes back as it is."""
    async with (
        beside(tmp_path / "a") as upstream,
        beside(tmp_path / "b", upstream=upstream.url) as there,
    ):
        answer = await there.act(action={"type": "noop"}, nonce=1, signature={})

    assert answer["status"] == "err"
    assert "--upstream" in answer["response"]


async def test_staleness_fails_readiness(tmp_path: Path) -> None:
    """Blocks of long ago are shown, but no traffic should be given to such a gateway."""
    async with beside(tmp_path) as there:
        await there.caught_up()
        status = await there.ask(type="exchangeStatus")

    assert status["height"] == there.program.gateway.status.height
    assert "old" in status["notReady"]
