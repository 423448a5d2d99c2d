"""The real pool, side by side with the reference model, under any sequence of commands."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervision import (
    Actor,
    Backoff,
    ChildSpec,
    Event,
    ExitKind,
    Hooks,
    MailboxSpec,
    Pool,
    PoolSpec,
    Report,
    Restart,
    State,
    Stop,
    SupervisorSpec,
    UnknownPath,
    open_system,
)
from supervision.faults import run_virtual, settle
from tests.supervision.reference_model import Entry
from tests.supervision.reference_pool import PoolModel, PoolSetup

EXAMPLES = 300
KEYS = "ab"
FACTS: dict[Event, Callable[[Report], Entry]] = {
    Event.STARTED: lambda r: (r.generation,),
    Event.CHILD_ENDED: lambda r: (r.kind,),
    Event.RESTART_SCHEDULED: lambda r: (r.delay, r.attempt),
    Event.CHILD_FAILED: lambda r: (),
    Event.STOPPED: lambda r: (r.kind,),
}
STATES = {
    "idle": State.IDLE,
    "running": State.RUNNING,
    "waiting": State.BACKOFF,
    "failed": State.FAILED,
}
EXITS = {
    ExitKind.ABNORMAL: ValueError("told to"),
    ExitKind.NORMAL: Stop("told to"),
    ExitKind.SHUTDOWN: Stop("told to", shutdown=True),
}
HELLO = "hello"


class Log(Hooks):
    """What the pool under test reports."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def on_report(self, report: Report) -> None:
        if report.supervisor == "pool":
            key = report.child.removeprefix("pool/")
            self.entries.append((report.event.value, key, *FACTS[report.event](report)))


class Obedient(Actor):
    """Fails to start, and ends, when it is told to; counts what it is told otherwise."""

    def __init__(self, key: str, failing: dict[str, int], greeted: Counter[str]) -> None:
        self.key = key
        self.failing = failing
        self.greeted = greeted

    async def init(self) -> None:
        if self.failing.get(self.key, 0) > 0:
            self.failing[self.key] -= 1
            raise ValueError("told not to start")

    async def handle(self, message: Any) -> Any:
        if message != HELLO:
            raise message
        self.greeted[self.key] += 1


@attrs.frozen
class Command:
    """One step, of both sides."""

    verb: str
    key: str = ""
    argument: Any = None


REACHED: Counter[str] = Counter()


@attrs.define
class Pair:
    """The machine and the real thing."""

    model: PoolModel
    log: Log
    pool: Pool[str]
    failing: dict[str, int]
    told: Counter[str] = attrs.field(factory=Counter)

    async def obey(self, command: Command) -> None:
        """Do one command on both sides, and compare."""
        model, key = self.model, command.key
        match command.verb:
            case "tell":
                if model.tell(key):
                    self.told[key] += 1
                self.pool.address(key).tell(HELLO)
            case "end":
                if key in model.keys and model.keys[key].state == "running":
                    model.end(key, command.argument)
                    self.pool.address(key).tell(EXITS[command.argument])
            case "fail starts":
                self.failing[key] = model.failing[key] = command.argument
            case "move":
                model.move(command.argument)
                await trio.sleep(command.argument)
            case "stop":
                model.stop(key)
                self.pool.stop(key)
            case verb:
                self._change(verb, key)
        await settle()
        self.compare(command)

    def _change(self, verb: str, key: str) -> None:
        expected: str = getattr(self.model, verb)(key)
        answer = "ok"
        try:
            getattr(self.pool, verb)(key)
        except UnknownPath:
            answer = "UnknownPath"
        assert answer == expected
        REACHED[f"{verb}: {answer}"] += 1

    def compare(self, command: Command) -> None:
        """Both sides reported the same, and are in the same state."""
        assert by_key(self.log.entries) == by_key(self.model.log), command
        assert set(self.pool.keys()) == set(self.model.keys), command
        for key, member in self.model.keys.items():
            real = self.pool.address(key)
            assert real.generation == member.generation, (command, key)
            assert real.state is STATES[member.state], (command, key)
            REACHED[f"{self.model.setup.restart.value}: {member.state}"] += 1


def by_key(entries: list[Entry]) -> list[Entry]:
    """Order by key, and for each key by time: children of a pool have no order among themselves."""
    return sorted(entries, key=lambda entry: str(entry[1]))


async def run_both(setup: PoolSetup, commands: list[Command]) -> None:
    """Run the commands on a fresh pair."""
    log, failing, greeted = Log(), dict[str, int](), Counter[str]()
    pool: PoolSpec[str] = PoolSpec(
        start=lambda key: Obedient(key, failing, greeted),
        mailbox=MailboxSpec(100),
        restart=setup.restart,
        intensity=setup.intensity,
        period_seconds=setup.period_seconds,
        backoff=Backoff(
            setup.backoff_min, setup.backoff_max, jitter=0.0, reset_seconds=setup.quiet_seconds
        ),
    )
    async with open_system(SupervisorSpec([ChildSpec("pool", pool)]), hooks=log) as system:
        pair = Pair(PoolModel(setup), log, system.pool("pool"), failing)
        for command in commands:
            await pair.obey(command)
        dead = Counter(letter.message for letter in system.dead_letters.ring)
        waiting = sum(pair.pool.address(key).depth for key in pair.pool)
        pair.model.stop_all()
    assert by_key(log.entries) == by_key(pair.model.log)
    assert greeted.total() + dead[HELLO] + waiting >= pair.told.total(), "a message was lost"


