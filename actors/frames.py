"""Frames: an encoded message together with the bytes that carry it over a WebSocket.

A server never masks, so the framing of a message is the same for every client. It is therefore
built once, when the message is encoded, and the same immutable bytes go to every subscriber.

Source: RFC 6455, section 5.2 (base framing), section 5.1 (a server must not mask).
"""

from collections.abc import Hashable

import attrs

_FINAL_TEXT = 0x81
_LENGTH_7_BITS_MAX = 125
_LENGTH_16_BITS_MAX = 0xFFFF
_LENGTH_16_BITS = 126
_LENGTH_64_BITS = 127


def text_header(length: int) -> bytes:
    """Return the header of an unmasked, uncompressed, final text frame.

    Args:
        length: payload length in bytes.
    """
    if length <= _LENGTH_7_BITS_MAX:
        return bytes((_FINAL_TEXT, length))
    if length <= _LENGTH_16_BITS_MAX:
        return bytes((_FINAL_TEXT, _LENGTH_16_BITS)) + length.to_bytes(2, "big")
    return bytes((_FINAL_TEXT, _LENGTH_64_BITS)) + length.to_bytes(8, "big")


@attrs.frozen(eq=False)
class Frame:
    """One encoded message, ready for any number of connections.

    Attributes:
        payload: the message, UTF-8 text (usually one JSON object).
        key: what a conflating subscription replaces by; frames of one key are states of one thing.
        wire: header and payload as they go on the socket.
        size: bytes of `wire`.
    """

    payload: bytes
    key: Hashable = None
    wire: bytes = attrs.field(init=False, repr=False)
    size: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        wire = text_header(len(self.payload)) + self.payload
        object.__setattr__(self, "wire", wire)
        object.__setattr__(self, "size", len(wire))
