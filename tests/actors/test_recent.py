import pytest

from actors import recent
from actors.recent import RecentBlocks
from model.exchange import Exchange
from tests.actors.trading import run

BLOCKS = [block for block, _ in run(Exchange(), 12, seed=5)]


def heights(recent_blocks: RecentBlocks, after: int, events_max: int = 10**6) -> list[int]:
    return [block.height for block in recent_blocks.take(after, events_max)]


def kept(*of: int) -> RecentBlocks:
    blocks = RecentBlocks()
    for height in of:
        blocks.add(BLOCKS[height - 1])
    return blocks


def test_blocks_are_handed_over_once() -> None:
    """What follows a height is taken in order, in pieces, and is then gone."""
    blocks = kept(1, 2, 3, 4, 5)

    assert heights(blocks, 0, 1) == [1]
    assert heights(blocks, 2) == [3, 4, 5]
    assert heights(blocks, 5) == []
    assert (blocks.events, blocks.newest) == (0, 5)


def test_a_gap_is_left_to_the_journal() -> None:
    """Who needs a block that is not here gets none of the later ones."""
    assert heights(kept(3, 4), 1) == []
    assert heights(kept(1, 2, 5, 6), 0) == []
    assert heights(kept(1, 2, 5, 6), 4) == [5, 6]


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more events are kept than the bound allows, but always the last block."""
    size = sum(len(entry.events) for entry in BLOCKS[5].entries)
    monkeypatch.setattr(recent, "EVENTS_MAX", 3 * size)
    blocks = kept(*range(1, 12))

    assert blocks.events <= 3 * size
    monkeypatch.setattr(recent, "EVENTS_MAX", 0)
    blocks.add(BLOCKS[11])
    assert heights(blocks, 11) == [12]
