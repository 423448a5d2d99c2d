import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.journal import AsyncJournal, Journal
from actors.journal_file import connect
from actors.journal_reader import JournalReader
from actors.storage import (
    BrokenJournalError,
    DataDirectory,
    DataDirectoryInUseError,
    DataDirectoryMissingError,
    JournalDiskError,
    JournalFormatError,
    JournalFullError,
    JournalOrderError,
)
from tests.actors.chains import chain


def test_an_empty_journal_has_no_head(tmp_path: Path) -> None:
    """A new journal has no head and no blocks."""
    with Journal.open(tmp_path / "data") as journal:
        assert journal.head() is None
        assert list(journal.blocks()) == []


@given(sizes=st.lists(st.integers(0, 30), max_size=12), groups=st.integers(1, 5))
def test_what_was_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], groups: int
) -> None:
    """Any sequence of blocks, committed in any groups, is read back after reopening."""
    path = tmp_path_factory.mktemp("journal")
    sealed = list(chain(sizes))
    with Journal.open(path) as journal:
        for start in range(0, len(sealed), groups):
            journal.append(sealed[start : start + groups])

    with Journal.open(path) as journal:
        head = journal.head()
        assert list(journal.blocks()) == [block for block, _ in sealed]
    assert (head.height if head else 0) == len(sealed)


def test_blocks_are_read_in_bounds(tmp_path: Path) -> None:
    """Readers get the blocks above one height, up to another, and no more than the limit."""
    with Journal.open(tmp_path) as journal:
        journal.append(list(chain([1] * 600)))

        assert [block.height for block in journal.blocks(after=590)] == list(range(591, 601))
        assert [block.height for block in journal.blocks(after=2, upto=4)] == [3, 4]
        assert [block.height for block in journal.blocks(after=2, limit=1)] == [3]
        assert len(list(journal.blocks())) == 600


def test_a_reader_beside_the_writer_sees_what_is_committed(tmp_path: Path) -> None:
    """A reader on its own connection sees each commit as soon as it is made."""
    sealed = list(chain([1, 1]))
    with Journal.open(tmp_path) as journal, journal.reader() as reader:
        journal.append(sealed[:1])
        first = reader.head()
        journal.append(sealed[1:])
        second = reader.head()

    assert first is not None
    assert second is not None
    assert (first.height, second.height) == (1, 2)


def test_a_block_that_does_not_follow_is_refused(tmp_path: Path) -> None:
    """A gap, a repetition and a foreign parent are refused, and nothing of the group is written."""
    first, second, third = chain([1, 1, 1])
    other = list(chain([2, 2]))
    with Journal.open(tmp_path) as journal:
        journal.append([first])
        for group in ([first], [third], [second, second], [other[1]]):
            with pytest.raises(JournalOrderError):
                journal.append(group)

        head = journal.head()
    assert head is not None
    assert head.height == 1


def test_one_directory_has_one_writer(tmp_path: Path) -> None:
    """The second who opens a directory is told by which process it is used, until that closes."""
    with Journal.open(tmp_path), pytest.raises(DataDirectoryInUseError) as caught:
        Journal.open(tmp_path)

    assert caught.value.pid is not None
    Journal.open(tmp_path).close()


def test_a_reader_names_a_missing_directory(tmp_path: Path) -> None:
    """Reading where nothing is says so and creates nothing."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataDirectoryMissingError):
            JournalReader(path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_journal_that_was_only_begun_is_begun_again(tmp_path: Path, done: int) -> None:
    """A process that died while it laid out the file does not stand in the way of the next."""
    steps = ["PRAGMA page_size = 4096", "PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE"]
    connection = connect(tmp_path / "journal.sqlite", "rwc")
    for statement in steps[:done]:
        connection.execute(statement)
    connection.close()

    with Journal.open(tmp_path) as journal:
        journal.append(list(chain([1])))
        assert journal.reports == ()


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A database of somebody else is refused and left alone."""
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()

    with pytest.raises(JournalFormatError):
        Journal.open(tmp_path)


