"""The sweep finds planted mistakes, and the package itself survives a strike at every step."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import attrs
import pytest
import trio

from supervision import (
    NO_BACKOFF,
    Actor,
    AskError,
    ChildSpec,
    Exit,
    ExitKind,
    InHand,
    PoolSpec,
    State,
    Strategy,
    SupervisorSpec,
    System,
    open_system,
)
from supervision.faults import Fault, Sweep, SweepError, run_step, sweep

Reseed = Callable[[], None]


@pytest.fixture
def reseed(seed_scheduling: Callable[[int], None], seed: int) -> Reseed:
    """Every run of a sweep takes the same course."""
    return partial(seed_scheduling, seed)


class Account:
    """Money that must not be half way when nobody looks."""

    def __init__(self) -> None:
        self.held = False

    async def use(self, *, shielded: bool) -> None:
        self.held = True
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=shielded):
                await trio.sleep(1)  # noqa: ASYNC102  # the mistake under test
                self.held = False


async def use_account(fault: Fault, *, shielded: bool) -> None:
    account = Account()
    with fault:
        await account.use(shielded=shielded)
    assert not account.held


def test_sweep_finds_an_unshielded_clean_up(reseed: Reseed) -> None:
    """A clean-up that a cancellation can cut short is found, with the step that shows it."""
    with pytest.raises(SweepError, match="step 1"):
        sweep(partial(use_account, shielded=False), reseed=reseed)

    assert sweep(partial(use_account, shielded=True), reseed=reseed).steps == 2


def test_sweep_finds_a_hang(reseed: Reseed) -> None:
    """A run that does not end after the strike is a failure."""

    async def hangs(fault: Fault) -> None:
        with fault:
            await trio.sleep(1)
        if fault.fired:
            await trio.sleep_forever()

    with pytest.raises(SweepError, match="TooSlowError"):
        sweep(hangs, reseed=reseed)


def test_one_step_can_be_repeated(reseed: Reseed) -> None:
    """The case of one step can be run alone, and no step at all is a plain run."""
    scenario = partial(use_account, shielded=True)

    assert run_step(scenario, 2, reseed=reseed).site.endswith("Account.use")
    assert not run_step(scenario, 0, reseed=reseed).fired


@attrs.frozen
class Crash:
    """Crashes its actor once; delivered again."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER


STOP_ORDER = ["b", "s/y", "s/x", "a"]


class World:
    """What the actors of one run did: every start must have its end."""

    def __init__(self) -> None:
        self.alive: list[str] = []
        self.stopped: list[str] = []
        self.crashed = False

    def check(self, system: System) -> None:
        assert self.alive == []
        assert self.stopped == sorted(self.stopped, key=STOP_ORDER.index)
        for cell in system.registry.cells():
            box = cell.mailbox
            gone = box.handled + box.dropped + box.conflated + box.expired + box.dead
            assert box.accepted == gone, f"{cell.path} lost a message"
            assert cell.run is None
            assert cell.state in (State.STOPPED, State.FAILED)


class Worker(Actor):
    """Awaits in every phase of its life."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def init(self) -> None:
        self.world.alive.append(self.context.path)
        await trio.sleep(0.1)

    async def handle(self, message: Any) -> Any:
        await trio.sleep(0.1)
        if isinstance(message, Crash) and not self.world.crashed:
            self.world.crashed = True
            raise ValueError("crash")
        if isinstance(message, str):
            return await self.context.lookup(message).ask("") if message else "end"
        return message

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(0.1)
        ordered = exit.kind is ExitKind.STOPPED and exit.reason != "its group is restarted"
        if ordered and exit.initialised:  # a start in progress is called off at once
            self.world.stopped.append(self.context.path)
        self.world.alive.remove(self.context.path)


def spec(world: World, strategy: Strategy = Strategy.REST_FOR_ONE) -> SupervisorSpec:
    def worker() -> Actor:
        return Worker(world)

    inner = SupervisorSpec([ChildSpec("x", worker), ChildSpec("y", worker)], intensity=3)
    children = [
        ChildSpec("a", worker, backoff=NO_BACKOFF),
        ChildSpec("s", inner),
        ChildSpec("b", worker),
        ChildSpec("pool", PoolSpec(start=lambda key: Plain(), idle_seconds=1)),
    ]
    return SupervisorSpec(children, strategy, intensity=3)


class Plain(Actor):
    """One key."""

    async def handle(self, message: Any) -> Any:
        await trio.sleep(0.01)
        return message


async def work(system: System) -> None:
    """Tells, asks through two actors, a pool, a crash and a restart."""
    async with trio.open_nursery() as nursery:
        for path in ("a", "b", "s/x"):
            system.address(path).tell(1)
        nursery.start_soon(_try, system, "b", "s/y")
        nursery.start_soon(_try, system, "a", Crash())
        await system.pool("pool").address("k").ask(1)
    await trio.sleep(2)
    await _try(system, "b", "s/x")


async def _try(system: System, path: str, message: object) -> None:
    with suppress(AskError):
        await system.address(path).ask(message)


@pytest.mark.parametrize("strategy", Strategy)
def test_cancelling_the_block_at_every_step(reseed: Reseed, strategy: Strategy) -> None:
    """Wherever the block is cancelled, every start has its end and no message is lost."""

    async def scenario(fault: Fault) -> None:
        world = World()
        system: System | None = None
        with fault:
            async with open_system(spec(world, strategy)) as system:
                await work(system)
        if system is not None:
            world.check(system)
        assert world.alive == []

    _print(sweep(scenario, reseed=reseed))


@pytest.mark.parametrize("strategy", Strategy)
def test_stopping_the_tree_at_every_step(reseed: Reseed, strategy: Strategy) -> None:
    """Wherever a stop is asked for, the tree stops in order and every ask ends."""

    async def scenario(fault: Fault) -> None:
        world = World()
        fault.strike = lambda: None
        with fault:
            async with open_system(spec(world, strategy)) as system:
                fault.strike = partial(system.stop, "injected")
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:

                        @nursery.start_soon
                        async def watch() -> None:
                            await system.wait_stopped()
                            scope.cancel()

                        await _swallow(work, system)
                        nursery.cancel_scope.cancel()
        world.check(system)

    _print(sweep(scenario, reseed=reseed))


async def _swallow(function: Callable[[System], Any], system: System) -> None:
    try:
        await function(system)
    except* AskError:
        pass


def test_cancelling_a_client_at_every_step(reseed: Reseed) -> None:
    """Wherever a client is cancelled, the next client is served as if nothing had been."""

    async def scenario(fault: Fault) -> None:
        world = World()
        async with open_system(spec(world)) as system:
            with fault:
                await work(system)
            with trio.fail_after(5):
                assert await system.address("b").ask("s/y") == "end"
                assert await system.pool("pool").address("k").ask(2) == 2
        world.check(system)

    _print(sweep(scenario, reseed=reseed), steps_min=5)


def _print(done: Sweep, steps_min: int = 50) -> None:
    print(done.summary())
    assert done.steps >= steps_min