MOVES = [0.25, 0.5, 1.0, 4.0, 5.0, 5.25]
keys = st.sampled_from(KEYS)
steps = st.one_of(
    st.builds(Command, st.just("tell"), keys),
    st.builds(Command, st.just("end"), keys, st.just(ExitKind.ABNORMAL)),
    st.builds(Command, st.just("end"), keys, st.sampled_from(list(EXITS))),
    st.builds(Command, st.just("fail starts"), keys, st.integers(1, 3)),
    st.builds(
        Command, st.just("move"), st.just(""), st.sampled_from([0.25, 0.5, 1.0, 4.0, 5.0, 5.25])
    ),
    st.builds(Command, st.sampled_from(["stop", "restart", "renew"]), keys),
)


@st.composite
def setups(draw: st.DrawFn) -> PoolSetup:
    waits = draw(st.booleans())
    return PoolSetup(
        draw(st.sampled_from(Restart)),
        draw(st.integers(0, 4)),
        backoff_min=0.5 if waits else 0.0,
        backoff_max=2.0 if waits else 0.0,
        quiet_seconds=4.0 if waits else 0.0,
    )


@settings(max_examples=EXAMPLES)
@given(setup=setups(), commands=st.lists(steps, min_size=6, max_size=40))
def test_pool_does_what_the_model_says(setup: PoolSetup, commands: list[Command]) -> None:
    """After every command both sides have reported the same and know the same keys."""
    run_virtual(lambda: run_both(setup, commands))


CRASH = ExitKind.ABNORMAL
COURSE = [
    Command("restart", "a"),
    Command("renew", "a"),
    Command("tell", "a"),
    Command("restart", "a"),
    Command("renew", "a"),
    Command("end", "a", ExitKind.NORMAL),
    Command("tell", "a"),
    Command("end", "a", CRASH),
    Command("end", "a", CRASH),
    Command("renew", "a"),
    Command("tell", "b"),
    Command("fail starts", "b", 3),
    Command("end", "b", CRASH),
    Command("move", "", 5.25),
    Command("restart", "b"),
    Command("tell", "b"),
    Command("stop", "b"),
    Command("stop", "a"),
    Command("tell", "a"),
]


FORGIVEN = [Command("tell", "a"), *[Command("end", "a", CRASH)] * 2]
"""As many failures as are allowed."""


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
@pytest.mark.parametrize("verb", ["renew", "restart"])
def test_what_is_started_by_hand_may_fail_as_often_as_before(restart: Restart, verb: str) -> None:
    """Earlier failures are forgiven: budget, and under a backoff the waits too."""
    again = [*FORGIVEN, Command("end", "a", CRASH)]
    spent = [Command("end", "a", CRASH)] if verb == "restart" else []
    REACHED.clear()
    course = [*FORGIVEN, *spent, Command(verb, "a"), *again]
    run_virtual(lambda: run_both(PoolSetup(restart, 2), course))
    waits = PoolSetup(restart, 9, backoff_min=0.5, backoff_max=8.0)
    patience = [Command("move", "", 0.5)]
    course = [*FORGIVEN, *patience, Command(verb, "a"), *FORGIVEN, *patience]
    run_virtual(lambda: run_both(waits, course))

    assert REACHED[f"{restart.value}: failed"] > 0


@pytest.mark.parametrize("seconds", [5.0, 5.25])
def test_attempt_is_forgotten_after_its_period(seconds: float) -> None:
    """One that is exactly a period old still counts."""
    crash = Command("end", "a", CRASH)
    course = [Command("tell", "a"), crash, Command("move", "", seconds), crash, crash]
    REACHED.clear()
    run_virtual(lambda: run_both(PoolSetup(Restart.PERMANENT, 2), course))

    assert bool(REACHED["permanent: failed"]) == (seconds == 5.0)


@pytest.mark.parametrize("restart", Restart)
def test_every_answer_and_every_state(restart: Restart) -> None:
    """A fixed course reaches each answer and each state that the restart type allows."""
    REACHED.clear()
    setup = PoolSetup(restart, 2, backoff_min=0.5, backoff_max=2.0)
    run_virtual(lambda: run_both(setup, COURSE))

    states = ["running"]
    if restart is not Restart.TEMPORARY:
        states += ["waiting", "failed"]
    if restart is Restart.TRANSIENT:
        states.append("idle")
    expected = {
        f"{verb}: {said}" for verb in ("restart", "renew") for said in ("ok", "UnknownPath")
    }
    expected |= {f"{restart.value}: {state}" for state in states}
    assert expected - set(REACHED) == set()
