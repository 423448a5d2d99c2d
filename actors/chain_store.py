"""Where a chain is kept, as the sequencer sees it: blocks, one after the other, and states.

``ChainStore`` is what a place for blocks must offer; ``actors.chain`` is the one on disk. Snapshots
are dumped between blocks and written beside the order flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import trio
from attrs import define, frozen

from actors.snapshots import Snapshot
from model.blocks import Block
from model.exchange import DIGEST_BYTES, Exchange
from supervision import Actor


@frozen
class Chain:
    """An exchange and the digest of the last block in it."""

    exchange: Exchange
    digest: bytes


class ChainStore(Protocol):
    """Where blocks are kept. Every method may block on the disk, in a worker thread."""

    async def recover(self) -> Chain:
        """Return the state after the last durable block; an empty exchange if there is none."""
        ...

    async def commit(self, block: Block, body: bytes) -> None:
        """Make a block durable.

        Raises:
            JournalFullError: there is no room, and nothing of the block is durable.
            Exception: it may be durable or not.
        """
        ...

    async def blocks(self, after: int) -> Sequence[Block]:
        """Return the blocks above a height, oldest first; at most a bounded number of them."""
        ...

    async def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, so that the next recovery starts there."""
        ...

    async def aclose(self) -> None:
        """Let go of the files, even when cancelled."""
        ...


@frozen
class SaveSnapshot:
    """Told to the snapshot writer: keep this."""

    snapshot: Snapshot


@define
class SnapshotWriter(Actor):
    """Writes snapshots beside the order flow.

    While it is at one, the next takes the place of any that waits.
    """

    store: ChainStore

    async def handle(self, message: SaveSnapshot) -> None:
        """Keep one."""
        await self.store.save(message.snapshot)


async def snapshot_of(chain: Chain) -> Snapshot:
    """Return the state of a chain as a snapshot.

    It is made in a worker thread, so that all but the orders goes on; the caller leaves the
    exchange alone until then.
    """

    def dump() -> Snapshot:
        exchange = chain.exchange
        state = exchange.dump()
        digest = blake2b(state, digest_size=DIGEST_BYTES).digest()
        return Snapshot(exchange.height, chain.digest, digest, state)

    return await trio.to_thread.run_sync(dump)
