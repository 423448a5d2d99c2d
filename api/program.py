"""The composition root: builds the whole program from its settings and runs it as one tree.

Order is meaning here. Children start from first to last and stop from last to first, and a child
that falls takes those behind it along (rest_for_one): views cannot outlive their router, and the
server is the last to come and the first to go. What nobody behind it relies on to be the same
incarnation falls alone, under a supervisor of its own: the sequencer, the history, the ticker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen

from actors.account import Account
from actors.chain import FileChain, NotedChain
from actors.chain_store import ChainStore, SnapshotWriter
from actors.clock import Clock
from actors.connections import CHECK_SECONDS, Connections
from actors.errors import StorageError
from actors.history import History, HistoryWriter
from actors.market import Market
from actors.node.logs import BLOCKS_WAITING_MAX as LOGGED_BLOCKS_MAX
from actors.node.logs import NodeLogs
from actors.outlet import FanoutCounts
from actors.recovery import Recovered
from actors.router import BLOCKS_WAITING_MAX, Directory, Router
from actors.sequencer import Faucet, Sequencer
from actors.source import BlockCommitted, EmbeddedSource
from actors.storage import Report as StorageReport
from actors.storage import TailCut
from actors.subscription_actor import subscriptions_pool
from actors.telemetry import Telemetry
from actors.ticker import Board, Ticker
from actors.traced_hooks import TracedHooks
from actors.tracing import Tracing, open_tracing
from api.admin import serve_admin
from api.app import create_app
from api.config import ExchangeConfig, load_config
from api.demo import Demo, demo_children
from api.entry import OrderEntry
from api.framing import Wires
from api.gateway import Gateway
from api.info import Info
from api.limits import NetworkLimits
from api.market_metrics import market_rows
from api.operator import operator_handlers
from api.server import hypercorn_config, serve_http
from api.server_guard import ON_BROKEN
from api.settings import Settings
from api.signing import Chain
from model.blocks import Block
from model.ids import Address, AssetId
from supervision import (
    Actor,
    ChildSpec,
    DeadLetter,
    Event,
    Hooks,
    MailboxSpec,
    OnFull,
    PoolSpec,
    Registry,
    Report,
    Restart,
    Shed,
    Strategy,
    SupervisionError,
    SupervisorSpec,
    System,
    Task,
    open_system,
)
from supervision import Address as ActorAddress

log = logging.getLogger("zaraba")

SEQUENCER_MESSAGES_MAX: Final = 10_000
"""Commands that may wait for a block: about a second of work. More are refused, since a stale order
is worse than a refused one.
"""
MARKET_MESSAGES_MAX: Final = 4_096
ACCOUNT_MESSAGES_MAX: Final = 1_024
"""Actions, parts of blocks and questions that may wait at one account."""
MARKETS_MAX: Final = 1_000
ACCOUNTS_MAX: Final = 20_000
"""Accounts with live interest at once; idle ones make room."""
ACCOUNT_IDLE_SECONDS: Final = 120.0
WAKE_SECONDS_MAX: Final = 10.0
"""How long a start waits for the markets. One that does not come up, or a router that falls again
meanwhile, must hold up neither the others nor its own restart.
"""
HISTORY_RESTARTS_MAX: Final = 20
"""More than its backoff allows: a full disk ends neither the program nor a session."""
HISTORY_RESTARTS_SECONDS: Final = 60.0
SEQUENCER_STOP_SECONDS: Final = 1.5
"""For the snapshot of a stop. The journal has everything, so it is given up rather than late."""
RESTARTS_MAX: Final = 5
RESTARTS_SECONDS: Final = 30.0
RECOVERY_SECONDS_MAX: Final = 3_600.0
"""A start that replays a long journal takes its time, and says how far it is."""


POOLS: Final = ("markets", "accounts", "subscriptions")
"""Where many actors share one name in metrics."""


def wall_clock_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@define(eq=False)
class Program:
    """A gateway that runs.

    ``urls`` are where it listens. ``stop`` asks it to end; ``wait_stopped`` waits until it has.
    """

    settings: Settings
    config: ExchangeConfig
    registry: Registry
    ground: Ground
    gateway: Gateway
    entry: OrderEntry
    info: Info
    limits: NetworkLimits
    system: System | None = None
    urls: list[str] = field(factory=list)

    @property
    def bind(self) -> str:
        """Where to listen: as told, and after a restart of the server at the same port again."""
        return urlsplit(self.urls[0]).netloc if self.urls else self.settings.bind

    def note_urls(self, urls: list[str]) -> None:
        """Take note of where the server listens."""
        self.urls[:] = urls

    def note_draining(self) -> None:
        """Take note that the server says goodbye."""
        self.gateway.is_draining = True

    def stop(self, reason: str) -> None:
        """Ask the tree to end; it does so in order."""
        if self.system is not None:
            self.system.stop(reason)

    async def wait_stopped(self) -> None:
        """Wait until nothing of the tree runs any more."""
        if self.system is not None:
            await self.system.wait_stopped()


def file_chain(path: Path) -> ChainStore:
    """Return the chain of a data directory, which tells the log what it mends."""
    return FileChain(
        path,
        on_report=_tell_of_damage,
        on_recovered=_tell_of_recovery,
        progress=_progress,
        proving=_proof_progress,
    )


@frozen
class Ground:
    """What a gateway stands on besides its settings; tests put a simulated world here.

    Args:
        clock_ms: wall clock in milliseconds since 1970.
        chain: opens the store of a data directory.
        history, history_writer: the two sides of the history of a data directory.
        random: source of the jitter between restarts; ``None`` for one of its own.
        prepare: is given the tree before it starts, and returns the one that does.
        tracing: makes the spans, instead of what the settings say.
        telemetry: makes what counts.
    """

    clock_ms: Callable[[], int] = wall_clock_ms
    chain: Callable[[Path], ChainStore] = file_chain
    history: Callable[[Path, ActorAddress], History] = History
    history_writer: Callable[[Path, History], Actor] = HistoryWriter
    random: Random | None = None
    prepare: Callable[[SupervisorSpec, Program], SupervisorSpec] = lambda tree, _program: tree
    tracing: Tracing | None = None
    telemetry: Callable[[Tracing | None], Telemetry] = Telemetry


@asynccontextmanager
async def open_program(
    settings: Settings, *, serve: bool = True, ground: Ground | None = None
) -> AsyncIterator[Program]:
    """Start a gateway; it is ready when the context is entered, and stopped when it is left.

    Args:
        settings: how to run.
        serve: whether to listen; somebody else's server hosts the application otherwise.
        ground: what it stands on; the real world unless told otherwise.
    """
    ground = Ground() if ground is None else ground
    config = load_config(settings.config)
    tracing = ground.tracing or open_tracing(settings.tracing)
    telemetry = ground.telemetry(tracing)
    registry = Registry()
    program = _assemble(settings, config, telemetry, registry, ground)
    if tracing is not None:
        program.gateway.history.begin_linked = tracing.begin_linked
    telemetry.process.start()
    try:
        spec = ground.prepare(_tree(program, serve=serve), program)
        if tracing is None:
            hooks = _TreeHooks(program.gateway)
        else:
            hooks = _TracedTreeHooks(program.gateway, tracing)
        async with open_system(
            spec, registry=registry, random=ground.random, hooks=hooks
        ) as system:
            program.system = system
            _compare_markets(config, program.gateway.directory)
            yield program
    finally:
        telemetry.close()


def _assemble(
    settings: Settings,
    config: ExchangeConfig,
    telemetry: Telemetry,
    registry: Registry,
    ground: Ground,
) -> Program:
    """Make the passive parts and connect them by addresses; nothing runs yet."""
    source = EmbeddedSource(registry.address("source/sequencer"))
    directory, board = Directory(), Board()
    gateway = Gateway(
        source=source,
        directory=directory,
        board=board,
        history=ground.history(settings.data, registry.address("history/writer")),
        registry=registry,
        connections=Connections(),
        counts=FanoutCounts(),
        telemetry=telemetry,
        wires=Wires(directory, board),
    )
    _watch_gauges(gateway, ground.clock_ms)
    if settings.faucet_usd:
        telemetry.faucet_opened(settings.faucet_credits_max)
    info = Info(gateway)
    entry = OrderEntry(gateway, Chain.TESTNET)
    limits = NetworkLimits(config.limits, trio.current_time)
    return Program(settings, config, registry, ground, gateway, entry, info, limits)


# -- the tree


def _tree(program: Program, *, serve: bool) -> SupervisorSpec:
    children = [
        _source(program),
        _history(program),
        *_node_logs(program),
        ChildSpec(
            "router",
            lambda: Router(
                program.gateway.source,
                program.gateway.directory,
                program.gateway.telemetry.hops.block_published,
            ),
            mailbox=MailboxSpec(BLOCKS_WAITING_MAX),
        ),
        _markets(program),
        _accounts(program),
        ChildSpec("subscriptions", subscriptions_pool()),
        _services(program),
        *_demo(program),
    ]
    if serve:
        children.append(_server(program))
    return SupervisorSpec(
        children,
        strategy=Strategy.REST_FOR_ONE,
        intensity=RESTARTS_MAX,
        period_seconds=RESTARTS_SECONDS,
    )


def _source(program: Program) -> ChildSpec:
    settings, registry, ground = program.settings, program.registry, program.ground

    def note_durable(block: Block) -> None:
        program.gateway.history.note_durable(block)
        if settings.node_logs is not None:
            registry.address("logs/writer").tell(BlockCommitted(block))

    store = NotedChain(ground.chain(settings.data), note_durable)
    sequencer = ChildSpec(
        "sequencer",
        lambda: Sequencer(
            store=store,
            genesis=program.config.genesis(),
            router=registry.address("router"),
            snapshots=registry.address("source/snapshots"),
            clock_ms=ground.clock_ms,
            faucet=Faucet(settings.faucet_usd, settings.faucet_credits_max),
            hooks=program.gateway.telemetry,
            heard=lambda: program.gateway.directory.height,
        ),
        mailbox=MailboxSpec(SEQUENCER_MESSAGES_MAX),
        init_seconds=RECOVERY_SECONDS_MAX,
        shutdown_seconds=SEQUENCER_STOP_SECONDS,
    )
    snapshots = ChildSpec(
        "snapshots",
        lambda: SnapshotWriter(store),
        mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
    )
    return ChildSpec(
        "source",
        SupervisorSpec(
            [snapshots, sequencer], intensity=RESTARTS_MAX, period_seconds=RESTARTS_SECONDS
        ),
    )


def _history(program: Program) -> ChildSpec:
    writer = ChildSpec(
        "writer",
        lambda: program.ground.history_writer(program.settings.data, program.gateway.history),
        mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
        init_seconds=RECOVERY_SECONDS_MAX,
    )
    return ChildSpec(
        "history",
        SupervisorSpec(
            [writer], intensity=HISTORY_RESTARTS_MAX, period_seconds=HISTORY_RESTARTS_SECONDS
        ),
    )


def _node_logs(program: Program) -> list[ChildSpec]:
    """Return what writes a node's files, if it is wanted; nobody depends on it."""
    root = program.settings.node_logs
    if root is None:
        return []
    writer = ChildSpec(
        "writer",
        lambda: NodeLogs(root, program.gateway.source),
        mailbox=MailboxSpec(LOGGED_BLOCKS_MAX),
    )
    supervisor = SupervisorSpec(
        [writer], intensity=HISTORY_RESTARTS_MAX, period_seconds=HISTORY_RESTARTS_SECONDS
    )
    return [ChildSpec("logs", supervisor)]


