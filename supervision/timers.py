"""One task that fires all timers of a system: a heap, not a task a timer."""

import heapq
from itertools import count
from math import inf

import attrs

from supervision.bell import Bell
from supervision.cell import Cell
from supervision.envelope import Envelope


@attrs.define(eq=False)
class Timer:
    """A message that will be told to a cell. It waits there at most once at a time."""

    cell: Cell
    message: object
    cancelled: bool = False
    envelope: Envelope | None = None


class Timers:
    """Pending timers in order of their time. Ties fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._bell = Bell()

    def set(self, at: float, cell: Cell, message: object) -> Timer:
        """Tell ``cell`` ``message`` at the absolute Trio time ``at``."""
        timer = Timer(cell, message)
        heapq.heappush(self._heap, (at, next(self._numbers), timer))
        if self._heap[0][2] is timer:
            self._bell.ring()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Cancel a timer, and take its message back if it fired and was not handled."""
        timer.cancelled = True
        waiting = timer.envelope
        if waiting is not None and waiting.attempt == 0:
            timer.cell.mailbox.discard(waiting)

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            await self._bell.wait(self._fire_due())

    def _fire_due(self) -> float:
        """Fire what is due; return when the next one is."""
        heap = self._heap
        while heap:
            at, _, timer = heap[0]
            if not timer.cancelled:
                now = timer.cell.services.clock()
                if at > now:
                    return at
                self._fire(timer, now)
            heapq.heappop(heap)
        return inf

    def _fire(self, timer: Timer, now: float) -> None:
        mailbox = timer.cell.mailbox
        if not mailbox.closed:
            timer.envelope = Envelope(timer.message, None, now, sender=timer.cell.path)
            mailbox.push(timer.envelope)
