import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.journal import Journal
from actors.recovery import Recovered, recover, verify
from actors.snapshots import Snapshot, Snapshots
from actors.storage import (
    BrokenJournalError,
    DataDirectory,
    DataDirectoryMissingError,
    ReplayMismatchError,
    SnapshotAheadError,
)
from model.blocks import Block, Entry, block_digest, seal
from model.exchange import Exchange
from tests.actors.trading import run

BLOCKS = 60

Maker = Callable[[Path], Any]


def fill(path: Path, *, snapshots_at: tuple[int, ...] = (), blocks: int = BLOCKS) -> Exchange:
    """Trade into a data directory; return the exchange that did."""
    exchange = Exchange()
    with Journal.open(path) as journal:
        for block, body in run(exchange, blocks, seed=1):
            journal.append([(block, body)])
            if block.height in snapshots_at:
                save(path, exchange, block)
    return exchange


def save(path: Path, exchange: Exchange, block: Block) -> None:
    snapshot = Snapshot(block.height, block.digest, exchange.digest(), exchange.dump())
    Snapshots(DataDirectory(path).snapshots).save(snapshot)


def assert_same(recovered: Recovered, exchange: Exchange) -> None:
    assert recovered.exchange.height == exchange.height
    assert recovered.exchange.time_ms == exchange.time_ms
    assert recovered.exchange.digest() == exchange.digest()


@pytest.mark.parametrize("snapshots_at", [(), (20,), (10, 40), (BLOCKS,)])
def test_recovery_equals_the_straight_run(tmp_path: Path, snapshots_at: tuple[int, ...]) -> None:
    """From nothing, from a snapshot, from the last block: always the state that was there."""
    exchange = fill(tmp_path, snapshots_at=snapshots_at)

    recovered = recover(tmp_path)
    assert_same(recovered, exchange)
    assert recovered.snapshot_height == max(snapshots_at, default=0)
    assert recovered.reports == ()
    assert recovered.head is not None
    assert recovered.digest == recovered.head.digest


def test_an_empty_journal_recovers_to_an_empty_exchange(tmp_path: Path) -> None:
    """Before the first block there is an empty exchange and no head."""
    Journal.open(tmp_path).close()

    recovered = recover(tmp_path)
    assert recovered.head is None
    assert recovered.exchange.height == 0


@pytest.mark.parametrize("make", [recover, verify])
def test_a_missing_directory_is_named(tmp_path: Path, make: Maker) -> None:
    """Neither recovery nor verification invents an exchange where none is."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataDirectoryMissingError):
            make(path)


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    """The next older snapshot is taken, and the report names the damaged one."""
    exchange = fill(tmp_path, snapshots_at=(10, 40))
    newest = Snapshots(DataDirectory(tmp_path).snapshots).paths()[0]
    newest.write_bytes(newest.read_bytes()[:-10])

    recovered = recover(tmp_path)
    assert_same(recovered, exchange)
    assert recovered.snapshot_height == 10
    assert [report.path for report in recovered.reports] == [newest]


def test_a_snapshot_of_another_history_is_passed_over(tmp_path: Path) -> None:
    """A sound snapshot whose block is not the journal's is not used."""
    exchange = fill(tmp_path)
    snapshots = Snapshots(DataDirectory(tmp_path).snapshots)
    snapshots.save(Snapshot(40, bytes(32), exchange.digest(), exchange.dump()))

    recovered = recover(tmp_path)
    assert_same(recovered, exchange)
    assert "another history" in recovered.reports[0].reason


def test_a_snapshot_of_another_state_is_passed_over(tmp_path: Path) -> None:
    """A snapshot that holds another state than it says is not used."""
    exchange = fill(tmp_path)
    with Journal.open(tmp_path) as journal:
        digest = next(journal.blocks(after=39)).digest
    snapshots = Snapshots(DataDirectory(tmp_path).snapshots)
    snapshots.save(Snapshot(40, digest, exchange.digest(), exchange.dump()))

    assert_same(recover(tmp_path), exchange)


