"""One simulated exchange, from one seed: its disk, its network, its clients, its troubles.

The program is the real one, put together by ``api.program``; only the ground it stands on is made
up. Everything runs in one thread on virtual time, and Trio's scheduler draws from the seed too, so
a seed is a course of events that can be had again.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import attrs
import trio
from attrs import define, field, frozen
from trio.testing import MockClock

from actors.chain_store import ChainStore
from actors.errors import ActorsError
from actors.history import History
from api.program import Ground, Program, open_program
from api.settings import Settings
from supervision import Actor, ChildSpec, Pool, State, SupervisionError, SupervisorSpec, Task
from supervision import Address as ActorAddress
from supervision.faults import seeded
from tests.simulation.audit import Audit, BrokenPromiseError, require
from tests.simulation.chaos import Chaos, InjectedError, Rates, rates_of
from tests.simulation.disk import Disk, DiskChain
from tests.simulation.files import Files, RealHistoryWriter
from tests.simulation.fragile import Fragile
from tests.simulation.network import Listener
from tests.simulation.past import MemoryHistory, MemoryHistoryWriter, Past
from tests.simulation.traders import COINS, Trader

SETTINGS: Final = Settings(
    data=Path(":memory:"),
    config=Path(__file__).with_name("markets.toml"),
    faucet_usd=1_000_000_000_000,
)
TRADERS: Final = 4
READY_SECONDS_MAX: Final = 120.0
"""After the last trouble: restart budgets and backoffs run out long before."""
SETTLE_SECONDS: Final = 30.0
LIVE_SECONDS_MAX: Final = 15.0
LOOKUPS_AT_ONCE: Final = 40
FILES_EVERY: Final = 3
"""One world in so many has the real journal and history, in files."""


@frozen
class Outcome:
    """What one run was: how much happened, what went wrong in it, and its fingerprint."""

    seed: int
    virtual_seconds: float
    blocks: int
    commands: int
    answers: int
    unknown: int
    frames: int
    processes: int
    faults: dict[str, int]
    fingerprint: str

    def summary(self) -> str:
        """Say it in a line."""
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"seed {self.seed}: {self.virtual_seconds:.0f} virtual s, {self.blocks} blocks,"
            f" {self.commands} commands, {self.answers} answers ({self.unknown} unknown),"
            f" {self.frames} frames, {self.processes} processes; {faults or 'no faults'}"
        )


@define(eq=False)
class World:
    """Everything there is.

    Args:
        seed: everything that is random follows from it.
        chaos: its troubles.
        root: where real files may lie; without it the disk is one in memory.
    """

    seed: int
    chaos: Chaos
    root: Path | None = None
    audit: Audit = field(init=False, factory=Audit)
    disk: Disk = field(init=False)
    files: Files | None = field(init=False, default=None)
    past: Past = field(init=False)
    listener: Listener = field(init=False)
    traders: list[Trader] = field(init=False)
    fragile: Fragile = field(init=False)
    is_settling: bool = field(init=False, default=False)
    is_over: bool = field(init=False, default=False)
    program: Program | None = field(init=False, default=None)
    processes: int = field(init=False, default=0)
    broken: BaseException | None = field(init=False, default=None)
    open_chain: Callable[[], ChainStore] = field(init=False)
    open_history: Callable[[ActorAddress], History] = field(init=False)
    prepare_first: Callable[[SupervisorSpec], SupervisorSpec] = lambda tree: tree
    _process: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _run: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _trace: Any = field(init=False, factory=hashlib.sha256)

    def __attrs_post_init__(self) -> None:
        chaos = self.chaos
        self.disk = Disk(chaos, self._make_durable, self.cut_power, self._judge_return)
        self.past = Past(self.disk)
        self.open_chain = lambda: DiskChain(self.disk)
        self.open_history = lambda writer: MemoryHistory(self.past, writer)
        if self.root is not None:
            self.files = Files(
                chaos, self.root, self._make_durable, self.cut_power, self._judge_return
            )
            self.open_chain = self.files.open_chain
        self.listener = Listener(chaos, lambda: self.audit.height)
        self.fragile = Fragile(chaos)
        self.traders = [
            Trader(number, self, chaos.rng(f"trader {number}")) for number in range(TRADERS)
        ]

    def trace(self, text: str) -> None:
        """Add to the fingerprint."""
        self._trace.update(f"{trio.current_time():.9f} {text}\n".encode())

    def fail(self, error: BaseException) -> None:
        """End the run: a promise is broken. The program must not get to handle that."""
        if self.broken is None:
            self.broken = error
        self._run.cancel(reason="a promise is broken")

    def _make_durable(self, row: Any) -> None:
        try:
            self.audit.take(row)
        except Exception as error:  # noqa: BLE001  # in the program's hands it would be a crash
            self.fail(error)
        self.trace(f"block {row.height} {row.digest.hex()}")

    def _judge_return(self, height: int, digest: bytes) -> None:
        try:
            self.audit.judge_return(height, digest)
        except BrokenPromiseError as error:
            self.fail(error)

    # -- processes

    def cut_power(self) -> None:
        """End the process and lose what the disk had not synced."""
        self.listener.kill()
        (self.files or self.disk).lose_power()
        self._process.cancel(reason="the power is gone")

    def kill(self) -> None:
        """End the process as ``kill -9`` does."""
        self.chaos.note("kill")
        self.listener.kill()
        (self.files or self.disk).kill()
        self._process.cancel(reason="killed")

    def stop(self) -> None:
        """End the process as a signal does."""
        self.chaos.note("stop")
        if self.program is not None:
            self.program.stop("SIGTERM")
        else:
            self._process.cancel(reason="stopped while starting")

    async def run_processes(self) -> None:
        """Start the program, and start it again whenever it has ended."""
        while not self.is_over:
            self.processes += 1
            if not self.chaos.calm and self.chaos.rng("past").random() < 0.3:
                self.past.lose()
            try:
                with trio.CancelScope() as self._process:
                    await self._run_program()
            except (ExceptionGroup, SupervisionError, ActorsError):
                if self.chaos.calm and not self._process.cancel_called:
                    raise
                self.chaos.note("gave up")
            self.program = None
            await trio.sleep(0.5)

    async def _run_program(self) -> None:
        async with self.open_program() as program:
            self.program = program
            await program.wait_stopped()

    @asynccontextmanager
    async def open_program(self) -> AsyncIterator[Program]:
        """Run one process on this ground."""
        history, history_writer = self._history()
        ground = Ground(
            clock_ms=self.chaos.clock_ms,
            chain=lambda _path: self.open_chain(),
            history=history,
            history_writer=history_writer,
            random=self.chaos.rng("jitter"),
            prepare=self._prepare,
        )
        async with open_program(SETTINGS, serve=False, ground=ground) as program:
            yield program

    def _history(self) -> tuple[Callable[..., History], Callable[..., Actor]]:
        """Return what makes the two sides of the history of a new process."""
        if self.files is None:
            return (
                lambda _path, writer: self.open_history(writer),
                lambda _path, history: MemoryHistoryWriter(self.past, history),
            )
        path = self.files.begin()
        return (
            lambda _path, writer: History(path, writer),
            lambda _path, history: RealHistoryWriter(self.chaos, path, history),
        )

    def _prepare(self, tree: SupervisorSpec, program: Program) -> SupervisorSpec:
        server = ChildSpec("server", Task(partial(self.listener.serve, program)))
        tree = self.fragile.prepare(self.prepare_first(tree))
        return attrs.evolve(tree, children=[*tree.children, server])

    # -- troubles

    async def _repeat(self, kind: str, trouble: Callable[[], None]) -> None:
        while True:
            await self.chaos.wait(kind)
            if not self.chaos.calm:
                trouble()

    def _storm(self) -> None:
        self.chaos.note("storm")
        for link in list(self.listener.links):
            link.reset()

    def _lose_history(self) -> None:
        if self.files is not None:
            self.chaos.note("history_lost")
            self.files.lose_history()

    def _set_clock(self) -> None:
        self.chaos.note("clock")
        self.chaos.skew_ms = self.chaos.rng("clock").randint(-600_000, 600_000)

    # -- a life

    async def live(self, seconds: float) -> None:
        """Trade with troubles for so long; then see that everything comes to rest as it should."""
        try:
            await self._live(seconds)
        except Exception as error:
            if self.broken is not None:  # whatever fell over it says less
                raise self.broken from error
            raise
        if self.broken is not None:
            raise self.broken

    async def _live(self, seconds: float) -> None:
        with self._run:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run_processes)
                await self._wait_ready()
                for trader in self.traders:
                    nursery.start_soon(trader.live)
                nursery.start_soon(self._repeat, "kill_seconds", self.kill)
                nursery.start_soon(self._repeat, "stop_seconds", self.stop)
                nursery.start_soon(self._repeat, "storm_seconds", self._storm)
                nursery.start_soon(self._repeat, "clock_seconds", self._set_clock)
                nursery.start_soon(self._repeat, "history_lost_seconds", self._lose_history)
                self.chaos.calm = False
                await trio.sleep(seconds)
                self.chaos.calm = True
                await self._settle()
                self._check_end()
                self.is_over = True
                assert self.program is not None
                self.program.stop("the end")
                await self.program.wait_stopped()
                nursery.cancel_scope.cancel(reason="the end")

    async def _wait_ready(self) -> None:
        with trio.move_on_after(READY_SECONDS_MAX) as late:
            while self.program is None or self.program.gateway.why_not_ready():  # noqa: ASYNC110
                await trio.sleep(0.1)
        why = "there is none" if self.program is None else self.program.gateway.why_not_ready()
        require(not late.cancelled_caught, f"the program does not become ready: {why}")

    async def _settle(self) -> None:
        """Let the last troubles pass; then everybody must be served at once."""
        await trio.sleep(SETTLE_SECONDS)
        self._revive()
        await self._wait_ready()
        await trio.sleep(SETTLE_SECONDS)
        self.is_settling = True
        with trio.move_on_after(LIVE_SECONDS_MAX) as late:
            while any(trader.session is None for trader in self.traders):  # noqa: ASYNC110
                await trio.sleep(0.1)
        require(not late.cancelled_caught, "a client cannot connect")
        await trio.sleep(2.0)
        for trader in self.traders:
            session = trader.session
            require(session is not None, f"client {trader.number} lost its connection in the calm")
            assert session is not None
            session.subscribe_to_all()
        await trio.sleep(2.0)
        await self._look_everything_up()
        self._place_last_orders(quiet=True)
        await trio.sleep(2.0)
        self._place_last_orders(quiet=False)
        await trio.sleep(LIVE_SECONDS_MAX)

    def _revive(self) -> None:
        """Be the operator who starts what has spent its restart budget, and stays down."""
        if self.program is None:
            return
        self._revive_in(self.program.gateway.markets)
        self._revive_in(self.program.gateway.accounts)

    def _revive_in(self, pool: Pool[Any]) -> None:
        for key in list(pool):
            address = pool.get(key)
            if address is not None and address.state is State.FAILED:
                self.chaos.note("revived")
                pool.restart(key)

    async def _look_everything_up(self) -> None:
        """Ask for every order that anybody ever sent."""
        for trader in self.traders:
            promises = list(trader.promises.values())
            for start in range(0, len(promises), LOOKUPS_AT_ONCE):
                for promise in promises[start : start + LOOKUPS_AT_ONCE]:
                    assert trader.session is not None
                    trader.session.look_up(promise)
                await trio.sleep(0.5)

    def _place_last_orders(self, *, quiet: bool) -> None:
        for trader in self.traders:
            for coin in COINS:
                assert trader.session is not None
                trader.session.place(trader.order(coin, quiet=quiet))

    def _check_end(self) -> None:
        for trader in self.traders:
            session = trader.session
            require(session is not None, f"client {trader.number} lost its connection in the calm")
            assert session is not None
            require(not session.waiting, f"{session.waiting} requests were never answered")
            for feed in session.feeds.values():
                feed.check_end()
            trader.check_end()
        assert self.program is not None
        require(self.program.gateway.directory.height == self.audit.height, "the router is behind")

    def outcome(self) -> Outcome:
        """Return what this run was."""
        return Outcome(
            seed=self.seed,
            virtual_seconds=trio.current_time(),
            blocks=self.audit.height,
            commands=self.audit.commands,
            answers=sum(trader.answers for trader in self.traders),
            unknown=sum(trader.unknown for trader in self.traders),
            frames=sum(trader.frames for trader in self.traders),
            processes=self.processes,
            faults=dict(self.chaos.faults),
            fingerprint=self._trace.hexdigest(),
        )


# -- one run


NEED_FILES: Final[set[Callable[[World], object]]] = set()
"""The plants that are for worlds with real files; the others are for those without."""


def _leave_alone(_world: World) -> None:
    """Plant nothing."""


def simulate(
    seed: int,
    *,
    seconds: float | None = None,
    rates: Rates | None = None,
    plant: Callable[[World], object] = _leave_alone,
) -> Outcome:
    """Run one world; the same arguments give the same course of events.

    Args:
        seed: everything that is random follows from it.
        seconds: of virtual time with troubles; drawn from the seed if not given.
        rates: the troubles; drawn from the seed if not given.
        plant: may spoil the world before it begins, to see that the mistake is found.

    Raises:
        SimulationError: a promise was broken, or something ended as it never should. The text has
            the line that runs exactly this case again.
    """
    rng = random.Random(seed)
    drawn_rates, drawn_seconds = rates_of(rng), rng.uniform(15.0, 40.0)
    chaos = Chaos(seed, drawn_rates if rates is None else rates)
    has_files = seed % FILES_EVERY == 0 if plant is _leave_alone else plant in NEED_FILES
    try:
        with (
            one_thread(),
            seeded(seed),
            watch_log() as surprises,
            directory() if has_files else nullcontext() as root,
        ):
            world = World(seed, chaos, root)
            plant(world)
            outcome = trio.run(
                _run,
                world,
                drawn_seconds if seconds is None else seconds,
                clock=MockClock(autojump_threshold=0),
            )
        require(not surprises, f"an actor fell over something else: {surprises[:3]}")
    except Exception as error:
        planted = f" --plant {plant.__name__}" if plant is not _leave_alone else ""
        raise SimulationError(
            f"seed {seed} broke a promise: {_first_line(error)}\n"
            f"repeat with: python -m tests.simulation.soak --seed {seed}{planted}"
        ) from error
    return outcome


@contextmanager
def directory() -> Iterator[Path]:
    """Make a directory for real files; in memory where that is possible, since syncs take time."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="zaraba-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


