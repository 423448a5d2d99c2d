"""Measure order entry: signed orders over one WebSocket, each durable before it is answered.

The real program runs in a process of its own, tied to one core where the system allows it, with its
journal on the disk that holds the working directory. The load comes from this process on another
core. Half of the orders rest and the other half take them, between two accounts that change sides,
so that the book stays small and every second order trades.

- *open loop*: orders are sent at a given rate whatever the answers do, and each latency counts from
  the moment at which its order was meant to be sent, so a stall is felt by all orders behind it;
- *window*: as many orders as may wait on one connection are kept on their way: the throughput;
- *echo*: the same frames, at the same rates, to a WebSocket under the same server that sends each
  text back. What the exchange costs over that is everything but transport: signatures, order,
  matching, margin, the journal, and the answers.

Left out: signing (done before the clock starts), the network (loopback here), TLS, subscribers,
and the demo.
"""

from __future__ import annotations

import gc
import math
import os
import re
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from api.actions import sign_request
from api.bench.rows import Row, print_rows
from api.signing import SigningKey

RATES: Final = (500, 1_000, 2_000, 3_000)
BATCH: Final = 40
WINDOW: Final = 90
"""Requests on their way; the exchange lets one connection have a hundred."""
BATCH_WINDOW: Final = 20
SECONDS: Final = 5.0
ROUNDS: Final = 3
START_SECONDS_MAX: Final = 30.0
QUIET_SECONDS_MAX: Final = 10.0
"""How long an answer may take before the run is given up."""

SERVER_CORE: Final = 0
CLIENT_CORE: Final = 1

ASSET: Final = 1
PRICE: Final = 2_600
SIZE: Final = "0.01"
FAUCET_USD: Final = 10_000_000

_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_POST_ID = re.compile(rb'"id":(\d+)')
_TOO_MANY = re.compile(rb"too many pending post requests id=(\d+)")
_DONE = re.compile(rb'"(?:resting|filled)":')


class BenchError(Exception):
    """The server did not do what was measured."""


def run(
    *,
    seconds: float = SECONDS,
    rates: Sequence[int] = RATES,
    batch_rates: Sequence[int] = (250, 500),
    rounds: int = ROUNDS,
    directory: Path | None = None,
) -> list[Row]:
    """Measure the exchange and the echo, single orders and batches of BATCH.

    Args:
        directory: where the journals are made and removed; the working directory if not given.
        seconds: how long each open loop lasts.
        rates: requests a second of the single orders.
        batch_rates: requests a second of the batches.
        rounds: how often each throughput is measured; the figure is the median.
    """
    with own_core():
        where = directory or Path.cwd()
        singles = _Plan(1, rates, WINDOW, seconds, rounds, where)
        batches = _Plan(BATCH, batch_rates, BATCH_WINDOW, seconds, rounds, where)
        return [*_compare(singles), *_compare(batches)]


@frozen
class _Plan:
    """What is sent: orders a request, open-loop rates, requests on their way in the window."""

    batch: int
    rates: Sequence[int]
    window: int
    seconds: float
    rounds: int
    directory: Path

    @property
    def label(self) -> str:
        return "single orders" if self.batch == 1 else f"{self.batch} orders an action"


@frozen
class _Figures:
    """Requests a second in the window by round, and latencies in seconds by rate."""

    throughputs: list[float]
    latencies: dict[int, list[float]]

    @property
    def throughput(self) -> float:
        return statistics.median(self.throughputs)