def test_a_flipped_byte_is_found_while_reading(tmp_path: Path) -> None:
    """Reading yields the sound blocks, then names the height of the damaged one."""
    with Journal.open(tmp_path) as journal:
        journal.append(list(chain([1] * 10)))
    connection = connect(DataDirectory(tmp_path).journal, "rw")
    connection.execute("UPDATE blocks SET body = x'00' WHERE height = 5")
    connection.close()

    heights: list[int] = []
    with JournalReader(tmp_path) as reader, pytest.raises(BrokenJournalError) as caught:
        heights.extend(row.height for row in reader.rows())
    assert caught.value.height == 5


class FaultyConnection(sqlite3.Connection):
    """Fails one statement, before or after it took effect, like a disk would."""

    fails_at: str | None = None
    error = "SQLITE_IOERR_FSYNC"
    after = False

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        is_victim = self.fails_at is not None and sql.startswith(self.fails_at)
        if is_victim and not self.after:
            raise self._fault()
        cursor = super().execute(sql, *args)
        if is_victim:
            raise self._fault()
        return cursor

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if self.fails_at == "INSERT":
            raise self._fault()
        return super().executemany(sql, *args)

    def _fault(self) -> sqlite3.OperationalError:
        fault = sqlite3.OperationalError("disk fault made by the test")
        fault.sqlite_errorname = self.error
        return fault


def faulty(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{path}?mode={mode}", uri=True, isolation_level=None, factory=FaultyConnection
    )


@pytest.mark.parametrize(
    ("statement", "blocks"), [("INSERT", 1), ("BEGIN", 2), ("INSERT", 2), ("COMMIT", 2)]
)
@pytest.mark.parametrize(
    ("error", "raised"),
    [("SQLITE_FULL", JournalFullError), ("SQLITE_IOERR_WRITE", JournalDiskError)],
)
def test_a_failed_append_leaves_the_last_commit(
    tmp_path: Path, statement: str, blocks: int, error: str, raised: type[Exception]
) -> None:
    """Whichever step fails, the head stays, the cause is kept, and the blocks can be retried."""
    first, *others = chain([1] * (1 + blocks))
    journal = Journal.open(tmp_path, connect=faulty)
    connection = journal._connection
    assert isinstance(connection, FaultyConnection)
    journal.append([first])
    connection.fails_at, connection.error = statement, error
    with pytest.raises(raised) as caught:
        journal.append(others)
    connection.fails_at = None
    heights = [block.height for block in journal.blocks()]
    journal.append(others)
    head = journal.head()
    journal.close()

    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert heights == [1]
    assert head is not None
    assert head.height == 1 + blocks


def test_a_disk_that_cannot_be_undone_stops_the_journal(tmp_path: Path) -> None:
    """When even the way back fails, no append is tried until the journal was opened again."""
    first, second = chain([1, 1])
    journal = Journal.open(tmp_path, connect=faulty)
    connection = journal._connection
    assert isinstance(connection, FaultyConnection)
    journal.append([first])
    connection.fails_at = ""
    with pytest.raises(JournalDiskError):
        journal.append([second])
    connection.fails_at = None
    with pytest.raises(JournalDiskError):
        journal.append([second])
    journal.close()

    with Journal.open(tmp_path) as again:
        again.append([second])


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """SQLite's own refusal to grow is a JournalFullError; smaller blocks still go in afterwards."""
    sealed = list(chain([1, 4000]))
    small = list(chain([1, 1]))[1]
    with Journal.open(tmp_path) as journal:
        journal.append(sealed[:1])
        journal._connection.execute("PRAGMA max_page_count = 8")
        with pytest.raises(JournalFullError):
            journal.append(sealed[1:])
        journal.append([small])

        assert [block.height for block in journal.blocks()] == [1, 2]


async def test_a_commit_that_began_is_waited_for(tmp_path: Path) -> None:
    """Cancelling a commit in progress does not leave its outcome open."""
    first, second = chain([1, 1])
    journal = await AsyncJournal.open(tmp_path)
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.commit([first])
    assert scope.cancelled_caught
    assert journal.head() is None

    with trio.CancelScope() as late:
        append = journal.journal.append

        def append_while_cancelled(blocks: Any) -> None:
            trio.from_thread.run_sync(late.cancel, trio_token=token)
            append(blocks)

        token = trio.lowlevel.current_trio_token()
        journal.journal.append = append_while_cancelled  # type: ignore[method-assign]
        await journal.commit([first, second])
    head = journal.head()
    await journal.aclose()

    assert head is not None
    assert head.height == 2
