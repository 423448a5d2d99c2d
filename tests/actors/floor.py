"""A trading floor without a disk: the real sequencer, router and views over a chain in memory.

The chain fails as a test tells it to. Everything else, the supervision included, is the real thing.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import Factory, define, field

from actors.account import Account
from actors.chain_store import Chain, SnapshotWriter
from actors.channels import ChannelsByKey
from actors.market import Market
from actors.router import Directory, Router
from actors.sequencer import Faucet, Sequencer, SequencerHooks
from actors.snapshots import Snapshot
from actors.source import At, EmbeddedSource
from actors.ticker import Board
from api.framing import Wires
from model.blocks import GENESIS_DIGEST, Block
from model.commands import (
    AdminCommand,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    OpenExchange,
    OrderSpec,
    PlaceOrders,
    Tif,
)
from model.events import Event, Traded
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.state import AccountState, MarketState
from model.units import E8, USD
from model.views.account import AccountSeeds, AccountView
from model.views.market import MarketSeeds, MarketView
from model.views.records import Moment, trade_from
from supervision import (
    NO_BACKOFF,
    Backoff,
    ChildSpec,
    Hooks,
    MailboxSpec,
    OnFull,
    PoolSpec,
    Registry,
    Report,
    Strategy,
    SupervisorSpec,
    System,
    open_system,
)

START_MS = 1_700_000_000_000
BTC = Instrument(AssetId(0), "BTC", 5, 40, 50_000 * E8)
ETH = Instrument(AssetId(1), "ETH", 4, 25, 3_000 * E8)
ALICE, BOB, CAROL = (Address(f"0x{number:040x}") for number in (1, 2, 3))
POISON_USD = 13
"""A credit of this breaks the machine, after it has changed something."""


def genesis() -> list[AdminCommand]:
    return [
        OpenExchange(450, 150),
        ListMarket(BTC),
        ListMarket(ETH),
        *(Credit(account, 10**6 * USD, CreditSource.FUND) for account in (ALICE, BOB)),
    ]


def credit(account: Address = CAROL, usd: int = USD) -> Credit:
    return Credit(account, usd, CreditSource.FUND)


def order(
    account: Address,
    nonce: int,
    *,
    is_buy: bool = True,
    price: int = 50_000,
    size: str = "0.01",
    tif: Tif = Tif.GTC,
    count: int = 1,
    asset: AssetId = BTC.asset,
) -> PlaceOrders:
    """Return an order; the nonce counts from the start of the chain's time."""
    size_e8 = int(float(size) * E8)
    spec = OrderSpec(asset, is_buy, price * E8, size_e8, tif, False, None)
    return PlaceOrders(account, START_MS + nonce, None, None, (spec,) * count)


class FragileExchange(Exchange):
    """Breaks on a poisoned command, half way."""

    def apply(self, command: Command) -> list[Event]:
        events = super().apply(command)
        if isinstance(command, Credit) and command.usd == POISON_USD:
            raise ZeroDivisionError("poison")
        return events


