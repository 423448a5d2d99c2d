"""The single writer: orders commands, executes them, makes them durable, and only then tells.

One turn takes whatever is waiting in the mailbox and makes blocks of it, each with as much work as
takes some 10 ms:

    execute   exchange.apply for each command, in memory
    commit    the block in one durable transaction, in a worker thread; meanwhile the mailbox fills
    publish   to the router, then to the callers: what a caller asks the router after its answer
              is behind its block there

Reads are answered between blocks, so they only ever show what is committed.

While a block is under way the state in memory is ahead of the disk, and nobody can see it: it is
taken out of ``_chain`` for that time and put back once the block is durable. So whatever ends the
turn, a crash, a failure of the disk or a cancellation, no state that the disk does not have is ever
read, published or kept as a snapshot.

Three things can fail, and none of them is allowed into the log. A command on which the machine
breaks is undone by rebuilding the state from the last commit; its sender gets an error and the
others of its block are executed again without it. A commit that fails has an unknown outcome,
unless there was just no room: its senders are told so, and the state is rebuilt from what the disk
really holds; blocks found there that were never published are published then. A rebuild that fails
is tried again every REBUILD_SECONDS, and everything that arrives meanwhile is refused.

A command that was refused before it used its nonce has changed nothing and is left out of the
block, so that nobody can fill the journal with junk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

import trio
from attrs import define, field, frozen

from actors.carried import Role, Step, Value, carried, inside, receive, within
from actors.chain_store import Chain, ChainStore, SaveSnapshot, snapshot_of
from actors.errors import (
    ActorsError,
    CommandCrashedError,
    CommitFailedError,
    GenesisError,
    NoRoomError,
    SourceError,
    UnavailableError,
)
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
from actors.storage import JournalFullError
from model.blocks import Block, Entry, seal
from model.commands import (
    AdminCommand,
    CancelOrders,
    ClientCommand,
    Command,
    Credit,
    CreditSource,
    ModifyOrders,
    PlaceOrders,
    SignedCommand,
)
from model.events import CommandRefused, Event, Ticked
from model.exchange import Exchange
from supervision import Actor, Envelope, Exit, Reply, Stopped
from supervision import Address as ActorAddress

COMMANDS_PER_BLOCK_MAX: Final = 1_000
"""Commands of one block. A caller waits for the others of its own block."""

WORK_PER_BLOCK_MAX: Final = 1_000
"""Orders, cancels and other steps of one block, some 10 ms of execution: for so long the whole
program stands still. A single action may be larger; it is then a block of its own.
"""

REBUILD_SECONDS: Final = 1.0
"""Time between two attempts to rebuild a state that the disk does not give back."""

PUBLISH_SECONDS_MAX: Final = 0.5
"""How long a block waits for room at the router. A router that is behind holds orders up; one that
is down must not, since it asks us before it can start. It notices the gap and starts again.
"""

SNAPSHOT_COMMANDS: Final = 100_000
"""Commands between two snapshots: a second or two of replay."""

SNAPSHOT_BYTES: Final = 5 * 2**20
"""A state that is so many times larger is kept so many times more rarely. Orders wait while it is
dumped, some 8 ns a byte: in the long run that is one part in a hundred of their own time.
"""

STOP_SNAPSHOT_COMMANDS: Final = 1_000
"""Fewer commands than this are replayed quicker than a stop would keep them."""

NEWCOMER_NONCE_WINDOW_MS: Final = 86_400_000
"""A newcomer with a nonce this far from now is not credited: it would be refused anyway."""


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
        heard: height up to which the router has heard all blocks, from whichever incarnation; 0 if
            it never started.
        snapshot_every: commands between two snapshots of a state that is not large.
    """

    store: ChainStore
    genesis: Sequence[AdminCommand]
    router: ActorAddress
    snapshots: ActorAddress
    clock_ms: Callable[[], int]
    faucet: Faucet = Faucet()
    hooks: SequencerHooks = field(factory=SequencerHooks)
    heard: Callable[[], int] = lambda: 0
    snapshot_every: int = SNAPSHOT_COMMANDS

    batch_max: ClassVar[int] = COMMANDS_PER_BLOCK_MAX
    frames_messages: ClassVar[bool] = True

    _chain: Chain | None = field(init=False, default=None)
    _published: int = field(init=False, default=0)
    _since_snapshot: int = field(init=False, default=0)
    _snapshot_bytes: int = field(init=False, default=0)

    async def init(self) -> None:
        """Recover; of an empty store, make the first block.

        Raises:
            GenesisError: the first block is not what was asked for.
            Exception: the store cannot be read.
        """
        await self._rebuild()
        if self._chain is not None and self._chain.exchange.height == 0:
            await self._open_exchange()

    async def on_stop(self, exit: Exit) -> None:
        """Leave a snapshot behind if the next start is quicker for it, and let go of the files."""
        try:
            if self._chain is not None and self._since_snapshot >= STOP_SNAPSHOT_COMMANDS:
                await self.store.save(await snapshot_of(self._chain))
        finally:
            await self.store.aclose()

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Answer the reads, then make blocks of the commands."""
        waiting: list[_Waiting] = []
        for envelope in batch:
            match envelope.message:
                case Submit(command):
                    waiting.append(_Waiting(command, envelope.reply, self._step_of(envelope)))
                case _Rebuild():
                    await self._try_rebuild()
                case _ if envelope.context is None:
                    self._answer(envelope)
                case _:
                    with self.context.handling(envelope):
                        self._answer(envelope)
        try:
            for block in _blocks_of(waiting):
                await self._run_traced_block(block)
        finally:
            for one in waiting:
                one.end_step()

    def _step_of(self, envelope: Envelope) -> Step | None:
        """Begin the step of a command that is traced; it ends with the answer."""
        if envelope.context is None:
            return None
        path = self.context.path
        return receive(envelope, path, path, self.context.now())

    # -- one block

    async def _open_exchange(self) -> None:
        waiting = [_Waiting(command, None) for command in self.genesis]
        receipts = await self._run_block(waiting)
        if receipts is None or len(receipts) != len(self.genesis):
            raise GenesisError("the first block could not be made")
        for command, receipt in zip(self.genesis, receipts, strict=True):
            if any(isinstance(event, CommandRefused) for event in receipt.events):
                raise GenesisError(f"the exchange refused {command} of the first block")

    async def _run_traced_block(self, waiting: list[_Waiting]) -> None:
        """Run a block; if some of its commands are traced, as a step that belongs to none of them.

        It is linked to each instead: what many caused is nobody's child.
        """
        steps = [one.step for one in waiting if one.step is not None]
        if not steps:
            await self._run_block(waiting)
            return
        path = self.context.path
        facts: dict[str, Value] = {
            "actor.path": path,
            "messaging.batch.message_count": len(waiting),
        }
        with within(steps[0].begin_apart("block", facts, steps)):
            await self._run_block(waiting)

    async def _run_block(self, waiting: list[_Waiting]) -> list[Receipt] | None:
        """Execute, commit, publish, answer; return what was answered, ``None`` for failures."""
        started = trio.current_time()
        with inside("execute"):
            executed = await self._execute_without_crashing(waiting)
            if executed is not None and (step := carried.get()) is not None:
                step.describe({"block.traced_events": _traced_events(executed[1])})
        if executed is None:
            _fail_all(waiting, UnavailableError("the exchange's state is being rebuilt"))
            return None
        chain, entries, receipts = executed
        if entries:
            block = await self._commit(chain, entries, started)
            if isinstance(block, SourceError):
                _fail_all(waiting, block)
                await self._try_rebuild()
                return None
            chain = Chain(chain.exchange, block.digest)
            self._chain = chain
            await self._publish(block)
        self._chain = chain
        for one, receipt in zip(waiting, receipts, strict=True):
            one.answer(receipt)
        await self._keep_snapshot_if_due(chain, len(entries))
        return receipts

    async def _execute_without_crashing(
        self, waiting: list[_Waiting]
    ) -> tuple[Chain, list[Entry], list[Receipt]] | None:
        """Execute; take out what the machine breaks on. ``None`` while there is no state.

        The state it returns is ahead of the disk, and is in nobody else's hands.
        """
        while self._chain is not None:
            chain, self._chain = self._chain, None
            try:
                return chain, *self._execute(chain.exchange, waiting)
            except _CrashedAtError as crash:
                culprit, cause = waiting.pop(crash.index), crash.__cause__
                assert cause is not None
                self.hooks.command_crashed(culprit.command, cause)
                culprit.fail(CommandCrashedError("the exchange could not execute this command"))
                await self._try_rebuild()
        return None

    def _execute(
        self, exchange: Exchange, waiting: Sequence[_Waiting]
    ) -> tuple[list[Entry], list[Receipt]]:
        height, time_ms = exchange.height, exchange.time_ms
        exchange.begin_block(height + 1, max(self.clock_ms(), time_ms))
        entries: list[Entry] = []
        done: list[tuple[Event, ...]] = []
        for index, one in enumerate(waiting):
            try:
                self._credit_newcomer(exchange, one.command, entries)
                events = tuple(exchange.apply(one.command))
            except Exception as error:
                raise _CrashedAtError(index) from error
            done.append(events)
            if not _left_no_trace(events):
                entries.append(Entry(one.command, events, one.trace))
        if not entries:  # there will be no such block
            exchange.height, exchange.time_ms = height, time_ms
            exchange.engine.time_ms = time_ms
        return entries, [Receipt(exchange.height, exchange.time_ms, events) for events in done]

    def _credit_newcomer(self, exchange: Exchange, command: Command, entries: list[Entry]) -> None:
        """Give a newcomer its start money, in a command of its own before its first action."""
        if exchange.faucet_credits >= self.faucet.credits_max or not self.faucet.usd:
            return
        if not isinstance(command, SignedCommand) or not _is_newcomer(exchange, command):
            return
        credit = Credit(command.signer, self.faucet.usd, CreditSource.FAUCET)
        events = tuple(exchange.apply(credit))
        if _left_no_trace(events):
            return
        entries.append(Entry(credit, events))
        self.hooks.newcomer_credited(
            credits=exchange.faucet_credits, credits_max=self.faucet.credits_max
        )

    async def _commit(
        self, chain: Chain, entries: list[Entry], started: float
    ) -> Block | SourceError:
        """Make a block durable; if that failed, return what to tell the senders."""
        exchange = chain.exchange
        block, body = seal(
            height=exchange.height, time_ms=exchange.time_ms, parent=chain.digest, entries=entries
        )
        executed = trio.current_time()
        try:
            with inside("commit journal", Role.CLIENT, _facts_of(block, body)):
                await self.store.commit(block, body)
        except Exception as error:  # noqa: BLE001  # a disk fails in many ways, all end in a rebuild
            self.hooks.chain_lost(error)
            if isinstance(error, JournalFullError):
                return NoRoomError("the disk is full; this command was not executed")
            return CommitFailedError("the disk failed; the outcome of this command is unknown")
        self.hooks.block_committed(
            commands=len(entries),
            execute_seconds=executed - started,
            commit_seconds=trio.current_time() - executed,
        )
        return block

    async def _publish(self, block: Block) -> None:
        message = BlockCommitted(block)
        if not self.router.tell(message):
            with trio.move_on_after(PUBLISH_SECONDS_MAX):
                with suppress(Stopped):  # the program ends; there is nobody left to tell
                    await self.router.put(message)
        self._published = block.height

    # -- the state and its loss

    async def _try_rebuild(self) -> None:
        """Rebuild a lost state; if the disk does not give it back, try again later."""
        if self._chain is not None:
            return
        try:
            await self._rebuild()
        except Exception as error:  # noqa: BLE001  # as for commits; the next attempt may fare better
            self._chain = None
            self.hooks.chain_lost(error)
            self.context.set_timer("rebuild", REBUILD_SECONDS, _Rebuild())

    async def _rebuild(self) -> None:
        """Take the state from the store, and publish what is durable there but was never told."""
        chain = await self.store.recover()
        height = chain.exchange.height
        self._published = min(self._published or self.heard() or height, height)
        while self._published < height:
            missed = await self.store.blocks(self._published)
            if not missed:
                raise UnavailableError(f"the store has no block after {self._published}")
            for block in missed:
                await self._publish(block)
        self._chain = chain
        self.hooks.chain_ready(height=height, faucet_credits=chain.exchange.faucet_credits)

    async def _keep_snapshot_if_due(self, chain: Chain, commands: int) -> None:
        self._since_snapshot += commands
        times_larger = max(1, self._snapshot_bytes // SNAPSHOT_BYTES)
        if self._since_snapshot < self.snapshot_every * times_larger:
            return
        self._since_snapshot = 0
        snapshot = await snapshot_of(chain)
        self._snapshot_bytes = len(snapshot.dump)
        self.snapshots.tell(SaveSnapshot(snapshot))

    # -- reads

    def _answer(self, envelope: Envelope) -> None:
        if self._chain is None:
            envelope.fail(UnavailableError("the exchange's state is being rebuilt"))
            return
        try:
            envelope.answer(_read(self._chain, envelope.message))
        except (IndexError, SourceError) as error:
            envelope.fail(error)


def _read(chain: Chain, message: object) -> At[Any]:
    """Answer a question about the committed state.

    Raises:
        IndexError: there is no such market.
        SourceError: it is not a question.
    """
    exchange = chain.exchange
    match message:
        case ReadMarket(asset):
            state: object = exchange.market_state(asset)
        case ReadAccount(account):
            state = exchange.account_state(account)
        case ReadDirectory():
            state = DirectoryState(
                tuple(exchange.instruments),
                exchange.tokens,
                exchange.addresses(),
                dict(exchange.agent_book.agents),
                exchange.sub_accounts(),
                exchange.supply(),
                exchange.terms,
                chain.digest,
            )
        case _:
            raise SourceError(f"not a message of the sequencer: {type(message).__name__}")
    return At(exchange.height, exchange.time_ms, state)


@frozen
class _Rebuild:
    """The sequencer's timer: try again to get the state back."""


