"""The real supervisor, side by side with the reference model, under any sequence of commands."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from supervision import (
    Actor,
    AutoShutdown,
    Backoff,
    Budget,
    ChildSpec,
    ControlError,
    Event,
    ExitKind,
    Hooks,
    InitFailed,
    Report,
    Restart,
    State,
    Stop,
    Strategy,
    SupervisorSpec,
    System,
    open_system,
)
from supervision.faults import run_virtual, settle
from tests.supervision.reference_model import Entry, Model, Setup

EXAMPLES = 300
IDS = "abcd"
EVENTS: dict[Event, Callable[[Report], Entry]] = {
    Event.STARTED: lambda r: (r.generation,),
    Event.START_FAILED: lambda r: (r.generation,),
    Event.CHILD_ENDED: lambda r: (r.kind,),
    Event.RESTART_SCHEDULED: lambda r: (r.delay, r.attempt),
    Event.CHILD_FAILED: lambda r: (),
    Event.GAVE_UP: lambda r: (),
    Event.STOPPED: lambda r: (r.kind,),
    Event.AUTO_SHUTDOWN: lambda r: (),
}
STATES = {
    "running": {State.RUNNING},
    "waiting": {State.BACKOFF},
    "held": {State.BACKOFF},
    "stopped": {State.STOPPED},
    "failed": {State.FAILED},
}
EXITS = {
    ExitKind.ABNORMAL: ValueError("told to"),
    ExitKind.NORMAL: Stop("told to"),
    ExitKind.SHUTDOWN: Stop("told to", shutdown=True),
}


class Log(Hooks):
    """What the supervisor under test reports."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def on_report(self, report: Report) -> None:
        if report.supervisor == "s":
            id = report.child.removeprefix("s/")
            self.entries.append((report.event.value, id, *EVENTS[report.event](report)))


class Obedient(Actor):
    """Fails to start, and ends, when it is told to."""

    def __init__(self, failing: dict[str, int]) -> None:
        self.failing = failing

    async def init(self) -> None:
        id = self.context.path[-1]
        if self.failing.get(id, 0) > 0:
            self.failing[id] -= 1
            raise ValueError("told not to start")

    async def handle(self, message: Any) -> Any:
        raise message


@attrs.frozen
class Command:
    """One step, of both sides."""

    verb: str
    id: str = ""
    argument: Any = None


