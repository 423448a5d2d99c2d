"""The machine under arbitrary commands: whole after each, and the same however it got there."""

from __future__ import annotations

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model.blocks import Entry, decode_entries, encode_entries
from model.commands import Command, OpenExchange, PlaceOrders
from model.events import (
    CommandRefused,
    Event,
    Leg,
    Liquidated,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Ticked,
    Traded,
    TradeKind,
    TriggerArmed,
    TriggerFired,
    TriggerPlaced,
    TwapEnded,
    TwapStarted,
)
from model.exchange import Exchange
from model.ids import AssetId, OrderId
from model.invariants import check
from tests.properties.commands import (
    FULL_TERMS,
    PLAIN_TERMS,
    START_MS,
    account_commands,
    admin_commands,
    any_commands,
    cancellations,
    clock_commands,
    groupings,
    margin_commands,
    modifications,
    money_commands,
    opening,
    placements,
    timed_commands,
)

Block = tuple[int, list[Command]]
"""Milliseconds since the block before, and commands."""

pauses_ms = st.one_of(
    st.integers(0, 2_000), st.integers(0, 2_000), st.just(30_000), st.just(3_600_000)
)
all_terms = st.sampled_from([PLAIN_TERMS, FULL_TERMS])
histories = st.lists(st.tuples(pauses_ms, st.lists(any_commands, max_size=12)), max_size=6)


def opened(terms: OpenExchange = PLAIN_TERMS) -> Exchange:
    """Return an exchange after its opening block."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    for command in opening(terms):
        assert not isinstance(exchange.apply(command)[0], CommandRefused)
    return exchange


def run_blocks(exchange: Exchange, blocks: list[Block]) -> list[Event]:
    """Execute blocks and return all events."""
    events: list[Event] = []
    for pause_ms, commands in blocks:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        for command in commands:
            events += exchange.apply(command)
    return events


@define
class Followed:
    """What a reader of the log knows of open orders, triggers (armed or not) and TWAPs."""

    remaining: dict[OrderId, int]
    reducing: set[OrderId]
    triggers: dict[OrderId, bool]
    twaps: dict[int, int]

    def follow(self, event: Event) -> None:
        """Apply one event."""
        match event:
            case OrderPlaced():
                assert event.oid not in self.remaining
                self.remaining[event.oid] = event.lots
                if event.reduce_only:
                    self.reducing.add(event.oid)
            case OrderCanceled() if event.oid in self.triggers:
                del self.triggers[event.oid]
            case OrderCanceled():
                assert self.remaining.pop(event.oid) == event.remaining
            case TriggerPlaced():
                self.triggers[event.oid] = event.is_armed
            case TriggerArmed():
                assert not self.triggers[event.oid]
                self.triggers[event.oid] = True
            case TriggerFired():
                assert self.triggers.pop(event.oid)
            case Traded() if event.kind in (TradeKind.BOOK, TradeKind.LIQUIDATION):
                self._trade(event)
            case TwapStarted():
                self.twaps[event.twap_id] = 0
            case TwapEnded():
                assert self.twaps.pop(event.twap_id) == event.executed_lots
            case _:
                pass

    def _trade(self, event: Traded) -> None:
        lots = event.lots if event.taker_is_buy else -event.lots
        for leg, signed_lots in ((event.taker, lots), (event.maker, -lots)):
            self.remaining[leg.oid] -= event.lots
            assert self.remaining[leg.oid] == leg.remaining
            if not leg.remaining:
                del self.remaining[leg.oid]
            if leg.oid in self.reducing:
                assert reduces(leg, signed_lots)
            if leg.twap_id is not None:
                self.twaps[leg.twap_id] += event.lots


def reduces(leg: Leg, signed_lots: int) -> bool:
    """Tell whether a side of a trade made its position smaller and no more than flat."""
    before, after = leg.start_position, leg.start_position + signed_lots
    return abs(after) < abs(before) and before * after >= 0


class ArbitraryCommands(RuleBasedStateMachine):
    """Any commands in any order; everything is checked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = opened()
        self.followed = Followed({}, set(), {}, {})

    @initialize(terms=all_terms)
    def open(self, terms: OpenExchange) -> None:
        """Begin under some terms."""
        self.exchange = opened(terms)

    @rule(pause_ms=pauses_ms)
    def begin_block(self, pause_ms: int) -> None:
        """Time goes on."""
        self.exchange.begin_block(self.exchange.height + 1, self.exchange.time_ms + pause_ms)

    @rule(command=placements | placements | groupings | cancellations | modifications)
    def trade(self, command: Command) -> None:
        """An account acts on a book."""
        self.execute(command)

    @rule(command=account_commands | margin_commands | money_commands | timed_commands)
    def manage(self, command: Command) -> None:
        """An account acts on itself."""
        self.execute(command)

    @rule(command=clock_commands)
    def pass_time(self, command: Command) -> None:
        """Prices move, or the clock does."""
        self.execute(command)

    @rule(command=admin_commands)
    def operate(self, command: Command) -> None:
        """The operator acts."""
        self.execute(command)

    @rule()
    def reload(self) -> None:
        """Go on with what was dumped."""
        data = self.exchange.dump()
        self.exchange = Exchange.load(data)
        assert self.exchange.dump() == data

    def execute(self, command: Command) -> None:
        """Apply a command; one that need not be kept must have changed nothing."""
        before = self.exchange.dump()
        events = self.exchange.apply(command)
        if any(is_nothing(event) for event in events):
            assert len(events) == 1
            assert self.exchange.dump() == before
        for event in events:
            self.followed.follow(event)

    @invariant()
    def is_whole(self) -> None:
        """Nothing is broken, and the events told all there is to know about open orders."""
        check(self.exchange)
        in_books = {}
        for instrument in self.exchange.instruments:
            state = self.exchange.market_state(instrument.asset)
            for order in (*state.bids, *state.asks):
                in_books[order.oid] = order.remaining
        assert in_books == self.followed.remaining

    @invariant()
    def is_told(self) -> None:
        """The same of triggers and TWAPs."""
        triggers, twaps = {}, {}
        for address in self.exchange.addresses():
            state = self.exchange.account_state(address)
            triggers.update({trigger.oid: trigger.is_armed for trigger in state.triggers})
            twaps.update({twap.twap_id: twap.executed_lots for twap in state.twaps})
        assert triggers == self.followed.triggers
        assert twaps == self.followed.twaps


