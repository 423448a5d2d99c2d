"""What a strike does to the task that has just blocked, or to its world.

`raising` and `delaying` act on one task and use private attributes of Trio's tasks, in the way in
which Trio uses them itself; `tests/architecture/test_seeding.py` notices when they change.
"""

from collections.abc import Callable, Generator
from types import coroutine
from typing import Any, NoReturn

import trio
from trio.lowlevel import Task

from supervision.faults.fault import Fault, Strike


def cancel(fault: Fault) -> None:
    """Cancel the block under test."""
    fault.cancel()


def raising(make: Callable[[str], BaseException] | type[BaseException]) -> Strike:
    """Return a strike that raises an exception at the await at which the task has just blocked.

    It is delivered as Trio delivers a cancellation. The operation that the task waits in is asked
    to let go by its abort function, and if it cannot, nothing is raised in its midst: a blocked
    task that were woken by force would stay registered, and the next wake-up would hit a ghost. A
    nursery takes the exception as if a child had raised it; a pure `trio.lowlevel.checkpoint`
    raises it; the yield after an operation that has already been done does not, since no real
    operation fails after it succeeded. Such steps count as refused.

    Args:
        make: an exception type, or anything that makes one from a text.
    """

    def strike(fault: Fault) -> None:
        assert fault.task is not None
        error = make(f"injected at step {fault.steps}")
        if _throw(fault.task, error):
            fault.injected.append(error)
        else:
            fault.refused = True

    return strike


def _throw(task: Task, error: BaseException) -> bool:
    """Raise an error where a task waits; False if the operation there does not allow it."""
    if task._abort_func is not None:

        def raise_error() -> NoReturn:
            raise error

        task._attempt_abort(raise_error)
        return task._next_send_fn is not None or _is_in_nursery(task)
    if _is_at_checkpoint(task):
        task._next_send_fn, task._next_send = task.coro.throw, error
        return True
    return False


def _is_at_checkpoint(task: Task) -> bool:
    """Tell whether a task yields in a pure checkpoint, where nothing has been done yet."""
    codes = [frame.f_code for frame, _ in task.iter_await_frames()]
    first_half = (trio.lowlevel.checkpoint, trio.lowlevel.cancel_shielded_checkpoint)
    return _contains(codes, [function.__code__ for function in first_half])


def _contains(codes: list[Any], pair: list[Any]) -> bool:
    return any(codes[i : i + 2] == pair for i in range(len(codes) - 1))


def _is_in_nursery(task: Task) -> bool:
    """Tell whether a task waits for the children of a nursery, which has noted the error."""
    frames = [frame.f_code.co_qualname for frame, _ in task.iter_await_frames()]
    return any(name == "Nursery._nested_child_finished" for name in frames)


def jumping(seconds: float) -> Strike:
    """Return a strike that moves the virtual clock, so that deadlines and timers fall due."""

    def strike(fault: Fault) -> None:
        fault.clock.jump(seconds)

    return strike


def delaying(seconds: float) -> Strike:
    """Return a strike that keeps the task from going on for a while after it is woken.

    What it was woken with, a value or a cancellation, is kept and arrives later.
    """

    def strike(fault: Fault) -> None:
        task = fault.task
        assert task is not None
        late = _late(task, task.coro, seconds)
        late.send(None)
        task.coro = late  # type: ignore[assignment]
        if task._next_send_fn is not None:
            task._next_send_fn = late.send

    return strike


@coroutine
def _late(task: Task, inner: Any, seconds: float) -> Generator[Any, Any, Any]:
    """Stand in for a task's coroutine: take its next wake-up, sleep, and hand it on."""
    outcome = yield None
    yield from _sleep_through(seconds).__await__()
    task.coro = inner
    try:
        trap = inner.send(outcome)
    except StopIteration as end:
        return end.value
    yield trap  # the last one from here: Trio resumes the task's own coroutine next
    return None


async def _sleep_through(seconds: float) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
