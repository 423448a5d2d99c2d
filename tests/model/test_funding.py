"""Funding: premiums, rates, and who pays whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.commands import OpenExchange, Tick, UpdateLeverage
from model.events import Event, FundingPaid, PremiumSampled, Ticked
from model.exchange import Exchange
from model.funding import PAYMENT_MS, SAMPLE_MS
from model.marks import FINE
from model.premiums import (
    RATE_MAX,
    Premiums,
    hourly_rate,
    impact_price,
    premium_of,
)
from model.units import RATE_SCALE, USD
from tests.model.desk import ALICE, BOB, BTC, CAROL, ETH, START_MS, Desk, every, order


def tick(desk: Desk, at_ms: int) -> list[Event]:
    """Let it be so late."""
    desk.block(at_ms)
    return desk.apply(Tick())


def next_hour(desk: Desk) -> int:
    """Return when funding is paid next."""
    return desk.exchange.engine.next_payment_ms


# ---- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("premium", "hourly"),
    [
        ("0", "0.0000125"),
        ("0.0006", "0.0000125"),
        ("-0.0004", "0.0000125"),
        ("0.0010", "0.0000625"),
        ("-0.0010", "-0.0000625"),
        ("0.5", "0.04"),
        ("-0.5", "-0.04"),
    ],
)
def test_rate_of_a_premium(premium: str, hourly: str) -> None:
    """0.0000125 an hour at no premium; beyond the clamp the premium pulls it along, up to 4 %.

    Source: Hyperliquid documentation, funding; 0.0000125 is what its API shows for quiet markets.
    """
    assert hourly_rate(scaled(premium)) == scaled(hourly)


def scaled(text: str) -> int:
    """Return a decimal text as an integer of 1 / RATE_SCALE."""
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.lstrip("-").partition(".")
    return sign * (int(whole) * RATE_SCALE + int(fraction.ljust(10, "0") or "0"))


@given(st.integers(-RATE_SCALE, RATE_SCALE), st.integers(-RATE_SCALE, RATE_SCALE))
def test_rate_never_falls_with_the_premium(one: int, other: int) -> None:
    """And it stays within its cap."""
    low, high = hourly_rate(min(one, other)), hourly_rate(max(one, other))
    assert -RATE_MAX <= low <= high <= RATE_MAX


def test_premium_is_how_far_the_book_would_pay_beyond_the_oracle() -> None:
    """Bids above it, asks below it; a spread round it is no premium."""
    assert premium_of(1_000, 1_010 * FINE, 1_020 * FINE) == RATE_SCALE // 100
    assert premium_of(1_000, 980 * FINE, 990 * FINE) == -RATE_SCALE // 100
    assert premium_of(1_000, 990 * FINE, 1_010 * FINE) == 0
    assert premium_of(1_000, None, None) == 0


def test_impact_price_is_the_average_of_what_the_notional_takes() -> None:
    """The last order counts in part; a book that is too thin has none."""
    desk = Desk()
    desk.rest(ALICE, order("sell", "100", "10"))
    desk.rest(ALICE, order("sell", "125", "16"))
    asks = desk.exchange.engine.markets[BTC].asks

    assert impact_price(asks, 1_000 * USD) == 100 * 10_000 * FINE
    # 2,000 USD buy 10 at 100 and 8 at 125: 111.11 each.
    assert impact_price(asks, 2_000 * USD) == 2_000 * 10_000 * FINE // 18
    assert impact_price(asks, 3_001 * USD) is None


def test_average_of_samples_makes_the_rate() -> None:
    """Until the hour is over."""
    premiums = Premiums()
    for premium in (0, scaled("0.004")):
        premiums.sample(premium)

    assert premiums.premium == scaled("0.004")
    assert premiums.rate == hourly_rate(scaled("0.002"))
    assert premiums.settle() == (scaled("0.002"), hourly_rate(scaled("0.002")))
    assert premiums.average() == 0


# ---- in the exchange ---------------------------------------------------------------------------


def test_samples_are_taken_every_five_seconds_of_the_clock() -> None:
    """In all markets, once however late the clock is."""
    desk = Desk()
    assert tick(desk, START_MS + SAMPLE_MS - 1) == [Ticked()]
    sampled = tick(desk, START_MS + SAMPLE_MS)
    assert sampled == [PremiumSampled(BTC, 0, 125_000), PremiumSampled(ETH, 0, 125_000)]
    assert tick(desk, START_MS + SAMPLE_MS + 1) == [Ticked()]
    assert len(tick(desk, START_MS + 10 * SAMPLE_MS)) == 2


def test_longs_pay_shorts_at_the_oracle_price_each_hour() -> None:
    """1,000 USD at 0.00125 % are 0.0125 USD; the cash moves and the entry price does not."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "10")
    before = desk.state(ALICE)

    paid = every(tick(desk, next_hour(desk)), FundingPaid)

    assert [event.asset for event in paid] == [BTC, ETH]
    assert (paid[0].rate, paid[0].oracle) == (125_000, 1_000_000)
    assert [(one.account, one.size, one.usd) for one in paid[0].payments] == [
        (ALICE, 1_000, -12_500),
        (BOB, -1_000, 12_500),
    ]
    after = desk.state(ALICE)
    assert after.cash - before.cash == -12_500
    assert after.positions[0].entry_notional == before.positions[0].entry_notional
    assert after.positions[0].funding_paid == (12_500, 12_500, 12_500)
    assert paid[1].payments == ()