class SimulationError(AssertionError):
    """A run that went wrong; ``__cause__`` is how."""


async def _run(world: World, seconds: float) -> Outcome:
    before = trio.lowlevel.current_statistics().tasks_living
    try:
        await world.live(seconds)
    finally:
        if world.files is not None:
            world.files.close()
    left = trio.lowlevel.current_statistics().tasks_living - before
    require(left == 0, f"{left} tasks were left behind")
    return world.outcome()


ResultT = TypeVar("ResultT")


async def _run_sync(function: Callable[..., ResultT], *args: Any, **_: Any) -> ResultT:
    await trio.lowlevel.checkpoint()
    return function(*args)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run what would go to a worker thread in the task that asks for it."""
    threads: Any = trio.to_thread
    real = threads.run_sync
    threads.run_sync = _run_sync
    try:
        yield
    finally:
        threads.run_sync = real


EXPECTED: Final = (InjectedError, ActorsError, SupervisionError)
"""What actors may fall over here: what was injected, and the errors that follow from it."""


class _Surprises(logging.Handler):
    """Collects exceptions in the program's log that nobody injected."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not _is_expected(error):
            self._found.append(f"{record.getMessage()}: {error!r} {_where(error)}")


def _is_expected(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_expected, error.exceptions))
    return isinstance(error, EXPECTED)


def _where(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    return f"at {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


@contextmanager
def watch_log() -> Iterator[list[str]]:
    """Watch the program's log, which is silent meanwhile."""
    found: list[str] = []
    log, handler = logging.getLogger("zaraba"), _Surprises(found)
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield found
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:600]}"
