"""Frames: the bytes that any WebSocket client must understand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from actors.frames import Frame


def decode(wire: bytes) -> list[str]:
    """Return the messages that a client reads; a long one comes in several events."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(wire)
    messages = [""]
    for event in client.events():
        assert isinstance(event, TextMessage)
        messages[-1] += event.data
        if event.message_finished:
            messages.append("")
    assert messages.pop() == ""
    return messages


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_another_implementation_reads_every_length_of_frame(length: int) -> None:
    """Each of the three length encodings is read back as one whole text frame."""
    frame = Frame(b"x" * length)

    assert decode(frame.wire) == ["x" * length]
    assert frame.size == len(frame.wire)


@given(st.lists(st.text(max_size=300), max_size=8))
def test_frames_joined_are_read_as_the_same_messages(texts: list[str]) -> None:
    """Several frames in one write are several messages."""
    joined = b"".join(Frame(payload.encode()).wire for payload in texts)

    assert decode(joined) == texts