@attrs.define
class Pair:
    """The machine and the real thing."""

    setup: Setup
    log: Log
    system: System
    failing: dict[str, int]
    model: Model = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start the machine; the real thing has started."""
        self.model = Model(self.setup)
        self.compare(Command("start all"))

    async def obey(self, command: Command) -> None:
        """Do one command on both sides, and compare."""
        model, id = self.model, command.id
        match command.verb:
            case "end":
                if id in model.children and model.children[id].state == "running":
                    model.end(id, command.argument)
                    self.system.address(f"s/{id}").tell(EXITS[command.argument])
            case "fail starts":
                self.failing[id] = model.failing[id] = command.argument
            case "move":
                model.move(command.argument)
                await trio.sleep(command.argument)
            case _:
                await self._control(command)
        await settle()
        self.compare(command)

    async def _control(self, command: Command) -> None:
        control, id = self.system.supervisor("s"), command.id
        calls: dict[str, tuple[Callable[[], str], Callable[[], Awaitable[object]]]] = {
            "start": (
                lambda: self.model.start_child(id, command.argument),
                lambda: control.start_child(
                    child_spec(self.setup, self.failing, id, command.argument)
                ),
            ),
            "terminate": (
                lambda: self.model.terminate_child(id),
                lambda: control.terminate_child(id),
            ),
            "restart": (lambda: self.model.restart_child(id), lambda: control.restart_child(id)),
            "renew": (lambda: self.model.renew_child(id), lambda: control.renew_child(id)),
            "delete": (lambda: self.model.delete_child(id), lambda: control.delete_child(id)),
        }
        expect, call = calls[command.verb]
        expected = expect()
        answer = "ok"
        try:
            await call()
        except (ControlError, InitFailed) as error:
            answer = type(error).__name__
        if not self.model.ended:  # a restart by hand may have been one too many
            assert answer == expected, command
        REACHED[f"{command.verb}: {answer}"] += 1

    def _spec(self, id: str, restart: Restart) -> ChildSpec:
        return child_spec(self.setup, self.failing, id, restart)

    def compare(self, command: Command) -> None:
        """Both sides reported the same, and are in the same state."""
        assert self.log.entries == self.model.log, command
        if self.model.ended:
            return
        rows = self.system.supervisor("s").which_children()
        assert [row.id for row in rows] == list(self.model.children), command
        for row in rows:
            expected = self.model.children[row.id]
            assert row.address.generation == expected.generation, (command, row)
            assert row.state in STATES[expected.state], (command, row, expected)
            REACHED[f"{self.setup.strategy.value}: {expected.state}"] += 1


REACHED: Counter[str] = Counter()


def child_spec(setup: Setup, failing: dict[str, int], id: str, restart: Restart) -> ChildSpec:
    backoff = Backoff(
        setup.backoff_min, setup.backoff_max, jitter=0.0, reset_seconds=setup.quiet_seconds
    )
    return ChildSpec(
        id,
        lambda: Obedient(failing),
        restart=restart,
        backoff=backoff,
        significant=setup.counts(id, restart),
    )


async def run_both(setup: Setup, commands: list[Command]) -> None:
    """Run the commands on a fresh pair."""
    log, failing = Log(), dict[str, int]()
    children = [child_spec(setup, failing, id, kind) for id, kind in setup.children.items()]
    spec = SupervisorSpec(
        children,
        setup.strategy,
        setup.intensity,
        setup.period_seconds,
        setup.budget,
        setup.auto_shutdown,
    )
    root = SupervisorSpec([ChildSpec("s", spec, restart=Restart.TEMPORARY)])
    async with open_system(root, hooks=log) as system:
        pair = Pair(setup, log, system, failing)
        for command in commands:
            if not pair.model.ended:
                await pair.obey(command)
        escalated = pair.model.ended
        if not escalated:
            pair.model.stop()
    assert log.entries == pair.model.log
    REACHED["escalated" if escalated else "stopped"] += 1


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    strategy = draw(st.sampled_from(Strategy))
    single = strategy is Strategy.ONE_FOR_ONE
    waits = draw(st.booleans())
    auto_shutdown = draw(st.sampled_from(AutoShutdown))
    watched = auto_shutdown is not AutoShutdown.NEVER
    return Setup(
        strategy=strategy,
        children={id: draw(st.sampled_from(Restart)) for id in "abc"},
        intensity=draw(st.integers(0, 5)),
        budget=draw(st.sampled_from(Budget)) if single else Budget.SHARED,
        backoff_min=0.5 if waits else 0.0,
        backoff_max=2.0 if waits else 0.0,
        quiet_seconds=4.0 if waits else 0.0,
        auto_shutdown=auto_shutdown,
        significant=draw(st.frozensets(st.sampled_from(IDS))) if watched else frozenset(),
    )


ids = st.sampled_from(IDS)
steps = st.one_of(
    st.builds(Command, st.just("end"), ids, st.just(ExitKind.ABNORMAL)),
    st.builds(Command, st.just("end"), ids, st.sampled_from(list(EXITS))),
    st.builds(Command, st.just("fail starts"), ids, st.integers(1, 3)),
    st.builds(Command, st.just("move"), st.just(""), st.sampled_from([0.25, 0.5, 1.0, 4.0, 5.25])),
    st.builds(Command, st.just("start"), ids, st.sampled_from(Restart)),
    st.builds(Command, st.sampled_from(["terminate", "restart", "delete", "renew"]), ids),
)


@settings(max_examples=EXAMPLES)
@given(setup=setups(), commands=st.lists(steps, min_size=6, max_size=40))
def test_supervisor_does_what_the_model_says(setup: Setup, commands: list[Command]) -> None:
    """After every command both sides have reported the same and are in the same state."""
    run_virtual(lambda: run_both(setup, commands))


def permanent(strategy: Strategy, intensity: int, budget: Budget = Budget.SHARED) -> Setup:
    children = dict.fromkeys("abc", Restart.PERMANENT)
    return Setup(strategy, children, intensity, budget, backoff_min=0.5, backoff_max=2.0)


CRASH = ExitKind.ABNORMAL
CONTROL = [
    Command("start", "d", Restart.TRANSIENT),
    Command("start", "d", Restart.TRANSIENT),
    Command("terminate", "d"),
    Command("start", "d", Restart.TRANSIENT),
    Command("restart", "d"),
    Command("restart", "d"),
    Command("delete", "d"),
    Command("end", "d", ExitKind.NORMAL),
    Command("fail starts", "d", 1),
    Command("restart", "d"),
    Command("delete", "d"),
    Command("delete", "d"),
    Command("restart", "d"),
    Command("terminate", "d"),
    Command("fail starts", "d", 1),
    Command("start", "d", Restart.TEMPORARY),
]
FAILURES = [
    Command("end", "b", CRASH),
    Command("end", "b", CRASH),
    Command("restart", "b"),
    Command("fail starts", "c", 2),
    Command("end", "b", CRASH),
    Command("end", "c", CRASH),
    Command("move", "", 1.0),
    Command("terminate", "b"),
    Command("restart", "b"),
    Command("move", "", 5.25),
    Command("end", "a", ExitKind.SHUTDOWN),
    Command("delete", "c"),
]
RENEWALS = [
    Command("renew", "d"),
    Command("start", "d", Restart.TEMPORARY),
    Command("renew", "a"),
    Command("renew", "b"),
    Command("end", "b", CRASH),
    Command("end", "b", CRASH),
    Command("renew", "c"),
    Command("renew", "b"),
    Command("fail starts", "c", 1),
    Command("renew", "c"),
    Command("start", "d", Restart.TEMPORARY),
    Command("fail starts", "d", 1),
    Command("renew", "d"),
]


@pytest.mark.parametrize("strategy", Strategy)
def test_every_answer_and_every_state(strategy: Strategy) -> None:
    """A fixed course reaches each answer and each state, under each strategy."""
    REACHED.clear()
    run_virtual(lambda: run_both(permanent(strategy, 50), CONTROL + FAILURES + RENEWALS))
    crash = [Command("end", "b", CRASH)]
    run_virtual(lambda: run_both(permanent(strategy, 0), crash))
    if strategy is Strategy.ONE_FOR_ONE:
        run_virtual(lambda: run_both(permanent(strategy, 0, Budget.PER_CHILD), crash))

    answers = {
        "start": ["ok", "AlreadyStarted", "AlreadyPresent", "InitFailed"],
        "restart": ["ok", "StillRunning", "NotFound", "InitFailed"],
        "delete": ["ok", "StillRunning", "NotFound"],
        "terminate": ["ok", "NotFound"],
        "renew": ["ok", "NotFound"],
    }
    states = ["running", "waiting", "stopped"]
    states.append("failed" if strategy is Strategy.ONE_FOR_ONE else "held")
    expected = {f"{verb}: {answer}" for verb, said in answers.items() for answer in said}
    expected |= {f"{strategy.value}: {state}" for state in states} | {"escalated", "stopped"}
    assert expected - set(REACHED) == set()


ENDS = {
    AutoShutdown.NEVER: 0,
    AutoShutdown.ANY_SIGNIFICANT: 1,
    AutoShutdown.ALL_SIGNIFICANT: 3,
}


@pytest.mark.parametrize("mode", AutoShutdown)
def test_supervisor_ends_with_its_significant_children(mode: AutoShutdown) -> None:
    """By the first or the last one that ends by itself; those that somebody stopped are not waited
    for, and do not count themselves.
    """
    children = dict.fromkeys("abc", Restart.TRANSIENT) | {"d": Restart.TEMPORARY}
    significant = frozenset("abcd") if ENDS[mode] else frozenset[str]()
    setup = Setup(Strategy.ONE_FOR_ONE, children, 0, auto_shutdown=mode, significant=significant)
    commands = [
        Command("terminate", "c"),
        Command("end", "a", ExitKind.NORMAL),
        Command("end", "d", CRASH),
        Command("end", "b", ExitKind.SHUTDOWN),
    ]
    REACHED.clear()
    for count in range(1, len(commands) + 1):
        run_virtual(partial(run_both, setup, commands[:count]))

    # The longer courses end at the same place as the one that reaches the end first.
    assert REACHED["escalated"] == (4 - ENDS[mode] if ENDS[mode] else 0)


def test_significant_child_that_spent_its_own_budget_has_ended() -> None:
    """It stays down, so it is not waited for, and counts as one that ended by itself."""
    children = dict.fromkeys("ab", Restart.TRANSIENT)
    setup = Setup(
        Strategy.ONE_FOR_ONE,
        children,
        0,
        Budget.PER_CHILD,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        significant=frozenset("ab"),
    )
    REACHED.clear()
    run_virtual(lambda: run_both(setup, [Command("end", "a", CRASH)]))
    run_virtual(lambda: run_both(setup, [Command("end", id, CRASH) for id in "ab"]))

    assert (REACHED["stopped"], REACHED["escalated"]) == (1, 1)
