"""A disk in memory, and the exchange's chain on it.

The log is an append-only file of checksummed records. What was written but not synced is in the
operating system's hands: a process that dies leaves it there, a power cut keeps some beginning of
it. After a failed sync nobody knows what is durable until the log is opened again. Recovery is the
real one: rows are proven as the journal proves them, and executed again by ``replay_row``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final

import msgspec
import trio
from attrs import define, field

from actors.chain_store import Chain
from actors.journal_file import Head, Row, prove
from actors.recovery import replay_row
from actors.snapshots import DamagedSnapshotError, Snapshot, decode, encode
from actors.storage import JournalDiskError, JournalError, JournalFullError, SnapshotError
from model.blocks import GENESIS_DIGEST, Block
from model.commands import Command
from model.events import Event
from model.exchange import Exchange
from tests.simulation.chaos import Chaos, InjectedError

BLOCKS_PER_READ: Final = 16
SNAPSHOTS_KEPT: Final = 3
_HEADER: Final = Struct(">II")
_NOTHING: Final = Head(0, GENESIS_DIGEST, 0)


@define(eq=False)
class Disk:
    """What outlives a process.

    Attributes:
        log: all bytes that were written.
        synced: how many of them survive a power cut.
        rows: the blocks that are durable for good, oldest first.
        snapshots: files by height.
        boot: counts the processes that ran on this disk; older ones can do nothing any more.
        on_durable: is told of each block that became durable.
        cut_power: asks for the process to be ended as by a power cut.
        on_return: is told height and digest of each exchange that was recovered.
    """

    chaos: Chaos
    on_durable: Callable[[Row], None]
    cut_power: Callable[[], None] = lambda: None
    on_return: Callable[[int, bytes], None] = lambda _height, _digest: None
    log: bytearray = field(init=False, factory=bytearray)
    synced: int = field(init=False, default=0)
    rows: list[Row] = field(init=False, factory=list)
    snapshots: dict[int, bytes] = field(init=False, factory=dict)
    boot: int = field(init=False, default=0)

    def kill(self) -> None:
        """End the process: its hands are off the disk, what it wrote is in the system's."""
        self.boot += 1

    def lose_power(self) -> None:
        """End the process and lose what was not synced, but for some beginning of it."""
        self.boot += 1
        kept = self.chaos.rng("disk power").randint(self.synced, len(self.log))
        del self.log[kept:]

    def head(self) -> Head:
        """Return the last durable block."""
        if not self.rows:
            return _NOTHING
        last = self.rows[-1]
        return Head(last.height, last.digest, last.time_ms)

    def make_durable(self, row: Row) -> None:
        """Note that a block is there for good."""
        self.rows.append(row)
        self.on_durable(row)


