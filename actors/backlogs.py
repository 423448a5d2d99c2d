"""Backlogs: what one subscription keeps while its socket is full.

Two shapes answer two kinds of data. An event must arrive, so its backlog is a bounded queue that
refuses when full. A state is only worth its newest value, so its backlog holds one frame per key:
a newer frame replaces the queued one and keeps its place in the queue, so that a busy key never
pushes a quiet one back.
"""

from collections import deque
from collections.abc import Hashable
from enum import Enum, auto
from typing import Protocol

from actors.frames import Frame

LOSSLESS_FRAMES_MAX = 1_024
"""Some seconds of a busy market's trades; a client further behind than that has lost the thread."""

LOSSLESS_BYTES_MAX = 2 << 20
"""What one slow subscription may keep alive: a thousand frames of ordinary size, or an account's
longest list of fills and what happens while it goes out. A single frame is always taken."""

CONFLATED_KEYS_MAX = 1_024
"""More than there are instruments: a backlog that reaches it was keyed by something unbounded."""

CONFLATED_BYTES_MAX = 4 << 20
"""A whole exchange's books at 2 KB each, with room."""


class Pushed(Enum):
    """What became of a frame given to a backlog."""

    QUEUED = auto()
    REPLACED = auto()
    REFUSED = auto()


class Backlog(Protocol):
    """A bounded queue of frames with a rule for what happens when it is full."""

    size: int
    """Bytes held."""

    def push(self, frame: Frame) -> Pushed:
        """Take the frame, or refuse it and stay as before."""

    def first(self) -> Frame:
        """Return the frame that goes out next; the backlog must not be empty."""

    def drop_first(self) -> None:
        """Forget the frame that `first` returns."""

    def __len__(self) -> int:
        """Return the number of frames held."""


class LosslessBacklog:
    """Every frame in the order given; refuses beyond its bounds."""

    __slots__ = ("_frames", "size")

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self.size = 0

    def push(self, frame: Frame) -> Pushed:
        """Queue the frame, or refuse it when either bound would be passed."""
        full = len(self._frames) >= LOSSLESS_FRAMES_MAX
        if full or (self._frames and self.size + frame.size > LOSSLESS_BYTES_MAX):
            return Pushed.REFUSED
        self._frames.append(frame)
        self.size += frame.size
        return Pushed.QUEUED

    def first(self) -> Frame:
        """Return the oldest frame."""
        return self._frames[0]

    def drop_first(self) -> None:
        """Forget the oldest frame."""
        self.size -= self._frames.popleft().size

    def __len__(self) -> int:
        return len(self._frames)


class ConflatingBacklog:
    """The newest frame of each key, in the order in which the keys began to wait.

    Args:
        keys_max: how many keys may wait; 1 makes this a latest-only backlog.
        keyed: False treats all frames as states of one thing, whatever their keys.
    """

    __slots__ = ("_frames", "_keyed", "_keys_max", "size")

    def __init__(self, *, keys_max: int = CONFLATED_KEYS_MAX, keyed: bool = True) -> None:
        self._frames: dict[Hashable, Frame] = {}
        self._keyed = keyed
        self._keys_max = keys_max
        self.size = 0

    def push(self, frame: Frame) -> Pushed:
        """Queue the frame or put it in the place of an older one of its key."""
        key = frame.key if self._keyed else None
        replaced = self._frames.get(key)
        if replaced is not None:
            self._frames[key] = frame
            self.size += frame.size - replaced.size
            return Pushed.REPLACED
        if len(self._frames) >= self._keys_max or self.size + frame.size > CONFLATED_BYTES_MAX:
            return Pushed.REFUSED
        self._frames[key] = frame
        self.size += frame.size
        return Pushed.QUEUED

    def first(self) -> Frame:
        """Return the frame of the key that has waited longest."""
        return next(iter(self._frames.values()))

    def drop_first(self) -> None:
        """Forget the frame of the key that has waited longest."""
        self.size -= self._frames.pop(next(iter(self._frames))).size

    def __len__(self) -> int:
        return len(self._frames)
