"""What an actor lives through: start, batches, the message in hand, timers and the end."""

import gc
import weakref
from typing import Any, ClassVar

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    NO_BACKOFF,
    Actor,
    Address,
    ChildSpec,
    DeadReason,
    Delivery,
    Down,
    Envelope,
    Event,
    Exit,
    ExitKind,
    Hooks,
    InHand,
    InitFailed,
    InitTimeout,
    Registry,
    Report,
    Restart,
    ServerDied,
    State,
    Stop,
    Stopped,
    SupervisorFailed,
    SupervisorSpec,
    open_system,
)


@attrs.frozen
class Fatal:
    """Crashes its actor; a dead letter."""

    number: int = 0


@attrs.frozen
class FatalOnce:
    """Crashes its actor at the first attempt; is delivered again."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER
    number: int = 0


@attrs.frozen
class Poison:
    """Crashes its actor at every attempt, and asks to be delivered again."""

    in_hand: ClassVar[str] = "redeliver"


@attrs.frozen
class Quote:
    """Crashes its actor, and nobody misses it."""

    in_hand: ClassVar[InHand] = InHand.DROP


class Journal:
    """What the incarnations of one actor did."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.crashed_on: set[object] = set()


class Diary(Actor):
    """Writes down what happens to it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def handle(self, message: Any) -> Any:
        match message:
            case Fatal() | Poison() | Quote():
                raise ValueError(message)
            case FatalOnce() if message not in self.journal.crashed_on:
                self.journal.crashed_on.add(message)
                raise ValueError(message)
            case "stop":
                self.context.stop("had enough")
            case "raise stop":
                raise Stop("on purpose", shutdown=True)
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case ("timer", key, seconds, payload):
                self.context.set_timer(key, seconds, payload)
            case ("cancel", key):
                self.context.cancel_timer(key)
            case ("watch", path):
                self.context.watch(self.context.lookup(path))
            case ("unwatch", path):
                self.context.unwatch(self.context.lookup(path))
            case _:
                self.journal.lines.append(message)
        return message

    async def handle_down(self, down: Down) -> None:
        self.journal.lines.append((down.path, down.generation, down.exit.kind))

    async def on_stop(self, exit: Exit) -> None:
        self.journal.lines.append(exit.kind)


class GroupDiary(Diary):
    """Takes many at once."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        self.journal.lines.append(len(batch))
        for envelope in batch:
            envelope.answer(await self.handle(envelope.message))


def tree(journal: Journal, behaviour: type[Diary] = Diary, **child: Any) -> SupervisorSpec:
    child.setdefault("backoff", NO_BACKOFF)
    return SupervisorSpec([ChildSpec("a", lambda: behaviour(journal), **child)], intensity=10)


def said(journal: Journal) -> list[Any]:
    """What was written, without the ends of incarnations."""
    return [line for line in journal.lines if not isinstance(line, ExitKind)]


async def test_queue_survives_a_crash_in_order(autojump_clock: MockClock) -> None:
    """A crash loses the message in hand; the rest of the queue is handled in order."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a = system.address("a")
        for message in (1, Fatal(), 2, 3):
            a.tell(message)
        await wait_all_tasks_blocked()

        assert said(journal) == [1, 2, 3]
        assert a.generation == 2
        [letter] = system.dead_letters.ring
        assert (letter.message, letter.reason) == (Fatal(), DeadReason.IN_HAND)
        assert isinstance(letter.cause, ValueError)


async def test_redelivered_message_comes_first(autojump_clock: MockClock) -> None:
    """A message with the redeliver policy is handled again, before what waited behind it."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        for message in (1, FatalOnce(), 2):
            system.address("a").tell(message)
        await wait_all_tasks_blocked()

        assert said(journal) == [1, FatalOnce(), 2]
        assert system.dead_letters.total == 0


async def test_redelivered_ask_is_answered(autojump_clock: MockClock) -> None:
    """The caller of a redelivered ask does not notice the crash."""
    async with open_system(tree(Journal())) as system:
        assert await system.address("a").ask(FatalOnce()) == FatalOnce()
        assert system.address("a").generation == 2


async def test_poison_is_not_tried_for_ever(autojump_clock: MockClock) -> None:
    """A message that crashed its actor twice is a dead letter, whatever its policy."""
    async with open_system(tree(Journal())) as system:
        a = system.address("a")
        with pytest.raises(ServerDied):
            await a.ask(Poison())
        await wait_all_tasks_blocked()

        assert a.generation == 3
        assert [letter.reason for letter in system.dead_letters.ring] == [DeadReason.POISON]


