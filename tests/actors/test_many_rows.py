import sqlite3
from contextlib import closing
from pathlib import Path

from actors.many_rows import delete_keys, insert_rows


def test_rows_of_every_count_are_written(tmp_path: Path) -> None:
    """Any number of rows goes in and out, whatever statements they are divided among."""
    table = "numbers (number)"
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, times INTEGER)")
        for count in (0, 1, 7, 8, 9, 63, 64, 65, 200):
            insert_rows(connection, table, [(number,) for number in range(count)])
            kept = [number for (number,) in connection.execute("SELECT number FROM numbers")]
            delete_keys(connection, "numbers", "number", range(1, count))
            (left,) = connection.execute("SELECT count(*) FROM numbers").fetchone()
            connection.execute("DELETE FROM numbers")

            assert kept == list(range(count))
            assert left == min(count, 1)
