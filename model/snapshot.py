"""The state of the exchange as bytes, and back.

Only what cannot be computed is written, everything in one fixed order, so equal states give equal
bytes: accounts and signers by address, orders in their priority, markets by asset id. What follows
from it (indexes, sums of resting lots, kept margin totals, the memo of prices) is built anew. The
format is msgpack with a number for its version; a version that is not known is refused rather than
guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from model.accounts import Account, Position
from model.agents import Agent
from model.commands import OpenExchange
from model.errors import UnreadableSnapshotError
from model.fees import DayVolume, FeeBook, VolumeBook, day_of
from model.ids import Address, OrderId, TradeId
from model.instruments import Instrument
from model.markets import Market
from model.orders import Order
from model.state import PositionState
from model.triggers import Trigger
from model.waiting import (
    FiredRecord,
    ScheduleRecord,
    fired_records,
    restore_schedules,
    restore_triggers,
    schedule_records,
    trigger_records,
)

if TYPE_CHECKING:
    from model.exchange import Exchange
    from model.matching import MatchingEngine

SNAPSHOT_FORMAT: Final = 2

ITEMS_PER_PIECE: Final = 500
"""Orders or accounts that are encoded at once: well under a millisecond."""


class _MarketRecord(Struct, frozen=True, array_like=True):
    """A market's definition, prices and book, both sides best first."""

    instrument: Instrument
    oracle: int
    mark: int
    last: int
    bids: list[Order]
    asks: list[Order]


class _AccountRecord(Struct, frozen=True, array_like=True):
    """An account without its orders, which stand in the books."""

    address: Address
    cash: int
    volume: int
    positions: tuple[PositionState, ...]
    days: list[DayVolume]
    requests: tuple[int, int, int]


class _State(Struct, frozen=True, array_like=True):
    """Everything."""

    format: int
    height: int
    time_ms: int
    is_open: bool
    terms: OpenExchange
    traded: list[DayVolume]
    fees: int
    credited_usd: int
    faucet_credits: int
    next_oid: OrderId
    next_trade_id: TradeId
    markets: list[_MarketRecord]
    accounts: list[_AccountRecord]
    agents: list[tuple[Address, Agent]]
    nonces: list[tuple[Address, list[int]]]
    schedules: list[ScheduleRecord]
    triggers: list[Trigger]
    fired: list[FiredRecord]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_State)


def encode(exchange: Exchange) -> bytes:
    """Return the canonical bytes of a state.

    Made in small pieces: encoding holds the interpreter's lock, and whatever else the process does
    would stand still for the whole of a large state.
    """
    return b"".join(_pieces(exchange))


def _pieces(exchange: Exchange) -> Iterator[bytes]:
    """Yield the bytes of a ``_State``, field by field."""
    engine, agents = exchange.engine, exchange.agent_book.agents
    scalars = (
        SNAPSHOT_FORMAT,
        exchange.height,
        exchange.time_ms,
        exchange.is_open,
        exchange.terms,
        engine.schedule.traded.days(engine.day),
        engine.fees,
        exchange.credited_usd,
        exchange.faucet_credits,
        engine.next_oid,
        engine.next_trade_id,
    )
    yield _array_head(len(_State.__struct_fields__))
    yield from map(_encode, scalars)
    yield _array_head(len(engine.markets))
    for market in engine.markets:
        yield from _market_pieces(market)
    records = (_account_record(exchange, account) for _, account in sorted(engine.accounts.items()))
    yield from _array_pieces(len(engine.accounts), records)
    yield from _array_pieces(len(agents), sorted(agents.items()))
    yield from _array_pieces(len(exchange.nonces), sorted(exchange.nonces.items()))
    waiting: tuple[list[Any], ...] = (
        schedule_records(engine),
        trigger_records(engine),
        fired_records(engine),
    )
    for items in waiting:
        yield from _array_pieces(len(items), items)