async def test_dropped_message_leaves_only_a_count(autojump_clock: MockClock) -> None:
    """The drop policy makes no dead letter."""
    async with open_system(tree(Journal())) as system:
        system.address("a").tell(Quote())
        await wait_all_tasks_blocked()

        assert system.dead_letters.total == 0
        assert system.address("a").generation == 2


async def test_crashed_batch_goes_by_the_type_of_each(autojump_clock: MockClock) -> None:
    """Every message of a crashed batch goes where its own type says."""
    journal = Journal()
    async with open_system(tree(journal, GroupDiary)) as system:
        a = system.address("a")
        a.tell(("sleep", 1))
        await trio.sleep(0.5)
        for message in (FatalOnce(1), "lost", FatalOnce(2), Quote()):
            a.tell(message)
        await trio.sleep(2)

        assert said(journal)[:2] == [1, 4]
        assert [letter.message for letter in system.dead_letters.ring] == ["lost"]
        assert FatalOnce(1) in journal.lines
        assert FatalOnce(2) in journal.lines


async def test_asks_of_a_batch_are_answered(autojump_clock: MockClock) -> None:
    """Asks that wait together are handled as one batch and answered each."""
    journal = Journal()
    async with open_system(tree(journal, GroupDiary)) as system:
        a = system.address("a")
        a.tell(("sleep", 1))
        answers = []
        async with trio.open_nursery() as nursery:
            for number in range(3):

                @nursery.start_soon
                async def asker(number: int = number) -> None:
                    answers.append(await a.ask(("n", number)))

        assert sorted(answers) == [("n", 0), ("n", 1), ("n", 2)]


async def test_messages_are_conserved(autojump_clock: MockClock) -> None:
    """What was accepted was handled, dropped or is dead, over any number of crashes."""
    async with open_system(tree(Journal())) as system:
        a = system.address("a")
        for number in range(200):
            a.tell(Fatal() if number % 50 == 7 else Quote() if number % 50 == 9 else number)
        await wait_all_tasks_blocked()

        box = system.registry._find("a").mailbox
        assert (box.handled, box.dead, box.dropped) == (192, 4, 4)
        assert box.accepted == 200


async def test_control_message_waits_for_one_handler(autojump_clock: MockClock) -> None:
    """A control message overtakes every waiting user message."""
    journal = Journal()
    registry = Registry()
    children = [ChildSpec(id, lambda: Diary(journal), backoff=NO_BACKOFF) for id in ("a", "b")]
    async with open_system(SupervisorSpec(children, intensity=5), registry=registry) as system:
        a = system.address("a")
        await a.ask(("watch", "b"))
        a.tell(("sleep", 1))
        await trio.sleep(0.5)
        for number in range(100):
            a.tell(number)
        system.address("b").tell(Fatal())
        await trio.sleep(1)

        assert said(journal)[0] == ("b", 1, ExitKind.ABNORMAL)


async def test_watching_the_dead_answers_at_once(autojump_clock: MockClock) -> None:
    """Who watches a cell in which nothing runs any more is told at once."""
    journal = Journal()
    children = [
        ChildSpec("a", lambda: Diary(journal)),
        ChildSpec("b", lambda: Diary(Journal()), restart=Restart.TRANSIENT),
    ]
    async with open_system(SupervisorSpec(children)) as system:
        system.address("b").tell("stop")
        await wait_all_tasks_blocked()
        await system.address("a").ask(("watch", "b"))
        await wait_all_tasks_blocked()

        assert said(journal) == [("b", 1, ExitKind.NORMAL)]


async def test_each_incarnation_ends_once(autojump_clock: MockClock) -> None:
    """A watcher hears of every incarnation once, and of none after it stopped watching."""
    journal = Journal()
    children = [ChildSpec(id, lambda: Diary(journal), backoff=NO_BACKOFF) for id in ("a", "b")]
    async with open_system(SupervisorSpec(children, intensity=5)) as system:
        a, b = system.address("a"), system.address("b")
        await a.ask(("watch", "b"))
        for _ in range(2):
            b.tell(Fatal())
            await wait_all_tasks_blocked()
        await a.ask(("unwatch", "b"))
        b.tell(Fatal())
        await wait_all_tasks_blocked()

        assert [line[1] for line in said(journal)] == [1, 2]


class Parcel:
    """Something that can be seen to be gone."""


