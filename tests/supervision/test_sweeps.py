"""Every scenario of the package itself, struck at every checkpoint, keeps every promise.

What is done to it: its block is cancelled, it is asked to stop, what an actor awaits raises, and
what the framework awaits raises. The number of checkpoints that were struck stands at the end of
the test run.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from supervision import (
    ChildSpec,
    DeadReason,
    Event,
    ExitKind,
    Restart,
    State,
    Strategy,
    SupervisionError,
    SupervisorSpec,
    open_system,
)
from supervision.faults import Fault, Sweep, cancel, delaying, raising, sweep, sweep_pairs
from tests.supervision.invariants import DELIVERIES, STRATEGIES_REACHED, Witness
from tests.supervision.workshop import (
    Break,
    Later,
    Leave,
    Lose,
    Mystery,
    Price,
    Relay,
    Say,
    Shop,
    Worker,
    counters,
    tree,
)

Act = Callable[[Shop], Awaitable[None]]
Swept = Callable[[str, Sweep], None]

REACHED: Counter[str] = Counter()
"""What the sweeps of this module reached, over all runs."""

DONE: set[str] = set()
"""The sweeps of this module that were done in this session."""


DELAY_SECONDS = 0.35


class InjectedError(Exception):
    """What the raise sweeps raise."""


# ---- scenarios ---------------------------------------------------------------------------------


async def talk(shop: Shop) -> None:
    """Tells, asks, an ask through three actors, a kept reply, probes, and nothing goes wrong."""
    witness = shop.witness
    for number, path in enumerate(("a", "b", "s/x", "b"), 1):
        witness.tell(path, Say("client", number))
    witness.tell("s/y", Mystery("client", 5))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(witness.ask, "a", 10, Relay("p", 10, ("b", "s/y", "c")))
        nursery.start_soon(witness.ask, "b", 11, Later("q", 11))
        nursery.start_soon(witness.ask, "b", 12, Say("r", 12))
        nursery.start_soon(witness.ask, "c", 14, Mystery("s", 14))
        nursery.start_soon(witness.probe, "b")
        nursery.start_soon(partial(witness.ask, "c", 13, Say("hasty", 13), seconds=0.05))


async def crash(shop: Shop) -> None:
    """Crashes with every policy for the message in hand, and a poisonous message."""
    witness = shop.witness
    witness.tell("b", Break("client", 1))
    witness.tell("b", Say("client", 2))
    witness.tell("b", Lose("client", 3))
    await trio.sleep(6)
    await witness.ask("b", 4, Break("client", 4))
    witness.tell("s/x", Break("other", 5, times=3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(witness.ask, "s/x", 6, Say("another", 6))
        await trio.sleep(0.15)
        await witness.ask("b", 7, Say("client", 7))
    await trio.sleep(2)


async def fail_again(shop: Shop) -> None:
    """A child crashes, and while its group is restarted another one does not start."""
    shop.failing_starts = {"b": 1}
    await shop.witness.ask("a", 1, Break("client", 1))
    await trio.sleep(3)
    await shop.witness.ask("b", 2, Say("client", 2))
    shop.failing_stops = {"c": 1, "session/first": 1}
    await shop.witness.ask("b", 3, Lose("client", 3))


async def fall_together(shop: Shop) -> None:
    """A child crashes, and again while the group that it took along is being started."""
    for number in (1, 2):
        shop.witness.tell("a", Lose("client", number))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.witness.ask, "b", 3, Relay("p", 3, ("a",)))
        nursery.start_soon(shop.witness.ask, "c", 4, Say("client", 4))
    await trio.sleep(4)


async def back_off(shop: Shop) -> None:
    """A child fails again and again, and the tree ends while it waits."""
    shop.failing_starts = {"a": 2}
    shop.witness.tell("a", Lose("client", 1))
    for number in range(1, 4):
        shop.witness.tell("s/x", Lose("client", number))
    await trio.sleep(0.5)
    await shop.witness.ask("a", 2, Say("client", 2))
    await trio.sleep(2)
    await shop.witness.ask("s/x", 4, Say("client", 4))


async def give_up(shop: Shop) -> None:
    """A child fails more often than it may."""
    shop.failing_starts = {"c": 100}
    shop.witness.tell("c", Lose("client", 1))
    await trio.sleep(60)


async def use_pool(shop: Shop) -> None:
    """Keys are started, crash, are stopped, passivated and forgotten for others."""
    assert shop.witness.system is not None
    pool, witness = shop.witness.system.pool("pool"), shop.witness
    for number, key in enumerate("kl", 1):
        pool.address(key)
        await witness.ask(f"pool/{key}", number, Say("client", number))
    witness.tell("pool/k", Break("client", 3))
    witness.tell("pool/k", Say("client", 4))
    await trio.sleep(0.2)
    pool.stop("l")
    await trio.sleep(5)
    for number, key in enumerate("mnok", 5):
        try:
            pool.address(key)
        except SupervisionError:
            continue
        await witness.ask(f"pool/{key}", number, Say("client", number))


async def end_by_themselves(shop: Shop) -> None:
    """Children of every restart type end in every way of their own; one takes its group along."""
    for number, how in enumerate(("stop", "shutdown", "raise"), 1):
        shop.witness.tell("a", Leave("client", number, how))
        await trio.sleep(2)
    shop.witness.tell("session/second", Leave("client", 1))
    shop.witness.tell("c", Leave("client", 1))
    await trio.sleep(1)
    shop.witness.tell("session/first", Leave("client", 1, "shutdown"))
    await trio.sleep(1)
    shop.witness.tell("session/first", Say("client", 2))


async def control(shop: Shop) -> None:
    """Children are added, stopped, started and deleted while others crash."""
    assert shop.witness.system is not None
    root = shop.witness.system.supervisor()
    shop.witness.by_hand = {"b", "c"}
    new = ChildSpec("new", partial(Worker, shop), restart=Restart.TEMPORARY)
    shop.witness.tell("b", Lose("client", 1))
    for change in (
        lambda: root.start_child(new),
        lambda: root.terminate_child("c"),
        lambda: root.restart_child("c"),
        lambda: root.terminate_child("new"),
        lambda: root.terminate_child("b"),
        lambda: root.delete_child("b"),
    ):
        try:
            await change()
        except SupervisionError:
            continue


async def overflow(shop: Shop) -> None:
    """Mailboxes of every policy get more than they hold."""
    for number in range(1, 6):
        for path in ("refuse", "oldest", "newest", "conflate", "aging"):
            shop.witness.tell(path, Price("client", number))
    await shop.witness.ask("refuse", 9, Say("other", 9))
    await trio.sleep(2)


async def overstay(shop: Shop) -> None:
    """An actor shields its clean-up for longer than it may take."""
    shop.overstaying = {"s/x": 8.0}
    await shop.witness.ask("s/x", 1, Say("client", 1))
    shop.witness.tell("s/x", Lose("client", 2))


SCENARIOS: list[Act] = [
    talk,
    crash,
    fail_again,
    back_off,
    give_up,
    use_pool,
    end_by_themselves,
    control,
    overflow,
    overstay,
    fall_together,
]
"""Each runs under one strategy, by its place: some need a group, some a child that stays failed."""


# ---- how they are struck -----------------------------------------------------------------------


async def play(fault: Fault, act: Act, strategy: Strategy, *, kind: str) -> None:
    """Open a tree, act in it, close it, and check."""
    shop = Shop()
    spec = counters(shop) if act is overflow else tree(shop, strategy)
    slack_seconds = DELAY_SECONDS if kind == "delay" else 0.0
    witness = shop.witness = Witness(spec, slack_seconds=slack_seconds)
    strike = fault.strike

    def strike_and_note() -> None:
        witness.note_strike()
        if kind != "stop":
            strike()
        elif witness.system is not None:
            witness.system.stop("injected")

    fault.strike = strike_and_note
    try:
        with fault:
            await _use(shop, act, spec)
            await trio.lowlevel.checkpoint()
    except* SupervisionError:
        witness.reached["the tree failed"] += 1
    if kind == "framework":
        witness.check_structure()
    else:
        witness.check(fault)
    REACHED.update(witness.reached)


async def _use(shop: Shop, act: Act, spec: SupervisorSpec) -> None:
    witness = shop.witness
    async with open_system(spec, hooks=witness, random=random.Random(0)) as witness.system:
        await act(shop)
    witness.reached["the block ended"] += 1


def _name(act: Act) -> str:
    return str(getattr(act, "__name__", act))


def in_actors(site: str) -> bool:
    """Where the program's own code awaits: in the actors and in the clients."""
    return "/tests/" in site


