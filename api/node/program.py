"""The gateway beside a node, put together: one tree, as with the exchange.

    root (rest_for_one)
    ├─ source          follower, files (wakes it), snapshots (has it compare)
    ├─ router          gives each view its part of each block
    ├─ markets         pool: one actor for each coin
    ├─ accounts        pool: one actor for each account that somebody is interested in
    ├─ subscriptions   pool: one actor for each subscription whose client has fallen behind
    ├─ services        ticker, connections, upstream
    └─ server          HTTP and WebSocket

The follower stands alone under its supervisor but takes everything behind it along when it falls:
its books are new then, with new epochs, and every view starts from them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from attrs import Factory, define, field, frozen

from actors.connections import CHECK_SECONDS, Connections
from actors.market import Market
from actors.node.account import NodeAccount
from actors.node.follower import Follower, NodeFiles, ReadCoin, wall_clock_ms
from actors.node.router import NodeRouter
from actors.node.snapshots import NodeInfo, SnapshotFile, Snapshots, watch_files, watch_snapshots
from actors.node.tail import list_files
from actors.source import At
from actors.subscription_actor import subscriptions_pool
from actors.telemetry import Telemetry
from actors.ticker import Ticker
from actors.trace_settings import TraceSettings
from actors.traced_hooks import TracedHooks
from actors.tracing import Tracing, open_tracing
from api.app import create_app
from api.config import Limits
from api.limits import NetworkLimits
from api.market_metrics import market_rows
from api.node.entry import NodeEntry
from api.node.gateway import NodeGateway
from api.node.info import NodeInfo as Questions
from api.server import hypercorn_config, serve_http
from api.server_guard import ON_BROKEN
from model.ids import Address, AssetId
from model.node.lines import Form
from model.node.views import NodeCoinState, NodeMarketView
from supervision import Address as ActorAddress
from supervision import (
    ChildSpec,
    DeadLetter,
    Event,
    Hooks,
    MailboxSpec,
    PoolSpec,
    Registry,
    Report,
    Shed,
    Strategy,
    SupervisionError,
    SupervisorSpec,
    System,
    Task,
    open_system,
)

FOLLOWER_MESSAGES_MAX: Final = 10_000
"""Subscriptions and questions that may wait while the follower reads a piece."""
ROUTER_MESSAGES_MAX: Final = 1_024
"""Blocks that may wait; the follower then waits, and the files with it."""
MARKET_MESSAGES_MAX: Final = 4_096
ACCOUNT_MESSAGES_MAX: Final = 1_024
MARKETS_MAX: Final = 10_000
ACCOUNTS_MAX: Final = 20_000
ACCOUNT_IDLE_SECONDS: Final = 120.0
START_SECONDS_MAX: Final = 300.0
"""A snapshot may have to be asked of the node first, which takes half a minute."""
RESTARTS_MAX: Final = 5
RESTARTS_SECONDS: Final = 30.0
POOLS: Final = ("markets", "accounts", "subscriptions")

log = logging.getLogger("zaraba")


@frozen
class NodeSettings:
    """How to run beside a node.

    Args:
        root: the node's data root.
        snapshot: a file that somebody keeps fresh; or
        node_info: the URL of the node's info server, which is asked for snapshots.
        data: where the node is asked to write them.
        upstream: where actions are handed on; ``None`` to refuse them.
        form: how the node writes; ``None`` to find out.
        tracing: where the spans of traced requests go.
    """

    root: Path
    data: Path
    snapshot: Path | None = None
    node_info: str | None = None
    upstream: str | None = None
    form: Form | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tracing: TraceSettings = Factory(TraceSettings)

    @property
    def bind(self) -> str:
        """The address as servers take it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@define(eq=False)
class NodeProgram:
    """A gateway beside a node that runs. ``urls`` are where it listens."""

    settings: NodeSettings
    gateway: NodeGateway
    entry: NodeEntry
    info: Questions
    snapshots: Snapshots
    system: System | None = None
    urls: list[str] = field(factory=list)

    @property
    def bind(self) -> str:
        """Where to listen: as told, and after a restart of the server at the same port again."""
        return urlsplit(self.urls[0]).netloc if self.urls else self.settings.bind

    async def wait_stopped(self) -> None:
        """Wait until nothing of the tree runs any more."""
        if self.system is not None:
            await self.system.wait_stopped()


