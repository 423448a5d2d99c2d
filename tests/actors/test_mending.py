"""Real bytes of real journals are flipped, torn off and deleted; then the journal is opened."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.journal import Journal, Sealed
from actors.journal_file import connect
from actors.mending import examine
from actors.pages import read_log
from actors.snapshots import Snapshot, Snapshots
from actors.storage import (
    BlocksRescued,
    BrokenJournalError,
    DataDirectory,
    JournalError,
    JournalFormatError,
    Report,
    SnapshotSkipped,
    TailCut,
)
from model.blocks import Block, seal
from tests.actors.chains import chain, entry

SIZES = [1, 3, 1, 60, 2, 1, 120, 1, 1, 40, 1, 2, 3, 1, 80, 1, 1, 1, 2, 1]
"""Commands of each block: some rows fit a page many times, some fill several pages."""

STRIDE = 331
LOG_STRIDE = 2011
"""Distances of the bytes that are flipped: primes, so that every part of a page gets its turn."""


@pytest.fixture(scope="module")
def sealed() -> list[Sealed]:
    return list(chain(SIZES))


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, sealed: list[Sealed]) -> Path:
    """A journal that was closed: everything is in the main file."""
    path = tmp_path_factory.mktemp("closed")
    with Journal.open(path) as journal:
        for one in sealed:
            journal.append([one])
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, sealed: list[Sealed]) -> Path:
    """A journal of a killed process: its first blocks in the main file, the rest in the log."""
    path, copy = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("killed")
    with Journal.open(path) as journal:
        for one in sealed[:6]:
            journal.append([one])
    with Journal.open(path) as journal:
        for one in sealed[6:]:
            journal.append([one])
        copy_journal(path, copy)
    return copy


def copy_journal(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        (target / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


class Opened:
    """What became of opening a directory: the blocks and reports, or the refusal."""

    def __init__(self, path: Path) -> None:
        self.blocks: list[Block] = []
        self.reports: tuple[Report, ...] = ()
        self.refused: JournalError | None = None
        try:
            with Journal.open(path) as journal:
                self.blocks = list(journal.blocks())
                self.reports = journal.reports
        except JournalError as error:
            self.refused = error


def check(path: Path, sealed: list[Sealed]) -> Opened:
    """Open a damaged directory and assert what must hold whatever the damage was."""
    opened = Opened(path)
    if opened.refused is not None:
        again = Opened(path)
        assert isinstance(opened.refused, BrokenJournalError | JournalFormatError)
        assert str(again.refused) == str(opened.refused)
        return opened

    assert opened.blocks == [block for block, _ in sealed[: len(opened.blocks)]]
    if len(opened.blocks) < len(sealed):
        (cut,) = [report for report in opened.reports if isinstance(report, TailCut)]
        assert cut.height == len(opened.blocks)
        assert cut.reason
    again = Opened(path)
    assert again.blocks == opened.blocks
    assert again.reports == ()
    with Journal.open(path) as journal:
        journal.append(sealed[len(opened.blocks) :][:1])
    return opened


def flip(path: Path, offset: int, mask: int = 0x40) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= mask
    path.write_bytes(content)


def offsets(path: Path) -> Iterator[int]:
    stride = LOG_STRIDE if path.name.endswith("-wal") else STRIDE
    return iter(range(0, path.stat().st_size, stride))


def find_body(path: Path, body: bytes) -> list[int]:
    """Return where the middle of a body that fits a page stands, in each of its copies."""
    content = path.read_bytes()
    found, at = [], content.find(body)
    while at >= 0:
        found.append(at + len(body) // 2)
        at = content.find(body, at + 1)
    return found


def test_a_sound_journal_is_left_alone(closed: Path, killed: Path, tmp_path: Path) -> None:
    """Neither a closed journal nor one of a killed process has anything to report."""
    for source in (closed, killed):
        copy_journal(source, tmp_path)
        opened = Opened(tmp_path)
        assert len(opened.blocks) == len(SIZES)
        assert opened.reports == ()


def test_flipped_bytes_of_the_main_file(closed: Path, tmp_path: Path, sealed: list[Sealed]) -> None:
    """Wherever a byte is flipped, the journal is whole, cut at its end, or refused."""
    outcomes = set()
    for offset in offsets(closed / "journal.sqlite"):
        copy_journal(closed, tmp_path)
        flip(tmp_path / "journal.sqlite", offset)
        opened = check(tmp_path, sealed)
        outcomes.add("refused" if opened.refused else len(opened.blocks) == len(sealed))
        assert opened.refused or len(opened.blocks) >= len(sealed) - 1

    assert outcomes >= {"refused", True}


def test_flipped_bytes_of_the_log(killed: Path, tmp_path: Path, sealed: list[Sealed]) -> None:
    """A flipped byte in the log never hides a block that is whole somewhere else in it."""
    lost = []
    for offset in offsets(killed / "journal.sqlite-wal"):
        copy_journal(killed, tmp_path)
        flip(tmp_path / "journal.sqlite-wal", offset)
        opened = check(tmp_path, sealed)
        lost.append("refused" if opened.refused else len(sealed) - len(opened.blocks))

    assert 0 in lost
    assert "refused" in lost
    assert all(one in (0, 1, "refused") for one in lost)


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal"])
def test_torn_files(killed: Path, tmp_path: Path, sealed: list[Sealed], name: str) -> None:
    """A file that ends too early is cut or refused; what is read is always a sound beginning."""
    for length in offsets(killed / name):
        copy_journal(killed, tmp_path)
        with (tmp_path / name).open("r+b") as file:
            file.truncate(length)
        opened = Opened(tmp_path)
        assert opened.refused or opened.blocks == [b for b, _ in sealed[: len(opened.blocks)]]
        assert opened.refused or name.endswith("-wal") or len(opened.blocks) == len(sealed)


def test_garbage_over_the_last_leaf(closed: Path, tmp_path: Path, sealed: list[Sealed]) -> None:
    """A page full of garbage where the last blocks were costs these blocks and no others."""
    copy_journal(closed, tmp_path)
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[-1][1])
    with (tmp_path / "journal.sqlite").open("r+b") as file:
        file.seek(offset // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    opened = check(tmp_path, sealed)

    assert opened.refused is None
    assert 0 < len(opened.blocks) < len(SIZES)


def test_a_flipped_last_block_is_cut(closed: Path, tmp_path: Path, sealed: list[Sealed]) -> None:
    """The last block's own bytes are damaged: it is cut, kept aside, and the program starts."""
    copy_journal(closed, tmp_path)
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[-1][1])
    flip(tmp_path / "journal.sqlite", offset)
    opened = check(tmp_path, sealed)

    (cut,) = opened.reports
    assert isinstance(cut, TailCut)
    assert cut.height == len(SIZES) - 1
    assert cut.kept is not None
    assert find_body(cut.kept, sealed[-2][1])


