import errno
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from actors.snapshots import (
    KEPT,
    DamagedSnapshotError,
    Disk,
    Snapshot,
    Snapshots,
    decode,
    encode,
)
from actors.storage import SnapshotError, SnapshotSkipped

SNAPSHOT = Snapshot(7, bytes(range(32)), bytes(range(32, 64)), b"the state" * 40)


class FaultyDisk(Disk):
    """Fails at its n-th step; a failing write leaves half of its bytes behind."""

    def __init__(self, fails_at: int, error: int) -> None:
        self.steps_left = fails_at
        self.error = error

    def _step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            raise OSError(self.error, "disk fault made by the test")

    def write(self, path: Path, content: bytes) -> None:
        try:
            self._step()
        except OSError:
            path.write_bytes(content[: len(content) // 2])
            raise
        super().write(path, content)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync(self, folder: Path) -> None:
        self._step()
        super().sync(folder)


@given(height=st.integers(1, 2**63), dump=st.binary(max_size=300))
def test_bytes_round_trip(height: int, dump: bytes) -> None:
    """What was encoded is decoded again."""
    snapshot = evolve(SNAPSHOT, height=height, dump=dump)

    assert decode(encode(snapshot)) == snapshot


def test_every_flipped_or_missing_byte_is_noticed() -> None:
    """No single damaged byte, and no length but the right one, passes."""
    content = encode(SNAPSHOT)
    flipped = [
        content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :] for at in range(len(content))
    ]
    cut = [content[:length] for length in range(len(content))]
    for damaged in [*flipped, *cut, content + b"\0"]:
        with pytest.raises(DamagedSnapshotError):
            decode(damaged)


@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_no_snapshot(content: bytes) -> None:
    """Bytes from anywhere are refused as damaged and never raise anything else."""
    with pytest.raises(DamagedSnapshotError):
        decode(content)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    """Only the newest few stay, and they load newest first."""
    snapshots = Snapshots(tmp_path / "snapshots")
    for height in range(1, KEPT + 3):
        snapshots.save(evolve(SNAPSHOT, height=height))

    heights = [one.height for one in snapshots.load_all() if isinstance(one, Snapshot)]
    assert heights == [5, 4, 3]


def test_a_damaged_one_is_skipped_with_a_reason(tmp_path: Path) -> None:
    """A damaged snapshot is reported and the next older one follows."""
    snapshots = Snapshots(tmp_path)
    snapshots.save(SNAPSHOT)
    newest = snapshots.save(evolve(SNAPSHOT, height=8))
    newest.write_bytes(newest.read_bytes()[:-1])

    skipped, older = snapshots.load_all()
    assert isinstance(skipped, SnapshotSkipped)
    assert skipped.path == newest
    assert older == SNAPSHOT


def test_a_renamed_one_is_skipped(tmp_path: Path) -> None:
    """A snapshot under a name that tells another height is not believed."""
    snapshots = Snapshots(tmp_path)
    path = snapshots.save(SNAPSHOT)
    path.rename(path.with_name(f"{9:020d}.snapshot"))

    (skipped,) = snapshots.load_all()
    assert isinstance(skipped, SnapshotSkipped)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_failed_save_leaves_the_older_ones(tmp_path: Path, step: int, error: int) -> None:
    """Whichever step of a save fails, the error is named and a whole snapshot is still found."""
    Snapshots(tmp_path).save(SNAPSHOT)
    with pytest.raises(SnapshotError) as caught:
        Snapshots(tmp_path, FaultyDisk(step, error)).save(evolve(SNAPSHOT, height=8))

    found = list(Snapshots(tmp_path).load_all())
    assert isinstance(caught.value.__cause__, OSError)
    assert SNAPSHOT in found
    assert all(isinstance(one, Snapshot) for one in found)


def test_what_a_crash_left_unfinished_is_swept_up(tmp_path: Path) -> None:
    """Half a file of a crashed save is never loaded and goes away with the next save."""
    unfinished = tmp_path / f"{8:020d}.unfinished"
    unfinished.write_bytes(b"half")
    snapshots = Snapshots(tmp_path)
    before = list(snapshots.load_all())
    snapshots.save(SNAPSHOT)

    assert before == []
    assert not unfinished.exists()


def test_those_above_a_cut_are_set_aside(tmp_path: Path) -> None:
    """Snapshots of blocks that were cut off are renamed, not deleted, and no longer found."""
    snapshots = Snapshots(tmp_path)
    snapshots.save(SNAPSHOT)
    snapshots.save(evolve(SNAPSHOT, height=8))
    (report,) = snapshots.set_aside(above=7)

    assert report.path.exists()
    assert list(snapshots.load_all()) == [SNAPSHOT]
