"""What can be asked of the history. Every answer is bounded, whatever was asked for.

Times are milliseconds, both ends included. ``upto_height`` leaves out what happened in later
blocks: a view that starts from a state at some height must not be told twice of what it will see
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from attrs import frozen

from actors.history_rows import BASE_INTERVALS
from actors.history_store import decode_batch, decode_holdings
from actors.journal_file import connect
from model.balances import E8_PER_MICRO_USD
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, Cloid, OrderId
from model.universe import Universe
from model.views.account import (
    RECENT_FILLS_MAX,
    RECENT_FUNDINGS_MAX,
    RECENT_LEDGER_MAX,
    RECENT_ORDERS_MAX,
    RECENT_TWAPS_MAX,
    AccountSeeds,
)
from model.views.candles import (
    DAY_MS,
    INTERVAL_MS,
    INTERVALS,
    MONTH,
    candle_of,
    interval_end,
    interval_start,
    merged,
)
from model.views.holdings import NOTHING_HELD, HoldingsRecord, Worth, worth_of
from model.views.market import RECENT_TRADES_MAX, MarketSeeds, opening_price
from model.views.records import (
    Candle,
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
WORTH_POINTS_MAX: Final = 500
"""Points of time at which an account's worth is asked for at once."""
CANDLES_MAX: Final = 5000
TRADES_MAX: Final = 1000
VOLUME_DAYS_MAX: Final = 366

_FOREVER: Final = 2**63 - 1
_SLICES: Final = "AND twap IS NOT NULL"
_CANDLE: Final = "open_ms, open, high, low, close, lots, notional, count, height"

_decode_fill = msgspec.msgpack.Decoder(Fill).decode
_decode_ledger = msgspec.msgpack.Decoder(LedgerRecord).decode
_decode_trade = msgspec.msgpack.Decoder(TradeRecord).decode
_decode_funding = msgspec.msgpack.Decoder(FundingRecord).decode
_decode_rate = msgspec.msgpack.Decoder(RateRecord).decode
_decode_twap = msgspec.msgpack.Decoder(TwapRecord).decode

RecordT = TypeVar("RecordT")


@frozen
class DayVolume:
    """What an account traded on one UTC day, and what everybody did; micro-USD."""

    day_ms: int
    taker: int
    maker: int
    exchange: int


