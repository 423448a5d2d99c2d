"""Liquidation: into the book, to the backstop, against others, and who pays for what is missing."""

from __future__ import annotations

from itertools import count
from typing import Final

import pytest

from model.commands import (
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tick,
    Tif,
    UpdateLeverage,
)
from model.events import (
    CancelReason,
    CollateralSeized,
    Event,
    Liquidated,
    OracleMoved,
    OrderCanceled,
    OrderPlaced,
    PremiumSampled,
    ShortfallCovered,
    Ticked,
    Traded,
    TradeKind,
)
from model.exchange import Exchange
from model.ids import BACKSTOP, Address, AssetId
from model.instruments import Instrument, MarginTier
from model.invariants import check
from model.liquidation import COOL_DOWN_MS
from model.units import E8, USD
from model.universe import Universe
from model.views.account import AccountView
from model.views.summary import PRICE_SCALE_DECIMALS, summarize
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, every, only, order


def desk_with_long(size: str = "1900", *, has_usd: int = 10_000, taker_fee_ppm: int = 0) -> Desk:
    """Return a desk where Alice is long at 100, and the others are rich."""
    desk = Desk(taker_fee_ppm=taker_fee_ppm)
    desk.credit(BOB, 1_000_000)
    desk.credit(CAROL, 1_000_000)
    if has_usd < 10_000:
        desk.send(ALICE, BOB, (10_000 - has_usd) * USD)
    desk.trade(ALICE, BOB, "100", size)
    return desk


def tick(desk: Desk, after_ms: int) -> list[Event]:
    """Let some time pass; return what happened beside samples of the premium."""
    desk.block(desk.exchange.time_ms + after_ms)
    return [event for event in desk.apply(Tick()) if not isinstance(event, PremiumSampled)]


def cash(desk: Desk, account: Address) -> int:
    """Return an account's cash."""
    return desk.state(account).cash


def test_account_at_its_maintenance_margin_is_left_alone() -> None:
    """2,500 - 500 * (100 - p) falls below 500 * p / 80 between these two prices."""
    desk = desk_with_long("500", has_usd=2_500)
    desk.rest(BOB, order("buy", "96", "500"))

    assert every(desk.move_oracle("96.203"), Liquidated) == []
    assert every(desk.move_oracle("96.202"), Liquidated) != []


def test_position_is_sold_into_the_book_and_the_rest_is_kept() -> None:
    """What is left of the collateral stays with the account."""
    desk = desk_with_long("500", has_usd=2_500)
    bid = desk.rest(CAROL, order("buy", "96", "600"))
    own = desk.rest(ALICE, order("sell", "110", "1"))

    events = desk.move_oracle("96.1")

    assert [type(event) for event in events] == [
        OracleMoved,
        Liquidated,
        OrderCanceled,
        OrderPlaced,
        Traded,
    ]
    head = only(events, Liquidated)
    assert head == Liquidated(ALICE, None, 48_050 * USD, 550 * USD, ((BTC, 50_000),))
    assert only(events, OrderCanceled).oid == own
    assert only(events, OrderCanceled).reason is CancelReason.LIQUIDATED
    assert only(events, OrderPlaced).tif is Tif.LIQUIDATION_MARKET
    trade = only(events, Traded)
    assert (trade.kind, trade.mark, trade.is_isolated) == (TradeKind.LIQUIDATION, 961_000, False)
    assert (trade.maker.oid, trade.lots) == (bid, 50_000)
    assert (desk.size(ALICE), cash(desk, ALICE)) == (0, 500 * USD)


def test_smaller_position_is_kept_once_the_larger_one_is_closed() -> None:
    """Selling stops as soon as the account is healthy again."""
    desk = Desk()
    desk.credit(BOB, 100_000)
    desk.trade(ALICE, BOB, "100", "1500")
    desk.rest(BOB, order("sell", "10", "100", asset=ETH))
    desk.place(ALICE, order("buy", "10", "100", asset=ETH))
    desk.rest(BOB, order("buy", "94.2", "3000"))

    events = desk.move_oracle("94.4")

    assert only(events, Liquidated).positions == ((BTC, 150_000), (ETH, 1_000))
    assert {placed.asset for placed in every(events, OrderPlaced)} == {BTC}
    assert desk.size(ALICE, ETH) == 1_000


