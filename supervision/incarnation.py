"""One incarnation of an actor: how it starts, what it may do meanwhile, and what it leaves."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from trio.lowlevel import current_task, reschedule

from supervision.actor import Actor, Context
from supervision.address import Address, cell_of, current_run
from supervision.cell import Cell, Down, Exit, State
from supervision.envelope import Reply
from supervision.loop import MessageLoop
from supervision.restarts import ExitKind
from supervision.run import Run
from supervision.settlement import Settlement
from supervision.signals import Ignore, Stop
from supervision.timers import IdleTimeout, OwnTimers


class ActorRun(MessageLoop):
    """One incarnation of an actor."""

    __slots__ = ("_factory", "_timers", "_watching", "end_reason", "kept_replies")

    def __init__(
        self,
        cell: Cell,
        factory: Callable[[], Actor],
        finished: Callable[[Run], None],
        *,
        init_seconds: float,
        shutdown_seconds: float,
        drain_seconds: float = 0.0,
    ) -> None:
        super().__init__(
            cell,
            finished,
            init_seconds=init_seconds,
            shutdown_seconds=shutdown_seconds,
            drain_seconds=drain_seconds,
        )
        self.kept_replies: dict[Reply, None] = {}
        self.end_reason = ""
        self._factory = factory
        self._timers: OwnTimers | None = None
        self._watching: dict[Cell, None] | None = None

    async def _begin(self) -> Awaitable[None] | None:
        current_run.set(self)
        self.actor = actor = self._factory()
        actor.context = Context(self)
        starting = self.cell.services.reporter.starting
        around = None if starting is None else starting(self.path, self.generation)
        if around is None:
            await actor.init()
        else:
            with around:
                await actor.init()
        self._started()
        if not self.ready:
            return None
        self._wake = partial(reschedule, current_task())
        self.idle_since = self.cell.services.clock()
        if type(actor).handle_batch is Actor.handle_batch:
            return self._serve_each(actor, self.cell.mailbox)
        return self._serve_groups(actor, self.cell.mailbox)

    def _settle(self, exit: Exit) -> None:
        """Send what is in hand where its type says, before anybody waits for a clean-up."""
        self._drop_timers()
        settlement = Settlement(self.cell, exit)
        settlement.settle(self._envelopes_in_hand())
        self.in_hand = None
        if self._aside is not None:
            self._aside.close()
        if exit.kind is ExitKind.ABNORMAL:
            settlement.fail_kept(self.kept_replies)

    # The end

    def _classify_failure(self, failure: Exception) -> Exit:
        if isinstance(failure, Stop):
            kind = ExitKind.SHUTDOWN if failure.shutdown else ExitKind.NORMAL
            return self._exit(kind, None, failure.reason)
        if isinstance(failure, Ignore) and not self.ready:
            return self._exit(ExitKind.NORMAL, None, "ignored")
        return super()._classify_failure(failure)

    def _classify_end(self) -> Exit:
        return self._exit(ExitKind.NORMAL, None, self.end_reason)

    def _has_clean_up(self) -> bool:
        return self.actor is not None and type(self.actor).on_stop is not Actor.on_stop

    async def _clean_up(self, exit: Exit) -> None:
        assert self.actor is not None
        await self.actor.on_stop(exit)

    def _last_settlement(self, exit: Exit) -> None:
        self._drop_timers()
        Settlement(self.cell, exit).fail_kept(self.kept_replies)
        for cell in self._watching or ():
            cell.unwatch(self._notice)
        self._watching = None
        self.cell.mailbox.waker = None
        self.cell.mailbox.control.clear()

    def _drain(self) -> bool:
        self.cell.state = State.DRAINING
        self.cell.mailbox.refuse()
        self.work.deadline = self.cell.services.clock() + self.drain_seconds
        self._draining = self._called = True
        self.cell.mailbox.wake()
        return True

    # What the context offers

    def end_soon(self, reason: str) -> None:
        """End after the messages in hand."""
        self._ending = self._called = True
        self.end_reason = reason
        self.cell.control(None)

    def set_timer(self, key: object, seconds: float, message: Any) -> None:
        """See `Context.set_timer`."""
        if self._timers is None:
            self._timers = OwnTimers(self.cell)
        self._timers.set(key, seconds, message)

    def cancel_timer(self, key: object) -> None:
        """See `Context.cancel_timer`."""
        if self._timers is not None:
            self._timers.cancel(key)

    def set_idle_timeout(self, seconds: float, message: Any) -> None:
        """See `Context.set_idle_timeout`."""
        self.cancel_idle_timeout()
        self.quiet = IdleTimeout(self.cell, seconds, message)

    def cancel_idle_timeout(self) -> None:
        """See `Context.cancel_idle_timeout`."""
        if self.quiet is not None:
            self.quiet.cancel()
            self.quiet = None

    def _drop_timers(self) -> None:
        self.cancel_idle_timeout()
        if self._timers is not None:
            self._timers.cancel_all()

    def watch(self, address: Address, *, once: bool) -> None:
        """See `Context.watch`."""
        cell = cell_of(address)
        if self._watching is None:
            self._watching = {}
        self._watching[cell] = None
        cell.watch(self._notice, once=once)

    def unwatch(self, address: Address) -> None:
        """See `Context.unwatch`."""
        cell_of(address).unwatch(self._notice)
        control = self.cell.mailbox.control
        kept = [i for i in control if not (isinstance(i, Down) and i.path == address.path)]
        control.clear()
        control.extend(kept)

    def _notice(self, down: Down) -> None:
        self.cell.control(down)

    @property
    def idle(self) -> bool:
        """Nothing waits or is in hand, and no timer or kept reply needs this incarnation."""
        mailbox = self.cell.mailbox
        return (
            self.ready
            and mailbox.waker is self._wake
            and not (mailbox.user or mailbox.control or self._timers)
            and not (self.kept_replies or self.stashed)
            and self.actor is not None
            and self.actor.may_passivate()
        )
