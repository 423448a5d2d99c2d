"""Spot pairs: balances, holds, matching, fees."""

from __future__ import annotations

import pytest

from model.commands import OpenExchange, Tif, TriggerSpec
from model.events import (
    CancelReason,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
)
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, USDC, AssetId
from model.refusals import Refusal
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, CAROL, START_MS, cloid, every, only, order
from tests.model.spot_desk import PAIR, PURR, SpotDesk


def test_trade_moves_tokens_one_way_and_usdc_the_other() -> None:
    """Each side gets what the other gives, less its fee in the token that it receives."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))

    traded = only(desk.place(ALICE, order("buy", "2.1", "100", asset=PAIR)), Traded)

    assert (traded.price, traded.lots, traded.taker_is_buy) == (2_000_000, 10_000, True)
    assert desk.total(ALICE, PURR) == 100 * E8 - 100 * E8 * 700 // 10**6
    assert desk.total(ALICE) == 800 * E8
    assert desk.total(BOB) == 200 * E8 - 200 * E8 * 400 // 10**6
    assert desk.total(BOB, PURR) == 900 * E8
    assert (traded.taker.fee, traded.maker.fee) == (7_000_000, 8_000_000)
    assert desk.exchange.engine.token_fees == [8_000_000, 7_000_000]


def test_perpetuals_cash_is_untouched_by_spot_trades() -> None:
    """The two classes of an account are apart."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "100", asset=PAIR))

    assert desk.state(ALICE).cash == 9_000 * USD
    assert desk.state(BOB).cash == 10_000 * USD
    assert desk.exchange.engine.fees == 0


@pytest.mark.parametrize("size", ["10", "33.33", "99.99"])
def test_resting_buy_holds_what_it_may_pay(size: str) -> None:
    """The limit price times what is left, and nothing once the order is gone."""
    desk = SpotDesk()
    oid = desk.rest(ALICE, order("buy", "1.5", size, asset=PAIR))
    held = desk.balance(ALICE).hold_e8

    desk.cancel(ALICE, oid, asset=PAIR)

    assert held == round(float(size) * 1.5 * E8)
    assert desk.balance(ALICE).hold_e8 == 0


def test_partly_filled_sell_holds_what_is_left() -> None:
    """A trade frees what it takes."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "30", asset=PAIR))

    assert desk.balance(BOB, PURR).hold_e8 == 70 * E8
    assert desk.balance(BOB, PURR).total_e8 == 970 * E8


def test_what_is_held_cannot_be_spent_again() -> None:
    """Orders, sends and class transfers see only what is free."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "1000", asset=PAIR))

    refused = desk.place(BOB, order("sell", "3", "10", asset=PAIR))
    sent = desk.send_token(BOB, CAROL, "0.00000001")

    assert only(refused, OrderRefused).reason is Refusal.SPOT_BALANCE_TOO_LOW
    assert sent[0].reason is Refusal.TRANSFER_TOO_LARGE  # type: ignore[union-attr]


def test_better_price_leaves_the_taker_more() -> None:
    """A buy that matches below its limit pays what it found."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "1.9", "10", asset=PAIR))
    desk.rest(BOB, order("sell", "2", "10", asset=PAIR))

    events = desk.place(ALICE, order("buy", "5", "15", asset=PAIR))

    assert [trade.price for trade in every(events, Traded)] == [1_900_000, 2_000_000]
    assert desk.total(ALICE) == 1_000 * E8 - 19 * E8 - 10 * E8


def test_immediate_order_drops_what_it_cannot_fill() -> None:
    """Its rest is cancelled and nothing stays held."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "10", asset=PAIR))

    events = desk.place(ALICE, order("buy", "2", "15", asset=PAIR, tif=Tif.IOC))

    assert only(events, OrderCanceled).reason is CancelReason.IOC_REMAINDER
    assert desk.balance(ALICE).hold_e8 == 0


def test_own_resting_order_makes_way() -> None:
    """Nobody trades with himself; what the cancelled order held is free again."""
    desk = SpotDesk()
    desk.credit_token(ALICE, PURR, "50")
    desk.rest(ALICE, order("sell", "2", "50", asset=PAIR))

    events = desk.place(ALICE, order("buy", "2", "10", asset=PAIR))

    assert only(events, OrderCanceled).reason is CancelReason.SELF_TRADE
    assert desk.balance(ALICE, PURR).hold_e8 == 0
    assert desk.balance(ALICE).hold_e8 == 20 * E8


def test_client_ids_are_shared_with_perpetuals() -> None:
    """One account cannot use a client id in two markets at once; a cancel finds it by asset."""
    desk = SpotDesk()
    desk.rest(ALICE, order("buy", "1.5", "10", asset=PAIR, cloid=cloid(5)))

    refused = desk.place(ALICE, order("buy", "99", "1", cloid=cloid(5)))
    desk.cancel(ALICE, cloid(5), asset=PAIR)

    assert only(refused, OrderRefused).reason is Refusal.CLOID_IN_USE
    assert desk.open_oids(ALICE) == []


