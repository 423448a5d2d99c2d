"""What is done about a damaged journal before it is used. The blocks decide, by their digests.

The question is always the same: after the last block that can be read in unbroken succession, is
there anything whole?

* Nothing whole follows: this was the tail. It is cut, and the program starts.
* The very next blocks are whole, but SQLite cannot reach them (a flipped bit early in the
  write-ahead log hides all
  that was committed after it): they are taken over. Nothing is lost.
* Whole blocks follow behind a hole: history would have to be invented. The journal is refused, with
the height.

Whatever is taken out or replaced is kept beside the journal under a name with ``.damaged``. A
journal that has to be changed is written anew and put in place by renames, so a crash in the middle
of mending leaves the old one or the new one. Why the decision is not left to SQLite:
docs/decisions/0010-journal-damage.md.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final

from attrs import field, frozen

from actors.journal_file import (
    PAGE_BYTES,
    SQLITE_ERRORS,
    Head,
    Progress,
    Row,
    connect,
    is_blank,
    open_for_writing,
    prove,
)
from actors.journal_reader import JournalReader
from actors.pages import RawPages, WriteAheadLog, read_log
from actors.snapshots import Snapshots
from actors.storage import (
    BlocksRescued,
    BrokenJournalError,
    DataDirectory,
    JournalError,
    Report,
    TailCut,
    sync_directory,
)
from model.blocks import GENESIS_DIGEST

RESCUED_BLOCKS_MAX: Final = 10_000
"""Most blocks that are taken over without being asked; they are held in memory meanwhile."""

NEWEST_PAGES: Final = 1_024
"""Pages at the end of the file that surely hold the last leaf: at most eight rows of a leaf have
overflow pages, and a block of a thousand commands needs about sixty."""

ROWS_PER_COMMIT: Final = 1_000
BLOCKS_PER_PROGRESS: Final = 10_000
_GENESIS: Final = Head(0, GENESIS_DIGEST, 0)


@frozen
class Findings:
    """What the files hold: ``last`` ends what can be read, ``flaw`` tells why if it should not."""

    last: Head
    flaw: JournalError | None
    log: WriteAheadLog = field(repr=False)
    rescued: list[Row] = field(factory=list, repr=False)
    whole_above: int | None = None

    @property
    def end(self) -> Head:
        """The last block that can be kept."""
        if not self.rescued:
            return self.last
        row = self.rescued[-1]
        return Head(row.height, row.digest, row.time_ms)

    @property
    def may_have_lost(self) -> bool:
        """Tell whether there may have been blocks that can neither be read nor rescued."""
        commits = sum(frame.commit_pages > 0 for frame in self.log.claimed)
        return self.flaw is not None or not self.rescued or len(self.rescued) < commits

    @property
    def reason(self) -> str:
        """Say what was wrong."""
        if isinstance(self.flaw, BrokenJournalError):
            return f"block {self.flaw.height}: {self.flaw.reason}"
        if self.log.claimed:
            return "the write-ahead log is damaged"
        return "a commit was never finished"


def mend(
    directory: DataDirectory, *, check_after: int = 0, progress: Progress | None = None
) -> list[Report]:
    """Make a data directory's journal fit for use; the caller holds its lock.

    Args:
        directory: whose journal.
        check_after: blocks up to this height were checked before and are not read again.
        progress: told now and then how many blocks were checked, and how many there seem to be.

    Returns:
        What was found and done; nothing for a sound journal.

    Raises:
        BrokenJournalError: it is damaged where it may not be cut. Nothing was changed.
        JournalFormatError: the file is no journal, or of another version.
        JournalError: the disk failed.
    """
    _finish_replacing(directory)
    if _is_new(directory):
        return []
    found = examine(directory, check_after=check_after, progress=progress)
    if found.flaw is None and not found.log.stray:
        return []
    if found.whole_above is not None:
        raise BrokenJournalError(
            found.end.height + 1,
            f"{found.reason}; behind it block {found.whole_above} stands whole",
        ) from found.flaw
    if found.flaw is not None and found.end.height == 0:
        raise BrokenJournalError(1, f"{found.reason}; nothing can be read") from found.flaw
    return _mend(directory, found)


def _is_new(directory: DataDirectory) -> bool:
    """Tell whether there is nothing yet: no file, an empty one, or one that was never laid out."""
    log = read_log(_beside(directory.journal, "-wal"))
    if _size(directory.journal) == 0:
        if log.sound or log.stray:
            raise BrokenJournalError(1, "the main file is empty, but there is a write-ahead log")
        return True
    if log.sound or log.claimed or _size(directory.journal) > PAGE_BYTES:
        return False
    try:
        # Not read-only: laying out may have left a rollback file, which SQLite must be able to
        # apply.
        connection = connect(directory.journal, "rw")
        try:
            return is_blank(connection)
        finally:
            connection.close()
    except SQLITE_ERRORS:
        return False


def examine(
    directory: DataDirectory, *, check_after: int = 0, progress: Progress | None = None
) -> Findings:
    """Look at a journal without changing it; where reading ends early, look into its pages."""
    log = read_log(_beside(directory.journal, "-wal"))
    last, flaw = _read_through(directory, check_after, progress)
    if flaw is not None and last.height == 0 and check_after:
        last, flaw = _read_through(directory, 0, progress)
    if flaw is None:
        with RawPages.open(directory.journal, log.sound) as pages:
            flaw = _hidden(pages, last)
    if flaw is None and not log.claimed:
        return Findings(last, None, log)
    whole: dict[int, Row] = {}
    highest = last.height
    with RawPages.open(directory.journal, log.sound + log.claimed) as pages:
        images = pages.whole_rows_in(last.height, log.claimed)
        for row in images if flaw is None else pages.whole_rows(last.height):
            highest = max(highest, row.height)
            if row.height <= last.height + RESCUED_BLOCKS_MAX:
                whole[row.height] = row
    rescued = list(_following(whole, last))
    end = last.height + len(rescued)
    return Findings(last, flaw, log, rescued, highest if highest > end else None)


def _hidden(pages: RawPages, last: Head) -> BrokenJournalError | None:
    """Look whether the pages that were made last hold blocks that reading did not come to.

    A flipped count or pointer can make the tree end early without any error. New pages are only
    ever added at the end of the file, so this need not look at all of them.
    """
    newest = range(max(1, pages.count - NEWEST_PAGES + 1), pages.count + 1)
    if next(pages.whole_rows(last.height, newest), None) is None:
        return None
    return BrokenJournalError(
        last.height + 1, "reading does not come to it, yet it or later ones are there"
    )


def _read_through(
    directory: DataDirectory, after: int, progress: Progress | None
) -> tuple[Head, JournalError | None]:
    """Prove every block above a height; return the last good one, and what came in the way."""
    last = _GENESIS
    try:
        with JournalReader(directory) as reader:
            head = reader.head()
            total = 0 if head is None else head.height
            if after:
                last = Head(after, reader.digest_at(after), 0)
            for row in reader.rows(after=after):
                last = Head(row.height, row.digest, row.time_ms)
                if progress is not None and row.height % BLOCKS_PER_PROGRESS == 0:
                    progress(row.height, total)
    except BrokenJournalError as error:
        return last, error
    return last, None


def _following(whole: dict[int, Row], last: Head) -> Iterator[Row]:
    """Yield the rows that continue a chain, as far as they do."""
    for height in count(last.height + 1):
        row = whole.get(height)
        if row is None:
            return
        try:
            prove(row, last)
        except BrokenJournalError:
            return
        yield row
        last = Head(row.height, row.digest, row.time_ms)


def _mend(directory: DataDirectory, found: Findings) -> list[Report]:
    log = _beside(directory.journal, "-wal")
    kept: Path | None = None
    if found.flaw is None and not found.rescued:
        # SQLite will not use the stray frames and the next commits overwrite them.
        size = found.log.stray_bytes
        if found.log.claimed:
            kept = _free_name(log)
            shutil.copyfile(log, kept)
    else:
        before = _size(directory.journal) + _size(log)
        kept = _free_name(directory.journal if found.flaw else log)
        _replace(directory, found)
        size = max(before - _size(directory.journal), 0)
    reports: list[Report] = []
    if found.rescued:
        first, last = found.rescued[0].height, found.rescued[-1].height
        reports.append(BlocksRescued(first, last, found.reason, kept))
    if found.may_have_lost:
        reports.append(TailCut(found.end.height, found.reason, size, kept))
    reports += Snapshots(directory.snapshots).set_aside(above=found.end.height)
    return reports


# -- writing a journal anew


def _replace(directory: DataDirectory, found: Findings) -> None:
    """Write the blocks that can be kept into a new file and put it in the place of the old one."""
    unfinished = _beside(directory.journal, ".unfinished")
    _remove(unfinished)
    connection = open_for_writing(unfinished)
    try:
        _copy(connection, chain(_readable(directory, found.last.height), found.rescued))
    finally:
        connection.close()
    unfinished.replace(_beside(directory.journal, ".mended"))
    sync_directory(directory.path)
    _finish_replacing(directory)


def _finish_replacing(directory: DataDirectory) -> None:
    """Put a mended journal in place, also where a crash left that half done.

    The old log must go first: SQLite would apply it to whatever file stands beside it.
    """
    mended = _beside(directory.journal, ".mended")
    if not mended.exists():
        return
    for old in (_beside(directory.journal, "-wal"), directory.journal):
        if old.exists():
            old.rename(_free_name(old))
    _beside(directory.journal, "-shm").unlink(missing_ok=True)
    sync_directory(directory.path)
    mended.rename(directory.journal)
    sync_directory(directory.path)


def _readable(directory: DataDirectory, upto: int) -> Iterator[Row]:
    if upto:
        with JournalReader(directory) as reader:
            yield from reader.rows(upto=upto)


def _copy(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    connection.execute("BEGIN")
    for row in rows:
        connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", row)
        if row.height % ROWS_PER_COMMIT == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
    connection.execute("COMMIT")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        _beside(path, suffix).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _free_name(path: Path) -> Path:
    """Return a name for what is kept of a damaged file: the first number that is free."""
    names = (_beside(path, f".damaged-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