def in_framework(site: str) -> bool:
    """Where the package itself awaits."""
    return "/tests/" not in site


def in_main_task(site: str) -> bool:
    """Where Ctrl-C is raised."""
    return "open_system" in site or "test_sweeps.py" in site


@pytest.fixture
def strike(request: pytest.FixtureRequest, seed: int, swept: Swept) -> Callable[..., None]:
    """Return a function that sweeps a scenario and counts what was struck."""
    pytest_args = f"--seed {request.config.getoption('--seed')}"

    def sweep_one(kind: str, act: Act, **options: Any) -> None:
        scenario = partial(
            play,
            act=act,
            strategy=list(Strategy)[SCENARIOS.index(act) % 3],
            kind=kind,
        )
        search = sweep_pairs if "second" in options else sweep
        done = search(scenario, seed=seed, pytest_args=pytest_args, **options)
        assert done.steps > 0
        swept(f"supervision, {kind}", done)
        DONE.add(f"{kind} {_name(act)}")

    return sweep_one


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_cancelling_the_block(act: Act, strike: Callable[..., None]) -> None:
    """Wherever the block is cancelled, the tree stops in order, and the cancellation arrives."""
    strike("cancel", act)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_stopping_the_tree(act: Act, strike: Callable[..., None]) -> None:
    """Wherever a stop is asked for, the tree stops in order and every ask ends."""
    strike("stop", act)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_raising_in_an_actor(act: Act, strike: Callable[..., None]) -> None:
    """Whatever an actor or a client awaits may raise: one report, and the rules hold."""
    strike("raise", act, strike=raising(InjectedError), where=in_actors)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_raising_twice(act: Act, strike: Callable[..., None]) -> None:
    """A second failure in the aftermath of a first one changes nothing about that."""
    twice = raising(InjectedError)
    strike("raise twice", act, first=twice, second=twice, where=in_actors, runs_max=30)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_cancelling_after_a_failure(act: Act, strike: Callable[..., None]) -> None:
    """A cancellation that meets a restart, a backoff or a clean-up ends them in order."""
    strike(
        "raise, then cancel",
        act,
        first=raising(InjectedError),
        second=cancel,
        where=in_actors,
        runs_max=30,
    )


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_interrupting_the_program(act: Act, strike: Callable[..., None]) -> None:
    """Ctrl-C in the main task, at any await of the block or around it, ends everything."""
    strike("interrupt", act, strike=raising(KeyboardInterrupt), where=in_main_task)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_raising_in_the_framework(act: Act, strike: Callable[..., None]) -> None:
    """Even if the package itself fails, every actor is cleaned up, every ask and the run end."""
    strike("framework", act, strike=raising(InjectedError), where=in_framework, runs_max=40)


