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

from model import spot, subaccounts
from model.accounts import Account
from model.agents import Agent
from model.commands import OpenExchange
from model.errors import UnreadableSnapshotError
from model.fees import DayVolume, FeeBook, VolumeBook, day_of
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, OrderId, TokenId, TradeId
from model.instruments import Instrument, Token
from model.liquidation import ails
from model.markets import Market
from model.orders import Order
from model.state import PositionState
from model.triggers import Trigger
from model.twap import Twap
from model.waiting import (
    FiredRecord,
    ScheduleRecord,
    fired_records,
    restore_schedules,
    restore_triggers,
    restore_twaps,
    schedule_records,
    trigger_records,
)

if TYPE_CHECKING:
    from model.exchange import Exchange
    from model.matching import MatchingEngine

SNAPSHOT_FORMAT: Final = 2

ITEMS_PER_PIECE: Final = 500
"""Orders or accounts that are encoded at once: well under a millisecond."""


class _MarginRecord(Struct, frozen=True, array_like=True):
    """Insurance, when funding is next sampled and paid, and what cools down after liquidation."""

    insurance: int
    next_sample_ms: int
    next_payment_ms: int
    cooling: list[tuple[Address, AssetId | None, int]]


class _MarkRecord(Struct, frozen=True, array_like=True):
    """What a market's mark price and funding follow from, beside its book."""

    outside: int
    mark_before: int
    basis: tuple[int, int, int]
    book_average: tuple[int, int, int]
    premiums: tuple[int, int, int, int]


class _MarketRecord(Struct, frozen=True, array_like=True):
    """A market's definition, prices and book, both sides best first."""

    instrument: Instrument
    oracle: int
    mark: int
    last: int
    bids: list[Order]
    asks: list[Order]
    marks: _MarkRecord


class _AccountRecord(Struct, frozen=True, array_like=True):
    """An account without its orders, which stand in the books."""

    address: Address
    cash: int
    volume: int
    positions: tuple[PositionState, ...]
    days: list[DayVolume]
    requests: tuple[int, int, int]


class _MoneyRecord(Struct, frozen=True, array_like=True):
    """What left the exchange, and of each token its definition, its supply and collected fees."""

    withdrawn_usd: int
    tokens: list[Token]
    supply: list[int]
    token_fees: list[int]


class _BalanceRecord(Struct, frozen=True, array_like=True):
    """What an account has of a token; what is held follows from its orders."""

    account: Address
    token: TokenId
    total: int
    entry: int


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
    next_twap_id: int
    twaps: list[Twap]
    margin: _MarginRecord
    money: _MoneyRecord
    pairs: list[_MarketRecord]
    balances: list[_BalanceRecord]
    sub_accounts: list[tuple[Address, Address, str]]


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
        engine.credited_usd,
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
    yield _encode(engine.twaps.next_id)
    twaps = sorted(engine.twaps.by_id.items())
    yield from _array_pieces(len(twaps), (twap for _, twap in twaps))
    yield _encode(_margin_record(engine))
    yield from _money_pieces(engine)


def _account_record(exchange: Exchange, account: Account) -> _AccountRecord:
    return _AccountRecord(
        account.address,
        account.cash,
        account.volume,
        exchange.position_states(account),
        account.fees.days(exchange.engine.day) if account.master is None else [],
        (account.requests, account.reserved, account.beyond_ms),
    )


def _market_pieces(market: Market) -> Iterator[bytes]:
    """Yield the bytes of a ``_MarketRecord``."""
    yield _array_head(len(_MarketRecord.__struct_fields__))
    yield from map(_encode, (market.instrument, market.oracle, market.mark, market.last))
    for side in (market.bids, market.asks):
        orders = list(side)
        yield from _array_pieces(len(orders), orders)
    yield _encode(
        _MarkRecord(
            market.outside,
            market.mark_before,
            market.basis.to_tuple(),
            market.book_average.to_tuple(),
            market.premiums.to_tuple(),
        )
    )


def _margin_record(engine: MatchingEngine) -> _MarginRecord:
    cooling = sorted(
        ((address, asset, until) for (address, asset), until in engine.watch.cooling.items()),
        key=lambda entry: (entry[0], -1 if entry[1] is None else entry[1]),
    )
    return _MarginRecord(engine.insurance, engine.next_sample_ms, engine.next_payment_ms, cooling)


