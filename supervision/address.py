"""How everybody else talks to a cell. Addresses are cheap, comparable and never go stale."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import Task, current_task

from supervision.cell import Cell, State
from supervision.envelope import Envelope, Reply
from supervision.errors import AskCycle, AskError, MailboxFull, Restarting, ServerDied, Stopped
from supervision.mailbox import ACCEPTED, Delivery
from supervision.trace import record_sent

if TYPE_CHECKING:
    from supervision.incarnation import ActorRun

BACKOFF = State.BACKOFF

current_run: ContextVar["ActorRun | None"] = ContextVar("current_run", default=None)
"""The actor in whose task, or in whose descendants, the current code runs."""
get_current_run = current_run.get


class Address:
    """The stable name of a cell. Equal when the cell is the same.

    Which verb: `tell` from actors and callbacks, `put` at the edge where waiting is the right
    answer to overload, `ask` where an answer is needed. Never `put` from one actor to another
    inside a cycle of actors: bounded waits in a cycle deadlock.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def tell(self, message: Any) -> Delivery:
        """Send without waiting and without raising for overload.

        Returns:
            What became of the message; true when it will be delivered.
        """
        cell = self._cell
        mailbox = cell.mailbox
        services = cell.services
        envelope = Envelope(message, None, services.clock())
        run = get_current_run()
        if run is not None:
            envelope.sender = run.path
            if run.cell.recorders is not None:
                record_sent(run.cell, envelope, cell)
        if services.capture is not None:
            envelope.context = services.capture()
        user = mailbox.user
        if len(user) >= mailbox.fast_limit:
            return cell.offer(envelope)
        user.append(envelope)
        mailbox.accepted += 1
        waker = mailbox.waker
        if waker is not None:
            mailbox.waker = None
            waker()
        return ACCEPTED

    async def put(self, message: Any) -> Delivery:
        """Send, waiting for room as long as the caller's scopes allow. A checkpoint.

        Raises:
            Stopped: the cell will not run again.
        """
        await trio.lowlevel.checkpoint()
        mailbox = self._cell.mailbox
        while not mailbox.closed and len(mailbox.user) >= mailbox.spec.capacity:
            await mailbox.wait_room()
        delivery = self.tell(message)
        if delivery is Delivery.STOPPED:
            raise self._gone()
        return delivery

    async def ask(self, message: Any) -> Any:
        """Send and wait for the answer, until the deadline of the caller's scopes.

        The deadline travels along: a message whose asker is gone is not handled. Cancelling is safe
        at any time; a late answer is dropped and counted.

        Raises:
            MailboxFull, Restarting, Stopped: the message was not handled.
            ServerDied: the server crashed with the message in hand; its outcome is unknown.
            NoReply: it was handled, and nobody answers.
            AskCycle: the server waits, directly or through others, for the actor that asks.
            Exception: whatever the server failed the reply with.
        """
        cell = self._cell
        if cell.state is BACKOFF:
            cell.mailbox.refused += 1
            raise Restarting(cell.path, cell.retry_at) from cell.last_failure
        services = cell.services
        reply = Reply(cell)
        envelope = reply.carrier = Envelope(message, reply, services.clock())
        if services.capture is not None:
            envelope.context = services.capture()
        asker = None if current_run.get() is None else _blocked_asker()
        if asker is None:
            mailbox = cell.mailbox
            if len(mailbox.user) < mailbox.fast_limit:
                mailbox.push(envelope)
            else:
                self._post(envelope)
            return await reply.wait()
        _refuse_cycle(asker, cell)
        envelope.sender = asker.path
        if asker.cell.recorders is not None:
            record_sent(asker.cell, envelope, cell)
        self._post(envelope)
        asker.waiting_on.append(reply)
        try:
            return await reply.wait()
        finally:
            asker.waiting_on.remove(reply)

    def ask_nowait(self, message: Any, then: Callable[[Reply], None]) -> None:
        """Ask without waiting: ``then`` is called with the reply when it has its answer or error.

        It is called exactly once, in the task of whoever answers: it must be short and must not
        raise. Messages are handled in the order of the calls. There is no deadline.

        Raises:
            MailboxFull, Restarting, Stopped: the message was not accepted; ``then`` is not called.
        """
        cell = self._cell
        if cell.state is BACKOFF:
            cell.mailbox.refused += 1
            raise Restarting(cell.path, cell.retry_at) from cell.last_failure
        services = cell.services
        reply = Reply(cell, then=then)
        envelope = reply.carrier = Envelope(message, reply, services.clock())
        run = current_run.get()
        if run is not None:
            envelope.sender = run.path
            if run.cell.recorders is not None:
                record_sent(run.cell, envelope, cell)
        if services.capture is not None:
            envelope.context = services.capture()
        self._post(envelope)

    def _post(self, envelope: Envelope) -> None:
        mailbox = self._cell.mailbox
        if len(mailbox.user) < mailbox.fast_limit:
            mailbox.push(envelope)
            return
        delivery = self._cell.offer(envelope)
        if delivery is Delivery.FULL:
            raise MailboxFull(self._cell.path)
        if not delivery:
            raise self._gone()

    def _gone(self) -> AskError:
        cell = self._cell
        cause = cell.last_failure
        if cause is None or cell.state is not State.FAILED:
            error: AskError = Stopped(cell.path)
        else:
            error = ServerDied(cell.path, "it failed for good")
        error.__cause__ = cause
        return error

    def forward(self, message: Any, reply: Reply | None) -> Delivery:
        """Tell, with somebody else's reply cell: the receiver answers the original asker.

        If the message is not accepted, the reply still belongs to the caller of this method.
        """
        cell = self._cell
        envelope = Envelope(message, reply, cell.services.clock())
        run = current_run.get()
        if run is not None:
            envelope.sender = run.path
            if run.cell.recorders is not None:
                record_sent(run.cell, envelope, cell)
        if cell.services.capture is not None:
            envelope.context = cell.services.capture()
        delivery = cell.offer(envelope)
        if delivery and reply is not None:
            reply.carry(envelope, cell)
        return delivery

    @property
    def path(self) -> str:
        """Names joined by "/"."""
        return self._cell.path

    @property
    def depth(self) -> int:
        """Messages that wait in the user lane."""
        return len(self._cell.mailbox.user)

    @property
    def state(self) -> State:
        """Where the cell is in its life."""
        return self._cell.state

    @property
    def generation(self) -> int:
        """Number of the current or last incarnation; 0 before the first."""
        return self._cell.generation

    def __eq__(self, other: object) -> bool:
        """Compare by cell."""
        return isinstance(other, Address) and other._cell is self._cell

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(id(self._cell))

    def __repr__(self) -> str:
        """Show the path."""
        return f"<Address {self._cell.path}>"


