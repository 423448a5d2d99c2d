"""Tell, put, ask and forward: what a sender may rely on."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from supervision import (
    Actor,
    AskCycle,
    ChildSpec,
    Delivery,
    Envelope,
    MailboxFull,
    MailboxSpec,
    NoReply,
    OnFull,
    Registry,
    Reply,
    Restart,
    Restarting,
    ServerDied,
    Stopped,
    SupervisorSpec,
    open_system,
)


class Server(Actor):
    """Does what a message says."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.kept: Reply | None = None

    async def handle(self, message: Any) -> Any:
        self.seen.append(message)
        match message:
            case "crash":
                raise ValueError("crash")
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case "keep":
                self.kept = self.context.take_reply()
            case "answer kept":
                assert self.kept is not None
                self.kept.answer("kept")
            case "seen":
                return list(self.seen)
            case "deadline":
                return self.context.deadline
            case ("ask", path, inner):
                return await self.context.lookup(path).ask(inner)
            case ("pass on", path, inner):
                reply = self.context.take_reply()
                return self.context.lookup(path).forward(inner, reply)
            case _:
                pass
        return message


def tree(*ids: str, intensity: int = 5, **child: Any) -> SupervisorSpec:
    return SupervisorSpec([ChildSpec(id, Server, **child) for id in ids], intensity=intensity)


async def test_ask_returns_what_the_handler_returned(autojump_clock: MockClock) -> None:
    """An ask is answered by the returned value of the handler."""
    async with open_system(tree("a")) as system:
        assert await system.address("a").ask("hello") == "hello"


async def test_tell_never_blocks_on_a_busy_actor(autojump_clock: MockClock) -> None:
    """Telling a busy actor takes no time, and a full mailbox is a value, not an exception."""
    async with open_system(tree("a", mailbox=MailboxSpec(2))) as system:
        a = system.address("a")
        a.tell(("sleep", 10))
        await trio.sleep(1)

        deliveries = [a.tell(n) for n in range(3)]

        assert deliveries == [Delivery.ACCEPTED, Delivery.ACCEPTED, Delivery.FULL]
        assert trio.current_time() == 1


async def test_put_waits_for_room(autojump_clock: MockClock) -> None:
    """Putting into a full mailbox waits until the actor made room."""
    async with open_system(tree("a", mailbox=MailboxSpec(1))) as system:
        a = system.address("a")
        a.tell(("sleep", 10))
        await trio.sleep(1)
        a.tell("first")

        await a.put("second")

        assert trio.current_time() == 10
        await trio.sleep(1)
        assert (await a.ask("seen"))[1:3] == ["first", "second"]


async def test_put_hears_of_the_end(autojump_clock: MockClock) -> None:
    """A sender that waits for room is told when the receiver stops for good."""
    async with open_system(tree("a", mailbox=MailboxSpec(1))) as system:
        a = system.address("a")
        a.tell(("sleep", 10))
        await trio.sleep(1)
        a.tell("fills it")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def putter() -> None:
                with pytest.raises(Stopped):
                    await a.put("too late")

            await trio.sleep(1)
            await system.supervisor().terminate_child("a")


async def test_ask_of_full_mailbox_fails_at_once(autojump_clock: MockClock) -> None:
    """An ask does not wait for room."""
    async with open_system(tree("a", mailbox=MailboxSpec(1))) as system:
        a = system.address("a")
        a.tell(("sleep", 10))
        await trio.sleep(1)
        a.tell("fills it")

        with pytest.raises(MailboxFull):
            await a.ask("one more")
        assert trio.current_time() == 1


async def test_crash_fails_the_caller_at_once_with_the_cause(autojump_clock: MockClock) -> None:
    """The caller of a handler that crashes gets ServerDied, caused by what the handler raised."""
    async with open_system(tree("a")) as system:
        with pytest.raises(ServerDied) as caught:
            await system.address("a").ask("crash")

        assert isinstance(caught.value.__cause__, ValueError)
        assert trio.current_time() == 0


