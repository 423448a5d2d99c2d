"""Reading a journal: of this process or of another one, each row proven by the chain of digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from actors.journal_file import (
    SQLITE_ERRORS,
    Head,
    Row,
    check_format,
    connect,
    prove,
    read_head,
    translated,
)
from actors.storage import BrokenJournalError, DataDirectory
from model.blocks import GENESIS_DIGEST, Block

ROWS_PER_READ: Final = 256
"""Rows taken in one query.

A reader holds no transaction between queries, so it never keeps the log from shrinking.
"""

BYTES_PER_READ_MAX: Final = 4 * 2**20
"""A query also ends after so many bytes of bodies."""

_COLUMNS: Final = "height, time_ms, parent, body, digest"
_SELECT_CHUNK: Final = (
    f"SELECT {_COLUMNS} FROM blocks WHERE height > ? AND height <= ? ORDER BY height LIMIT ?"
)
_SELECT_ONE: Final = f"SELECT {_COLUMNS} FROM blocks WHERE height = ?"


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
        except SQLITE_ERRORS as error:
            raise translated(error, height=1) from error

    def head(self) -> Head | None:
        """Return the last block's height, digest and time; ``None`` while there is no block."""
        try:
            return read_head(self._connection)
        except SQLITE_ERRORS as error:
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
        except SQLITE_ERRORS as error:
            if not rows:
                raise translated(error, height=after + 1) from error
            return rows, True
        return rows, len(rows) == ROWS_PER_READ

    def _predecessor(self, height: int) -> Head:
        if height == 0:
            return Head(0, GENESIS_DIGEST, 0)
        try:
            values = self._connection.execute(_SELECT_ONE, (height,)).fetchone()
        except SQLITE_ERRORS as error:
            raise translated(error, height=height) from error
        if values is None:
            raise BrokenJournalError(height, "it is not there")
        row = Row(*values)
        if not row.is_whole():
            raise BrokenJournalError(height, "its digest does not fit its bytes")
        return Head(height, row.digest, row.time_ms)
