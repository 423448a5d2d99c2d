"""The history of a simulated exchange: the real tables, in memory, fed from the simulated disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import trio
from attrs import define, field

from actors.history import Follow, History
from actors.history_queries import HistoryReader
from actors.history_store import HistoryStore
from supervision import Actor
from supervision import Address as ActorAddress
from tests.simulation.chaos import InjectedError
from tests.simulation.disk import Disk

BLOCKS_PER_STEP: Final = 32
FOLLOW_SECONDS: Final = 0.25
NOWHERE: Final = Path(":memory:")

ResultT = TypeVar("ResultT")


class _Reader(HistoryReader):
    """Reads over the writer's own connection: another one would see another memory."""

    def __init__(self, store: HistoryStore) -> None:
        self._connection = store._connection


@define(eq=False)
class Past:
    """The history file of a disk. It is made from the log, so it may be lost at any time."""

    disk: Disk
    store: HistoryStore = field(init=False, factory=lambda: HistoryStore.open(NOWHERE))

    def lose(self) -> None:
        """Begin anew."""
        self.store.close()
        self.store = HistoryStore.open(NOWHERE)

    def step(self) -> bool:
        """Take in the next blocks; tell whether there were any."""
        height = self.store.height
        rows = self.disk.rows[height : height + BLOCKS_PER_STEP]
        self.store.apply([row.block() for row in rows])
        return bool(rows)


class MemoryHistory(History):
    """What readers call; queries run at once, in the caller's task."""

    def __init__(self, past: Past, writer: ActorAddress) -> None:
        super().__init__(NOWHERE, writer)
        self._past = past

    async def read(
        self, query: Callable[[HistoryReader], ResultT], *, seen_height: int = 1
    ) -> ResultT:
        """Return the result of a query, once ``seen_height`` is reached."""
        await self.wait_height(seen_height)
        await trio.lowlevel.checkpoint()
        return query(_Reader(self._past.store))


@define
class MemoryHistoryWriter(Actor):
    """Follows the log of the disk."""

    past: Past
    history: History

    async def init(self) -> None:
        """Catch up."""
        self.history.replaced()
        self.history.moved_to(self.past.store.height)
        await self._catch_up()

    async def handle(self, message: Any) -> None:
        """Catch up, whatever the message says."""
        await self._catch_up()

    async def _catch_up(self) -> None:
        chaos = self.past.disk.chaos
        if chaos.strikes("history_slow", "past"):
            await trio.sleep(chaos.rng("past").uniform(0.1, 5.0))
        while self.past.step():
            if chaos.strikes("history_write", "past"):
                raise InjectedError("the history cannot be written")
            self.history.moved_to(self.past.store.height)
            await trio.lowlevel.checkpoint()
        self.context.set_timer("follow", FOLLOW_SECONDS, Follow())
