"""What a subscription delivers to its consumer, and how frames find their subscription.

A frame says its channel and what it is about, never the subscription that asked for it;
``topic_of`` and ``topic_of_frame`` bring both to the same form. Source: Hyperliquid API
documentation, WebSocket subscriptions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import trio
from attrs import define, field, frozen

from api.client_errors import ClientError, FeedOverflowError

FRAMES_WAITING_MAX: Final = 256
"""Frames that wait for a slow consumer, unless it asks for another bound."""

Topic = tuple[str, str, str]
"""Channel, coin or user, candle interval; empty where a channel has none."""


class Overflow(Enum):
    """What happens to a frame that finds the buffer full."""

    DROP_OLDEST = "drop oldest"
    """The oldest frame goes: right where each frame is a whole state."""
    FAIL = "fail"
    """The consumer gets FeedOverflowError: right where each frame tells something new."""


@frozen
class Frame:
    """One data frame of a subscription, decoded."""

    channel: str
    data: Any


@frozen
class Interruption:
    """The connection was lost; the client reconnects by itself.

    What follows is a new beginning: snapshots come again, and what happened in between is only in
    them.
    """

    reason: str


@define
class Feed:
    """The frames of one subscription, in order of arrival, for one consumer.

    Iterate over it: it gives Frames and Interruptions, and ends only by an error. ``dropped``
    counts the frames that were lost to a full buffer.
    """

    subscription: Mapping[str, Any]
    overflow: Overflow = Overflow.DROP_OLDEST
    frames_waiting_max: int = FRAMES_WAITING_MAX
    dropped: int = 0
    _waiting: deque[Frame | Interruption] = field(init=False, factory=deque)
    _bell: trio.Event = field(init=False, factory=trio.Event)
    _error: ClientError | None = field(init=False, default=None)

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Frame | Interruption:
        """Return the next item, waiting for it.

        Raises:
            ClientError: the feed has ended; its buffer was read to the end before.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._bell = trio.Event()
            await self._bell.wait()
        return self._waiting.popleft()

    def drain_nowait(self) -> list[Frame | Interruption]:
        """Return all items that wait, without waiting."""
        items = list(self._waiting)
        self._waiting.clear()
        return items

    def offer(self, frame: Frame) -> None:
        """Put a frame into the buffer, for the connection."""
        if self._error is not None:
            return
        if len(self._waiting) >= self.frames_waiting_max:
            self.dropped += 1
            if self.overflow is Overflow.FAIL:
                self.fail(FeedOverflowError(self.subscription, self.frames_waiting_max))
                return
            self._waiting.popleft()
        self._waiting.append(frame)
        self._bell.set()

    def interrupt(self, reason: str) -> None:
        """Note that the connection was lost.

        States that wait are void then and are thrown away; what tells something new is kept.
        """
        if self.overflow is Overflow.DROP_OLDEST:
            self._waiting.clear()
        if not self._waiting or not isinstance(self._waiting[-1], Interruption):
            self._waiting.append(Interruption(reason))
        self._bell.set()

    def fail(self, error: ClientError) -> None:
        """End the feed: its consumer gets the error after what waits."""
        if self._error is None:
            self._error = error
        self._bell.set()


_CHANNELS: Final = {"userEvents": "user"}
"""Channels that are not called like their subscription."""

_SAME: Final = {"activeSpotAssetCtx": "activeAssetCtx"}
"""Channels that are called otherwise where the subscription is about a spot pair."""

_OWNERLESS: Final = frozenset({"orderUpdates", "user"})
"""Channels whose frames do not say whose they are."""


def topic_of(subscription: Mapping[str, Any]) -> Topic:
    """Return the topic that the frames of a subscription will have."""
    channel = _CHANNELS.get(subscription["type"], subscription["type"])
    about = "" if channel in _OWNERLESS else subscription.get("coin", subscription.get("user", ""))
    return channel, about, subscription.get("interval", "")


def topic_of_frame(channel: str, data: Any) -> Topic:
    """Return the topic of a data frame."""
    channel = _SAME.get(channel, channel)
    match data:
        case [{"coin": str(coin)}, *_] if channel not in _OWNERLESS:
            return channel, coin, ""
        case {"s": str(coin), "i": str(interval)}:
            return channel, coin, interval
        case {"coin": str(coin)}:
            return channel, coin, ""
        case {"user": str(user)} if channel not in _OWNERLESS:
            return channel, user.lower(), ""
        case _:
            return channel, "", ""
