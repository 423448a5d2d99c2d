"""What durable things share: the data directory, its lock, and what can go wrong with it.

    StorageError
    ├── DataDirectoryError
    │   ├── DataDirectoryMissingError    there is no such directory, or nothing in it
    │   └── DataDirectoryInUseError      another process has it open
    ├── JournalError
    │   ├── BrokenJournalError           damaged where it may not be cut: height and reason
    │   ├── JournalFormatError           written by another version, or not a journal
    │   ├── JournalOrderError            the block does not follow the head: a mistake of the caller
    │   ├── JournalFullError             no room on the disk
    │   └── JournalDiskError             the disk or the file system failed
    ├── SnapshotError
    │   └── SnapshotAheadError           a sound snapshot knows blocks that the journal has not
    └── ReplayMismatchError              executing the journal again gave something else

Damage that could be dealt with is not an error. It is returned as a report: ``TailCut``,
``BlocksRescued``, ``SnapshotSkipped``.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field, frozen

from actors.errors import StorageError

PID_TEXT_BYTES_MAX: Final = 32


class DataDirectoryError(StorageError):
    """The directory itself cannot be used."""


class DataDirectoryMissingError(DataDirectoryError):
    """There is no such directory, or no journal in it."""


class DataDirectoryInUseError(DataDirectoryError):
    """Another process has the directory open; ``pid`` names it where it is known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"the data directory {path} is in use by {who}")
        self.path = path
        self.pid = pid


class JournalError(StorageError):
    """The journal cannot be read or written."""


class BrokenJournalError(JournalError):
    """Damaged at ``height``, where it cannot be cut: sound blocks follow, or none precede."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"the journal is broken at block {height}: {reason}")
        self.height = height
        self.reason = reason


class JournalFormatError(JournalError):
    """The file is not a journal of this version."""


class JournalOrderError(JournalError):
    """The block does not follow the journal's head; nothing was written."""


class JournalFullError(JournalError):
    """The disk is full; nothing was written."""


class JournalDiskError(JournalError):
    """The disk failed. What is durable is known after the journal was opened again."""


class SnapshotError(StorageError):
    """A snapshot cannot be read or written."""


class SnapshotAheadError(SnapshotError):
    """A sound snapshot is of a block that the journal lacks: the journal has lost blocks."""

    def __init__(self, snapshot_height: int, journal_height: int) -> None:
        super().__init__(
            f"there is a snapshot of block {snapshot_height}, "
            f"but the journal ends at block {journal_height}"
        )
        self.snapshot_height = snapshot_height
        self.journal_height = journal_height


class ReplayMismatchError(StorageError):
    """Executing block ``height`` again did not give what the journal says."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"replaying block {height} went differently: {reason}")
        self.height = height
        self.reason = reason


@frozen
class TailCut:
    """The journal ends at block ``height`` now: there was only damage behind it.

    ``bytes`` were taken out. ``kept`` is the damaged file, put aside; there is none for a commit
    that the process did not live to finish.
    """

    height: int
    reason: str
    bytes: int
    kept: Path | None


@frozen
class BlocksRescued:
    """Blocks ``first`` to ``last`` stood whole in a damaged write-ahead log and were kept."""

    first: int
    last: int
    reason: str
    kept: Path | None


@frozen
class SnapshotSkipped:
    """A snapshot was not used. It stays where it is until newer ones replace it."""

    path: Path
    reason: str


Report: TypeAlias = TailCut | BlocksRescued | SnapshotSkipped


@frozen
class DataDirectory:
    """Names of everything in a data directory."""

    path: Path = field(converter=Path)

    @property
    def journal(self) -> Path:
        """The journal: the only thing that cannot be made again from the rest."""
        return self.path / "journal.sqlite"

    @property
    def history(self) -> Path:
        """The history: made from the journal, may be deleted at any time."""
        return self.path / "history.sqlite"

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots: made from the journal, may be deleted at any time."""
        return self.path / "snapshots"

    @property
    def lock(self) -> Path:
        """Locked by the one process that may write here; holds its process id."""
        return self.path / "lock"

    def check(self) -> None:
        """See that there is something to read.

        Raises:
            DataDirectoryMissingError: no directory, or no journal in it.
        """
        if not self.path.is_dir():
            raise DataDirectoryMissingError(f"there is no data directory {self.path}")
        if not self.journal.is_file():
            raise DataDirectoryMissingError(f"there is no journal in {self.path}")


@define
class DirectoryLock:
    """The right to write to a data directory, held until ``release`` or the end of the process.

    The kernel drops the lock when the process dies in whatever way, so a lock file that lies around
    means nothing.
    """

    _descriptor: int | None

    @classmethod
    def acquire(cls, directory: DataDirectory) -> DirectoryLock:
        """Take the lock; make the directory if it is not there.

        Raises:
            DataDirectoryInUseError: somebody else has it.
        """
        directory.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise DataDirectoryInUseError(directory.path, pid) from error
        except OSError:
            os.close(descriptor)
            raise
        with suppress(OSError):  # a full disk: who holds the lock is told as a courtesy
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others have the directory. Doing so twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, PID_TEXT_BYTES_MAX, 0)
    return int(text) if text.isdigit() else None


def sync_directory(path: Path) -> None:
    """Make names that were created, renamed or removed in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a directory and need not
            raise
    finally:
        os.close(descriptor)
