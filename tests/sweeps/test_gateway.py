"""What the gateway does for its clients, struck at every checkpoint of every one of its tasks.

Each scenario runs the whole program on a simulated disk or in real files, with a client that checks
whatever it is told. At each checkpoint on the way, in one run the program is cancelled and in
another one an exception is raised in the task that waits there. Afterwards the program starts again
on the same disk and has to keep everything that it promised.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest
import trio
from attrs import define, field

from actors.errors import ActorsError
from api.program import Program
from supervision import SupervisionError
from supervision.faults import Fault, Sweep, raising, sweep
from tests.simulation.audit import require
from tests.simulation.chaos import CALM, Chaos, InjectedError
from tests.simulation.network import DisconnectedError
from tests.simulation.traders import Promise, Session, Trader
from tests.simulation.world import World, directory, one_thread, watch_log

ANSWER_SECONDS_MAX = 30.0
CLIENT = re.compile(r"tests/sweeps/|traders\.py|Link\.read$")
"""Where the client waits, which is not under test."""


@define(eq=False)
class Stage:
    """A world, and the one client in it. What the client does is not under test."""

    clients: trio.Nursery
    world: World
    program: Program | None = field(init=False, default=None)
    session: Session | None = field(init=False, default=None)
    acting: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.world.chaos.last_doubt = float("inf")  # whatever is unknown here has its reason

    @property
    def trader(self) -> Trader:
        return self.world.traders[0]

    def connect(self) -> Session | None:
        """Connect if somebody listens."""
        with suppress(DisconnectedError):
            self.session = Session(self.trader, self.world.listener.connect())
            self.clients.start_soon(self.session.read, trio.CancelScope())
            return self.session
        return None

    async def quiet(self) -> None:
        """Wait until every request is answered, or the connection is over."""
        done = trio.Event()
        self.clients.start_soon(self._watch, done)
        await done.wait()

    async def _watch(self, done: trio.Event) -> None:
        session = self.session
        with trio.move_on_after(ANSWER_SECONDS_MAX) as late:
            while session is not None and session.waiting and not session.link.over:  # noqa: ASYNC110
                await trio.sleep(0.01)
        if late.cancelled_caught:
            self.world.fail(AssertionError("a request was never answered"))
        await trio.sleep(0.3)  # frames that are not waited for
        done.set()

    async def place(self, coin: str = "AAA", *, quiet: bool = True) -> Promise:
        """Place an order and wait for the answer."""
        promise = self.trader.order(coin, quiet=quiet)
        if self.session is not None and self.session.link.over:
            self.session = None
            self.connect()
        if self.session is not None:
            self.session.place(promise)
            await self.quiet()
        return promise


Act = Callable[[Stage], Awaitable[None]]


async def order(stage: Stage) -> None:
    await stage.place()
    await stage.place(quiet=False)


async def cancel(stage: Stage) -> None:
    promise = await stage.place()
    session = stage.session
    if session is not None:
        body = stage.trader.cancel(promise)
        session.post("action", body, session.when_canceled(promise))
        await stage.quiet()


async def subscribe(stage: Stage) -> None:
    if stage.session is not None:
        stage.session.subscribe_to_all()
        await stage.quiet()
        stage.session.unsubscribe()
    await stage.place()


async def reconnect(stage: Stage) -> None:
    if stage.session is not None:
        stage.session.subscribe_to_all()
        await stage.place()
        stage.session.link.reset()
    if stage.connect() is not None:
        assert stage.session is not None
        stage.session.subscribe_to_all()
        await stage.place()


async def snapshot(stage: Stage) -> None:
    for _ in range(3):
        await stage.place()


async def restart(stage: Stage, kind: str) -> None:
    if stage.session is not None:
        stage.session.subscribe_to_all()
    stage.world.fragile.doomed.add(kind)
    await stage.place()
    await stage.place(quiet=False)


async def shut_down(stage: Stage) -> None:
    assert stage.program is not None
    stage.program.stop("SIGTERM")
    await stage.program.wait_stopped()


async def restart_history(stage: Stage, kind: str) -> None:
    stage.world.fragile.doomed.add(kind)
    promise = await stage.place()
    await stage.place(quiet=False)
    if stage.session is not None:
        stage.session.look_up(promise)
        await stage.quiet()


async def be_ready(stage: Stage) -> None:
    """The start itself is what is struck, up to here."""
    assert stage.program is not None
    while stage.program.gateway.why_not_ready():  # noqa: ASYNC110
        await trio.sleep(0.1)


ACTS: dict[str, Act] = {
    "order": order,
    "cancel": cancel,
    "subscribe": subscribe,
    "reconnect": reconnect,
    "snapshot": snapshot,
    "restart of the market": partial(restart, kind="Market"),
    "restart of the account": partial(restart, kind="Account"),
    "restart of the router": partial(restart, kind="Router"),
    "restart of the sequencer": partial(restart, kind="Sequencer"),
    "restart of the history": partial(restart_history, kind="MemoryHistoryWriter"),
    "restart of the history in its file": partial(restart_history, kind="RealHistoryWriter"),
    "start": be_ready,
    "start, in files": be_ready,
    "start with a journal": be_ready,
    "start with a journal, in files": be_ready,
    "shutdown": shut_down,
}


async def scenario(name: str, stages: list[Stage], fault: Fault) -> None:
    """Do it on a fresh disk under a strike; then see in a new process what became of it."""
    act = ACTS[name]
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(trio.open_nursery())
        root = stack.enter_context(directory()) if "file" in name else None
        stage = Stage(clients, World(1, Chaos(1, CALM), root))
        stages[:] = [stage]
        world = stage.world
        if world.files is not None:
            stack.callback(world.files.close)
        world.fragile.snapshot_commands = 2
        if "with a journal" in name:
            await leave_a_journal(stage)
        try:
            with fault:
                stage.acting = act is be_ready
                async with world.open_program() as program:
                    stage.program = program
                    if act is not be_ready:
                        stage.connect()
                        await stage.place()
                    stage.acting = True
                    await act(stage)
                    stage.acting = act is shut_down
        except (InjectedError, ExceptionGroup, SupervisionError, ActorsError):
            if not fault.fired:
                raise
        stage.acting = False
        if stage.session is not None:
            stage.session.link.reset()
        await look_again(stage)
        clients.cancel_scope.cancel()
    if world.broken is not None:
        raise world.broken


async def leave_a_journal(stage: Stage) -> None:
    """Run a process before, which nothing strikes."""
    async with stage.world.open_program() as program:
        stage.program = program
        stage.connect()
        for _ in range(3):
            await stage.place()
    stage.session = None


async def look_again(stage: Stage) -> None:
    """See in a new process, which nothing strikes, that what was promised is so."""
    async with stage.world.open_program() as program:
        stage.program = program
        with trio.fail_after(ANSWER_SECONDS_MAX):
            while program.gateway.why_not_ready():  # noqa: ASYNC110
                await trio.sleep(0.1)
        session = stage.connect()
        assert session is not None
        session.subscribe_to_all()
        stage.world.is_settling = True  # nothing is under way: whatever is answered now is so
        for promise in stage.trader.promises.values():
            session.look_up(promise)
        await stage.quiet()  # an order sent at once could come before its subscription
        promise = await stage.place("BBB")
        await stage.quiet()
        require(promise.oid is not None, "the new process does not take an order")
        stage.trader.check_end()
        for feed in session.feeds.values():
            feed.check_end()


def run_sweep(name: str, *, with_errors: bool) -> Sweep:
    stages: list[Stage] = []

    def is_struck(site: str) -> bool:
        return stages[0].acting and CLIENT.search(site) is None

    with one_thread(), watch_log() as surprises:
        result = sweep(
            partial(scenario, name, stages),
            strike=raising(InjectedError) if with_errors else None,
            where=is_struck,
            seed=1,
            virtual_seconds_max=600.0,
        )
    assert not surprises, f"an actor fell over something else: {surprises[:3]}"
    return result


@pytest.mark.parametrize("name", ACTS)
def test_cancelled_at_every_checkpoint(name: str, swept: Callable[[str, Sweep], None]) -> None:
    """Wherever the program is cancelled, it ends, leaves no task, and keeps its promises."""
    swept(f"gateway, cancelled: {name}", run_sweep(name, with_errors=False))


@pytest.mark.parametrize("name", ACTS)
def test_an_error_at_every_checkpoint(name: str, swept: Callable[[str, Sweep], None]) -> None:
    """Whichever task fails at whichever await, the program keeps its promises, or starts anew."""
    swept(f"gateway, failing: {name}", run_sweep(name, with_errors=True))
