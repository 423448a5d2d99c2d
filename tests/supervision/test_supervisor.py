"""Starting in order, restarting by strategy and budget, stopping in reverse."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    AutoShutdown,
    Backoff,
    Budget,
    ChildSpec,
    Delivery,
    Event,
    Exit,
    Ignore,
    InitFailed,
    Restart,
    State,
    Strategy,
    SupervisorFailed,
    SupervisorSpec,
    Task,
    open_system,
)

Log = list[str]


class Worker(Actor):
    """Writes its starts and ends into a log, and ends as it is told."""

    def __init__(self, log: Log, bad_starts: list[bool] | None = None) -> None:
        self.log = log
        self.bad_starts = bad_starts if bad_starts is not None else []

    async def init(self) -> None:
        if self.bad_starts and self.bad_starts.pop(0):
            raise OSError("cannot start yet")
        self.log.append(f"+{self.context.path}")

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        if message == "end":
            self.context.stop()
        return message

    async def on_stop(self, exit: Exit) -> None:
        self.log.append(f"-{self.context.path}")


def child(log: Log, id: str, **options: Any) -> ChildSpec:
    options.setdefault("backoff", NO_BACKOFF)
    return ChildSpec(id, partial(Worker, log), **options)


def children(log: Log, ids: str, **options: Any) -> list[ChildSpec]:
    return [child(log, id, **options) for id in ids]


async def test_starts_in_order_and_stops_in_reverse(autojump_clock: MockClock) -> None:
    """The last child started is the first stopped, through all levels."""
    log: Log = []
    inner = ChildSpec("s", SupervisorSpec(children(log, "xy")))
    async with open_system(SupervisorSpec([child(log, "a"), inner, child(log, "b")])):
        assert log == ["+a", "+s/x", "+s/y", "+b"]
        log.clear()

    assert log == ["-b", "-s/y", "-s/x", "-a"]


async def test_cancellation_from_outside_stops_in_reverse(autojump_clock: MockClock) -> None:
    """Cancelling the block stops the tree in order too, and the cancellation goes on."""
    log: Log = []
    with trio.move_on_after(3) as scope:
        async with open_system(SupervisorSpec(children(log, "abc"))):
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert log[3:] == ["-c", "-b", "-a"]


async def test_failed_start_stops_the_started(autojump_clock: MockClock) -> None:
    """When a child does not start, those before it are stopped in reverse."""
    log: Log = []
    bad = ChildSpec("c", partial(Worker, log, [True]))
    with pytest.raises(InitFailed):
        async with open_system(SupervisorSpec([*children(log, "ab"), bad, child(log, "d")])):
            raise AssertionError("must not be entered")

    assert log == ["+a", "+b", "-c", "-b", "-a"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["-b", "+b"]),
        (Strategy.REST_FOR_ONE, ["-b", "-c", "+b", "+c"]),
        (Strategy.ONE_FOR_ALL, ["-b", "-c", "-a", "+a", "+b", "+c"]),
    ],
)
async def test_strategies(
    autojump_clock: MockClock, strategy: Strategy, expected: list[str]
) -> None:
    """A crash of the middle child touches exactly those whom the strategy names, in order."""
    log: Log = []
    async with open_system(SupervisorSpec(children(log, "abc"), strategy)) as system:
        log.clear()
        system.address("b").tell("crash")
        await wait_all_tasks_blocked()

        assert log == expected


async def test_group_restart_forgets_the_temporary(autojump_clock: MockClock) -> None:
    """A temporary sibling that is stopped with its group does not come back."""
    log: Log = []
    temporary = child(log, "t", restart=Restart.TEMPORARY)
    spec = SupervisorSpec([child(log, "a"), temporary], Strategy.ONE_FOR_ALL)
    async with open_system(spec) as system:
        t = system.address("t")
        log.clear()
        system.address("a").tell("crash")
        await wait_all_tasks_blocked()

        assert log == ["-a", "-t", "+a"]
        assert t.tell("x") is Delivery.STOPPED


async def test_siblings_share_the_budget(autojump_clock: MockClock, recorder: Any) -> None:
    """Failures of different children add up to the intensity of their supervisor."""
    log: Log = []
    with pytest.raises(SupervisorFailed) as caught:  # noqa: PT012  # the block is the promise
        async with open_system(SupervisorSpec(children(log, "ab")), hooks=recorder) as system:
            system.address("a").tell("crash")
            await wait_all_tasks_blocked()
            system.address("b").tell("crash")
            await trio.sleep_forever()

    assert [type(cause) for cause in caught.value.exceptions] == [ValueError]
    assert recorder.children(Event.GAVE_UP) == ["b"]


async def test_old_failures_are_forgotten(autojump_clock: MockClock) -> None:
    """Failures that are further apart than the period never exceed the budget."""
    async with open_system(SupervisorSpec(children([], "a"), period_seconds=5)) as system:
        for _ in range(10):
            system.address("a").tell("crash")
            await trio.sleep(5.1)

        assert system.address("a").generation == 11


async def test_normal_ends_of_a_permanent_child_cost_budget(autojump_clock: MockClock) -> None:
    """A permanent child that keeps ending normally makes its supervisor give up."""
    with pytest.raises(SupervisorFailed):  # noqa: PT012  # the block is the promise
        async with open_system(SupervisorSpec(children([], "a"))) as system:
            for _ in range(2):
                system.address("a").tell("end")
            await trio.sleep_forever()


async def test_own_budget_fails_one_child_alone(autojump_clock: MockClock, recorder: Any) -> None:
    """With a budget per child, the one that spends it stays down and its siblings run."""
    spec = SupervisorSpec(children([], "ab"), budget=Budget.PER_CHILD)
    async with open_system(spec, hooks=recorder) as system:
        a, b = system.address("a"), system.address("b")
        for address in (a, b, a):
            address.tell("crash")
            await wait_all_tasks_blocked()

        assert a.state is State.FAILED
        assert await b.ask("x") == "x"
        assert recorder.children(Event.CHILD_FAILED) == ["a"]


@pytest.mark.parametrize(
    ("restart", "message", "generations"),
    [
        (Restart.PERMANENT, "end", 2),
        (Restart.PERMANENT, "crash", 2),
        (Restart.TRANSIENT, "end", 1),
        (Restart.TRANSIENT, "crash", 2),
        (Restart.TEMPORARY, "end", 1),
        (Restart.TEMPORARY, "crash", 1),
    ],
)
async def test_restart_types(
    autojump_clock: MockClock, restart: Restart, message: str, generations: int
) -> None:
    """The restart type decides about the next incarnation."""
    async with open_system(SupervisorSpec(children([], "a", restart=restart))) as system:
        a = system.address("a")
        a.tell(message)
        await wait_all_tasks_blocked()

        assert a.generation == generations


@pytest.mark.parametrize(
    ("restart", "back"), [(Restart.PERMANENT, True), (Restart.TRANSIENT, False)]
)
async def test_only_a_permanent_supervisor_comes_back(
    autojump_clock: MockClock, restart: Restart, back: bool
) -> None:
    """A supervisor that gave up ended with SHUTDOWN: a transient one is not restarted."""
    inner = SupervisorSpec(children([], "x"), intensity=0)
    async with open_system(SupervisorSpec([ChildSpec("s", inner, restart=restart)])) as system:
        x = system.address("s/x")
        x.tell("crash")
        delivered = x.tell("queued before anybody noticed")
        await wait_all_tasks_blocked()

        assert delivered
        assert (x.state is State.RUNNING) == back
        assert bool(x.tell("after")) == back


async def test_failed_restarts_cost_and_wait(autojump_clock: MockClock, recorder: Any) -> None:
    """A start that fails during a restart is the next attempt, after a longer wait."""
    bad_starts = [False, True, True, False]
    spec = ChildSpec(
        "a",
        partial(Worker, [], bad_starts),
        backoff=Backoff(min_seconds=1, max_seconds=60, jitter=0),
    )
    async with open_system(SupervisorSpec([spec], intensity=3), hooks=recorder) as system:
        system.address("a").tell("crash")
        await trio.sleep(100)

        assert system.address("a").state is State.RUNNING
        scheduled = recorder.of(Event.RESTART_SCHEDULED)
        assert [report.delay for report in scheduled] == [0, 1, 2]
        assert [report.attempt for report in scheduled] == [1, 2, 3]


async def test_group_goes_on_from_the_child_that_did_not_start(autojump_clock: MockClock) -> None:
    """rest_for_one retries from the failing child; those already restarted stay up."""
    log: Log = []
    bad = ChildSpec("b", partial(Worker, log, [False, True, False]), backoff=NO_BACKOFF)
    specs = [child(log, "a"), bad, child(log, "c")]
    spec = SupervisorSpec(specs, Strategy.REST_FOR_ONE, intensity=2)
    async with open_system(spec) as system:
        log.clear()
        system.address("a").tell("crash")
        await wait_all_tasks_blocked()

        assert log == ["-a", "-c", "-b", "+a", "-b", "+b", "+c"]


async def test_stopping_wins_over_a_crash_loop(autojump_clock: MockClock) -> None:
    """A child that never starts again cannot keep its supervisor from stopping."""

    def starts() -> Callable[[], Actor]:
        bad = [False] + [True] * 1_000_000
        return partial(Worker, [], bad)

    spec = SupervisorSpec([ChildSpec("a", starts(), backoff=NO_BACKOFF)], intensity=10**9)
    async with open_system(spec) as system:
        system.address("a").tell("crash")
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        system.stop()
        await system.wait_stopped()

    assert trio.current_time() == 0


async def test_stop_interrupts_a_backoff_and_a_start(autojump_clock: MockClock) -> None:
    """Neither a wait nor a hanging start delays the stop."""

    class Hangs(Worker):
        async def init(self) -> None:
            if self.context.generation > 1:
                await trio.sleep_forever()

    slow = Backoff(min_seconds=50, max_seconds=50)
    specs = [ChildSpec("h", partial(Hangs, [])), child([], "w", backoff=slow)]
    async with open_system(SupervisorSpec(specs, intensity=9)) as system:
        for _ in range(2):
            system.address("w").tell("crash")
            await wait_all_tasks_blocked()
        assert system.address("w").state is State.BACKOFF
        system.address("h").tell("crash")
        await wait_all_tasks_blocked()
        assert system.address("h").state is State.STARTING

    assert trio.current_time() == 0


async def test_jitter_repeats_with_its_seed(autojump_clock: MockClock, recorder: Any) -> None:
    """The same random source gives the same waits."""

    async def delays() -> list[float]:
        recorder.reports.clear()
        spec = SupervisorSpec(children([], "a", backoff=Backoff(jitter=1)), intensity=9)
        async with open_system(spec, random=Random(7), hooks=recorder) as system:
            for _ in range(4):
                system.address("a").tell("crash")
                await trio.sleep(2)
        return [report.delay for report in recorder.of(Event.RESTART_SCHEDULED)]

    first = await delays()

    assert first == await delays()
    assert len(set(first)) == 4


@pytest.mark.parametrize(
    ("mode", "first_ends", "second_ends"),
    [(AutoShutdown.ANY_SIGNIFICANT, True, True), (AutoShutdown.ALL_SIGNIFICANT, False, True)],
)
async def test_auto_shutdown(
    autojump_clock: MockClock, mode: AutoShutdown, first_ends: bool, second_ends: bool
) -> None:
    """The first, or the last, significant child that ends by itself ends the supervisor."""
    options: dict[str, Any] = {"restart": Restart.TRANSIENT, "significant": True}
    inner = SupervisorSpec([*children([], "xy", **options), child([], "z")], auto_shutdown=mode)
    spec = SupervisorSpec([ChildSpec("s", inner, restart=Restart.TRANSIENT)])
    async with open_system(spec) as system:
        s = system.address("s")
        ended = []
        for id in "xy":
            system.address(f"s/{id}").tell("end")
            await wait_all_tasks_blocked()
            ended.append(s.state is State.STOPPED)

        assert ended == [first_ends, second_ends]


async def test_start_may_be_ignored(autojump_clock: MockClock) -> None:
    """A child whose start says Ignore is no failure and does not run."""

    class Absent(Actor):
        async def init(self) -> None:
            raise Ignore

    async with open_system(SupervisorSpec([ChildSpec("a", Absent)])) as system:
        assert system.address("a").state is State.STOPPED


async def test_overdue_child_is_reported_with_its_place(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """A child that shields itself past its time is reported with its frames and waited for."""

    class Rude(Actor):
        async def handle(self, message: Any) -> Any:
            with trio.CancelScope(shield=True):
                await trio.sleep(100)

    log: Log = []
    specs = [child(log, "a"), ChildSpec("r", Rude, shutdown_seconds=2)]
    async with open_system(SupervisorSpec(specs), hooks=recorder) as system:
        system.address("r").tell("go")
        await wait_all_tasks_blocked()

    [overdue] = recorder.of(Event.OVERDUE)
    assert overdue.at == 3
    assert any("Rude.handle" in frame for frame in overdue.frames)
    assert log == ["+a", "-a"]


async def test_failure_while_stopping_is_only_reported(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """A child that fails while it is stopped is neither restarted nor an error of the tree."""

    class BadEnd(Actor):
        async def handle(self, message: Any) -> Any:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("in the way out")

    async with open_system(SupervisorSpec([ChildSpec("a", BadEnd)]), hooks=recorder) as system:
        system.address("a").tell("go")
        await wait_all_tasks_blocked()

    assert recorder.children(Event.SHUTDOWN_ERROR) == ["a"]
    assert recorder.of(Event.RESTART_SCHEDULED) == []


async def test_plain_task_is_asked_before_it_is_cancelled(autojump_clock: MockClock) -> None:
    """A task with a way to stop it ends by itself; one without is cancelled."""
    ended: list[str] = []
    trigger = trio.Event()

    async def server(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trigger.wait()
        await trio.sleep(1)
        ended.append("server drained")

    async def reader(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("reader cancelled")

    specs = [ChildSpec("r", Task(reader)), ChildSpec("s", Task(server, stop=trigger.set))]
    async with open_system(SupervisorSpec(specs)):
        pass

    assert ended == ["server drained", "reader cancelled"]


async def test_task_that_never_says_ready_did_not_start(autojump_clock: MockClock) -> None:
    """A task that returns without having reported its start is an init failure."""

    async def forgetful(  # noqa: ASYNC128  # that is the point
        task_status: trio.TaskStatus[None],
    ) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(InitFailed):
        async with open_system(SupervisorSpec([ChildSpec("f", Task(forgetful))])):
            raise AssertionError("must not be entered")


async def test_factory_may_decide_what_runs(autojump_clock: MockClock) -> None:
    """A factory may answer with a whole supervisor or a task."""
    log: Log = []
    inner = SupervisorSpec(children(log, "x"))
    async with open_system(SupervisorSpec([ChildSpec("s", lambda: inner)])) as system:
        assert await system.address("s/x").ask("hi") == "hi"