def test_rounding_is_left_to_the_insurance_fund() -> None:
    """Payers pay up, receivers get down, and nothing is lost."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "0.33")
    desk.trade(ALICE, CAROL, "100", "0.35")

    (paid, _) = every(tick(desk, next_hour(desk)), FundingPaid)

    assert [one.usd for one in paid.payments] == [-850, 412, 437]
    assert desk.exchange.engine.insurance == 1


def test_isolated_positions_pay_out_of_their_own() -> None:
    """The pool is not touched."""
    desk = Desk()
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 10))
    desk.trade(ALICE, BOB, "100", "10")
    before = desk.state(ALICE)

    (paid, _) = every(tick(desk, next_hour(desk)), FundingPaid)

    after = desk.state(ALICE)
    assert [one.is_cross for one in paid.payments] == [False, True]
    assert after.cash == before.cash
    assert after.positions[0].isolated_usd == before.positions[0].isolated_usd - 12_500


def test_hours_that_nobody_lived_are_not_paid() -> None:
    """One payment after a pause, and the next at the next full hour."""
    desk = Desk()
    paid = every(tick(desk, next_hour(desk) + 5 * PAYMENT_MS + 7), FundingPaid)

    assert len(paid) == 2
    assert next_hour(desk) % PAYMENT_MS == 0
    assert next_hour(desk) - desk.exchange.time_ms == PAYMENT_MS - 7


def test_what_was_paid_is_counted_since_opening_and_since_the_last_change() -> None:
    """A trade begins the one anew, a flat position both."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "10")
    tick(desk, next_hour(desk))
    desk.trade(ALICE, BOB, "100", "10")
    position = desk.position(ALICE)
    assert position is not None
    assert position.funding_paid == (12_500, 12_500, 0)

    desk.trade(BOB, ALICE, "100", "20")
    position = desk.position(ALICE)
    assert position is not None
    assert (position.size, position.funding_paid) == (0, (12_500, 0, 0))
    assert Exchange.load(desk.exchange.dump()).account_state(ALICE) == desk.state(ALICE)


def test_funding_survives_a_snapshot() -> None:
    """The samples of the hour so far are kept."""
    desk = Desk()
    desk.rest(ALICE, order("buy", "101", "100"))
    tick(desk, START_MS + SAMPLE_MS)
    loaded = Exchange.load(desk.exchange.dump())
    at = next_hour(desk)
    tick(desk, at)

    loaded.begin_block(loaded.height + 1, at)
    loaded.apply(Tick())

    assert loaded.digest() == desk.exchange.digest()
    assert loaded.market_state(BTC).premium == RATE_SCALE // 100


def test_exchange_without_markets_has_nothing_due() -> None:
    """A tick that does nothing changes nothing, however late it is."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    exchange.apply(OpenExchange(0, 0))
    exchange.begin_block(2, START_MS + 2 * PAYMENT_MS)
    before = exchange.dump()

    assert exchange.apply(Tick()) == [Ticked()]
    assert exchange.dump() == before