def _markets(program: Program) -> ChildSpec:
    gateway, registry = program.gateway, program.registry

    def start(asset: AssetId) -> Market:
        return Market(
            asset=asset,
            source=gateway.source,
            router=registry.address("router"),
            open_view=gateway.history.open_market,
            frames=gateway.wires.market(gateway.directory.universe[asset]),
            channels=gateway.market_channels.of(asset),
            board=gateway.board,
        )

    return ChildSpec(
        "markets",
        PoolSpec(
            start=start,
            mailbox=MailboxSpec(MARKET_MESSAGES_MAX),
            intensity=RESTARTS_MAX,
            period_seconds=RESTARTS_SECONDS,
            capacity=MARKETS_MAX,
        ),
    )


def _accounts(program: Program) -> ChildSpec:
    gateway, registry = program.gateway, program.registry

    def start(account: Address) -> Account:
        return Account(
            account=account,
            source=gateway.source,
            router=registry.address("router"),
            open_view=gateway.open_account,
            frames=gateway.wires.accounts,
            channels=gateway.account_channels,
        )

    return ChildSpec(
        "accounts",
        PoolSpec(
            start=start,
            mailbox=MailboxSpec(ACCOUNT_MESSAGES_MAX),
            intensity=RESTARTS_MAX,
            period_seconds=RESTARTS_SECONDS,
            capacity=ACCOUNTS_MAX,
            idle_seconds=ACCOUNT_IDLE_SECONDS,
        ),
    )


