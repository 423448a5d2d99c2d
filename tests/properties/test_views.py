"""Views that follow the events agree with the exchange that made them."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    UpdateLeverage,
    UsdSend,
)
from model.events import Event
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument
from model.state import AccountState, RestingOrder
from model.units import E8, USD
from model.universe import Universe
from model.views.account import AccountView
from model.views.depth import Level
from model.views.market import MarketView
from model.views.open_orders import FILLED, OPEN
from model.views.records import Moment, OrderRecord
from model.views.summary import summarize

ASSETS = [AssetId(0), AssetId(1)]
ACCOUNTS = [Address("0x" + digit * 40) for digit in "123"]
INSTRUMENTS = [
    Instrument(ASSETS[0], "BTC", 5, 40, 65_000 * E8),
    Instrument(ASSETS[1], "7203", 0, 10, 20 * E8),
]
UNIVERSE = Universe(INSTRUMENTS)
START_MS = 1_700_000_000_000
TIFS = [tif for tif in Tif if tif is not Tif.LIQUIDATION_MARKET]
"""What orders may ask for; the last is the exchange's own."""

who = st.sampled_from(ACCOUNTS)
assets = st.sampled_from(ASSETS)


@st.composite
def orders(draw: st.DrawFn) -> OrderSpec:
    """Draw an order near the opening price, small enough to be affordable now and then."""
    asset = draw(assets)
    instrument = INSTRUMENTS[asset]
    step = E8 if asset == 0 else E8 // 100
    price = instrument.opening_price_e8 + draw(st.integers(-3, 3)) * step
    lots = draw(st.integers(1, 5)) * (1_000 if asset == 0 else 10)
    cloid = draw(st.none() | st.integers(0, 3).map(lambda n: Cloid(f"0x{n:032x}")))
    return OrderSpec(
        asset,
        draw(st.booleans()),
        price,
        lots * instrument.lot_e8,
        draw(st.sampled_from(TIFS)),
        draw(st.booleans()) and draw(st.booleans()),
        cloid,
    )


@st.composite
def commands(draw: st.DrawFn, nonce: int) -> Command:
    """Draw one command of a client, of the oracle or of the treasury."""
    head = (draw(who), nonce, None, None)
    target = OrderId(draw(st.integers(1, 12)))
    asset = draw(assets)
    kind = draw(st.sampled_from("ooooooooocmlatpc"))
    match kind:
        case "o":
            return PlaceOrders(*head, tuple(draw(st.lists(orders(), min_size=1, max_size=3))))
        case "c":
            return CancelOrders(*head, (CancelSpec(asset, target),))
        case "m":
            return ModifyOrders(*head, (ModifySpec(target, draw(orders())),))
        case "l":
            return UpdateLeverage(*head, asset, True, draw(st.sampled_from([1, 5, 10, 20])))
        case "a":
            agent = Address("0x" + draw(st.sampled_from("0ab")) * 40)
            return ApproveAgent(*head, agent, draw(st.sampled_from(["", "bot"])))
        case "t":
            return UsdSend(*head, draw(who), draw(st.integers(1, 300)) * USD)
        case "p":
            price = INSTRUMENTS[asset].opening_price_e8 * draw(st.integers(80, 120)) // 100
            return MoveOracle((OraclePrice(asset, price),))
        case _:
            raise AssertionError(kind)


@st.composite
def histories(draw: st.DrawFn) -> list[Command]:
    """Draw a history of up to 60 commands."""
    count = draw(st.integers(1, 60))
    return [draw(commands(START_MS + index)) for index in range(count)]


