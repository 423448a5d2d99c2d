"""Blocks: bytes and back, digests, and damage."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from model.blocks import GENESIS_DIGEST, Entry, block_digest, decode_entries, encode_entries, seal
from model.commands import Noop
from model.events import NonceUsed
from tests.model.desk import ALICE, START_MS

ENTRIES = (Entry(Noop(ALICE, START_MS, None, None), (NonceUsed(ALICE, START_MS),)),)


def test_entries_survive_their_encoding() -> None:
    """What was sealed is read back."""
    block, body = seal(height=1, time_ms=START_MS, parent=GENESIS_DIGEST, entries=ENTRIES)

    assert decode_entries(body) == block.entries == ENTRIES
    assert encode_entries(block.entries) == body


def test_digest_covers_everything() -> None:
    """Parent, height, time and contents each change it."""
    body = encode_entries(ENTRIES)
    base = block_digest(parent=GENESIS_DIGEST, height=1, time_ms=START_MS, body=body)
    others = {
        block_digest(parent=base, height=1, time_ms=START_MS, body=body),
        block_digest(parent=GENESIS_DIGEST, height=2, time_ms=START_MS, body=body),
        block_digest(parent=GENESIS_DIGEST, height=1, time_ms=START_MS + 1, body=body),
        block_digest(parent=GENESIS_DIGEST, height=1, time_ms=START_MS, body=body + b"\0"),
    }

    assert len(others | {base}) == 5


@given(st.data())
def test_damaged_entries_raise_one_error(data: st.DataObject) -> None:
    """Any changed byte is a decode error or another block, never anything else."""
    damaged = bytearray(encode_entries(ENTRIES))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_entries(bytes(damaged))
    except msgspec.DecodeError:
        return


def test_damaged_text_is_a_decode_error() -> None:
    """Bytes that are no UTF-8 are damage like any other."""
    with pytest.raises(msgspec.DecodeError):
        decode_entries(encode_entries(ENTRIES).replace(b"0xa", b"\x80xa"))


def test_bytes_of_what_is_not_traced_are_as_they_always_were() -> None:
    """Two elements an entry: digests of old journals stay, and new programs read them."""
    plain = msgspec.msgpack.encode([[one.command, one.events] for one in ENTRIES])

    assert encode_entries(ENTRIES) == plain
    assert all(entry.trace == "" for entry in decode_entries(plain))


def test_trace_of_a_command_is_kept_beside_it() -> None:
    """It is part of the bytes, and only of those of its own entry."""
    [entry] = ENTRIES
    traced = replace(entry, trace="00-1-2-01")
    body = encode_entries([traced, entry])

    assert decode_entries(body) == (traced, entry)
    assert body.endswith(encode_entries([entry])[1:])
    assert body != encode_entries([entry, entry])