def is_nothing(event: Event) -> bool:
    """Tell whether an event says that its command has done nothing at all."""
    if isinstance(event, CommandRefused):
        return not event.nonce_used
    return isinstance(event, Ticked)


TestArbitraryCommands = ArbitraryCommands.TestCase
TestArbitraryCommands.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)


@settings(max_examples=60, deadline=None)
@given(all_terms, histories)
def test_replay_equals_live(terms: OpenExchange, blocks: list[Block]) -> None:
    """The same blocks give the same events and the same state, to the last bit."""
    live, replayed = opened(terms), opened(terms)

    assert run_blocks(live, blocks) == run_blocks(replayed, blocks)
    assert live.digest() == replayed.digest()


@settings(max_examples=60, deadline=None)
@given(all_terms, histories, histories)
def test_continuing_from_a_dump_equals_a_straight_run(
    terms: OpenExchange, before: list[Block], after: list[Block]
) -> None:
    """What was kept only for speed has no influence on what happens."""
    straight = opened(terms)
    run_blocks(straight, before)
    loaded = Exchange.load(straight.dump())

    assert run_blocks(straight, after) == run_blocks(loaded, after)
    assert straight.dump() == loaded.dump()
    check(loaded)


@settings(max_examples=60, deadline=None)
@given(histories)
def test_journal_gives_back_what_was_executed(blocks: list[Block]) -> None:
    """Commands and events survive their encoding, so a replay from disk is a replay."""
    exchange = opened()
    entries = tuple(
        Entry(command, tuple(exchange.apply(command)))
        for _, commands in blocks
        for command in commands
    )

    assert decode_entries(encode_entries(entries)) == entries


@settings(max_examples=60, deadline=None)
@given(all_terms, histories)
def test_heads_answer_the_requests_in_order(terms: OpenExchange, blocks: list[Block]) -> None:
    """Each order of a command has exactly one head, in the order of the request."""
    exchange = opened(terms)
    for command in (command for _, commands in blocks for command in commands):
        events = exchange.apply(command)
        if isinstance(command, PlaceOrders) and not isinstance(events[0], CommandRefused):
            assert heads_of(events) == [(spec.asset, spec.is_buy) for spec in command.orders]


def heads_of(events: list[Event]) -> list[tuple[AssetId, bool]]:
    """Return market and side of each order that was accepted or refused.

    Liquidations that a trade called for come last.
    """
    heads = []
    for event in events:
        match event:
            case OrderPlaced() | TriggerPlaced():
                heads.append((event.asset, event.is_buy))
            case OrderRefused():
                heads.append((event.spec.asset, event.spec.is_buy))
            case Liquidated():
                break
            case _:
                pass
    return heads
