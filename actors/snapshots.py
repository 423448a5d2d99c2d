"""Snapshots: the state after some block, in a file, so that a start need not replay everything.

A snapshot is never needed, only quicker. It is bound to the journal by the digest of its block and
to its own content by a digest of the state and a checksum over the whole file, so a damaged or
foreign one is noticed and the next older one is taken.

A file is written aside, synced, renamed, and its directory synced: a name that ends in
``.snapshot`` is always whole. Layout, big endian: magic, format, height, digest of the block,
digest of the state, length of what follows, checksum over all of it; then the state, deflated.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final

from attrs import define, field, frozen

from actors.storage import SnapshotError, SnapshotSkipped, sync_directory
from model.blocks import DIGEST_BYTES

KEPT: Final = 3
"""Snapshots kept: the newest, and two to fall back on."""

FORMAT: Final = 1
_MAGIC: Final = b"ZARASNAP"
_HEADER: Final = Struct(f">8sIQ{DIGEST_BYTES}s{DIGEST_BYTES}sQ")
_CHECKSUM_BYTES: Final = 32
_NAME: Final = re.compile(r"(\d{20})\.snapshot", re.ASCII)
_ASIDE: Final = ".unfinished"
_DEFLATE_LEVEL: Final = 1
"""A fifth of the size at about 100 MB/s; higher levels cost more time than the disk saves."""


@frozen
class Snapshot:
    """A state: ``dump`` is what ``Exchange.dump`` returned after block ``height``."""

    height: int
    block_digest: bytes
    state_digest: bytes
    dump: bytes = field(repr=False)


class DamagedSnapshotError(SnapshotError):
    """The file is not a whole snapshot of this format."""


class Disk:
    """The steps on disk, one method each, so that a test can make any of them fail."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a new file and make its content durable."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its final name, in place of whatever had it."""
        old.replace(new)

    def sync(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        sync_directory(folder)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink(missing_ok=True)


@define
class Snapshots:
    """The snapshots in one folder. Blocks on the disk; belongs in a worker thread."""

    folder: Path
    disk: Disk = field(factory=Disk)

    def save(self, snapshot: Snapshot) -> Path:
        """Write a snapshot, then drop all but the newest KEPT.

        Raises:
            SnapshotError: the disk refused. Older snapshots are as they were.
        """
        final = self.path_of(snapshot.height)
        aside = final.with_suffix(_ASIDE)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.disk.write(aside, encode(snapshot))
            self.disk.rename(aside, final)
            self.disk.sync(self.folder)
        except OSError as error:
            with suppress(OSError):
                self.disk.remove(aside)
            raise SnapshotError(f"cannot write the snapshot {final.name}: {error}") from error
        self._drop_old()
        return final

    def path_of(self, height: int) -> Path:
        """Return the name of the snapshot of a height."""
        return self.folder / f"{height:020d}.snapshot"

    def paths(self) -> list[Path]:
        """Return the files that are named like snapshots, newest first."""
        if not self.folder.is_dir():
            return []
        return sorted(filter(_is_snapshot, self.folder.iterdir()), reverse=True)

    def load_all(self) -> Iterator[Snapshot | SnapshotSkipped]:
        """Load newest first; in the place of a damaged one, say why it was skipped."""
        for path in self.paths():
            try:
                yield load(path)
            except SnapshotError as error:
                yield SnapshotSkipped(path, str(error))

    def set_aside(self, above: int) -> list[SnapshotSkipped]:
        """Rename those above a height: no longer found, but still there to be looked at."""
        reports = []
        for path in self.paths():
            if height_in_name(path) > above:
                aside = path.with_suffix(".cut")
                self.disk.rename(path, aside)
                reports.append(SnapshotSkipped(aside, f"the journal was cut after block {above}"))
        if reports:
            self.disk.sync(self.folder)
        return reports

    def _drop_old(self) -> None:
        """Remove what is no longer needed. A file that stays costs room and nothing else."""
        unfinished = self.folder.glob(f"*{_ASIDE}")
        for path in [*self.paths()[KEPT:], *unfinished]:
            with suppress(OSError):
                self.disk.remove(path)


def height_in_name(path: Path) -> int:
    """Return the height that a snapshot's name tells."""
    match = _NAME.fullmatch(path.name)
    assert match is not None, f"not the name of a snapshot: {path.name}"
    return int(match[1])


def load(path: Path) -> Snapshot:
    """Read one snapshot.

    Raises:
        DamagedSnapshotError: it is not whole, or its name tells another height.
        SnapshotError: the disk refused.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"cannot read the snapshot {path.name}: {error}") from error
    snapshot = decode(content)
    if snapshot.height != height_in_name(path):
        raise DamagedSnapshotError(f"its name does not tell its height, {snapshot.height}")
    return snapshot


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot's file."""
    payload = zlib.compress(snapshot.dump, _DEFLATE_LEVEL)
    header = _HEADER.pack(
        _MAGIC, FORMAT, snapshot.height, snapshot.block_digest, snapshot.state_digest, len(payload)
    )
    return header + _checksum(header, payload) + payload


def decode(content: bytes) -> Snapshot:
    """Read back what ``encode`` wrote.

    Raises:
        DamagedSnapshotError: these are not exactly such bytes.
    """
    start = _HEADER.size + _CHECKSUM_BYTES
    if len(content) < start:
        raise DamagedSnapshotError("the file is too short")
    header, checksum, payload = (
        content[: _HEADER.size],
        content[_HEADER.size : start],
        content[start:],
    )
    magic, version, height, block_digest, state_digest, length = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise DamagedSnapshotError("the file is not a snapshot")
    if version != FORMAT:
        raise DamagedSnapshotError(f"it has format {version}; this program reads {FORMAT}")
    if length != len(payload):
        raise DamagedSnapshotError(f"it should hold {length} bytes and holds {len(payload)}")
    if checksum != _checksum(header, payload):
        raise DamagedSnapshotError("its checksum does not fit its bytes")
    return Snapshot(height, block_digest, state_digest, zlib.decompress(payload))


def _checksum(header: bytes, payload: bytes) -> bytes:
    return blake2b(header + payload, digest_size=_CHECKSUM_BYTES).digest()


def _is_snapshot(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None
