from collections.abc import Sequence
from pathlib import Path

import pytest

from actors import journal, mending
from actors.chain import FileChain, NotedChain
from actors.errors import StorageError
from actors.journal_file import Progress
from actors.recovery import Recovered
from actors.sequencer import snapshot_of
from actors.storage import DataDirectory, JournalFullError, Report
from model.blocks import Block
from model.exchange import Exchange
from tests.actors.trading import run


class Told:
    """What a chain reports."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.recovered: list[Recovered] = []


def chain_at(path: Path, told: Told | None = None) -> FileChain:
    told = told or Told()
    return FileChain(path, on_report=told.reports.append, on_recovered=told.recovered.append)


async def fill(chain: FileChain | NotedChain, blocks: int) -> Exchange:
    """Commit the first blocks of the small exchange; return it."""
    exchange = Exchange()
    await chain.recover()
    for block, body in run(exchange, blocks, seed=1):
        await chain.commit(block, body)
    return exchange


async def test_what_was_committed_is_recovered(tmp_path: Path) -> None:
    """A rebuild, here or by the next process, gives the state after the last commit."""
    told = Told()
    chain = chain_at(tmp_path, told)
    exchange = await fill(chain, 20)
    again = await chain.recover()
    await chain.save(await snapshot_of(again))
    blocks = await chain.blocks(17)
    await chain.aclose()
    later = chain_at(tmp_path, told)
    restarted = await later.recover()
    await later.aclose()

    assert again.exchange.digest() == exchange.digest() == restarted.exchange.digest()
    assert again.digest == restarted.digest == blocks[-1].digest
    assert [block.height for block in blocks] == [18, 19, 20]
    assert [one.snapshot_height for one in told.recovered] == [0, 0, 20]
    assert told.reports == []


async def test_a_rebuild_proves_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that this process proved or wrote itself are not read again before a rebuild."""
    starts: list[int] = []
    mend = mending.mend

    def seen_mend(
        directory: DataDirectory, *, check_after: int = 0, progress: Progress | None = None
    ) -> list[Report]:
        starts.append(check_after)
        return mend(directory, check_after=check_after, progress=progress)

    monkeypatch.setattr(journal, "mend", seen_mend)
    chain = chain_at(tmp_path)
    await fill(chain, 20)
    await chain.recover()
    await chain.aclose()
    await chain.recover()
    await chain.aclose()

    assert starts == [0, 20, 20]


async def test_a_closed_chain_takes_no_block(tmp_path: Path) -> None:
    """Nothing can be committed between a close and the next recovery."""
    chain = chain_at(tmp_path)
    await fill(chain, 1)
    await chain.aclose()
    (_, (block, body)) = run(Exchange(), 2, seed=1)

    with pytest.raises(StorageError):
        await chain.commit(block, body)


async def test_only_durable_blocks_are_noted(tmp_path: Path) -> None:
    """A follower hears of a block after its commit, and never of one whose commit failed."""

    class FullAfterFive(FileChain):
        async def commit(self, block: Block, body: bytes) -> None:
            if block.height > 5:
                raise JournalFullError("no room")
            await super().commit(block, body)
            durable.append(block.height)

    durable: list[int] = []
    noted: list[Sequence[int]] = []
    told = Told()
    store = FullAfterFive(
        tmp_path, on_report=told.reports.append, on_recovered=told.recovered.append
    )
    chain = NotedChain(store, lambda block: noted.append([*durable, block.height]))
    with pytest.raises(JournalFullError):
        await fill(chain, 6)
    heights = [block.height for block in await chain.blocks(0)]
    await chain.aclose()

    assert noted == [[*range(1, height + 1), height] for height in range(1, 6)]
    assert heights == [1, 2, 3, 4, 5]