def cell_of(address: Address) -> Cell:
    """Return the cell behind an address; for the package itself."""
    return address._cell


def _blocked_asker() -> "ActorRun | None":
    """Return the actor whose task waits for the code that runs now, if there is one.

    That is the actor in whose task it runs, or below whose task, in nurseries that the task opened.
    A task that an actor merely started elsewhere inherits its context but does not block it.
    """
    run = current_run.get()
    if run is None:
        return None
    task: Task | None = current_task()
    while task is not None:
        if task is run.task:
            return run
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task
    return None


def _refuse_cycle(asker: "ActorRun", target: Cell) -> None:
    """Raise `AskCycle` if ``target`` waits for ``asker`` through any number of asks.

    Edges are asks in progress whose answer is expected from a cell itself. A reply that an actor
    took to answer later is no edge: that actor goes on working.
    """
    home = asker.cell
    if target is home:
        raise AskCycle(target.path, (home.path, home.path))
    trail: list[tuple[Cell, tuple[str, ...]]] = [(target, (home.path, target.path))]
    seen = {target}
    while trail:
        cell, chain = trail.pop()
        for server in cell.waits_for():
            if server is home:
                raise AskCycle(target.path, (*chain, home.path))
            if server not in seen:
                seen.add(server)
                trail.append((server, (*chain, server.path)))