def _compare(plan: _Plan) -> list[Row]:
    echo = _measure(plan, _serve_echo(), orders_done=None)
    entry = _measure(plan, _serve_exchange(plan.directory), orders_done=plan.batch)
    best, worst = (f"{pick(entry.throughputs) * plan.batch:,.0f}" for pick in (max, min))
    rows = [
        Row(f"entry, {plan.label}: echo", echo.throughput, "messages/s"),
        Row(
            f"entry, {plan.label}: durable",
            entry.throughput * plan.batch,
            "orders/s",
            entry.throughput / echo.throughput,
            f"{plan.window} actions on their way; best {best}, worst {worst}; ratio of messages",
        ),
    ]
    for rate, latencies in entry.latencies.items():
        for name, share in (("p50", 0.50), ("p99", 0.99)):
            figure, beside = (
                _quantile(values, share) * 1_000 for values in (latencies, echo.latencies[rate])
            )
            what = f"entry, {plan.label}: {name} at {rate * plan.batch:,} orders/s"
            note = f"from intended send; echo {beside:.2f} ms, worst {max(latencies) * 1e3:.1f} ms"
            if refused := latencies.count(math.inf):
                note += f"; {refused / len(latencies):.1%} refused: overload"
            rows.append(Row(what, figure, "ms", figure / beside, note))
    return rows


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _measure(
    plan: _Plan, server: AbstractContextManager[str], *, orders_done: int | None
) -> _Figures:
    with server as url, _connect(url) as connection:
        flow = _Flow(plan.batch, orders_done)
        latencies = {}
        _drive(connection, flow.take(int(plan.seconds * 200)), _at_rate(200), orders_done)
        for rate in plan.rates:
            frames = flow.take(int(plan.seconds * rate))
            latencies[rate] = _drive(connection, frames, _at_rate(rate), orders_done)
        throughputs = []
        for _ in range(plan.rounds):
            frames = flow.take(int(plan.seconds * max(plan.rates)))
            started = time.perf_counter()
            _drive(connection, frames, _in_window(plan.window), orders_done)
            throughputs.append(len(frames) / (time.perf_counter() - started))
    return _Figures(throughputs, latencies)


# ---- what is sent ----------------------------------------------------------------------------


class _Flow:
    """Signed requests without end: one account offers, the other takes, then they change sides."""

    def __init__(self, batch: int, orders_done: int | None) -> None:
        self._batch = batch
        self._signs = orders_done is not None
        self._keys = [SigningKey.of_hex(f"{number:064x}") for number in (0xBE, 0xEF)]
        self._nonce = time.time_ns() // 1_000_000
        self._number = 0

    def take(self, count: int) -> list[bytes]:
        """Return the next WebSocket frames; their post ids count from 0."""
        return [_text_frame(self._message(post_id)) for post_id in range(count - count % 4)]

    def _message(self, post_id: int) -> bytes:
        number = self._number
        self._number += 1
        seller_first = number % 4 < 2
        is_buy = (number % 2 == 1) is seller_first
        orders = [
            {
                "a": ASSET,
                "b": is_buy,
                "p": f"{PRICE + level / 10:g}",
                "s": SIZE,
                "r": False,
                "t": {"limit": {"tif": "Gtc"}},
            }
            for level in range(self._batch)
        ]
        self._nonce += 1
        action = {"type": "order", "orders": orders, "grouping": "na"}
        body = sign_request(self._keys[number % 2], action, self._nonce)
        return b'{"method":"post","id":%d,"request":{"type":"action","payload":%b}}' % (
            post_id,
            body,
        )