@frozen
class _Waiting:
    """A command and who waits for it."""

    command: Command
    reply: Reply | None
    step: Step | None = None

    @property
    def trace(self) -> str:
        return "" if self.step is None else self.step.traceparent

    def answer(self, receipt: Receipt) -> None:
        self.end_step()
        if self.reply is not None:
            self.reply.answer(receipt)

    def fail(self, error: Exception) -> None:
        self.end_step(error)
        if self.reply is not None:
            self.reply.fail(error)

    def end_step(self, error: Exception | None = None) -> None:
        if self.step is not None:
            self.step.end(error)


def _traced_events(entries: Sequence[Entry]) -> list[str]:
    """Name what the traced commands of a block caused, each kind once."""
    kinds = (type(event).__name__ for one in entries if one.trace for event in one.events)
    return list(dict.fromkeys(kinds))


def _facts_of(block: Block, body: bytes) -> dict[str, Value]:
    return {
        "messaging.destination.name": "journal",
        "db.system.name": "sqlite",
        "block.height": block.height,
        "block.commands": len(block.entries),
        "block.bytes": len(body),
    }


class _CrashedAtError(ActorsError):
    """The machine broke on the command of this index; the cause says how."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def _blocks_of(waiting: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    """Divide commands into blocks of bounded work, in their order."""
    block: list[_Waiting] = []
    work = 0
    for one in waiting:
        more = work_of(one.command)
        if block and work + more > WORK_PER_BLOCK_MAX:
            yield block
            block, work = [], 0
        block.append(one)
        work += more
    if block:
        yield block


def work_of(command: Command) -> int:
    """Return how many steps a command takes to execute; at least 1."""
    match command:
        case PlaceOrders(orders=steps) | CancelOrders(cancels=steps) | ModifyOrders(modifies=steps):
            return max(1, len(steps))
        case _:
            return 1


def _is_newcomer(exchange: Exchange, command: ClientCommand) -> bool:
    """Tell whether this is the first action of an address, and one that could be admitted.

    Who ever used a nonce has been an account or an agent: an agent whose time is up must not find
    itself trading with money of its own.
    """
    signer = command.signer
    return (
        not exchange.knows(signer)
        and signer not in exchange.nonces
        and signer not in exchange.agent_book.agents
        and command.vault is None
        and abs(command.nonce - exchange.time_ms) < NEWCOMER_NONCE_WINDOW_MS
    )


def _left_no_trace(events: tuple[Event, ...]) -> bool:
    first = events[0] if events else None
    if type(first) is Ticked:
        return True
    return type(first) is CommandRefused and not first.nonce_used


def _fail_all(waiting: Sequence[_Waiting], error: Exception) -> None:
    for one in waiting:
        one.fail(error)
