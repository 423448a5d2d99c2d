"""Views that are given what the router names them agree with the exchange, whatever it did."""

from collections.abc import Sequence
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.router import Directory, subjects_of
from model.blocks import GENESIS_DIGEST
from model.commands import OpenExchange, UsdSend
from model.events import CommandRefused, Event, OrderPlaced, UsdSent
from model.exchange import Exchange
from model.ids import BACKSTOP, Address, AssetId
from model.state import AccountState, RestingOrder
from model.universe import Universe
from model.views.account import AccountView
from model.views.depth import Level
from model.views.holdings import NOTHING_HELD, AllHoldings, HoldingsRecord
from model.views.market import MarketView
from model.views.open_orders import FILLED, OPEN, TRIGGERED
from model.views.records import Moment, OrderRecord
from model.views.summary import summarize
from tests.properties.commands import ACCOUNTS, FULL_TERMS, PLAIN_TERMS, START_MS, SUB_ACCOUNTS
from tests.properties.test_exchange_machine import Block, histories, opened

STRANGER = Address("0x" + "9" * 40)
UNUSED_NONCE = START_MS + 40_000_000
OWNERS = (*ACCOUNTS, BACKSTOP, *SUB_ACCOUNTS)


class Followers:
    """Views of every market and account of an exchange, and of who exists, from its state on."""

    def __init__(self, exchange: Exchange) -> None:
        now = exchange.time_ms
        self.universe = Universe(exchange.instruments, exchange.tokens)
        self.markets = {
            one.asset: MarketView(exchange.market_state(one.asset), now) for one in self.universe
        }
        self.accounts = {at: self._open(exchange, at) for at in OWNERS}
        self.directory = Directory(
            universe=self.universe,
            accounts=set(exchange.addresses()),
            sub_accounts=exchange.sub_accounts(),
            supply=exchange.supply(),
        )
        self.records: list[OrderRecord] = []

    def _open(self, exchange: Exchange, address: Address) -> AccountView:
        return AccountView(exchange.account_state(address), self.universe)

    def take_block(self, exchange: Exchange, events: list[Event]) -> None:
        """Give every view the events that name its subject."""
        at = Moment(exchange.height, exchange.time_ms, 0)
        for event in events:
            self.directory.learn(event)
        for asset, market in self.markets.items():
            mine = [(0, event) for event in events if asset in subjects_of(event)]
            market.apply(at.height, at.time_ms, mine)
        for event in events:
            for subject in subjects_of(event):
                account = self.accounts.get(subject) if isinstance(subject, str) else None
                if account is not None:
                    self.records += account.apply(event, at).orders

    def compare(self, exchange: Exchange) -> None:
        """Hold every view beside what the exchange tells itself."""
        for asset, market in self.markets.items():
            state = exchange.market_state(asset)
            assert list(market.book.bids) == levels_of(state.bids)
            assert list(market.book.asks) == levels_of(state.asks)
            assert (market.mark, market.last) == (state.mark, state.last)
            assert (market.oracle, market.open_interest) == (state.oracle, state.open_interest)
            assert (market.premium, market.funding_rate) == (state.premium, state.funding_rate)
        for address, account in self.accounts.items():
            told = account.to_state(exchange.time_ms)
            assert told == comparable(exchange.account_state(address), exchange.time_ms)
        assert self.directory.accounts == exchange.addresses()
        assert self.directory.sub_accounts == exchange.sub_accounts()
        assert self.directory.supply == exchange.supply()
        assert list(self.universe) == exchange.instruments
        assert tuple(self.universe.tokens) == exchange.tokens


def levels_of(side: Sequence[RestingOrder]) -> list[Level]:
    """Return the levels of a side that is in priority order, computed from nothing."""
    levels = []
    for price, group in groupby(side, key=lambda order: order.price):
        kept = list(group)
        levels.append(Level(price, sum(order.remaining for order in kept), len(kept)))
    return levels


def comparable(state: AccountState, time_ms: int) -> AccountState:
    """Return a state in the order of the view, without what no event tells."""
    return replace(
        state,
        agents=tuple(agent for agent in state.agents if time_ms < agent.valid_until),
        orders=tuple(sorted(state.orders, key=lambda order: order.oid)),
        triggers=tuple(sorted(state.triggers, key=lambda trigger: trigger.oid)),
        fees=None,
        requests=None,
    )