@pytest.mark.parametrize("height", [1, 3, 12, 19])
def test_a_flipped_middle_block_is_refused(
    closed: Path, tmp_path: Path, sealed: list[Sealed], height: int
) -> None:
    """A block with whole ones behind it is damaged: refused, with its height and the reason."""
    copy_journal(closed, tmp_path)
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[height - 1][1])
    flip(tmp_path / "journal.sqlite", offset)
    before = (tmp_path / "journal.sqlite").read_bytes()
    opened = check(tmp_path, sealed)

    assert isinstance(opened.refused, BrokenJournalError)
    assert opened.refused.height == height
    assert f"block {len(SIZES)} stands whole" in opened.refused.reason
    assert (tmp_path / "journal.sqlite").read_bytes() == before


def test_a_middle_block_flipped_in_the_log_is_refused(
    killed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """SQLite alone would silently drop this block and all behind it; here it is refused."""
    copy_journal(killed, tmp_path)
    log = tmp_path / "journal.sqlite-wal"
    for offset in find_body(log, sealed[8][1]):
        flip(log, offset)
    opened = check(tmp_path, sealed)

    assert isinstance(opened.refused, BrokenJournalError)
    assert opened.refused.height == 9


def test_what_a_damaged_log_hides_is_rescued(
    killed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """A flip that hits no block but breaks the log's checksums costs nothing."""
    copy_journal(killed, tmp_path)
    log = tmp_path / "journal.sqlite-wal"
    flip(log, 32 + 8)  # a salt of the first frame
    silent = tmp_path / "silent"
    copy_journal(tmp_path, silent)
    connection = connect(silent / "journal.sqlite", "rw")
    (by_sqlite,) = connection.execute("SELECT count(*) FROM blocks").fetchone()
    connection.close()
    opened = check(tmp_path, sealed)

    (rescued,) = opened.reports
    assert by_sqlite == 6
    assert isinstance(rescued, BlocksRescued)
    assert (rescued.first, rescued.last) == (7, len(SIZES))


def test_a_commit_that_was_never_finished_is_no_damage(
    killed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """Frames of a transaction without its end are cut; nobody was told of its block."""
    copy_journal(killed, tmp_path)
    log = tmp_path / "journal.sqlite-wal"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 100)
    opened = check(tmp_path, sealed)

    (cut,) = opened.reports
    assert isinstance(cut, TailCut)
    assert cut.height == len(SIZES) - 1
    assert cut.kept is None


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal"])
def test_a_file_of_garbage(killed: Path, tmp_path: Path, name: str) -> None:
    """Garbage in place of a file is refused, or treated as absent; never taken for blocks."""
    copy_journal(killed, tmp_path)
    (tmp_path / name).write_bytes(b"\xee" * 50_000)
    opened = Opened(tmp_path)

    if name == "journal.sqlite":
        assert isinstance(opened.refused, BrokenJournalError)
    else:
        assert len(opened.blocks) == 6


def test_snapshots_of_cut_blocks_are_set_aside(
    closed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """After a cut, a snapshot of a block that is gone does not stand in the way of the start."""
    copy_journal(closed, tmp_path)
    snapshots = Snapshots(DataDirectory(tmp_path).snapshots)
    snapshots.save(Snapshot(len(SIZES), sealed[-1][0].digest, bytes(32), b"state"))
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[-1][1])
    flip(tmp_path / "journal.sqlite", offset)
    opened = Opened(tmp_path)

    assert [type(report) for report in opened.reports] == [TailCut, SnapshotSkipped]
    assert snapshots.paths() == []


@pytest.mark.parametrize("step", range(1, 5))
def test_a_crash_while_mending_is_mended(
    closed: Path,
    tmp_path: Path,
    sealed: list[Sealed],
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever rename of the mending does not happen, the next start finishes the work."""
    copy_journal(closed, tmp_path)
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[-1][1])
    flip(tmp_path / "journal.sqlite", offset)
    crash_at(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        Journal.open(tmp_path)
    monkeypatch.undo()

    opened = Opened(tmp_path)
    assert len(opened.blocks) == len(SIZES) - 1
    assert Opened(tmp_path).reports == ()


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop at the n-th step of replacing a journal."""
    left = [step]

    def stopping(original: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return original(*args)

        return wrapped

    monkeypatch.setattr("actors.mending.sync_directory", stopping(lambda path: None))
    monkeypatch.setattr(Path, "replace", stopping(Path.replace))
    monkeypatch.setattr(Path, "rename", stopping(Path.rename))


def test_examining_changes_nothing(killed: Path, tmp_path: Path) -> None:
    """Looking at a damaged journal leaves its bytes as they are."""
    copy_journal(killed, tmp_path)
    flip(tmp_path / "journal.sqlite-wal", 32 + 8)
    before = [(tmp_path / name).read_bytes() for name in ("journal.sqlite", "journal.sqlite-wal")]
    found = examine(DataDirectory(tmp_path))

    assert found.end.height == len(SIZES)
    assert before == [
        (tmp_path / name).read_bytes() for name in ("journal.sqlite", "journal.sqlite-wal")
    ]


def test_our_reading_of_the_log_agrees_with_sqlite(
    killed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """Wherever the log is flipped, we and SQLite take the same frames for sound."""
    for offset in list(offsets(killed / "journal.sqlite-wal"))[::3]:
        copy_journal(killed, tmp_path)
        flip(tmp_path / "journal.sqlite-wal", offset)
        ours = len(read_log(tmp_path / "journal.sqlite-wal").sound)
        connection = connect(tmp_path / "journal.sqlite", "rw")
        (_, theirs, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        connection.close()
        assert ours == max(theirs, 0)


def test_a_whole_block_of_another_history_is_not_taken(tmp_path: Path) -> None:
    """A block with a right digest and a wrong parent is not rescued into the chain."""
    first, second, third = chain([1, 1, 1])
    stranger = seal(height=3, time_ms=9999, parent=bytes(32), entries=[entry(5)])
    with Journal.open(tmp_path) as journal:
        journal.append([first, second, third])
    connection = connect(tmp_path / "journal.sqlite", "rw")
    block, body = stranger
    connection.execute(
        "UPDATE blocks SET time_ms = ?, parent = ?, body = ?, digest = ? WHERE height = 3",
        (block.time_ms, block.parent, body, block.digest),
    )
    connection.close()
    opened = Opened(tmp_path)

    assert isinstance(opened.refused, BrokenJournalError)
    assert opened.refused.height == 3


def test_blocks_that_were_checked_before_are_not_read_again(
    closed: Path, tmp_path: Path, sealed: list[Sealed]
) -> None:
    """Damage below the checked height is not looked for; damage at it still is, from the start."""
    copy_journal(closed, tmp_path)
    (offset,) = find_body(tmp_path / "journal.sqlite", sealed[2][1])
    flip(tmp_path / "journal.sqlite", offset)
    Journal.open(tmp_path, check_after=10).close()

    with pytest.raises(BrokenJournalError) as caught:
        Journal.open(tmp_path, check_after=3)
    assert caught.value.height == 3
