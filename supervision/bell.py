"""A bell for the one task that serves an inbox: anybody rings it, the task waits for it."""

from math import inf

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled


class Bell:
    """Wakes one waiting task. A ring with nobody waiting is kept for the next wait."""

    __slots__ = ("_rung", "_task")

    def __init__(self) -> None:
        self._rung = False
        self._task: Task | None = None

    def ring(self) -> None:
        """Wake the waiting task, or let its next wait return at once. Never blocks."""
        task = self._task
        if task is None:
            self._rung = True
        else:
            self._task = None
            reschedule(task)

    async def wait(self, until: float = inf) -> None:
        """Wait for a ring or for the absolute Trio time ``until``. Always a checkpoint."""
        if self._rung:
            self._rung = False
            await trio.lowlevel.checkpoint()
        elif until == inf:
            await self._park()
        else:
            with trio.CancelScope(deadline=until):
                await self._park()

    async def _park(self) -> None:
        assert self._task is None, "a bell wakes one task"

        def abort(_: object) -> Abort:
            self._task = None
            return Abort.SUCCEEDED

        self._task = current_task()
        await wait_task_rescheduled(abort)
