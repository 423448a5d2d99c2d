"""Recovery: from the data directory to a running exchange, and the proof that the two agree.

``recover`` is the ordinary start: the newest sound snapshot that belongs to the journal, then every
block after it. ``verify`` starts from nothing and executes everything. Both compare what the
exchange does now with what the journal says it did, block by block and byte by byte: the events of
each command must encode to the very bytes of the journal. Only commands are decoded for that; the
recorded events stay bytes.

Both only read, and may run beside the journal's writer. They block; they belong in a worker thread.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from attrs import field, frozen

from actors.journal_file import Head, Row
from actors.journal_reader import JournalReader
from actors.mending import examine
from actors.snapshots import Snapshot, Snapshots
from actors.storage import (
    BrokenJournalError,
    DataDirectory,
    DataDirectoryInUseError,
    DirectoryLock,
    ReplayMismatchError,
    SnapshotAheadError,
    SnapshotSkipped,
)
from model.blocks import GENESIS_DIGEST
from model.commands import Command
from model.exchange import Exchange

Progress = Callable[[int, int], None]
"""Told now and then: blocks that are done, blocks that there are."""

BLOCKS_PER_PROGRESS: Final = 1_000


class RecordedEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A ``model.blocks.Entry`` whose events are still the bytes of the journal."""

    command: Command
    events: msgspec.Raw


@frozen
class Recovered:
    """An exchange that stands after the last block of the journal.

    ``head`` is ``None`` for an empty journal. ``snapshot_height`` is 0 where the start was from
    nothing.
    """

    exchange: Exchange = field(repr=False)
    head: Head | None
    reports: tuple[SnapshotSkipped, ...]
    snapshot_height: int
    commands: int

    @property
    def digest(self) -> bytes:
        """Digest of the last block: the parent of the next one."""
        return GENESIS_DIGEST if self.head is None else self.head.digest


@frozen
class SnapshotVerdict:
    """What ``verify`` found about one snapshot; ``flaw`` is ``None`` for a sound one."""

    path: Path
    flaw: str | None


@frozen
class VerifyReport:
    """What a whole replay found; ``verify`` would have raised if a block were not sound.

    ``state_digest`` is that of the exchange after the last block. ``damage`` says what the next
    start would have to mend behind it; ``None`` also while another process has the directory, since
    its files then change under the eyes.
    """

    head: Head | None
    commands: int
    state_digest: bytes
    snapshots: tuple[SnapshotVerdict, ...]
    damage: str | None = None

    @property
    def is_sound(self) -> bool:
        """Tell whether there is no damage and no snapshot has a flaw either."""
        return self.damage is None and all(verdict.flaw is None for verdict in self.snapshots)


def recover(path: Path, *, progress: Progress | None = None) -> Recovered:
    """Rebuild the exchange that the data directory ``path`` describes.

    Raises:
        DataDirectoryMissingError: there is no journal.
        BrokenJournalError: a block cannot be read; named by height.
        ReplayMismatchError: a block does not do again what it did; named by height.
        SnapshotAheadError: the journal has lost blocks that a snapshot proves.
    """
    directory = DataDirectory(path)
    with JournalReader(directory) as reader:
        head = reader.head()
        exchange, reports = _start(reader, head, Snapshots(directory.snapshots))
        start = exchange.height
        rows = reader.rows(after=start, upto=_height(head))
        commands = _replay(exchange, rows, _height(head), progress)
        return Recovered(exchange, head, tuple(reports), start, commands)


def verify(path: Path, *, progress: Progress | None = None) -> VerifyReport:
    """Execute the whole journal from nothing and compare everything that is kept with it.

    Raises:
        DataDirectoryMissingError, BrokenJournalError, ReplayMismatchError, SnapshotAheadError: as
        in ``recover``.
    """
    directory = DataDirectory(path)
    directory.check()
    damage = _damage(directory)
    with JournalReader(directory) as reader:
        head = reader.head()
        kept = Snapshots(directory.snapshots)
        verdicts, sound = _inspect(kept)
        _refuse_ahead(sound.values(), head)
        exchange, commands = Exchange(), 0
        for path_of, snapshot in sorted(sound.items(), key=lambda item: item[1].height):
            rows = reader.rows(after=exchange.height, upto=snapshot.height)
            commands += _replay(exchange, rows, _height(head), progress)
            flaw = _foreign(reader, snapshot) or _differs(exchange, snapshot)
            verdicts.append(SnapshotVerdict(path_of, flaw))
        rows = reader.rows(after=exchange.height, upto=_height(head))
        commands += _replay(exchange, rows, _height(head), progress)
        ordered = tuple(sorted(verdicts, key=lambda verdict: verdict.path))
        return VerifyReport(head, commands, exchange.digest(), ordered, damage)


