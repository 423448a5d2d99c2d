"""Rules of supervision that no other test here states, each named by what it promises."""

from contextvars import ContextVar
from itertools import groupby
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Delivery,
    Down,
    Event,
    Exit,
    Hooks,
    Ignore,
    InitFailed,
    MailboxSpec,
    NotFound,
    OnFull,
    PoolSpec,
    Report,
    Restart,
    SpecError,
    State,
    Strategy,
    SupervisorFailed,
    SupervisorSpec,
    open_system,
)

ambient: ContextVar[str] = ContextVar("ambient", default="nobody's")


class Worker(Actor):
    """Notes its life; starts, works and cleans up as it is told."""

    def __init__(self, log: list[str], name: str, **how: Any) -> None:
        self.log = log
        self.name = name
        self.how = how

    async def init(self) -> None:
        failures = self.how.get("bad_starts", 0)
        if 1 < self.context.generation <= 1 + failures:
            raise ValueError("bad start")
        await trio.sleep(self.how.get("start_seconds", 0))
        self.log.append(f"+{self.name}")

    async def handle(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("crash")
        if isinstance(message, int):
            await trio.sleep(message)
        self.log.append(f"{self.name}:{message}")
        return message

    async def on_stop(self, exit: Exit) -> None:
        try:
            await trio.sleep(self.how.get("stop_seconds", 0))
        except trio.Cancelled:
            self.log.append(f"{self.name} was cut off")
            raise
        self.log.append(f"-{self.name}")


def worker(log: list[str], id: str, how: dict[str, Any] | None = None, **spec: Any) -> ChildSpec:
    spec.setdefault("backoff", NO_BACKOFF)
    return ChildSpec(id, lambda: Worker(log, id, **(how or {})), **spec)


# -- starting


@pytest.mark.parametrize("restart", Restart)
async def test_ignored_start_keeps_the_specification(
    autojump_clock: MockClock, restart: Restart
) -> None:
    """It can be started by hand later; only a temporary child is forgotten."""
    turns: list[str] = []

    class Shy(Actor):
        async def init(self) -> None:
            turns.append("turn")
            if len(turns) == 1:
                raise Ignore

    async with open_system(SupervisorSpec([ChildSpec("a", Shy, restart=restart)])) as system:
        root = system.supervisor()
        if restart is Restart.TEMPORARY:
            assert root.which_children() == []
            with pytest.raises(NotFound):
                await root.restart_child("a")
        else:
            await root.restart_child("a")
            assert system.address("a").state is State.RUNNING


async def test_failed_start_leaves_its_name_free(autojump_clock: MockClock) -> None:
    """Whoever retries at once does not meet the remains of the first try."""
    log: list[str] = []

    class Broken(Actor):
        async def init(self) -> None:
            raise ValueError("broken")

    async with open_system(SupervisorSpec([])) as system:
        root = system.supervisor()
        with pytest.raises(InitFailed):
            await root.start_child(ChildSpec("a", Broken))

        address = await root.start_child(worker(log, "a"))
        assert await address.ask("x") == "x"
        assert address.generation == 1


async def test_children_do_not_inherit_the_context_of_who_asked_for_them(
    autojump_clock: MockClock,
) -> None:
    """A child started from a request does not carry that request's trace for ever."""
    seen: list[str] = []

    class Curious(Actor):
        async def init(self) -> None:
            seen.append(ambient.get())

        async def handle(self, message: Any) -> Any:
            return ambient.get()

    pool = ChildSpec("pool", PoolSpec(start=lambda _: Curious()))
    async with open_system(SupervisorSpec([pool])) as system:
        ambient.set("a request's")
        child = await system.supervisor().start_child(ChildSpec("a", Curious))

        assert await child.ask("whose?") == "nobody's"
        assert await system.pool("pool").address(1).ask("whose?") == "nobody's"
        assert seen == ["nobody's", "nobody's"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SupervisorSpec([], strategy="one_for_one"),  # type: ignore[arg-type]
        lambda: SupervisorSpec([], budget="own"),  # type: ignore[arg-type]
        lambda: SupervisorSpec([], auto_shutdown=True),  # type: ignore[arg-type]
        lambda: ChildSpec("a", Actor, restart="always"),  # type: ignore[arg-type]
        lambda: PoolSpec(start=lambda _: Actor(), restart="never"),  # type: ignore[arg-type]
    ],
)
def test_unknown_words_are_refused(make: Any) -> None:
    """A word that is none of ours is found before anything starts."""
    with pytest.raises(SpecError):
        make()


