"""Many children of one kind, one a key: made by the first message, stopped when idle.

A key's cell exists from the first time its address is asked for. Its actor exists while there is
something to do. Senders cannot tell the difference: what they send waits in the mailbox until the
actor is ready. Children have no order among themselves; they start side by side and stop together.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from functools import partial
from math import inf
from typing import Generic, TypeVar

import attrs

from supervision.address import Address
from supervision.bell import Bell
from supervision.cell import Cell, State
from supervision.errors import PoolFull, UnknownPath
from supervision.incarnation import ActorRun
from supervision.restarts import FailureStreak, RestartWindow
from supervision.spec import PoolSpec

K = TypeVar("K", bound=Hashable)


@attrs.define(eq=False)
class Member(Generic[K]):
    """One key of a pool.

    Attributes:
        window, streak: made by the first failure.
        retry_at: when to start again; inf if that is not pending.
        leaving: it was asked to stop for good.
        passivating: it was stopped because it was idle.
        renewing: it was stopped to be started anew.
    """

    key: K
    cell: Cell
    run: ActorRun | None = None
    window: RestartWindow | None = None
    streak: FailureStreak | None = None
    retry_at: float = inf
    leaving: bool = False
    passivating: bool = False
    renewing: bool = False


class Pool(Generic[K]):
    """The keys of a pool. It outlives every incarnation of the pool, like the cells in it."""

    def __init__(self, cell: Cell, spec: PoolSpec[K]) -> None:
        self.cell = cell
        self.spec = spec
        self.members: dict[K, Member[K]] = {}
        self.to_start: deque[Member[K]] = deque()
        self.to_stop: deque[Member[K]] = deque()
        self.bell = Bell()
        self._by_text: dict[str, K] = {}
        self._idle: dict[K, None] = {}

    @property
    def path(self) -> str:
        """Path of the pool; the path of a child is this, "/" and the text of its key."""
        return self.cell.path

    def address(self, key: K) -> Address:
        """Return the address of ``key``; its actor starts with the first message.

        Raises:
            PoolFull: there is no room for another key and nothing idle to forget.
        """
        member = self.members.get(key)
        if member is None:
            member = self._admit(key)
        return Address(member.cell)

    def get(self, key: K) -> Address | None:
        """Return the address of ``key`` if the pool knows it."""
        member = self.members.get(key)
        return None if member is None else Address(member.cell)

    def keys(self) -> list[K]:
        """Return the keys that are known, running or idle, oldest first."""
        return list(self.members)

    def stop(self, key: K) -> None:
        """Stop the actor of ``key`` and forget the key. Does not wait; harmless if unknown."""
        member = self.members.get(key)
        if member is not None and not member.leaving:
            member.leaving = True
            self.to_stop.append(member)
            self.bell.ring()

    def restart(self, key: K) -> None:
        """Start a child again that spent its budget or is waiting to be started.

        Raises:
            UnknownPath: the pool does not know the key.
        """
        member = self.members.get(key)
        if member is None:
            raise UnknownPath(f"{self.path}/{key}")
        if member.run is None and not member.leaving:
            member.window = member.streak = None
            member.cell.mailbox.open()
            self._activate(member)

    def renew(self, key: K) -> None:
        """Stop the actor of ``key`` and start it anew; start it if it does not run.

        Does not wait. What waits in the mailbox is kept, and earlier failures are forgiven.

        Raises:
            UnknownPath: the pool does not know the key.
        """
        member = self.members.get(key)
        if member is None:
            raise UnknownPath(f"{self.path}/{key}")
        if member.run is None:
            self.restart(key)
        elif not member.leaving:
            member.window = member.streak = None
            member.renewing = True
            member.run.request_stop("renewed by hand")
            self.to_stop.append(member)
            self.bell.ring()

    def __len__(self) -> int:
        """Keys that are known."""
        return len(self.members)

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys that are known."""
        return iter(self.keys())

    def find(self, text: str) -> Cell:
        """Return the cell of the known key with this text.

        Raises:
            UnknownPath: there is none; unlike `address`, a text cannot make one.
        """
        key = self._by_text.get(text)
        if key is None:
            raise UnknownPath(f"{self.path}/{text}")
        return self.members[key].cell

    def _admit(self, key: K) -> Member[K]:
        if len(self.members) >= self.spec.capacity:
            self._forget_one_idle()
        text = str(key)
        cell = Cell(f"{self.path}/{text}", self.cell.services, owner=self.path)
        cell.mailbox.configure(self.spec.mailbox)
        member = self.members[key] = Member(key, cell)
        self._by_text[text] = key
        if self.cell.closed:
            cell.close()
        else:
            self.make_idle(member)
        return member

    def _forget_one_idle(self) -> None:
        if not self._idle:
            raise PoolFull(f"{self.path} holds {len(self.members)} keys")
        self._remove(next(iter(self._idle)))

    def make_idle(self, member: Member[K]) -> None:
        """Nothing runs; the next message starts the actor."""
        member.cell.hold(State.IDLE)
        if member.cell.mailbox.user:
            self._activate(member)
        else:
            self._idle[member.key] = None
            member.cell.mailbox.waker = partial(self._activate, member)

    def _activate(self, member: Member[K]) -> None:
        """Queue a start. An address may have outlived its key: then it takes its place again."""
        member.cell.mailbox.waker = None
        known = self.members.setdefault(member.key, member)
        if known is not member:
            self._redirect(member, known)
            return
        self._by_text[str(member.key)] = member.key
        self._idle.pop(member.key, None)
        member.cell.state = State.STARTING
        self.to_start.append(member)
        self.bell.ring()

    def _redirect(self, old: Member[K], known: Member[K]) -> None:
        """Pass on what was sent to a forgotten cell whose key has a new one."""
        box = old.cell.mailbox
        while box.user:
            envelope = box.take()
            if envelope.reply is not None:
                envelope.reply.carry(envelope, known.cell)
            if not known.cell.offer(envelope) and envelope.reply is not None:
                envelope.reply.fail(PoolFull(known.cell.path))
        box.waker = partial(self._activate, old)

    def _remove(self, key: K) -> None:
        del self.members[key]
        self._by_text.pop(str(key), None)
        self._idle.pop(key, None)

    def forget(self, member: Member[K]) -> None:
        """Close a cell for good and forget its key."""
        if self.members.get(member.key) is member:
            self._remove(member.key)
        member.cell.close()
