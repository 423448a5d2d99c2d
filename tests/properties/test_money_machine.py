"""Money under arbitrary commands: none is made or lost, and the events tell where all of it is."""

from __future__ import annotations

from collections import defaultdict

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from model.commands import Command, SignedCommand
from model.events import (
    AssetSent,
    ClassTransferred,
    CommandRefused,
    Credited,
    Event,
    Leg,
    RequestsReserved,
    SubAccountCreated,
    SubAccountFunded,
    TokenCredited,
    TokenSent,
    Traded,
    UsdSent,
    Withdrawn,
)
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, TokenId
from model.invariants import check
from model.nonces import DAY_MS
from tests.properties.commands import START_MS
from tests.properties.money_commands import (
    OPENING,
    credits,
    money_commands,
    settings_of_accounts,
    spot_orders,
    transfers,
)

E8_PER_MICRO_USD = 100


@frozen
class Sent:
    """An amount (1e-8) of a token, worth ``usd`` (micro-USD), from one class to another."""

    sender: Address
    receiver: Address
    token: TokenId
    amount: int
    usd: int
    from_perp: bool = False
    to_perp: bool = False


class Ledger:
    """Who has what, by the events alone, the slow and obvious way.

    Cash in micro-USD, balances and what they cost in 1e-8; fees and what left are accounts too.
    """

    def __init__(self) -> None:
        self.cash: defaultdict[str, int] = defaultdict(int)
        self.balances: defaultdict[tuple[str, TokenId], int] = defaultdict(int)
        self.costs: defaultdict[tuple[str, TokenId], int] = defaultdict(int)

    def follow(self, event: Event, exchange: Exchange) -> None:  # noqa: C901 - one place branches
        """Take in one event."""
        match event:
            case Credited():
                self.cash[event.account] += event.usd
            case TokenCredited():
                self.receive(event.account, event.token, event.amount_e8, 0)
            case UsdSent():
                self.pay(event.sender, event.destination, event.usd)
            case SubAccountFunded():
                usd = event.usd if event.is_deposit else -event.usd
                self.pay(event.master, event.account, usd)
            case Withdrawn():
                self.pay(event.account, "outside", event.usd)
                self.pay(event.account, "fees", event.fee)
            case RequestsReserved():
                self.pay(event.account, "fees", event.usd)
            case ClassTransferred(account=account, usd=usd, to_perp=to_perp):
                amount = usd * E8_PER_MICRO_USD
                self.send(Sent(account, account, USDC, amount, usd, not to_perp, to_perp))
            case TokenSent(sender, destination, token, amount, usd):
                self.send(Sent(sender, destination, token, amount, usd))
            case AssetSent(sender, destination, from_perp, to_perp, token, amount, usd=usd):
                self.send(Sent(sender, destination, token, amount, usd, from_perp, to_perp))
            case Traded() if event.asset >= SPOT_ASSETS_FROM:
                self.trade_spot(event, exchange)
            case Traded():
                cost = event.lots * event.price * (1 if event.taker_is_buy else -1)
                for leg, paid in ((event.taker, cost), (event.maker, -cost)):
                    self.cash[leg.account] -= paid
                    self.pay(leg.account, "fees", leg.fee)
            case _:
                pass

    def pay(self, sender: str, receiver: str, usd: int) -> None:
        """Move cash."""
        self.cash[sender] -= usd
        self.cash[receiver] += usd

    def receive(self, account: str, token: TokenId, amount: int, cost: int) -> None:
        """Add to a balance."""
        self.balances[account, token] += amount
        self.costs[account, token] += cost if token != USDC else 0

    def spend(self, account: str, token: TokenId, amount: int) -> None:
        """Take from a balance, and the proportion of its cost."""
        key = (account, token)
        self.costs[key] -= self.costs[key] * amount // self.balances[key]
        self.balances[key] -= amount

    def send(self, sent: Sent) -> None:
        """Move a token between two classes."""
        if sent.from_perp:
            self.cash[sent.sender] -= sent.usd
        else:
            self.spend(sent.sender, sent.token, sent.amount)
        if sent.to_perp:
            self.cash[sent.receiver] += sent.usd
        else:
            self.receive(sent.receiver, sent.token, sent.amount, sent.usd * E8_PER_MICRO_USD)

    def trade_spot(self, event: Traded, exchange: Exchange) -> None:
        """Move tokens one way and USDC the other, and the fees out of what each side gets."""
        instrument = exchange.market_state(event.asset).instrument
        assert instrument.base is not None
        buyer, seller = (event.taker, event.maker)
        if not event.taker_is_buy:
            buyer, seller = seller, buyer
        amount, notional = event.lots * instrument.lot_e8, event.lots * event.price
        self.spend(buyer.account, USDC, notional)
        self.spend(seller.account, instrument.base, amount)
        self.get(buyer, instrument.base, amount, notional)
        self.get(seller, USDC, notional, 0)

    def get(self, leg: Leg, token: TokenId, amount: int, cost: int) -> None:
        """Add what a side gets, less its fee."""
        self.receive(leg.account, token, amount - leg.fee, cost)
        self.receive("fees", token, leg.fee, 0)