@define(eq=False)
class MemoryChain:
    """A ``ChainStore`` in memory whose disk misbehaves as told.

    ``commit_errors`` and ``recover_errors`` are raised by the next calls, one each; a commit whose
    error is in ``durable_errors`` keeps the block all the same. ``gate`` holds commits up.
    """

    kept: list[Block] = Factory(list)
    saved: list[Snapshot] = Factory(list)
    commit_errors: list[Exception] = Factory(list)
    durable_errors: list[Exception] = Factory(list)
    recover_errors: list[Exception] = Factory(list)
    gate: trio.Event | None = None
    late_gate: trio.Event | None = None
    commits_begun: int = 0
    recoveries: int = 0
    is_closed: bool = False

    async def recover(self) -> Chain:
        await trio.lowlevel.checkpoint()
        if self.recover_errors:
            raise self.recover_errors.pop(0)
        self.recoveries += 1
        exchange, digest = FragileExchange(), GENESIS_DIGEST
        for block in self.kept:
            exchange.begin_block(block.height, block.time_ms)
            for entry in block.entries:
                assert tuple(exchange.apply(entry.command)) == entry.events
            digest = block.digest
        return Chain(exchange, digest)

    async def commit(self, block: Block, body: bytes) -> None:
        self.commits_begun += 1
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.commit_errors:
            raise self.commit_errors.pop(0)
        parent = self.kept[-1].digest if self.kept else GENESIS_DIGEST
        assert block.parent == parent
        assert block.height == len(self.kept) + 1
        self.kept.append(block)
        if self.durable_errors:
            raise self.durable_errors.pop(0)

    async def blocks(self, after: int) -> Sequence[Block]:
        await trio.lowlevel.checkpoint()
        return self.kept[after : after + 2]

    async def save(self, snapshot: Snapshot) -> None:
        await trio.lowlevel.checkpoint()
        self.saved.append(snapshot)

    async def aclose(self) -> None:
        self.is_closed = True

    def state(self) -> Exchange:
        """Return the state after all blocks, computed afresh."""
        exchange = Exchange()
        for block in self.kept:
            exchange.begin_block(block.height, block.time_ms)
            for entry in block.entries:
                exchange.apply(entry.command)
        return exchange

    def trade_ids(self, asset: AssetId) -> list[int]:
        """Return the ids of all trades of a market."""
        events = [e for block in self.kept for entry in block.entries for e in entry.events]
        return [e.trade_id for e in events if isinstance(e, Traded) and e.asset == asset]

    def commands(self) -> list[Command]:
        return [entry.command for block in self.kept for entry in block.entries]


