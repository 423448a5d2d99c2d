"""The incarnation of a plain task: an HTTP server, a reader of a socket."""

from collections.abc import Callable
from typing import Any

import trio

from supervision.address import current_run
from supervision.cell import Cell, State
from supervision.run import Run, ScopedRun
from supervision.spec import Task


class _Status:
    """The ``task_status`` of a plain task."""

    def __init__(self, started: Callable[[], None]) -> None:
        self._started = started

    def started(self, value: Any = None) -> None:
        """Report that the task is ready; what it passes is of no interest to a supervisor."""
        self._started()


class TaskRun(ScopedRun):
    """One run of a plain async function."""

    __slots__ = ("_spec",)

    def __init__(
        self,
        cell: Cell,
        spec: Task,
        finished: Callable[[Run], None],
        *,
        init_seconds: float,
        shutdown_seconds: float,
    ) -> None:
        super().__init__(
            cell, finished, init_seconds=init_seconds, shutdown_seconds=shutdown_seconds
        )
        self._spec = spec

    async def _begin(self) -> None:
        current_run.set(None)
        status: trio.TaskStatus[None] = _Status(self._started)
        await self._spec.run(status)
        if not self.ready:
            raise RuntimeError("the task returned before it called task_status.started()")

    def request_stop(self, reason: str) -> None:
        """Ask the task to end if it can be asked, and cancel it when its time is over."""
        if self.exit is not None or self.stop_at is not None:
            return
        stop = self._spec.stop
        if stop is None or not self.ready or self.shutdown_seconds == 0:
            super().request_stop(reason)
            return
        self._note_stop(reason)
        self.cell.state = State.STOPPING
        self.work.deadline = self.cell.services.clock() + self.shutdown_seconds
        stop()