@asynccontextmanager
async def open_node_program(
    settings: NodeSettings, *, serve: bool = True, tracing: Tracing | None = None
) -> AsyncIterator[NodeProgram]:
    """Start a gateway beside a node; it is stopped when the context is left.

    Args:
        settings: how to run.
        serve: whether to listen.
        tracing: makes the spans, instead of what the settings say.

    Raises:
        supervision.InitFailed: the node's files or the snapshot cannot be used.
    """
    registry, tracing = Registry(), tracing or open_tracing(settings.tracing)
    telemetry = Telemetry(tracing)
    gateway = NodeGateway(registry, telemetry)
    entry = NodeEntry(settings.upstream)
    program = NodeProgram(settings, gateway, entry, Questions(gateway, entry), _snapshots(settings))
    telemetry.watch_actors(registry)
    telemetry.watch_markets(
        lambda: market_rows(gateway.status.assets.items(), gateway.market_channels, wall_clock_ms())
    )
    watch_node_gauges(gateway)
    if tracing is None:
        hooks = _TreeHooks(gateway)
    else:
        hooks = _TracedTreeHooks(gateway, tracing)
    telemetry.process.start()
    try:
        async with open_system(
            _tree(program, serve=serve), registry=registry, hooks=hooks
        ) as system:
            program.system = system
            yield program
    finally:
        telemetry.close()


def _snapshots(settings: NodeSettings) -> Snapshots:
    if settings.snapshot is not None:
        return SnapshotFile(settings.snapshot)
    assert settings.node_info is not None
    settings.data.mkdir(parents=True, exist_ok=True)
    return NodeInfo(settings.node_info, settings.data / "node-snapshot.json")


def _tree(program: NodeProgram, *, serve: bool) -> SupervisorSpec:
    gateway = program.gateway
    children = [
        _source(program),
        ChildSpec(
            "router",
            lambda: NodeRouter(gateway.status.followed),
            mailbox=MailboxSpec(ROUTER_MESSAGES_MAX),
        ),
        _markets(program),
        _accounts(program),
        ChildSpec("subscriptions", subscriptions_pool()),
        _services(program),
    ]
    if serve:
        children.append(_server(program))
    return SupervisorSpec(
        children,
        strategy=Strategy.REST_FOR_ONE,
        intensity=RESTARTS_MAX,
        period_seconds=RESTARTS_SECONDS,
    )


def _source(program: NodeProgram) -> ChildSpec:
    gateway, registry, settings = program.gateway, program.gateway.registry, program.settings
    run = uuid.uuid4().hex[:12]

    def follower() -> Follower:
        return Follower(
            files=NodeFiles(settings.root, program.snapshots.first, settings.form),
            router=registry.address("router"),
            channels=gateway.feed_channels,
            status=gateway.status,
            run=run,
            on_healed=partial(gateway.telemetry.healed, "source/follower"),
        )

    def folders() -> list[Path]:
        newest = {path.parent for folder in _streams(settings.root) for path in folder}
        return [*newest, *(path.parent for path in newest)]

    return ChildSpec(
        "source",
        SupervisorSpec(
            [
                ChildSpec(
                    "follower",
                    follower,
                    mailbox=MailboxSpec(FOLLOWER_MESSAGES_MAX),
                    init_seconds=START_SECONDS_MAX,
                ),
                ChildSpec(
                    "files",
                    Task(lambda status: watch_files(folders, gateway.follower, task_status=status)),
                ),
                ChildSpec(
                    "snapshots",
                    Task(
                        lambda status: watch_snapshots(
                            program.snapshots, gateway.status, gateway.follower, task_status=status
                        )
                    ),
                ),
            ],
            intensity=0,  # whatever is behind must start from the new books
            period_seconds=RESTARTS_SECONDS,
        ),
    )


def _streams(root: Path) -> list[list[Path]]:
    """Return the newest file of each stream, if it has one."""
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        files = list_files(folder) if folder.is_dir() else []
        found.append([files[-1][1]] if files else [])
    return found


@frozen
class NodeSource:
    """What a view of a coin asks for its state."""

    follower: ActorAddress

    async def market(self, asset: AssetId) -> At[NodeCoinState]:
        """Return the state of a coin."""
        answer: At[NodeCoinState] = await self.follower.ask(ReadCoin(asset))
        return answer