def test_modified_order_may_use_what_the_old_one_held() -> None:
    """The old order goes first, so the whole balance is there for the new one."""
    desk = SpotDesk()
    oid = desk.rest(BOB, order("sell", "2", "1000", asset=PAIR))

    events = desk.modify(BOB, oid, order("sell", "2.5", "1000", asset=PAIR))

    assert only(events, OrderPlaced).price == 2_500_000
    assert desk.balance(BOB, PURR).hold_e8 == 1_000 * E8


def test_profit_is_what_was_got_beyond_what_was_paid() -> None:
    """A sale takes its proportion of the cost along."""
    desk = SpotDesk(OpenExchange(0, 0))
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "100", asset=PAIR))
    assert desk.balance(ALICE, PURR).entry_e8 == 200 * E8
    desk.to_spot(CAROL, 1_000 * USD)
    desk.rest(CAROL, order("buy", "2.5", "40", asset=PAIR))

    traded = only(desk.place(ALICE, order("sell", "2.5", "40", asset=PAIR)), Traded)

    assert traded.taker.closed_pnl == 20 * USD
    assert traded.taker.start_position == 10_000
    assert desk.balance(ALICE, PURR).entry_e8 == 120 * E8


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("0.4", Refusal.PRICE_TOO_FAR),
        ("0.400001", Refusal.PRICE_OFF_GRID),
        ("0.40001", None),
        ("10", None),
        ("10.001", Refusal.PRICE_TOO_FAR),
        ("2.00001", Refusal.PRICE_OFF_GRID),
    ],
)
def test_band_is_a_fifth_to_five_times_the_last_price(price: str, reason: Refusal | None) -> None:
    """Above a fifth and up to five times what was last paid (measured on the live exchange)."""
    desk = SpotDesk()

    event = desk.place(ALICE, order("buy", price, "50", asset=PAIR))[0]

    assert getattr(event, "reason", None) is reason


def test_last_trade_moves_the_band() -> None:
    """What was too far may be near after a trade."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "10", "10", asset=PAIR))
    desk.place(ALICE, order("buy", "10", "10", asset=PAIR))

    assert desk.exchange.market_state(PAIR).mark == 10_000_000
    assert desk.rest(BOB, order("sell", "50", "10", asset=PAIR))


@pytest.mark.parametrize(
    "spec",
    [
        order("buy", "2", "10", asset=PAIR, reduce_only=True),
        order("buy", "2", "10", asset=PAIR, trigger=TriggerSpec(2 * E8, True, True)),
    ],
)
def test_spot_has_neither_reduce_only_nor_triggers(spec: object) -> None:
    """There is no position that they could be about."""
    desk = SpotDesk()

    refused = only(desk.place(ALICE, spec), OrderRefused)  # type: ignore[arg-type]

    assert refused.reason is Refusal.SPOT_PLAIN_ONLY


def test_unknown_pair_is_refused() -> None:
    """Ids beyond the last pair are nobody's."""
    desk = SpotDesk()

    refused = desk.place(ALICE, order("buy", "2", "10", asset=AssetId(SPOT_ASSETS_FROM + 1)))

    assert only(refused, OrderRefused).reason is Refusal.ASSET_UNKNOWN


def test_spot_state_survives_a_snapshot() -> None:
    """Books, holds, balances and supply are as before, to the byte."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "30", asset=PAIR, cloid=cloid(1)))
    desk.rest(ALICE, order("buy", "1.9", "10", asset=PAIR, cloid=cloid(2)))

    again = Exchange.load(desk.exchange.dump())

    assert again.dump() == desk.exchange.dump()
    assert again.account_state(ALICE) == desk.exchange.account_state(ALICE)
    assert again.account_state(BOB) == desk.exchange.account_state(BOB)
    assert again.market_state(PAIR) == desk.exchange.market_state(PAIR)


def test_smallest_trade_costs_a_whole_unit_of_fee() -> None:
    """A fee too small for a unit of 1e-8 is one unit."""
    desk = SpotDesk(OpenExchange(0, 0, 1, 1))
    desk.rest(BOB, order("sell", "9.99", "1.01", asset=PAIR))

    traded = only(desk.place(ALICE, order("buy", "9.99", "1.01", asset=PAIR)), Traded)

    assert (traded.taker.fee, traded.maker.fee) == (101, 1009)


def test_spot_volume_counts_double() -> None:
    """The fee tier sees twice the value of a spot trade, the account's own volume once."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "100", asset=PAIR))

    desk.block(START_MS + 86_400_000)

    fees = desk.state(ALICE).fees
    assert fees is not None
    assert fees.volume_14d == 400 * USD
    assert desk.state(ALICE).volume == 200 * USD


def test_supply_of_usdc_is_what_was_moved_into_spot() -> None:
    """Nothing but transfers changes it."""
    desk = SpotDesk()
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    desk.place(ALICE, order("buy", "2", "100", asset=PAIR))

    assert desk.exchange.engine.supply == [1_000 * E8, 1_000 * E8]
    assert desk.exchange.engine.token_fees[USDC] > 0