def _services(program: Program) -> ChildSpec:
    """Return what falls alone, since nobody notices more of it than a pause."""
    gateway = program.gateway

    def ticker() -> Ticker:
        return Ticker(gateway.board, gateway.wires.ticker, gateway.ticker_channels)

    return ChildSpec(
        "services",
        SupervisorSpec(
            [
                ChildSpec("clock", lambda: Clock(gateway.carry_out)),
                ChildSpec("ticker", ticker),
                ChildSpec("connections", Task(lambda status: _watch(program, status))),
                ChildSpec("admin", Task(lambda status: _serve_admin(program, status))),
            ],
            intensity=RESTARTS_MAX,
            period_seconds=RESTARTS_SECONDS,
        ),
    )


def _demo(program: Program) -> list[ChildSpec]:
    if not program.settings.demo:
        return []
    demo = Demo(
        config=program.config,
        exchange=program.entry.enter,
        info=program.info.answer,
        submit=program.gateway.carry_out,
        clock_ms=program.ground.clock_ms,
        fund=program.gateway.fund,
        fund_token=program.gateway.fund_token,
        seed=program.settings.seed,
    )
    supervisor = SupervisorSpec(
        demo_children(demo), intensity=RESTARTS_MAX, period_seconds=RESTARTS_SECONDS
    )
    return [ChildSpec("demo", supervisor, restart=Restart.TRANSIENT)]