@pytest.mark.parametrize("kind", ["each", "groups"])
async def test_sleeping_actor_holds_nothing_that_was_handled(
    autojump_clock: MockClock, kind: str
) -> None:
    """Neither the message nor the answer lives as long as the actor has nothing to do."""

    class Echo(Actor):
        async def handle(self, message: Any) -> Any:
            return Parcel() if isinstance(message, Parcel) else None

    class GroupEcho(Echo):
        async def handle_batch(self, batch: list[Envelope]) -> None:
            for envelope in batch:
                envelope.answer(await self.handle(envelope.message))

    actor = Echo if kind == "each" else GroupEcho
    async with open_system(SupervisorSpec([ChildSpec("a", actor)])) as system:
        a = system.address("a")
        told = Parcel()
        gc.disable()  # what is only in a cycle would be found by chance
        try:
            answered: Parcel = await a.ask(told)
            traces = [weakref.ref(told), weakref.ref(answered)]
            del told, answered
            await wait_all_tasks_blocked()

            assert [trace() for trace in traces] == [None, None]
        finally:
            gc.enable()


async def test_timer_fires_once_at_its_time(autojump_clock: MockClock) -> None:
    """A timer tells its message once; setting its key again replaces it."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a = system.address("a")
        a.tell(("timer", "k", 5, "first"))
        a.tell(("timer", "k", 7, "second"))
        await trio.sleep(6)
        assert said(journal) == []
        await trio.sleep(20)

        assert said(journal) == ["second"]


async def test_cancelled_timer_never_arrives(autojump_clock: MockClock) -> None:
    """Cancelling takes back a message that fired and still waits."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a = system.address("a")
        a.tell(("timer", "k", 1, "too late"))
        a.tell(("sleep", 5))
        a.tell(("cancel", "k"))
        await trio.sleep(10)

        assert said(journal) == []


async def test_timers_end_with_their_incarnation(autojump_clock: MockClock) -> None:
    """A timer of a crashed incarnation does not reach the next one."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        system.address("a").tell(("timer", "k", 5, "from the past"))
        system.address("a").tell(Fatal())
        await trio.sleep(10)

        assert said(journal) == []


async def test_stop_ends_after_the_message_in_hand(autojump_clock: MockClock) -> None:
    """An actor that stops itself ends normally; what waits behind is for the next incarnation."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a = system.address("a")
        a.tell("stop")
        a.tell("next")
        await wait_all_tasks_blocked()

        assert journal.lines == [ExitKind.NORMAL, "next"]
        assert a.generation == 2


