"""A tree of actors that do everything an actor may do, for the sweeps."""

from typing import Any, ClassVar

import attrs
import trio

from supervision import (
    NO_BACKOFF,
    Actor,
    AutoShutdown,
    Backoff,
    Budget,
    ChildSpec,
    Exit,
    InHand,
    MailboxSpec,
    OnFull,
    PoolSpec,
    Reply,
    Restart,
    Stop,
    Strategy,
    SupervisorSpec,
    Task,
    Unhandled,
)
from tests.supervision.invariants import Witness

SHORT = Backoff(min_seconds=0.5, max_seconds=1.0, jitter=0.0)


class CrashError(Exception):
    """What the workshop's own actors fail with."""


@attrs.frozen
class Say:
    """Be handled; answered with its number."""

    sender: str
    number: int


@attrs.frozen
class Break(Say):
    """Crash the actor that handles it, up to so many times; then be answered."""

    times: int = 1
    in_hand: ClassVar[InHand] = InHand.REDELIVER


@attrs.frozen
class Lose(Say):
    """Crash, and be dropped."""

    in_hand: ClassVar[InHand] = InHand.DROP


@attrs.frozen
class Relay(Say):
    """Ask the next actor on the way."""

    way: tuple[str, ...] = ()
    cancel_with_caller: ClassVar[bool] = True


@attrs.frozen
class Later(Say):
    """Be answered by a timer."""


@attrs.frozen
class Leave(Say):
    """End the actor: normally, with SHUTDOWN, or by returning from the loop."""

    how: str = "stop"


@attrs.frozen
class Price(Say):
    """Conflated by its sender."""


@attrs.frozen
class Mystery(Say):
    """Nobody knows it."""


class Shop:
    """What all actors of one tree share: the witness, and how often each start is to fail."""

    def __init__(self, pause_seconds: float = 0.1) -> None:
        self.pause_seconds = pause_seconds
        self.witness: Witness
        self.failing_starts: dict[str, int] = {}
        self.failing_stops: dict[str, int] = {}
        self.overstaying: dict[str, float] = {}
        self.crashes: dict[tuple[str, int], int] = {}


class Worker(Actor):
    """Awaits in every phase of its life, and tells the witness."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.kept: dict[int, Reply | None] = {}

    async def init(self) -> None:
        path = self.context.path
        self.shop.witness.born(path)
        await trio.sleep(self.shop.pause_seconds)
        if self.shop.failing_starts.get(path, 0) > 0:
            self.shop.failing_starts[path] -= 1
            raise CrashError(f"{path} does not start")

    async def handle(self, message: Any) -> Any:
        with self.shop.witness.handled(self.context.path, message.sender, message.number):
            return await self.work(message)

    async def work(self, message: Say) -> Any:
        await trio.sleep(self.shop.pause_seconds)
        match message:
            case Break(sender=sender, number=number, times=times):
                done = self.shop.crashes.get((sender, number), 0)
                if done < times:
                    self.shop.crashes[sender, number] = done + 1
                    raise CrashError("told to")
            case Mystery():
                raise Unhandled
            case Lose():
                raise CrashError("told to")
            case Relay(sender=sender, number=number, way=(next, *rest)):
                await self.context.lookup(next).ask(Relay(sender, number, tuple(rest)))
            case Later(number=number):
                self.kept[number] = self.context.take_reply()
                self.context.set_timer(number, 0.3, Say(f"{message.sender}'s timer", number))
            case Leave(how="stop"):
                self.context.stop("told to")
            case Leave(how=how):
                raise Stop("told to", shutdown=how == "shutdown")
            case Say(number=number) if (reply := self.kept.pop(number, None)) is not None:
                reply.answer(number)
            case _:
                pass
        return message.number

    async def on_stop(self, exit: Exit) -> None:
        path = self.context.path
        try:
            await trio.sleep(self.shop.pause_seconds)
            if (seconds := self.shop.overstaying.get(path)) is not None:
                with trio.CancelScope(shield=True):
                    await trio.sleep(seconds)  # noqa: ASYNC102  # rude
            if self.shop.failing_stops.get(path, 0) > 0:
                self.shop.failing_stops[path] -= 1
                raise CrashError(f"{path} does not stop")
        finally:
            self.shop.witness.gone(path)


async def ticking(task_status: trio.TaskStatus[None]) -> None:
    """A plain task."""
    await trio.sleep(0.1)
    task_status.started()
    await trio.sleep_forever()


def tree(shop: Shop, strategy: Strategy) -> SupervisorSpec:
    """Three children under a strategy, two below one of them, a task and a pool."""

    def worker() -> Actor:
        return Worker(shop)

    inner = SupervisorSpec(
        [
            ChildSpec("x", worker, backoff=SHORT),
            ChildSpec("y", worker, drain_seconds=1.0),
        ],
        intensity=2,
        budget=Budget.PER_CHILD,
    )
    ending = SupervisorSpec(
        [
            ChildSpec("first", worker, restart=Restart.TRANSIENT, significant=True),
            ChildSpec("second", worker, restart=Restart.TEMPORARY),
        ],
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    return SupervisorSpec(
        [
            ChildSpec("a", worker, backoff=SHORT),
            ChildSpec("s", inner),
            ChildSpec("b", worker, MailboxSpec(3), backoff=NO_BACKOFF),
            ChildSpec("task", Task(ticking)),
            ChildSpec("session", ending, restart=Restart.TRANSIENT),
            ChildSpec(
                "pool",
                PoolSpec(start=lambda key: Worker(shop), idle_seconds=2, capacity=3, backoff=SHORT),
            ),
            ChildSpec("c", worker, restart=Restart.TRANSIENT),
        ],
        strategy,
        intensity=3,
    )


def counters(shop: Shop) -> SupervisorSpec:
    """One small mailbox for each policy."""

    def worker() -> Actor:
        return Worker(shop)

    def key(message: Any) -> str | None:
        return message.sender if isinstance(message, Price) else None

    return SupervisorSpec(
        [
            ChildSpec("refuse", worker, MailboxSpec(2)),
            ChildSpec("oldest", worker, MailboxSpec(2, OnFull.DROP_OLDEST)),
            ChildSpec("newest", worker, MailboxSpec(2, OnFull.DROP_NEWEST)),
            ChildSpec("conflate", worker, MailboxSpec(2, OnFull.CONFLATE, key)),
            ChildSpec("aging", worker, MailboxSpec(useful_seconds=0.25)),
        ]
    )
