"""The journal's file: its layout, what a row is, and how a row is proven.

Everything about the SQLite file that reader, writer and mending must agree on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from attrs import frozen

from actors.storage import (
    BrokenJournalError,
    JournalDiskError,
    JournalError,
    JournalFormatError,
    JournalFullError,
    sync_directory,
)
from model.blocks import Block, block_digest, decode_entries

APPLICATION_ID: Final = 0x5A_41_52_41
SCHEMA_VERSION: Final = 2
"""Grows with the tables and with what the exchange makes of commands, since replaying must give the
same."""

PAGE_BYTES: Final = 4096
ROOT_PAGE: Final = 2

BUSY_SECONDS_MAX: Final = 5.0
"""How long a statement waits for another process, such as one that recovers the log."""

WAL_BYTES_KEPT: Final = 16 * 2**20
"""A write-ahead log that a slow reader made longer than this is shortened again."""

_SCHEMA: Final = """CREATE TABLE blocks (
    height INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, parent BLOB NOT NULL, body BLOB NOT NULL,
    digest BLOB NOT NULL
)"""


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


SQLITE_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite may raise over a damaged file; the second when its message quotes damaged bytes."""


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


def translated(error: Exception, *, height: int) -> JournalError:
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
        if is_blank(connection):
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


def is_blank(connection: sqlite3.Connection) -> bool:
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


def read_head(connection: sqlite3.Connection) -> Head | None:
    """Return the last row's height, digest and time; ``None`` where there is no row."""
    values = connection.execute(
        "SELECT height, digest, time_ms FROM blocks ORDER BY height DESC LIMIT 1"
    ).fetchone()
    return None if values is None else Head(*values)
