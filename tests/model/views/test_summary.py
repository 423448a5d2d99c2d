"""Summaries give the figures that were recorded on Hyperliquid for the same positions."""

import pytest

from model.commands import CreditSource, Tif
from model.events import (
    AgentApproved,
    CancelReason,
    Credited,
    Leg,
    LeverageUpdated,
    OrderCanceled,
    OrderPlaced,
    Traded,
    UsdSent,
)
from model.ids import Address, AssetId, OrderId, TradeId
from model.instruments import Instrument, MarginTier
from model.state import AccountState, PositionState
from model.units import USD
from model.universe import Universe
from model.views.account import AccountView
from model.views.records import Moment
from model.views.summary import (
    Totals,
    asset_summary,
    liquidation_price,
    maintenance_margin,
    round_half_up,
    summarize,
)

BTC, ETH = AssetId(0), AssetId(1)
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
AGENT = Address("0x" + "c" * 40)
AT = Moment(height=7, time_ms=1_000, index=2)
UNIVERSE = Universe(
    [
        Instrument(BTC, "BTC", 5, 40, 80_000 * 10**8),
        Instrument(ETH, "ETH", 4, 50, 3_000 * 10**8),
    ]
)
BTC_MARK, ETH_MARK = 839_260, 298_590
MARKS = [BTC_MARK, ETH_MARK]
"""83926.0 and 2985.90 USD."""

ENTRY = 377_667_000_000 - 11_884_306_507
"""Entry notional of the recorded position: its value less its unrealised profit."""


def recorded() -> AccountView:
    """Return an account that is long 4.5 BTC at 10x, as it was recorded."""
    position = PositionState(BTC, 450_000, ENTRY, True, 10)
    state = AccountState(ALICE, True, -339_414_300_000, 0, (position,), (), ())
    return AccountView(state, UNIVERSE)


def with_cash(usd: int) -> AccountView:
    """Return an account that holds nothing but money."""
    return AccountView(AccountState(ALICE, True, usd * USD, 0, (), (), ()), UNIVERSE)


def bought(lots: int, price: int, *, start: int = 0, fee: int = 0) -> Traded:
    """Return a trade in which the account buys as taker."""
    taker = Leg(ALICE, OrderId(2), None, 0, start, 0, fee)
    maker = Leg(BOB, OrderId(1), None, 0, 0, 0, 0)
    return Traded(BTC, TradeId(1), price, lots, True, taker, maker)


def placed(oid: int, lots: int, *, is_buy: bool, reduce_only: bool = False) -> OrderPlaced:
    """Return a resting order at 80,000 USD."""
    return OrderPlaced(BTC, ALICE, OrderId(oid), is_buy, 800_000, lots, Tif.GTC, reduce_only, None)


def test_recorded_account_has_the_recorded_totals() -> None:
    """Value, notional, margin, maintenance and withdrawable are the recorded ones."""
    summary = summarize(recorded(), UNIVERSE, MARKS)

    assert summary.cross == summary.everything
    assert summary.cross.account_value == 38_252_700_000
    assert summary.cross.total_notional == 377_667_000_000
    assert summary.cross.cash == -339_414_300_000
    assert summary.cross.margin_used == 37_766_700_000
    assert summary.maintenance == 4_720_837_500
    assert summary.withdrawable == 486_000_000


def test_recorded_position_has_the_recorded_figures() -> None:
    """Entry price, profit, return on equity and liquidation price are the recorded ones."""
    (position,) = summarize(recorded(), UNIVERSE, MARKS).positions

    assert position.value == 377_667_000_000
    assert position.unrealized_pnl == 11_884_306_507
    assert position.entry_price == 812_850
    assert position.return_on_equity == 3_249_007_326
    assert position.margin_used == 37_766_700_000
    assert position.max_leverage == 40
    assert position.liquidation_price is not None
    assert position.liquidation_price // 10**8 == 76_380_15


