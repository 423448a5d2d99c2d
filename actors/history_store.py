"""The history's file and its one writer: a projection of the journal, deletable at any time.

Everything here is made from blocks and can be made again. The file stores the height and digest up
to which it is done; blocks go in many at a time, together with the new height, in one transaction.
So a crash at any moment leaves a history that is right up to some height, and the rest is read from
the journal. There is no fsync on the way (``synchronous=NORMAL``).

Records are stored as the bytes of ``model.views.records``, with only the columns that are searched
beside them; those of orders, by far the most, many to a row: the records of one account, in order.
Candles are kept for a minute, an hour and a day; longer ones are put together when asked for.

This runs beside the order flow and must take little from it: see ``actors.many_rows``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.history_rows import Rows
from actors.journal_file import SQLITE_ERRORS, connect
from actors.many_rows import delete_keys, insert_rows
from model.blocks import GENESIS_DIGEST, Block
from model.ids import Address, OrderId
from model.instruments import Instrument
from model.state import TwapState
from model.universe import Universe
from model.views.holdings import NOTHING_HELD, AllHoldings, HoldingsRecord
from model.views.open_orders import OpenOrders, resting_of, trigger_of
from model.views.records import OrderRecord
from model.views.twaps import Twaps

APPLICATION_ID: Final = 0x5A_41_52_48
SCHEMA_VERSION: Final = 4

WAL_BYTES_MAX: Final = 8 * 2**20
"""The write-ahead log is moved into the file when it is this long, and shortened to it if one
transaction or a slow reader made it longer. The same index pages change again and again, so a
longer log costs fewer fsyncs; SQLite alone would never shorten it."""
CACHE_KIB: Final = 32_768

_SCHEMA: Final = (
    """CREATE TABLE position (
        height INTEGER NOT NULL, time_ms INTEGER NOT NULL, digest BLOB NOT NULL,
        deposited INTEGER NOT NULL)""",
    "CREATE TABLE markets (asset INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE)",
    "CREATE TABLE open_orders (oid INTEGER PRIMARY KEY, batch INTEGER NOT NULL)",
    "CREATE TABLE closed_orders (oid INTEGER PRIMARY KEY, batch INTEGER NOT NULL)",
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, records BLOB NOT NULL)""",
    "CREATE INDEX batches_by_account ON batches (account)",
    """CREATE TABLE cloids (
        cloid TEXT, account INTEGER, oid INTEGER NOT NULL,
        PRIMARY KEY (cloid, account)) WITHOUT ROWID""",
    """CREATE TABLE fills (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, twap INTEGER, record BLOB NOT NULL)""",
    "CREATE INDEX fills_by_account ON fills (account, time_ms)",
    "CREATE INDEX slice_fills ON fills (account, time_ms) WHERE twap IS NOT NULL",
    """CREATE TABLE ledger (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX ledger_by_account ON ledger (account, time_ms)",
    """CREATE TABLE fundings (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX fundings_by_account ON fundings (account, time_ms)",
    """CREATE TABLE rates (
        id INTEGER PRIMARY KEY, asset INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX rates_by_asset ON rates (asset, time_ms)",
    """CREATE TABLE twaps (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX twaps_by_account ON twaps (account, time_ms)",
    "CREATE TABLE running_twaps (twap INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    """CREATE TABLE holdings (
        account INTEGER, sample_ms INTEGER, record BLOB NOT NULL,
        PRIMARY KEY (account, sample_ms)) WITHOUT ROWID""",
    """CREATE TABLE marks (
        asset INTEGER, sample_ms INTEGER, mark INTEGER NOT NULL,
        PRIMARY KEY (asset, sample_ms)) WITHOUT ROWID""",
    """CREATE TABLE trades (
        id INTEGER PRIMARY KEY, asset INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX trades_by_asset ON trades (asset, time_ms)",
    """CREATE TABLE candles (
        asset INTEGER, interval TEXT, open_ms INTEGER, open INTEGER, high INTEGER, low INTEGER,
        close INTEGER, lots INTEGER, notional INTEGER, count INTEGER, height INTEGER,
        PRIMARY KEY (asset, interval, open_ms)) WITHOUT ROWID""",
    """CREATE TABLE volumes (
        account INTEGER, day_ms INTEGER, taker INTEGER, maker INTEGER,
        PRIMARY KEY (account, day_ms)) WITHOUT ROWID""",
)
_OPEN_BATCHES: Final = """
SELECT records FROM batches WHERE id IN (SELECT batch FROM open_orders) ORDER BY id
"""
_MERGE_CANDLE: Final = """ON CONFLICT DO UPDATE SET
    high = max(high, excluded.high), low = min(low, excluded.low), close = excluded.close,
    lots = lots + excluded.lots, notional = notional + excluded.notional,
    count = count + excluded.count, height = excluded.height
"""
_REPLACE_BATCH: Final = "ON CONFLICT DO UPDATE SET batch = excluded.batch"
_REPLACE_OID: Final = "ON CONFLICT DO UPDATE SET oid = excluded.oid"
_ADD_VOLUME: Final = """ON CONFLICT DO UPDATE SET
    taker = taker + excluded.taker, maker = maker + excluded.maker
"""

_REPLACE_RECORD: Final = "ON CONFLICT DO UPDATE SET record = excluded.record"
_REPLACE_MARK: Final = "ON CONFLICT DO UPDATE SET mark = excluded.mark"
_HELD_LAST: Final = """
SELECT record FROM holdings WHERE account = ? ORDER BY sample_ms DESC LIMIT 1
"""

_decode_market = msgspec.msgpack.Decoder(Instrument).decode
_decode_twap = msgspec.msgpack.Decoder(TwapState).decode
_encode = msgspec.msgpack.Encoder().encode

decode_holdings = msgspec.msgpack.Decoder(HoldingsRecord).decode
"""Read what an account held at the end of an interval."""

decode_batch = msgspec.msgpack.Decoder(list[tuple[int, OrderRecord]]).decode
"""Read the records of a batch, each with its height, oldest first."""


class HistoryStore:
    """The one writer of a history file. Blocks on the disk; belongs in a worker thread.

    After an exception from ``apply`` the file is as it was, and the store must be opened again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._file: tuple[Path, tuple[int, int] | None] | None = None
        self._universe = Universe(
            _decode_market(record)
            for (record,) in connection.execute("SELECT record FROM markets ORDER BY asset")
        )
        self._open_orders = _read_open_orders(connection, self._universe)
        self._running = Twaps(
            _decode_twap(record)
            for (record,) in connection.execute("SELECT record FROM running_twaps")
        )
        self._holdings = AllHoldings(self._universe, self._held_last)
        self._batches: int = connection.execute("SELECT max(id) FROM batches").fetchone()[0] or 0
        self._account_ids: dict[str, int] = dict(
            connection.execute("SELECT address, id FROM accounts")
        )
        self.height: int
        self.time_ms: int
        self.digest: bytes
        self.height, self.time_ms, self.digest = connection.execute(
            "SELECT height, time_ms, digest FROM position"
        ).fetchone()

    @classmethod
    def open(cls, path: Path) -> HistoryStore:
        """Open a history; make it, or make it anew where it is damaged or of another version."""
        try:
            store = cls(_open(path))
        except (*SQLITE_ERRORS, msgspec.DecodeError, TypeError):
            discard(path)
            store = cls(_open(path))
        store._file = path, _identity(path)
        return store

    def apply(self, blocks: Sequence[Block]) -> None:
        """Take in the blocks that follow, all or none of them.

        Raises:
            sqlite3.Error: the disk or the file failed.
        """
        rows = Rows(
            self._universe, self._open_orders, self._running, self._holdings, self._account_ids
        )
        for block in blocks:
            assert block.height == self.height + 1
            assert block.parent == self.digest
            rows.take(block)
            self.height, self.time_ms, self.digest = block.height, block.time_ms, block.digest
        rows.finish()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(rows)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def is_in_place(self) -> bool:
        """Tell whether the file still stands where it was opened, for readers to find."""
        return self._file is None or _identity(self._file[0]) == self._file[1]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _write(self, rows: Rows) -> None:
        connection = self._connection
        insert_rows(connection, "markets (asset, record)", rows.markets)
        insert_rows(connection, "accounts (id, address)", rows.accounts)
        insert_rows(connection, "fills (account, time_ms, height, twap, record)", rows.fills)
        insert_rows(connection, "ledger (account, time_ms, height, record)", rows.ledger)
        insert_rows(connection, "fundings (account, time_ms, height, record)", rows.fundings)
        insert_rows(connection, "rates (asset, time_ms, height, record)", rows.rates)
        insert_rows(connection, "trades (asset, time_ms, height, record)", rows.trades)
        candles = [(*key, *values) for key, values in rows.candles.items()]
        insert_rows(connection, "candles", candles, _MERGE_CANDLE)
        volumes = [(*key, *values) for key, values in rows.volumes.items()]
        insert_rows(connection, "volumes", volumes, _ADD_VOLUME)
        self._write_orders(rows)
        self._write_twaps(rows)
        self._write_worth(rows)
        connection.execute(
            "UPDATE position SET height = ?, time_ms = ?, digest = ?, deposited = deposited + ?",
            (self.height, self.time_ms, self.digest, rows.deposited),
        )

    def _write_orders(self, rows: Rows) -> None:
        connection, first = self._connection, self._batches + 1
        self._batches += len(rows.batches)
        batches = [
            (number, account, _encode(records))
            for number, (account, records) in enumerate(rows.batches, start=first)
        ]
        opened = [(oid, first + batch) for oid, batch in rows.opened.items()]
        closed = [(oid, first + batch) for oid, batch in rows.closed.items()]
        cloids = [(*key, oid) for key, oid in rows.cloids.items()]
        insert_rows(connection, "batches", batches)
        insert_rows(connection, "open_orders", opened, _REPLACE_BATCH)
        insert_rows(connection, "closed_orders", closed)
        delete_keys(connection, "open_orders", "oid", rows.gone)
        insert_rows(connection, "cloids", cloids, _REPLACE_OID)

    def _write_twaps(self, rows: Rows) -> None:
        connection = self._connection
        insert_rows(connection, "twaps (account, time_ms, height, record)", rows.twaps)
        running = [(twap.twap_id, _encode(twap)) for twap in self._running.take_touched()]
        insert_rows(connection, "running_twaps", running, _REPLACE_RECORD)
        delete_keys(connection, "running_twaps", "twap", rows.ended_twaps)

    def _write_worth(self, rows: Rows) -> None:
        held = [(*key, _encode(record)) for key, record in rows.holdings_at.items()]
        insert_rows(self._connection, "holdings", held, _REPLACE_RECORD)
        marks = [(*key, mark) for key, mark in rows.marks.items()]
        insert_rows(self._connection, "marks", marks, _REPLACE_MARK)

    def _held_last(self, account: Address) -> HoldingsRecord:
        row = self._connection.execute(_HELD_LAST, (self._account_ids.get(account, 0),)).fetchone()
        return NOTHING_HELD if row is None else decode_holdings(row[0])


def _read_open_orders(connection: sqlite3.Connection, universe: Universe) -> OpenOrders:
    """Return the orders that are open; the last record of each is all there is to know about it."""
    last: dict[OrderId, OrderRecord] = {}
    is_open = {oid for (oid,) in connection.execute("SELECT oid FROM open_orders")}
    for (records,) in connection.execute(_OPEN_BATCHES):  # in order of their ids
        for _, order in decode_batch(records):
            if order.oid in is_open:
                last[order.oid] = order
    waiting = {
        order.oid: trigger_of(order, order.trigger)
        for order in last.values()
        if order.trigger is not None and not order.has_fired
    }
    resting = [resting_of(order) for order in last.values() if order.oid not in waiting]
    return OpenOrders(universe, resting, waiting.values(), known=last.values())


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; ``None`` if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def discard(path: Path) -> None:
    """Delete a history, with the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path, "rwc")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES_MAX // page_bytes}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        connection.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
        if connection.execute("PRAGMA page_count").fetchone()[0] <= 1:
            _create(connection)
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise sqlite3.DatabaseError("a history of another version")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO position VALUES (0, 0, ?, 0)", (GENESIS_DIGEST,))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
