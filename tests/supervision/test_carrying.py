"""What messages carry: where it comes from, where it goes, and what is framed by it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from trio.testing import MockClock, wait_all_tasks_blocked

from supervision import Actor, ChildSpec, Envelope, Hooks, SupervisorSpec, open_system

carried: ContextVar[str | None] = ContextVar("carried", default=None)


@contextmanager
def carrying(value: str) -> Iterator[None]:
    token = carried.set(value)
    try:
        yield
    finally:
        carried.reset(token)


class Follower(Hooks):
    """Puts its own place behind what a message carried."""

    carried = carried

    def __init__(self) -> None:
        self.framed: list[str] = []

    def handling(self, path: str, envelope: Envelope) -> AbstractContextManager[Any]:
        return self._frame(f"{envelope.context}>{path}")

    def handling_batch(
        self, path: str, envelopes: Sequence[Envelope]
    ) -> AbstractContextManager[Any]:
        return self._frame("+".join(str(e.context) for e in envelopes) + f">{path}")

    def starting(self, path: str, generation: int) -> AbstractContextManager[Any] | None:
        return self._frame(f"start {path}") if path == "end" else None

    def _frame(self, value: str) -> AbstractContextManager[Any]:
        self.framed.append(value)
        return carrying(value)


class Relay(Actor):
    """Passes each message on to the next."""

    def __init__(self, to: str) -> None:
        self.to = to

    async def handle(self, message: Any) -> Any:
        self.context.lookup(self.to).tell(message)


class BatchRelay(Relay):
    """Likewise, many at once."""

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            await self.handle(envelope.message)


class CarefulRelay(BatchRelay):
    """Likewise, and knows which it has in hand."""

    frames_messages = True

    async def handle_batch(self, batch: list[Envelope]) -> None:
        for envelope in batch:
            with self.context.handling(envelope):
                await self.handle(envelope.message)


class End(Actor):
    """Notes what arrives, and tells itself something when it starts."""

    def __init__(self, seen: list[tuple[Any, str | None]]) -> None:
        self.seen = seen

    async def init(self) -> None:
        self.context.address.tell("began")

    async def handle(self, message: Any) -> None:
        self.seen.append((message, carried.get()))


async def through(relay: type[Relay]) -> tuple[Follower, list[tuple[Any, str | None]]]:
    """Send one message that carries nothing, and two that do, through a relay."""
    hooks, seen = Follower(), list[tuple[Any, str | None]]()
    children = [ChildSpec("end", lambda: End(seen)), ChildSpec("relay", lambda: relay("end"))]
    async with open_system(SupervisorSpec(children), hooks=hooks) as system:
        address = system.address("relay")
        address.tell(1)
        for number, name in ((2, "x"), (3, "y")):
            with carrying(name):
                address.tell(number)
        await wait_all_tasks_blocked()
    return hooks, seen


async def test_what_is_carried_goes_from_message_to_message(autojump_clock: MockClock) -> None:
    """A handler sends what its own message made of it; a message without it calls no hook."""
    hooks, seen = await through(Relay)

    assert seen == [
        ("began", "start end>end"),
        (1, None),
        (2, "x>relay>end"),
        (3, "y>relay>end"),
    ]
    assert hooks.framed == [
        "start end",
        "start end>end",
        "x>relay",
        "y>relay",
        "x>relay>end",
        "y>relay>end",
    ]


async def test_batch_is_framed_as_a_whole(autojump_clock: MockClock) -> None:
    """The hook is given the messages that carry something, once."""
    hooks, seen = await through(BatchRelay)

    assert hooks.framed[2] == "x+y>relay"
    assert {value for _, value in seen[1:]} == {"x+y>relay>end"}


async def test_actor_may_frame_the_messages_of_its_batch(autojump_clock: MockClock) -> None:
    """One that sees to it keeps apart what belongs to different messages."""
    _, seen = await through(CarefulRelay)

    assert seen[1:] == [(1, None), (2, "x>relay>end"), (3, "y>relay>end")]
