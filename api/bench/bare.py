"""The least that does what an actor does, on bare Trio: the baselines of ``api.bench.actors``."""

from __future__ import annotations

from collections import deque
from typing import Any

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled


async def drain_channel(receive: trio.MemoryReceiveChannel[int]) -> None:
    """Count messages: wait for one, then take all that are there."""
    count = 0
    while True:
        await receive.receive()
        count += 1
        try:
            while True:
                receive.receive_nowait()
                count += 1
        except trio.WouldBlock:
            pass


class ReplyCell:
    """Where the answer to one question goes."""

    __slots__ = ("task", "value")

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task
        self.value: Any = None


class BareServer:
    """A task, a deque and reply cells: no bounds, supervision, deadlines, counters or errors."""

    def __init__(self) -> None:
        self.inbox: deque[tuple[Any, ReplyCell | None]] = deque()
        self.count = 0
        self._parked: Task | None = None

    def tell(self, message: Any) -> None:
        """Send a message."""
        self.inbox.append((message, None))
        self._wake()

    async def ask(self, message: Any) -> Any:
        """Send a message and wait for the answer."""
        cell = ReplyCell(current_task())
        self.inbox.append((message, cell))
        self._wake()

        def abort(_: object) -> Abort:
            cell.task = None
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)
        return cell.value

    def _wake(self) -> None:
        task = self._parked
        if task is not None:
            self._parked = None
            reschedule(task)

    async def serve(self) -> None:
        """Answer every question with itself."""

        def abort(_: object) -> Abort:
            self._parked = None
            return Abort.SUCCEEDED

        while True:
            while self.inbox:
                message, cell = self.inbox.popleft()
                self.count += 1
                if cell is not None and cell.task is not None:
                    cell.value = message
                    reschedule(cell.task)
            self._parked = current_task()
            await wait_task_rescheduled(abort)
