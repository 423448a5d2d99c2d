"""The journal: every block, once, in order, in one SQLite file.

A row is a block: height, time, digest of its parent, canonical bytes of its entries, digest. The
digest covers the bytes and the parent's digest, so a reader proves each row as it reads: no other
checksum is needed to notice a flipped bit, a missing row or one that was put in. SQLite supplies
atomic appends: write-ahead log, ``synchronous=FULL``, one transaction and one fsync for as many
blocks as come together.

``Journal`` is the one writer of a data directory and holds its lock. ``JournalReader`` is any
number of readers, also in other processes. Both block on the disk and belong in worker threads;
``AsyncJournal`` puts the writer there. What happens to damage is decided once, while opening: see
``actors.mending`` and docs/decisions/0010.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio
from attrs import define, field

from actors.journal_file import (
    SQLITE_ERRORS,
    Connect,
    Head,
    Progress,
    Row,
    connect,
    open_for_writing,
    prove,
    read_head,
    translated,
)
from actors.journal_reader import JournalReader
from actors.mending import mend
from actors.storage import (
    BrokenJournalError,
    DataDirectory,
    DirectoryLock,
    JournalError,
    JournalFullError,
    JournalOrderError,
    Report,
)
from model.blocks import GENESIS_DIGEST, Block

_INSERT: Final = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)"

Sealed = tuple[Block, bytes]
"""A block and the canonical bytes of its entries, as ``model.blocks.seal`` returns them."""


class Journal:
    """The one writer of a data directory's journal.

    Safe to use from one thread at a time. Open it with ``Journal.open``; ``reports`` says what that
    had to mend.
    """

    def __init__(
        self,
        directory: DataDirectory,
        lock: DirectoryLock,
        connection: sqlite3.Connection,
        reports: Sequence[Report] = (),
    ) -> None:
        self.directory = directory
        self.reports = tuple(reports)
        self._lock = lock
        self._connection = connection
        self._head = read_head(connection)
        self._failure: JournalError | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        check_after: int = 0,
        progress: Progress | None = None,
        connect: Connect = connect,
    ) -> Journal:
        """Lock a data directory, mend its journal and open it; make both where they are not there.

        Every block above ``check_after`` is read and proven first.

        Raises:
            DataDirectoryInUseError: another process, or another journal of this one, has it.
            JournalFormatError: the file is something else.
            BrokenJournalError: it is damaged where it may not be cut.
            JournalDiskError, JournalFullError: the disk refuses.
        """
        directory = DataDirectory(path)
        lock = DirectoryLock.acquire(directory)
        try:
            reports = mend(directory, check_after=check_after, progress=progress)
            connection = open_for_writing(directory.journal, connect)
            try:
                return cls(directory, lock, connection, reports)
            except BaseException:
                connection.close()
                raise
        except SQLITE_ERRORS as error:
            lock.release()
            raise translated(error, height=1) from error
        except BaseException:
            lock.release()
            raise

    def head(self) -> Head | None:
        """Return the last block's height, digest and time; ``None`` while there is no block."""
        return self._head

    def append(self, blocks: Sequence[Sealed]) -> None:
        """Make blocks durable, all or none.

        Raises:
            JournalOrderError: they do not follow the head; nothing was written.
            JournalFullError: no room; nothing was written.
            JournalDiskError: the disk failed. If it could not be brought back to the last commit,
                every append fails from now on: what is durable is known only after the journal
                was opened again.
        """
        if self._failure is not None:
            raise self._failure
        rows, head = self._in_order(blocks)
        if not rows:
            return
        try:
            self._write(rows)
        except sqlite3.Error as error:
            raise self._undo(error) from error
        self._head = head

    def reader(self) -> JournalReader:
        """Return a reader on a connection of its own."""
        return JournalReader(self.directory)

    def blocks(
        self, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> Iterator[Block]:
        """Yield blocks as ``JournalReader.blocks`` does, on a connection of their own."""
        with self.reader() as reader:
            yield from reader.blocks(after, upto, limit)

    def close(self) -> None:
        """Move the write-ahead log into the main file, close, and let others have the directory."""
        with suppress(sqlite3.Error):  # the log is durable where it is
            self._connection.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _in_order(self, blocks: Sequence[Sealed]) -> tuple[list[Row], Head | None]:
        head, rows = self._head, []
        for block, body in blocks:
            row = Row(block.height, block.time_ms, block.parent, body, block.digest)
            last = head or Head(0, GENESIS_DIGEST, 0)
            try:
                prove(row, last)
            except BrokenJournalError as error:
                raise JournalOrderError(
                    f"block {row.height} cannot follow block {last.height}: {error.reason}"
                ) from error
            rows.append(row)
            head = Head(row.height, row.digest, row.time_ms)
        return rows, head

    def _write(self, rows: list[Row]) -> None:
        # Each statement gives the interpreter's lock away and has to get it back, which beside a
        # busy event loop takes up to a switch interval: a block alone is one statement, not three.
        if len(rows) == 1:
            self._connection.execute(_INSERT, rows[0])
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, rows)
        self._connection.execute("COMMIT")

    def _undo(self, error: sqlite3.Error) -> JournalError:
        """Return to the last commit; return the error to raise.

        A failed fsync leaves whole frames in the write-ahead log that a crash would bring back to
        life. Moving the log into the main file and emptying it takes them away. If that fails too,
        nobody knows what is durable.
        """
        failure = translated(error, height=(self._head.height if self._head else 0) + 1)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            busy = 1
        if busy and not isinstance(failure, JournalFullError):
            self._failure = failure
        return failure


@define
class AsyncJournal:
    """A journal whose writes run in a worker thread, one at a time.

    Cancellation reaches a commit only before it began. One that began is waited for, so its outcome
    is always known.
    """

    journal: Journal
    _limiter: trio.CapacityLimiter = field(init=False, factory=lambda: trio.CapacityLimiter(1))

    @classmethod
    async def open(
        cls, path: Path, *, check_after: int = 0, progress: Progress | None = None
    ) -> AsyncJournal:
        """Open a journal in a worker thread, as ``Journal.open`` does."""
        opened = await trio.to_thread.run_sync(
            lambda: Journal.open(path, check_after=check_after, progress=progress)
        )
        return cls(opened)

    def head(self) -> Head | None:
        """Return the last block's height, digest and time; ``None`` while there is no block."""
        return self.journal.head()

    async def commit(self, blocks: Sequence[Sealed]) -> None:
        """Make blocks durable as ``Journal.append`` does."""
        await trio.to_thread.run_sync(self.journal.append, blocks, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close, even when cancelled."""
        with trio.CancelScope(shield=True):  # bounded: one checkpoint of a bounded log
            await trio.to_thread.run_sync(self.journal.close, limiter=self._limiter)
