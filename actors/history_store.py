"""The history's file and its one writer: a projection of the journal, deletable at any time.

Everything here is made from blocks and can be made again. The file stores the height and digest up
to which it is done; blocks go in many at a time, together with the new height, in one transaction.
So a crash at any moment leaves a history that is right up to some height, and the rest is read from
the journal. There is no fsync on the way (``synchronous=NORMAL``).

Records are stored as the bytes of ``model.views.records``, with only the columns that are searched
beside them. Candles are kept for a minute, an hour and a day; longer ones are put together when
asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from attrs import Factory, define

from actors.journal_file import SQLITE_ERRORS, connect
from model.blocks import GENESIS_DIGEST, Block
from model.events import Event, MarketListed, Traded
from model.ids import Address, OrderId
from model.instruments import Instrument
from model.state import RestingOrder
from model.views.candles import DAY_MS, HOUR_MS, MINUTE_MS
from model.views.records import (
    Fill,
    LedgerRecord,
    Moment,
    OpenOrders,
    OrderRecord,
    TradeRecord,
    fills_from,
    ledger_from,
    trade_from,
)

APPLICATION_ID: Final = 0x5A_41_52_48
SCHEMA_VERSION: Final = 1

PAGES_PER_CHECKPOINT: Final = 8_000
"""32 MB of log between two fsyncs: the same index pages change again and again."""
CACHE_KIB: Final = 32_768

BASE_INTERVALS: Final[dict[str, int]] = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
"""Intervals that are stored, and their lengths."""

_SCHEMA: Final = (
    """CREATE TABLE position (
        height INTEGER NOT NULL, time_ms INTEGER NOT NULL, digest BLOB NOT NULL)""",
    "CREATE TABLE markets (asset INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE)",
    "CREATE TABLE open_orders (oid INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    """CREATE TABLE fills (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX fills_by_account ON fills (account, time_ms)",
    """CREATE TABLE orders (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, oid INTEGER NOT NULL, cloid TEXT,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX orders_by_account ON orders (account)",
    "CREATE INDEX orders_by_oid ON orders (oid) WHERE oid > 0",
    "CREATE INDEX orders_by_cloid ON orders (cloid, account) WHERE cloid IS NOT NULL AND oid > 0",
    """CREATE TABLE ledger (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        height INTEGER NOT NULL, record BLOB NOT NULL)""",
    "CREATE INDEX ledger_by_account ON ledger (account, time_ms)",
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
_PUT_CANDLE: Final = """
INSERT INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    high = max(high, excluded.high), low = min(low, excluded.low), close = excluded.close,
    lots = lots + excluded.lots, notional = notional + excluded.notional,
    count = count + excluded.count, height = excluded.height
"""
_PUT_VOLUME: Final = """
INSERT INTO volumes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    taker = taker + excluded.taker, maker = maker + excluded.maker
"""

_encode = msgspec.msgpack.Encoder().encode
_decode_market = msgspec.msgpack.Decoder(Instrument).decode
_decode_order = msgspec.msgpack.Decoder(RestingOrder).decode


class HistoryStore:
    """The one writer of a history file. Blocks on the disk; belongs in a worker thread.

    After an exception from ``apply`` the file is as it was, and the store must be opened again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._instruments: list[Instrument] = [
            _decode_market(record)
            for (record,) in connection.execute("SELECT record FROM markets ORDER BY asset")
        ]
        self._open_orders = OpenOrders(
            self._instruments,
            [_decode_order(row[0]) for row in connection.execute("SELECT record FROM open_orders")],
        )
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
            return cls(_open(path))
        except (*SQLITE_ERRORS, msgspec.DecodeError, TypeError):
            discard(path)
            return cls(_open(path))

    def apply(self, blocks: Sequence[Block]) -> None:
        """Take in the blocks that follow, all or none of them.

        Raises:
            sqlite3.Error: the disk or the file failed.
        """
        fold = _Fold(self._instruments, self._open_orders, self._account_ids)
        for block in blocks:
            assert block.height == self.height + 1
            assert block.parent == self.digest
            fold.take(block)
            self.height, self.time_ms, self.digest = block.height, block.time_ms, block.digest
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(fold)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _write(self, fold: _Fold) -> None:
        many = self._connection.executemany
        many("INSERT INTO markets VALUES (?, ?)", fold.markets)
        many("INSERT INTO accounts VALUES (?, ?)", fold.accounts)
        many("INSERT INTO fills VALUES (NULL, ?, ?, ?, ?)", fold.fills)
        many("INSERT INTO orders VALUES (NULL, ?, ?, ?, ?, ?)", fold.orders)
        many("INSERT INTO ledger VALUES (NULL, ?, ?, ?, ?)", fold.ledger)
        many("INSERT INTO trades VALUES (NULL, ?, ?, ?, ?)", fold.trades)
        many(_PUT_CANDLE, ((*key, *values) for key, values in fold.candles.items()))
        many(_PUT_VOLUME, ((*key, *values) for key, values in fold.volumes.items()))
        gone, kept = fold.touched_orders()
        many("DELETE FROM open_orders WHERE oid = ?", gone)
        many("INSERT OR REPLACE INTO open_orders VALUES (?, ?)", kept)
        self._connection.execute(
            "UPDATE position SET height = ?, time_ms = ?, digest = ?",
            (self.height, self.time_ms, self.digest),
        )


@define
class _Fold:
    """Turns blocks into rows of every table."""

    instruments: list[Instrument]
    open_orders: OpenOrders
    account_ids: dict[str, int]
    markets: list[tuple[int, bytes]] = Factory(list)
    accounts: list[tuple[int, str]] = Factory(list)
    fills: list[tuple[int, int, int, bytes]] = Factory(list)
    orders: list[tuple[int, int, str | None, int, bytes]] = Factory(list)
    ledger: list[tuple[int, int, int, bytes]] = Factory(list)
    trades: list[tuple[int, int, int, bytes]] = Factory(list)
    candles: dict[tuple[int, str, int], list[int]] = Factory(dict)
    volumes: dict[tuple[int, int], list[int]] = Factory(dict)
    _touched: dict[OrderId, None] = Factory(dict)

    def take(self, block: Block) -> None:
        for index, entry in enumerate(block.entries):
            at = Moment(block.height, block.time_ms, index)
            for event in entry.events:
                self._take_event(event, at)

    def touched_orders(self) -> tuple[list[tuple[int]], list[tuple[int, bytes]]]:
        """Return, of all orders that changed, the ids of those gone and those still open."""
        gone: list[tuple[int]] = []
        kept: list[tuple[int, bytes]] = []
        for oid in self._touched:
            order = self.open_orders.get(oid)
            if order is None:
                gone.append((oid,))
            else:
                kept.append((oid, _encode(order)))
        return gone, kept

    def _take_event(self, event: Event, at: Moment) -> None:
        for order in self.open_orders.apply(event, at.time_ms):
            self._add_order(order, at.height)
        if isinstance(event, Traded):
            self._add_trade(trade_from(event, at))
            for fill in fills_from(event, at):
                self._add_fill(fill)
        elif isinstance(event, MarketListed):
            self.instruments.append(event.instrument)
            self.markets.append((event.instrument.asset, _encode(event.instrument)))
        else:
            for record in ledger_from(event, at):
                self._add_ledger(record)

    def _add_order(self, order: OrderRecord, height: int) -> None:
        self._touched[order.oid] = None
        account = self._account_id(order.account)
        self.orders.append((account, order.oid, order.cloid, height, _encode(order)))

    def _add_fill(self, fill: Fill) -> None:
        account = self._account_id(fill.account)
        self.fills.append((account, fill.time_ms, fill.height, _encode(fill)))
        volume = self.volumes.setdefault((account, fill.time_ms // DAY_MS * DAY_MS), [0, 0])
        volume[0 if fill.crossed else 1] += fill.price * fill.lots

    def _add_ledger(self, record: LedgerRecord) -> None:
        account = self._account_id(record.account)
        self.ledger.append((account, record.time_ms, record.height, _encode(record)))

    def _add_trade(self, trade: TradeRecord) -> None:
        self.trades.append((trade.asset, trade.time_ms, trade.height, _encode(trade)))
        price, lots, height = trade.price, trade.lots, trade.height
        for interval, length_ms in BASE_INTERVALS.items():
            key = (trade.asset, interval, trade.time_ms // length_ms * length_ms)
            candle = self.candles.get(key)
            if candle is None:
                self.candles[key] = [price, price, price, price, lots, price * lots, 1, height]
                continue
            candle[1] = max(candle[1], price)
            candle[2] = min(candle[2], price)
            candle[3] = price
            candle[4] += lots
            candle[5] += price * lots
            candle[6] += 1
            candle[7] = height

    def _account_id(self, address: Address) -> int:
        known = self.account_ids.get(address)
        if known is None:
            known = self.account_ids[address] = len(self.account_ids) + 1
            self.accounts.append((known, address))
        return known


def discard(path: Path) -> None:
    """Delete a history, with the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path, "rwc")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}")
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
    connection.execute("INSERT INTO position VALUES (0, 0, ?)", (GENESIS_DIGEST,))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
