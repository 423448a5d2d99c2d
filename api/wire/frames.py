"""Frames: what is pushed to subscribers, ``{"channel": ..., "data": ...}`` as bytes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

CHANNELS: Final = {"userEvents": "user"}
"""Channel of a subscription type where the two differ."""

MAIN_DEX: Final = ""
"""Name of the one dex that there is."""


class Notification(msgspec.Struct, frozen=True):
    """Data of a ``notification`` frame."""

    notification: str


_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Return the JSON of a shape."""
    return _encoder.encode(value)


def frame(channel: str, data: Any) -> bytes:
    """Return the frame of a shape."""
    return frame_of(channel, _encoder.encode(data))


def frame_of(channel: str, data: bytes) -> bytes:
    """Return the frame of data that is JSON already."""
    return b'{"channel":"%b","data":%b}' % (channel.encode(), data)


def channel_of(subscription_type: str) -> str:
    """Return the channel on which a type of subscription is pushed."""
    return CHANNELS.get(subscription_type, subscription_type)