def _damage(directory: DataDirectory) -> str | None:
    """Say what a start would have to mend, if that can be told.

    Raises:
        JournalError: it would refuse.
    """
    try:
        lock = DirectoryLock.acquire(directory)
    except DataDirectoryInUseError:
        return None
    try:
        found = examine(directory)
    finally:
        lock.release()
    if found.flaw is not None:
        raise found.flaw
    if not found.log.claimed:
        return None
    return f"{found.reason}: {len(found.rescued)} blocks can be read behind it"


def _start(
    reader: JournalReader, head: Head | None, snapshots: Snapshots
) -> tuple[Exchange, list[SnapshotSkipped]]:
    """Return the newest state that can be trusted, and why newer ones were not."""
    reports = []
    for snapshot in snapshots.load_all():
        if isinstance(snapshot, SnapshotSkipped):
            reports.append(snapshot)
            continue
        _refuse_ahead([snapshot], head)
        path = snapshots.path_of(snapshot.height)
        flaw = _foreign(reader, snapshot)
        if flaw is None:
            exchange = _load(snapshot)
            if isinstance(exchange, Exchange):
                return exchange, reports
            flaw = exchange
        reports.append(SnapshotSkipped(path, flaw))
    return Exchange(), reports


def _refuse_ahead(snapshots: Iterable[Snapshot], head: Head | None) -> None:
    for snapshot in snapshots:
        if snapshot.height > _height(head):
            raise SnapshotAheadError(snapshot.height, _height(head))


def _foreign(reader: JournalReader, snapshot: Snapshot) -> str | None:
    """Say what is wrong if the journal has another block at the snapshot's height."""
    if reader.digest_at(snapshot.height) != snapshot.block_digest:
        return f"it belongs to another history: the journal has another block {snapshot.height}"
    return None


def _load(snapshot: Snapshot) -> Exchange | str:
    """Return the snapshot's exchange, or say what is wrong with it."""
    try:
        exchange = Exchange.load(snapshot.dump)
    except Exception as error:  # noqa: BLE001  (bytes of another version may fail in any way)
        return f"its state cannot be loaded: {error!r}"
    if exchange.height != snapshot.height or exchange.digest() != snapshot.state_digest:
        return "its state is not the one that was saved"
    return exchange


def _inspect(snapshots: Snapshots) -> tuple[list[SnapshotVerdict], dict[Path, Snapshot]]:
    flawed, sound = [], {}
    for found in snapshots.load_all():
        if isinstance(found, SnapshotSkipped):
            flawed.append(SnapshotVerdict(found.path, found.reason))
        else:
            sound[snapshots.path_of(found.height)] = found
    return flawed, sound


def _differs(exchange: Exchange, snapshot: Snapshot) -> str | None:
    """Say what is wrong if the snapshot is not the state that the replay arrived at."""
    if exchange.digest() != snapshot.state_digest:
        return "the replay arrives at another state"
    loaded = _load(snapshot)
    return loaded if isinstance(loaded, str) else None


def _replay(exchange: Exchange, rows: Iterator[Row], last: int, progress: Progress | None) -> int:
    """Execute blocks again; return the number of commands.

    Raises:
        BrokenJournalError, ReplayMismatchError: at its height.
    """
    commands = 0
    with _without_collector():
        for row in rows:
            commands += replay_row(exchange, row)
            if progress is not None and row.height % BLOCKS_PER_PROGRESS == 0:
                progress(row.height, last)
    if progress is not None:
        progress(exchange.height, last)
    return commands


def replay_row(exchange: Exchange, row: Row) -> int:
    """Execute one block again and compare; return the number of its commands.

    Raises:
        BrokenJournalError: its bytes are no commands.
        ReplayMismatchError: it went differently. The exchange is of no further use.
    """
    try:
        entries = _decode(row.body)
    except msgspec.DecodeError as error:
        raise BrokenJournalError(row.height, f"its entries are not readable: {error}") from error
    apply = exchange.apply
    try:
        exchange.begin_block(row.height, row.time_ms)
        events = [apply(entry.command) for entry in entries]
    except Exception as error:
        raise ReplayMismatchError(row.height, f"the exchange broke: {error!r}") from error
    for index, entry in enumerate(entries):
        if _encode(events[index]) != bytes(entry.events):
            kind = type(entry.command).__name__
            raise ReplayMismatchError(row.height, f"command {index} ({kind}) gave other events")
    return len(entries)


_decode = msgspec.msgpack.Decoder(tuple[RecordedEntry, ...]).decode
_encode = msgspec.msgpack.Encoder().encode


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the cycle collector from walking a growing state; a replay makes no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _height(head: Head | None) -> int:
    return 0 if head is None else head.height
