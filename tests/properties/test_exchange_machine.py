"""The machine under arbitrary commands: whole after each, and the same however it got there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model.blocks import Entry, decode_entries, encode_entries
from model.commands import Command, PlaceOrders
from model.events import CommandRefused, Event, OrderCanceled, OrderPlaced, OrderRefused, Traded
from model.exchange import Exchange
from model.ids import AssetId, OrderId
from model.invariants import check
from tests.properties.commands import (
    OPENING,
    START_MS,
    account_commands,
    admin_commands,
    any_commands,
    cancellations,
    modifications,
    placements,
)

Block = tuple[int, list[Command]]
"""Milliseconds since the block before, and commands."""

histories = st.lists(
    st.tuples(st.integers(0, 2_000), st.lists(any_commands, max_size=12)), max_size=6
)


def opened() -> Exchange:
    """Return an exchange after its opening block."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    for command in OPENING:
        exchange.apply(command)
    return exchange


def run_blocks(exchange: Exchange, blocks: list[Block]) -> list[Event]:
    """Execute blocks and return all events."""
    events: list[Event] = []
    for pause_ms, commands in blocks:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        for command in commands:
            events += exchange.apply(command)
    return events


class ArbitraryCommands(RuleBasedStateMachine):
    """Any commands in any order; everything is checked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = opened()
        self.remaining: dict[OrderId, int] = {}

    @initialize()
    def follow_an_empty_book(self) -> None:
        """Begin with no orders, as the events would say."""
        self.remaining = {}

    @rule(pause_ms=st.integers(0, 2_000))
    def begin_block(self, pause_ms: int) -> None:
        """Time goes on."""
        self.exchange.begin_block(self.exchange.height + 1, self.exchange.time_ms + pause_ms)

    @rule(command=placements | placements | cancellations | modifications)
    def trade(self, command: Command) -> None:
        """An account acts on a book."""
        self.execute(command)

    @rule(command=account_commands)
    def manage(self, command: Command) -> None:
        """An account acts on itself."""
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
        """Apply a command; one that was not admitted must have changed nothing."""
        before = self.exchange.dump()
        events = self.exchange.apply(command)
        if any(isinstance(event, CommandRefused) and not event.nonce_used for event in events):
            assert len(events) == 1
            assert self.exchange.dump() == before
        self.follow(events)

    def follow(self, events: list[Event]) -> None:
        """Keep the open orders as a reader of the log would."""
        for event in events:
            match event:
                case OrderPlaced():
                    self.remaining[event.oid] = event.lots
                case OrderCanceled():
                    assert self.remaining.pop(event.oid) == event.remaining
                case Traded():
                    for leg in (event.taker, event.maker):
                        self.remaining[leg.oid] -= event.lots
                        assert self.remaining[leg.oid] == leg.remaining
                        if not leg.remaining:
                            del self.remaining[leg.oid]
                case _:
                    pass

    @invariant()
    def is_whole(self) -> None:
        """Nothing is broken, and the events told all there is to know about open orders."""
        check(self.exchange)
        in_books = {}
        for instrument in self.exchange.instruments:
            state = self.exchange.market_state(instrument.asset)
            for order in (*state.bids, *state.asks):
                in_books[order.oid] = order.remaining
        assert in_books == self.remaining


TestArbitraryCommands = ArbitraryCommands.TestCase
TestArbitraryCommands.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)


@settings(max_examples=60, deadline=None)
@given(histories)
def test_replay_equals_live(blocks: list[Block]) -> None:
    """The same blocks give the same events and the same state, to the last bit."""
    live, replayed = opened(), opened()

    assert run_blocks(live, blocks) == run_blocks(replayed, blocks)
    assert live.digest() == replayed.digest()


@settings(max_examples=60, deadline=None)
@given(histories, histories)
def test_continuing_from_a_dump_equals_a_straight_run(
    before: list[Block], after: list[Block]
) -> None:
    """What was kept only for speed has no influence on what happens."""
    straight = opened()
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
@given(histories)
def test_heads_answer_the_requests_in_order(blocks: list[Block]) -> None:
    """Each order of a command has exactly one head, in the order of the request."""
    exchange = opened()
    for command in (command for _, commands in blocks for command in commands):
        events = exchange.apply(command)
        if isinstance(command, PlaceOrders) and not isinstance(events[0], CommandRefused):
            assert heads_of(events) == [(spec.asset, spec.is_buy) for spec in command.orders]


def heads_of(events: list[Event]) -> list[tuple[AssetId, bool]]:
    """Return market and side of each order that was accepted or refused."""
    heads = []
    for event in events:
        match event:
            case OrderPlaced():
                heads.append((event.asset, event.is_buy))
            case OrderRefused():
                heads.append((event.spec.asset, event.spec.is_buy))
            case _:
                pass
    return heads
