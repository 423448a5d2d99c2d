"""The chain on disk: what the sequencer sees of the journal and snapshots of a data directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from actors.chain_store import Chain, ChainStore
from actors.errors import StorageError
from actors.journal import AsyncJournal
from actors.journal_reader import JournalReader
from actors.recovery import Progress, Recovered, recover
from actors.snapshots import Snapshot, Snapshots
from actors.storage import DataDirectory, Report
from model.blocks import Block

BLOCKS_PER_READ: Final = 256


@define(eq=False)
class FileChain:
    """A ``ChainStore`` over a data directory. Everything that blocks runs in worker threads.

    Args:
        path: the data directory.
        on_report: is told what was found damaged and mended.
        on_recovered: is told where a recovery started and ended.
        progress: is told, in a worker thread, how far a recovery is.
        proving: is told, in a worker thread, how far the proof of the journal before it is.
    """

    path: Path
    on_report: Callable[[Report], None]
    on_recovered: Callable[[Recovered], None]
    progress: Progress | None = None
    proving: Progress | None = None
    _journal: AsyncJournal | None = field(init=False, default=None)
    _proven: int = field(init=False, default=0)

    async def recover(self) -> Chain:
        """Open the journal afresh, which mends its tail, and rebuild the state from it.

        The first time proves every block; later ones only what came after that, or after the last
        block that was committed here.
        """
        await self.aclose()
        self._journal = await AsyncJournal.open(
            self.path, check_after=self._proven, progress=self.proving
        )
        for report in self._journal.journal.reports:
            self.on_report(report)
        recovered = await trio.to_thread.run_sync(
            lambda: recover(self.path, progress=self.progress),
            abandon_on_cancel=True,  # it only reads
        )
        for report in recovered.reports:
            self.on_report(report)
        self.on_recovered(recovered)
        return Chain(recovered.exchange, recovered.digest)

    async def commit(self, block: Block, body: bytes) -> None:
        """Make a block durable. Once begun it is waited for, so it is never half told."""
        if self._journal is None:
            raise StorageError("the journal is not open")
        await self._journal.commit([(block, body)])

    async def blocks(self, after: int) -> Sequence[Block]:
        """Return the next BLOCKS_PER_READ blocks above a height."""

        def read() -> list[Block]:
            with JournalReader(self.path) as reader:
                return list(reader.blocks(after, limit=BLOCKS_PER_READ))

        return await trio.to_thread.run_sync(read)

    async def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot. When cancelled, a worker thread may still do so a moment later."""
        snapshots = Snapshots(DataDirectory(self.path).snapshots)
        await trio.to_thread.run_sync(
            snapshots.save,
            snapshot,
            abandon_on_cancel=True,  # it writes aside: there is a whole snapshot or none
        )

    async def aclose(self) -> None:
        """Let go of the journal and its lock."""
        journal, self._journal = self._journal, None
        if journal is not None:
            head = journal.head()
            self._proven = 0 if head is None else head.height
            await journal.aclose()


@frozen(eq=False)
class NotedChain:
    """A ``ChainStore`` that tells of each block as soon as it is durable; otherwise another one.

    Args:
        store: the other one.
        on_durable: is told, before anybody else hears of the block.
    """

    store: ChainStore
    on_durable: Callable[[Block], None]

    async def recover(self) -> Chain:
        """Rebuild the state."""
        return await self.store.recover()

    async def commit(self, block: Block, body: bytes) -> None:
        """Make a block durable, and tell of it."""
        await self.store.commit(block, body)
        self.on_durable(block)

    async def blocks(self, after: int) -> Sequence[Block]:
        """Return the next blocks above a height."""
        return await self.store.blocks(after)

    async def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        await self.store.save(snapshot)

    async def aclose(self) -> None:
        """Let go of everything."""
        await self.store.aclose()
