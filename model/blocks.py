"""Blocks: the commands executed together, what they caused, and the digests that chain them.

A block's digest covers its parent's digest and its own bytes, so equal digests at one height mean
equal histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from model.commands import Command
from model.events import Event

DIGEST_BYTES: Final = 32
GENESIS_DIGEST: Final = bytes(DIGEST_BYTES)
"""Parent of the first block."""


class Entry(Struct, frozen=True, array_like=True):
    """One command and the events that it caused, in order.

    ``trace`` is where the command stands in a trace (W3C ``traceparent``), for who reads it later;
    almost always it is empty, and then not part of the bytes.
    """

    command: Command
    events: tuple[Event, ...]
    trace: str = ""


class Block(Struct, frozen=True, array_like=True):
    """The unit of durability and of publication.

    ``height`` counts from 1; ``time_ms`` never decreases.
    """

    height: int
    time_ms: int
    parent: bytes
    entries: tuple[Entry, ...]
    digest: bytes


_encoder = msgspec.msgpack.Encoder()
_entries_decoder = msgspec.msgpack.Decoder(tuple[Entry, ...])


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Return the canonical bytes of a block's entries."""
    return _encoder.encode([one if one.trace else (one.command, one.events) for one in entries])


def decode_entries(body: bytes) -> tuple[Entry, ...]:
    """Read back what encode_entries wrote.

    Raises:
        msgspec.DecodeError: the bytes are damaged.
    """
    try:
        return _entries_decoder.decode(body)
    except UnicodeDecodeError as error:  # a damaged text is damage like any other
        raise msgspec.DecodeError(str(error)) from error


def block_digest(*, parent: bytes, height: int, time_ms: int, body: bytes) -> bytes:
    """Return the digest of a block whose entries encode to ``body``."""
    head = parent + height.to_bytes(8, "big") + time_ms.to_bytes(8, "big")
    return blake2b(head + body, digest_size=DIGEST_BYTES).digest()


def seal(
    *, height: int, time_ms: int, parent: bytes, entries: Sequence[Entry]
) -> tuple[Block, bytes]:
    """Make a block of its parts; return it with the canonical bytes of its entries."""
    kept = tuple(entries)
    body = encode_entries(kept)
    digest = block_digest(parent=parent, height=height, time_ms=time_ms, body=body)
    return Block(height, time_ms, parent, kept, digest), body