async def test_late_answer_harms_nobody(autojump_clock: MockClock) -> None:
    """A caller that gave up is forgotten; the server goes on and counts the late answer."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        with trio.move_on_after(1):
            await a.ask(("sleep", 5))

        assert await a.ask("still there") == "still there"
        assert a.generation == 1
        assert system.registry.services.dead_letters.total == 0


async def test_abandoned_ask_is_not_handled(autojump_clock: MockClock) -> None:
    """A message whose asker is gone when its turn comes is skipped."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        a.tell(("sleep", 5))
        with trio.move_on_after(1):
            await a.ask("nobody waits")

        assert "nobody waits" not in await a.ask("seen")


async def test_deadline_travels(autojump_clock: MockClock) -> None:
    """The handler sees the deadline of the caller's scopes."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        with trio.fail_after(7) as scope:
            assert await a.ask("deadline") == scope.deadline
        assert await a.ask("deadline") == float("inf")


class Cancellable:
    """Work that only its asker wants."""

    cancel_with_caller = True


class Worker(Actor):
    """Works for as long as it is let."""

    def __init__(self) -> None:
        self.stopped_at: float | None = None

    async def handle(self, message: Any) -> Any:
        if isinstance(message, Cancellable):
            try:
                await trio.sleep(100)
            finally:
                self.stopped_at = self.context.now()
        return self.stopped_at


async def test_cancelling_the_caller_cancels_the_work(autojump_clock: MockClock) -> None:
    """When the message type says so, work ends with its asker; the actor goes on."""
    async with open_system(SupervisorSpec([ChildSpec("a", Worker)])) as system:
        a = system.address("a")
        with trio.move_on_after(3):
            await a.ask(Cancellable())

        assert await a.ask("when?") == 3
        assert a.generation == 1


async def test_reply_can_be_answered_later(autojump_clock: MockClock) -> None:
    """An actor that took the reply answers from a later message."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        async with trio.open_nursery() as nursery:
            answers: list[Any] = []

            @nursery.start_soon
            async def asker() -> None:
                answers.append(await a.ask("keep"))

            await trio.sleep(1)
            a.tell("answer kept")

        assert answers == ["kept"]


async def test_kept_reply_fails_with_its_keeper(autojump_clock: MockClock) -> None:
    """An asker whose reply was kept hears at once that the keeper died."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def asker() -> None:
                with pytest.raises(ServerDied):
                    await a.ask("keep")

            await trio.sleep(1)
            a.tell("crash")


async def test_forwarded_ask_is_answered_by_the_last(autojump_clock: MockClock) -> None:
    """An ask that is passed on is answered by who handles it, even if it comes back."""
    async with open_system(tree("a", "b")) as system:
        a = system.address("a")

        assert await a.ask(("pass on", "b", "deep")) == "deep"
        assert await a.ask(("pass on", "a", "round")) == "round"


class Silent(Actor):
    """Answers only what is even."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            if envelope.message % 2 == 0:
                envelope.answer(envelope.message)


async def test_forgotten_ask_fails_with_no_reply(autojump_clock: MockClock) -> None:
    """A batch handler that forgets an ask does not leave its caller waiting."""
    async with open_system(SupervisorSpec([ChildSpec("a", Silent)])) as system:
        a = system.address("a")

        assert await a.ask(2) == 2
        with pytest.raises(NoReply):
            await a.ask(3)


async def test_asking_oneself_is_refused(autojump_clock: MockClock) -> None:
    """An actor that asks itself gets AskCycle instead of waiting for ever."""
    async with open_system(tree("a")) as system:
        with pytest.raises(ServerDied) as caught:
            await system.address("a").ask(("ask", "a", "me"))

        assert isinstance(caught.value.__cause__, AskCycle)


