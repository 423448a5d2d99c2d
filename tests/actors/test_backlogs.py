"""Backlogs: bounds, order and replacement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.backlogs import (
    CONFLATED_KEYS_MAX,
    LOSSLESS_BYTES_MAX,
    LOSSLESS_FRAMES_MAX,
    Backlog,
    ConflatingBacklog,
    LosslessBacklog,
    Pushed,
)
from actors.frames import Frame


def empty(backlog: Backlog) -> list[Frame]:
    frames = []
    while len(backlog):
        frames.append(backlog.first())
        backlog.drop_first()
    assert backlog.size == 0
    return frames


def test_a_lossless_backlog_refuses_beyond_its_number_of_frames() -> None:
    """The frame after the last place is refused and what waits stays as it was."""
    backlog = LosslessBacklog()
    frames = [Frame(b"%d" % number) for number in range(LOSSLESS_FRAMES_MAX)]

    assert all(backlog.push(frame) is Pushed.QUEUED for frame in frames)
    assert backlog.push(Frame(b"more")) is Pushed.REFUSED
    assert empty(backlog) == frames


def test_a_lossless_backlog_refuses_beyond_its_bytes() -> None:
    """Few large frames fill a backlog as many small ones do."""
    backlog = LosslessBacklog()

    assert backlog.push(Frame(bytes(LOSSLESS_BYTES_MAX - 100))) is Pushed.QUEUED
    assert backlog.push(Frame(bytes(200))) is Pushed.REFUSED
    assert backlog.push(Frame(bytes(20))) is Pushed.QUEUED


def test_a_lossless_backlog_takes_one_frame_of_any_size() -> None:
    """A snapshot larger than the bound waits alone rather than end its subscription."""
    backlog = LosslessBacklog()

    assert backlog.push(Frame(bytes(LOSSLESS_BYTES_MAX * 2))) is Pushed.QUEUED
    assert backlog.push(Frame(b"x")) is Pushed.REFUSED


def test_a_conflating_backlog_refuses_beyond_its_keys() -> None:
    """A new key is refused when all places are taken; a known key still gets its newest frame."""
    backlog = ConflatingBacklog()
    for key in range(CONFLATED_KEYS_MAX):
        backlog.push(Frame(b"old", key))

    assert backlog.push(Frame(b"new", "another")) is Pushed.REFUSED
    assert backlog.push(Frame(b"new", 7)) is Pushed.REPLACED


def test_a_new_state_keeps_the_place_of_the_old_one() -> None:
    """A busy key does not push itself back behind a quiet one, nor the quiet one for ever."""
    backlog = ConflatingBacklog()
    for key in "abcab":
        backlog.push(Frame(f"{key}{len(backlog)}".encode(), key))

    assert [frame.payload for frame in empty(backlog)] == [b"a3", b"b3", b"c2"]


@pytest.mark.parametrize("keyed", [True, False])
@given(pushes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=60))
def test_a_conflating_backlog_holds_the_last_frame_of_each_key(
    keyed: bool, pushes: list[tuple[int, int]]
) -> None:
    """Whatever is pushed, what comes out is the last of each key, in order of first arrival."""
    backlog = ConflatingBacklog(keyed=keyed)
    last: dict[int | None, Frame] = {}

    for key, length in pushes:
        frame = Frame(bytes(length), key)
        backlog.push(frame)
        last[key if keyed else None] = frame

    assert backlog.size == sum(frame.size for frame in last.values())
    assert empty(backlog) == list(last.values())