def _account_record(exchange: Exchange, account: Account) -> _AccountRecord:
    return _AccountRecord(
        account.address,
        account.cash,
        account.volume,
        exchange.position_states(account),
        account.fees.days(exchange.engine.day),
        (account.requests, account.reserved, account.beyond_ms),
    )


def _market_pieces(market: Market) -> Iterator[bytes]:
    """Yield the bytes of a ``_MarketRecord``."""
    yield _array_head(len(_MarketRecord.__struct_fields__))
    yield from map(_encode, (market.instrument, market.oracle, market.mark, market.last))
    for side in (market.bids, market.asks):
        orders = list(side)
        yield from _array_pieces(len(orders), orders)


def _array_pieces(count: int, items: Iterable[object]) -> Iterator[bytes]:
    """Yield the bytes of a list of so many items."""
    yield _array_head(count)
    left = iter(items)
    while piece := list(islice(left, ITEMS_PER_PIECE)):
        yield _encode(piece)[len(_array_head(len(piece))) :]


def _array_head(count: int) -> bytes:
    """Return how an array of so many items begins (MessagePack specification, array family)."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 2**16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def restore(exchange: Exchange, data: bytes) -> None:
    """Fill an empty exchange with an encoded state.

    Raises:
        UnreadableSnapshotError: the bytes are damaged or of another format.
    """
    try:
        state = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableSnapshotError(f"not a state: {error}") from error
    if state.format != SNAPSHOT_FORMAT:
        raise UnreadableSnapshotError(f"format {state.format} is not {SNAPSHOT_FORMAT}")
    exchange.height = state.height
    exchange.time_ms = state.time_ms
    exchange.is_open = state.is_open
    exchange.credited_usd = state.credited_usd
    exchange.faucet_credits = state.faucet_credits
    exchange.nonces = dict(state.nonces)
    engine = exchange.engine
    engine.time_ms = state.time_ms
    engine.day = day_of(state.time_ms)
    engine.schedule.terms = state.terms
    engine.schedule.traded = VolumeBook(state.traded)
    engine.fees = state.fees
    engine.next_oid = state.next_oid
    engine.next_trade_id = state.next_trade_id
    try:
        engine.markets.extend(_market(record) for record in state.markets)
        engine.accounts.update((record.address, _account(record)) for record in state.accounts)
        _restore_orders(engine, state.markets)
        _restore_open_interest(engine)
        for address, agent in state.agents:
            exchange.agent_book.agents[address] = agent
            engine.accounts[agent.master].agents[agent.name] = address
        restore_schedules(engine, state.schedules)
        restore_triggers(engine, state.triggers, state.fired)
    except (LookupError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UnreadableSnapshotError(f"the state contradicts itself: {error!r}") from error


def _market(record: _MarketRecord) -> Market:
    market = Market(record.instrument)
    market.oracle = record.oracle
    market.last = record.last
    market.set_mark(record.mark)
    return market


def _account(record: _AccountRecord) -> Account:
    account = Account(record.address)
    account.cash = record.cash
    account.volume = record.volume
    account.fees = FeeBook(record.days)
    account.requests, account.reserved, account.beyond_ms = record.requests
    for state in record.positions:
        position = account.positions[state.asset] = Position(state.leverage)
        position.size = state.size
        position.entry_notional = state.entry_notional
    return account


def _restore_orders(engine: MatchingEngine, records: list[_MarketRecord]) -> None:
    """Put all orders into their books, by priority, and into their accounts' indexes, by age."""
    orders = [order for record in records for order in (*record.bids, *record.asks)]
    for order in orders:
        market = engine.markets[order.asset]
        (market.bids if order.is_buy else market.asks).add(order)
    for order in sorted(orders, key=lambda order: order.oid):
        account = engine.accounts[order.account]
        account.index(order, account.position(engine.markets[order.asset]))


def _restore_open_interest(engine: MatchingEngine) -> None:
    for account in engine.accounts.values():
        for asset, position in account.positions.items():
            engine.markets[asset].open_interest += max(position.size, 0)
