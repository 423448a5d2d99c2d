"""The whole exchange under arbitrary sequences of all commands, over seconds, hours and days."""

from __future__ import annotations

from typing import Final, get_args

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from model.accounts import Account
from model.commands import (
    CancelTwap,
    Command,
    Credit,
    CreditSource,
    Grouping,
    ListMarket,
    MarkSource,
    MoveOracle,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    ScheduleCancel,
    SignedCommand,
    Tick,
    Tif,
    TopUpIsolatedMargin,
    TriggerSpec,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.events import CommandRefused, Event, Ticked
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.instruments import Instrument, MarginMode, MarginTier
from model.invariants import check
from model.margin_invariants import maintenance
from model.markets import Market
from model.nonces import DAY_MS
from model.units import E8, USD
from tests.properties import commands, money_commands
from tests.properties.commands import ACCOUNTS, CLOIDS, START_MS
from tests.properties.money_commands import BTC, FUNDED, SUB_ACCOUNTS

TIERED: Final = AssetId(1)
STRICT: Final = AssetId(2)

OPENING: Final[tuple[Command, ...]] = (
    structs.replace(money_commands.TERMS, requests_free=0, mark_source=MarkSource.MEDIAN),
    *money_commands.OPENING[1:],
    ListMarket(
        Instrument(
            TIERED,
            "ETH",
            1,
            25,
            100 * E8,
            (MarginTier(0, 25), MarginTier(5_000 * USD, 10), MarginTier(20_000 * USD, 3)),
        )
    ),
    ListMarket(
        Instrument(
            STRICT,
            "SOL",
            2,
            20,
            100 * E8,
            margin_mode=MarginMode.STRICT_ISOLATED,
            open_interest_max=3_000 * USD,
        )
    ),
)
"""The money machine's world with marks from the book, a tiered market and one that is isolated."""

PAUSES_MS: Final = (0, 1, 1_000, 5_000, 31_000, 3_600_000, DAY_MS)

assets = st.sampled_from([BTC] * 5 + [TIERED] * 4 + [STRICT] * 3 + [AssetId(7)])
prices_e8 = st.sampled_from([price * E8 for price in (100, 99, 101, 100, 98, 102, 95, 105)])
sizes_e8 = st.one_of(
    st.sampled_from([coins * E8 for coins in (1, 5, 20, 50, 200, 600)]),
    st.integers(1, 900).map(lambda dimes: dimes * E8 // 10),
)
triggers = st.builds(
    TriggerSpec, price_e8=prices_e8, is_market=st.booleans(), is_stop_loss=st.booleans()
)
_HEAD: Final = {
    "signer": st.sampled_from(FUNDED),
    "nonce": st.just(0),
    "expires_after": st.none(),
    "vault": st.sampled_from([None] * 19 + [*SUB_ACCOUNTS[:1]]),
}


def orders_of(trigger: st.SearchStrategy[TriggerSpec | None]) -> st.SearchStrategy[OrderSpec]:
    """Make orders of perpetuals with such a trigger; those with one only reduce."""
    made = st.builds(
        OrderSpec,
        asset=assets,
        is_buy=st.booleans(),
        price_e8=prices_e8,
        size_e8=sizes_e8,
        tif=st.sampled_from([Tif.GTC] * 3 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
        reduce_only=st.sampled_from([False] * 9 + [True]),
        cloid=st.sampled_from([None] * 4 + [*CLOIDS]),
        trigger=trigger,
    )
    return made.map(
        lambda spec: structs.replace(spec, reduce_only=True) if spec.trigger is not None else spec
    )


def grouped(parent: OrderSpec, children: list[OrderSpec]) -> tuple[OrderSpec, ...]:
    """Return an order and its children, which close what it opens."""
    return parent, *(
        structs.replace(child, asset=parent.asset, is_buy=not parent.is_buy, size_e8=parent.size_e8)
        for child in children
    )


plain_orders, trigger_orders = orders_of(st.none()), orders_of(triggers)
plain_placements: st.SearchStrategy[Command] = st.builds(
    PlaceOrders, **_HEAD, orders=st.lists(plain_orders, min_size=1, max_size=3).map(tuple)
)
trading: st.SearchStrategy[Command] = st.one_of(
    plain_placements,
    plain_placements,
    plain_placements,
    st.builds(
        PlaceOrders, **_HEAD, orders=st.lists(trigger_orders, min_size=1, max_size=2).map(tuple)
    ),
    st.builds(
        PlaceOrders,
        **_HEAD,
        orders=st.builds(grouped, plain_orders, st.lists(trigger_orders, min_size=1, max_size=2)),
        grouping=st.just(Grouping.NORMAL_TPSL),
    ),
    st.builds(
        PlaceOrders,
        **_HEAD,
        orders=st.lists(trigger_orders, min_size=1, max_size=2).map(tuple),
        grouping=st.just(Grouping.POSITION_TPSL),
    ),
    st.builds(
        PlaceTwap,
        **_HEAD,
        asset=assets,
        is_buy=st.booleans(),
        size_e8=sizes_e8,
        reduce_only=st.booleans(),
        minutes=st.sampled_from([4, 5, 6, 1_440, 1_441]),
        randomize=st.booleans(),
    ),
    st.builds(CancelTwap, **_HEAD, asset=assets, twap_id=st.integers(0, 5)),
    money_commands.spot_orders,
)
managing: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        UpdateLeverage,
        **_HEAD,
        asset=assets,
        is_cross=st.booleans(),
        leverage=st.integers(0, 41),
    ),
    st.builds(
        UpdateIsolatedMargin,
        **_HEAD,
        asset=assets,
        usd=st.integers(-500 * USD, 500 * USD) | st.sampled_from([0, 2**63 - 1, -(2**63)]),
    ),
    st.builds(
        TopUpIsolatedMargin,
        **_HEAD,
        asset=assets,
        leverage_e8=st.integers(0, 50 * E8) | st.just(2**64 - 1),
    ),
    st.builds(
        ScheduleCancel,
        **_HEAD,
        at_ms=st.none() | st.integers(START_MS, START_MS + 100_000) | st.just(2**64 - 1),
    ),
    commands.account_commands,
    money_commands.settings_of_accounts,
)
operating: st.SearchStrategy[Command] = st.one_of(
    st.just(Tick()),
    st.builds(
        MoveOracle,
        prices=st.lists(
            st.builds(
                OraclePrice,
                asset=st.sampled_from([BTC, TIERED, STRICT]),
                price_e8=prices_e8 | st.sampled_from([usd * E8 for usd in (60, 85, 120, 180)]),
                outside_e8=st.just(0) | prices_e8,
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
    ),
    st.builds(
        Credit,
        account=st.sampled_from(ACCOUNTS),
        usd=st.integers(1, 1_000 * USD),
        source=st.just(CreditSource.FUND),
    ),
    money_commands.credits,
    commands.admin_commands,
)
anything: st.SearchStrategy[Command] = st.one_of(
    trading, trading, trading, managing, money_commands.transfers, operating
)


@st.composite
def deals(draw: st.DrawFn) -> tuple[Command, ...]:
    """Let two accounts agree: one rests an order and the other takes it, if both can carry it."""
    maker, taker = draw(st.permutations(FUNDED))[:2]
    asset, is_buy = draw(st.sampled_from([BTC, BTC, TIERED, STRICT])), draw(st.booleans())
    price, size = draw(prices_e8), draw(sizes_e8)
    return tuple(
        PlaceOrders(signer, 0, None, None, (OrderSpec(asset, bids, price, size, Tif.GTC, False),))
        for signer, bids in ((maker, is_buy), (taker, not is_buy))
    )


steps: st.SearchStrategy[tuple[Command, ...]] = st.one_of(
    deals(),
    deals(),
    anything.map(lambda command: (command,)),
    operating.map(lambda command: (command,)),
)
"""What happens at once: an agreement, or any command."""


class World:
    """An exchange on which every command gets the next nonce."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.nonce = START_MS
        self.exchange.begin_block(1, START_MS)
        for command in OPENING:
            assert not any(isinstance(event, CommandRefused) for event in self.execute(command))

    def wait(self, pause_ms: int) -> None:
        """Begin a block."""
        self.exchange.begin_block(self.exchange.height + 1, self.exchange.time_ms + pause_ms)

    def take(self, step: tuple[Command, ...]) -> list[Event]:
        """Apply all commands of a step."""
        return [event for command in step for event in self.execute(command)]

    def execute(self, command: Command) -> list[Event]:
        """Apply a command."""
        if isinstance(command, SignedCommand):
            self.nonce = max(self.nonce, self.exchange.time_ms) + 1
            command = structs.replace(command, nonce=self.nonce)
        return self.exchange.apply(command)

    def reload(self) -> None:
        """Go on with what was dumped."""
        data = self.exchange.dump()
        self.exchange = Exchange.load(data)
        assert self.exchange.dump() == data


class EveryCommand(RuleBasedStateMachine):
    """All commands in any order; everything is checked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(pause_ms=st.sampled_from(PAUSES_MS))
    def wait(self, pause_ms: int) -> None:
        """Time goes on."""
        self.world.wait(pause_ms)

    @rule(step=deals())
    def deal(self, step: tuple[Command, ...]) -> None:
        """Two accounts agree."""
        self.world.take(step)

    @rule(command=trading)
    def trade(self, command: Command) -> None:
        """An account acts on a book."""
        self.world.execute(command)

    @rule(command=managing | money_commands.transfers)
    def manage(self, command: Command) -> None:
        """An account acts on itself or its money."""
        self.world.execute(command)

    @rule(command=operating)
    def operate(self, command: Command) -> None:
        """The operator or the clock acts."""
        self.world.execute(command)

    @rule()
    def reload(self) -> None:
        """Go on with what was dumped."""
        self.world.reload()

    @invariant()
    def is_whole(self) -> None:
        """Nothing is broken."""
        check(self.world.exchange)


TestEveryCommand = EveryCommand.TestCase
TestEveryCommand.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PAUSES_MS), steps), max_size=40), st.integers(0, 40))
def test_reloading_anywhere_changes_nothing(
    history: list[tuple[int, tuple[Command, ...]]], reload_at: int
) -> None:
    """A run that goes on from a dump gives the same events and the same state as a straight one."""
    straight, broken = World(), World()
    for number, (pause_ms, step) in enumerate(history):
        if number == reload_at:
            broken.reload()
        for world in (straight, broken):
            world.wait(pause_ms)
        assert straight.take(step) == broken.take(step)

    assert straight.exchange.dump() == broken.exchange.dump()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(deals(), min_size=1, max_size=8),
    st.lists(steps, max_size=8),
    st.sampled_from([60, 85, 120, 180]),
)
def test_nobody_is_left_while_somebody_could_give_up_a_position(
    agreed: list[tuple[Command, ...]], then: list[tuple[Command, ...]], usd: int
) -> None:
    """Who is still below two thirds of its maintenance margin after a crash found nobody."""
    world = World()
    for step in (*agreed, *then):
        world.take(step)
    world.execute(
        MoveOracle(tuple(OraclePrice(asset, usd * E8) for asset in (BTC, TIERED, STRICT)))
    )
    for _ in range(TRIES_MAX):
        if world.execute(Tick()) == [Ticked()]:
            break
    engine = world.exchange.engine

    for account in engine.accounts.values():
        for group in groups_of(account):
            if is_given_up(engine.markets, account, group):
                assert not any(bearers(world.exchange, account, asset) for asset in group)