async def test_cycle_of_asks_is_refused(autojump_clock: MockClock) -> None:
    """The ask that would close a cycle is refused, with the way round."""
    async with open_system(tree("a", "b", "c")) as system:
        with pytest.raises(ServerDied) as caught:
            await system.address("a").ask(("ask", "b", ("ask", "c", ("ask", "a", "end"))))

        cause: BaseException | None = caught.value
        while not isinstance(cause, AskCycle):
            assert cause is not None
            cause = cause.__cause__
        assert cause.chain == ("c", "a", "b", "c")


async def test_crossing_asks_are_refused(autojump_clock: MockClock) -> None:
    """Two actors that ask each other at the same time do not deadlock."""
    async with open_system(tree("a", "b")) as system:
        outcomes: list[str] = []

        async def ask(first: str, second: str) -> None:
            try:
                await system.address(first).ask(("ask", second, "x"))
                outcomes.append("answered")
            except ServerDied:
                outcomes.append("refused")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "a", "b")
            nursery.start_soon(ask, "b", "a")

        assert "refused" in outcomes
        assert trio.current_time() == 0


async def test_message_to_the_stopped_is_a_dead_letter(autojump_clock: MockClock) -> None:
    """After an actor ended for good, tells say so and asks fail, with a record of each."""
    spec = SupervisorSpec([ChildSpec("a", Server, restart=Restart.TEMPORARY)])
    async with open_system(spec) as system:
        a = system.address("a")
        a.tell("crash")
        await trio.sleep(1)

        assert a.tell("hello?") is Delivery.STOPPED
        with pytest.raises(Stopped):
            await a.ask("hello?")
        letters = [letter.message for letter in system.dead_letters.ring]
        assert letters == ["crash", "hello?", "hello?"]


async def test_ask_during_backoff_fails_at_once_and_tells_wait(autojump_clock: MockClock) -> None:
    """While an actor waits to be started again, asks fail with the time and tells queue."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        for _ in range(2):
            a.tell("crash")
            await trio.sleep(0.01)

        assert a.tell("kept") is Delivery.ACCEPTED
        with pytest.raises(Restarting) as caught:
            await a.ask("now?")
        await trio.sleep_until(caught.value.retry_at + 0.01)
        assert await a.ask("seen") == ["kept", "seen"]


async def test_displaced_ask_fails(autojump_clock: MockClock) -> None:
    """An ask that loses its place to a newer message hears of it."""
    box = MailboxSpec(1, OnFull.DROP_OLDEST)
    async with open_system(tree("a", mailbox=box)) as system:
        a = system.address("a")
        a.tell(("sleep", 10))
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def asker() -> None:
                with pytest.raises(Stopped):
                    await a.ask("old")

            await trio.sleep(1)
            assert a.tell("new") is Delivery.DISPLACED


async def test_addresses_exist_before_the_tree(autojump_clock: MockClock) -> None:
    """Factories can close over addresses of a registry that was made first."""
    registry = Registry()
    early = registry.address("a")

    async with open_system(tree("a"), registry=registry) as system:
        assert early == system.address("a")
        assert await early.ask(1) == 1


async def test_ask_without_waiting_is_answered_by_a_call(autojump_clock: MockClock) -> None:
    """The callback gets the answer or the error, once; its own mistakes harm nobody."""
    async with open_system(tree("a")) as system:
        a = system.address("a")
        replies: list[Reply] = []
        for message in ("fine", "crash", "after"):
            a.ask_nowait(message, replies.append)
        a.ask_nowait("broken callback", replies.remove)

        assert await a.ask("last") == "last"
        assert [reply.error is None for reply in replies] == [True, False, True]
        assert (replies[0].value, replies[2].value) == ("fine", "after")
        assert isinstance(replies[1].error, ServerDied)
        assert a.generation == 2


async def test_deadline_is_that_of_all_scopes_of_the_caller(autojump_clock: MockClock) -> None:
    """The nearest deadline around the ask counts; without any there is none."""
    async with open_system(tree("a")) as system:
        with trio.move_on_after(50), trio.move_on_after(70):
            assert await system.address("a").ask("deadline") == 50
        assert await system.address("a").ask("deadline") == float("inf")
