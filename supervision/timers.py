"""One task that fires all timers of a system: a heap, not a task a timer."""

import heapq
from itertools import count
from math import inf
from typing import Final

import attrs

from supervision.bell import Bell
from supervision.cell import Cell
from supervision.envelope import Envelope

SPARE_MAX: Final = 64
"""Timers that are over and still held, before anybody looks for them. From there on at most as many
are held as are pending, so that a timer that is set again with every message costs no memory.
"""


@attrs.define(eq=False)
class Timer:
    """A message that will be told to a cell. It waits there at most once at a time."""

    cell: Cell
    message: object
    cancelled: bool = False
    envelope: Envelope | None = None

    @property
    def over(self) -> bool:
        """Whether it was cancelled, or fired and its message was taken in hand."""
        return self.cancelled or (self.envelope is not None and self.envelope.attempt > 0)


class Timers:
    """Pending timers in order of their time. Ties fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._bell = Bell()
        self._cancelled = 0

    def __len__(self) -> int:
        """How many are held: the pending, and some that were cancelled."""
        return len(self._heap)

    def set(self, at: float, cell: Cell, message: object) -> Timer:
        """Tell ``cell`` ``message`` at the absolute Trio time ``at``."""
        timer = Timer(cell, message)
        heapq.heappush(self._heap, (at, next(self._numbers), timer))
        if self._heap[0][2] is timer:
            self._bell.ring()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Cancel a timer, and take its message back if it fired and was not handled."""
        if timer.cancelled:
            return
        timer.cancelled = True
        waiting = timer.envelope
        if waiting is not None:
            if waiting.attempt == 0:
                timer.cell.mailbox.discard(waiting)
            return
        self._cancelled += 1
        if self._cancelled > max(SPARE_MAX, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if not entry[2].cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            await self._bell.wait(self._fire_due())

    def _fire_due(self) -> float:
        """Fire what is due; return when the next one is."""
        heap = self._heap
        while heap:
            at, _, timer = heap[0]
            if timer.cancelled:
                self._cancelled -= 1
            else:
                now = timer.cell.services.clock()
                if at > now:
                    return at
                self._fire(timer, now)
            heapq.heappop(heap)
        return inf

    def _fire(self, timer: Timer, now: float) -> None:
        mailbox = timer.cell.mailbox
        timer.envelope = Envelope(timer.message, None, now, sender=timer.cell.path)
        if mailbox.closed:
            timer.cancelled = True
        else:
            mailbox.push(timer.envelope)


class IdleTimeout:
    """A message to an actor that went to sleep and got no other for some time.

    It is told once in each quiet time. Whatever comes, control messages aside, ends a quiet time.
    """

    __slots__ = ("_cell", "_message", "_seconds", "_seen", "_timer")

    def __init__(self, cell: Cell, seconds: float, message: object) -> None:
        self._cell = cell
        self._seconds = seconds
        self._message = message
        self._timer: Timer | None = None
        self._seen = -1  # messages that had come when the last quiet time began

    def begin(self) -> None:
        """The actor goes to sleep: nothing waits for it."""
        came = self._cell.mailbox.accepted
        if self._timer is not None and self._timer.over:
            self._timer = None
            self._seen += 1  # its own message
        if came != self._seen and not self._cell.mailbox.user:  # there are some if it is suspended
            services = self._cell.services
            at = services.clock() + self._seconds
            self._timer = services.timers.set(at, self._cell, self._message)
            self._seen = came

    def end(self) -> None:
        """The actor was woken: unless only by this, or by nothing that counts, all is undone."""
        timer, user = self._timer, self._cell.mailbox.user
        if timer is not None and user and user[0] is not timer.envelope:
            self.cancel()

    def cancel(self) -> None:
        """Tell nothing."""
        if self._timer is not None:
            self._cell.services.timers.cancel(self._timer)
            self._timer = None


class OwnTimers:
    """The timers of one incarnation, by key."""

    __slots__ = ("_by_key", "_cell", "_look_at")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._by_key: dict[object, Timer] = {}
        self._look_at = SPARE_MAX

    def set(self, key: object, seconds: float, message: object) -> None:
        """See `Context.set_timer`."""
        self.cancel(key)
        services = self._cell.services
        self._by_key[key] = services.timers.set(services.clock() + seconds, self._cell, message)
        if len(self._by_key) > self._look_at:
            self._forget_over()

    def cancel(self, key: object) -> None:
        """See `Context.cancel_timer`."""
        timer = self._by_key.pop(key, None)
        if timer is not None:
            self._cell.services.timers.cancel(timer)

    def cancel_all(self) -> None:
        """The incarnation ends."""
        for key in list(self._by_key):
            self.cancel(key)

    def __len__(self) -> int:
        """How many wait for their time, or fired and wait to be handled."""
        self._forget_over()
        return len(self._by_key)

    def _forget_over(self) -> None:
        self._by_key = {key: timer for key, timer in self._by_key.items() if not timer.over}
        self._look_at = max(SPARE_MAX, 2 * len(self._by_key))