def test_liquidation_price_of_a_small_long() -> None:
    """0.0335 ETH with 95.059824 USD owed is liquidated where value meets 1 % of the notional."""
    size, owed = 335, 95_059_824
    value = size * ETH_MARK - owed
    maintenance = -(size * ETH_MARK // -100)

    price = liquidation_price(size, UNIVERSE[ETH], ETH_MARK, free=value - maintenance)

    assert price is not None
    assert abs(price - 28_662_693_652_900) <= 10**6
    for at, is_liquidated in ((price // 10**8 - 1, True), (price // 10**8 + 1, False)):
        assert (size * at - owed < size * at // 100) == is_liquidated


def test_recorded_isolated_position_has_the_recorded_figures() -> None:
    """What it is worth is its margin, and only that is between it and its liquidation."""
    position = PositionState(ETH, 335, 100 * USD, False, 20, -95_059_824, (5, 3, 1))
    state = AccountState(ALICE, True, 40 * USD, 0, (position,), (), ())
    summary = summarize(AccountView(state, UNIVERSE), UNIVERSE, MARKS)
    (shown,) = summary.positions

    worth = 335 * ETH_MARK - 95_059_824
    assert (shown.margin_used, shown.isolated_usd, shown.is_cross) == (worth, -95_059_824, False)
    assert shown.liquidation_price is not None
    assert abs(shown.liquidation_price - 28_662_693_652_900) <= 10**6
    assert shown.funding_paid == (5, 3, 1)
    assert summary.cross == Totals(40 * USD, 0, 40 * USD, 0)
    assert summary.everything == Totals(
        40 * USD + worth, 335 * ETH_MARK, 40 * USD - 95_059_824, worth
    )
    assert (summary.withdrawable, summary.maintenance) == (40 * USD, 0)


@pytest.mark.parametrize("size", [100_000, -100_000])
def test_liquidation_price_lies_where_its_own_tier_says(size: int) -> None:
    """At the price shown, worth and maintenance margin meet, in whichever tier that is."""
    tiers = (MarginTier(0, 40), MarginTier(70_000 * USD, 20), MarginTier(90_000 * USD, 5))
    market = Instrument(BTC, "BTC", 5, 40, 80_000 * 10**8, tiers)
    mark = 800_000
    worth = 12_000 * USD
    free = worth - maintenance_margin(market, abs(size) * mark)

    price = liquidation_price(size, market, mark, free=free)

    assert price is not None
    at = price // 10**9
    for beyond, is_liquidated in ((-2, size > 0), (2, size < 0)):
        then = worth + size * (at + beyond - mark)
        owed = maintenance_margin(market, abs(size) * (at + beyond))
        assert (then < owed) is is_liquidated


def test_liquidation_price_of_a_short_lies_above_the_mark() -> None:
    """A short of 1 BTC worth 80,000 USD with 10,000 USD is liquidated at 88,888.888..."""
    view = with_cash(10_000)
    view.apply(
        Traded(
            BTC,
            TradeId(1),
            800_000,
            100_000,
            False,
            Leg(ALICE, OrderId(2), None, 0, 0, 0, 0),
            Leg(BOB, OrderId(1), None, 0, 0, 0, 0),
        ),
        AT,
    )

    (position,) = summarize(view, UNIVERSE, [800_000, ETH_MARK]).positions

    # 90,000 - p = p / 80
    assert position.liquidation_price is not None
    assert position.liquidation_price // 10**7 == 88_888_888
    assert position.size == -100_000


def test_long_that_is_fully_paid_has_no_liquidation_price() -> None:
    """Where no positive price would liquidate there is none to show."""
    view = with_cash(100_000)
    view.apply(bought(100_000, 800_000), AT)

    (position,) = summarize(view, UNIVERSE, [800_000, ETH_MARK]).positions

    assert position.liquidation_price is None


def test_resting_orders_reduce_what_may_be_withdrawn() -> None:
    """A resting buy of 1 BTC at 20x demands 4,000 USD at a mark of 80,000; reduce-only nothing."""
    view = with_cash(10_000)
    view.apply(placed(1, 100_000, is_buy=True), AT)
    view.apply(placed(2, 50_000, is_buy=False, reduce_only=True), AT)
    marks = [800_000, ETH_MARK]

    assert summarize(view, UNIVERSE, marks).withdrawable == 6_000 * USD
    view.apply(OrderCanceled(BTC, ALICE, OrderId(1), 100_000, CancelReason.CANCELED), AT)
    assert summarize(view, UNIVERSE, marks).withdrawable == 10_000 * USD


def test_trade_moves_cash_volume_and_position() -> None:
    """Cost and fee leave the cash, and the other party's account hears nothing of it."""
    view = with_cash(10_000)

    change = view.apply(bought(10_000, 800_000, fee=3_600_000), AT)

    assert view.cash == (10_000 - 8_000) * USD - 3_600_000
    assert view.volume == 8_000 * USD
    assert [(fill.lots, fill.fee, fill.crossed) for fill in change.fills] == [
        (10_000, 3_600_000, True)
    ]
    assert change.state
    stranger = AccountView(AccountState(AGENT, True, 0, 0, (), (), ()), UNIVERSE)
    assert not stranger.apply(bought(10_000, 800_000), AT).state


def test_partial_close_keeps_the_entry_price() -> None:
    """Closing a third of a position leaves the average entry of the rest unchanged."""
    view = with_cash(10_000)
    view.apply(bought(30_000, 800_000), AT)
    sold = Traded(
        BTC,
        TradeId(2),
        810_000,
        10_000,
        False,
        Leg(ALICE, OrderId(3), None, 0, 30_000, 0, 0),
        Leg(BOB, OrderId(4), None, 0, 0, 0, 0),
    )
    view.apply(sold, AT)

    (position,) = summarize(view, UNIVERSE, [810_000, ETH_MARK]).positions

    assert (position.size, position.entry_price) == (20_000, 800_000)
    assert position.unrealized_pnl == 20_000 * 10_000


def test_money_moves_and_is_remembered() -> None:
    """Deposits and transfers change the cash of this account and enter its ledger."""
    view = AccountView(AccountState(ALICE, False, 0, 0, (), (), ()), UNIVERSE)
    view.apply(Credited(ALICE, 5 * USD, CreditSource.FUND), AT)
    view.apply(UsdSent(ALICE, BOB, 2 * USD), AT)
    view.apply(UsdSent(BOB, ALICE, 1 * USD), AT)
    view.apply(Credited(BOB, 9 * USD, CreditSource.FUND), AT)

    assert view.known
    assert view.cash == 4 * USD
    assert [entry.kind for entry in view.ledger] == [
        "deposit",
        "internalTransfer",
        "internalTransfer",
    ]


def test_agents_are_replaced_removed_and_expire() -> None:
    """One agent a name; a removed or expired one is no longer shown."""
    view = with_cash(1)
    view.apply(AgentApproved(ALICE, AGENT, "", 5_000, None), AT)
    view.apply(AgentApproved(ALICE, BOB, "bot", 2_000, None), AT)

    assert [agent.name for agent in view.agents(1_999)] == ["", "bot"]
    assert [agent.name for agent in view.agents(2_000)] == [""]
    view.apply(AgentApproved(ALICE, Address(""), "", 0, AGENT), AT)
    assert [agent.agent for agent in view.agents(1_999)] == [BOB]


@pytest.mark.parametrize(("leverage", "lots"), [(20, 250_000), (10, 125_000), (40, 500_000)])
def test_flat_account_can_trade_its_money_times_its_leverage(leverage: int, lots: int) -> None:
    """10,000 USD at 10x buy or sell 1.25 BTC of 80,000 USD; the margin is all the money."""
    view = with_cash(10_000)
    view.apply(LeverageUpdated(ALICE, BTC, True, leverage), AT)

    summary = asset_summary(view, BTC, [800_000, ETH_MARK])

    assert (summary.max_buy_lots, summary.max_sell_lots) == (lots, lots)
    assert (summary.buy_margin, summary.sell_margin) == (10_000 * USD, 10_000 * USD)


def test_position_can_always_be_closed() -> None:
    """An account without free margin cannot buy more, but sell what it holds."""
    view = with_cash(4_000)
    view.apply(bought(100_000, 800_000), AT)

    summary = asset_summary(view, BTC, [790_000, ETH_MARK])

    assert summary.max_buy_lots == 0
    assert summary.max_sell_lots == 200_000


@pytest.mark.parametrize(
    ("amount", "divisor", "rounded"),
    [(4, 3, 1), (5, 3, 2), (-4, 3, -1), (-5, 3, -2), (3, 2, 2), (-3, 2, -1), (0, 7, 0)],
)
def test_rounding_goes_to_the_nearest_integer(amount: int, divisor: int, rounded: int) -> None:
    """Ties go up, towards the larger number, on both sides of zero."""
    assert round_half_up(amount, divisor) == rounded