def _money_pieces(engine: MatchingEngine) -> Iterator[bytes]:
    """Yield the bytes of what spot and sub-accounts add to a ``_State``."""
    yield _encode(
        _MoneyRecord(engine.withdrawn_usd, engine.tokens, engine.supply, engine.token_fees)
    )
    yield _array_head(len(engine.pairs))
    for market in engine.pairs:
        yield from _market_pieces(market)
    accounts = [account for _, account in sorted(engine.accounts.items())]
    balances = [
        _BalanceRecord(account.address, token, balance.total, balance.entry)
        for account in accounts
        for token, balance in sorted(account.balances.items())
        if balance.total
    ]
    yield from _array_pieces(len(balances), balances)
    named = [
        (account.address, address, name)
        for account in accounts
        for address, name in account.sub_accounts.items()
    ]
    yield from _array_pieces(len(named), named)


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
    exchange.faucet_credits = state.faucet_credits
    exchange.nonces = dict(state.nonces)
    engine = exchange.engine
    engine.time_ms = state.time_ms
    engine.day = day_of(state.time_ms)
    engine.schedule.terms = state.terms
    engine.schedule.traded = VolumeBook(state.traded)
    engine.fees = state.fees
    engine.credited_usd = state.credited_usd
    engine.next_oid = state.next_oid
    engine.next_trade_id = state.next_trade_id
    try:
        engine.markets.extend(_market(record) for record in state.markets)
        engine.accounts.update(
            (record.address, _account(record, engine)) for record in state.accounts
        )
        _restore_money(engine, state)
        _restore_orders(engine, state.markets + state.pairs)
        _restore_holders(engine)
        for address, agent in state.agents:
            exchange.agent_book.agents[address] = agent
            engine.accounts[agent.master].agents[agent.name] = address
        restore_schedules(engine, state.schedules)
        restore_triggers(engine, state.triggers, state.fired)
        _restore_margin(engine, state.margin)
        restore_twaps(engine, state.next_twap_id, state.twaps)
    except (LookupError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UnreadableSnapshotError(f"the state contradicts itself: {error!r}") from error


def _market(record: _MarketRecord) -> Market:
    market = Market(record.instrument)
    market.oracle = record.oracle
    market.last = record.last
    market.set_mark(record.mark)
    kept = record.marks
    market.outside, market.mark_before = kept.outside, kept.mark_before
    market.basis.restore(kept.basis)
    market.book_average.restore(kept.book_average)
    market.premiums.restore(kept.premiums)
    return market


def _account(record: _AccountRecord, engine: MatchingEngine) -> Account:
    account = Account(record.address, engine.watch.touched)
    account.cash = record.cash
    account.volume = record.volume
    account.fees = FeeBook(record.days)
    account.requests, account.reserved, account.beyond_ms = record.requests
    for state in record.positions:
        account.position(engine.markets[state.asset]).restore(state)
        account.has_isolated |= not state.is_cross
    return account


def _restore_money(engine: MatchingEngine, state: _State) -> None:
    money = state.money
    engine.withdrawn_usd = money.withdrawn_usd
    engine.tokens, engine.supply, engine.token_fees = money.tokens, money.supply, money.token_fees
    engine.pairs.extend(_market(record) for record in state.pairs)
    for record in state.balances:
        balance = engine.accounts[record.account].balance(record.token)
        balance.total, balance.entry = record.total, record.entry
    for master, address, name in state.sub_accounts:
        subaccounts.adopt(engine.accounts[master], engine.accounts[address], name)


def _restore_orders(engine: MatchingEngine, records: list[_MarketRecord]) -> None:
    """Put all orders into their books, by priority, and into their accounts' indexes, by age."""
    orders = [order for record in records for order in (*record.bids, *record.asks)]
    for order in orders:
        if order.asset < SPOT_ASSETS_FROM:
            market = engine.markets[order.asset]
            (market.bids if order.is_buy else market.asks).add(order)
    for order in sorted(orders, key=lambda order: order.oid):
        account = engine.accounts[order.account]
        if order.asset >= SPOT_ASSETS_FROM:
            spot.rest(account, engine.pairs[order.asset - SPOT_ASSETS_FROM], order)
        else:
            account.index(order, account.position(engine.markets[order.asset]))


def _restore_holders(engine: MatchingEngine) -> None:
    """Find who holds what; all are looked at after the next move of a price."""
    for account in engine.accounts.values():
        for asset, position in account.positions.items():
            if position.size:
                engine.markets[asset].open_interest += max(position.size, 0)
                engine.markets[asset].holders[account.address] = position
    engine.watch.pending.update(engine.accounts)


def _restore_margin(engine: MatchingEngine, record: _MarginRecord) -> None:
    """Take over what cannot be computed, and find who is below its maintenance margin."""
    engine.insurance = record.insurance
    engine.next_sample_ms = record.next_sample_ms
    engine.next_payment_ms = record.next_payment_ms
    for address, asset, until in record.cooling:
        engine.watch.cooling[address, asset] = until
    engine.watch.ailing.update(
        address for address, account in engine.accounts.items() if ails(engine, account)
    )