@define(eq=False)
class DiskChain:
    """A ``ChainStore`` on a simulated disk, of one process."""

    disk: Disk
    _boot: int = field(init=False)
    _failure: JournalError | None = field(init=False, default=None)
    _is_open: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._boot = self.disk.boot

    async def recover(self) -> Chain:
        """Open the log afresh, cut what is torn, and rebuild the state."""
        disk, chaos = self.disk, self.disk.chaos
        await self._spend("disk")
        if chaos.strikes("read", "recover"):
            raise JournalDiskError("the disk cannot be read")
        self._settle_tail()
        exchange = self._newest_snapshot() or Exchange()
        for row in disk.rows[exchange.height :]:
            replay_row(exchange, row)
        self._failure, self._is_open = None, True
        disk.on_return(exchange.height, disk.head().digest)
        exchange.__class__ = breakable(chaos)
        return Chain(exchange, disk.head().digest)

    async def commit(self, block: Block, body: bytes) -> None:
        """Make a block durable, or fail in one of the ways in which disks do."""
        disk, chaos = self.disk, self.disk.chaos
        if self._failure is not None or not self._is_open:
            raise self._failure or JournalDiskError("the log is not open")
        row = Row(block.height, block.time_ms, block.parent, body, block.digest)
        prove(row, disk.head())
        record = _record(row)
        await self._spend("disk")
        if chaos.strikes("disk_full", "disk"):
            raise JournalFullError("no room")
        if chaos.strikes("disk_short", "disk"):
            self._write_short(record)
        disk.log += record
        if chaos.strikes("power", "disk"):
            disk.cut_power()
            raise JournalDiskError("the power is gone")
        await self._spend("sync")
        if chaos.strikes("disk_sync", "disk"):
            self._failure = JournalDiskError("the sync failed")
            raise self._failure
        disk.synced = len(disk.log)
        disk.make_durable(row)

    async def blocks(self, after: int) -> Sequence[Block]:
        """Return the next durable blocks above a height."""
        await self._spend("disk")
        if self.disk.chaos.strikes("read", "blocks"):
            raise JournalDiskError("the disk cannot be read")
        return [row.block() for row in self.disk.rows[after : after + BLOCKS_PER_READ]]

    async def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; perhaps a damaged one."""
        chaos = self.disk.chaos
        await self._spend("disk")
        if chaos.strikes("disk_full", "snapshot"):
            raise SnapshotError("no room")
        content = encode(snapshot)
        if chaos.strikes("damaged_snapshot", "disk"):
            content = content[: chaos.rng("snapshot").randrange(len(content))]
        kept = self.disk.snapshots
        kept[snapshot.height] = content
        for height in sorted(kept)[:-SNAPSHOTS_KEPT]:
            del kept[height]

    async def aclose(self) -> None:
        """Let go."""
        self._is_open = False
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _spend(self, part: str) -> None:
        """Take the time of a disk; what was begun is not cancelled. A dead process fails."""
        await self.disk.chaos.spend(part)
        if self._boot != self.disk.boot:
            raise JournalDiskError("this process is dead")

    def _write_short(self, record: bytes) -> None:
        """Write a part; take it back, unless that fails too."""
        disk, rng = self.disk, self.disk.chaos.rng("short")
        disk.log += record[: rng.randrange(len(record))]
        if rng.random() < 0.5:
            self._failure = JournalDiskError("a part was written")
            raise self._failure
        del disk.log[disk.synced :]
        raise JournalFullError("a part was written, and taken back")

    def _settle_tail(self) -> None:
        """Find out what is durable behind the last sync: whole records from the front, or none."""
        disk, rng = self.disk, self.disk.chaos.rng("tail")
        if self._failure is not None and rng.random() < 0.5:
            del disk.log[disk.synced :]
        end = disk.synced
        for row, behind in _read(bytes(disk.log), disk.synced):
            prove(row, disk.head())
            disk.make_durable(row)
            end = behind
        del disk.log[end:]
        disk.synced = end

    def _newest_snapshot(self) -> Exchange | None:
        disk = self.disk
        for height in sorted(disk.snapshots, reverse=True):
            try:
                snapshot = decode(disk.snapshots[height])
            except DamagedSnapshotError:
                continue
            assert height <= disk.head().height, "a snapshot knows what the log does not"
            assert snapshot.block_digest == disk.rows[height - 1].digest
            exchange = Exchange.load(snapshot.dump)
            assert exchange.digest() == snapshot.state_digest
            return exchange
        return None


def breakable(chaos: Chaos) -> type[Exchange]:
    """Return an exchange that sometimes breaks on a command, before it or in the midst of it."""

    class Breakable(Exchange):
        def apply(self, command: Command) -> list[Event]:
            if chaos.strikes("poison", "before"):
                raise InjectedError("before a command")
            events = super().apply(command)
            if chaos.strikes("poison", "after"):
                raise InjectedError("after a command")
            return events

    return Breakable


def _record(row: Row) -> bytes:
    body = msgspec.msgpack.encode(tuple(row))
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def _read(log: bytes, at: int) -> Iterator[tuple[Row, int]]:
    """Yield whole records from an offset on, each with the offset behind it."""
    while at + _HEADER.size <= len(log):
        length, checksum = _HEADER.unpack_from(log, at)
        body = log[at + _HEADER.size : at + _HEADER.size + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            return
        at += _HEADER.size + length
        yield Row(*msgspec.msgpack.decode(body)), at
