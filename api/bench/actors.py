"""What an actor costs: messages, questions, starts, restarts and memory, beside Trio and pykka.

Handlers only count, so every figure is the price of the machinery. Sender and receiver share one
core, and seconds are those that the process had it, so that neighbours on a shared machine count
little; only restarts are timed by the clock on the wall. What is compared takes turns in one run.
Left out: what real handlers do, telemetry hooks, and the wait for a busy actor.

The baselines are the least that does the same on Trio: for a tell a memory channel that is filled
with ``send_nowait`` and drained with ``receive_nowait``, for an ask a task that is parked until the
server put the answer into a slot and woke it. Pykka, actors on threads, is the most used actor
library of Python.

As in the program, the cyclic collector runs rarely, and leaves alone what exists once the tree is
up (``gc.freeze``): walking over thousands of parked tasks would be the larger part of waking them.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

import trio
from attrs import frozen
from trio.testing import wait_all_tasks_blocked

from api.bench.bare import BareServer, drain_channel
from api.bench.rows import Row, print_rows
from supervision import (
    NO_BACKOFF,
    Actor,
    Address,
    ChildSpec,
    MailboxSpec,
    Pool,
    PoolSpec,
    State,
    SupervisorSpec,
    open_system,
)

BURST: Final = 1_000
"""Messages that a sender sends before it lets the receiver run."""
CALLERS: Final = 100
CROWDS: Final = (10, 1_000, 20_000)
MEMORY_ACTORS: Final = 2_000
CRASH: Final = "crash"

Rates = list[float]
Way = Callable[[], Awaitable[None]]


def run(
    *, messages: int = 100_000, asks: int = 10_000, rounds: int = 5, crowds: Sequence[int] = CROWDS
) -> list[Row]:
    """Measure everything; about a quarter of a minute with the default sizes."""
    from api.interpreter import GC_THRESHOLDS

    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        return [
            *trio.run(_tell_rows, messages, rounds),
            *trio.run(_ask_rows, asks, rounds),
            *_pykka_rows(messages // 10, asks // 10, rounds),
            *trio.run(_restart_rows, max(asks // 10, 20)),
            *trio.run(_memory_rows, min(MEMORY_ACTORS, crowds[-1])),
            *_crowd_rows({n: trio.run(_crowd, n, messages // 5, rounds) for n in crowds}),
        ]
    finally:
        gc.set_threshold(*before)


class Counter(Actor):
    """Counts what it gets, and crashes on demand."""

    def __init__(self) -> None:
        self.count = 0

    async def handle(self, message: Any) -> Any:
        self.count += 1
        return message


@asynccontextmanager
async def _one_counter() -> AsyncIterator[Address]:
    spec = ChildSpec("counter", Counter, MailboxSpec(2 * BURST))
    async with open_system(SupervisorSpec([spec])) as system:
        yield system.address("counter")


# -- tell and ask


async def _tell_rows(messages: int, rounds: int) -> list[Row]:
    async with trio.open_nursery() as nursery, _one_counter() as address:
        send, receive = trio.open_memory_channel[int](BURST)
        nursery.start_soon(drain_channel, receive)

        async def bare() -> None:
            for _ in range(messages // BURST):
                for number in range(BURST):
                    send.send_nowait(number)
                await _yield_until(lambda: not send.statistics().current_buffer_used)

        async def told() -> None:
            tell = address.tell
            for _ in range(messages // BURST):
                for number in range(BURST):
                    tell(number)
                await _yield_until(lambda: not address.depth)

        baseline, rates = await _in_turns(rounds, messages, bare, told)
        nursery.cancel_scope.cancel()
    return [
        _rate_row("channel, send_nowait and drain", baseline, "messages/s"),
        _rate_row("tell and handle", rates, "messages/s", baseline),
    ]


async def _ask_rows(asks: int, rounds: int) -> list[Row]:
    rows = []
    async with trio.open_nursery() as nursery, _one_counter() as address:
        server = BareServer()
        nursery.start_soon(server.serve)
        for callers in (1, CALLERS):
            baseline, rates = await _in_turns(
                rounds,
                asks,
                partial(_ask_many, server.ask, asks, callers),
                partial(_ask_many, address.ask, asks, callers),
            )
            crowd = "" if callers == 1 else f", {callers} callers"
            rows.append(_cost_row(f"bare reply cell{crowd}", baseline, "us"))
            rows.append(_cost_row(f"ask and answer{crowd}", rates, "us", baseline))
        nursery.cancel_scope.cancel()
    return rows


async def _ask_many(ask: Callable[[Any], Awaitable[Any]], asks: int, callers: int) -> None:
    async def caller() -> None:
        for number in range(asks // callers):
            await ask(number)

    if callers == 1:
        await caller()
        return
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(caller)


def _pykka_rows(messages: int, asks: int, rounds: int) -> list[Row]:
    """Measure tells and asks of pykka; nothing where it is not installed."""
    try:
        import pykka
    except ImportError:
        return []

    class Echo(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message

    ref = Echo.start()

    def tell() -> None:
        for number in range(messages):
            ref.tell(number)
        ref.ask(None)

    def ask() -> None:
        for number in range(asks):
            ref.ask(number)

    tells = [messages / _timed(tell) for _ in range(rounds)]
    answers = [asks / _timed(ask) for _ in range(rounds)]
    ref.stop()
    return [
        _rate_row("pykka: tell and handle", tells, "messages/s"),
        _cost_row("pykka: ask and answer", answers, "us"),
    ]


# -- restarts


async def _restart_rows(crashes: int) -> list[Row]:
    """From the moment of a crash to the first message that the next incarnation handles."""
    crashed_at = 0.0
    served: list[float] = []

    class Fuse(Actor):
        async def handle(self, message: Any) -> Any:
            nonlocal crashed_at
            if message == CRASH:
                crashed_at = time.perf_counter()
                raise ValueError("blown")
            served.append((time.perf_counter() - crashed_at) * 1e6)

    spec = ChildSpec("fuse", Fuse, backoff=NO_BACKOFF)
    async with open_system(SupervisorSpec([spec], intensity=10 * crashes)) as system:
        fuse = system.address("fuse")
        gc.collect()
        for _ in range(crashes):
            fuse.tell(CRASH)
            await fuse.ask("next")
    tail = statistics.quantiles(served, n=100)[98]
    note = f"p99 {tail:,.0f}, best {min(served):,.0f}; {crashes:,} crashes, by the clock"
    return [Row("crash to the next message, p50", statistics.median(served), "us", None, note)]


# -- many actors


@asynccontextmanager
async def _pool() -> AsyncIterator[Pool[int]]:
    def start(_: int) -> Counter:
        return Counter()

    async with open_system(SupervisorSpec([ChildSpec("pool", PoolSpec(start=start))])) as system:
        yield system.pool("pool")


async def _populate(pool: Pool[int], count: int) -> list[Address]:
    """Start so many actors; they have handled their first message on return."""
    addresses = [pool.address(key) for key in range(count)]
    for address in addresses:
        address.tell(0)
    await _yield_until(lambda: all(a.state is State.RUNNING and not a.depth for a in addresses))
    await wait_all_tasks_blocked()
    return addresses


async def _memory_rows(count: int) -> list[Row]:
    async with _pool() as pool:
        await _populate(pool, 1)
        gc.collect()
        tracemalloc.start()
        await _populate(pool, count)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    note = f"{count:,} idle ones: task, coroutines, cell, mailbox, actor"
    return [Row("memory of an actor", taken / (count - 1) / 1024, "KB", None, note)]


class _CollectorClock:
    """What the cyclic collector took, in seconds of this process, while it is in use."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: object) -> None:
        now = time.process_time()
        if phase == "start":
            self._began = now
        else:
            self.seconds += now - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        gc.callbacks.append(self)
        try:
            yield
        finally:
            gc.callbacks.remove(self)


