"""What one actor gets and sends, for as long as somebody looks.

A recorder is attached to a cell and therefore stays over restarts. Where none is attached nothing
is recorded and nothing is paid. Recorders of this module are bounded: a `Trace` by a number of
messages and a time, after which it takes itself off; `LastEvents` by its length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import attrs
import trio

from supervision.signals import Signal

if TYPE_CHECKING:
    from supervision.cell import Cell
    from supervision.envelope import Envelope

OUTCOME_CHARACTERS_MAX = 200


class Direction(Enum):
    """Which way a message went, seen from the actor that is recorded."""

    IN = "in"
    OUT = "out"


@attrs.frozen(kw_only=True)
class MessageEvent:
    """One message that an actor was done with, or sent. Times in seconds.

    Attributes:
        at: absolute Trio time.
        path, generation: the actor that is recorded.
        peer: path of the other side; "" for outside.
        kind: name of the type of the message.
        attempt: how often it was taken in hand.
        wait: from sending to taking it in hand; 0 for OUT.
        seconds: time in the handler, awaits included; for a batch that of the whole batch.
        outcome: ``handled``, ``answered``, ``kept`` (its reply was), ``expired``, ``stashed``,
            ``unknown``, ``ended``, ``cancelled`` or ``raised ...``; for OUT ``told`` or ``asked``:
            what became of it is recorded at the receiver.
    """

    at: float
    path: str
    generation: int
    direction: Direction
    peer: str
    kind: str
    message: object = attrs.field(repr=False)
    attempt: int = 0
    wait: float = 0.0
    seconds: float = 0.0
    outcome: str


Recorder = Callable[[MessageEvent], None]


def record_received(cell: Cell, envelope: Envelope, began: float, outcome: str) -> None:
    """Tell the recorders of a cell how the message that it had in hand went."""
    now = cell.services.clock()
    _tell(
        cell,
        MessageEvent(
            at=now,
            path=cell.path,
            generation=cell.generation,
            direction=Direction.IN,
            peer=envelope.sender,
            kind=type(envelope.message).__name__,
            message=envelope.message,
            attempt=envelope.attempt,
            wait=max(began - envelope.sent_at, 0.0),
            seconds=now - began,
            outcome=outcome,
        ),
    )


def record_sent(cell: Cell, envelope: Envelope, receiver: Cell) -> None:
    """Tell the recorders of a cell what its actor sends."""
    _tell(
        cell,
        MessageEvent(
            at=envelope.sent_at,
            path=cell.path,
            generation=cell.generation,
            direction=Direction.OUT,
            peer=receiver.path,
            kind=type(envelope.message).__name__,
            message=envelope.message,
            outcome="told" if envelope.reply is None else "asked",
        ),
    )


def outcome_of(envelope: Envelope, error: BaseException | None) -> str:
    """Say in a word how the handling of a message went."""
    if isinstance(error, trio.Cancelled):
        return "cancelled"
    if isinstance(error, Signal):
        return error.outcome
    if error is not None:
        return f"raised {error!r}"[:OUTCOME_CHARACTERS_MAX]
    reply = envelope.reply
    if reply is None:
        return "handled"
    return "answered" if reply.carrier is envelope or reply.done else "kept"


def _tell(cell: Cell, event: MessageEvent) -> None:
    for recorder in cell.recorders or ():
        try:
            recorder(event)
        except Exception:  # noqa: BLE001  # who looks must not break what is looked at
            cell.services.reporter.errors += 1
            cell.detach(recorder)


class LastEvents:
    """The newest events of one actor. Made by `Inspection.keep_last`."""

    def __init__(self, cell: Cell, count: int) -> None:
        self._cell = cell
        self._ring: deque[MessageEvent] = deque(maxlen=count)
        cell.attach(self)

    def __call__(self, event: MessageEvent) -> None:
        """Keep an event."""
        self._ring.append(event)

    @property
    def events(self) -> list[MessageEvent]:
        """The newest events, oldest first."""
        return list(self._ring)

    def stop(self) -> None:
        """Keep no more. Idempotent."""
        self._cell.detach(self)


class Trace:
    """Events of one actor up to a number and a time. Made by `Inspection.trace`.

    Iterate over it with ``async for`` to get the events as they come; the iteration ends when the
    trace does.

    Attributes:
        events: what was recorded so far.
        until: when it ends at the latest; absolute Trio time in seconds.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        messages_max: int,
        until: float,
        match: Callable[[MessageEvent], bool] | None,
    ) -> None:
        self.events: list[MessageEvent] = []
        self.until = until
        self._cell = cell
        self._match = match
        self._left = messages_max
        self._news = trio.Event()
        self._read = 0
        self._stopped = False
        cell.attach(self)

    def __call__(self, event: MessageEvent) -> None:
        """Take an event, or take itself off when it is too late for it."""
        if event.at >= self.until:
            self.stop()
        elif self._match is None or self._match(event):
            self.events.append(event)
            self._left -= 1
            if self._left <= 0:
                self.stop()
            self._ring()

    @property
    def active(self) -> bool:
        """Whether it records."""
        return not self._stopped and self._cell.services.clock() < self.until

    def stop(self) -> None:
        """Record no more. Idempotent."""
        self._stopped = True
        self._cell.detach(self)
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def wait_stopped(self) -> list[MessageEvent]:
        """Wait until one of the limits is reached; return the events."""
        await trio.lowlevel.checkpoint()
        while await self._more():
            pass
        return self.events

    async def _more(self) -> bool:
        """Wait for news; False when there will be none."""
        if not self._stopped:
            with trio.move_on_at(self.until):
                await self._news.wait()
                return True
            self.stop()
        return False

    def __aiter__(self) -> Trace:
        """Iterate over the events that come from now on, and those recorded before."""
        return self

    async def __anext__(self) -> MessageEvent:
        """Wait for the next event."""
        await trio.lowlevel.checkpoint()
        while self._read >= len(self.events):
            if not await self._more():
                raise StopAsyncIteration
        self._read += 1
        return self.events[self._read - 1]
