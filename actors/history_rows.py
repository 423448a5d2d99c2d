"""Blocks as rows of the history's tables, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from attrs import Factory, define

from model.balances import E8_PER_MICRO_USD
from model.blocks import Block
from model.events import (
    FundingPaid,
    MarketListed,
    OracleMoved,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TwapEnded,
    TwapStarted,
)
from model.ids import Address, AssetId, Cloid, OrderId
from model.universe import Universe
from model.views.candles import DAY_MS, HOUR_MS, MINUTE_MS
from model.views.holdings import AllHoldings, HoldingsRecord
from model.views.money import (
    DEPOSIT,
    LEDGER_EVENTS,
    WITHDRAW,
    fundings_from,
    ledger_from,
    paid_in,
    rate_from,
)
from model.views.open_orders import OPEN, TRIGGERED, OpenOrders, is_immediate
from model.views.records import (
    OFF_BOOK,
    Fill,
    Moment,
    OrderRecord,
    TradeRecord,
    fills_from,
    trade_from,
)
from model.views.twaps import Twaps

BASE_INTERVALS: Final[dict[str, int]] = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
"""Intervals that are stored, and their lengths."""

SAMPLE_MS: Final = 15 * MINUTE_MS
"""How finely worth over time is kept: holdings and marks as they are at the end of each interval of
this length in which they changed."""

ORDERS_PER_BATCH: Final = 64
"""Records of one account's orders that are kept as one row. A row costs far more than a record; but
to find one record is to read all of its batch.
"""

_encode = msgspec.msgpack.Encoder().encode


@define
class Rows:
    """The rows that some blocks add to each table; filled by ``take``, then ``finish``.

    The first five are folds and tables that live longer than these rows. ``batches`` are the
    records of orders, each with its height: in order for each account, so many to a batch.
    ``opened`` and ``closed`` tell in which batch the last record of an order stands; ``gone`` are
    orders that may have been open before these blocks. ``cloids`` has the newest order of each.
    ``deposited`` are micro-USD that came in from outside, less what left.
    ``marks`` and ``holdings_at`` are those at the end of an interval of SAMPLE_MS, by its start.
    """

    universe: Universe
    open_orders: OpenOrders
    running: Twaps
    holdings: AllHoldings
    account_ids: dict[str, int]
    markets: list[tuple[int, bytes]] = Factory(list)
    accounts: list[tuple[int, str]] = Factory(list)
    fills: list[tuple[int, int, int, int | None, bytes]] = Factory(list)
    batches: list[tuple[int, list[tuple[int, OrderRecord]]]] = Factory(list)
    cloids: dict[tuple[Cloid, int], OrderId] = Factory(dict)
    ledger: list[tuple[int, int, int, bytes]] = Factory(list)
    fundings: list[tuple[int, int, int, bytes]] = Factory(list)
    rates: list[tuple[int, int, int, bytes]] = Factory(list)
    twaps: list[tuple[int, int, int, bytes]] = Factory(list)
    ended_twaps: list[int] = Factory(list)
    deposited: int = 0
    marks: dict[tuple[AssetId, int], int] = Factory(dict)
    holdings_at: dict[tuple[int, int], HoldingsRecord] = Factory(dict)
    trades: list[tuple[int, int, int, bytes]] = Factory(list)
    candles: dict[tuple[int, str, int], list[int]] = Factory(dict)
    volumes: dict[tuple[int, int], list[int]] = Factory(dict)
    opened: dict[OrderId, int] = Factory(dict)
    closed: dict[OrderId, int] = Factory(dict)
    gone: list[OrderId] = Factory(list)
    _placed: set[OrderId] = Factory(set)
    _filling: dict[int, int] = Factory(dict)
    _sample_ms: int = 0

    def take(self, block: Block) -> None:
        """Take in one block."""
        height, time_ms = block.height, block.time_ms
        self._begin_sample(time_ms)
        change_orders, add_order = self.open_orders.apply, self._add_order
        hold = self.holdings.apply
        for index, entry in enumerate(block.entries):
            for event in entry.events:
                for order in change_orders(event, time_ms):
                    add_order(order, height)
                kind = type(event)
                also = _ALSO.get(kind)
                if also is not None:
                    at = Moment(height, time_ms, index)
                    also(self, event, at)
                    hold(event, at)
                elif kind not in _ORDERS_ONLY:
                    hold(event, Moment(height, time_ms, index))

    def finish(self) -> None:
        """Note what is held after the last block; to be called when all are taken."""
        for account, held in self.holdings.take_touched():
            self.holdings_at[self._account_id(account), self._sample_ms] = held

    def _begin_sample(self, time_ms: int) -> None:
        """Note what was held at the end of an interval before a block of the next one."""
        sample_ms = time_ms // SAMPLE_MS * SAMPLE_MS
        if sample_ms != self._sample_ms:
            self.finish()
            self._sample_ms = sample_ms

    def _mark(self, asset: AssetId, mark: int) -> None:
        self.marks[asset, self._sample_ms] = mark

    def _add_order(self, order: OrderRecord, height: int) -> None:
        account, oid = self._account_id(order.account), order.oid
        batch = self._filling.get(account)
        if batch is None or len(self.batches[batch][1]) == ORDERS_PER_BATCH:
            batch = self._begin_batch(account)
        self.batches[batch][1].append((height, order))
        if order.status in (OPEN, TRIGGERED):
            self.opened[oid] = batch
            if order.remaining == order.lots and not order.has_fired:
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
        if event.kind not in OFF_BOOK:
            self._add_trade(trade_from(event, at))
        is_spot = self.universe[event.asset].is_spot
        if is_spot:
            self._mark(event.asset, event.price)
        for fill in fills_from(event, at):
            self._add_fill(fill, is_spot=is_spot)
        if event.taker.twap_id is not None or event.maker.twap_id is not None:
            self.running.apply(event, at)

    def _take_market(self, event: MarketListed, at: Moment) -> None:
        self.universe.list(event.instrument)
        self.markets.append((event.instrument.asset, _encode(event.instrument)))

    def _take_oracle(self, event: OracleMoved, _: Moment) -> None:
        self._mark(event.asset, event.mark)

    def _take_funding(self, event: FundingPaid, at: Moment) -> None:
        self.rates.append((event.asset, at.time_ms, at.height, _encode(rate_from(event, at))))
        for paid in fundings_from(event, at, event.payments):
            account = self._account_id(paid.account)
            self.fundings.append((account, paid.time_ms, paid.height, _encode(paid)))

    def _take_twap(self, event: TwapStarted | TwapEnded, at: Moment) -> None:
        record = self.running.apply(event, at)
        if record is not None:
            account = self._account_id(record.account)
            self.twaps.append((account, record.status_ms, record.height, _encode(record)))
            if isinstance(event, TwapEnded):
                self.ended_twaps.append(record.twap_id)

    def _take_ledger(self, event: Any, at: Moment) -> None:
        for record in ledger_from(event, at):
            account = self._account_id(record.account)
            if record.kind in (DEPOSIT, WITHDRAW):
                self.deposited += paid_in(record)[0]
            self.ledger.append((account, record.time_ms, record.height, _encode(record)))

    def _add_fill(self, fill: Fill, *, is_spot: bool) -> None:
        account = self._account_id(fill.account)
        self.fills.append((account, fill.time_ms, fill.height, fill.twap_id, _encode(fill)))
        volume = self.volumes.setdefault((account, fill.time_ms // DAY_MS * DAY_MS), [0, 0])
        notional = fill.price * fill.lots
        volume[0 if fill.crossed else 1] += notional // E8_PER_MICRO_USD if is_spot else notional

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
    OracleMoved: Rows._take_oracle,
    FundingPaid: Rows._take_funding,
    TwapStarted: Rows._take_twap,
    TwapEnded: Rows._take_twap,
    **dict.fromkeys(LEDGER_EVENTS, Rows._take_ledger),
}
"""What else an event means than changes of orders."""

_ORDERS_ONLY: Final = frozenset((OrderPlaced, OrderCanceled, OrderRefused))
"""Kinds that mean nothing else; by far the most frequent."""
