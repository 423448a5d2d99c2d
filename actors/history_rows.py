"""Blocks as rows of the history's tables, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from attrs import Factory, define

from model.blocks import Block
from model.events import Credited, Event, MarketListed, Traded, UsdSent
from model.ids import Address, Cloid, OrderId
from model.universe import Universe
from model.views.candles import DAY_MS, HOUR_MS, MINUTE_MS
from model.views.records import (
    OPEN,
    Fill,
    LedgerRecord,
    Moment,
    OpenOrders,
    OrderRecord,
    TradeRecord,
    fills_from,
    is_immediate,
    ledger_from,
    trade_from,
)

BASE_INTERVALS: Final[dict[str, int]] = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
"""Intervals that are stored, and their lengths."""

ORDERS_PER_BATCH: Final = 64
"""Records of one account's orders that are kept as one row. A row costs far more than a record; but
to find one record is to read all of its batch.
"""

_encode = msgspec.msgpack.Encoder().encode


@define
class Rows:
    """The rows that some blocks add to each table; filled by ``take``.

    ``batches`` are the records of orders, each with its height: in order for each account, so many
    to a batch. ``opened`` and ``closed`` tell in which batch the last record of an order stands;
    ``gone`` are orders that may have been open before these blocks. ``cloids`` has the newest order
    of each.
    """

    universe: Universe
    open_orders: OpenOrders
    account_ids: dict[str, int]
    markets: list[tuple[int, bytes]] = Factory(list)
    accounts: list[tuple[int, str]] = Factory(list)
    fills: list[tuple[int, int, int, bytes]] = Factory(list)
    batches: list[tuple[int, list[tuple[int, OrderRecord]]]] = Factory(list)
    cloids: dict[tuple[Cloid, int], OrderId] = Factory(dict)
    ledger: list[tuple[int, int, int, bytes]] = Factory(list)
    trades: list[tuple[int, int, int, bytes]] = Factory(list)
    candles: dict[tuple[int, str, int], list[int]] = Factory(dict)
    volumes: dict[tuple[int, int], list[int]] = Factory(dict)
    opened: dict[OrderId, int] = Factory(dict)
    closed: dict[OrderId, int] = Factory(dict)
    gone: list[OrderId] = Factory(list)
    _placed: set[OrderId] = Factory(set)
    _filling: dict[int, int] = Factory(dict)

    def take(self, block: Block) -> None:
        height, time_ms = block.height, block.time_ms
        change_orders, add_order = self.open_orders.apply, self._add_order
        for index, entry in enumerate(block.entries):
            for event in entry.events:
                for order in change_orders(event, time_ms):
                    add_order(order, height)
                also = _ALSO.get(type(event))
                if also is not None:
                    also(self, event, Moment(height, time_ms, index))

    def _add_order(self, order: OrderRecord, height: int) -> None:
        account, oid = self._account_id(order.account), order.oid
        batch = self._filling.get(account)
        if batch is None or len(self.batches[batch][1]) == ORDERS_PER_BATCH:
            batch = self._begin_batch(account)
        self.batches[batch][1].append((height, order))
        if order.status == OPEN:
            self.opened[oid] = batch
            if order.remaining == order.lots:
                self._placed.add(oid)
                self._note_cloid(order, account)
        elif oid:
            self._close(order, account, batch)

    def _close(self, order: OrderRecord, account: int, batch: int) -> None:
        oid = order.oid
        self.closed[oid] = batch
        self.opened.pop(oid, None)
        if oid not in self._placed:
            self.gone.append(oid)
        if is_immediate(order.tif):  # this is its first record
            self._note_cloid(order, account)

    def _note_cloid(self, order: OrderRecord, account: int) -> None:
        if order.cloid is not None:
            self.cloids[order.cloid, account] = order.oid

    def _begin_batch(self, account: int) -> int:
        index = self._filling[account] = len(self.batches)
        self.batches.append((account, []))
        return index

    def _take_trade(self, event: Traded, at: Moment) -> None:
        self._add_trade(trade_from(event, at))
        for fill in fills_from(event, at):
            self._add_fill(fill)

    def _take_market(self, event: MarketListed, at: Moment) -> None:
        self.universe.list(event.instrument)
        self.markets.append((event.instrument.asset, _encode(event.instrument)))

    def _take_money(self, event: Event, at: Moment) -> None:
        for record in ledger_from(event, at):
            self._add_ledger(record)

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
        return self.account_ids.get(address) or self._new_account(address)

    def _new_account(self, address: Address) -> int:
        new = self.account_ids[address] = len(self.account_ids) + 1
        self.accounts.append((new, address))
        return new


_ALSO: Final[dict[type, Callable[[Rows, Any, Moment], None]]] = {
    Traded: Rows._take_trade,
    MarketListed: Rows._take_market,
    Credited: Rows._take_money,
    UsdSent: Rows._take_money,
}
"""What else an event means than changes of orders."""