TRIES_MAX: Final = 20
"""Ticks after which everything that follows from a crash has followed."""


def groups_of(account: Account) -> list[list[AssetId]]:
    """Return what is liquidated together: all cross positions, and each isolated one."""
    held = {asset: own for asset, own in sorted(account.positions.items()) if own.size}
    cross = [asset for asset, own in held.items() if own.is_cross]
    return [[asset] for asset, own in held.items() if not own.is_cross] + ([cross] if cross else [])


def worth_of(markets: list[Market], account: Account, asset: AssetId) -> int:
    """Return what stands behind a position at the mark prices: its own money, or the pool."""
    own = account.positions[asset]
    if not own.is_cross:
        return own.isolated_usd + own.size * markets[asset].mark
    return account.cash + sum(
        other.size * markets[number].mark
        for number, other in account.positions.items()
        if other.is_cross
    )


def is_given_up(markets: list[Market], account: Account, group: list[AssetId]) -> bool:
    """Tell whether what is held is worth less than two thirds of its maintenance margin."""
    needed = sum(
        maintenance(
            markets[asset].instrument, abs(account.positions[asset].size) * markets[asset].mark
        )
        for asset in group
    )
    return 3 * worth_of(markets, account, group[0]) < 2 * needed


def bearers(exchange: Exchange, account: Account, asset: AssetId) -> list[Address]:
    """Return who of the other side could give up a lot at the mark price before the last move."""
    markets = exchange.engine.markets
    market, size = markets[asset], account.positions[asset].size
    found = []
    for other in exchange.engine.accounts.values():
        own = other.positions.get(asset)
        if own is None or own.size * size >= 0:
            continue
        loss = (market.mark - market.mark_before) * (1 if own.size > 0 else -1)
        if loss <= 0 or worth_of(markets, other, asset) >= loss:
            found.append(other.address)
    return found


@pytest.mark.parametrize("kind", get_args(Command), ids=lambda kind: kind.__name__)
def test_no_command_is_left_out(kind: type[Command]) -> None:
    """What a client or operator may ask is all among the strategies."""
    at_once = settings(phases=[Phase.generate], max_examples=2_000, database=None)
    found = find(anything, lambda command: isinstance(command, kind), settings=at_once)

    assert isinstance(found, kind)
