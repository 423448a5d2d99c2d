"""What margin demands, and what may be sent away."""

from __future__ import annotations

import pytest

from model.accounts import Account, Position
from model.commands import Tif, UpdateLeverage
from model.events import CommandRefused, LeverageUpdated, OrderPlaced, UsdSent
from model.margin import can_carry, demand, refresh, withdrawable
from model.refusals import Refusal
from model.state import PositionState
from model.units import USD
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, Desk, only, order


def position(size: int, *, buys: int = 0, sells: int = 0, leverage: int = 10) -> Position:
    """Make a position."""
    made = Position(leverage)
    made.size, made.resting_buys, made.resting_sells = size, buys, sells
    return made


@pytest.mark.parametrize(
    ("size", "buys", "sells", "worst"),
    [
        (0, 0, 0, 0),
        (5, 0, 0, 5),
        (-5, 0, 0, 5),
        (5, 3, 0, 8),
        (5, 0, 3, 5),
        (5, 0, 12, 7),
        (-5, 3, 0, 5),
        (-5, 12, 0, 7),
        (-5, 1, 3, 8),
        (0, 4, 6, 6),
    ],
)
def test_demand_is_for_the_worse_side(size: int, buys: int, sells: int, worst: int) -> None:
    """Either all buys fill or all sells do."""
    assert demand(position(size, buys=buys, sells=sells), 1_000) == worst * 1_000 // 10


def test_demand_is_rounded_up() -> None:
    """A fraction of a micro-USD is demanded as a whole one."""
    assert demand(position(1, leverage=3), 100) == 34


def test_resting_lots_of_the_maker_are_not_counted_twice() -> None:
    """Filling what already reserved its margin demands nothing more."""
    account = Account(ALICE, set())
    held = account.positions[BTC] = position(0, buys=10)
    account.value = account.required = held.margin = demand(held, 100)

    def carries(from_resting: int) -> bool:
        return can_carry(
            account,
            held,
            mark=100,
            signed_lots=10,
            price=100,
            fee=0,
            from_resting=from_resting,
        )

    assert carries(10)
    assert not carries(0)


def test_withdrawable_leaves_the_demand_and_a_tenth_of_the_notional() -> None:
    """At high leverage a tenth of the positions is more than their margin."""
    desk = Desk()
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 40))
    desk.trade(ALICE, BOB, "100", "500")
    most = 10_000 * USD - 5_000 * USD

    assert only(desk.send(ALICE, BOB, most + 1), CommandRefused).reason is (
        Refusal.TRANSFER_TOO_LARGE
    )
    assert only(desk.send(ALICE, BOB, most), UsdSent).usd == most


def test_margin_of_resting_orders_cannot_be_sent_away() -> None:
    """What an order reserves stays."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "1000"))

    refused = only(desk.send(ALICE, BOB, 5_000 * USD + 1), CommandRefused)
    sent = only(desk.send(ALICE, BOB, 5_000 * USD), UsdSent)

    assert refused.reason is Refusal.TRANSFER_TOO_LARGE
    assert sent.usd == 5_000 * USD


def test_account_below_its_demand_may_send_nothing() -> None:
    """Withdrawable is never negative."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1900")
    desk.move_oracle("97")
    account = desk.exchange.engine.accounts[ALICE]
    refresh(account, desk.exchange.engine.markets, desk.exchange.engine.epoch)

    assert account.value < account.required
    assert withdrawable(account, desk.exchange.engine.markets) == 0
    assert only(desk.send(ALICE, BOB, 1), CommandRefused).reason is Refusal.TRANSFER_TOO_LARGE


def test_unrealised_loss_of_one_market_uses_up_margin_of_another() -> None:
    """All positions share one pool."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1000")
    desk.move_oracle("95")

    refused = desk.place(ALICE, order("buy", "10", "500", asset=ETH))
    accepted = desk.place(ALICE, order("buy", "10", "20", asset=ETH))

    assert not any(isinstance(event, OrderPlaced) for event in refused)
    assert only(accepted, OrderPlaced).lots == 200


# ---- leverage ----------------------------------------------------------------------------------


def test_leverage_is_chosen_for_each_market() -> None:
    """Others keep the default, and a chosen one is shown without a position."""
    desk = Desk()

    updated = only(desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 7)), LeverageUpdated)

    assert updated == LeverageUpdated(ALICE, BTC, True, 7)
    assert desk.state(ALICE).positions == (PositionState(BTC, 0, 0, True, 7),)


def test_leverage_survives_a_dump() -> None:
    """It is state even where nothing is held."""
    desk = Desk()
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 7))

    loaded = type(desk.exchange).load(desk.exchange.dump())

    assert loaded.account_state(ALICE) == desk.state(ALICE)


def test_default_leverage_is_twenty_or_the_most_there_is() -> None:
    """A position in an untouched market shows it."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1")
    desk.rest(BOB, order("sell", "10", "2", asset=ETH))
    desk.place(ALICE, order("buy", "10", "2", asset=ETH, tif=Tif.IOC))

    assert [state.leverage for state in desk.state(ALICE).positions] == [20, 5]


def test_lower_leverage_reserves_more_for_resting_orders_too() -> None:
    """The change is refused where the account could not have placed its orders under it."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "99", "1000"))

    refused = desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 9))
    accepted = desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 10))

    assert only(refused, CommandRefused).reason is Refusal.LEVERAGE_NEEDS_MARGIN
    assert only(accepted, LeverageUpdated).leverage == 10


def test_leverage_may_always_be_raised() -> None:
    """Even under water: it demands less."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1900")
    desk.move_oracle("96")

    updated = only(desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, True, 40)), LeverageUpdated)

    assert updated.leverage == 40


def test_idle_account_is_revalued_when_it_is_next_looked_at() -> None:
    """A move that cannot hurt an account does not touch it, yet all are judged by the new marks."""
    desk = Desk()
    desk.trade(CAROL, BOB, "100", "1000")
    account = desk.exchange.engine.accounts[CAROL]
    desk.move_oracle("100")
    before = account.value
    desk.move_oracle("101")

    assert account.value == before
    desk.rest(CAROL, order("buy", "100", "1"))
    assert account.value == before + 1_000 * USD