def opened() -> Exchange:
    """Return an exchange with two markets and three accounts, two of them funded well."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    exchange.apply(OpenExchange(450, 150))
    for instrument in INSTRUMENTS:
        exchange.apply(ListMarket(instrument))
    for account, usd in zip(ACCOUNTS, (10_000, 2_000, 150), strict=True):
        exchange.apply(Credit(account, usd * USD, CreditSource.FUND))
    return exchange


def levels_of(side: Sequence[RestingOrder]) -> list[Level]:
    """Return the levels of a side that is in priority order, computed from nothing."""
    levels = []
    for price, group in groupby(side, key=lambda order: order.price):
        kept = list(group)
        levels.append(Level(price, sum(order.remaining for order in kept), len(kept)))
    return levels


def without_expired(state: AccountState, time_ms: int) -> AccountState:
    """Return a state with the agents that may still sign and its orders by id."""
    agents = tuple(agent for agent in state.agents if time_ms < agent.valid_until)
    ordered = tuple(sorted(state.orders, key=lambda order: order.oid))
    return AccountState(
        state.address, state.known, state.cash, state.volume, state.positions, ordered, agents
    )


class Followers:
    """Views of every market and account of an exchange, started from its state."""

    def __init__(self, exchange: Exchange) -> None:
        now = exchange.time_ms
        self.markets = [MarketView(exchange.market_state(asset), now) for asset in ASSETS]
        self.accounts = [AccountView(exchange.account_state(at), UNIVERSE) for at in ACCOUNTS]
        self.records: dict[OrderId, list[OrderRecord]] = defaultdict(list)

    def apply(self, exchange: Exchange, events: list[Event]) -> None:
        """Give every view the events that name its subject."""
        height, now = exchange.height, exchange.time_ms
        for market in self.markets:
            mine = [
                (0, event)
                for event in events
                if getattr(event, "asset", None) == market.instrument.asset
            ]
            market.apply(height, now, mine)
        for event in events:
            for account in self.accounts:
                for record in account.apply(event, Moment(height, now, 0)).orders:
                    self.records[record.oid].append(record)


@settings(max_examples=60, deadline=None)
@given(history=histories(), attach_at=st.integers(0, 60))
def test_views_equal_the_state_they_follow(history: list[Command], attach_at: int) -> None:
    """Whenever a view starts, following the events gives what the exchange itself would tell."""
    exchange = opened()
    views = Followers(exchange)
    for index, command in enumerate(history):
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 1)
        events = exchange.apply(command)
        if index == attach_at:
            views = Followers(exchange)
        else:
            views.apply(exchange, events)

    for market in views.markets:
        state = exchange.market_state(market.instrument.asset)
        assert list(market.book.bids) == levels_of(state.bids)
        assert list(market.book.asks) == levels_of(state.asks)
        assert (market.oracle, market.mark, market.last, market.open_interest) == (
            state.oracle,
            state.mark,
            state.last,
            state.open_interest,
        )
    for account in views.accounts:
        expected = without_expired(exchange.account_state(account.address), exchange.time_ms)
        assert account.to_state(exchange.time_ms) == expected


@settings(max_examples=40, deadline=None)
@given(history=histories())
def test_withdrawable_is_what_may_be_sent(history: list[Command]) -> None:
    """The exchange lets go of the last micro-USD that the summary promises, and not of one more."""
    exchange = opened()
    views = Followers(exchange)
    for command in history:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 1)
        views.apply(exchange, exchange.apply(command))
    marks = [market.mark for market in views.markets]
    stranger = Address("0x" + "9" * 40)

    for account in views.accounts:
        free = summarize(account, UNIVERSE, marks).withdrawable
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 1)
        head = (account.address, exchange.time_ms, None, None)
        (refused,) = exchange.apply(UsdSend(*head, stranger, free + 1))
        assert type(refused).__name__ == "CommandRefused"
        if free:
            head = (account.address, exchange.time_ms + 1, None, None)
            (sent,) = exchange.apply(UsdSend(*head, stranger, free))
            assert type(sent).__name__ == "UsdSent"


@settings(max_examples=60, deadline=None)
@given(history=histories())
def test_records_of_an_order_tell_one_life(history: list[Command]) -> None:
    """An order is open with ever less until one last status, and nothing follows that."""
    exchange = opened()
    views = Followers(exchange)
    for command in history:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 1)
        views.apply(exchange, exchange.apply(command))

    views.records.pop(OrderId(0), None)
    for records in views.records.values():
        statuses = [record.status for record in records]
        remaining = [record.remaining for record in records]
        assert all(status == OPEN for status in statuses[:-1])
        assert remaining == sorted(remaining, reverse=True)
        assert (records[-1].remaining == 0) == (statuses[-1] == FILLED)
        is_open = any(
            account.open_orders.get(records[-1].oid) is not None for account in views.accounts
        )
        assert is_open == (statuses[-1] == OPEN)
