"""The real journal, snapshots and history of a simulated machine, in real files.

What ``tests.simulation.disk`` imitates is SQLite here, the mending of ``actors.mending``, and
recovery as the program does it. What a crash leaves behind is made up: the bytes that a commit
wrote are known, so those that were not synced may be there, missing, cut off or flipped.

A process that died still has its files open, since it is not really another process. So each
process gets a directory of its own, made from what the one before it left in its last moment.

Of the kernel's refusals, a write that fails in the middle is real: RLIMIT_FSIZE ends it at any byte
(the interpreter ignores the signal that comes with it). A full disk and a failed sync cannot be had
so, and are errors put in the place of SQLite's.
"""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field

from actors.chain import FileChain
from actors.chain_store import Chain
from actors.history import HistoryWriter
from actors.journal_file import Row
from actors.journal_reader import JournalReader
from actors.snapshots import Snapshot, Snapshots
from actors.storage import DataDirectory, JournalDiskError, SnapshotError
from model.blocks import Block
from tests.simulation.chaos import Chaos, InjectedError
from tests.simulation.disk import breakable

SECTOR_BYTES: Final = 512
"""What a disk writes as a whole, or not at all, when its power goes."""
FRAME_BYTES: Final = 24 + 4_096
HISTORY_LOST: Final = 0.3
"""How often a process finds no history."""


class InjectedSqliteError(sqlite3.OperationalError, InjectedError):
    """An error of SQLite that the simulation wanted."""

    def __init__(self, name: str) -> None:
        super().__init__(f"injected: {name}")
        self.sqlite_errorname = name


@define(eq=False)
class _Connection:
    """A connection that fails at the statements it is told to.

    Attributes:
        before, after: what to raise at the next statements, before or after doing them.
    """

    real: sqlite3.Connection
    before: list[InjectedSqliteError | None] = field(init=False, factory=list)
    after: list[InjectedSqliteError | None] = field(init=False, factory=list)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self.before and (error := self.before.pop(0)) is not None:
            raise error
        cursor = self.real.execute(*arguments)
        if self.after and (error := self.after.pop(0)) is not None:
            raise error
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@define(eq=False)
class Files:
    """What outlives a process.

    Attributes:
        path: the data directory of the process that runs now.
        rows: the blocks that are durable for good, oldest first.
        keeps_synced: whether a power cut leaves alone what was synced.
        boot: counts the processes that ran on this machine; older ones can do nothing any more.
        on_durable, cut_power, on_return: as of ``tests.simulation.disk.Disk``.
    """

    chaos: Chaos
    root: Path
    on_durable: Callable[[Row], None]
    cut_power: Callable[[], None] = lambda: None
    on_return: Callable[[int, bytes], None] = lambda _height, _digest: None
    path: Path = field(init=False)
    rows: list[Row] = field(init=False, factory=list)
    boot: int = field(init=False, default=0)
    keeps_synced: bool = field(init=False, default=True)
    _torn: dict[str, bytes] = field(init=False, factory=dict)
    _directories: int = field(init=False, default=0)
    _is_fresh: bool = field(init=False, default=True)
    _chains: list[RealChain] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.path = self.root / "0"
        self.path.mkdir(parents=True)

    # -- processes

    def begin(self) -> Path:
        """Return the data directory of a new process."""
        if not self._is_fresh:
            self._move_on()
        self._is_fresh = False
        return self.path

    def open_chain(self) -> RealChain:
        """Return the store of the process that runs now."""
        chain = RealChain(self, self.path)
        self._chains.append(chain)
        return chain

    def kill(self) -> None:
        """End the process: its hands are off the disk, what it wrote is in the system's."""
        self.boot += 1
        self._move_on()

    def lose_power(self) -> None:
        """End the process in the middle of what it writes."""
        self.kill()
        for name, content in self._torn.items():
            (self.path / name).write_bytes(content)
        self._torn.clear()
        log = self.path / "history.sqlite-wal"
        if log.exists():  # never synced on the way, so any end of it may be missing
            content = log.read_bytes()
            log.write_bytes(content[: self.chaos.rng("history").randint(0, len(content))])

    def close(self) -> None:
        """Let go of everything; a process that fell while it started may not have."""
        for chain in self._chains:
            journal = chain.journal
            if journal is not None:
                journal.close()

    def _move_on(self) -> None:
        """Give the next process its files, as they are now."""
        self._directories += 1
        self._is_fresh = True
        before, self.path = self.path, self.root / str(self._directories)
        kept = ["journal.sqlite", "journal.sqlite-wal"]
        if self.chaos.calm or self.chaos.rng("past").random() >= HISTORY_LOST:
            kept += ["history.sqlite", "history.sqlite-wal"]
        self.path.mkdir()
        for name in kept:
            with suppress(FileNotFoundError):
                shutil.copyfile(before / name, self.path / name)
        with suppress(FileNotFoundError):
            shutil.copytree(before / "snapshots", self.path / "snapshots")

    # -- what becomes durable

    def make_durable(self, row: Row) -> None:
        """Note that a block is there for good."""
        self.rows.append(row)
        self.on_durable(row)

    def lose_history(self) -> None:
        """Delete the history, whoever is using it."""
        for suffix in ("", "-wal", "-shm"):
            (self.path / f"history.sqlite{suffix}").unlink(missing_ok=True)

    def tear(self, before: dict[str, bytes]) -> None:
        """Make up what a power cut leaves of a commit, given the bytes from before it."""
        if not self.keeps_synced:
            self._torn = {"journal.sqlite-wal": b""}
            return
        rng = self.chaos.rng("tear")
        after = self.journal_bytes()
        # Pages are moved into the main file only after the log was synced.
        torn = "journal.sqlite-wal"
        if before["journal.sqlite"] != after["journal.sqlite"]:
            torn = "journal.sqlite"
        old, new = before[torn], after[torn]
        content = bytearray(new[: rng.randint(min(len(old), len(new)), len(new))])
        for start in range(0, len(content), SECTOR_BYTES):
            end = min(start + SECTOR_BYTES, len(content))
            if new[start:end] == old[start:end] or rng.random() < 0.6:
                continue
            if rng.random() < 0.5:
                content[start:end] = old[start:end].ljust(end - start, b"\0")
            elif torn == "journal.sqlite-wal":
                # Only what was being written: SQLite relies on the rest of a sector staying as
                # it is (SQLITE_POWERSAFE_OVERWRITE).
                written = [at for at in range(start, end) if new[at : at + 1] != old[at : at + 1]]
                content[rng.choice(written)] ^= 1 << rng.randrange(8)
        self._torn = {**after, torn: bytes(content)}

    def journal_bytes(self) -> dict[str, bytes]:
        """Return the content of the journal's files."""
        names = ("journal.sqlite", "journal.sqlite-wal")
        return {
            name: (self.path / name).read_bytes() if (self.path / name).exists() else b""
            for name in names
        }


