"""Writes what our own exchange does as a real node would, so that other people's tools can follow.

It begins with the state of every market, of which it leaves a snapshot beside the files, and writes
every durable block after that, by block. A block that it missed, since it was restarted or could
not keep up, is a height that is missing: visible to every reader, as with real nodes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import trio
from attrs import Factory, define, field

from actors.errors import LostPartError, UnavailableError
from actors.node.writer import NodeWriter
from actors.source import At, BlockCommitted, Source
from model.blocks import Block
from model.node.joiner import NodeBlock
from model.node.lines import Form
from model.node.snapshot import CoinOrders, Order, write_snapshot
from model.node.translate import Translator
from model.state import MarketState, RestingOrder
from model.universe import Universe
from supervision import Actor, Envelope, Exit

SNAPSHOT_NAME: Final = "snapshot.json"
BLOCKS_WAITING_MAX: Final = 1_024
"""Blocks that may wait to be written; more are missing in the files."""
_TRIES: Final = 50
"""Looks at all markets until they are of one height."""


@define
class NodeLogs(Actor):
    """The actor described above; told of durable blocks by ``BlockCommitted``.

    Args:
        root: the data root that is written, made if absent.
        source: tells the state to begin with.
    """

    root: Path
    source: Source
    _writer: NodeWriter = field(
        init=False, default=Factory(lambda self: NodeWriter(self.root, Form.BLOCK), takes_self=True)
    )
    _translator: Translator = field(init=False)
    _height: int = field(init=False, default=0)

    async def init(self) -> None:
        """Take the state of all markets, and leave a snapshot of it."""
        universe, states = await self._states()
        orders = [order for at in states for order in (*at.state.bids, *at.state.asks)]
        self._translator = Translator(universe, orders)
        await trio.to_thread.run_sync(self._save_snapshot, states)

    async def on_stop(self, exit: Exit) -> None:
        """Let go of the files."""
        self._writer.close()

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Write the blocks that have come."""
        blocks: list[NodeBlock] = []
        for envelope in batch:
            message = envelope.message
            if isinstance(message, BlockCommitted) and message.block.height > self._height:
                blocks.append(self._translate(message.block))
        await trio.to_thread.run_sync(self._write, blocks)

    def _translate(self, block: Block) -> NodeBlock:
        if block.height != self._height + 1:
            raise LostPartError(f"block {block.height} does not continue {self._height}")
        self._height = block.height
        return self._translator.translate(block)

    def _write(self, blocks: list[NodeBlock]) -> None:
        for block in blocks:
            self._writer.write(block, time.time_ns())

    async def _states(self) -> tuple[Universe, list[At[MarketState]]]:
        """Return all markets at one height.

        Raises:
            UnavailableError: blocks came faster than the markets could be looked at.
        """
        for _ in range(_TRIES):
            directory = await self.source.directory()
            instruments = directory.state.instruments
            states = [await self.source.market(instrument.asset) for instrument in instruments]
            heights = {directory.height, *(at.height for at in states)}
            if len(heights) == 1:
                self._height = directory.height
                return Universe(instruments, directory.state.tokens), states
        raise UnavailableError("the markets are never of one height")

    def _save_snapshot(self, states: list[At[MarketState]]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        coins = {at.state.instrument.name: _orders(at.state) for at in states}
        path = self.root / SNAPSHOT_NAME
        aside = path.with_suffix(".new")
        aside.write_bytes(b"".join(write_snapshot(self._height, coins)))
        aside.replace(path)


def _orders(state: MarketState) -> CoinOrders:
    tick, lot = state.instrument.tick_e8, state.instrument.lot_e8

    def shown(order: RestingOrder) -> Order:
        price, size = order.price * tick, order.remaining * lot
        return Order(order.oid, order.account, order.is_buy, price, size)

    return CoinOrders(list(map(shown, state.bids)), list(map(shown, state.asks)))
