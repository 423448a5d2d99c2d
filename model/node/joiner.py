"""Puts the lines of several streams together into blocks.

Diffs alone decide how far the chain is: a block is closed when its diffs are complete. By block
that is when its line is there; streaming, when the diffs of a later block are. So no diff can come
too late to its block, however the files are scheduled. A closed block waits a moment for the
statuses, and by block for the other streams, which have a line for it too. What comes later still
is attached to the next block, and keeps its own height and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct, field

from model.node.lines import INTEGER_MAX, Diff, Fill, Form, Line, Misc, Problem, Status, Stream
from model.node.sequence import Loss

GRACE_MS: Final = 100
"""How long a block that has its diffs waits for its other streams."""

PENDING_BLOCKS_MAX: Final = 4_096
"""Blocks that wait for their diffs, some five minutes. The oldest then lose what they have."""

PENDING_EVENTS_MAX: Final = 1_000_000
"""Events that wait likewise."""

LOSSES_WAITING_MAX: Final = 1_000
"""Losses that wait for a block to be told with. Further ones are told together."""


class Late(Struct):
    """What was added to a block that is closed already."""

    height: int
    time_ms: int
    statuses: list[Status]
    fills: list[Fill]
    misc: list[Misc]

    @property
    def events(self) -> int:
        """How many events it holds."""
        return len(self.statuses) + len(self.fills) + len(self.misc)


class NodeBlock(Struct):
    """What a node tells of one block, and what it left out before.

    ``block_time`` and ``local_time`` are the node's texts; the latter is the last time of writing.
    """

    height: int
    time_ms: int
    block_time: str = ""
    local_time: str = ""
    diffs: list[Diff] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    misc: list[Misc] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events it holds."""
        return len(self.diffs) + len(self.statuses) + len(self.fills) + len(self.misc)


