"""What a mailbox sheds, by number and by age, and who is told of it."""

from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import (
    Actor,
    AskError,
    ChildSpec,
    Delivery,
    Envelope,
    Hooks,
    InHand,
    MailboxFull,
    MailboxSpec,
    OnFull,
    Shed,
    SpecError,
    SupervisorSpec,
    WaitedTooLong,
    open_system,
)


class Slow(Actor):
    """Takes the seconds that a message says, and notes it."""

    def __init__(self, handled: list[Any]) -> None:
        self.handled = handled

    async def handle(self, message: Any) -> Any:
        self.handled.append(message)
        if isinstance(message, float):
            await trio.sleep(message)
        return message


class SlowBatch(Slow):
    """The same with batches."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            envelope.answer(await self.handle(envelope.message))


class Listener(Hooks):
    """Keeps what was shed."""

    def __init__(self) -> None:
        self.sheds: list[Shed] = []

    def capture(self) -> object:
        return "trace"

    def on_shed(self, shed: Shed) -> None:
        self.sheds.append(shed)


@pytest.mark.parametrize(
    ("policy", "why", "lost"),
    [
        (OnFull.REFUSE, Delivery.FULL, "y"),
        (OnFull.DROP_NEWEST, Delivery.DROPPED, "y"),
        (OnFull.DROP_OLDEST, Delivery.DISPLACED, "x"),
    ],
)
async def test_each_message_that_is_shed_is_told(
    autojump_clock: MockClock, policy: OnFull, why: Delivery, lost: str
) -> None:
    """Once, with the message that is lost, whichever of the two it is."""
    hooks, handled = Listener(), list[Any]()
    child = ChildSpec("a", lambda: Slow(handled), MailboxSpec(1, policy))
    async with open_system(SupervisorSpec([child]), hooks=hooks) as system:
        system.address("a").tell("x")
        delivery = system.address("a").tell("y")
        await wait_all_tasks_blocked()

    assert delivery is why
    [shed] = hooks.sheds
    assert (shed.path, shed.why, shed.message, shed.depth) == ("a", why, lost, 1)
    assert (shed.owner, shed.context) == ("a", "trace")


async def test_refused_ask_is_told(autojump_clock: MockClock) -> None:
    """An ask that finds no room is shed like a tell."""
    hooks, handled = Listener(), list[Any]()
    child = ChildSpec("a", lambda: Slow(handled), MailboxSpec(1))
    async with open_system(SupervisorSpec([child]), hooks=hooks) as system:
        system.address("a").tell("x")
        with pytest.raises(MailboxFull):
            await system.address("a").ask("y")

    assert [shed.why for shed in hooks.sheds] == [Delivery.FULL]


@pytest.mark.parametrize("kind", [Slow, SlowBatch])
async def test_old_messages_are_not_handled(autojump_clock: MockClock, kind: type[Slow]) -> None:
    """A tell that waited too long is let go, an ask fails; both are counted, neither is dead."""
    hooks, handled = Listener(), list[Any]()
    child = ChildSpec("a", lambda: kind(handled), MailboxSpec(useful_seconds=1))
    async with open_system(SupervisorSpec([child]), hooks=hooks) as system:
        a = system.address("a")
        errors: list[AskError] = []

        async def ask() -> None:
            with pytest.raises(WaitedTooLong) as caught:
                await a.ask("asked")
            errors.append(caught.value)

        a.tell(3.0)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            a.tell("told")
            nursery.start_soon(ask)
            await trio.sleep(2.5)
            a.tell("young")
        await a.ask("asked anew")
        seen = system.inspect("a").statistics()

        assert handled == [3.0, "young", "asked anew"]
        assert (seen.expired, seen.outdated, seen.handled) == (2, 2, 3)
        assert seen.accepted == seen.handled + seen.expired
        assert [(shed.why, shed.message) for shed in hooks.sheds] == [
            (Delivery.OUTDATED, "told"),
            (Delivery.OUTDATED, "asked"),
        ]
        assert system.dead_letters.total == 0
        assert [error.path for error in errors] == ["a"]


async def test_age_is_looked_at_between_slow_handlers(autojump_clock: MockClock) -> None:
    """Within a batch, too, a message is as old as it is when its turn comes."""
    handled: list[Any] = []
    child = ChildSpec("a", lambda: Slow(handled), MailboxSpec(useful_seconds=1))
    async with open_system(SupervisorSpec([child])) as system:
        for _ in range(4):
            system.address("a").tell(0.6)
        await trio.sleep(5)

    assert handled == [0.6, 0.6]


def test_a_message_is_useful_for_some_time() -> None:
    """No time at all is refused."""
    with pytest.raises(SpecError):
        MailboxSpec(useful_seconds=0)


class Nothing(Actor):
    """Crashes on everything."""

    async def handle(self, message: Any) -> Any:
        raise ValueError(message)


class Again:
    """Delivered again."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER


async def test_dead_letter_names_its_pool_and_its_trace(autojump_clock: MockClock) -> None:
    """What a dead message carried goes with it, so that it can be found in a trace."""
    child = ChildSpec("a", Nothing)
    async with open_system(SupervisorSpec([child], intensity=5), hooks=Listener()) as system:
        system.address("a").tell(Again())
        await wait_all_tasks_blocked()
        [letter] = system.dead_letters.ring

    assert (letter.owner, letter.context, letter.attempt) == ("a", "trace", 2)