class HistoryReader:
    """Answers from a history file. Blocks on the disk; one thread at a time.

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
        end_ms: int = _FOREVER,
        limit: int = FILLS_MAX,
        newest_first: bool = True,
        slices_only: bool = False,
        upto_height: int = _FOREVER,
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
                _sql_int(start_ms),
                _sql_int(end_ms),
                upto_height,
                floor[0] if floor else 0,
                min(limit, FILLS_MAX),
            ),
        )
        return [_decode_fill(record) for (record,) in rows]

    def orders_of(
        self, account: Address, *, limit: int = ORDERS_MAX, upto_height: int = _FOREVER
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
            {"oid": _sql_int(target)},
        )
        records = [] if row is None else decode_batch(row[0])
        found = [order for _, order in records if order.oid == target and order.account == account]
        return found[-1] if found else None

    def ledger_of(
        self,
        account: Address,
        *,
        start_ms: int = 0,
        end_ms: int = _FOREVER,
        limit: int = LEDGER_MAX,
        newest_first: bool = False,
        upto_height: int = _FOREVER,
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

    def fundings_of(
        self,
        account: Address,
        *,
        start_ms: int = 0,
        end_ms: int = _FOREVER,
        limit: int = FUNDINGS_MAX,
        newest_first: bool = False,
        upto_height: int = _FOREVER,
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
        self, account: Address, *, limit: int = TWAPS_MAX, upto_height: int = _FOREVER
    ) -> list[TwapRecord]:
        """Return the status changes of an account's TWAPs, newest first."""
        return self._of_account(
            "twaps",
            _decode_twap,
            account,
            (0, _FOREVER, upto_height),
            limit=min(limit, TWAPS_MAX),
            newest_first=True,
        )

    def rates(
        self, asset: AssetId, *, start_ms: int = 0, end_ms: int = _FOREVER, limit: int = RATES_MAX
    ) -> list[RateRecord]:
        """Return the hourly funding of a market, oldest first."""
        rows = self._connection.execute(
            "SELECT record FROM rates WHERE asset = ? AND time_ms BETWEEN ? AND ?"
            " ORDER BY time_ms, id LIMIT ?",
            (asset, _sql_int(start_ms), _sql_int(end_ms), min(limit, RATES_MAX)),
        )
        return [_decode_rate(record) for (record,) in rows]

    def worth(self, account: Address, universe: Universe, times_ms: list[int]) -> list[Worth]:
        """Return what an account was worth at some times, at most WORTH_POINTS_MAX of them.

        It is that of the end of the interval of SAMPLE_MS that began last before a time.
        """
        account_id = self._account_id(account)
        worth: list[Worth] = []
        for time_ms in times_ms[:WORTH_POINTS_MAX]:
            before = _sql_int(time_ms)
            held = self._held(account_id, before)
            assets = {asset for asset, _ in held.sizes}
            tokens = {token for token, _ in held.tokens}
            assets |= {pair.asset for pair in universe.pairs if pair.base in tokens}
            marks = {asset: self._mark(asset, before, universe) for asset in assets}
            worth.append(worth_of(held, marks, universe))
        return worth

    def net_deposits(self) -> int:
        """Return what all accounts together paid in, less what they took out, in micro-USD."""
        row = self._one("SELECT deposited FROM position", ())
        return 0 if row is None else row[0]

    def known_since(self, account: Address) -> int | None:
        """Return when an account first held anything, to the interval; None if it never did."""
        row = self._one(
            "SELECT min(sample_ms) FROM holdings WHERE account = ?", (self._account_id(account),)
        )
        return None if row is None else row[0]

    def _held(self, account_id: int, before_ms: int) -> HoldingsRecord:
        row = self._one(
            "SELECT record FROM holdings WHERE account = ? AND sample_ms < ?"
            " ORDER BY sample_ms DESC LIMIT 1",
            (account_id, before_ms),
        )
        return NOTHING_HELD if row is None else decode_holdings(row[0])

    def _mark(self, asset: AssetId, before_ms: int, universe: Universe) -> int:
        row = self._one(
            "SELECT mark FROM marks WHERE asset = ? AND sample_ms < ?"
            " ORDER BY sample_ms DESC LIMIT 1",
            (asset, before_ms),
        )
        return opening_price(universe[asset]) if row is None else row[0]

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
                _sql_int(start_ms),
                _sql_int(end_ms),
                upto_height,
                limit,
            ),
        )
        return [decode(record) for (record,) in rows]

    def recent_trades(
        self, asset: AssetId, limit: int, *, upto_height: int = _FOREVER
    ) -> list[TradeRecord]:
        """Return the latest trades of a market, newest first."""
        rows = self._connection.execute(
            "SELECT record FROM trades WHERE asset = ? AND height <= ?"
            " ORDER BY time_ms DESC, id DESC LIMIT ?",
            (asset, upto_height, min(limit, TRADES_MAX)),
        )
        return [_decode_trade(record) for (record,) in rows]

    def candles(
        self,
        asset: AssetId,
        interval: str,
        *,
        start_ms: int = 0,
        end_ms: int = _FOREVER,
        limit: int = CANDLES_MAX,
        upto_height: int = _FOREVER,
    ) -> list[Candle]:
        """Return the newest ``limit`` candles that open within the bounds, oldest first.

        Raises:
            KeyError: there is no such interval.
        """
        newest_first: list[Candle] = []
        for base in self._bases(asset, interval, start_ms, end_ms, upto_height):
            open_ms = interval_start(interval, base.open_ms)
            if open_ms < start_ms:
                break
            if newest_first and newest_first[-1].open_ms == open_ms:
                newest_first[-1] = merged(_placed(base, interval, open_ms), newest_first[-1])
                continue
            if len(newest_first) == min(limit, CANDLES_MAX):
                break
            newest_first.append(_placed(base, interval, open_ms))
        return newest_first[::-1]

    def volume_by_day(self, account: Address, *, until_ms: int, days: int = 15) -> list[DayVolume]:
        """Return the volumes of the last days, today included, oldest first; each day is there."""
        today = until_ms - until_ms % DAY_MS
        first = today - (min(days, VOLUME_DAYS_MAX) - 1) * DAY_MS
        own = {
            day: (taker, maker)
            for day, taker, maker in self._connection.execute(
                "SELECT day_ms, taker, maker FROM volumes WHERE account = ? AND day_ms >= ?",
                (self._account_id(account), first),
            )
        }
        exchange = dict(
            self._connection.execute(
                "SELECT open_ms, sum(iif(asset < ?, notional, notional / ?)) FROM candles"
                " WHERE interval = '1d' AND open_ms >= ?"
                " AND asset IN (SELECT asset FROM markets) GROUP BY open_ms",
                (SPOT_ASSETS_FROM, E8_PER_MICRO_USD, first),
            )
        )
        return [
            DayVolume(day, *own.get(day, (0, 0)), exchange.get(day, 0))
            for day in range(first, today + 1, DAY_MS)
        ]

    def account_seeds(self, account: Address, upto_height: int) -> AccountSeeds:
        """Return what a view of an account at a height starts with."""
        fills = self.fills_of(account, limit=RECENT_FILLS_MAX, upto_height=upto_height)
        orders = self.orders_of(account, limit=RECENT_ORDERS_MAX, upto_height=upto_height)
        ledger = self.ledger_of(
            account, limit=RECENT_LEDGER_MAX, newest_first=True, upto_height=upto_height
        )
        fundings = self.fundings_of(
            account, limit=RECENT_FUNDINGS_MAX, newest_first=True, upto_height=upto_height
        )
        twaps = self.twaps_of(account, limit=RECENT_TWAPS_MAX, upto_height=upto_height)
        return AccountSeeds(
            fills=tuple(reversed(fills)),
            orders=tuple(reversed(orders)),
            ledger=tuple(reversed(ledger)),
            fundings=tuple(reversed(fundings)),
            twaps=tuple(reversed(twaps)),
        )

    def market_seeds(self, asset: AssetId, upto_height: int, time_ms: int) -> MarketSeeds:
        """Return what a view of a market at a height and time starts with."""
        trades = self.recent_trades(asset, RECENT_TRADES_MAX, upto_height=upto_height)
        forming = []
        for interval in INTERVALS:
            open_ms = interval_start(interval, time_ms)
            forming += self.candles(
                asset, interval, start_ms=open_ms, limit=1, upto_height=upto_height
            )
        return MarketSeeds(
            trades=tuple(reversed(trades)),
            minutes=tuple(
                self.candles(asset, "1m", start_ms=time_ms - DAY_MS, upto_height=upto_height)
            ),
            forming=tuple(forming),
            previous_day_price=self._price_at(asset, time_ms - DAY_MS),
        )

    def _price_at(self, asset: AssetId, time_ms: int) -> int | None:
        row = self._one(
            "SELECT record FROM trades WHERE asset = ? AND time_ms <= ?"
            " ORDER BY time_ms DESC, id DESC LIMIT 1",
            (asset, time_ms),
        )
        return None if row is None else _decode_trade(row[0]).price

    def _bases(
        self, asset: AssetId, interval: str, start_ms: int, end_ms: int, upto_height: int
    ) -> Iterator[Candle]:
        """Yield the stored candles that make up the asked ones, newest first."""
        base = _base_of(interval)
        last_open = interval_start(interval, min(_sql_int(end_ms), _END_OF_TIME_MS))
        rows = self._connection.execute(
            f"SELECT {_CANDLE} FROM candles WHERE asset = ? AND interval = ?"
            " AND open_ms BETWEEN ? AND ? ORDER BY open_ms DESC",
            (asset, base, _sql_int(start_ms), interval_end(interval, last_open) - 1),
        )
        for open_ms, *values, height in rows:
            if height <= upto_height:
                yield Candle(asset, base, open_ms, *values)
            elif candle := self._candle_again(asset, base, open_ms, upto_height):
                yield candle

    def _candle_again(
        self, asset: AssetId, base: str, open_ms: int, upto_height: int
    ) -> Candle | None:
        """Form a stored candle again without the trades of later blocks."""
        rows = self._connection.execute(
            "SELECT record FROM trades WHERE asset = ? AND time_ms BETWEEN ? AND ?"
            " AND height <= ? ORDER BY time_ms, id",
            (asset, open_ms, interval_end(base, open_ms) - 1, upto_height),
        )
        trades = [_decode_trade(record) for (record,) in rows]
        return candle_of(trades, asset, base, open_ms) if trades else None

    def _account_id(self, account: Address) -> int:
        row = self._one("SELECT id FROM accounts WHERE address = ?", (account,))
        return 0 if row is None else row[0]

    def _one(
        self, query: str, parameters: tuple[object, ...] | dict[str, object]
    ) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, parameters).fetchone()
        return row


_END_OF_TIME_MS: Final = 253_370_764_800_000
"""The year 9999, beyond which the calendar does not reach."""


def _base_of(interval: str) -> str:
    """Return the longest stored interval that the asked one is made of."""
    if interval == MONTH:
        return "1d"
    length_ms = INTERVAL_MS[interval]
    return [base for base, base_ms in BASE_INTERVALS.items() if length_ms % base_ms == 0][-1]


def _placed(base: Candle, interval: str, open_ms: int) -> Candle:
    return msgspec.structs.replace(base, interval=interval, open_ms=open_ms)


def _sql_int(number: int) -> int:
    """Bring what a client sent into the range of an SQLite integer."""
    return max(-_FOREVER, min(number, _FOREVER))
