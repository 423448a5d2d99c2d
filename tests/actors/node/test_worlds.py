"""Nodes with everything that goes wrong, from a seed: what clients are told is true, or doubted.

A node writes with mishaps at random. Its files reach the reader in drips that end anywhere, each
stream at its own pace. Snapshots come now and then. Clients follow the native feed, come and go,
and prove their books at every message.
"""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import define, field

from actors.channels import ChannelsByKey
from actors.frames import Frame
from actors.node.feeds import BOOK, FeedDesk
from actors.node.oddities import Mishap, OddNode
from actors.node.offline import feed
from actors.node.synthetic import Profile, SyntheticChain
from actors.node.tail import Tail
from actors.subscription import Policy, Subscription
from api.bench.ingest import SinkOutlet
from model.node.coins import Coins
from model.node.decimals import decimal_text
from model.node.feed import FeedBook
from model.node.ingest import Applied, Ingest
from model.node.lines import Form, Stream, folder_of
from model.node.snapshot import read_snapshot
from model.views.depth import BookSide

PROFILE = Profile(coins=6, orders=200, changes=8, rejections=3)
BLOCKS = 120
MISHAP_SHARE = 0.15
CLIENTS = 4
UNSEEN = {(Mishap.GAP, Form.STREAMING)}
"""What leaves no trace of itself, so that no reader could tell of it before a comparison."""
NOT_IN_DRIPS = {Mishap.INODE, Mishap.LONG_LINE}
"""What has tests of its own: a mirror does not follow a rename, and 25 MB drip too slowly."""