@pytest.mark.parametrize("act", SCENARIOS, ids=_name)
def test_holding_up_one_task(act: Act, strike: Callable[..., None]) -> None:
    """A task that goes on late loses nothing and overtakes nobody."""
    strike("delay", act, strike=delaying(DELAY_SECONDS), runs_max=30)


# ---- the test of the test ----------------------------------------------------------------------

KINDS = ["cancel", "stop", "raise", "raise twice", "interrupt", "framework", "delay"]

TO_REACH = [
    *STRATEGIES_REACHED,
    *DELIVERIES,
    *(f"ended {kind.value}" for kind in ExitKind if kind is not ExitKind.STOPPED),
    *(event.value for event in Event),
    *(f"dead letter {reason.value}" for reason in DeadReason),
    *(f"struck while {state.value}" for state in State),
    *(
        f"ask {kind}"
        for kind in ("MailboxFull", "NotUnderstood", "Restarting", "ServerDied", "Stopped")
    ),
    "restart in a pool",
    "second failure while restarting",
    "injected failure reported",
    "the block ended",
    "the tree failed",
]


def test_everything_was_reached() -> None:
    """The sweeps went through every strategy, policy, exit, state, and rare combination."""
    if missing := {f"{kind} {_name(act)}" for kind in KINDS for act in SCENARIOS} - DONE:
        pytest.skip(f"{len(missing)} of the sweeps of this module were not run")

    assert [what for what in TO_REACH if not REACHED[what]] == []
