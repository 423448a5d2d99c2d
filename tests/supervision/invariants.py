"""What must hold after every run of a tree, whatever struck it: a witness that sees and checks.

The numbers are those of a list of promises: structure (1 to 7), messages (8 to 13). That the run
ends and leaves no task (1) is checked by the run itself.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from supervision import (
    Actor,
    AskError,
    Budget,
    DeadLetter,
    DeadReason,
    Delivery,
    Event,
    ExitKind,
    Hooks,
    OnFull,
    Report,
    Restart,
    Shed,
    State,
    SupervisionError,
    SupervisorSpec,
    System,
)
from supervision.faults import Fault

ENDS = {Event.CHILD_ENDED, Event.STOPPED, Event.SHUTDOWN_ERROR, Event.START_FAILED}
DELIVERIES_MAX = 2


class Witness(Hooks):
    """Sees one run of a tree; `check` tells whether every promise was kept.

    The actors of the tree report to it what nobody else can see: `born` and `gone`, and `handling`
    around each message.

    Attributes:
        slack_seconds: how late the strike may make an asker notice its own deadline.
        by_hand: paths of children that the scenario stops itself, outside of the order.
    """

    def __init__(self, spec: SupervisorSpec, *, slack_seconds: float = 0.0) -> None:
        self.slack_seconds = slack_seconds
        self.by_hand: set[str] = set()
        self.system: System | None = None
        self.reports: list[Report] = []
        self.letters: list[DeadLetter] = []
        self.alive: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self._specs = dict(_supervisors("", spec))
        self._sequences: dict[tuple[str, str], list[int]] = {}
        self._crashes: Counter[tuple[str, str, int]] = Counter()
        self._handled: Counter[str] = Counter()
        self._asks = 0

    # What it is told

    def on_report(self, report: Report) -> None:
        """Keep a report."""
        self.reports.append(report)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        """Keep a dead letter."""
        self.letters.append(letter)

    def on_shed(self, shed: Shed) -> None:
        """Note what a mailbox let go after it had accepted it."""
        if shed.why is Delivery.OUTDATED:
            self.reached["delivery outdated"] += 1

    def born(self, path: str) -> None:
        """An incarnation begins its start."""
        self.alive[path] += 1
        assert self.alive[path] == 1, f"{path} lives twice"

    def gone(self, path: str) -> None:
        """An incarnation has cleaned up."""
        self.alive[path] -= 1

    @contextmanager
    def handled(self, path: str, sender: str, number: int) -> Iterator[None]:
        """A message is in the hands of an actor."""
        key = (path, sender)
        self._sequences.setdefault(key, []).append(number)
        try:
            yield
        except Exception:
            self._crashes[path, sender, number] += 1
            raise
        finally:
            self._handled[path] += 1

    # What it does for a scenario

    def tell(self, path: str, message: object) -> None:
        """Tell, and note what became of it."""
        assert self.system is not None
        self.reached[f"delivery {self.system.address(path).tell(message).value}"] += 1

    async def ask(self, path: str, number: int, message: object, *, seconds: float = 60.0) -> None:
        """Ask, and check that it ends once, in time, by its own answer or an error (10, 11)."""
        assert self.system is not None
        began = trio.current_time()
        self._asks += 1
        try:
            with trio.move_on_after(seconds):
                answer = await self.system.address(path).ask(message)
                assert answer == number, f"the answer to {answer} came to {number}"
        except AskError as error:
            self.reached[f"ask {type(error).__name__}"] += 1
        finally:
            self._asks -= 1
        assert trio.current_time() <= began + seconds + self.slack_seconds

    async def probe(self, path: str) -> None:
        """Look into an actor, which waits for at most the handler in progress (13)."""
        assert self.system is not None
        generation, before = self.system.address(path).generation, self._handled[path]
        try:
            handled: int = await self.system.probe(path, lambda actor: self._seen(path, actor))
        except SupervisionError:
            return
        if self.system.address(path).generation == generation:
            assert handled <= before + 1, "the control lane waited for more than one handler"

    def _seen(self, path: str, actor: Actor) -> int:
        assert actor.context.path == path
        return self._handled[path]

    # What must hold

    def check(self, fault: Fault) -> None:
        """Check everything after the run of the tree."""
        self._check_nothing_is_left()
        for path, spec in self._specs.items():
            told = [report for report in self.reports if report.supervisor == path]
            self._check_order(path, spec, told)
            for life in self._lives(path):
                self._check_budget(path, spec, life)
        self._check_restart_types()
        self._check_injected(fault)
        self._check_messages()
        self._count_reached()

    def check_structure(self) -> None:
        """Check only what must hold even if the framework itself was made to fail."""
        assert not +self.alive, f"no end of {dict(+self.alive)}"
        assert self._asks == 0

    def _check_nothing_is_left(self) -> None:
        """2. Every start has its end and no cell is between two states."""
        self.check_structure()
        if self.system is None:
            return
        for cell in self.system.registry.cells():
            assert cell.run is None, f"{cell.path} still runs"
            assert cell.state in (State.STOPPED, State.FAILED), f"{cell.path} is {cell.state}"
            assert cell.closed

    def _check_order(self, path: str, spec: SupervisorSpec, told: list[Report]) -> None:
        """3. Children stop in the reverse of their order."""
        order = [f"{path}/{child.id}" if path else child.id for child in spec.children]
        last = len(order)
        for report in told:
            if report.child not in order:
                continue
            place = order.index(report.child)
            if report.event is Event.STARTED:
                last = len(order)
            elif report.event in (Event.STOPPED, Event.SHUTDOWN_ERROR):
                failed = report.event is Event.SHUTDOWN_ERROR
                if report.reason == "terminated" or (failed and report.child in self.by_hand):
                    continue
                assert place < last, f"{report.child} stopped after {order[last]}"
                last = place

    def _lives(self, path: str) -> Iterator[list[Report]]:
        """Yield the reports of each incarnation of a supervisor."""
        life: list[Report] = []
        for report in self.reports:
            if report.child == path and report.event in ENDS:
                yield life
                life = []
            elif report.supervisor == path:
                life.append(report)
        yield life

    def _check_budget(self, path: str, spec: SupervisorSpec, life: list[Report]) -> None:
        """4. Never more restarts in a window than allowed; one more is one escalation."""
        shared = spec.budget is Budget.SHARED
        spent = Event.GAVE_UP if shared else Event.CHILD_FAILED
        for child in {""} if shared else {report.child for report in life}:
            mine = [report for report in life if shared or report.child == child]
            times = [r.at for r in mine if r.event is Event.RESTART_SCHEDULED]
            for at in times:
                charged = [t for t in times if at - spec.period_seconds <= t <= at]
                assert len(charged) <= spec.intensity, f"{path or 'root'} restarted too often"
            ends = [report for report in mine if report.event is spent]
            assert len(ends) <= 1, f"{path or 'root'} gave up more than once"
            for end in ends:
                charged = [t for t in times if end.at - spec.period_seconds <= t]
                assert len(charged) == spec.intensity, f"{path or 'root'} gave up early"
                after = mine[mine.index(end) :]
                assert not [r for r in after if r.event is Event.STARTED], "started after it"

    def _check_restart_types(self) -> None:
        """5. Temporary children are never restarted, transient ones only after a failure."""
        last: dict[str, Report] = {}
        for report in self.reports:
            if report.event in ENDS:
                last[report.child] = report
            elif report.event is Event.RESTART_SCHEDULED:
                end = last[report.child]
                assert report.restart is not Restart.TEMPORARY
                if report.restart is Restart.TRANSIENT:
                    assert end.kind is ExitKind.ABNORMAL

    def _check_injected(self, fault: Fault) -> None:
        """6, 7. One report of an injected failure; a cancellation is never swallowed."""
        ends = [r for r in self.reports if r.event in ENDS | {Event.CLEANUP_FAILED}]
        for injected in fault.injected:
            causes = [r for r in ends if _is_of(r.cause, injected)]
            direct = [r for r in causes if r.event is not Event.CLEANUP_FAILED]
            ended = {(r.child, r.generation) for r in direct if not _is_above(r, direct)}
            assert len(ended) <= 1, f"{ended} were all reported to have failed by it"
            self.reached["injected failure reported"] += bool(causes)
        if fault.scope.cancel_called:
            assert fault.scope.cancelled_caught, "the cancellation was swallowed"

    def _check_messages(self) -> None:
        """8, 9, 12, 13. No message is lost, overtakes another, comes too often or is too many."""
        for (path, sender), numbers in self._sequences.items():
            assert numbers == sorted(numbers), f"{path} saw those of {sender} as {numbers}"
        for key, times in self._crashes.items():
            assert times <= DELIVERIES_MAX, f"{key} crashed its actor {times} times"
        for letter in self.letters:
            if letter.reason is DeadReason.POISON:
                assert letter.attempt == DELIVERIES_MAX
        if self.system is None:
            return
        for cell in self.system.registry.cells():
            box = cell.mailbox
            gone = box.handled + box.dropped + box.conflated + box.expired + box.dead
            assert box.accepted == gone + len(box.user), f"{cell.path} lost a message"
            assert not box.user
            assert box.high_water <= box.spec.capacity + 1, f"{cell.path} held {box.high_water}"

    # Coverage of the test itself

    def note_strike(self) -> None:
        """Note in which states a strike found the tree."""
        if self.system is not None:
            for cell in self.system.registry.cells():
                self.reached[f"struck while {cell.state.value}"] += 1

    def _count_reached(self) -> None:
        pending: dict[str, Report] = {}
        for report in self.reports:
            self.reached[report.event.value] += 1
            if report.event is Event.CHILD_ENDED and report.kind is not None:
                self.reached[f"ended {report.kind.value}"] += 1
            if report.event is Event.RESTART_SCHEDULED:
                strategy = self._specs.get(report.supervisor)
                self.reached[f"restart {strategy.strategy.value if strategy else 'in a pool'}"] += 1
                pending[report.supervisor] = report
            if report.event is Event.STARTED:
                pending.pop(report.supervisor, None)
            if report.event is Event.START_FAILED and report.supervisor in pending:
                self.reached["second failure while restarting"] += 1
        for letter in self.letters:
            self.reached[f"dead letter {letter.reason.value}"] += 1


def _supervisors(path: str, spec: SupervisorSpec) -> Iterator[tuple[str, SupervisorSpec]]:
    yield path, spec
    for child in spec.children:
        if isinstance(child.start, SupervisorSpec):
            yield from _supervisors(f"{path}/{child.id}" if path else child.id, child.start)


def _is_of(cause: BaseException | None, injected: BaseException) -> bool:
    """Tell whether an exit was caused by the injected exception itself, not by another's fall."""
    if isinstance(cause, BaseExceptionGroup):
        return any(_is_of(part, injected) for part in cause.exceptions)
    if cause is None or isinstance(cause, AskError):
        return False
    return cause is injected or _is_of(cause.__cause__, injected)


def _is_above(report: Report, others: list[Report]) -> bool:
    """Tell whether a report is of a supervisor that fell with one of its children."""
    return any(other.child.startswith(f"{report.child}/") for other in others)


DELIVERIES = [f"delivery {delivery.value}" for delivery in Delivery]
STRATEGIES_REACHED = ["restart one_for_one", "restart rest_for_one", "restart one_for_all"]
POLICIES = {
    OnFull.REFUSE: "delivery full",
    OnFull.DROP_OLDEST: "delivery displaced",
    OnFull.DROP_NEWEST: "delivery dropped",
    OnFull.CONFLATE: "delivery conflated",
}