def _server(program: Program) -> ChildSpec:
    gateway = program.gateway

    async def run(task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128
        # An incarnation that drained its connections takes no more of them.
        gateway.connections = Connections()
        gateway.is_draining = False
        config = hypercorn_config(program.bind)
        setattr(config, ON_BROKEN, lambda: gateway.telemetry.input_refused("http", "protocol"))
        await serve_http(
            create_app(gateway, program.entry, program.info, program.limits),
            config,
            gateway.connections,
            on_listening=program.note_urls,
            on_stopping=program.note_draining,
            task_status=task_status,
        )

    return ChildSpec("server", Task(run))


async def _serve_admin(program: Program, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128
    await serve_admin(program.settings.data, operator_handlers(program), task_status)


async def _watch(program: Program, task_status: trio.TaskStatus[None]) -> None:
    """Wake the markets, then look after the connections."""
    gateway = program.gateway

    async def wake(asset: AssetId) -> None:
        with suppress(SupervisionError):  # readiness names it
            await gateway.read_market(asset, lambda _: None)

    with trio.move_on_after(WAKE_SECONDS_MAX):
        async with trio.open_nursery() as nursery:
            for instrument in gateway.directory.universe:
                nursery.start_soon(wake, instrument.asset)
    task_status.started()
    while True:
        gateway.connections.check(trio.current_time())
        await trio.sleep(CHECK_SECONDS)


# -- what is told


class _TreeHooks(Hooks):
    """Turns supervisor reports into log lines and counters."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def on_report(self, report: Report) -> None:
        actor = report.supervisor if report.supervisor in POOLS else report.child
        self._gateway.telemetry.supervisor_reported(report, actor)
        if report.event is Event.CHILD_FAILED:
            self._gateway.give_up(report.child)
        if report.is_error:
            log.error(
                "%s: %s (generation %d, attempt %d) %s",
                report.child,
                report.event.value,
                report.generation,
                report.attempt,
                report.reason,
                exc_info=None if _explains_itself(report) else report.cause,
                extra={"actor": report.child, "generation": report.generation},
            )

    def on_dead_letter(self, letter: DeadLetter) -> None:
        self._gateway.telemetry.letter_died(letter)

    def on_shed(self, shed: Shed) -> None:
        self._gateway.telemetry.message_shed(shed)


class _TracedTreeHooks(_TreeHooks, TracedHooks):
    """Likewise, and lets messages carry the trace that they belong to."""

    def __init__(self, gateway: Gateway, tracing: Tracing) -> None:
        _TreeHooks.__init__(self, gateway)
        TracedHooks.__init__(self, tracing, POOLS)


def _explains_itself(report: Report) -> bool:
    """Tell whether a start failed for a reason that will be told in a sentence at the end."""
    cause = report.cause if report.event is Event.START_FAILED else None
    while cause is not None and not isinstance(cause, StorageError | OSError):
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__
    return cause is not None


def _compare_markets(config: ExchangeConfig, directory: Directory) -> None:
    """Say so if the exchange that was found is not the one that the configuration describes.

    Markets that were added to it later are no difference.
    """
    found, described = directory.universe, config.listed
    if not set(described) <= set(found):
        log.warning("the markets are those of the data directory; the configuration has others")


def _tell_of_damage(report: StorageReport) -> None:
    # A process that is killed in the middle of a commit leaves half of it: nobody was told of it.
    is_ordinary = isinstance(report, TailCut) and report.kept is None
    log.log(logging.INFO if is_ordinary else logging.WARNING, "%s", report)


def _tell_of_recovery(recovered: Recovered) -> None:
    exchange = recovered.exchange
    if exchange.height:
        log.info(
            "recovered height %d from a snapshot at %d and %d commands",
            exchange.height,
            recovered.snapshot_height,
            recovered.commands,
        )


def _progress(done: int, total: int) -> None:
    if 0 < done < total:
        log.info("recovering: %d of %d blocks", done, total)


def _proof_progress(done: int, total: int) -> None:
    if done < total:
        log.info("proving the journal: %d of %d blocks", done, total)


def _watch_gauges(gateway: Gateway, clock_ms: Callable[[], int]) -> None:
    gateway.telemetry.watch_actors(gateway.registry)
    universe = gateway.directory.universe
    gateway.telemetry.watch_markets(
        lambda: market_rows(
            ((instrument.name, instrument.asset) for instrument in universe),
            gateway.market_channels,
            clock_ms(),
        )
    )
    watch, total = gateway.telemetry.watch, gateway.telemetry.watch_total
    counts = gateway.counts
    watch("zaraba_connections", "WebSocket connections.", lambda: len(gateway.connections))
    for name, text in (
        ("frames", "Frames taken by sockets."),
        ("bytes", "Bytes of those frames."),
        ("held", "Frames that had to wait for a slow client."),
        ("conflated", "Waiting frames replaced by newer ones."),
        ("overflowed", "Subscriptions ended because too much waited."),
        ("flooded", "Connections closed because too much waited."),
        ("stalled", "Connections ended because nothing moved."),
        ("direct", "Connections served on the server's own socket."),
        ("fallback", "Connections served through the framework."),
    ):
        total(f"zaraba_fanout_{name}", text, partial(getattr, counts, name))