class Money:
    """An exchange whose events a ledger follows."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.ledger = Ledger()
        self.nonce = START_MS
        self.exchange.begin_block(1, START_MS)
        for command in OPENING:
            events = self.execute(command)
            assert not any(isinstance(event, CommandRefused) for event in events)

    def execute(self, command: Command) -> list[Event]:
        """Apply a command under the next nonce."""
        if isinstance(command, SignedCommand):
            self.nonce = max(self.nonce, self.exchange.time_ms) + 1
            command = structs.replace(command, nonce=self.nonce)
        events = self.exchange.apply(command)
        for event in events:
            self.ledger.follow(event, self.exchange)
        return events

    def compare(self) -> None:
        """Compare all accounts with the ledger, and check the exchange."""
        check(self.exchange)
        engine, ledger = self.exchange.engine, self.ledger
        for address in self.exchange.addresses():
            state = self.exchange.account_state(address)
            assert state.cash == ledger.cash[address]
            kept = {balance.token: balance for balance in state.balances}
            for token in range(len(engine.tokens)):
                total = ledger.balances[address, TokenId(token)]
                cost = ledger.costs[address, TokenId(token)]
                shown = kept.get(TokenId(token))
                assert (shown.total_e8, shown.entry_e8) == (total, cost) if shown else not total
        assert engine.fees == ledger.cash["fees"]
        assert engine.withdrawn_usd == ledger.cash["outside"]
        assert engine.token_fees == [
            ledger.balances["fees", TokenId(token)] for token in range(len(engine.tokens))
        ]


class MoneyMachine(RuleBasedStateMachine):
    """Any commands that move money, in any order, over days."""

    def __init__(self) -> None:
        super().__init__()
        self.money = Money()

    @rule(pause_ms=st.sampled_from([0, 1, 10_000, DAY_MS // 3, DAY_MS, 15 * DAY_MS]))
    def begin_block(self, pause_ms: int) -> None:
        """Time goes on, sometimes by days."""
        exchange = self.money.exchange
        exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)

    @rule(command=spot_orders)
    def trade(self, command: Command) -> None:
        """An account acts on a book."""
        self.money.execute(command)

    @rule(command=transfers)
    def transfer(self, command: Command) -> None:
        """An account sends something somewhere."""
        self.money.execute(command)

    @rule(command=settings_of_accounts | credits)
    def manage(self, command: Command) -> None:
        """An account or the operator changes something."""
        events = self.money.execute(command)
        if isinstance(events[0], SubAccountCreated):
            assert events[0].account in self.money.exchange.sub_accounts()

    @rule()
    def reload(self) -> None:
        """Go on with what was dumped."""
        data = self.money.exchange.dump()
        self.money.exchange = Exchange.load(data)
        assert self.money.exchange.dump() == data

    @invariant()
    def is_where_the_events_say(self) -> None:
        """All of it."""
        self.money.compare()


TestMoneyMachine = MoneyMachine.TestCase
TestMoneyMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2 * DAY_MS), money_commands), max_size=40),
    st.integers(0, 40),
)
def test_reloading_anywhere_changes_nothing(
    history: list[tuple[int, Command]], reload_at: int
) -> None:
    """A run that goes on from a dump gives the same events and the same state as a straight one."""
    straight, broken = Money(), Money()
    for step, (pause_ms, command) in enumerate(history):
        if step == reload_at:
            broken.exchange = Exchange.load(broken.exchange.dump())
        for money in (straight, broken):
            exchange = money.exchange
            exchange.begin_block(exchange.height + 1, exchange.time_ms + pause_ms)
        assert straight.execute(command) == broken.execute(command)

    assert straight.exchange.dump() == broken.exchange.dump()
    straight.compare()


def test_markets_of_the_opening_are_there() -> None:
    """A guard against strategies that only ever meet refusals."""
    exchange = Money().exchange

    assert [instrument.asset for instrument in exchange.instruments] == [
        AssetId(0),
        AssetId(SPOT_ASSETS_FROM),
        AssetId(SPOT_ASSETS_FROM + 1),
    ]
