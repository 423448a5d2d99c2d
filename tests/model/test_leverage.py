"""Isolated margin: what opening posts, what closing releases, and moving money by hand."""

from __future__ import annotations

import pytest

from model.commands import (
    ListMarket,
    Tif,
    TopUpIsolatedMargin,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.events import (
    CommandRefused,
    Event,
    IsolatedMarginMoved,
    LeverageUpdated,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
)
from model.ids import BACKSTOP, AssetId
from model.instruments import Instrument, MarginMode, MarginTier
from model.refusals import Refusal
from model.state import PositionState
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, Desk, every, only, order


def choose(
    desk: Desk, leverage: int, *, is_cross: bool = False, asset: AssetId = BTC
) -> list[Event]:
    """Let Alice choose leverage and kind of margin."""
    return desk.apply(UpdateLeverage(*desk.head(ALICE), asset, is_cross, leverage))


def isolated_desk(leverage: int = 10, size: str = "10") -> Desk:
    """Return a desk where Alice holds BTC at 100 with isolated margin."""
    desk = Desk()
    desk.credit(BOB, 1_000_000)
    choose(desk, leverage)
    desk.trade(ALICE, BOB, "100", size)
    return desk


def held(desk: Desk) -> PositionState:
    """Return Alice's position."""
    position = desk.position(ALICE)
    assert position is not None
    return position


def worth(desk: Desk) -> int:
    """Return what Alice's isolated position is worth."""
    position = held(desk)
    return position.isolated_usd + position.size * desk.exchange.market_state(BTC).mark


def test_opening_posts_the_initial_margin_from_the_pool() -> None:
    """1,000 USD at leverage 10 post 100."""
    desk = isolated_desk()

    assert held(desk) == PositionState(BTC, 1_000, 1_000 * USD, False, 10, -900 * USD)
    assert desk.state(ALICE).cash == 9_900 * USD


def test_trade_tells_what_it_posted_and_released() -> None:
    """A reader of the log needs no mark price to follow."""
    desk = Desk()
    choose(desk, 10)
    desk.rest(BOB, order("sell", "100", "10"))
    bought = only(desk.place(ALICE, order("buy", "100", "10")), Traded)
    desk.rest(BOB, order("buy", "101", "10"))
    sold = only(desk.place(ALICE, order("sell", "101", "10", tif=Tif.IOC)), Traded)

    assert (bought.taker.margin, bought.maker.margin) == (100 * USD, 0)
    assert sold.taker.margin == -110 * USD
    assert desk.state(ALICE).cash == 10_010 * USD
    assert held(desk).isolated_usd == 0


def test_closing_a_part_releases_its_share() -> None:
    """Of what the position is worth after the trade, rounded down."""
    desk = isolated_desk()
    desk.move_oracle("105")
    desk.trade(BOB, ALICE, "105", "4")

    # It was worth 150 at the mark; four tenths of that are 60.
    assert desk.state(ALICE).cash == 9_960 * USD
    assert worth(desk) == 90 * USD


def test_opening_at_a_bad_price_is_paid_by_who_opens() -> None:
    """The position is worth its initial margin at the mark, whatever was paid for it."""
    desk = isolated_desk(10, "1")
    desk.trade(ALICE, BOB, "110", "9")

    assert worth(desk) == 100 * USD
    assert desk.state(ALICE).cash == 10_000 * USD - 100 * USD - 90 * USD


def test_turning_round_closes_and_opens() -> None:
    """Everything is released, and the new side posts its own margin."""
    desk = isolated_desk()
    desk.trade(BOB, ALICE, "100", "15")

    assert held(desk) == PositionState(BTC, -500, -500 * USD, False, 10, 550 * USD)
    assert desk.state(ALICE).cash == 9_950 * USD


def test_loss_of_more_than_the_position_is_worth_is_not_traded() -> None:
    """Selling to a friend at a bad price cannot leave the loss to others."""
    desk = isolated_desk()
    desk.rest(BOB, order("buy", "89", "10"))

    events = desk.place(ALICE, order("sell", "89", "10", tif=Tif.IOC))

    assert [type(event) for event in events] == [OrderPlaced, OrderCanceled]


def test_resting_orders_reserve_from_the_pool_what_they_would_add() -> None:
    """Those that only close reserve nothing."""
    desk = isolated_desk()
    account = desk.exchange.engine.accounts[ALICE]
    desk.rest(ALICE, order("sell", "110", "10"))
    desk.move_oracle("100")
    assert account.required == 0

    desk.rest(ALICE, order("buy", "99", "20"))
    assert account.required == 200 * USD
    desk.rest(ALICE, order("sell", "110", "40"))
    assert account.required == 400 * USD


def test_pool_must_hold_what_opening_posts() -> None:
    """An order beyond it is refused."""
    desk = Desk()
    choose(desk, 10)

    refused = desk.place(ALICE, order("buy", "100", "1000.01"))
    desk.rest(BOB, order("sell", "100", "1000"))
    traded = desk.place(ALICE, order("buy", "100", "1000"))

    assert only(refused, OrderRefused).reason is Refusal.MARGIN_TOO_LOW
    assert only(traded, Traded).lots == 100_000
    assert desk.state(ALICE).cash == 0


def test_profit_of_an_isolated_position_is_no_margin_for_others() -> None:
    """Nor can it be sent away."""
    desk = isolated_desk(10, "1000")
    desk.move_oracle("150")

    refused = desk.place(ALICE, order("buy", "10", "10", asset=ETH))

    assert only(refused, OrderRefused).reason is Refusal.MARGIN_TOO_LOW
    assert only(desk.send(ALICE, BOB, 1), CommandRefused).reason is Refusal.TRANSFER_TOO_LARGE


# ---- leverage ----------------------------------------------------------------------------------


def test_more_leverage_releases_nothing_and_less_demands_it() -> None:
    """What was posted stays until money is moved by hand."""
    desk = isolated_desk()

    assert only(choose(desk, 20), LeverageUpdated) == LeverageUpdated(ALICE, BTC, False, 20)
    assert worth(desk) == 100 * USD
    assert only(choose(desk, 10), LeverageUpdated).leverage == 10
    assert only(choose(desk, 9), CommandRefused).reason is Refusal.ISOLATED_NEEDS_MARGIN
    desk.apply(UpdateIsolatedMargin(*desk.head(ALICE), BTC, 12 * USD))
    assert only(choose(desk, 9), LeverageUpdated).leverage == 9


def test_kind_of_margin_can_change_while_nothing_is_held() -> None:
    """Orders that rest are then demanded for under the new one."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "20"))
    account = desk.exchange.engine.accounts[ALICE]

    choose(desk, 10)
    assert account.required == 200 * USD
    choose(desk, 5, is_cross=True)
    assert account.required == 400 * USD


def test_leverage_beyond_the_tier_of_what_is_held_is_refused() -> None:
    """It may be chosen again once the position is small enough."""
    desk = Desk()
    tiers = (MarginTier(0, 20), MarginTier(10_000 * USD, 5))
    sol = AssetId(2)
    desk.apply(ListMarket(Instrument(sol, "SOL", 2, 20, 100 * E8, tiers)))
    choose(desk, 5, is_cross=True, asset=sol)
    resting = desk.rest(ALICE, order("buy", "100", "100", asset=sol))

    refused = choose(desk, 6, is_cross=True, asset=sol)
    desk.cancel(ALICE, resting, asset=sol)

    assert only(refused, CommandRefused).reason is Refusal.LEVERAGE_INVALID
    assert only(choose(desk, 20, is_cross=True, asset=sol), LeverageUpdated).leverage == 20


def test_position_that_outgrew_its_tier_is_demanded_the_margin_of_the_next() -> None:
    """The price rose and nobody asked; no order may make it larger."""
    desk = Desk()
    tiers = (MarginTier(0, 20), MarginTier(10_000 * USD, 5))
    sol = AssetId(2)
    desk.apply(ListMarket(Instrument(sol, "SOL", 2, 20, 100 * E8, tiers)))
    desk.rest(BOB, order("sell", "100", "99", asset=sol))
    desk.place(ALICE, order("buy", "100", "99", asset=sol))
    desk.move_oracle("110", sol)

    refused = desk.place(ALICE, order("buy", "100", "1", asset=sol))
    closing = desk.place(ALICE, order("sell", "120", "1", asset=sol))

    assert only(refused, OrderRefused).reason is Refusal.MARGIN_TIER_EXCEEDED
    assert only(closing, OrderPlaced).lots == 100
    assert desk.exchange.engine.accounts[ALICE].required == 10_890 * USD // 5


def test_market_without_cross_margin_is_isolated_from_the_start() -> None:
    """For everybody but the backstop."""
    desk = Desk()
    sol = AssetId(2)
    desk.apply(
        ListMarket(Instrument(sol, "SOL", 2, 20, 100 * E8, (), MarginMode.NO_CROSS)),
    )
    desk.credit(BACKSTOP, 1)
    accounts = desk.exchange.engine.accounts
    market = desk.exchange.engine.markets[sol]

    assert not accounts[ALICE].position(market).is_cross
    assert accounts[BACKSTOP].position(market).is_cross
    assert only(choose(desk, 5, asset=sol), LeverageUpdated).is_cross is False


# ---- moving money ------------------------------------------------------------------------------


def move(desk: Desk, usd: int) -> list[Event]:
    """Let Alice move micro-USD into her position."""
    return desk.apply(UpdateIsolatedMargin(*desk.head(ALICE), BTC, usd))


def test_money_is_moved_in_and_out() -> None:
    """Down to the initial margin, which is what the pool would have to cover as well."""
    desk = isolated_desk()

    assert move(desk, 50 * USD) == [IsolatedMarginMoved(ALICE, BTC, 50 * USD)]
    assert (worth(desk), desk.state(ALICE).cash) == (150 * USD, 9_850 * USD)
    refused = only(move(desk, -50 * USD - 1), CommandRefused)
    assert refused.reason is Refusal.MARGIN_REDUCTION_TOO_LARGE
    assert move(desk, -50 * USD) == [IsolatedMarginMoved(ALICE, BTC, -50 * USD)]


def test_a_tenth_of_the_notional_stays_whatever_the_leverage() -> None:
    """At leverage 40 the initial margin would be less than that."""
    desk = isolated_desk(40)
    move(desk, 100 * USD)

    refused = only(move(desk, -25 * USD - 1), CommandRefused)

    assert refused.reason is Refusal.MARGIN_REDUCTION_TOO_LARGE
    assert only(move(desk, -25 * USD), IsolatedMarginMoved).usd == -25 * USD


@pytest.mark.parametrize(("leverage_e8", "usd"), [(5 * E8, 100), (E8 // 2, 1_900)])
def test_top_up_adds_what_is_lacking(leverage_e8: int, usd: int) -> None:
    """A leverage below one is more margin than the position's value."""
    desk = isolated_desk()

    events = desk.apply(TopUpIsolatedMargin(*desk.head(ALICE), BTC, leverage_e8))

    assert events == [IsolatedMarginMoved(ALICE, BTC, usd * USD)]
    again = desk.apply(TopUpIsolatedMargin(*desk.head(ALICE), BTC, leverage_e8))
    assert only(again, CommandRefused).reason is Refusal.MARGIN_MOVE_ZERO


def test_top_up_needs_a_leverage_an_isolated_position_and_the_money() -> None:
    """Each lack has its reason."""
    desk = isolated_desk()

    def reason(asset: AssetId, leverage_e8: int) -> Refusal:
        command = TopUpIsolatedMargin(*desk.head(ALICE), asset, leverage_e8)
        return only(desk.apply(command), CommandRefused).reason

    assert reason(BTC, 0) is Refusal.LEVERAGE_INVALID
    assert reason(ETH, E8) is Refusal.MARGIN_NOT_ISOLATED
    assert reason(AssetId(7), E8) is Refusal.ASSET_UNKNOWN
    assert reason(BTC, 1) is Refusal.MARGIN_INCREASE_TOO_LARGE
    assert every(desk.place(CAROL, order("buy", "99", "1")), OrderPlaced)