def test_large_position_is_sold_in_two_parts_with_a_pause() -> None:
    """A fifth first; the rest after thirty seconds, if that did not help."""
    desk = desk_with_long("1900")
    desk.rest(CAROL, order("buy", "95.5", "3000"))
    first = desk.move_oracle("95.6")

    assert [trade.lots for trade in every(first, Traded)] == [38_000]
    assert tick(desk, COOL_DOWN_MS - 1) == []
    second = tick(desk, 1)
    assert [trade.lots for trade in every(second, Traded)] == [152_000]
    assert desk.exchange.engine.watch.cooling == {}


def test_account_that_nobody_trades_with_is_tried_again_without_a_trace() -> None:
    """An attempt that changes nothing leaves no event; one that finds a bid later does."""
    desk = desk_with_long("500", has_usd=2_500)
    assert every(desk.move_oracle("96.1"), Liquidated) == []
    assert tick(desk, 1) == [Ticked()]

    desk.rest(CAROL, order("buy", "96", "600"))
    events = tick(desk, 1)

    assert [type(event) for event in events] == [Liquidated, OrderPlaced, Traded]


def test_no_fill_takes_the_value_below_zero() -> None:
    """A bid that would cost more than there is, is not sold into."""
    desk = desk_with_long("500", has_usd=2_500)
    desk.rest(CAROL, order("buy", "94.9", "600"))

    assert every(desk.move_oracle("96.1"), Traded) == []
    assert desk.size(ALICE) == 50_000


def test_backstop_takes_positions_and_money_over() -> None:
    """Below two thirds of the maintenance margin, at the mark price, with all that is left."""
    desk = desk_with_long("500", has_usd=2_500)
    desk.credit(BACKSTOP, 10_000)

    events = desk.move_oracle("95.7")

    assert [type(event) for event in events] == [OracleMoved, Liquidated, Traded, CollateralSeized]
    trade = only(events, Traded)
    assert (trade.kind, trade.price, trade.maker.account) == (
        TradeKind.BACKSTOP,
        957_000,
        BACKSTOP,
    )
    assert trade.taker.fee == trade.maker.fee == 0
    assert only(events, CollateralSeized) == CollateralSeized(ALICE, BACKSTOP, None, 350 * USD)
    assert (desk.size(ALICE), cash(desk, ALICE)) == (0, 0)
    assert desk.size(BACKSTOP) == 50_000


def test_backstop_that_cannot_carry_it_leaves_it_to_the_others() -> None:
    """They are closed at the mark price as it was before the last move."""
    desk = desk_with_long("500", has_usd=2_500)
    desk.credit(BACKSTOP, 100)
    desk.move_oracle("96.3")

    events = desk.move_oracle("95.7")

    trade = only(events, Traded)
    assert (trade.kind, trade.price, trade.mark) == (TradeKind.DELEVERAGING, 963_000, 957_000)
    assert trade.maker.account == BOB
    assert (desk.size(ALICE), cash(desk, ALICE)) == (0, 650 * USD)


def test_what_a_gap_cost_is_paid_by_backstop_and_insurance() -> None:
    """The backstop pays what it has free; the rest is debt of the insurance fund."""
    desk = desk_with_long("1900")
    desk.credit(BACKSTOP, 1_000)
    desk.move_oracle("97")
    desk.exchange.engine.markets[BTC].set_mark(900_000)
    desk.exchange.engine.epoch += 1
    desk.exchange.engine.watch.pending.add(ALICE)

    events = desk.move_oracle("80")

    assert only(events, Traded).price == 900_000
    covered = only(events, ShortfallCovered)
    assert covered == ShortfallCovered(ALICE, None, 9_000 * USD, BACKSTOP, 1_000 * USD, 8_000 * USD)
    assert desk.exchange.engine.insurance == -8_000 * USD
    assert (cash(desk, ALICE), cash(desk, BACKSTOP)) == (0, 0)