class Notes(Hooks):
    """All reports of the tree."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def on_report(self, report: Report) -> None:
        self.reports.append(report)


class Told(SequencerHooks):
    """What the sequencer reported."""

    def __init__(self) -> None:
        self.lost: list[BaseException] = []
        self.crashed: list[Command] = []
        self.credits = 0
        self.heights: list[int] = []
        self.fall_after_commit = False

    def block_committed(self, **_: object) -> None:
        if self.fall_after_commit:
            self.fall_after_commit = False
            raise ZeroDivisionError("between commit and publication")

    def chain_lost(self, error: BaseException) -> None:
        self.lost.append(error)

    def command_crashed(self, command: Command, error: BaseException) -> None:
        self.crashed.append(command)

    def newcomer_credited(self, *, credits: int, credits_max: int) -> None:
        self.credits = credits

    def chain_ready(self, *, height: int, faucet_credits: int) -> None:
        self.heights.append(height)


@define(eq=False)
class Floor:
    """The tree and its parts. ``clock_ms`` is the wall clock; it stands still unless moved."""

    chain: MemoryChain = Factory(MemoryChain)
    genesis: Sequence[AdminCommand] = Factory(genesis)
    faucet: Faucet = Factory(Faucet)
    snapshot_every: int = 100_000
    router_capacity: int = 1_024
    view_capacity: int = 1_024
    idle_seconds: float | None = None
    restarts: int = 20
    clock_ms: int = START_MS
    notes: Notes = Factory(Notes)
    told: Told = Factory(Told)
    directory: Directory = Factory(Directory)
    board: Board = Factory(Board)
    registry: Registry = Factory(Registry)
    market_channels: ChannelsByKey[AssetId] = Factory(ChannelsByKey)
    account_channels: ChannelsByKey[Address] = Factory(ChannelsByKey)
    source: EmbeddedSource = field(init=False)
    system: System = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.source = EmbeddedSource(self.registry.address("source/sequencer"))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Floor"]:
        async with open_system(self._spec(), registry=self.registry, hooks=self.notes) as system:
            self.system = system
            yield self

    def _spec(self) -> SupervisorSpec:
        sequencer = ChildSpec("sequencer", self._sequencer, backoff=NO_BACKOFF)
        writer = ChildSpec(
            "snapshots",
            lambda: SnapshotWriter(self.chain),
            mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
        )
        return SupervisorSpec(
            [
                ChildSpec("source", SupervisorSpec([writer, sequencer], intensity=self.restarts)),
                ChildSpec(
                    "router",
                    lambda: Router(self.source, self.directory),
                    mailbox=MailboxSpec(self.router_capacity),
                    backoff=Backoff(0.01, 0.01, 0.0),
                ),
                ChildSpec("markets", self._pool(self._market)),
                ChildSpec("accounts", self._pool(self._account)),
            ],
            strategy=Strategy.REST_FOR_ONE,
            intensity=self.restarts,
        )

    def _pool(self, start: Callable[..., Account | Market]) -> PoolSpec[AssetId | Address]:
        return PoolSpec(
            start=start,
            mailbox=MailboxSpec(self.view_capacity),
            intensity=min(self.restarts, 5) if self.restarts < 1_000 else self.restarts,
            backoff=NO_BACKOFF,
            idle_seconds=self.idle_seconds,
        )

    def _sequencer(self) -> Sequencer:
        return Sequencer(
            store=self.chain,
            genesis=self.genesis,
            router=self.registry.address("router"),
            snapshots=self.registry.address("source/snapshots"),
            clock_ms=lambda: self.clock_ms,
            faucet=self.faucet,
            hooks=self.told,
            heard=lambda: self.directory.height,
            snapshot_every=self.snapshot_every,
        )

    def _market(self, asset: AssetId) -> Market:
        return Market(
            asset=asset,
            source=self.source,
            router=self.registry.address("router"),
            open_view=self.open_market,
            frames=self.wires.market(self.directory.universe[asset]),
            channels=self.market_channels.of(asset),
            board=self.board,
        )

    def _account(self, account: Address) -> Account:
        return Account(
            account=account,
            source=self.source,
            router=self.registry.address("router"),
            open_view=self.open_account,
            frames=self.wires.accounts,
            channels=self.account_channels,
        )

    def generation(self, path: str) -> int:
        """Return how often the actor at a path was started."""
        return self.registry.address(path).generation

    @property
    def wires(self) -> Wires:
        return Wires(self.directory, self.board)

    async def open_market(self, at: At[MarketState]) -> MarketView:
        """Make a view as the history would: with what the blocks up to its height tell."""
        asset = at.state.instrument.asset
        trades = [
            trade_from(event, moment)
            for event, moment in self._events(at.height)
            if isinstance(event, Traded) and event.asset == asset
        ]
        await trio.lowlevel.checkpoint()
        return MarketView(at.state, at.time_ms, MarketSeeds(trades=tuple(trades[-100:])))

    async def open_account(self, at: At[AccountState]) -> AccountView:
        """Make a view as the history would."""
        empty = AccountState(at.state.address, False, 0, 0, (), (), ())
        view = AccountView(empty, self.directory.universe)
        for event, moment in self._events(at.height):
            view.apply(event, moment)
        await trio.lowlevel.checkpoint()
        seeds = AccountSeeds(
            tuple(view.fills),
            tuple(view.orders),
            tuple(view.ledger),
            tuple(view.fundings),
            tuple(view.twaps),
            view.paid_in,
        )
        return AccountView(at.state, self.directory.universe, seeds)

    def _events(self, height: int) -> list[tuple[Event, Moment]]:
        return [
            (event, Moment(block.height, block.time_ms, index))
            for block in self.chain.kept[:height]
            for index, entry in enumerate(block.entries)
            for event in entry.events
        ]


async def settle(times: int = 40) -> None:
    """Let everything that can run, run."""
    for _ in range(times):
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_floor(floor: Floor | None = None) -> AsyncIterator[Floor]:
    """Open a floor with its genesis block done."""
    async with (floor or Floor()).open() as opened:
        yield opened