def held_by(exchange: Exchange, address: Address) -> tuple[object, ...]:
    """Return money, sizes and tokens of an account, as the exchange tells."""
    state = exchange.account_state(address)
    return (
        state.cash + sum(position.isolated_usd for position in state.positions),
        tuple((position.asset, position.size) for position in state.positions if position.size),
        tuple((balance.token, balance.total_e8) for balance in state.balances),
    )


@settings(max_examples=30, deadline=None)
@given(
    blocks=histories,
    attach_at=st.integers(0, 4),
    terms=st.sampled_from([PLAIN_TERMS, FULL_TERMS]),
)
def test_views_equal_the_state_they_follow(
    blocks: list[Block], attach_at: int, terms: OpenExchange
) -> None:
    """Whenever a view starts, following the events gives what the exchange itself would tell."""
    exchange = opened(terms)
    views = Followers(exchange)
    for index, (pause_ms, commands) in enumerate(blocks):
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        events = [event for command in commands for event in exchange.apply(command)]
        if index == attach_at:
            views = Followers(exchange)
        else:
            views.take_block(exchange, events)
    views.compare(exchange)
    assert views.directory.digest == GENESIS_DIGEST


@settings(max_examples=30, deadline=None)
@given(blocks=histories)
def test_records_of_an_order_tell_one_life(blocks: list[Block]) -> None:
    """An order is open or triggered with ever less until one last status, and nothing follows."""
    exchange = opened(FULL_TERMS)
    views = Followers(exchange)
    placed: set[int] = set()
    for pause_ms, commands in blocks:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        events = [event for command in commands for event in exchange.apply(command)]
        placed |= {event.oid for event in events if isinstance(event, OrderPlaced)}
        views.take_block(exchange, events)

    lives: dict[int, list[OrderRecord]] = {}
    for record in views.records:
        lives.setdefault(record.oid, []).append(record)
    lives.pop(0, None)
    assert placed <= set(lives)
    for oid, records in lives.items():
        statuses = [record.status for record in records]
        assert set(statuses[:-1]) <= {OPEN, TRIGGERED}
        assert statuses.count(TRIGGERED) <= 1
        remaining = [record.remaining for record in records if record.trigger is None]
        assert remaining == sorted(remaining, reverse=True)
        assert (statuses[-1] == FILLED) <= (records[-1].remaining == 0)
        is_open = any(
            view.open_orders.get(records[-1].oid) is not None or oid in view.open_orders.triggers
            for view in views.accounts.values()
        )
        assert is_open == (statuses[-1] == OPEN)


@settings(max_examples=30, deadline=None)
@given(blocks=histories)
def test_holdings_are_those_of_the_exchange(blocks: list[Block]) -> None:
    """Worth over time rests on the same money, sizes and tokens."""
    exchange = opened(FULL_TERMS)
    universe = Universe(exchange.instruments, exchange.tokens)
    held: dict[Address, HoldingsRecord] = {}
    for address in exchange.addresses():
        cash, sizes, tokens = held_by(exchange, address)
        held[address] = HoldingsRecord(cash, sizes, tokens, 0, 0)  # type: ignore[arg-type]
    started = dict(held)
    book = AllHoldings(universe, lambda account: started.get(account, NOTHING_HELD))
    for pause_ms, commands in blocks:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        for command in commands:
            for event in exchange.apply(command):
                book.apply(event, Moment(exchange.height, exchange.time_ms, 0))
        held.update(book.take_touched())
    for address in exchange.addresses():
        record = held.get(address, NOTHING_HELD)
        assert (record.cash, record.sizes, record.tokens) == held_by(exchange, address)


@settings(max_examples=30, deadline=None)
@given(blocks=histories)
def test_withdrawable_is_what_may_be_sent(blocks: list[Block]) -> None:
    """The exchange lets go of the last micro-USD that the summary promises, and not of one more."""
    exchange = opened(PLAIN_TERMS)
    views = Followers(exchange)
    for pause_ms, commands in blocks:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        views.take_block(exchange, [e for command in commands for e in exchange.apply(command)])
    perps = range(len(views.universe.perps))
    marks = [exchange.market_state(asset).mark for asset in map(AssetId, perps)]

    for address in ACCOUNTS[:3]:
        free = summarize(views.accounts[address], views.universe, marks).withdrawable
        head = (address, UNUSED_NONCE, None, None)
        (refused,) = exchange.apply(UsdSend(*head, STRANGER, free + 1))
        assert isinstance(refused, CommandRefused)
        if free:
            head = (address, UNUSED_NONCE + 1, None, None)
            (sent,) = exchange.apply(UsdSend(*head, STRANGER, free))
            assert isinstance(sent, UsdSent)
