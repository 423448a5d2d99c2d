"""The history as an actor: follows the journal, and answers what happened long ago.

``HistoryWriter`` takes in what follows its own position, in bounded pieces in a worker thread: the
newest blocks from memory where they are still there, others from the journal. Nothing queues up
while it is behind: any message, or its own timer, only means *look again*. ``History`` is the other
side: what routes and starting views call. It outlives the writer and its restarts.

A history that is missing, damaged or from another journal is made anew from the first block; so is
one that is deleted while it is in use, by a restart of the writer. While that goes on, readers who
insist on a height wait.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio
from attrs import define, field, frozen

from actors.carried import LINKS_MAX, BeginLinked, Value, within
from actors.errors import HistoryLostError, UnavailableError
from actors.history_queries import HistoryReader
from actors.history_store import HistoryStore, discard
from actors.journal_reader import JournalReader
from actors.recent import RecentBlocks
from actors.source import At
from actors.storage import BrokenJournalError, DataDirectory
from model.blocks import Block
from model.ids import Address
from model.state import MarketState
from model.views.account import AccountSeeds
from model.views.market import MarketView
from supervision import Actor, Delivery
from supervision import Address as ActorAddress

COMMANDS_PER_STEP: Final = 2_000
"""Commands taken in at once: some 20 ms of a worker thread, after which others get their turn.
Fewer would write the same index pages to the log more often: 500 cost a quarter more."""

COMMANDS_PER_LONG_STEP: Final = 10_000
"""The same before the program serves anybody: fewer commits, and nobody to wait for them."""

FOLLOW_SECONDS: Final = 0.25
"""How often the writer looks for new blocks when nobody asks it to."""

READERS_MAX: Final = 4
"""Queries that run at once, each on a connection of its own; further ones wait."""

ResultT = TypeVar("ResultT")


@frozen
class Follow:
    """Tell the writer that the journal has grown."""


class History:
    """What readers call. Cheap to hold, safe to share among tasks.

    Args:
        path: the data directory.
        writer: the actor that follows the journal; woken by readers who insist on a height.

    Attributes:
        begin_linked: begins a step for blocks with traced commands, given where those stand.
    """

    def __init__(self, path: Path, writer: ActorAddress) -> None:
        self._file = DataDirectory(path).history
        self._writer = writer
        self._limiter = trio.CapacityLimiter(READERS_MAX)
        self._idle: list[tuple[int, HistoryReader]] = []
        self._edition = 0
        self._moved = trio.Event()
        self._recent = RecentBlocks()
        self._wanted = 0
        self.height = 0
        self.begin_linked: BeginLinked | None = None

    def note_durable(self, block: Block) -> None:
        """Take a block that was just made durable, so that the writer need not read it back."""
        self._recent.add(block)
        if self._recent.events >= COMMANDS_PER_STEP:
            self._writer.tell(Follow())

    def take_recent(self, after: int) -> list[Block]:
        """Hand the writer the blocks after a height that are still in memory."""
        return self._recent.take(after, COMMANDS_PER_STEP)

    def may_be_behind(self, height: int) -> bool:
        """Tell whether there may be blocks above a height in the journal."""
        newest = self._recent.newest
        # A block whose commit seemed to fail may have become durable all the same: readers know.
        return newest == 0 or newest != height or self._wanted > height

    async def read(
        self, query: Callable[[HistoryReader], ResultT], *, seen_height: int = 1
    ) -> ResultT:
        """Return the result of a query in a worker thread, once ``seen_height`` is reached.

        Give the height that the asker was told of, so that it finds what it knows already.

        Raises:
            UnavailableError: as ``wait_height``; or the file cannot be read.
        """
        await self.wait_height(seen_height)
        edition = self._edition
        return await trio.to_thread.run_sync(
            lambda: self._read(query, edition), limiter=self._limiter
        )

    async def wait_height(self, height: int) -> None:
        """Wait until everything up to a height is in the history.

        How long that may take is for the caller to say; while a history is made anew it is long.

        Raises:
            UnavailableError: nobody writes the history any more.
        """
        self._wanted = max(self._wanted, height)
        while self.height < height:
            if self._writer.tell(Follow()) is Delivery.STOPPED:
                raise UnavailableError("the history has stopped")
            await self._moved.wait()

    async def open_market(self, at: At[MarketState]) -> MarketView:
        """Make the view of a market at a height, with the trades and candles of the time before."""
        asset = at.state.instrument.asset
        seeds = await self.read(
            lambda reader: reader.market_seeds(asset, at.height, at.time_ms), seen_height=at.height
        )
        return MarketView(at.state, at.time_ms, seeds)

    async def account_seeds(self, account: Address, height: int) -> AccountSeeds:
        """Return what happened to an account up to a height, as much of it as a view keeps."""
        return await self.read(
            lambda reader: reader.account_seeds(account, height), seen_height=height
        )

    def moved_to(self, height: int) -> None:
        """Take note that the writer stands at a height; wake those who wait for it."""
        self.height = height
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    def replaced(self) -> None:
        """Take note that the file is another one: connections to the old one are of no use."""
        self._edition += 1
        idle, self._idle = self._idle, []
        for _, reader in idle:
            reader.close()

    def close(self) -> None:
        """Close the idle connections; further queries open new ones."""
        self.replaced()

    def _read(self, query: Callable[[HistoryReader], ResultT], edition: int) -> ResultT:
        """Run a query in a worker thread. Several may be here at once."""
        try:
            reader = self._take_idle(edition) or HistoryReader(self._file)
        except sqlite3.Error as error:
            raise UnavailableError("the history cannot be opened") from error
        try:
            result = query(reader)
        except sqlite3.Error as error:
            reader.close()
            raise UnavailableError("the history cannot be read") from error
        self._idle.append((edition, reader))
        return result

    def _take_idle(self, edition: int) -> HistoryReader | None:
        while True:
            try:
                opened_in, reader = self._idle.pop()
            except IndexError:
                return None
            if opened_in == edition:
                return reader
            reader.close()


@define
class HistoryWriter(Actor):
    """The follower described above. Started when it has caught up with the journal.

    Args:
        path: the data directory.
        history: is told how far the writer is.
    """

    path: Path
    history: History
    _store: HistoryStore | None = field(init=False, default=None)

    async def init(self) -> None:
        """Open the file, make it anew if it is not of this journal, and catch up."""
        self.history.replaced()
        self.history.moved_to(0)  # readers wait: the file may be an empty one for a moment
        self._store = await trio.to_thread.run_sync(open_store, DataDirectory(self.path))
        self.history.moved_to(self._store.height)
        await self._catch_up(self._store, COMMANDS_PER_LONG_STEP)
        self._look_again_soon()

    async def handle(self, message: Any) -> None:
        """Catch up, whatever the message says."""
        assert self._store is not None
        await self._catch_up(self._store, COMMANDS_PER_STEP)
        self._look_again_soon()

    async def on_stop(self, exit: Any) -> None:
        """Let go of the files."""
        self.history.close()
        if self._store is not None:  # the last to close a file moves the log into it
            self._store.close()

    async def _catch_up(self, store: HistoryStore, commands: int) -> None:
        if not await trio.to_thread.run_sync(store.is_in_place):
            raise HistoryLostError("the history's file is gone")
        directory, history = DataDirectory(self.path), self.history
        begin = history.begin_linked
        read = step if begin is None else partial(step, begin=begin)
        while history.may_be_behind(store.height):
            if blocks := history.take_recent(store.height):
                await trio.to_thread.run_sync(take_in, store, blocks, begin)
            elif not await trio.to_thread.run_sync(read, directory, store, commands):
                return
            history.moved_to(store.height)

    def _look_again_soon(self) -> None:
        self.context.set_timer("follow", FOLLOW_SECONDS, Follow())


def open_store(directory: DataDirectory) -> HistoryStore:
    """Open the history of a data directory; make it anew if it is of another journal."""
    store = HistoryStore.open(directory.history)
    if store.height == 0 or _is_of_journal(store, directory):
        return store
    store.close()
    discard(directory.history)
    return HistoryStore.open(directory.history)


def take_in(store: HistoryStore, blocks: Sequence[Block], begin: BeginLinked | None) -> None:
    """Write blocks into the history; as a step, if some of their commands were traced."""
    traces = [] if begin is None else traces_of(blocks)
    if begin is None or not traces:
        store.apply(blocks)
        return
    facts: dict[str, Value] = {"actor.path": "history/writer", "history.blocks": len(blocks)}
    with within(begin("write history", facts, traces)):
        store.apply(blocks)


def traces_of(blocks: Iterable[Block]) -> list[str]:
    """Return where the traced commands of blocks stand, the newest if there are too many."""
    found = (entry.trace for block in blocks for entry in block.entries if entry.trace)
    return list(deque(found, LINKS_MAX))


def step(
    directory: DataDirectory,
    store: HistoryStore,
    commands_max: int = COMMANDS_PER_STEP,
    begin: BeginLinked | None = None,
) -> bool:
    """Take in the next blocks of the journal, not too many; tell whether there were any.

    The last block taken may go beyond ``commands_max``.

    Raises:
        JournalError: the journal cannot be read.
        sqlite3.Error: the history cannot be written.
    """
    with JournalReader(directory) as reader:
        blocks: list[Block] = []
        commands = 0
        for block in reader.blocks(after=store.height):
            blocks.append(block)
            commands += len(block.entries)
            if commands >= commands_max:
                break
    if blocks:
        take_in(store, blocks, begin)
    return bool(blocks)


def _is_of_journal(store: HistoryStore, directory: DataDirectory) -> bool:
    try:
        with JournalReader(directory) as reader:
            return reader.digest_at(store.height) == store.digest
    except BrokenJournalError:  # the journal ends before the history does
        return False
