"""How a node's data stands, for whoever wants to know: readiness, metrics, and staleness."""

from __future__ import annotations

from collections import Counter
from typing import Final

from attrs import define, field

from model.ids import Address, AssetId
from model.node.decimals import InvalidTimeError, time_ms_of
from model.node.lines import Stream

STALE_MS: Final = 10_000
"""How old the newest block may be before readiness fails; a healthy node is 0.2 to 0.6 s behind."""

BEHIND_BLOCKS: Final = 30
"""How far a stream may be behind the others, some two seconds, before it is said to be stuck."""


@define(eq=False)
class NodeStatus:
    """Written by the follower, but for ``followed``, the accounts that the router has views of.

    ``behind`` is by how many blocks each stream is behind the one that is furthest.
    """

    is_started: bool = False
    is_caught_up: bool = False
    height: int = -1
    time_ms: int = 0
    local_time: str = ""
    behind: dict[Stream, int] = field(factory=dict)
    odd: Counter[str] = field(factory=Counter)
    lines: int = 0
    bytes: int = 0
    blocks: int = 0
    rewinds: int = 0
    resets: int = 0
    confirmed: int = 0
    comparisons: int = 0
    in_doubt: int = 0
    assets: dict[str, AssetId] = field(factory=dict)
    coins: list[str] = field(factory=list)
    followed: set[Address] = field(factory=set)
    size_decimals: dict[str, int] = field(factory=dict)

    def list_coin(self, coin: str) -> AssetId:
        """Return the number of a coin, a new one if it is new."""
        asset = self.assets.get(coin)
        if asset is None:
            asset = self.assets[coin] = AssetId(len(self.coins))
            self.coins.append(coin)
        return asset

    def age_ms(self, now_ms: int) -> int:
        """Return how old the newest block is."""
        return now_ms - self.time_ms

    def write_delay_ms(self) -> int | None:
        """Return how long after its time the node wrote the newest block."""
        try:
            return time_ms_of(self.local_time) - self.time_ms
        except InvalidTimeError:
            return None

    def stuck(self) -> list[Stream]:
        """Return the streams that have stopped while others go on.

        Only those that have something to tell in nearly every block.
        """
        dense = (Stream.DIFFS, Stream.STATUSES)
        return [stream for stream in dense if self.behind.get(stream, 0) > BEHIND_BLOCKS]

    def why_not_ready(self, now_ms: int) -> str:
        """Tell why clients should not rely on what is shown now; nothing if they may."""
        if not self.is_started:
            return "the node's files are not open yet"
        if not self.is_caught_up:
            return f"at block {self.height}, catching up"
        if self.age_ms(now_ms) > STALE_MS:
            return f"the newest block, {self.height}, is {self.age_ms(now_ms) // 1_000} s old"
        if stuck := self.stuck():
            return f"the node has stopped writing {', '.join(stuck)}"
        return ""
