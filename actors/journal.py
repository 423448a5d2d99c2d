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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
import trio
from attrs import define, field, frozen

from actors.storage import (
    BrokenJournalError,
    DataDirectory,
    DirectoryLock,
    JournalDiskError,
    JournalError,
    JournalFormatError,
    JournalFullError,
    JournalOrderError,
    Report,
    sync_directory,
)
from model.blocks import GENESIS_DIGEST, Block, block_digest, decode_entries

APPLICATION_ID: Final = 0x5A_41_52_41
SCHEMA_VERSION: Final = 1

PAGE_BYTES: Final = 4096
ROOT_PAGE: Final = 2

ROWS_PER_READ: Final = 256
"""Rows taken in one query.

A reader holds no transaction between queries, so it never keeps the log from shrinking.
"""

BYTES_PER_READ_MAX: Final = 4 * 2**20
"""A query also ends after so many bytes of bodies."""

BUSY_SECONDS_MAX: Final = 5.0
"""How long a statement waits for another process, such as one that recovers the log."""

WAL_BYTES_KEPT: Final = 16 * 2**20
"""A write-ahead log that a slow reader made longer than this is shortened again."""

_SCHEMA: Final = """CREATE TABLE blocks (
    height INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, parent BLOB NOT NULL, body BLOB NOT NULL,
    digest BLOB NOT NULL
)"""
_COLUMNS: Final = "height, time_ms, parent, body, digest"
_SELECT_CHUNK: Final = (
    f"SELECT {_COLUMNS} FROM blocks WHERE height > ? AND height <= ? ORDER BY height LIMIT ?"
)
_SELECT_ONE: Final = f"SELECT {_COLUMNS} FROM blocks WHERE height = ?"

Sealed = tuple[Block, bytes]
"""A block and the canonical bytes of its entries, as ``model.blocks.seal`` returns them."""


class Row(NamedTuple):
    """A block as it is stored; ``body`` is not decoded."""

    height: int
    time_ms: int
    parent: bytes
    body: bytes
    digest: bytes

    def is_whole(self) -> bool:
        """Tell whether types are right and the digest fits the rest."""
        # The annotations say what should be there; bytes from a damaged file can be anything.
        types = tuple(map(type, self))
        return (
            types == (int, int, bytes, bytes, bytes)
            and 0 < self.height < 2**63
            and 0 <= self.time_ms < 2**63
            and self.digest
            == block_digest(
                parent=self.parent, height=self.height, time_ms=self.time_ms, body=self.body
            )
        )

    def block(self) -> Block:
        """Decode the entries.

        Raises:
            BrokenJournalError: the bytes are those that were written, but they are no entries.
        """
        try:
            entries = decode_entries(self.body)
        except msgspec.DecodeError as error:
            raise BrokenJournalError(
                self.height, f"its entries are not readable: {error}"
            ) from error
        return Block(self.height, self.time_ms, self.parent, entries, self.digest)


@frozen
class Head:
    """The last block of the journal."""

    height: int
    digest: bytes
    time_ms: int


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open an SQLite file as ``ro``, ``rw`` or ``rwc``. Transactions are begun by hand."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS_MAX,
        isolation_level=None,
        check_same_thread=False,
    )


Connect = Callable[[Path, str], sqlite3.Connection]
Progress = Callable[[int, int], None]
"""Told now and then: blocks that are done, blocks that there are."""


