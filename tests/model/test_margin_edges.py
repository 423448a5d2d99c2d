"""Margin and liquidation where numbers are as small, as large, or as many as they get."""

from __future__ import annotations

from model.blocks import Entry, encode_entries
from model.commands import (
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    TopUpIsolatedMargin,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.events import CommandRefused, Liquidated, OrderPlaced, OrderRefused, Traded
from model.exchange import Exchange
from model.ids import AssetId
from model.instruments import Instrument
from model.invariants import check
from model.orders import LOTS_MAX, PRICE_E8_MAX
from model.refusals import Refusal
from model.transfers import CASH_MAX
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, BTC, ETH, START_MS, Desk, every, only, order

MARKETS = 300


def test_account_with_positions_everywhere_is_liquidated_at_once() -> None:
    """In all its markets, the same from a dump, and money is conserved."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    exchange.apply(OpenExchange(0, 0))
    exchange.apply(Credit(ALICE, 2_000 * USD, CreditSource.FUND))
    exchange.apply(Credit(BOB, 1_000_000 * USD, CreditSource.FUND))
    for number in range(MARKETS):
        asset = AssetId(number)
        exchange.apply(ListMarket(Instrument(asset, f"M{number}", 2, 20, 100 * E8)))
        for nonce, (signer, is_buy) in enumerate(((BOB, False), (ALICE, True))):
            spec = OrderSpec(asset, is_buy, 100 * E8, E8, Tif.GTC, False)
            head = (signer, START_MS + 2 * number + nonce, None, None)
            exchange.apply(PlaceOrders(*head, (spec,)))
    prices = tuple(OraclePrice(AssetId(number), 94 * E8) for number in range(MARKETS))

    events = exchange.apply(MoveOracle(prices))

    check(exchange)
    assert len(only(events, Liquidated).positions) == MARKETS
    assert only(events, Liquidated).account_value == 200 * USD
    assert len(every(events, Traded)) > 0


def test_smallest_position_at_the_largest_price() -> None:
    """One lot is worth more than anybody has: it is refused, and nothing overflows."""
    desk = Desk()
    desk.move_oracle(str(PRICE_E8_MAX // E8))

    refused = desk.place(ALICE, order("buy", str(PRICE_E8_MAX // E8), "0.01"))

    assert only(refused, OrderRefused).reason is Refusal.MARGIN_TOO_LOW


def test_largest_order_in_lots_is_refused_before_anything_is_computed_with_it() -> None:
    """Its value is beyond what a market takes."""
    desk = Desk()
    spec = OrderSpec(BTC, True, 100 * E8, LOTS_MAX * E8 // 100, Tif.GTC, False)

    refused = desk.apply(PlaceOrders(*desk.head(ALICE), (spec,)))

    assert only(refused, OrderRefused).reason is Refusal.NOTIONAL_TOO_LARGE


def test_smallest_notional_still_has_a_maintenance_margin() -> None:
    """A position of a hundredth of a cent is kept and closed like any other."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "0.1")
    desk.move_oracle("0.0001")

    assert desk.exchange.engine.markets[BTC].margins.maintenance(10) == 1
    desk.place(BOB, order("buy", "0.0001", "0.1", reduce_only=True))
    desk.place(ALICE, order("sell", "0.0001", "0.1", reduce_only=True, tif=Tif.IOC))
    assert desk.size(ALICE) == desk.size(BOB) == 0


def test_rise_beyond_what_can_be_written_is_refused() -> None:
    """The rich hold as much as they can; what happens next still fits the journal."""
    desk = Desk()
    for account in (ALICE, BOB):
        desk.apply(Credit(account, CASH_MAX - 10_000 * USD, CreditSource.FUND))
        desk.apply(UpdateLeverage(*desk.head(account), BTC, True, 40))
    for _ in range(20):
        desk.rest(BOB, order("sell", "100", "1500000"))
        desk.place(ALICE, order("buy", "100", "1500000"))

    refused = desk.move_oracle("1000000000")
    risen = desk.move_oracle("2300")
    command = desk.commands[-1]

    assert only(refused, CommandRefused).reason is Refusal.PRICE_INVALID
    assert every(risen, Liquidated)
    assert encode_entries((Entry(command, tuple(risen)),))
    assert Exchange.load(desk.exchange.dump()).digest() == desk.exchange.digest()


def test_amounts_of_64_bits_are_refused_and_not_computed_away() -> None:
    """Whichever sign."""
    desk = Desk()
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 10))
    desk.trade(ALICE, BOB, "100", "10")

    for usd, reason in (
        (2**63 - 1, Refusal.MARGIN_INCREASE_TOO_LARGE),
        (-(2**63), Refusal.MARGIN_REDUCTION_TOO_LARGE),
    ):
        events = desk.apply(UpdateIsolatedMargin(*desk.head(ALICE), BTC, usd))
        assert only(events, CommandRefused).reason is reason
    largest = desk.apply(TopUpIsolatedMargin(*desk.head(ALICE), BTC, 2**64 - 1))
    assert only(largest, CommandRefused).reason is Refusal.MARGIN_MOVE_ZERO


def test_account_worth_nothing_may_do_nothing_but_is_whole() -> None:
    """Its money is gone, and it may be funded again."""
    desk = Desk()
    desk.send(ALICE, BOB, 10_000 * USD)

    refused = desk.place(ALICE, order("buy", "10", "2", asset=ETH))
    desk.credit(ALICE, 100)

    assert only(refused, OrderRefused).reason is Refusal.MARGIN_TOO_LOW
    assert only(desk.place(ALICE, order("buy", "10", "2", asset=ETH)), OrderPlaced).lots == 20