@pytest.mark.parametrize("make", [recover, verify])
def test_a_snapshot_ahead_of_the_journal_is_refused(tmp_path: Path, make: Maker) -> None:
    """A snapshot of a block that the journal lacks proves a loss; nobody starts over it."""
    whole, short = tmp_path / "whole", tmp_path / "short"
    fill(whole, snapshots_at=(40,))
    fill(short, blocks=30)
    DataDirectory(whole).snapshots.rename(DataDirectory(short).snapshots)

    with pytest.raises(SnapshotAheadError) as caught:
        make(short)
    assert (caught.value.snapshot_height, caught.value.journal_height) == (40, 30)


def test_a_block_that_goes_differently_is_refused(tmp_path: Path) -> None:
    """Events that the exchange would not cause are found, with their height."""
    exchange = Exchange()
    sealed = list(run(exchange, 3, seed=1))
    last, _ = sealed[-1]
    forged = Entry(last.entries[0].command, ())
    block = seal(
        height=3, time_ms=last.time_ms, parent=last.parent, entries=[forged, *last.entries[1:]]
    )
    with Journal.open(tmp_path) as journal:
        journal.append([*sealed[:2], block])

    for make in (recover, verify):
        with pytest.raises(ReplayMismatchError) as caught:
            make(tmp_path)
        assert caught.value.height == 3


def test_a_body_that_is_no_entries_is_refused(tmp_path: Path) -> None:
    """Bytes with a right digest that are no entries are a broken journal, not a crash."""
    block, _ = seal(height=1, time_ms=1, parent=bytes(32), entries=[])
    body = b"\xc1"
    digest = block_digest(parent=block.parent, height=1, time_ms=1, body=body)
    with Journal.open(tmp_path) as journal:
        journal.append([(Block(1, 1, block.parent, (), digest), body)])

    with pytest.raises(BrokenJournalError):
        recover(tmp_path)


def test_verification_replays_everything(tmp_path: Path) -> None:
    """A sound directory is sound from the first block on, snapshots included."""
    exchange = fill(tmp_path, snapshots_at=(10, 40, BLOCKS))
    seen: list[tuple[int, int]] = []
    report = verify(tmp_path, progress=lambda done, last: seen.append((done, last)))

    assert report.is_sound
    assert report.state_digest == exchange.digest()
    assert len(report.snapshots) == 3
    assert seen[-1] == (BLOCKS, BLOCKS)


def test_verification_finds_a_snapshot_of_another_state(tmp_path: Path) -> None:
    """A snapshot with right checksums and a wrong state has a flaw; the journal stays sound."""
    exchange = fill(tmp_path, snapshots_at=(10,))
    with Journal.open(tmp_path) as journal:
        digest = next(journal.blocks(after=39)).digest
    Snapshots(DataDirectory(tmp_path).snapshots).save(
        Snapshot(40, digest, exchange.digest(), exchange.dump())
    )

    report = verify(tmp_path)
    assert [verdict.flaw is None for verdict in report.snapshots] == [True, False]
    assert not report.is_sound


def test_verification_tells_what_a_start_would_mend(tmp_path: Path) -> None:
    """Blocks that a damaged write-ahead log hides are damage, though all that is read is sound."""
    running, killed = tmp_path / "running", tmp_path / "killed"
    killed.mkdir()
    with Journal.open(running) as journal:
        for one in run(Exchange(), 5, seed=1):
            journal.append([one])
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copyfile(running / name, killed / name)
    sound = verify(killed)
    content = bytearray((killed / "journal.sqlite-wal").read_bytes())
    content[-5000] ^= 1
    (killed / "journal.sqlite-wal").write_bytes(content)

    report = verify(killed)
    assert sound.is_sound
    assert not report.is_sound
    assert report.damage is not None


def test_a_running_exchange_can_be_verified(tmp_path: Path) -> None:
    """Verification needs no lock and sees what is committed."""
    with Journal.open(tmp_path) as journal:
        for one in run(Exchange(), 5, seed=1):
            journal.append([one])
        report = verify(tmp_path)

    assert report.is_sound
    assert report.head is not None
    assert report.head.height == 5
