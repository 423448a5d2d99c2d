"""Measure fan-out: one frame to many WebSocket subscribers, by four ways over the same sockets.

- *bare*: a loop of non-blocking `socket.send`, the limit to aim at;
- *websocket.send*: a loop that awaits the framework's send for each reading client;
- *publish*: our path, conflating subscriptions on direct outlets;
- *corked*: our path, three frames of one block written together.

The server runs here under hypercorn, its clients in another process. In each round every way sends
once, in changing order, and the next begins when the clients have read everything; so all meet the
same noise. What is compared is the processor time of this process for each frame offered, the
median over the rounds; frames a second are what one core would send at that cost. A frame offered
to a stalled client counts as offered: for *bare* that is a refused system call.

Left out: encoding the frame (once per change, not per subscriber), the network (loopback here),
TLS, the clients' reading, and stalled clients for *websocket.send*, which would wait for them.
"""

import gc
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config
from quart import websocket
from quart_trio import QuartTrio

from actors.connections import Connections
from actors.fanout import Cork, publish
from actors.frames import Frame
from actors.outlet import FanoutCounts, Outlet
from actors.subscription import Policy, Subscription
from api.bench.readers import COUNTER
from api.bench.rows import Row, print_rows
from api.outlets import DirectOutlet, open_outlet
from api.server_objects import SCOPE_KEY, ServerConnection, ServerSockets

ROUNDS = 60
FRAMEWORK_EVERY = 10
"""The framework's send is some 40 times slower: a tenth of the rounds is plenty."""

CORKED_FRAMES = 3
PREPARE_SECONDS_MAX = 60.0
ROUND_SECONDS_MAX = 30.0


@attrs.frozen
class Way:
    """A way of sending.

    Attributes:
        send: offers the frame to each of its clients `copies` times.
        clients: how many clients it offers to.
        copies: see `send`.
    """

    send: Callable[[Frame], Awaitable[None]]
    clients: int
    copies: int = 1


@attrs.define(eq=False)
class Server:
    """The benchmark's server, as its ways of sending see it."""

    outlets: list[Outlet] = attrs.field(factory=list)
    raw: list[socket.socket] = attrs.field(factory=list)
    websockets: list[Any] = attrs.field(factory=list)
    subscriptions: list[Subscription] = attrs.field(factory=list)
    counts: FanoutCounts = attrs.field(factory=FanoutCounts)
    connections: Connections = attrs.field(factory=Connections)
    port: int = 0


async def run(
    populations: Sequence[tuple[int, int]] = ((100, 0), (100, 5), (1_000, 0), (1_000, 50)),
    *,
    rounds: int = ROUNDS,
) -> list[Row]:
    """Measure each population of subscribers on a server of its own.

    Args:
        populations: pairs of how many subscribers and how many of them never read.
        rounds: how often each way sends.
    """
    _allow_sockets(2 * max(subscribers for subscribers, _ in populations))
    rows = []
    for subscribers, stalled in populations:
        rows += await _measure(subscribers, stalled, rounds)
    return rows


def book_frame() -> Frame:
    """Return an order book of 20 levels a side as clients get it, about 1.8 KB."""
    side = [{"px": f"{65_000 + step}.5", "sz": f"{step}.12345", "n": step} for step in range(20)]
    data = {"coin": "BTC", "time": 1_700_000_000_000, "levels": [side, side]}
    return Frame(msgspec.json.encode({"channel": "l2Book", "data": data}))


async def _measure(subscribers: int, stalled: int, rounds: int) -> list[Row]:
    async with _serve() as server, trio.open_nursery() as nursery:
        async with _connect_clients(server, subscribers - stalled, stalled, nursery) as wait_read:
            ways = _ways(server, subscribers - stalled)
            costs = await _run_rounds(ways, book_frame(), rounds, wait_read)
        nursery.cancel_scope.cancel()
    bare = statistics.median(costs["bare"])
    population = f"{subscribers} subscribers, {stalled} stalled"
    return [
        _row(f"fan-out, {population}: {way}", cost, None if way == "bare" else bare)
        for way, cost in costs.items()
    ]