def test_those_who_gained_most_with_most_leverage_are_closed_first() -> None:
    """Carol is as short as Bob, and has less money."""
    desk = Desk()
    desk.credit(BOB, 100_000)
    desk.trade(ALICE, BOB, "100", "900")
    desk.trade(ALICE, CAROL, "100", "900")

    events = desk.move_oracle("94")

    assert next(trade.maker.account for trade in every(events, Traded)) == CAROL


def test_isolated_position_is_liquidated_by_itself() -> None:
    """Its loss stays its own: the pool, other positions and other orders are left alone."""
    desk = Desk()
    desk.credit(BOB, 100_000)
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 20))
    desk.trade(ALICE, BOB, "100", "100")
    kept = desk.rest(ALICE, order("buy", "9", "2", asset=ETH))
    desk.rest(ALICE, order("buy", "80", "1"))
    desk.credit(BACKSTOP, 1_000_000)

    events = desk.move_oracle("95.5")

    assert only(events, Liquidated) == Liquidated(
        ALICE, BTC, 9_550 * USD, 50 * USD, ((BTC, 10_000),)
    )
    assert only(events, Traded).is_isolated
    assert only(events, Traded).taker.margin == 0
    assert only(events, CollateralSeized) == CollateralSeized(ALICE, BACKSTOP, BTC, 50 * USD)
    assert desk.open_oids(ALICE) == [kept]
    assert cash(desk, ALICE) == 9_500 * USD


def test_gap_through_an_isolated_position_does_not_reach_the_pool() -> None:
    """What its margin does not cover is paid by the insurance fund."""
    desk = Desk()
    desk.credit(BOB, 100_000)
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 20))
    desk.trade(ALICE, BOB, "100", "100")
    desk.move_oracle("99")
    desk.exchange.engine.markets[BTC].set_mark(900_000)

    events = desk.move_oracle("85")

    assert only(events, ShortfallCovered).usd == 500 * USD
    assert desk.exchange.engine.insurance == -500 * USD
    assert (desk.size(ALICE), cash(desk, ALICE)) == (0, 9_500 * USD)


def test_taker_who_is_below_maintenance_by_the_trade_is_liquidated_in_the_same_command() -> None:
    """Closing at a price far from the mark leaves too little for the rest."""
    desk = desk_with_long("1900", taker_fee_ppm=450)
    desk.move_oracle("96")
    desk.rest(CAROL, order("buy", "94", "400"))
    desk.rest(CAROL, order("buy", "93.9", "3000"))

    events = desk.place(ALICE, order("sell", "94", "400", tif=Tif.IOC))

    assert [trade.kind for trade in every(events, Traded)][:1] == [TradeKind.BOOK]
    assert only(events, Liquidated).account == ALICE


def test_liquidation_goes_on_the_same_from_a_dump() -> None:
    """Accounts that cool down or found no bid are known to a loaded exchange as well."""
    desk = desk_with_long("1900")
    desk.rest(CAROL, order("buy", "95.5", "3000"))
    desk.move_oracle("95.6")
    loaded = Exchange.load(desk.exchange.dump())
    check(loaded)

    assert loaded.engine.watch.ailing == desk.exchange.engine.watch.ailing
    for exchange in (loaded, desk.exchange):
        exchange.begin_block(exchange.height + 1, START_MS + COOL_DOWN_MS)
    assert loaded.apply(Tick()) == desk.exchange.apply(Tick())
    assert loaded.digest() == desk.exchange.digest()


CRASH_ACCOUNTS: Final = 3_000
WHALE: Final = Address("0x" + "f" * 40)


