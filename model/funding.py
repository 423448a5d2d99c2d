"""Funding: what longs pay shorts, or shorts longs, to keep the perpetual near its oracle price.

The premium of each market is sampled every SAMPLE_MS of the UTC clock, and each hour the average of
the samples makes the rate that is paid (``model.premiums``). A position pays its size times the
oracle price times the rate: a cross one from the account's cash, an isolated one from its own.
Payers' amounts are rounded up and receivers' down; the difference goes to the insurance fund.

If the exchange stood still for several hours, the first command after it pays once.

Source: Hyperliquid documentation, funding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model.events import Event, FundingPaid, FundingPayment, PremiumSampled
from model.ids import Address
from model.markets import Market
from model.premiums import impact_price, premium_of
from model.units import RATE_SCALE

if TYPE_CHECKING:
    from model.accounts import Position
    from model.matching import MatchingEngine

SAMPLE_MS: Final = 5_000
PAYMENT_MS: Final = 3_600_000
"""Time between two samples and between two payments; both fall on whole multiples of theirs."""


def next_multiple(time_ms: int, period_ms: int) -> int:
    """Return the first multiple of a period after a time."""
    return (time_ms // period_ms + 1) * period_ms


def start(engine: MatchingEngine) -> None:
    """Set the first sample and payment of an exchange that opens now."""
    engine.next_sample_ms = next_multiple(engine.time_ms, SAMPLE_MS)
    engine.next_payment_ms = next_multiple(engine.time_ms, PAYMENT_MS)


def run_due(engine: MatchingEngine, events: list[Event]) -> None:
    """Pay the hour that is over, if one is, then take the samples that are due."""
    if not engine.markets:
        return
    if engine.time_ms >= engine.next_payment_ms:
        engine.next_payment_ms = next_multiple(engine.time_ms, PAYMENT_MS)
        events.extend(_pay(engine, market) for market in engine.markets)
    if engine.time_ms >= engine.next_sample_ms:
        engine.next_sample_ms = next_multiple(engine.time_ms, SAMPLE_MS)
        events.extend(_sample(market) for market in engine.markets)


def _sample(market: Market) -> PremiumSampled:
    notional = market.instrument.impact_notional
    premium = premium_of(
        market.oracle, impact_price(market.bids, notional), impact_price(market.asks, notional)
    )
    market.premiums.sample(premium)
    return PremiumSampled(market.instrument.asset, premium, market.premiums.rate)


def _pay(engine: MatchingEngine, market: Market) -> FundingPaid:
    premium, rate = market.premiums.settle()
    payments = [
        _pay_position(engine, market, address, position, rate)
        for address, position in sorted(market.holders.items())
    ]
    engine.insurance -= sum(payment.usd for payment in payments)
    return FundingPaid(market.instrument.asset, rate, premium, market.oracle, tuple(payments))


def _pay_position(
    engine: MatchingEngine, market: Market, address: Address, position: Position, rate: int
) -> FundingPayment:
    usd = -(position.size * market.oracle * rate) // RATE_SCALE
    position.pay_funding(-usd)
    account = engine.accounts[address]
    if position.is_cross:
        account.pay(usd)
    else:
        position.isolated_usd += usd
        account.touched.add(address)
    return FundingPayment(address, position.size, usd, position.is_cross)
