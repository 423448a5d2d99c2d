"""One run on virtual time: it must end, leave no task behind, and all its observers must work."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

VIRTUAL_SECONDS_MAX = 3600.0
"""A run that takes longer counts as hanging; that is only a moment of real time."""

T = TypeVar("T")


def run_virtual(
    function: Callable[[], Awaitable[T]],
    *,
    clock: MockClock | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
    virtual_seconds_max: float = VIRTUAL_SECONDS_MAX,
) -> T:
    """Run an async function in a Trio run of its own whose clock jumps whenever all tasks wait.

    Use it with in-memory input and output only: while a real socket or thread is waited for, the
    clock jumps as well.

    Raises:
        trio.TooSlowError: it did not end in ``virtual_seconds_max``.
        AssertionError: it left a task behind, or an instrument raised. Trio logs that, switches the
            instrument off and goes on; here it counts as a failure.
        Exception: what the function raised.
    """
    clock = MockClock(autojump_threshold=0) if clock is None else clock
    watch = _InstrumentWatch()
    logger = logging.getLogger("trio.abc.Instrument")
    logger.addHandler(watch)
    try:
        value = trio.run(
            _run, function, virtual_seconds_max, clock=clock, instruments=list(instruments)
        )
    finally:
        logger.removeHandler(watch)
    assert not watch.messages, f"an instrument raised and was switched off: {watch.messages[0]}"
    return value


async def _run(function: Callable[[], Awaitable[T]], seconds_max: float) -> T:
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(seconds_max):
        value = await function()
    left = trio.lowlevel.current_statistics().tasks_living - before
    assert left == 0, f"{left} tasks were left behind"
    return value


async def settle() -> None:
    """Wait until no other task can go on at this moment. Virtual time stands still meanwhile."""
    await wait_all_tasks_blocked()


class _InstrumentWatch(logging.Handler):
    """Notes what Trio logs about instruments that raised."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
