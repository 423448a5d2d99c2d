"""The single writer: orders commands, executes them, makes them durable, and only then tells.

One turn takes whatever is waiting in the mailbox (up to COMMANDS_PER_BLOCK_MAX) as one block:

    execute   exchange.apply for each command, in memory
    commit    the block in one durable transaction, in a worker thread; meanwhile the mailbox fills
    publish   to the router, then to the callers: who was answered finds the views told already

Reads are answered between blocks, so they only ever show what is committed.

Three things can fail, and none of them is allowed into the log. A command on which the machine
breaks is undone by rebuilding the state from the last commit; its sender gets an error and the
others of its block are executed again without it. A commit that fails has an unknown outcome: its
senders are told so, and the state is rebuilt from what the disk really holds; blocks found there
that were never published are published then. A rebuild that fails is tried again after
REBUILD_PAUSE_SECONDS, and everything that arrives meanwhile is refused.

A command that was refused before it used its nonce has changed nothing and is left out of the
block, so that nobody can fill the journal with junk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import trio
from attrs import define, field, frozen

from actors.errors import CommandCrashedError, CommitFailedError, SourceError, UnavailableError
from actors.snapshots import Snapshot
from actors.source import (
    At,
    BlockCommitted,
    DirectoryState,
    ReadAccount,
    ReadDirectory,
    ReadMarket,
    Receipt,
    Submit,
)
from model.blocks import Block, Entry, seal
from model.commands import AdminCommand, Command, Credit, CreditSource, SignedCommand
from model.events import CommandRefused, Event
from model.exchange import Exchange
from supervision import Actor, Envelope
from supervision import Address as ActorAddress

COMMANDS_PER_BLOCK_MAX: Final = 1_000
"""About 10 ms of execution: the longest that a caller waits behind others of its own block."""

REBUILD_PAUSE_SECONDS: Final = 1.0
"""Time between two attempts to rebuild a state that the disk does not give back."""

NEWCOMER_NONCE_WINDOW_MS: Final = 86_400_000
"""A newcomer with a nonce further than this from now is not credited: it would be refused anyway."""


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
        """Make a block durable. After an error it may or may not be."""
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
class Faucet:
    """Money for newcomers: micro-USD for each, and for how many. Nothing where ``usd`` is 0."""

    usd: int = 0
    credits_max: int = 0


class SequencerHooks:
    """What telemetry may want to know; every method does nothing here."""

    def block_committed(
        self, *, commands: int, execute_seconds: float, commit_seconds: float
    ) -> None:
        """A block went through."""

    def newcomer_credited(self, *, credits: int, credits_max: int) -> None:
        """The faucet gave."""

    def command_crashed(self, command: Command, error: BaseException) -> None:
        """The machine broke on a command."""

    def chain_lost(self, error: BaseException) -> None:
        """A commit or a rebuild failed; the state is being rebuilt."""

    def chain_ready(self, *, height: int, faucet_credits: int) -> None:
        """The state stands at a height again, with so many newcomers credited."""


@define
class Sequencer(Actor):
    """The actor described above. Answers ``Submit`` and the reads of ``actors.source``.

    Args:
        store: where blocks are kept.
        genesis: the commands of the first block, if the store is empty.
        router: is told each block after it is durable.
        snapshots: is given the state to keep now and then.
        clock_ms: wall clock in milliseconds since 1970; chain time is this, but never goes back.
        snapshot_every: commands between two snapshots.
    """

    store: ChainStore
    genesis: Sequence[AdminCommand]
    router: ActorAddress
    snapshots: ActorAddress
    clock_ms: Callable[[], int]
    faucet: Faucet = Faucet()
    hooks: SequencerHooks = field(factory=SequencerHooks)
    snapshot_every: int = 100_000

    batch_max = COMMANDS_PER_BLOCK_MAX

    _chain: Chain | None = field(init=False, default=None)
    _published: int | None = field(init=False, default=None)
    _rebuild_at: float = field(init=False, default=0.0)
    _since_snapshot: int = field(init=False, default=0)

    async def init(self) -> None:
        """Recover; of an empty store, make the first block."""
        await self._rebuild()
        if self._chain is not None and self._chain.exchange.height == 0:
            await self._run_block([_Waiting(command, None) for command in self.genesis])

    async def on_stop(self, exit: Any) -> None:
        """Leave a snapshot behind, so that the next start is quick."""
        try:
            if self._chain is not None and self._since_snapshot:
                await self.store.save(snapshot_of(self._chain))
        finally:
            await self.store.aclose()

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Answer the reads, then make one block of the commands."""
        if self._chain is None:
            await self._rebuild_if_due()
        if self._chain is None:
            _fail_all(batch, UnavailableError("the exchange's state is being rebuilt"))
            return
        waiting = []
        for envelope in batch:
            message = envelope.message
            if type(message) is Submit:
                waiting.append(_Waiting(message.command, envelope.reply))
            elif envelope.reply is not None:
                envelope.reply.answer(self._read(self._chain.exchange, message))
        if waiting:
            await self._run_block(waiting)

    # -- one block

    async def _run_block(self, waiting: list[_Waiting]) -> None:
        started = trio.current_time()
        executed = await self._execute_without_crashing(waiting)
        if executed is None:
            return
        entries, receipts = executed
        if entries and not await self._commit(entries, waiting, started):
            return
        for one, receipt in zip(waiting, receipts, strict=True):
            if one.reply is not None:
                one.reply.answer(receipt)
        self._snapshot_if_due(len(entries))

    async def _execute_without_crashing(
        self, waiting: list[_Waiting]
    ) -> tuple[list[Entry], list[Receipt]] | None:
        """Execute; take out what the machine breaks on. ``None`` if the state was lost over it."""
        while self._chain is not None:
            try:
                return self._execute(self._chain.exchange, waiting)
            except _CrashedAtError as crash:
                culprit, cause = waiting.pop(crash.index), crash.__cause__
                assert cause is not None
                self.hooks.command_crashed(culprit.command, cause)
                culprit.fail(CommandCrashedError("the exchange could not execute this command"))
                await self._rebuild()
        _fail_all(waiting, UnavailableError("the exchange's state is being rebuilt"))
        return None

    def _execute(
        self, exchange: Exchange, waiting: Sequence[_Waiting]
    ) -> tuple[list[Entry], list[Receipt]]:
        before = exchange.height, exchange.time_ms
        height, time_ms = exchange.height + 1, max(self.clock_ms(), exchange.time_ms)
        exchange.begin_block(height, time_ms)
        entries: list[Entry] = []
        receipts: list[Receipt] = []
        for index, one in enumerate(waiting):
            try:
                self._credit_newcomer(exchange, one.command, entries)
                events = tuple(exchange.apply(one.command))
            except Exception as error:
                raise _CrashedAtError(index) from error
            receipts.append(Receipt(height, time_ms, events))
            if not _left_no_trace(events):
                entries.append(Entry(one.command, events))
        if not entries:
            exchange.height, exchange.time_ms = before
        return entries, receipts

    def _credit_newcomer(self, exchange: Exchange, command: Command, entries: list[Entry]) -> None:
        """Give a newcomer its start money, as a command of its own, just before its first action."""
        faucet = self.faucet
        if (
            not faucet.usd
            or not isinstance(command, SignedCommand)
            or exchange.resolve(command.signer) is not None
            or exchange.faucet_credits >= faucet.credits_max
            or abs(command.nonce - exchange.time_ms) > NEWCOMER_NONCE_WINDOW_MS
        ):
            return
        credit = Credit(command.signer, faucet.usd, CreditSource.FAUCET)
        entries.append(Entry(credit, tuple(exchange.apply(credit))))
        self.hooks.newcomer_credited(
            credits=exchange.faucet_credits, credits_max=faucet.credits_max
        )

    async def _commit(
        self, entries: list[Entry], waiting: Sequence[_Waiting], started: float
    ) -> bool:
        assert self._chain is not None
        exchange = self._chain.exchange
        block, body = seal(
            height=exchange.height,
            time_ms=exchange.time_ms,
            parent=self._chain.digest,
            entries=entries,
        )
        executed = trio.current_time()
        try:
            await self.store.commit(block, body)
        except Exception as error:  # the disk may fail in any way; all of them end in a rebuild
            self._lose_chain(error)
            failure = CommitFailedError("the disk failed; the outcome of this command is not known")
            failure.__cause__ = error
            _fail_all(waiting, failure)
            await self._rebuild_if_due()
            return False
        self._chain = Chain(exchange, block.digest)
        await self._publish(block)
        self.hooks.block_committed(
            commands=len(entries),
            execute_seconds=executed - started,
            commit_seconds=trio.current_time() - executed,
        )
        return True

    async def _publish(self, block: Block) -> None:
        await self.router.put(BlockCommitted(block))
        self._published = block.height

    # -- the state and its loss

    def _lose_chain(self, error: BaseException) -> None:
        self._chain = None
        self.hooks.chain_lost(error)

    async def _rebuild_if_due(self) -> None:
        if trio.current_time() < self._rebuild_at:
            return
        self._rebuild_at = trio.current_time() + REBUILD_PAUSE_SECONDS
        try:
            await self._rebuild()
        except Exception as error:  # whatever the disk says, the next attempt may fare better
            self._lose_chain(error)

    async def _rebuild(self) -> None:
        """Take the state from the store, and publish what is durable there but was never told."""
        chain = await self.store.recover()
        if self._published is None:
            self._published = chain.exchange.height
        while self._published < chain.exchange.height:
            for block in await self.store.blocks(self._published):
                await self._publish(block)
        self._chain = chain
        self.hooks.chain_ready(
            height=chain.exchange.height, faucet_credits=chain.exchange.faucet_credits
        )

    def _snapshot_if_due(self, commands: int) -> None:
        self._since_snapshot += commands
        if self._since_snapshot >= self.snapshot_every and self._chain is not None:
            self._since_snapshot = 0
            self.snapshots.tell(SaveSnapshot(snapshot_of(self._chain)))

    # -- reads

    def _read(self, exchange: Exchange, message: object) -> At[Any]:
        match message:
            case ReadMarket(asset):
                state: object = exchange.market_state(asset)
            case ReadAccount(account):
                state = exchange.account_state(account)
            case ReadDirectory():
                state = DirectoryState(
                    tuple(exchange.instruments),
                    exchange.addresses(),
                    exchange.agents(),
                    exchange.engine.taker_fee_ppm,
                    exchange.engine.maker_fee_ppm,
                )
            case _:
                raise SourceError(f"not a message of the sequencer: {type(message).__name__}")
        return At(exchange.height, exchange.time_ms, state)


@frozen
class SaveSnapshot:
    """Told to the snapshot writer: keep this."""

    snapshot: Snapshot


@define
class SnapshotWriter(Actor):
    """Writes snapshots beside the order flow. If it is still at one, the next takes the place of
    any that waits.
    """

    store: ChainStore

    async def handle(self, message: SaveSnapshot) -> None:
        """Keep one."""
        await self.store.save(message.snapshot)


def snapshot_of(chain: Chain) -> Snapshot:
    """Return the state of a chain as a snapshot."""
    exchange = chain.exchange
    return Snapshot(exchange.height, chain.digest, exchange.digest(), exchange.dump())


@frozen
class _Waiting:
    """A command and who waits for it."""

    command: Command
    reply: Any

    def fail(self, error: Exception) -> None:
        if self.reply is not None:
            self.reply.fail(error)


class _CrashedAtError(Exception):
    """The machine broke on the command of this index; the cause says how."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def _left_no_trace(events: tuple[Event, ...]) -> bool:
    first = events[0] if events else None
    return type(first) is CommandRefused and not first.nonce_used


def _fail_all(waiting: Sequence[_Waiting] | Sequence[Envelope], error: Exception) -> None:
    for one in waiting:
        if one.reply is not None:
            one.reply.fail(error)
