"""What the hot path writes down about itself: plain numbers, given names only when they are read.

A histogram here is a list of counts and costs one bisection to write to, about a quarter of a
microsecond; a client library's costs a label look-up and a lock more. `actors.telemetry` turns them
into metrics whenever somebody scrapes.

The hop clock follows a signed action from hop to hop, each as the time since it was received:

    checked     it was read and its signer recovered
    sequenced   its block began to execute
    committed   its block was durable
    published   its block was handed to the views of markets and accounts
    written     its answer was given to the socket, or over HTTP to the server

Its answer does not wait for the views, so the last two come in either order.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Final, Protocol

import trio
from attrs import Factory, define, field

BOUNDS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of the buckets in seconds, 10 us to 10 s; what took longer is in one more."""

HOPS: Final = ("checked", "sequenced", "committed", "published", "written")
BLOCKS_MAX: Final = 64
"""Blocks of which the hop clock knows the times. An answer that comes after so many more has only
its first and its last hop measured."""
WAITING_MAX: Final = 4_096
"""Answered actions of one block whose publication is still to be measured; more are left out."""
GENERATIONS: Final = 3
"""Generations of the garbage collector."""


class Traced(Protocol):
    """What is traced, such as a step of `actors.carried`."""

    @property
    def traceparent(self) -> str:
        """As W3C Trace Context writes it."""
        ...


@define(eq=False)
class Durations:
    """A histogram of seconds.

    Attributes:
        counts: by bucket, not cumulated; the last one has no bound.
        total: sum of all.
        exemplars: of a bucket, the newest traced one: its ``traceparent``, value and Unix time.
    """

    counts: list[int] = Factory(lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    exemplars: dict[int, tuple[str, float, float]] = Factory(dict)

    def observe(self, seconds: float, step: Traced | None = None) -> None:
        """Count one; ``step`` is what it is traced as, if it is."""
        bucket = bisect_left(BOUNDS, seconds)
        self.counts[bucket] += 1
        self.total += seconds
        if step is not None:
            self.exemplars[bucket] = (step.traceparent, seconds, time.time())

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.counts)


@define(eq=False)
class _Block:
    height: int
    sequenced_at: float
    committed_at: float
    published_at: float | None = None
    waiting: list[tuple[float, Traced | None]] = Factory(list)


@define(eq=False)
class HopClock:
    """Where the time of an action goes. Times are Trio's, in seconds.

    Attributes:
        hops: time since the action was received, by hop.
    """

    hops: dict[str, Durations] = Factory(lambda: {hop: Durations() for hop in HOPS})
    _blocks: list[_Block | None] = field(init=False, factory=lambda: [None] * BLOCKS_MAX)

    def block_committed(self, height: int, *, sequenced_at: float, committed_at: float) -> None:
        """Note when a block began and was durable."""
        self._blocks[height % BLOCKS_MAX] = _Block(height, sequenced_at, committed_at)

    def block_published(self, height: int, now: float) -> None:
        """Note that a block was handed to its views."""
        block = self._blocks[height % BLOCKS_MAX]
        if block is None or block.height != height or block.published_at is not None:
            return
        block.published_at = now
        published = self.hops["published"]
        for received_at, step in block.waiting:
            published.observe(now - received_at, step)
        block.waiting.clear()

    def executed(self, height: int, received_at: float, step: Traced | None) -> None:
        """Measure an action that is answered, by the block that its receipt names.

        A receipt names an older block where the action changed nothing; that one tells nothing.
        """
        block = self._blocks[height % BLOCKS_MAX]
        if block is None or block.height != height or block.sequenced_at < received_at:
            return
        hops = self.hops
        hops["sequenced"].observe(block.sequenced_at - received_at, step)
        hops["committed"].observe(block.committed_at - received_at, step)
        if block.published_at is not None:
            hops["published"].observe(block.published_at - received_at, step)
        elif len(block.waiting) < WAITING_MAX:
            block.waiting.append((received_at, step))


class LoopClock(trio.abc.Instrument):
    """Measures the passes of Trio's loop: how long what is ready may wait for its turn."""

    def __init__(self) -> None:
        self.passes = Durations()
        self._woke_at: float | None = None

    def after_io_wait(self, timeout: float) -> None:
        """The loop has something to do."""
        self._woke_at = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        """All that was ready has run."""
        if self._woke_at is not None:
            self.passes.observe(time.perf_counter() - self._woke_at)


@define(eq=False)
class ProcessClock:
    """What holds up everybody: the loop's passes, and the collector's pauses by generation."""

    loop: LoopClock = Factory(LoopClock)
    pauses: tuple[Durations, ...] = Factory(lambda: tuple(Durations() for _ in range(GENERATIONS)))
    _began_at: float = field(init=False, default=0.0)
    _stop: Callable[[], None] | None = field(init=False, default=None)

    def start(self) -> None:
        """Begin to measure, inside Trio."""
        note = self._note_collection
        trio.lowlevel.add_instrument(self.loop)
        gc.callbacks.append(note)

        def stop() -> None:
            trio.lowlevel.remove_instrument(self.loop)
            gc.callbacks.remove(note)

        self._stop = stop

    def stop(self) -> None:
        """Measure no longer; nothing happens if it does not."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _note_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_at = time.perf_counter()
        else:
            self.pauses[info["generation"]].observe(time.perf_counter() - self._began_at)
