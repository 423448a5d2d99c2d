from pathlib import Path

import pytest

from actors.chain import BLOCKS_PER_READ, FileChain
from actors.chain_store import snapshot_of
from actors.errors import StorageError
from actors.recovery import Recovered
from actors.storage import Report
from model.exchange import Exchange
from tests.actors.trading import run


def open_chain(path: Path, told: list[object]) -> FileChain:
    def report(found: Report) -> None:
        told.append(found)

    def recovered(found: Recovered) -> None:
        told.append(found.snapshot_height)

    return FileChain(path, report, recovered)


async def test_what_was_committed_is_recovered(tmp_path: Path) -> None:
    """The state, the digest and the blocks come back, from a snapshot where there is one."""
    told: list[object] = []
    chain = open_chain(tmp_path, told)
    start = await chain.recover()
    assert start.exchange.height == 0
    traded = Exchange()
    for block, body in run(traded, 20, seed=1):
        await chain.commit(block, body)
    found = await chain.recover()
    await chain.save(await snapshot_of(found))
    again = await chain.recover()
    await chain.aclose()

    assert found.exchange.dump() == again.exchange.dump() == traded.dump()
    assert found.digest == again.digest == block.digest
    assert told == [0, 0, 20]


async def test_blocks_are_read_in_bounded_pieces(tmp_path: Path) -> None:
    """Oldest first, from above a height."""
    chain = open_chain(tmp_path, [])
    await chain.recover()
    for block, body in run(Exchange(), BLOCKS_PER_READ + 10, seed=2, per_block=1):
        await chain.commit(block, body)
    first, rest = await chain.blocks(5), await chain.blocks(5 + BLOCKS_PER_READ)
    await chain.aclose()

    assert [block.height for block in first] == list(range(6, 6 + BLOCKS_PER_READ))
    assert [block.height for block in rest] == list(
        range(6 + BLOCKS_PER_READ, BLOCKS_PER_READ + 11)
    )


async def test_a_closed_chain_takes_nothing(tmp_path: Path) -> None:
    """To close twice is harmless; to commit to what is closed is an error."""
    chain = open_chain(tmp_path, [])
    await chain.recover()
    await chain.aclose()
    await chain.aclose()
    ((block, body),) = run(Exchange(), 1, seed=1)

    with pytest.raises(StorageError):
        await chain.commit(block, body)
