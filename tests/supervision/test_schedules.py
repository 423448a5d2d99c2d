"""The core of the supervisor under every order of tasks, and whole trees under rare ones."""

import random
from functools import partial

import pytest
import trio

from supervision import NO_BACKOFF, ChildSpec, Strategy, SupervisorSpec, open_system
from supervision.faults import (
    Course,
    Fault,
    explore,
    run_priorities,
    run_seeds,
    settle,
)
from tests.supervision.invariants import Witness
from tests.supervision.workshop import Break, Lose, Relay, Say, Shop, Worker, tree


def three(shop: Shop, strategy: Strategy) -> SupervisorSpec:
    """Three children."""
    make = partial(Worker, shop)
    children = [ChildSpec(id, make, backoff=NO_BACKOFF) for id in "abc"]
    return SupervisorSpec(children, strategy, intensity=2)


async def crash_and_stop(course: Course, strategy: Strategy, *, asked: bool) -> None:
    """One child crashes, maybe while somebody asks another, and the tree is asked to stop."""
    shop = Shop(pause_seconds=0)
    spec = three(shop, strategy)
    witness = shop.witness = Witness(spec)
    async with open_system(spec, hooks=witness, random=random.Random(0)) as witness.system:
        with course:
            async with trio.open_nursery() as nursery:
                witness.tell("b", Lose("client", 1))
                if asked:
                    witness.tell("b", Say("client", 2))
                    nursery.start_soon(witness.ask, "c", 3, Say("another", 3))
                nursery.start_soon(stop, witness)
            await settle()
    witness.check(Fault())


async def stop(witness: Witness) -> None:
    """Ask for the end, a step later."""
    await trio.lowlevel.checkpoint()
    assert witness.system is not None
    witness.system.stop("in the midst")


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("strategy", Strategy)
def test_crash_and_stop_in_every_order(strategy: Strategy, *, asked: bool) -> None:
    """Three children, one crash, one request to stop: every promise holds in every order.

    Every order with at most two departures from the fair one: the others are far above 20,000.
    """
    scenario = partial(crash_and_stop, strategy=strategy, asked=asked)
    done = explore(scenario, departures_max=2, runs_max=1000)

    print(f"{strategy.value}: {done.summary()}")
    assert done.complete
    assert done.runs >= 20


async def live(course: Course, strategy: Strategy) -> None:
    """Much at once in a whole tree."""
    shop = Shop()
    spec = tree(shop, strategy)
    witness = shop.witness = Witness(spec)
    async with open_system(spec, hooks=witness, random=course.random) as witness.system:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(witness.ask, "a", 1, Relay("p", 1, ("b", "s/y", "c")))
            nursery.start_soon(witness.ask, "b", 2, Break("q", 2))
            nursery.start_soon(witness.ask, "s/x", 3, Break("r", 3))
            nursery.start_soon(witness.ask, "c", 4, Say("s", 4))
            nursery.start_soon(witness.probe, "b")
        await trio.sleep(course.random.random())
    witness.check(Fault())


@pytest.mark.parametrize("strategy", Strategy)
def test_whole_tree_under_priorities(strategy: Strategy, seed: int) -> None:
    """Rare orders break no promise either."""
    print(run_priorities(partial(live, strategy=strategy), runs=25, seed=seed).summary())


@pytest.mark.parametrize("strategy", Strategy)
def test_whole_tree_under_seeds(strategy: Strategy) -> None:
    """Nor do ordinary ones."""
    print(run_seeds(partial(live, strategy=strategy), range(25)).summary())