def _row(name: str, costs: list[float], bare: float | None) -> Row:
    cost = statistics.median(costs)
    slow = sorted(costs)[-1 - len(costs) // 20]
    note = f"{1e6 / cost:,.0f} frames/s; {slow:.2f} us in the slowest 5% of rounds"
    return Row(name, cost, "us/frame", None if bare is None else cost / bare, note)


def _ways(server: Server, readers: int) -> dict[str, Way]:
    subscriptions = server.subscriptions
    sends = [raw.send for raw in server.raw]
    cork = Cork()

    async def send_bare(frame: Frame) -> None:  # noqa: ASYNC124  # all ways are alike
        wire = frame.wire
        for send in sends:
            try:  # noqa: SIM105  # a context manager would be measured too
                send(wire)
            except BlockingIOError:
                pass

    async def send_by_framework(frame: Frame) -> None:
        text = frame.payload.decode()
        for connection in server.websockets[:readers]:
            await connection.send(text)

    async def send_published(frame: Frame) -> None:  # noqa: ASYNC124
        publish(subscriptions, frame)

    async def send_corked(frame: Frame) -> None:  # noqa: ASYNC124
        for _ in range(CORKED_FRAMES):
            cork.publish(subscriptions, frame)
        cork.flush()

    everybody = len(subscriptions)
    return {
        "bare": Way(send_bare, everybody),
        "websocket.send": Way(send_by_framework, readers),
        "publish": Way(send_published, everybody),
        "corked": Way(send_corked, everybody, CORKED_FRAMES),
    }


async def _run_rounds(
    ways: dict[str, Way],
    frame: Frame,
    rounds: int,
    wait_read: Callable[[int], Awaitable[None]],
) -> dict[str, list[float]]:
    """Return microseconds for each frame offered, by way and round, without a round to warm up."""
    costs: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    sent_bytes = 0
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds + 1):
            random.shuffle(order)
            for name in order:
                if name == "websocket.send" and number % FRAMEWORK_EVERY != 1:
                    continue
                way = ways[name]
                started = time.thread_time()
                await way.send(frame)
                cost = time.thread_time() - started
                sent_bytes += way.copies * frame.size
                await wait_read(sent_bytes)
                if number:
                    costs[name].append(cost / (way.clients * way.copies) * 1e6)
    finally:
        gc.enable()
    return costs


@asynccontextmanager
async def _serve() -> AsyncIterator[Server]:
    server = Server()
    app = QuartTrio(__name__)

    @app.websocket("/ws")
    async def stream() -> None:
        scope = cast(dict[str, Any], websocket.scope)
        connection: ServerConnection = scope[SCOPE_KEY]
        raw = connection.raw_socket()
        assert raw is not None
        async with open_outlet(websocket, server.connections, server.counts) as outlet:
            server.raw.append(raw)
            server.websockets.append(cast(Any, websocket)._get_current_object())
            server.outlets.append(outlet)
            await trio.sleep_forever()

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "WARNING"
    config.backlog = 1_024
    sockets = ServerSockets(app)
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(
            lambda task_status: hypercorn.trio.serve(
                sockets, config, shutdown_trigger=trio.sleep_forever, task_status=task_status
            )
        )
        server.port = int(binds[0].rpartition(":")[2])
        yield server
        sockets.abort_all()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _connect_clients(
    server: Server, readers: int, stalled: int, nursery: trio.Nursery
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Start the clients and subscribe them; yield what waits until each has read so many bytes."""
    with tempfile.NamedTemporaryFile() as shared:
        shared.write(bytes(COUNTER.size))
        shared.flush()
        counter = Path(shared.name)
        command = [sys.executable, "-m", "api.bench.readers"]
        arguments = [str(server.port), str(readers), str(stalled), shared.name]
        clients = await trio.lowlevel.open_process(command + arguments, stdin=subprocess.PIPE)
        try:
            with trio.fail_after(PREPARE_SECONDS_MAX):
                await _wait_connected(server, readers + stalled, counter)
            assert all(isinstance(outlet, DirectOutlet) for outlet in server.outlets)
            server.subscriptions += [
                _subscribe(outlet, number, nursery) for number, outlet in enumerate(server.outlets)
            ]
            _fill(server.subscriptions[readers:])
            yield lambda sent_bytes: _wait_read(sent_bytes * readers, counter)
        finally:
            clients.kill()
            with trio.CancelScope(shield=True):  # noqa: ASYNC102  # killed: ends at once
                await clients.wait()


def _subscribe(outlet: Outlet, number: int, nursery: trio.Nursery) -> Subscription:
    def wake(subscription: Subscription) -> bool:
        nursery.start_soon(subscription.drain)
        return True

    name = f"c{number}/l2Book:BTC"
    return Subscription(name, outlet, Policy.CONFLATE, wake=wake, on_end=lambda *_: None)


def _fill(stalled: list[Subscription]) -> None:
    """Publish to the clients that do not read until none of them takes more."""
    frame = book_frame()
    while any(subscription.held_frames == 0 for subscription in stalled):
        publish(stalled, frame)


async def _wait_connected(server: Server, clients: int, counter: Path) -> None:
    while len(server.outlets) < clients or _counted(counter)[1] != 1:  # noqa: ASYNC110
        await trio.sleep(0.01)  # the event is in another process


async def _wait_read(total_bytes: int, counter: Path) -> None:
    """Wait until the clients have read exactly so much; more would be a frame sent twice."""
    with trio.fail_after(ROUND_SECONDS_MAX):
        while (read := _counted(counter)[0]) < total_bytes:  # noqa: ASYNC110
            await trio.sleep(0.002)  # the event is in another process
    assert read == total_bytes


def _counted(counter: Path) -> tuple[int, int]:
    """Return bytes read by the clients and whether they are all connected; see `readers`."""
    read, connected = COUNTER.unpack(counter.read_bytes())
    return read, connected


def _allow_sockets(sockets: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    """Print the table."""
    print_rows(trio.run(run))
    print("\nLeft out:" + (__doc__ or "").rpartition("Left out:")[2])


if __name__ == "__main__":
    main()
