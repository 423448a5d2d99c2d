"""What the history puts together: candles, volumes, worth over time, what views start with.

Every answer is bounded; times and ``upto_height`` are as in ``actors.history_records``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from attrs import frozen

from actors.history_records import FOREVER, RecordReader, decode_trade, sql_int
from actors.history_rows import BASE_INTERVALS
from actors.history_store import decode_holdings
from model.balances import E8_PER_MICRO_USD
from model.ids import SPOT_ASSETS_FROM, Address, AssetId
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
from model.views.money import paid_in
from model.views.records import Candle

WORTH_POINTS_MAX: Final = 500
"""Points of time at which an account's worth is asked for at once."""
CANDLES_MAX: Final = 5000
VOLUME_DAYS_MAX: Final = 366

_CANDLE: Final = "open_ms, open, high, low, close, lots, notional, count, height"


@frozen
class DayVolume:
    """What an account traded on one UTC day, and what everybody did; micro-USD."""

    day_ms: int
    taker: int
    maker: int
    exchange: int


class HistoryReader(RecordReader):
    """Answers from a history file: records, and what is put together from them."""

    def worth(self, account: Address, universe: Universe, times_ms: list[int]) -> list[Worth]:
        """Return what an account was worth at some times, at most WORTH_POINTS_MAX of them.

        It is that of the end of the interval of SAMPLE_MS that began last before a time.
        """
        account_id = self._account_id(account)
        worth: list[Worth] = []
        for time_ms in times_ms[:WORTH_POINTS_MAX]:
            before = sql_int(time_ms)
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

    def _paid_in(self, account: Address, upto_height: int) -> int:
        """Return what an account was paid in by a height: all of it less what came later."""
        account_id = self._account_id(account)
        self._connection.execute("BEGIN")  # both are of the same height
        try:
            total = self._held(account_id, FOREVER).paid_in
            for height, entry in self._ledger_backwards(account_id):
                if height <= upto_height:
                    break
                total -= paid_in(entry)[0]
        finally:
            self._connection.execute("COMMIT")
        return total

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

    def candles(
        self,
        asset: AssetId,
        interval: str,
        *,
        start_ms: int = 0,
        end_ms: int = FOREVER,
        limit: int = CANDLES_MAX,
        upto_height: int = FOREVER,
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
            paid_in=self._paid_in(account, upto_height),
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
        return None if row is None else decode_trade(row[0]).price

    def _bases(
        self, asset: AssetId, interval: str, start_ms: int, end_ms: int, upto_height: int
    ) -> Iterator[Candle]:
        """Yield the stored candles that make up the asked ones, newest first."""
        base = _base_of(interval)
        last_open = interval_start(interval, min(sql_int(end_ms), _END_OF_TIME_MS))
        rows = self._connection.execute(
            f"SELECT {_CANDLE} FROM candles WHERE asset = ? AND interval = ?"
            " AND open_ms BETWEEN ? AND ? ORDER BY open_ms DESC",
            (asset, base, sql_int(start_ms), interval_end(interval, last_open) - 1),
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
        trades = [decode_trade(record) for (record,) in rows]
        return candle_of(trades, asset, base, open_ms) if trades else None


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