def crash_market(*, with_bids: bool) -> Exchange:
    """Return an exchange where thousands are long 20 at 100, with 200 to 999 USD each."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    for command in (
        OpenExchange(0, 0),
        ListMarket(Instrument(BTC, "BTC", 2, 40, 100 * E8)),
        Credit(WHALE, 10**9 * USD, CreditSource.FUND),
        Credit(BACKSTOP, 10_000 * USD, CreditSource.FUND),
    ):
        exchange.apply(command)
    nonces = count(START_MS)

    def place(signer: Address, spec: OrderSpec) -> None:
        exchange.apply(PlaceOrders(signer, next(nonces), None, None, (spec,)))

    for number in range(CRASH_ACCOUNTS):
        account = Address(f"0x{number + 16:040x}")
        exchange.apply(Credit(account, (200 + number % 800) * USD, CreditSource.FUND))
        place(WHALE, order("sell", "100", "20"))
        place(account, order("buy", "100", "20"))
    for level in range(60, 80) if with_bids else ():
        place(WHALE, order("buy", str(level), "3000"))
    return exchange


@pytest.mark.parametrize("with_bids", [True, False])
def test_crash_day(with_bids: bool) -> None:
    """A gap of 40 % leaves nobody below zero, no money is lost, and the books balance."""
    exchange = crash_market(with_bids=with_bids)

    events = exchange.apply(MoveOracle((OraclePrice(BTC, 60 * E8),)))

    check(exchange)
    # 20 lost 40 USD each, and 20 * 60 / 80 USD are the maintenance margin.
    poor = [n for n in range(CRASH_ACCOUNTS) if 200 + n % 800 < 800 + 15]
    hopeless = [n for n in poor if 200 + n % 800 < 800 + 10]
    assert len(every(events, Liquidated)) == len(poor if with_bids else hopeless)
    assert len(exchange.engine.watch.ailing) == (0 if with_bids else len(poor) - len(hopeless))
    assert all(exchange.account_state(Address(f"0x{n + 16:040x}")).cash >= 0 for n in hopeless)


def test_account_that_recovered_while_cooling_down_is_forgotten_at_once() -> None:
    """By the command that helped it, so that the next tick has nothing to change."""
    desk = desk_with_long("1900")
    desk.rest(CAROL, order("buy", "95.5", "3000"))
    desk.move_oracle("95.6")
    assert desk.exchange.engine.watch.cooling

    desk.credit(ALICE, 100_000)
    assert desk.exchange.engine.watch.cooling == {}
    before = desk.exchange.dump()
    assert desk.apply(Tick()) == [Ticked()]
    assert desk.exchange.dump() == before


@pytest.mark.parametrize("is_cross", [True, False])
@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("size", ["20", "75", "140"])
def test_price_that_users_are_shown_is_where_they_are_liquidated(
    size: str, side: str, is_cross: bool
) -> None:
    """A cent before it nothing happens, a cent beyond it something does; in every tier."""
    tiers = (MarginTier(0, 20), MarginTier(6_000 * USD, 10), MarginTier(10_000 * USD, 5))
    sol = AssetId(2)

    def opened() -> Desk:
        desk = Desk()
        desk.apply(ListMarket(Instrument(sol, "SOL", 2, 20, 100 * E8, tiers)))
        desk.send(ALICE, BOB, (10_000 - 25 * int(size)) * USD)
        for account in (BOB, CAROL, BACKSTOP):
            desk.credit(account, 100_000)
        for account in (ALICE, BOB, CAROL):
            chosen = account != ALICE or is_cross
            desk.apply(UpdateLeverage(*desk.head(account), sol, chosen, 5))
        desk.rest(BOB, order("sell" if side == "buy" else "buy", "100", size, asset=sol))
        desk.place(ALICE, order(side, "100", size, asset=sol))
        return desk

    universe = Universe(opened().exchange.instruments)
    view = AccountView(opened().state(ALICE), universe)
    (shown,) = summarize(view, universe, [1_000_000, 1_000_000, 1_000_000]).positions
    assert shown.liquidation_price is not None
    cents = shown.liquidation_price // 10 ** (PRICE_SCALE_DECIMALS - 2)
    before, beyond = (cents + 2, cents - 1) if side == "buy" else (cents - 1, cents + 2)
    safe, lost = opened(), opened()
    safe.rest(CAROL, order(side, f"{before / 100:.2f}", "200", asset=sol))
    lost.rest(CAROL, order(side, f"{beyond / 100:.2f}", "200", asset=sol))

    assert every(safe.move_oracle(f"{before / 100:.2f}", sol), Liquidated) == []
    assert every(lost.move_oracle(f"{beyond / 100:.2f}", sol), Liquidated) != []
