"""Many rows to one SQLite statement.

SQLite works without the interpreter's lock, but each statement gives it away and has to get it
back. Beside a busy event loop that is a wait of up to a switch interval, so a row to a statement
(``executemany``) is as slow as some 200 rows a second there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

ROWS_PER_STATEMENT: Final = (64, 8, 1)
"""Sizes of a statement that takes many rows; more in one gain nothing."""


def insert_rows(
    connection: sqlite3.Connection,
    into: str,
    rows: Sequence[tuple[object, ...]],
    conflict: str = "",
) -> None:
    """Insert rows.

    Args:
        connection: to the file.
        into: the table, and its columns where not all are given.
        rows: their values.
        conflict: the clause that says what happens to a row whose key is there.
    """
    for batch in _batches(rows):
        row = f"({', '.join('?' * len(batch[0]))})"
        values = ", ".join([row] * len(batch))
        connection.execute(
            f"INSERT INTO {into} VALUES {values} {conflict}",
            [value for row in batch for value in row],
        )


def delete_keys(
    connection: sqlite3.Connection, table: str, column: str, keys: Sequence[int]
) -> None:
    """Delete the rows of these keys, many to a statement."""
    for batch in _batches(keys):
        marks = ", ".join("?" * len(batch))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", batch)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Divide into pieces of a few sizes, so that there are few statements to prepare."""
    start = 0
    for size in ROWS_PER_STATEMENT:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size
