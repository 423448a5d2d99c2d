"""Children that come with their first message and go when they are idle."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    ChildSpec,
    Delivery,
    Event,
    Exit,
    PoolFull,
    PoolSpec,
    Restart,
    ServerDied,
    State,
    SupervisorSpec,
    UnknownPath,
    open_system,
)


class Account(Actor):
    """One key."""

    def __init__(self, key: str, log: list[str], start_seconds: float = 0) -> None:
        self.key = key
        self.log = log
        self.start_seconds = start_seconds

    async def init(self) -> None:
        await trio.sleep(self.start_seconds)
        self.log.append(f"+{self.key}")

    async def handle(self, message: Any) -> Any:
        match message:
            case "crash":
                raise ValueError("crash")
            case "end":
                self.context.stop()
            case "timer":
                self.context.set_timer("t", 1000, "x")
            case _:
                pass
        return f"{self.key}: {message}"

    async def on_stop(self, exit: Exit) -> None:
        self.log.append(f"-{self.key}")


def tree(log: list[str] | None = None, start_seconds: float = 0, **options: Any) -> SupervisorSpec:
    options.setdefault("backoff", NO_BACKOFF)
    lines = [] if log is None else log
    start: Callable[[str], Actor] = lambda key: Account(key, lines, start_seconds)  # noqa: E731
    return SupervisorSpec([ChildSpec("pool", PoolSpec(start=start, **options))])


async def test_first_message_starts_the_actor(autojump_clock: MockClock) -> None:
    """Asking for an address starts nothing; the first message does, and is handled."""
    log: list[str] = []
    async with open_system(tree(log)) as system:
        one = system.pool("pool").address("one")
        assert (one.state, log) == (State.IDLE, [])

        assert await one.ask("hi") == "one: hi"
        assert one == system.address("pool/one")


async def test_starts_are_side_by_side_and_limited(autojump_clock: MockClock) -> None:
    """Slow starts do not wait for each other, up to a limit."""
    async with open_system(tree(start_seconds=1, starting_max=2)) as system:
        pool = system.pool("pool")
        async with trio.open_nursery() as nursery:
            for key in "abcd":
                nursery.start_soon(pool.address(key).ask, "x")

        assert trio.current_time() == 2


async def test_idle_actor_is_stopped_and_comes_back(autojump_clock: MockClock) -> None:
    """An actor without work is stopped; its address starts it again."""
    log: list[str] = []
    async with open_system(tree(log, idle_seconds=10)) as system:
        one = system.pool("pool").address("one")
        await one.ask("hi")
        await trio.sleep(15)
        assert (one.state, log) == (State.IDLE, ["+one", "-one"])

        assert await one.ask("again") == "one: again"


async def test_busy_actor_is_not_stopped(autojump_clock: MockClock) -> None:
    """Messages and pending timers keep an actor."""
    async with open_system(tree(idle_seconds=10)) as system:
        pool = system.pool("pool")
        await pool.address("timer").ask("timer")
        for _ in range(10):
            await pool.address("talked to").ask("x")
            await trio.sleep(6)

        assert pool.address("talked to").generation == 1
        assert pool.address("timer").generation == 1


async def test_every_start_and_end_of_a_key_is_reported(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """First starts, restarts and passivations, each with its generation."""
    async with open_system(tree(idle_seconds=10), hooks=recorder) as system:
        one = system.pool("pool").address("one")
        one.tell("crash")
        await trio.sleep(15)
        assert await one.ask("x") == "one: x"

    told = [(r.event, r.generation) for r in recorder.reports if r.child == "pool/one"]
    assert told == [
        (Event.STARTED, 1),
        (Event.CHILD_ENDED, 1),
        (Event.RESTART_SCHEDULED, 1),
        (Event.STARTED, 2),
        (Event.STOPPED, 2),
        (Event.STARTED, 3),
        (Event.STOPPED, 3),
    ]


async def test_crash_concerns_one_key(autojump_clock: MockClock, recorder: Any) -> None:
    """Each key has its own budget; spending it fails that key alone, until it is restarted."""
    async with open_system(tree(), hooks=recorder) as system:
        pool = system.pool("pool")
        bad, good = pool.address("bad"), pool.address("good")
        for _ in range(2):
            with pytest.raises(ServerDied):
                await bad.ask("crash")
            await wait_all_tasks_blocked()

        assert bad.state is State.FAILED
        with pytest.raises(ServerDied):
            await bad.ask("x")
        assert await good.ask("x") == "good: x"
        assert recorder.children(Event.CHILD_FAILED) == ["pool/bad"]
        pool.restart("bad")
        assert await bad.ask("x") == "bad: x"


async def test_temporary_child_is_forgotten(autojump_clock: MockClock) -> None:
    """The key of a temporary child is free again when it ended."""
    async with open_system(tree(restart=Restart.TEMPORARY)) as system:
        pool = system.pool("pool")
        one = pool.address("one")
        one.tell("end")
        await wait_all_tasks_blocked()

        assert pool.get("one") is None
        assert one.tell("x") is Delivery.STOPPED
        assert await pool.address("one").ask("new") == "one: new"


async def test_stopped_key_is_forgotten(autojump_clock: MockClock) -> None:
    """Stopping a key ends its actor and frees the key, whether it runs or not."""
    log: list[str] = []
    async with open_system(tree(log)) as system:
        pool = system.pool("pool")
        await pool.address("runs").ask("x")
        pool.address("idle")
        for key in ("runs", "idle", "unknown"):
            pool.stop(key)
        await wait_all_tasks_blocked()

        assert pool.keys() == []
        assert log == ["+runs", "-runs"]


async def test_full_pool_forgets_the_idle_first(autojump_clock: MockClock) -> None:
    """A new key takes the room of an idle one; without one, there is no room."""
    async with open_system(tree(capacity=2)) as system:
        pool = system.pool("pool")
        await pool.address("busy").ask("x")
        idle = pool.address("idle")
        await pool.address("third").ask("x")

        assert pool.keys() == ["busy", "third"]
        with pytest.raises(PoolFull):
            pool.address("fourth")
        pool.stop("third")
        await wait_all_tasks_blocked()
        assert await idle.ask("still good") == "idle: still good"


async def test_forgotten_address_finds_its_successor(autojump_clock: MockClock) -> None:
    """An address of a forgotten cell reaches the new cell of its key."""
    log: list[str] = []
    async with open_system(tree(log, capacity=1)) as system:
        pool = system.pool("pool")
        old = pool.address("one")
        pool.address("two")
        new = pool.address("one")
        await new.ask("x")

        assert await old.ask("y") == "one: y"
        assert log == ["+one"]


async def test_pool_children_stop_together(autojump_clock: MockClock) -> None:
    """Stopping a pool takes as long as its slowest child, not the sum."""

    class Slow(Actor):
        async def on_stop(self, exit: Exit) -> None:
            await trio.sleep(3)

    spec = SupervisorSpec([ChildSpec("pool", PoolSpec(start=lambda key: Slow()))])
    async with open_system(spec) as system:
        for key in range(5):
            system.pool("pool").address(key).tell("start")
        await wait_all_tasks_blocked()

    assert trio.current_time() == 3


async def test_cells_survive_a_restart_of_the_pool(autojump_clock: MockClock) -> None:
    """When the supervisor above a pool is restarted, addresses and waiting messages stay good."""

    class Fuse(Actor):
        async def handle(self, message: Any) -> Any:
            raise ValueError("blown")

    spec = PoolSpec(start=partial(Account, log=[]))
    inner = SupervisorSpec([ChildSpec("pool", spec), ChildSpec("fuse", Fuse)], intensity=0)
    async with open_system(SupervisorSpec([ChildSpec("s", inner)])) as system:
        one = system.pool("s/pool").address("one")
        await one.ask("x")
        system.address("s/fuse").tell("blow")
        await wait_all_tasks_blocked()

        assert await one.ask("y") == "one: y"
        assert one.generation == 2


async def test_unknown_paths(autojump_clock: MockClock) -> None:
    """A path cannot make a key, and only pools are pools."""
    async with open_system(tree()) as system:
        with pytest.raises(UnknownPath):
            system.address("pool/nobody")
        with pytest.raises(UnknownPath):
            system.pool("nothing")


async def test_pool_of_an_ended_tree_starts_nothing(autojump_clock: MockClock) -> None:
    """After the tree ended, a new key answers at once that nothing will come."""
    async with open_system(tree()) as system:
        pool = system.pool("pool")

    assert pool.address("late").tell("x") is Delivery.STOPPED
