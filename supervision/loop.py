"""The loop of an actor: two lanes, batches, and the message in hand.

It runs from sleep to sleep. Control messages come first, between any two user messages; of those a
batch is handled without yielding, then everybody else may run.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import inf
from typing import Any, Final

import attrs
import trio
from trio.lowlevel import Abort, wait_task_rescheduled

from supervision.actor import Actor
from supervision.aside import Aside, refuse_unknown
from supervision.cell import Cell, Down
from supervision.envelope import Envelope, Reply
from supervision.errors import NoReply
from supervision.mailbox import Mailbox
from supervision.run import Run, ScopedRun
from supervision.signals import Aloof, Stash
from supervision.timers import IdleTimeout
from supervision.trace import outcome_of, record_received

_NOTHING: Final = nullcontext()


@attrs.frozen
class Probe:
    """A question to the framework side of an actor, answered between two messages."""

    function: Callable[[Actor], Any]
    reply: Reply


@attrs.frozen
class Suspend:
    """Handle control messages only, until told otherwise."""

    suspended: bool


class MessageLoop(ScopedRun):
    """The part of an incarnation that handles messages.

    The window in which a crash can lose a message reaches from taking it off the mailbox to the end
    of its handler. ``in_hand`` holds exactly that: one envelope, or the batch of an actor that
    overrides ``handle_batch``.

    Attributes:
        idle_since, busy_since: when the last batch ended and began; absolute Trio time.
        suspended: it handles control messages only.
        quiet: what it wants to be told when nothing comes; None for nothing.
    """

    __slots__ = (
        "_aside",
        "_called",
        "_draining",
        "_ending",
        "_wake",
        "actor",
        "busy_since",
        "idle_since",
        "in_hand",
        "quiet",
        "suspended",
    )
    receives = True

    def __init__(
        self,
        cell: Cell,
        finished: Callable[[Run], None],
        *,
        init_seconds: float,
        shutdown_seconds: float,
        drain_seconds: float,
    ) -> None:
        super().__init__(
            cell,
            finished,
            init_seconds=init_seconds,
            shutdown_seconds=shutdown_seconds,
            drain_seconds=drain_seconds,
        )
        self.actor: Actor | None = None
        self.in_hand: Envelope | tuple[Envelope, ...] | None = None
        self.idle_since = inf
        self.busy_since = inf
        self._ending = self._draining = self.suspended = False
        self._called = False  # to attend to one of these before the next message
        self._aside: Aside | None = None
        self.quiet: IdleTimeout | None = None
        self._wake: Callable[[], object] | None = None

    async def _serve_each(  # noqa: C901, PLR0912  # a helper would cost every message a call
        self, actor: Actor, mailbox: Mailbox
    ) -> None:
        """Handle messages one by one, with a look at the control lane between any two.

        The hot loop of the package, written out for that reason: sleeping, a batch and its account.
        A tell costs about a third of a microsecond here.
        """
        cell, user, control = self.cell, mailbox.user, mailbox.control
        clock, handle, batch = cell.services.clock, actor.handle, range(actor.batch_max)
        take = mailbox.take if mailbox.keyed else user.popleft
        framed = cell.services.reporter.handling is not None
        stop_waiting = self._stop_waiting
        useful = mailbox.spec.useful_seconds
        aging = useful < inf
        while True:
            if (control or self._called) and not await self._attend(actor, mailbox):
                return
            if not user:
                if self.quiet is None:
                    mailbox.waker = self._wake
                    await wait_task_rescheduled(stop_waiting)
                else:
                    await self._sleep(mailbox)
                continue
            self.busy_since = began = clock()
            mailbox.high_water = max(mailbox.high_water, len(user))
            seen = cell.recorders is not None
            for _ in batch:
                envelope = take()
                reply = envelope.reply
                if reply is not None and reply.abandoned:
                    self._skip(envelope)
                elif aging and clock() - envelope.sent_at > useful:
                    cell.outlive(envelope)
                else:
                    envelope.attempt += 1
                    self.in_hand = envelope
                    try:
                        if (
                            seen
                            or (framed and envelope.context is not None)
                            or (
                                reply is not None
                                and hasattr(envelope.message, "cancel_with_caller")
                            )
                        ):
                            value = await self._handle_seen(handle, envelope)
                        else:
                            value = await handle(envelope.message)
                    except Aloof as why:
                        self._set_aside(envelope, why)
                    else:
                        mailbox.handled += 1
                        if reply is not None and reply.carrier is envelope and not reply.done:
                            reply.answer(value)
                if control or not user:
                    break
            self.in_hand = value = None
            # What was handled is not held in sleep. A batch has at least one.
            del envelope, reply  # type: ignore[possibly-undefined]
            if mailbox.room is not None:
                mailbox.made_room()
            self.idle_since = ended = clock()
            cell.busy_seconds += ended - began
            if user:
                await trio.lowlevel.checkpoint()

    async def _serve_groups(self, actor: Actor, mailbox: Mailbox) -> None:
        """Hand batches to an actor that takes many at once."""
        while True:
            if (mailbox.control or self._called) and not await self._attend(actor, mailbox):
                return
            if mailbox.user:
                await self._handle_group(actor, mailbox)
            else:
                await self._sleep(mailbox)

    async def _attend(self, actor: Actor, mailbox: Mailbox) -> bool:
        """Do what comes before user messages; False when this incarnation is to end."""
        while True:
            while mailbox.control:
                await self._handle_control(actor, mailbox.control.popleft())
            if self._ending or (self._draining and (self.suspended or not mailbox.user)):
                return False
            if not self.suspended:
                self._called = self._draining
                return True
            await self._sleep(mailbox)

    async def _sleep(self, mailbox: Mailbox) -> None:
        mailbox.waker = self._wake
        if self.quiet is not None:
            self.quiet.begin()
        await wait_task_rescheduled(self._stop_waiting)
        if self.quiet is not None:
            self.quiet.end()

    def _stop_waiting(self, _: object) -> Abort:
        self.cell.mailbox.waker = None
        return Abort.SUCCEEDED

    def _skip(self, envelope: Envelope) -> None:
        """Leave a message alone whose asker is gone."""
        self.cell.mailbox.expired += 1
        if self.cell.recorders is not None:
            record_received(self.cell, envelope, self.cell.services.clock(), "expired")

    async def _handle_seen(self, handle: Callable[[Any], Any], envelope: Envelope) -> Any:
        """Handle while somebody looks, in a context, or as long as the asker waits."""
        cell = self.cell
        if cell.recorders is None:
            return await self._handle_within(handle, envelope)
        began = cell.services.clock()
        error: BaseException | None = None
        try:
            return await self._handle_within(handle, envelope)
        except BaseException as raised:
            error = raised
            raise
        finally:
            record_received(cell, envelope, began, outcome_of(envelope, error))

    async def _handle_within(self, handle: Callable[[Any], Any], envelope: Envelope) -> Any:
        """Handle in the context that the hooks gave, or as the asker says."""
        around = None if envelope.context is None else self.around(envelope)
        if around is None:
            return await self._handle_for_caller(handle, envelope)
        with around:
            return await self._handle_for_caller(handle, envelope)

    def around(self, envelope: Envelope) -> AbstractContextManager[Any] | None:
        """Return the context that the hooks give for the handling of a message."""
        handling = self.cell.services.reporter.handling
        return None if handling is None else handling(self.path, envelope)

    def _around_batch(
        self, actor: Actor, taken: tuple[Envelope, ...]
    ) -> AbstractContextManager[Any]:
        handling = self.cell.services.reporter.handling_batch
        if handling is None or actor.frames_messages:
            return _NOTHING
        carrying = [envelope for envelope in taken if envelope.context is not None]
        return (handling(self.path, carrying) if carrying else None) or _NOTHING

    async def _handle_for_caller(self, handle: Callable[[Any], Any], envelope: Envelope) -> Any:
        """Handle; if the message type says so, only for as long as its asker waits."""
        reply, message = envelope.reply, envelope.message
        if reply is None or not getattr(type(message), "cancel_with_caller", False):
            return await handle(message)
        with trio.CancelScope() as scope:
            reply.on_abandon = partial(scope.cancel, reason="the asker is gone")
            try:
                return await handle(message)
            finally:
                reply.on_abandon = None
        return None

    async def _handle_group(self, actor: Actor, mailbox: Mailbox) -> None:
        """Hand a batch to an actor that takes many at once."""
        clock = self.cell.services.clock
        self.busy_since = began = clock()
        mailbox.high_water = max(mailbox.high_water, len(mailbox.user))
        batch: list[Envelope] = []
        limit = actor.batch_max
        if mailbox.singly:
            mailbox.singly -= 1
            limit = 1
        while mailbox.user and len(batch) < limit:
            envelope = mailbox.take()
            if envelope.expired:
                self._skip(envelope)
            elif began - envelope.sent_at > mailbox.spec.useful_seconds:
                self.cell.outlive(envelope)
            else:
                envelope.attempt += 1
                batch.append(envelope)
        if batch:
            await self._handle_taken(actor, tuple(batch), batch)
            mailbox.handled += len(batch)
        if mailbox.room is not None:
            mailbox.made_room()
        self.idle_since = clock()
        self.cell.busy_seconds += self.idle_since - began
        if mailbox.user:
            await trio.lowlevel.checkpoint()

    async def _handle_taken(
        self, actor: Actor, taken: tuple[Envelope, ...], batch: list[Envelope]
    ) -> None:
        self.in_hand = taken
        with self._around_batch(actor, taken):
            if self.cell.recorders is None:
                await actor.handle_batch(batch)
            else:
                await self._handle_batch_seen(actor, taken, batch)
        self.in_hand = None
        for envelope in taken:
            reply = envelope.reply
            if reply is None or reply.carrier is not envelope or reply.done or reply.abandoned:
                continue
            reply.fail(NoReply(self.path, repr(envelope)))

    async def _handle_batch_seen(
        self, actor: Actor, taken: tuple[Envelope, ...], batch: list[Envelope]
    ) -> None:
        began = self.cell.services.clock()
        error: BaseException | None = None
        try:
            await actor.handle_batch(batch)
        except BaseException as raised:
            error = raised
            raise
        finally:
            for envelope in taken:
                record_received(self.cell, envelope, began, outcome_of(envelope, error))

    def _set_aside(self, envelope: Envelope, why: Aloof) -> None:
        """Do with a message what its handler wants instead of handling it."""
        if isinstance(why, Stash):
            self.aside.stash(envelope, type(self.actor).stash_max if self.actor else 0)
        else:
            refuse_unknown(self.cell, envelope)

    async def _handle_control(self, actor: Actor, item: object) -> None:
        match item:
            case Down():
                await actor.handle_down(item)
            case Suspend(suspended=suspended):
                self.suspended = self._called = suspended
            case Probe(function=function, reply=reply):
                try:
                    reply.answer(function(actor))
                except Exception as error:  # noqa: BLE001  # it belongs to who asked
                    reply.fail(error)
            case None:
                pass
            case _:
                raise AssertionError(f"unknown control message {item!r}")

    # The message in hand

    @property
    def message_in_hand(self) -> Envelope | None:
        """The envelope in hand, if it is exactly one."""
        return self.in_hand if isinstance(self.in_hand, Envelope) else None

    @property
    def deadline(self) -> float:
        """Deadline of the message in hand."""
        envelope = self.message_in_hand
        return inf if envelope is None else envelope.deadline

    def in_hand_types(self) -> tuple[str, ...]:
        """Names of the types in hand, each once."""
        return tuple(dict.fromkeys(type(e.message).__name__ for e in self._envelopes_in_hand()))

    def in_hand_contexts(self) -> tuple[object, ...]:
        """What the messages in hand carry, where something was captured."""
        return tuple(e.context for e in self._envelopes_in_hand() if e.context is not None)

    def in_hand_seconds(self) -> float:
        """Return how long the batch in hand has been worked on; 0 if nothing is in hand."""
        if self.in_hand is None:
            return 0.0
        return max(self.cell.services.clock() - self.busy_since, 0.0)

    def _envelopes_in_hand(self) -> tuple[Envelope, ...]:
        if self.in_hand is None:
            return ()
        return (self.in_hand,) if isinstance(self.in_hand, Envelope) else self.in_hand

    @property
    def aside(self) -> Aside:
        """What it holds outside the order of the mailbox. Few actors do: made when asked for."""
        if self._aside is None:
            self._aside = Aside(self.cell)
        return self._aside

    @property
    def stashed(self) -> int:
        """How many messages are put aside."""
        return 0 if self._aside is None else len(self._aside.stashed)
