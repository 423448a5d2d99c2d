"""Every odd case of real nodes, read from files as they grow: books are right, or in doubt."""

import os
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from attrs import define, field

from actors.node.oddities import LOSSES, Mishap, OddNode
from actors.node.offline import detect_form, feed, read_to_the_end, streams_of
from actors.node.synthetic import Profile, SyntheticChain
from actors.node.tail import Tail
from actors.node.writer import path_of
from model.node.book import NodeBook, compare
from model.node.coins import Coins
from model.node.decimals import decimal_text
from model.node.ingest import Applied, Ingest
from model.node.lines import Form, Stream, folder_of
from model.node.snapshot import read_snapshot
from model.views.depth import Level

PROFILE = Profile(coins=10, orders=300, changes=10, rejections=5)


def node(root: Path, form: Form, seed: int, profile: Profile = PROFILE) -> OddNode:
    """Return a node that writes below a folder."""
    return OddNode(SyntheticChain(seed, profile), root, form, Random(seed))


@define
class Reader:
    """Reads a node's files as they grow; time passes a little with each look.

    ``claims`` counts the books that were said to be whole, ``wrong`` names those that were not.
    """

    node: OddNode
    ingest: Ingest
    tails: dict[Stream, Tail]
    now: list[float]
    claims: int = 0
    wrong: list[str] = field(factory=list)

    @classmethod
    def begin(cls, node: OddNode) -> "Reader":
        """Begin with a snapshot of where the node stands."""
        coins = Coins()
        found = read_snapshot(node.snapshot())
        assert found.height is not None
        coins.start(found, found.height)
        now = [0.0]
        tails = {
            stream: Tail(node.root / folder_of(stream, node.form), clock=lambda: now[0])
            for stream in Stream
        }
        return cls(node, Ingest(node.form, Stream, coins), tails, now)

    def look(self, seconds: float = 0.5) -> None:
        """Read what is there, and compare every book that is claimed with the truth."""
        self.now[0] += seconds
        for stream, tail in self.tails.items():
            for blocks in feed(self.ingest, stream, tail.read(), int(self.now[0] * 1_000)):
                self._judge(blocks)
        self._judge(self.ingest.blocks(int(self.now[0] * 1_000)))

    def end(self) -> None:
        """Read to the end."""
        for _ in range(40):
            self.look()
        self._judge(self.ingest.finish())
        for tail in self.tails.values():
            tail.close()

    def _judge(self, blocks: Iterable[Applied]) -> None:
        claims, wrong = wrong_claims(self.node, blocks)
        self.claims += claims
        self.wrong += wrong


def wrong_claims(node: OddNode, blocks: Iterable[Applied]) -> tuple[int, list[str]]:
    """Compare every book that is claimed to be whole with the truth.

    Returns:
        how many claims there were, and those that are wrong.
    """
    claims, wrong = 0, []
    for applied in blocks:
        for change in applied.changes.changes:
            coin = change.coin
            if coin.is_whole:
                claims += 1
                truth = node.truths[coin.name, applied.block.height]
                shown = shown_level(coin.book.bids.best()), shown_level(coin.book.asks.best())
                if shown != (truth["bid"], truth["ask"]):
                    wrong.append(f"{coin.name} at {applied.block.height}")
    return claims, wrong


def shown_level(level: Level | None) -> dict[str, object] | None:
    """Return a level as the truth shows it."""
    if level is None:
        return None
    return {"px": decimal_text(level.price), "sz": decimal_text(level.lots), "n": level.count}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("mishap", [mishap for mishap in Mishap if mishap not in LOSSES])
def test_harmless_case_leaves_no_trace(tmp_path: Path, form: Form, mishap: Mishap) -> None:
    """What a node may do without losing anything makes no book wrong and none doubtful."""
    odd = node(tmp_path, form, 7)
    reader = Reader.begin(odd)
    for index in range(60):
        odd.step(mishap if index % 20 == 10 else None)
        reader.look()
    odd.writer.close()
    reader.end()

    assert reader.wrong == []
    assert reader.claims == len(odd.truths)
    assert reader.ingest.coins.in_doubt() == []


@pytest.mark.parametrize(
    ("mishap", "form"),
    [(m, f) for m in LOSSES for f in Form if (m, f) != (Mishap.GAP, Form.STREAMING)],
)
def test_loss_is_announced_and_healed(tmp_path: Path, form: Form, mishap: Mishap) -> None:
    """After a loss no book is claimed that is wrong, and a later snapshot makes all whole again."""
    odd = node(tmp_path, form, 8)
    reader = Reader.begin(odd)
    for index in range(60):
        odd.step(mishap if 20 <= index < 23 else None)
        reader.look()
    odd.writer.close()
    reader.end()
    coins = reader.ingest.coins

    assert reader.wrong == []
    assert reader.ingest.counts.odd.total() > 0
    assert coins.look_at(read_snapshot(odd.snapshot()), odd.chain.height) is not None
    assert coins.in_doubt() == []
    for name, orders in odd.chain.snapshot().items():
        assert compare(coins.by_name[name].book, NodeBook(name, orders)) is None


def test_line_that_was_never_written_is_found_by_comparison(tmp_path: Path) -> None:
    """Streaming, nothing tells of a line that is not there: a snapshot finds it, for its coin."""
    odd = node(tmp_path, Form.STREAMING, 8)
    reader = Reader.begin(odd)
    for _ in range(10):
        odd.step()
        reader.look()
    block = odd.step(Mishap.GAP)
    odd.step()
    odd.writer.close()
    reader.end()
    coins = reader.ingest.coins

    healing = coins.look_at(read_snapshot(odd.snapshot()), odd.chain.height)

    assert healing is not None
    assert healing.confirmed == healing.doubtful == []
    assert len(healing.reset) <= 1
    assert set(healing.reset) <= {diff.coin for diff in block.diffs}
    for name, orders in odd.chain.snapshot().items():
        assert compare(coins.by_name[name].book, NodeBook(name, orders)) is None


@pytest.mark.parametrize("form", Form)
def test_offline_is_the_same(tmp_path: Path, form: Form) -> None:
    """Files that lie there are read to the same books as files that grow."""
    odd = node(tmp_path, form, 10)
    snapshot = read_snapshot(odd.snapshot())
    for index in range(100):
        odd.step(Mishap.REWIND if index % 40 == 30 else Mishap.HOUR if index == 50 else None)
    odd.writer.close()
    for stream in Stream:  # what was cut off is no line, what only lacks its newline is one
        path = path_of(tmp_path, stream, form, odd.now_ns)
        if path.exists():
            os.truncate(path, path.stat().st_size - 1)
    coins = Coins()
    coins.start(snapshot, snapshot.height or 0)
    ingest = Ingest(form, streams_of(tmp_path, form), coins)

    claims, wrong = wrong_claims(odd, read_to_the_end(tmp_path, form, ingest))

    assert wrong == []
    assert claims == len(odd.truths)


@pytest.mark.parametrize("form", Form)
def test_form_is_found_out(tmp_path: Path, form: Form) -> None:
    """Where both forms lie, the one that is written to last is the node's."""
    other = Form.STREAMING if form is Form.BLOCK else Form.BLOCK
    for index, written in enumerate((other, form)):
        odd = node(tmp_path, written, 9)
        for _ in range(3):
            odd.step()
        odd.writer.close()
        for path in tmp_path.rglob("*"):
            if path.is_file() and f"_{'by_' if written is Form.BLOCK else ''}{written}" in str(
                path
            ):
                os.utime(path, (1_000 + index, 1_000 + index))

    assert detect_form(tmp_path) is form
