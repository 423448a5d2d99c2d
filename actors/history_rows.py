"""Blocks as rows of the history's tables, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from attrs import Factory, define

from model.blocks import Block
from model.events import Credited, Event, MarketListed, Traded, UsdSent
from model.ids import Address, OrderId
from model.instruments import Instrument
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
    ledger_from,
    trade_from,
)

BASE_INTERVALS: Final[dict[str, int]] = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
"""Intervals that are stored, and their lengths."""

_encode = msgspec.msgpack.Encoder().encode


@define
class Rows:
    """The rows that some blocks add to each table; filled by ``take``.

    ``opened`` and ``closed`` are the orders that were not open before and are now, and the other
    way round; those that came and went within the blocks are in neither.
    """

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
    opened: dict[OrderId, None] = Factory(dict)
    closed: dict[OrderId, None] = Factory(dict)

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
        oid = order.oid
        if order.status != OPEN:
            if oid in self.opened:
                del self.opened[oid]
            elif oid:
                self.closed[oid] = None
        elif order.remaining == order.lots and order.status_ms == order.placed_ms:
            self.opened[oid] = None
        account = self.account_ids.get(order.account) or self._new_account(order.account)
        self.orders.append((account, oid, order.cloid, height, _encode(order)))

    def _take_trade(self, event: Traded, at: Moment) -> None:
        self._add_trade(trade_from(event, at))
        for fill in fills_from(event, at):
            self._add_fill(fill)

    def _take_market(self, event: MarketListed, at: Moment) -> None:
        self.instruments.append(event.instrument)
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
