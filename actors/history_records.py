"""The records of the history as they were kept: of an account or a market, by time.

Every answer is bounded, whatever was asked for. Times are milliseconds, both ends included.
``upto_height`` leaves out what happened in later blocks: a view that starts from a state at some
height must not be told twice of what it will see itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from actors.history_store import decode_batch
from actors.journal_file import connect
from model.ids import Address, AssetId, Cloid, OrderId
from model.views.records import (
    Fill,
    FundingRecord,
    LedgerRecord,
    OrderRecord,
    RateRecord,
    TradeRecord,
    TwapRecord,
)

FILLS_MAX: Final = 2000
FILLS_REACHABLE: Final = 10_000
"""Only the newest fills of an account can be paged to (Hyperliquid API documentation)."""
ORDERS_MAX: Final = 2000
LEDGER_MAX: Final = 500
FUNDINGS_MAX: Final = 500
RATES_MAX: Final = 500
TWAPS_MAX: Final = 500
TRADES_MAX: Final = 1000

FOREVER: Final = 2**63 - 1
_SLICES: Final = "AND twap IS NOT NULL"

decode_trade = msgspec.msgpack.Decoder(TradeRecord).decode
"""Read a trade."""

_decode_fill = msgspec.msgpack.Decoder(Fill).decode
_decode_ledger = msgspec.msgpack.Decoder(LedgerRecord).decode
_decode_funding = msgspec.msgpack.Decoder(FundingRecord).decode
_decode_rate = msgspec.msgpack.Decoder(RateRecord).decode
_decode_twap = msgspec.msgpack.Decoder(TwapRecord).decode

RecordT = TypeVar("RecordT")


class RecordReader:
    """Reads records from a history file. Blocks on the disk; one thread at a time.

    An account or market that is not known has an empty history.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, "ro")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def fills_of(
        self,
        account: Address,
        *,
        start_ms: int = 0,
        end_ms: int = FOREVER,
        limit: int = FILLS_MAX,
        newest_first: bool = True,
        slices_only: bool = False,
        upto_height: int = FOREVER,
    ) -> list[Fill]:
        """Return fills of an account, of the FILLS_REACHABLE newest.

        ``slices_only`` leaves out those that were not slices of a TWAP.
        """
        account_id = self._account_id(account)
        floor = self._one(
            "SELECT id FROM fills WHERE account = ? ORDER BY time_ms DESC, id DESC"
            " LIMIT 1 OFFSET ?",
            (account_id, FILLS_REACHABLE - 1),
        )
        order = "DESC" if newest_first else "ASC"
        rows = self._connection.execute(
            "SELECT record FROM fills WHERE account = ? AND time_ms BETWEEN ? AND ?"
            f" AND height <= ? AND id >= ? {_SLICES if slices_only else ''}"
            f" ORDER BY time_ms {order}, id {order} LIMIT ?",
            (
                account_id,
                sql_int(start_ms),
                sql_int(end_ms),
                upto_height,
                floor[0] if floor else 0,
                min(limit, FILLS_MAX),
            ),
        )
        return [_decode_fill(record) for (record,) in rows]

    def orders_of(
        self, account: Address, *, limit: int = ORDERS_MAX, upto_height: int = FOREVER
    ) -> list[OrderRecord]:
        """Return the status changes of an account's orders, newest first."""
        batches = self._connection.execute(
            "SELECT records FROM batches WHERE account = ? ORDER BY id DESC",
            (self._account_id(account),),
        )
        newest_first = (
            order
            for (records,) in batches
            for height, order in reversed(decode_batch(records))
            if height <= upto_height
        )
        return list(islice(newest_first, min(limit, ORDERS_MAX)))

    def order(self, account: Address, target: OrderId | Cloid) -> OrderRecord | None:
        """Return what an order of an account came to last; of a reused cloid, the latest order.

        Orders that were refused never got an id and are not found.
        """
        if isinstance(target, str):
            row = self._one(
                "SELECT oid FROM cloids WHERE cloid = ? AND account = ?",
                (target, self._account_id(account)),
            )
            if row is None:
                return None
            target = OrderId(row[0])
        # Both are asked in one statement, in which nothing moves from the one to the other.
        row = self._one(
            "SELECT records FROM batches WHERE id = coalesce("
            "(SELECT batch FROM closed_orders WHERE oid = :oid),"
            "(SELECT batch FROM open_orders WHERE oid = :oid))",
            {"oid": sql_int(target)},
        )
        records = [] if row is None else decode_batch(row[0])
        found = [order for _, order in records if order.oid == target and order.account == account]
        return found[-1] if found else None

    def ledger_of(
        self,
        account: Address,
        *,
        start_ms: int = 0,
        end_ms: int = FOREVER,
        limit: int = LEDGER_MAX,
        newest_first: bool = False,
        upto_height: int = FOREVER,
    ) -> list[LedgerRecord]:
        """Return movements of an account's money other than by trading."""
        return self._of_account(
            "ledger",
            _decode_ledger,
            account,
            (start_ms, end_ms, upto_height),
            limit=min(limit, LEDGER_MAX),
            newest_first=newest_first,
        )

    def _ledger_backwards(self, account_id: int) -> Iterator[tuple[int, LedgerRecord]]:
        """Yield all entries of an account's ledger with their heights, newest first."""
        rows = self._connection.execute(
            "SELECT height, record FROM ledger WHERE account = ? ORDER BY time_ms DESC, id DESC",
            (account_id,),
        )
        for height, record in rows:
            yield height, _decode_ledger(record)

    def fundings_of(
        self,
        account: Address,
        *,
        start_ms: int = 0,
        end_ms: int = FOREVER,
        limit: int = FUNDINGS_MAX,
        newest_first: bool = False,
        upto_height: int = FOREVER,
    ) -> list[FundingRecord]:
        """Return what an account's positions got or paid as funding."""
        return self._of_account(
            "fundings",
            _decode_funding,
            account,
            (start_ms, end_ms, upto_height),
            limit=min(limit, FUNDINGS_MAX),
            newest_first=newest_first,
        )

    def twaps_of(
        self, account: Address, *, limit: int = TWAPS_MAX, upto_height: int = FOREVER
    ) -> list[TwapRecord]:
        """Return the status changes of an account's TWAPs, newest first."""
        return self._of_account(
            "twaps",
            _decode_twap,
            account,
            (0, FOREVER, upto_height),
            limit=min(limit, TWAPS_MAX),
            newest_first=True,
        )

    def rates(
        self, asset: AssetId, *, start_ms: int = 0, end_ms: int = FOREVER, limit: int = RATES_MAX
    ) -> list[RateRecord]:
        """Return the hourly funding of a market, oldest first."""
        rows = self._connection.execute(
            "SELECT record FROM rates WHERE asset = ? AND time_ms BETWEEN ? AND ?"
            " ORDER BY time_ms, id LIMIT ?",
            (asset, sql_int(start_ms), sql_int(end_ms), min(limit, RATES_MAX)),
        )
        return [_decode_rate(record) for (record,) in rows]

    def recent_trades(
        self, asset: AssetId, limit: int, *, upto_height: int = FOREVER
    ) -> list[TradeRecord]:
        """Return the latest trades of a market, newest first."""
        rows = self._connection.execute(
            "SELECT record FROM trades WHERE asset = ? AND height <= ?"
            " ORDER BY time_ms DESC, id DESC LIMIT ?",
            (asset, upto_height, min(limit, TRADES_MAX)),
        )
        return [decode_trade(record) for (record,) in rows]

    def _of_account(
        self,
        table: str,
        decode: Callable[[bytes], RecordT],
        account: Address,
        bounds: tuple[int, int, int],
        *,
        limit: int,
        newest_first: bool,
    ) -> list[RecordT]:
        """Return records of a table; ``bounds`` are first and last time, and height."""
        start_ms, end_ms, upto_height = bounds
        order = "DESC" if newest_first else "ASC"
        rows = self._connection.execute(
            f"SELECT record FROM {table} WHERE account = ? AND time_ms BETWEEN ? AND ?"
            f" AND height <= ? ORDER BY time_ms {order}, id {order} LIMIT ?",
            (
                self._account_id(account),
                sql_int(start_ms),
                sql_int(end_ms),
                upto_height,
                limit,
            ),
        )
        return [decode(record) for (record,) in rows]

    def _account_id(self, account: Address) -> int:
        row = self._one("SELECT id FROM accounts WHERE address = ?", (account,))
        return 0 if row is None else row[0]

    def _one(
        self, query: str, parameters: tuple[object, ...] | dict[str, object]
    ) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, parameters).fetchone()
        return row


def sql_int(number: int) -> int:
    """Bring what a client sent into the range of an SQLite integer."""
    return max(-FOREVER, min(number, FOREVER))