class Joiner:
    """Joins the streams of one node.

    ``height`` is that of the last block that was closed; ``dropped`` counts the events that were
    given up because too much waited.
    """

    def __init__(self, form: Form, streams: frozenset[Stream], height: int = -1) -> None:
        self.height = height
        self.dropped = 0
        self._form = form
        awaited = {Stream.STATUSES} if form is Form.STREAMING else set(streams)
        self._awaited = frozenset(awaited & streams) - {Stream.DIFFS}
        self._pending: dict[int, NodeBlock] = {}
        self._heights: list[int] = []
        self._events = 0
        self._complete = dict.fromkeys(streams, height)
        self._losses: list[Loss] = []
        self._late: list[Late] = []
        self._late_events = 0
        self._waiting_since_ms: int | None = None

    def add(self, line: Line) -> None:
        """Take a line that is news."""
        height = line.height
        complete = height if self._form is Form.BLOCK else height - 1
        stream = line.stream
        self._complete[stream] = max(self._complete[stream], complete)
        if height <= self.height:
            self._add_late(line)
            return
        block = self._pending.get(height)
        if block is None:
            block = self._pending[height] = NodeBlock(height, line.time_ms, line.block_time)
            heappush(self._heights, height)
        block.local_time = max(block.local_time, line.local_time)
        if line.problems:
            block.problems += line.problems
        self._events += len(line.events)
        _put(line, block)
        if self._events > PENDING_EVENTS_MAX or len(self._heights) > PENDING_BLOCKS_MAX:
            self._bound()

    def pass_over(self, stream: Stream, height: int) -> None:
        """Take note that a stream has come to a height with something that nobody wants."""
        complete = height if self._form is Form.BLOCK else height - 1
        self._complete[stream] = max(self._complete[stream], complete)

    def lose(self, losses: list[Loss]) -> None:
        """Take note of losses; each is told with the first block that it may concern."""
        for loss in losses:
            self._lose(loss)

    def closed(self, now_ms: int) -> Iterator[NodeBlock]:
        """Yield the blocks that are complete, or have waited long enough, oldest first."""
        ready = self._complete[Stream.DIFFS]
        while self._heights and self._heights[0] <= ready:
            height = self._heights[0]
            if any(self._complete[stream] < height for stream in self._awaited):
                if self._waiting_since_ms is None:
                    self._waiting_since_ms = now_ms
                if now_ms - self._waiting_since_ms < GRACE_MS:
                    return
            else:
                self._waiting_since_ms = None
            yield self._close(height)

    def wait_ms(self, now_ms: int) -> int | None:
        """Return how long to wait for ``closed`` to have more by time alone; None if it cannot."""
        since = self._waiting_since_ms
        if since is None or not self._heights or self._heights[0] > self._complete[Stream.DIFFS]:
            return None
        return max(since + GRACE_MS - now_ms, 0)

    def end(self, stream: Stream) -> None:
        """Wait for a stream no longer: its files are at their end, and nobody adds to them."""
        if stream is not Stream.DIFFS:
            self._complete[stream] = INTEGER_MAX

    def furthest_behind(self, streams: Iterable[Stream]) -> Stream:
        """Return which of some streams should be read next."""
        return min(streams, key=lambda stream: self._complete[stream])

    def flush(self) -> Iterator[NodeBlock]:
        """Yield all that is left, at the end of files that nobody adds to."""
        while self._heights:
            yield self._close(self._heights[0])

    def take_losses(self) -> list[Loss]:
        """Return the losses that no block has told of yet."""
        losses, self._losses = self._losses, []
        return losses

    def behind(self) -> dict[Stream, int]:
        """Return by how many blocks each stream is behind the one that is furthest."""
        furthest = max(self._complete.values())
        return {stream: furthest - complete for stream, complete in self._complete.items()}

    def _close(self, height: int) -> NodeBlock:
        heappop(self._heights)
        block = self._pending.pop(height)
        self._events -= block.events
        self.height = height
        if self._losses:
            block.losses = [loss for loss in self._losses if loss.first <= height]
            self._losses = [loss for loss in self._losses if loss.first > height]
        block.late, self._late, self._late_events = self._late, [], 0
        return block

    def _add_late(self, line: Line) -> None:
        if line.stream is Stream.DIFFS:
            what = "diffs came after their block was closed"
            self._lose(Loss(line.stream, line.height, line.height, what))
            return
        late = Late(line.height, line.time_ms, [], [], [])
        _put(line, late)
        self._late.append(late)
        self._late_events += late.events
        while len(self._late) > PENDING_BLOCKS_MAX or self._late_events > PENDING_EVENTS_MAX:
            events = self._late.pop(0).events
            self.dropped += events
            self._late_events -= events

    def _bound(self) -> None:
        """Let go of the oldest: their diffs do not come, or there are too many in one block."""
        while len(self._heights) > PENDING_BLOCKS_MAX or self._events > PENDING_EVENTS_MAX:
            height = heappop(self._heights)
            block = self._pending.pop(height)
            self._events -= block.events
            self.dropped += block.events
            self.height = max(self.height, height)
            self._complete[Stream.DIFFS] = max(self._complete[Stream.DIFFS], height)
            what = "more events than can be kept" if block.diffs else "the diffs did not come"
            self._lose(Loss(Stream.DIFFS, height, height, what))

    def _lose(self, loss: Loss) -> None:
        """Keep a loss until a block tells of it; one that goes on where the last ended with it."""
        losses = self._losses
        if losses and losses[-1].is_followed_by(loss):
            loss = losses.pop().with_all_of(loss)
        losses.append(loss)
        if len(losses) > LOSSES_WAITING_MAX:
            losses[:2] = [losses[0].with_all_of(losses[1])]


def _put(line: Line, block: NodeBlock | Late) -> None:
    """Add a line's events, which are all of its stream's kind, to a block."""
    stream, events = line.stream, line.events
    if stream is Stream.STATUSES:
        block.statuses += events  # type: ignore[arg-type]
    elif stream is Stream.FILLS:
        block.fills += events  # type: ignore[arg-type]
    elif stream is Stream.MISC:
        block.misc += events  # type: ignore[arg-type]
    elif isinstance(block, NodeBlock):
        block.diffs += events  # type: ignore[arg-type]