class JournalReader:
    """Reads a journal, also another process's, and proves each row by the chain of digests.

    Not safe for two threads at once; safe for one after the other.
    """

    def __init__(self, directory: Path | DataDirectory) -> None:
        self._directory = (
            directory if isinstance(directory, DataDirectory) else DataDirectory(directory)
        )
        self._directory.check()
        try:
            self._connection = connect(self._directory.journal, "ro")
            try:
                check_format(self._connection)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise translated(error, height=1) from error

    def head(self) -> Head | None:
        """Return the last block's height, digest and time; ``None`` while there is no block."""
        try:
            return _head(self._connection)
        except sqlite3.Error as error:
            raise translated(error, height=1) from error

    def digest_at(self, height: int) -> bytes:
        """Return the digest of one block.

        Raises:
            BrokenJournalError: it is missing or damaged.
        """
        return self._predecessor(height).digest

    def rows(self, after: int = 0, upto: int | None = None) -> Iterator[Row]:
        """Yield the rows above height ``after``, up to and with ``upto``, ascending, each proven.

        New rows that are committed meanwhile are included.

        Raises:
            BrokenJournalError: the row of that height is damaged or missing; those before it were
                yielded.
        """
        last, more = self._predecessor(after), True
        while more and (upto is None or last.height < upto):
            chunk, more = self._chunk(last.height, upto)
            for row in chunk:
                prove(row, last)
                last = Head(row.height, row.digest, row.time_ms)
                yield row

    def blocks(
        self, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> Iterator[Block]:
        """Yield blocks like ``rows``, decoded, at most ``limit`` of them."""
        if limit is not None:
            upto = after + limit if upto is None else min(upto, after + limit)
        for row in self.rows(after, upto):
            yield row.block()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _chunk(self, after: int, upto: int | None) -> tuple[list[Row], bool]:
        """Read a bounded number of rows; tell whether there may be more.

        Where SQLite stumbles, what comes before is returned first; the next call stumbles at once.
        """
        bound = 2**63 - 1 if upto is None else upto
        rows: list[Row] = []
        size = 0
        try:
            for values in self._connection.execute(_SELECT_CHUNK, (after, bound, ROWS_PER_READ)):
                rows.append(Row(*values))
                size += len(values[3]) if isinstance(values[3], bytes) else 0
                if size >= BYTES_PER_READ_MAX:
                    return rows, True
        except sqlite3.Error as error:
            if not rows:
                raise translated(error, height=after + 1) from error
            return rows, True
        return rows, len(rows) == ROWS_PER_READ

    def _predecessor(self, height: int) -> Head:
        if height == 0:
            return Head(0, GENESIS_DIGEST, 0)
        try:
            values = self._connection.execute(_SELECT_ONE, (height,)).fetchone()
        except sqlite3.Error as error:
            raise translated(error, height=height) from error
        if values is None:
            raise BrokenJournalError(height, "it is not there")
        row = Row(*values)
        if not row.is_whole():
            raise BrokenJournalError(height, "its digest does not fit its bytes")
        return Head(height, row.digest, row.time_ms)


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
        self._head = _head(connection)
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
        from actors.mending import mend  # mending reads journals, and this one is mended first

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
        except sqlite3.Error as error:
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
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
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


def prove(row: Row, last: Head) -> None:
    """See that a row is whole and follows ``last``.

    Raises:
        BrokenJournalError: it does not; named after the height that should stand here.
    """
    height = last.height + 1
    if row.height != height:
        raise BrokenJournalError(height, "it is not there")
    if not row.is_whole():
        raise BrokenJournalError(height, "its digest does not fit its bytes")
    if row.parent != last.digest:
        raise BrokenJournalError(
            height, "it belongs to another history: its parent is not the block before it"
        )
    if row.time_ms < last.time_ms:
        raise BrokenJournalError(height, "its time is before that of the block before it")


def check_format(connection: sqlite3.Connection) -> None:
    """See that a file is a journal of this version.

    Raises:
        JournalFormatError: it is not.
        BrokenJournalError: it is, but its table is not the one that was made.
    """
    application = _pragma(connection, "application_id")
    if application != APPLICATION_ID:
        raise JournalFormatError("the file is not a journal of this program")
    version = _pragma(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise JournalFormatError(
            f"the journal has format {version}; this program reads {SCHEMA_VERSION}"
        )
    schema = connection.execute("SELECT rootpage, sql FROM sqlite_schema").fetchall()
    if schema != [(ROOT_PAGE, _SCHEMA)]:
        raise BrokenJournalError(1, "the table is not the one that was made")


def translated(error: sqlite3.Error, *, height: int) -> JournalError:
    """Return what an error of SQLite means for a journal that was at work on ``height``."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return JournalFullError(f"no room for block {height}: {error}")
    if name.startswith(
        ("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_NOMEM")
    ):
        return JournalDiskError(f"the disk failed at block {height}: {error} ({name})")
    return BrokenJournalError(height, f"{error} ({name or 'no code'})")


def open_for_writing(path: Path, connect: Connect = connect) -> sqlite3.Connection:
    """Open a journal's file; lay it out if it is new.

    Raises:
        JournalFormatError: it is something else.
        sqlite3.Error: see ``translated``.
    """
    is_new = not path.exists()
    connection = connect(path, "rwc")
    try:
        if _is_blank(connection):
            _create(connection)
        check_format(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        # An empty log to start with: frames that a crash left behind cannot be mistaken for new
        # ones.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_new:
            sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Tell whether nobody has put anything into the file, or only half of ``_create`` was done."""
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return tables == 0 and _pragma(connection, "application_id") == 0


def _create(connection: sqlite3.Connection) -> None:
    """Lay out an empty file in one transaction: it is no journal yet or a whole one."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _head(connection: sqlite3.Connection) -> Head | None:
    values = connection.execute(
        "SELECT height, digest, time_ms FROM blocks ORDER BY height DESC LIMIT 1"
    ).fetchone()
    return None if values is None else Head(*values)