class RealChain(FileChain):
    """The chain on disk, of one process, with the troubles of a disk."""

    def __init__(self, files: Files, path: Path) -> None:
        super().__init__(path, on_report=lambda _: None, on_recovered=lambda _: None)
        self._files = files
        self._boot = files.boot

    @property
    def journal(self) -> Any:
        """The journal, while it is open."""
        return None if self._journal is None else self._journal.journal

    async def recover(self) -> Chain:
        """Recover as the program does; see that nothing durable is gone."""
        files, chaos = self._files, self._files.chaos
        await self._spend("disk")
        if chaos.strikes("read", "recover"):
            raise JournalDiskError("the disk cannot be read")
        chain = await super().recover()
        self.journal._connection = _Connection(self.journal._connection)
        files.on_return(chain.exchange.height, chain.digest)
        with JournalReader(self.path) as reader:
            found = list(reader.rows(after=len(files.rows)))
        for row in found:
            files.make_durable(row)
        chain.exchange.__class__ = breakable(chaos)
        return chain

    async def commit(self, block: Block, body: bytes) -> None:
        """Make a block durable, or fail in one of the ways in which disks do."""
        files, chaos = self._files, self._files.chaos
        await self._spend("disk")
        journal = self.journal
        if journal is not None and chaos.strikes("disk_full", "disk"):
            journal._connection.before = [InjectedSqliteError("SQLITE_FULL")]
        if journal is not None and chaos.strikes("disk_sync", "disk"):
            self._fail_sync(journal._connection)
        is_cut = journal is not None and chaos.strikes("power", "disk")
        before = files.journal_bytes() if is_cut else {}
        with self._short() if chaos.strikes("disk_short", "disk") else nullcontext():
            await super().commit(block, body)
        if is_cut:
            files.tear(before)
            files.cut_power()
            raise JournalDiskError("the power is gone")
        await self._spend("sync")
        files.make_durable(Row(block.height, block.time_ms, block.parent, body, block.digest))

    async def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; perhaps a damaged one."""
        chaos = self._files.chaos
        await self._spend("disk")
        if chaos.strikes("disk_full", "snapshot"):
            raise SnapshotError("no room")
        await super().save(snapshot)
        if chaos.strikes("damaged_snapshot", "disk"):
            path = Snapshots(DataDirectory(self.path).snapshots).path_of(snapshot.height)
            content = path.read_bytes()
            path.write_bytes(content[: chaos.rng("snapshot").randrange(len(content))])

    async def blocks(self, after: int) -> Any:
        """Return the next durable blocks above a height."""
        await self._spend("disk")
        if self._files.chaos.strikes("read", "blocks"):
            raise JournalDiskError("the disk cannot be read")
        return await super().blocks(after)

    async def _spend(self, part: str) -> None:
        """Take the time of a disk; what was begun is not cancelled. A dead process fails."""
        await self._files.chaos.spend(part)
        if self._boot != self._files.boot:
            raise JournalDiskError("this process is dead")

    def _fail_sync(self, connection: _Connection) -> None:
        """Have the next block undone; or let it stand in the log, which cannot be emptied then."""
        error = InjectedSqliteError("SQLITE_IOERR_FSYNC")
        if self._files.chaos.rng("sync").random() < 0.5:
            connection.before = [error]
        else:
            connection.after, connection.before = [error], [None, error]

    @contextmanager
    def _short(self) -> Iterator[None]:
        """Let no file grow much while a block is written: the kernel ends a write in its midst."""
        log = self.path / "journal.sqlite-wal"
        size = log.stat().st_size if log.exists() else 0
        room = self._files.chaos.rng("short").randrange(2 * FRAME_BYTES)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class RealHistoryWriter(HistoryWriter):
    """The history's writer, with the troubles of its file."""

    def __init__(self, chaos: Chaos, path: Path, history: Any) -> None:
        super().__init__(path, history)
        self._chaos = chaos

    async def _catch_up(self, store: Any, commands: int) -> None:
        chaos = self._chaos
        if chaos.strikes("history_slow", "past"):
            await trio.sleep(chaos.rng("past").uniform(0.1, 5.0))
        if chaos.strikes("history_write", "past"):
            statements = chaos.rng("past").randrange(12)
            if not isinstance(store._connection, _Connection):
                store._connection = _Connection(store._connection)
            store._connection.before = [
                *(None for _ in range(statements)),
                InjectedSqliteError("SQLITE_IOERR_WRITE"),
            ]
        await super()._catch_up(store, commands)
