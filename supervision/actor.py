"""What a program writes: behaviours, and what they may do with the cell that runs them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from supervision.address import Address
from supervision.cell import Down, Exit
from supervision.envelope import Envelope, Reply
from supervision.signals import Unhandled

if TYPE_CHECKING:
    from supervision.incarnation import ActorRun
    from supervision.pool import Pool


class Context:
    """What an actor knows about itself and may do with its cell. One per incarnation."""

    __slots__ = ("_run", "address")

    def __init__(self, run: ActorRun) -> None:
        self._run = run
        self.address = Address(run.cell)

    @property
    def path(self) -> str:
        """Path of the cell."""
        return self._run.cell.path

    @property
    def generation(self) -> int:
        """Number of this incarnation, from 1."""
        return self._run.generation

    def now(self) -> float:
        """Return the Trio time in seconds; virtual in tests with a mock clock."""
        return self._run.cell.services.clock()

    @property
    def deadline(self) -> float:
        """Until when the asker of the message in hand waits; ``inf`` for a tell."""
        return self._run.deadline

    def take_reply(self) -> Reply | None:
        """Take the reply cell of the message in hand, to answer later or elsewhere.

        What the handler returns is then ignored. If this incarnation ends before it answers, the
        asker gets `ServerDied` or `Stopped`. None for a tell. While a batch is in hand use
        `keep_reply` instead.
        """
        envelope = self._run.message_in_hand
        return None if envelope is None else self.keep_reply(envelope)

    def keep_reply(self, envelope: Envelope) -> Reply | None:
        """Take the reply cell of an envelope of the batch in hand; see `take_reply`."""
        if envelope.reply is not None:
            envelope.reply.keep(self._run.kept_replies)
        return envelope.reply

    def set_timer(self, key: object, seconds: float, message: Any) -> None:
        """Tell this actor ``message`` in ``seconds``; replaces an earlier timer with this key.

        The message comes through the user lane, whatever its bound, and waits there at most once.
        Timers end with the incarnation.
        """
        self._run.set_timer(key, seconds, message)

    def cancel_timer(self, key: object) -> None:
        """Cancel a timer; also if it fired and its message was not handled yet."""
        self._run.cancel_timer(key)

    def set_idle_timeout(self, seconds: float, message: Any) -> None:
        """Tell this actor ``message`` whenever nothing has come for ``seconds``.

        The time begins when nothing waits any more, so that with no seconds at all what waits still
        goes first. Any message ends it, and its own is told once in each such time. Replaces an
        earlier one. Ends with the incarnation. An actor of a pool may be passivated meanwhile.
        """
        self._run.set_idle_timeout(seconds, message)

    def cancel_idle_timeout(self) -> None:
        """Be told nothing of quiet times."""
        self._run.cancel_idle_timeout()

    def handling(self, envelope: Envelope) -> AbstractContextManager[Any]:
        """Return the context to handle one message of a batch in; see `Actor.frames_messages`."""
        around = None if envelope.context is None else self._run.around(envelope)
        return nullcontext() if around is None else around

    def continue_with(self, message: Any) -> None:
        """Handle ``message`` next, before everything that waits.

        From ``init``: so that a start is quick and no message overtakes the rest of it. Several
        come in the order of the calls. What was not handled ends with the incarnation.
        """
        self._run.aside.continue_with(message)

    def unstash(self, count: int | None = None) -> int:
        """Put the oldest ``count`` stashed messages back before all that waits, or all of them.

        Returns:
            How many came back. Stashed messages also come back when the incarnation ends.
        """
        return self._run.aside.unstash(count)

    def watch(self, address: Address, *, once: bool = False) -> None:
        """Hear in ``handle_down`` of the end of each incarnation at ``address``, or of the next.

        If nothing runs there any more, that is told at once.
        """
        self._run.watch(address, once=once)

    def unwatch(self, address: Address) -> None:
        """Stop watching; a `Down` that was not handled yet is taken back."""
        self._run.unwatch(address)

    def stop(self, reason: str = "") -> None:
        """End this incarnation, normally, after the message or batch in hand."""
        self._run.end_soon(reason)

    def lookup(self, path: str) -> Address:
        """Return the address of another cell of the system."""
        return self._run.cell.services.registry.address(path)

    def pool(self, path: str) -> Pool[Any]:
        """Return a pool of the system."""
        return self._run.cell.services.registry.pool(path)


class Actor:
    """A behaviour. Its factory makes a new one for each incarnation: nothing leaks from the last.

    An exception from any of these methods ends the incarnation; the supervisor decides what then.
    """

    batch_max: ClassVar[int] = 64
    """Most messages handled between two checkpoints."""

    frames_messages: ClassVar[bool] = False
    """Whether ``handle_batch`` enters ``context.handling`` itself where a message carries a thing.
    By default the whole batch is handled in one context."""

    stash_max: ClassVar[int] = 100
    """Most messages that may be put aside with `Stash`."""

    context: Context
    """Set before ``init``."""

    async def init(self) -> None:
        """Get ready. The child counts as started when this returns; it has a deadline."""

    async def handle(self, message: Any) -> Any:
        """Handle one message. The returned value answers an ask; for a tell it is ignored.

        Raise `Unhandled` for what is not known here, `Stash` for what comes too early, and `Stop`
        to end.
        """
        raise Unhandled

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Handle many messages at once: override it where a group costs less than its members.

        An override answers each ask with ``envelope.answer`` or keeps its reply with
        ``context.keep_reply``; asks left over fail with `NoReply`. If it raises, every message of
        the batch goes by its own in-hand policy, except asks already answered.

        It is not called unless overridden; the loop then hands messages to `handle` one by one.
        """
        for envelope in batch:
            envelope.answer(await self.handle(envelope.message))

    async def handle_down(self, down: Down) -> None:
        """Hear that a watched incarnation ended."""

    async def on_stop(self, exit: Exit) -> None:
        """Clean up. Always called once ``init`` began, shielded, and with a deadline."""

    def get_state(self) -> Any:
        """Return the state for who looks from outside; by default the attributes by name."""
        slots = (name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ()))
        names = dict.fromkeys((*slots, *getattr(self, "__dict__", ())))
        return {n: getattr(self, n) for n in names if n not in _FRAMEWORK and hasattr(self, n)}

    def replace_state(self, state: Any) -> None:
        """Take over a state as `get_state` returns it, changed by who looks from outside.

        An override that raises must leave the old state.
        """
        for name, value in dict(state).items():
            setattr(self, name, value)

    def may_passivate(self) -> bool:
        """Say whether a pool may stop this actor while it is idle and start it again on demand."""
        return True


_FRAMEWORK = frozenset({"context", "__weakref__", "__dict__"})
