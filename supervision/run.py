"""One incarnation of anything: how it starts, how it is stopped and how its end is classified.

Every incarnation has a *work scope*, which its supervisor cancels to stop it, and a *clean-up
scope*, shielded and with a deadline, both made here. User code never needs a shield of its own, and
the framework keeps a handle on the only thing that could hold up a stop.

An exception of the incarnation ends here as an `Exit`. What is not an `Exception` is never
absorbed: a ``Cancelled`` of somebody else's scope, KeyboardInterrupt and their like pass through.
"""

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio
from trio.lowlevel import Task, current_task

from supervision.cell import Cell, Exit, State
from supervision.errors import ControlLaneFull, InitFailed, InitTimeout
from supervision.restarts import ExitKind

if TYPE_CHECKING:
    from supervision.envelope import Reply

StartStatus = trio.TaskStatus[Exit | None]
"""How an incarnation tells of its start: None when it is ready, an `Exit` when it ended before."""


def split_failure(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Split what was raised into what a supervisor may absorb and what must pass through."""
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        failure, stray = error.split(Exception)
        return failure, stray
    return None, error


class Run:
    """What a supervisor knows of an incarnation, whatever runs in it.

    Attributes:
        path: path of the cell.
        ready: its start is done.
        exit: how it ended, once it has.
        stop_at: when it was asked to stop; None if it was not.
        waiting_on: its asks in progress.
    """

    __slots__ = (
        "_done",
        "_finished",
        "cell",
        "exit",
        "generation",
        "path",
        "ready",
        "stop_at",
        "stop_reason",
        "task",
        "waiting_on",
    )
    receives = False
    suspended = False

    def __init__(self, cell: Cell, finished: Callable[["Run"], None]) -> None:
        self.cell = cell
        self.path = cell.path
        self.generation = cell.generation + 1
        self.ready = False
        self.exit: Exit | None = None
        self.stop_at: float | None = None
        self.stop_reason = ""
        self.task: Task | None = None
        self.waiting_on: list[Reply] = []
        self._done: trio.Event | None = None
        self._finished = finished

    async def run(self, *, task_status: StartStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Live from start to end. Runs as a task of the supervisor."""
        raise NotImplementedError

    def request_stop(self, reason: str) -> None:
        """Begin to stop; idempotent, and harmless when it has ended."""
        raise NotImplementedError

    def fail_control_lane(self) -> None:
        """The control lane overflowed; only actors have one that is used."""

    def in_hand_types(self) -> tuple[str, ...]:
        """Names of the types of the messages in hand."""
        return ()

    def in_hand_seconds(self) -> float:
        """Return how long the message or batch in hand has been worked on; 0 if there is none."""
        return 0.0

    def in_hand_contexts(self) -> tuple[object, ...]:
        """What the messages in hand carry, where something was captured."""
        return ()

    async def wait_done(self) -> None:
        """Wait until it has ended, its clean-up included."""
        if self.exit is None:
            if self._done is None:
                self._done = trio.Event()
            await self._done.wait()
        else:
            await trio.lowlevel.checkpoint()

    def _note_stop(self, reason: str) -> bool:
        """Remember the first request to stop; False if there was one, or it has ended."""
        if self.stop_at is not None or self.exit is not None:
            return False
        self.stop_at = self.cell.services.clock()
        self.stop_reason = reason
        return True

    def _become_ready(self, task_status: StartStatus) -> None:
        self.ready = True
        self.cell.ready()
        task_status.started(None)

    def _finish(self, exit: Exit) -> None:
        """Record the end and tell everybody. Synchronous, so that nothing can keep it from them."""
        self.exit = exit
        self.task = None
        self.cell.end(exit)
        if self._done is not None:
            self._done.set()
        self._finished(self)

    def frames(self) -> tuple[str, ...]:
        """Where the task waits, outermost first, as "file:line function"."""
        if self.task is None:
            return ()
        return tuple(
            f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
            for frame, line in self.task.iter_await_frames()
        )


class ScopedRun(Run):
    """An incarnation that is stopped by cancelling its work scope: an actor or a plain task."""

    __slots__ = ("_broken", "_status", "cleanup", "drain_seconds", "shutdown_seconds", "work")

    def __init__(
        self,
        cell: Cell,
        finished: Callable[[Run], None],
        *,
        init_seconds: float,
        shutdown_seconds: float,
        drain_seconds: float = 0.0,
    ) -> None:
        super().__init__(cell, finished)
        self.shutdown_seconds = shutdown_seconds
        self.drain_seconds = drain_seconds
        self.work = trio.CancelScope(relative_deadline=init_seconds)
        self.cleanup: trio.CancelScope | None = None
        self._broken: Exception | None = None
        self._status: StartStatus = trio.TASK_STATUS_IGNORED

    async def run(self, *, task_status: StartStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Start, work, clean up, and tell how it ended."""
        self._status = task_status
        self.task = current_task()
        self.cell.begin(self)
        exit = Exit(ExitKind.STOPPED, reason="cancelled from outside", initialised=False)
        try:
            failure = stray = None
            try:
                with self.work:
                    rest = await self._begin()
                    if rest is not None:
                        await rest
            except BaseException as error:  # noqa: BLE001, ASYNC103
                # What is not a failure is raised below, after the clean-up.
                failure, stray = split_failure(error)
            exit = self._classify(failure, stray)
            self.cell.state = State.STOPPING
            self._settle(exit)
            exit = await self._clean_up_in_scope(exit)
            if stray is not None:
                raise stray
        finally:
            self._last_settlement(exit)
            self._finish(exit)
        if not self.ready:
            task_status.started(exit)

    async def _begin(self) -> Awaitable[None] | None:
        """Start, call `_started`, and return what there is to do until the end, if anything.

        It is returned rather than awaited so that it is awaited two calls deep and not four: of
        what a sleeping actor touches when it is woken, coroutines below it are a large part.
        """
        raise NotImplementedError

    def _started(self) -> None:
        """Become ready, unless the start was called off: the work scope is cancelled by then."""
        self.work.deadline = inf
        if self.stop_at is None:
            self._become_ready(self._status)

    async def _clean_up(self, exit: Exit) -> None:
        """Clean up; runs inside the clean-up scope."""

    def _has_clean_up(self) -> bool:
        """Whether there is anything to clean up; a scope costs as much as a message."""
        return False

    def _settle(self, exit: Exit) -> None:
        """Dispose of the message in hand, before the clean-up."""

    def _last_settlement(self, exit: Exit) -> None:
        """Dispose of what the clean-up left."""

    def _classify(self, failure: Exception | None, stray: BaseException | None) -> Exit:
        if failure is not None:
            return self._classify_failure(failure)
        if stray is not None:
            return self._exit(ExitKind.STOPPED, None, "cancelled from outside")
        if self._broken is not None:
            return self._exit(ExitKind.ABNORMAL, self._broken, "")
        if self.stop_at is not None:
            return self._exit(ExitKind.STOPPED, None, self.stop_reason)
        if self.work.cancelled_caught:
            timeout = InitTimeout(f"{self.path} did not start within its deadline")
            return self._exit(ExitKind.ABNORMAL, timeout, "")
        return self._classify_end()

    def _classify_failure(self, failure: Exception) -> Exit:
        hand = ", ".join(self.in_hand_types())
        failure.add_note(
            f"in {self.path}, generation {self.generation}" + (f", handling {hand}" if hand else "")
        )
        if not self.ready:
            error = InitFailed(f"{self.path} failed to start: {failure!r}")
            error.__cause__ = failure
            failure = error
        return self._exit(ExitKind.ABNORMAL, failure, "")

    def _classify_end(self) -> Exit:
        return self._exit(ExitKind.NORMAL, None, "")

    def _exit(self, kind: ExitKind, cause: Exception | None, reason: str) -> Exit:
        in_hand, contexts = self.in_hand_types(), self.in_hand_contexts()
        return Exit(kind, cause, reason, self.ready, in_hand=in_hand, contexts=contexts)

    async def _clean_up_in_scope(self, exit: Exit) -> Exit:
        """Run the clean-up under its deadline; return the exit with what went wrong in it."""
        if not self._has_clean_up():
            return exit
        since = self.cell.services.clock() if self.stop_at is None else self.stop_at
        error: Exception | None = None
        with trio.CancelScope(shield=True, deadline=since + self._stop_seconds) as self.cleanup:
            try:
                await self._clean_up(exit)
            except Exception as failure:  # noqa: BLE001  # it goes into the exit
                error = failure
        if self.cleanup.cancelled_caught:
            error = TimeoutError(f"{self.path} did not clean up in {self._stop_seconds} s")
        if error is None:
            return exit
        kind = ExitKind.ABNORMAL if exit.kind is ExitKind.NORMAL else exit.kind
        cause = error if exit.kind is ExitKind.NORMAL else exit.cause
        return attrs.evolve(exit, kind=kind, cause=cause, cleanup_error=error)

    @property
    def _stop_seconds(self) -> float:
        return self.shutdown_seconds + self.drain_seconds

    def request_stop(self, reason: str) -> None:
        """Cancel the work scope, or first drain if the specification says so."""
        if not self._note_stop(reason):
            return
        self.cell.state = State.STOPPING
        if not (self.ready and self.drain_seconds > 0 and self._drain()):
            self.work.cancel(reason=f"{self.path}: {reason}")

    def _drain(self) -> bool:
        """Begin to end gracefully within ``drain_seconds``; False if there is no such thing."""
        return False

    def fail_control_lane(self) -> None:
        """End abnormally: somebody sends control messages faster than any correct program."""
        self._broken = ControlLaneFull(self.path)
        self.work.cancel(reason="control lane overflow")