# -- restarting


async def test_second_failure_while_a_group_restarts_stops_it_again(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """one_for_all: each attempt stops what runs, starts all in order, and costs one unit."""
    log: list[str] = []
    spec = SupervisorSpec(
        [worker(log, "a"), worker(log, "b", {"bad_starts": 2}), worker(log, "c")],
        strategy=Strategy.ONE_FOR_ALL,
        intensity=3,
    )
    async with open_system(spec, hooks=recorder) as system:
        log.clear()
        system.address("c").tell("crash")
        await wait_all_tasks_blocked()

        once = ["+a", "-b", "-a"]
        assert log[:3] == ["-c", "-b", "-a"]
        assert log[3:] == ["+a", "-b", "-a", "+a", "-b", "-a", "+a", "+b", "+c"] == [
            *once, *once, "+a", "+b", "+c",
        ]  # fmt: skip
        assert [report.attempt for report in recorder.of(Event.RESTART_SCHEDULED)] == [1, 2, 3]


async def test_messages_survive_a_second_failure_during_backoff(autojump_clock: MockClock) -> None:
    """What waits through a backoff waits through the next one too, in its order."""
    log: list[str] = []
    backoff = Backoff(min_seconds=1, max_seconds=8, jitter=0)
    child = worker(log, "a", {"bad_starts": 2}, backoff=backoff)
    async with open_system(SupervisorSpec([child], intensity=10, period_seconds=60)) as system:
        a = system.address("a")
        for message in ("crash", "x", "y"):
            a.tell(message)
        await trio.sleep(0.5)
        assert a.state is State.BACKOFF
        a.tell("z")
        await trio.sleep(10)

    assert log == ["+a", "-a", "-a", "-a", "+a", "a:x", "a:y", "a:z", "-a"]


async def test_crash_loop_is_visible(autojump_clock: MockClock, recorder: Any) -> None:
    """Every crash and every attempt is a report that asks to be looked at."""
    log: list[str] = []
    with pytest.raises(SupervisorFailed):  # noqa: PT012  # the block is the promise
        async with open_system(
            SupervisorSpec([worker(log, "a")], intensity=3), hooks=recorder
        ) as system:
            for _ in range(4):
                system.address("a").tell("crash")
            await trio.sleep_forever()

    loud = [report.event for report in recorder.reports if report.is_error]
    assert loud == [Event.CHILD_ENDED, Event.RESTART_SCHEDULED] * 3 + [
        Event.CHILD_ENDED,
        Event.GAVE_UP,
    ]


@pytest.mark.parametrize("mode", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
async def test_only_own_ends_count_for_auto_shutdown(
    autojump_clock: MockClock, mode: AutoShutdown
) -> None:
    """A significant child that was terminated by hand does not end its supervisor."""
    log: list[str] = []
    inner = SupervisorSpec(
        [worker(log, "a", restart=Restart.TRANSIENT, significant=True)], auto_shutdown=mode
    )
    async with open_system(SupervisorSpec([ChildSpec("s", inner)])) as system:
        await system.supervisor("s").terminate_child("a")
        await trio.sleep(1)

        assert system.address("s").state is State.RUNNING


# -- stopping


async def test_no_time_to_stop_is_a_kill(autojump_clock: MockClock) -> None:
    """With no seconds to stop, on_stop is called and gets no further than its first await."""
    log: list[str] = []
    child = worker(log, "a", {"stop_seconds": 1}, shutdown_seconds=0)
    async with open_system(SupervisorSpec([child])):
        pass

    assert log == ["+a", "a was cut off"]
    assert trio.current_time() == 0


async def test_endless_time_to_stop_is_given(autojump_clock: MockClock, recorder: Any) -> None:
    """With no limit a clean-up takes what it takes, and is not overdue."""
    log: list[str] = []
    child = worker(log, "a", {"stop_seconds": 10_000}, shutdown_seconds=float("inf"))
    async with open_system(SupervisorSpec([child]), hooks=recorder):
        pass

    assert log == ["+a", "-a"]
    assert recorder.of(Event.OVERDUE) == []


async def test_cancelled_says_who_stopped_it_and_why(autojump_clock: MockClock) -> None:
    """The reason of a stop is in the Cancelled that a handler meets."""
    reasons: list[str | None] = []

    class Listener(Actor):
        async def handle(self, message: Any) -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled as cancelled:
                reasons.append(cancelled.reason)
                raise

    async with open_system(SupervisorSpec([ChildSpec("a", Listener)])) as system:
        system.address("a").tell("wait")
        await wait_all_tasks_blocked()
        system.stop("maintenance")

    assert reasons == ["a: maintenance"]


async def test_failure_beside_a_cancellation_hides_neither(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """Of a group with both, the failure is reported and the cancellation from outside goes on."""

    class Torn(Actor):
        async def handle(self, message: Any) -> None:
            async def fail() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("while being stopped")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(trio.sleep_forever)

    with trio.move_on_after(5) as outer:
        async with open_system(SupervisorSpec([ChildSpec("a", Torn)]), hooks=recorder) as system:
            system.address("a").tell("go")
            await trio.sleep_forever()

    assert outer.cancelled_caught
    [failed] = recorder.of(Event.SHUTDOWN_ERROR)
    assert failed.cause is not None
    assert isinstance(failed.cause, ExceptionGroup)
    assert failed.cause.subgroup(ValueError) is not None


async def test_overdue_children_of_a_pool_are_reported_together(
    autojump_clock: MockClock, recorder: Any
) -> None:
    """One rude child does not hide the others: each is reported once, at the same time."""

    class Rude(Actor):
        async def handle(self, message: Any) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(message)

    pool: PoolSpec[int] = PoolSpec(start=lambda _: Rude(), shutdown_seconds=2)
    async with open_system(SupervisorSpec([ChildSpec("pool", pool)]), hooks=recorder) as system:
        for key, seconds in enumerate((60, 70, 1)):
            system.pool("pool").address(key).tell(seconds)
        await wait_all_tasks_blocked()

    overdue = recorder.of(Event.OVERDUE)
    assert [(report.child, report.at) for report in overdue] == [("pool/0", 3), ("pool/1", 3)]
    assert all("sleep" in report.frames[-1] or report.frames for report in overdue)
    assert [report.in_hand for report in overdue] == [("int",), ("int",)]
    assert trio.current_time() == 70


@pytest.mark.parametrize("how", ["stop", "renew"])
async def test_overdue_child_of_a_running_pool_is_reported(
    autojump_clock: MockClock, recorder: Any, how: str
) -> None:
    """Stopping or renewing one key that does not end in its time is told, while others go on."""

    class Rude(Actor):
        async def handle(self, message: Any) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(message)

    pool: PoolSpec[str] = PoolSpec(start=lambda _: Rude(), shutdown_seconds=2)
    async with open_system(SupervisorSpec([ChildSpec("pool", pool)]), hooks=recorder) as system:
        system.pool("pool").address("rude").tell(60)
        await wait_all_tasks_blocked()
        getattr(system.pool("pool"), how)("rude")
        await trio.sleep(10)
        assert [(r.child, r.at) for r in recorder.of(Event.OVERDUE)] == [("pool/rude", 3)]

        await trio.sleep(100)
        known = system.pool("pool").get("rude")
        assert (known is None) if how == "stop" else (known is not None and known.generation == 2)


@pytest.mark.parametrize("moment", range(0, 60, 3))
async def test_stopping_supervisor_starts_nothing(autojump_clock: MockClock, moment: int) -> None:
    """Whenever the stop comes, in a crash loop of groups and pools nothing starts after it."""
    starts: list[float] = []

    class Mayfly(Actor):
        async def init(self) -> None:
            await trio.sleep(0.2)
            starts.append(trio.current_time())
            self.context.set_timer("end", 0.3, "crash")

        async def handle(self, message: Any) -> None:
            raise ValueError("crash")

    backoff = Backoff(min_seconds=0.1, max_seconds=0.4, jitter=0)
    inner = SupervisorSpec(
        [ChildSpec(id, Mayfly, backoff=backoff) for id in "abc"],
        strategy=Strategy.ONE_FOR_ALL,
        intensity=1_000,
    )
    pool: PoolSpec[int] = PoolSpec(start=lambda _: Mayfly(), backoff=backoff, intensity=1_000)
    spec = SupervisorSpec([ChildSpec("pool", pool), ChildSpec("s", inner)])
    stop_at = 1 + moment / 20
    async with open_system(spec) as system:
        for key in range(3):
            system.pool("pool").address(key).tell("start")
        await trio.sleep_until(stop_at)
        system.stop()
        await system.wait_stopped()

    assert starts
    assert max(starts) <= stop_at


async def test_stop_asked_for_by_a_factory_starts_nothing(autojump_clock: MockClock) -> None:
    """Even what is made at the moment of the stop does not run."""
    log: list[str] = []
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker(log, "a"))
        if len(made) == 2:
            system.stop("enough")
        return made[-1]

    async with open_system(SupervisorSpec([ChildSpec("a", make)])) as system:
        system.address("a").tell("crash")
        await system.wait_stopped()

    assert len(made) == 2
    assert log == ["+a", "-a"]


# -- control


async def test_reading_does_not_wait_behind_a_slow_start(autojump_clock: MockClock) -> None:
    """Lists and counts come from what is, while a change is being made."""
    log: list[str] = []
    async with open_system(SupervisorSpec([])) as system, trio.open_nursery() as nursery:
        root = system.supervisor()
        nursery.start_soon(root.start_child, worker(log, "slow", {"start_seconds": 10}))
        await wait_all_tasks_blocked()

        assert [(row.id, row.state) for row in root.which_children()] == [("slow", State.STARTING)]
        assert root.count_children().active == 1
        assert trio.current_time() == 0


async def test_change_whose_caller_gave_up_waiting_is_not_made(autojump_clock: MockClock) -> None:
    """A deadline around a change that has not begun calls it off; nothing happens later."""
    log: list[str] = []
    async with open_system(SupervisorSpec([])) as system, trio.open_nursery() as nursery:
        root = system.supervisor()
        nursery.start_soon(root.start_child, worker(log, "slow", {"start_seconds": 10}))
        await wait_all_tasks_blocked()
        with trio.move_on_after(1) as patience:
            await root.start_child(worker(log, "late"))
        await trio.sleep(20)

        assert patience.cancelled_caught
        assert [row.id for row in root.which_children()] == ["slow"]


# -- seeing


class Ticket(Hooks):
    """Gives every message a trace, and keeps reports."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def capture(self) -> object:
        return "trace 7"

    def on_report(self, report: Report) -> None:
        self.reports.append(report)


async def test_report_of_a_crash_tells_all(autojump_clock: MockClock) -> None:
    """Who, when, how often in which window, how long it ran, what was in hand and what waits."""
    log: list[str] = []
    hooks = Ticket()
    child = worker(log, "a", shutdown_seconds=3)
    spec = SupervisorSpec([ChildSpec("s", SupervisorSpec([child], intensity=4))])
    async with open_system(spec, hooks=hooks) as system:
        await trio.sleep(2)
        for message in ("crash", "x", "y"):
            system.address("s/a").tell(message)
        await wait_all_tasks_blocked()

    [ended] = [r for r in hooks.reports if r.event is Event.CHILD_ENDED]
    [restart] = [r for r in hooks.reports if r.event is Event.RESTART_SCHEDULED]
    assert (ended.supervisor, ended.child, ended.generation, ended.at) == ("s", "s/a", 1, 2)
    assert (ended.restart, ended.shutdown_seconds, ended.uptime) == (Restart.PERMANENT, 3, 2)
    assert (ended.in_hand, ended.contexts, ended.depth) == (("str",), ("trace 7",), 2)
    assert isinstance(ended.cause, ValueError)
    assert (restart.attempt, restart.intensity, restart.period_seconds) == (1, 4, 5)
    starts = {r.child: r.shutdown_seconds for r in hooks.reports if r.event is Event.STARTED}
    assert starts == {"s": float("inf"), "s/a": 3}


@pytest.mark.parametrize("policy", [OnFull.REFUSE, OnFull.DROP_OLDEST, OnFull.DROP_NEWEST])
async def test_dropped_by_policy_is_not_dead(autojump_clock: MockClock, policy: OnFull) -> None:
    """What a full mailbox turns away it counts; dead letters are what should have arrived."""
    log: list[str] = []
    child = worker(log, "a", mailbox=MailboxSpec(1, policy))
    async with open_system(SupervisorSpec([child])) as system:
        a = system.address("a")
        for message in ("x", "y"):
            a.tell(message)
        await wait_all_tasks_blocked()
        seen = system.inspect("a").statistics()

        assert system.dead_letters.total == 0
        assert (seen.dropped, seen.refused) == ((1, 0) if policy is OnFull.DROP_OLDEST else (0, 1))
        await system.supervisor().terminate_child("a")
        assert a.tell("z") is Delivery.STOPPED
        assert system.dead_letters.total == 1


async def test_newest_dead_letters_are_kept_and_all_are_counted(
    autojump_clock: MockClock,
) -> None:
    """A flood of dead letters costs a bounded amount of memory, and the count is right."""
    log: list[str] = []
    async with open_system(SupervisorSpec([worker(log, "a")])) as system:
        await system.supervisor().terminate_child("a")
        kept = system.dead_letters.ring.maxlen
        assert kept is not None
        for number in range(2 * kept):
            system.address("a").tell(number)

        assert [letter.message for letter in system.dead_letters.ring] == [*range(kept, 2 * kept)]
        assert system.dead_letters.total == 2 * kept


async def test_actor_that_never_awaits_lets_others_run(autojump_clock: MockClock) -> None:
    """Between any two batches the loop yields, however much waits."""
    turns: list[str] = []

    class Busy(Actor):
        batch_max = 10

        async def handle(self, message: Any) -> None:
            turns.append(self.context.path)

    spec = SupervisorSpec([ChildSpec("a", Busy), ChildSpec("b", Busy)])
    async with open_system(spec) as system:
        for _ in range(100):
            system.address("a").tell("x")
            system.address("b").tell("x")
        await wait_all_tasks_blocked()

    runs = [len(list(run)) for _, run in groupby(turns)]
    assert len(turns) == 200
    assert max(runs) <= 2 * Busy.batch_max


async def test_unwatching_takes_back_what_was_not_heard_yet(autojump_clock: MockClock) -> None:
    """A Down that waits in the control lane is gone once its watcher looked away."""
    heard: list[Down] = []

    class Watcher(Actor):
        async def init(self) -> None:
            self.context.watch(self.context.lookup("a"))

        async def handle(self, message: Any) -> None:
            await trio.sleep(1)
            self.context.unwatch(self.context.lookup("a"))

        async def handle_down(self, down: Down) -> None:
            heard.append(down)

    log: list[str] = []
    async with open_system(
        SupervisorSpec([worker(log, "a"), ChildSpec("w", Watcher)], intensity=5)
    ) as system:
        system.address("w").tell("look away")
        await trio.sleep(0.5)
        system.address("a").tell("crash")
        await trio.sleep(2)

    assert heard == []