def _markets(program: NodeProgram) -> ChildSpec:
    gateway = program.gateway

    async def open_view(at: At[NodeCoinState]) -> NodeMarketView:  # noqa: ASYNC124
        return NodeMarketView(at.state, at.time_ms)

    def start(asset: AssetId) -> Market:
        parts: dict[str, Any] = {
            "source": NodeSource(gateway.follower),
            "open_view": open_view,
            "frames": gateway.wire(gateway.status.coins[asset]),
        }
        return Market(
            asset=asset,
            router=gateway.registry.address("router"),
            channels=gateway.market_channels.of(asset),
            board=gateway.board,
            **parts,
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


def _accounts(program: NodeProgram) -> ChildSpec:
    gateway = program.gateway

    def start(account: Address) -> NodeAccount:
        return NodeAccount(
            account=account,
            follower=gateway.follower,
            router=gateway.registry.address("router"),
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


def _services(program: NodeProgram) -> ChildSpec:
    gateway = program.gateway

    def ticker() -> Ticker:
        return Ticker(gateway.board, gateway.ticker_wire, gateway.ticker_channels)

    return ChildSpec(
        "services",
        SupervisorSpec(
            [
                ChildSpec("ticker", ticker),
                ChildSpec("connections", Task(lambda status: _watch(gateway, status))),
                ChildSpec("upstream", Task(program.entry.run)),
            ],
            intensity=RESTARTS_MAX,
            period_seconds=RESTARTS_SECONDS,
        ),
    )


async def _watch(gateway: NodeGateway, task_status: trio.TaskStatus[None]) -> None:
    """Wake the coins as they turn up, and look after the connections."""
    task_status.started()
    awake = 0
    while True:
        for asset in range(awake, len(gateway.status.coins)):
            with suppress(SupervisionError):
                await gateway.read_market(AssetId(asset), lambda view: view.time_ms)
            awake = asset + 1
        gateway.connections.check(trio.current_time())
        await trio.sleep(CHECK_SECONDS)


def _server(program: NodeProgram) -> ChildSpec:
    gateway = program.gateway

    def note_draining() -> None:
        gateway.is_draining = True

    def note_urls(urls: list[str]) -> None:
        program.urls[:] = urls

    async def run(task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128
        gateway.connections = Connections()
        gateway.is_draining = False
        config = hypercorn_config(program.bind)
        setattr(config, ON_BROKEN, lambda: gateway.telemetry.input_refused("http", "protocol"))
        await serve_http(
            create_app(
                gateway, program.entry, program.info, NetworkLimits(Limits(), trio.current_time)
            ),
            config,
            gateway.connections,
            on_listening=note_urls,
            on_stopping=note_draining,
            task_status=task_status,
        )

    return ChildSpec("server", Task(run))


class _TreeHooks(Hooks):
    """Turns supervisor reports into log lines and counters."""

    def __init__(self, gateway: NodeGateway) -> None:
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
                exc_info=None if report.event is Event.START_FAILED else report.cause,
                extra={"actor": report.child, "generation": report.generation},
            )

    def on_dead_letter(self, letter: DeadLetter) -> None:
        self._gateway.telemetry.letter_died(letter)

    def on_shed(self, shed: Shed) -> None:
        self._gateway.telemetry.message_shed(shed)


class _TracedTreeHooks(_TreeHooks, TracedHooks):
    """Likewise, and lets messages carry the trace that they belong to."""

    def __init__(self, gateway: NodeGateway, tracing: Tracing) -> None:
        _TreeHooks.__init__(self, gateway)
        TracedHooks.__init__(self, tracing, POOLS)


def watch_node_gauges(gateway: NodeGateway) -> None:
    """Have the metrics show how the node's data stands."""
    watch, total, status = gateway.telemetry.watch, gateway.telemetry.watch_total, gateway.status
    watch("zaraba_connections", "WebSocket connections.", lambda: len(gateway.connections))
    watch("zaraba_node_height", "Newest block that was applied.", lambda: status.height)
    watch(
        "zaraba_node_age_seconds",
        "How old the newest block is.",
        lambda: status.age_ms(wall_clock_ms()) / 1_000,
    )
    watch("zaraba_node_in_doubt", "Coins of which something may be lost.", lambda: status.in_doubt)
    for name, text in (
        ("lines", "Lines read."),
        ("bytes", "Bytes of those lines."),
        ("blocks", "Blocks applied."),
        ("rewinds", "Times that the node went back and wrote blocks again."),
        ("resets", "Coins whose book was replaced by that of a snapshot."),
        ("confirmed", "Coins in doubt whose book a snapshot confirmed."),
        ("comparisons", "Comparisons with a snapshot."),
    ):
        total(f"zaraba_node_{name}", text, partial(getattr, status, name))
    total("zaraba_node_odd", "What was skipped or doubted.", lambda: sum(status.odd.values()))