@frozen
class _Crowd:
    """One message to each of so many.

    ``start`` is the cost of a start in us, ``collector`` the part of the time of the actors'
    messages that the cyclic collector took.
    """

    start: float
    bare: Rates
    told: Rates
    collector: float


async def _crowd(count: int, messages: int, rounds: int) -> _Crowd:
    """Wake each of so many actors for one message, and as many bare parked tasks."""
    collector = _CollectorClock()
    turns = max(messages // count, 1)
    async with trio.open_nursery() as nursery, _pool() as pool:
        began = time.process_time()
        addresses = await _populate(pool, count)
        start = (time.process_time() - began) / count * 1e6
        servers = [BareServer() for _ in range(count)]
        for server in servers:
            nursery.start_soon(server.serve)
        await wait_all_tasks_blocked()

        async def bare() -> None:
            for _ in range(turns):
                for server in servers:
                    server.tell(0)
                await _yield_until(lambda: not (servers[-1].inbox or servers[0].inbox))

        async def told() -> None:
            with collector.running():
                for _ in range(turns):
                    for address in addresses:
                        address.tell(0)
                    await _yield_until(lambda: not (addresses[-1].depth or addresses[0].depth))

        baseline, rates = await _in_turns(rounds, turns * count, bare, told)
        nursery.cancel_scope.cancel()
    seconds = turns * count * (rounds + 1) / statistics.median(rates)
    return _Crowd(start, baseline, rates, min(collector.seconds / seconds, 1.0))


def _crowd_rows(crowds: dict[int, _Crowd]) -> list[Row]:
    smallest, largest = min(crowds), max(crowds)
    start = crowds[largest].start
    rows = [Row("start of an actor", start, "us", None, f"{largest:,} actors of a pool")]
    for count, crowd in crowds.items():
        rate, bare = statistics.median(crowd.told), statistics.median(crowd.bare)
        flat = rate / statistics.median(crowds[smallest].told)
        bare_flat = bare / statistics.median(crowds[smallest].bare)
        note = (
            f"over {bare:,.0f} of bare parked tasks; x{flat:.2f} of the rate with {smallest}, "
            f"bare x{bare_flat:.2f}; the collector took {crowd.collector:.0%}"
        )
        name = f"one message to each of {count:,} actors"
        rows.append(Row(name, rate, "messages/s", _median_ratio(crowd.told, crowd.bare), note))
    return rows


# -- timing


async def _in_turns(rounds: int, count: int, *ways: Way) -> list[Rates]:
    """Run the ways one after another, so many rounds; return how many a second each did."""
    rates: list[Rates] = [[] for _ in ways]
    gc.collect()
    gc.freeze()
    try:
        for turn in range(rounds + 1):
            for way, measured in zip(ways, rates, strict=True):
                began = time.process_time()
                await way()
                if turn:  # the first round only warms up
                    measured.append(count / max(time.process_time() - began, 1e-9))
    finally:
        gc.unfreeze()
    return rates


async def _yield_until(done: Callable[[], bool]) -> None:
    """Let the receivers run; there is nothing else to wait for."""
    while not done():  # noqa: ASYNC110
        await trio.lowlevel.checkpoint()


def _timed(function: Callable[[], None]) -> float:
    began = time.process_time()
    function()
    return max(time.process_time() - began, 1e-9)


def _rate_row(name: str, rates: Rates, unit: str, baseline: Rates | None = None) -> Row:
    rate = statistics.median(rates)
    ratio = None if baseline is None else _median_ratio(rates, baseline)
    return Row(name, rate, unit, ratio, f"best {max(rates):,.0f}, worst {min(rates):,.0f}")


def _cost_row(name: str, rates: Rates, unit: str, baseline: Rates | None = None) -> Row:
    costs = [1e6 / rate for rate in rates]
    ratio = None if baseline is None else _median_ratio(baseline, rates)
    note = f"best {min(costs):,.1f}, worst {max(costs):,.1f}"
    return Row(name, statistics.median(costs), unit, ratio, note)


def _median_ratio(above: Rates, below: Rates) -> float:
    """Compare turn by turn: what disturbs the machine then disturbs both."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    print_rows(run())