async def test_clean_up_hears_why(autojump_clock: MockClock) -> None:
    """on_stop is called after every kind of end, with its class."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a = system.address("a")
        for message in (Fatal(), "raise stop", "stop"):
            a.tell(message)
            await wait_all_tasks_blocked()

    assert journal.lines == [
        ExitKind.ABNORMAL,
        ExitKind.SHUTDOWN,
        ExitKind.NORMAL,
        ExitKind.STOPPED,
    ]


class SlowEnd(Actor):
    """Needs time to clean up, and notes whether it got it."""

    def __init__(self, seconds: float, done: list[float]) -> None:
        self.seconds = seconds
        self.done = done

    async def on_stop(self, exit: Exit) -> None:
        await trio.sleep(self.seconds)
        self.done.append(self.context.now())


@pytest.mark.parametrize(("seconds", "expected"), [(3, [3.0]), (30, [])])
async def test_clean_up_is_shielded_and_bounded(
    autojump_clock: MockClock, seconds: float, expected: list[float]
) -> None:
    """A clean-up may await for its time to stop and not longer."""
    done: list[float] = []
    spec = ChildSpec("a", lambda: SlowEnd(seconds, done), shutdown_seconds=5)
    async with open_system(SupervisorSpec([spec])):
        pass

    assert done == expected
    assert trio.current_time() <= 5


async def test_drain_handles_what_waits(autojump_clock: MockClock) -> None:
    """With time to drain, a stop refuses new messages and handles the waiting ones first."""
    journal = Journal()
    async with open_system(tree(journal, drain_seconds=10)) as system:
        a = system.address("a")
        a.tell(("sleep", 1))
        a.tell("waiting")
        await trio.sleep(0.5)
        system.stop()
        await trio.sleep(0.1)

        assert a.state is State.DRAINING
        assert a.tell("new") is Delivery.STOPPED

    assert journal.lines == ["waiting", ExitKind.STOPPED]


async def test_interrupted_ask_fails_as_stopped(autojump_clock: MockClock) -> None:
    """A caller whose message was in hand when the actor was stopped hears of it."""
    async with open_system(tree(Journal())) as system, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def asker() -> None:
            with pytest.raises(Stopped):
                await system.address("a").ask(("sleep", 100))

        await trio.sleep(1)
        system.stop()
    assert trio.current_time() == 1


class BadStart(Actor):
    """Fails to start, in one way or another."""

    def __init__(self, how: str) -> None:
        if how == "make":
            raise ValueError("cannot be made")
        self.how = how

    async def init(self) -> None:
        if self.how == "hang":
            await trio.sleep_forever()
        raise ValueError("cannot start")


@pytest.mark.parametrize("how", ["make", "init"])
async def test_init_failure_keeps_its_cause(autojump_clock: MockClock, how: str) -> None:
    """The original exception of a failed start is in the chain of causes."""
    with pytest.raises(InitFailed) as caught:
        async with open_system(SupervisorSpec([ChildSpec("a", lambda: BadStart(how))])):
            raise AssertionError("must not be entered")

    cause: BaseException | None = caught.value
    while isinstance(cause, InitFailed):
        cause = cause.__cause__
    assert isinstance(cause, ValueError)


async def test_init_has_a_deadline(autojump_clock: MockClock) -> None:
    """A start that hangs is a failure when its time is over."""
    spec = ChildSpec("a", lambda: BadStart("hang"), init_seconds=3)
    with pytest.raises(InitFailed) as caught:
        async with open_system(SupervisorSpec([spec])):
            raise AssertionError("must not be entered")

    assert isinstance(caught.value.__cause__, InitTimeout)
    assert trio.current_time() == 3


async def test_failure_names_its_place(autojump_clock: MockClock) -> None:
    """The exception carries a note of the path, the generation and the message type."""
    spec = SupervisorSpec([ChildSpec("a", lambda: Diary(Journal()))], intensity=0)
    with pytest.raises(SupervisorFailed) as caught:  # noqa: PT012  # the block is the promise
        async with open_system(spec) as system:
            system.address("a").tell(Fatal())
            await trio.sleep_forever()

    [cause] = caught.value.exceptions
    assert isinstance(cause, ValueError)
    assert cause.__notes__ == ["in a, generation 1, handling Fatal"]


class Tracer(Hooks):
    """Follows messages; breaks on every report."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, object]] = []

    def on_report(self, report: Report) -> None:
        raise RuntimeError("a broken hook")

    def capture(self) -> object:
        return "trace 7"

    def handling(self, path: str, envelope: Envelope) -> None:
        self.handled.append((path, envelope.context))


async def test_trace_context_travels(autojump_clock: MockClock) -> None:
    """What was captured at the sender is there at the handler, and a broken hook harms nobody."""
    tracer = Tracer()
    async with open_system(tree(Journal()), hooks=tracer) as system:
        await system.address("a").ask("x")

        assert tracer.handled == [("a", "trace 7")]
        assert system.registry.services.reporter.errors > 0


async def test_live_actor_can_be_looked_into(autojump_clock: MockClock) -> None:
    """A probe runs between messages, also in a suspended actor; its error harms only its caller."""
    journal = Journal()
    async with open_system(tree(journal)) as system:
        a: Address = system.address("a")
        system.inspect("a").suspend()
        a.tell("waits")
        await wait_all_tasks_blocked()

        assert await system.probe("a", lambda actor: type(actor).__name__) == "Diary"
        with pytest.raises(ZeroDivisionError):
            await system.probe("a", lambda actor: 1 // 0)
        assert said(journal) == []
        system.inspect("a").resume()
        await wait_all_tasks_blocked()
        assert said(journal) == ["waits"]
        assert a.generation == 1


async def test_overfull_control_lane_fails_the_actor(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, recorder: Any
) -> None:
    """More control messages than the lane holds end the incarnation, with a report."""
    monkeypatch.setattr("supervision.mailbox.CONTROL_MAX", 3)
    async with open_system(tree(Journal()), hooks=recorder) as system:
        system.address("a").tell(("sleep", 5))
        await trio.sleep(1)
        for _ in range(5):
            system.inspect("a").suspend()
        await wait_all_tasks_blocked()

    [ended] = recorder.of(Event.CHILD_ENDED)
    assert type(ended.cause).__name__ == "ControlLaneFull"