def _text_frame(payload: bytes) -> bytes:
    """Frame a text as a client does, under a mask of zeros, which leaves it as it is."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x81, 0x80 | length)
    elif length < 65_536:
        head = struct.pack("!BBH", 0x81, 0xFE, length)
    else:
        head = struct.pack("!BBQ", 0x81, 0xFF, length)
    return head + bytes(4) + payload


# ---- sending and timing ----------------------------------------------------------------------

Pace = Callable[[int, int, float], tuple[int, float | None]]
"""From (sent, answered, seconds since the start): how many may have been sent by now, and in how
many seconds the next may be; ``None`` where that takes an answer."""


def _at_rate(rate: int) -> Pace:
    def pace(sent: int, _answered: int, now: float) -> tuple[int, float | None]:
        return int(now * rate) + 1, max(0.0, sent / rate - now)

    pace.rate = rate  # type: ignore[attr-defined]
    return pace


def _in_window(window: int) -> Pace:
    def pace(_sent: int, answered: int, _now: float) -> tuple[int, float | None]:
        return answered + window, None

    return pace


def _drive(
    connection: socket.socket, frames: list[bytes], pace: Pace, orders_done: int | None
) -> list[float]:
    """Send all frames at a pace; return the seconds from intended send to answer, by frame.

    Infinity stands for a request that was refused because too many were waiting.

    Raises:
        BenchError: the connection ended, fell silent, or an order was not carried out.
    """
    rate: int | None = getattr(pace, "rate", None)
    count = len(frames)
    intended = [index / rate for index in range(count)] if rate else [0.0] * count
    latencies = [0.0] * count
    sent = answered = 0
    unsent = b""
    inbox = _Inbox()
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    try:
        while answered < count:
            now = time.perf_counter() - started
            allowed, wait = pace(sent, answered, now)
            allowed = min(allowed, count)
            if allowed > sent:
                if rate is None:
                    intended[sent:allowed] = [now] * (allowed - sent)
                unsent += b"".join(frames[sent:allowed])
                sent = allowed
            if unsent:
                unsent = unsent[_send_some(connection, unsent) :]
            wait = QUIET_SECONDS_MAX if wait is None or sent == count else wait
            readable, writable, _ = select.select(
                [connection], [connection] if unsent else [], [], wait
            )
            if readable:
                now = time.perf_counter() - started
                for payload in inbox.receive(connection):
                    post_id, done = _read_answer(payload, orders_done)
                    latencies[post_id] = now - intended[post_id] if done else math.inf
                    answered += 1
            elif not writable and wait >= QUIET_SECONDS_MAX:
                raise BenchError(f"{count - answered} answers are missing")
    finally:
        gc.enable()
    return latencies


def _read_answer(payload: bytes, orders_done: int | None) -> tuple[int, bool]:
    """Return whose answer this is, and whether it was carried out or refused for overload."""
    if (refused := _TOO_MANY.search(payload)) is not None:
        return int(refused.group(1)), False
    found = _POST_ID.search(payload)
    is_done = orders_done is None or len(_DONE.findall(payload)) == orders_done
    if found is None or not is_done:
        raise BenchError(f"not carried out: {payload[:300]!r}")
    return int(found.group(1)), True


def _send_some(connection: socket.socket, data: bytes) -> int:
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0


@frozen
class _Inbox:
    """Bytes of a server's frames, not all of which are whole yet."""

    _bytes: bytearray = field(factory=bytearray)

    def receive(self, connection: socket.socket) -> Iterator[bytes]:
        """Take what has arrived; yield the payload of each frame that is whole."""
        received = connection.recv(1 << 20)
        if not received:
            raise BenchError("the server closed the connection")
        buffer = self._bytes
        buffer += received
        start = 0
        while (end := _frame_end(buffer, start)) is not None:
            head, whole = end
            yield bytes(buffer[head:whole])
            start = whole
        del buffer[:start]


def _frame_end(buffer: bytearray, start: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at ``start`` begins and ends, if all of it is here."""
    if len(buffer) - start < 2:
        return None
    length, head = buffer[start + 1] & 0x7F, start + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        if len(buffer) < head + size:
            return None
        length, head = int.from_bytes(buffer[head : head + size], "big"), head + size
    return (head, head + length) if len(buffer) >= head + length else None


# ---- servers ---------------------------------------------------------------------------------


def text_flow() -> _Flow:
    """Return single orders without end, as frames of a WebSocket."""
    return _Flow(1, 1)


@contextmanager
def drive_window(url: str, window: int) -> Iterator[Callable[[list[bytes]], object]]:
    """Connect; give what sends frames, so many on their way, and returns when all are answered."""
    with _connect(url) as connection:
        yield lambda frames: _drive(connection, frames, _in_window(window), 1)


@contextmanager
def own_core() -> Iterator[None]:
    """Keep this process off the server's core for a while, where the system knows of cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if {SERVER_CORE, CLIENT_CORE} <= before:
        os.sched_setaffinity(0, {CLIENT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _serve_exchange(directory: Path) -> Iterator[str]:
    """Run the real program on a data directory of its own; give its URL."""
    with tempfile.TemporaryDirectory(prefix="zaraba-bench-", dir=directory) as data:
        options = ["--data", data, "--faucet", str(FAUCET_USD)]
        with serve("api.cli", "serve", "--bind", "127.0.0.1:0", *options) as url:
            yield url


@contextmanager
def _serve_echo() -> Iterator[str]:
    """Run the echo in a process of its own; give its URL."""
    with serve("api.bench.echo") as url:
        yield url


@contextmanager
def serve(module: str, *arguments: str) -> Iterator[str]:
    """Run a server that prints its URL, on its own core; give the URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        if hasattr(os, "sched_setaffinity") and os.sched_getaffinity(0) == {CLIENT_CORE}:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
        yield _read_url(process)
    finally:
        process.terminate()
        process.communicate()


def _read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if (found := _URL.search(line)) is not None:
            return found.group()
    raise BenchError("the server did not start")


@contextmanager
def _connect(url: str) -> Iterator[socket.socket]:
    """Open the WebSocket by hand."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BenchError(f"no WebSocket: {head!r}")
        connection.setblocking(False)
        yield connection


if __name__ == "__main__":
    print_rows(run())