class Inbox(SinkOutlet):
    """Keeps the messages of one client."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []

    def _take(self, frame: Frame) -> bool:
        self.messages.append(json.dumps(json.loads(frame.payload)["data"]).encode())
        return True


@define(eq=False)
class Client:
    """Follows one coin, and remembers where it stood when it comes back."""

    coin: str
    book: FeedBook = field(factory=FeedBook)
    inbox: Inbox = field(factory=Inbox)
    subscription: Subscription | None = None


@define(eq=False)
class World:
    """A node, drips of its files, a reader and its clients; ``claims`` counts proven books."""

    node: OddNode
    mirror: Path
    random: Random
    ingest: Ingest
    desk: FeedDesk
    tails: dict[Stream, Tail]
    clock: list[float]
    clients: list[Client] = field(factory=list)
    claims: int = 0
    resets: int = 0
    doubts: int = 0

    @classmethod
    def begin(cls, tmp_path: Path, form: Form, seed: int) -> "World":
        node = OddNode(SyntheticChain(seed, PROFILE), tmp_path / "node", form, Random(seed))
        coins = Coins()
        snapshot = read_snapshot(node.snapshot())
        coins.start(snapshot, snapshot.height or 0)
        desk = FeedDesk("w", coins, ChannelsByKey(), lambda: 0)
        clock = [0.0]
        mirror = tmp_path / "mirror"
        tails = {s: Tail(mirror / folder_of(s, form), clock=lambda: clock[0]) for s in Stream}
        world = cls(node, mirror, Random(seed + 1), Ingest(form, Stream, coins), desk, tails, clock)
        world.clients = [Client(coin) for coin in list(coins.by_name)[:CLIENTS]]
        return world

    def run(self) -> None:
        """Let it all happen, then let everything arrive."""
        mishaps = [
            mishap
            for mishap in Mishap
            if (mishap, self.node.form) not in UNSEEN and mishap not in NOT_IN_DRIPS
        ]
        for _ in range(BLOCKS):
            is_odd = self.random.random() < MISHAP_SHARE
            self.node.step(self.random.choice(mishaps) if is_odd else None)
            self.drip(everything=False)
            self.look()
            if self.random.random() < 0.05:
                self.compare()
            self.come_and_go()
        for _ in range(40):
            self.drip(everything=True)
            self.look()

    def end(self) -> None:
        """Let go of the files."""
        self.node.writer.close()
        for tail in self.tails.values():
            tail.close()

    def drip(self, *, everything: bool) -> None:
        """Let some bytes of each stream arrive, file after file."""
        for stream in Stream:
            source = self.node.root / folder_of(stream, self.node.form) / "hourly"
            budget = None if everything else self.random.randrange(6_000)
            for path in sorted(source.glob("*/*"), key=_written_order):
                target = self.mirror / path.relative_to(self.node.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                have = target.stat().st_size if target.exists() else 0
                data = path.read_bytes()[have:]
                piece = data if budget is None else data[:budget]
                with target.open("ab") as file:
                    file.write(piece)
                if budget is not None:
                    budget -= len(piece)
                if len(piece) < len(data):
                    break

    def look(self) -> None:
        """Read what is there; publish; have every client take what it was sent."""
        self.clock[0] += self.random.choice((0.1, 0.3, 2.0))
        for stream, tail in self.tails.items():
            for blocks in feed(self.ingest, stream, tail.read(), int(self.clock[0] * 1_000)):
                self.publish(blocks)
        self.publish(self.ingest.blocks(int(self.clock[0] * 1_000)))
        self.desk.beat(self.clock[0])
        self.take_all()

    def publish(self, blocks: Any) -> None:
        applied: Applied
        for applied in blocks:
            self.desk.publish(applied, self.clock[0])

    def compare(self) -> None:
        """A snapshot of the node's newest block arrives; looked at when that block is there."""
        coins, height = self.ingest.coins, self.node.chain.height
        snapshot = read_snapshot(self.node.snapshot())
        self.node.step()
        for _ in range(100):
            if coins.height >= height:
                break
            self.drip(everything=True)
            self.look()
        healing = coins.look_at(snapshot, height)
        if healing is not None:
            self.desk.reset(healing.reset, self.clock[0])
            self.desk.confirm(healing.confirmed)
            self.resets += len(healing.reset)
        self.take_all()

    def come_and_go(self) -> None:
        """A client may leave, and come back with what it has."""
        client = self.random.choice(self.clients)
        if client.subscription is not None:
            if self.random.random() < 0.2:
                self.desk.channels.of(client.coin).discard(BOOK, client.subscription)
                client.subscription = None
            return
        client.inbox = Inbox()
        client.subscription = Subscription(
            client.coin,
            client.inbox,
            Policy.LOSSLESS,
            wake=lambda _: True,
            on_end=lambda *_: None,
        )
        resume = (client.book.epoch, client.book.seq) if client.book.epoch else None
        self.desk.subscribe(BOOK, client.coin, client.subscription, resume)

    def take_all(self) -> None:
        """Every message proves itself; every diff that is not doubted is compared with the truth.

        What a client missed is caught up with as it was sent then; where it was doubted since, that
        is told at the end of it.
        """
        for client in self.clients:
            messages, client.inbox.messages = client.inbox.messages, []
            taken = [client.book.take(message) for message in messages]
            self.doubts += sum(message.kind == "doubt" for message in taken)
            if not taken or client.book.is_doubtful:
                continue
            self.claims += 1
            truth = self.node.truths.get((client.coin, self.last_change(client.coin)))
            if truth is not None:
                shown = best(client.book.bids), best(client.book.asks)
                assert shown == (truth["bid"], truth["ask"]), (client.coin, client.book.height)

    def last_change(self, coin: str) -> int:
        """Return the last block that changed a coin, of those that were applied."""
        height = self.ingest.coins.height
        return max((h for c, h in self.node.truths if c == coin and h <= height), default=-1)


def _written_order(path: Path) -> tuple[int, int]:
    return int(path.parent.name), int(path.name) if path.name.isdecimal() else -1


def best(side: BookSide) -> dict[str, object] | None:
    """Return the best level of a client's book as the truth shows it."""
    level = side.best()
    if level is None:
        return None
    return {"px": decimal_text(level.price), "sz": decimal_text(level.lots), "n": level.count}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("seed", range(5))
def test_every_claim_is_true(tmp_path: Path, form: Form, seed: int) -> None:
    """Whatever goes wrong, no client holds a wrong book that it was not warned of."""
    world = World.begin(tmp_path, form, seed)

    world.run()
    world.end()

    assert world.claims > BLOCKS / 6
    heights = sorted({height for _, height in world.node.truths})
    assert world.ingest.coins.height >= heights[-2 if form is Form.STREAMING else -1]


@pytest.mark.parametrize("form", Form)
def test_a_snapshot_ends_all_doubt(tmp_path: Path, form: Form) -> None:
    """After all that, one fresh snapshot makes every book whole and true."""
    world = World.begin(tmp_path, form, 99)
    world.run()
    coins = world.ingest.coins

    world.node.step()
    world.compare()
    world.end()

    assert coins.in_doubt() == []
    for name, coin in coins.by_name.items():
        truth = world.node.truths.get((name, world.last_change(name)))
        if truth is not None:
            assert (best(coin.book.bids), best(coin.book.asks)) == (truth["bid"], truth["ask"])
