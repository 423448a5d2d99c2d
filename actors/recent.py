"""The newest durable blocks, kept in memory for a follower that is close behind.

Reading a block back from the journal costs a proof of its digest and a decoding of all its events,
though the process has just had it in its hands. A follower that fell too far behind for this finds
a gap and reads the journal instead.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import define, field

from model.blocks import Block

EVENTS_MAX: Final = 20_000
"""Events that are kept, some 10 MB: about a second of a busy market. The last block always is."""


@define
class RecentBlocks:
    """Durable blocks in unbroken succession, oldest first. Belongs to one follower.

    ``newest`` is the height of the last block that was added, taken or not; 0 before the first.
    ``events`` is how many events wait.
    """

    newest: int = field(init=False, default=0)
    events: int = field(init=False, default=0)
    _waiting: deque[tuple[Block, int]] = field(init=False, factory=deque)

    def add(self, block: Block) -> None:
        """Keep a block that was just made durable; the oldest make room for it."""
        if block.height != self.newest + 1:
            self._waiting.clear()
            self.events = 0
        events = sum(len(entry.events) for entry in block.entries)
        self._waiting.append((block, events))
        self.events += events
        self.newest = block.height
        while self.events > EVENTS_MAX and len(self._waiting) > 1:
            self._drop_oldest()

    def take(self, after: int, events_max: int) -> list[Block]:
        """Return the blocks that follow a height and forget them; none if the next is not here.

        The last one may go beyond ``events_max``.
        """
        while self._waiting and self._waiting[0][0].height <= after:
            self._drop_oldest()
        if not self._waiting or self._waiting[0][0].height != after + 1:
            return []
        taken: list[Block] = []
        end = self.events - events_max
        while self._waiting and (not taken or self.events > end):
            taken.append(self._drop_oldest())
        return taken

    def _drop_oldest(self) -> Block:
        block, events = self._waiting.popleft()
        self.events -= events
        return block
