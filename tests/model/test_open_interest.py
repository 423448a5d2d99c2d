"""The cap of open interest: what it refuses, what it cuts short, and what it lets pass."""

from __future__ import annotations

from model.commands import ListMarket, Tif
from model.events import CancelReason, OrderCanceled, OrderRefused, Traded
from model.ids import AssetId
from model.instruments import Instrument
from model.refusals import Refusal
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, CAROL, Desk, every, only, order

SOL = AssetId(2)
"""Mark 100 USD, lots of 0.01, open interest up to 1,000 USD."""


def capped() -> Desk:
    """Return a desk with one more market."""
    desk = Desk()
    desk.apply(ListMarket(Instrument(SOL, "SOL", 2, 20, 100 * E8, open_interest_max=1_000 * USD)))
    return desk


def full() -> Desk:
    """Return a desk whose market is full: Alice is long and Bob short."""
    desk = capped()
    desk.rest(BOB, order("sell", "100", "10", asset=SOL))
    desk.place(ALICE, order("buy", "100", "10", asset=SOL))
    assert desk.exchange.market_state(SOL).open_interest == 1000
    return desk


def test_full_market_takes_no_order_that_opens() -> None:
    """On neither side, whatever its time in force; nor one that turns a position round."""
    desk = full()
    for spec in (
        order("buy", "99", "1", asset=SOL),
        order("sell", "101", "1", asset=SOL, tif=Tif.ALO),
        order("sell", "101", "1", asset=SOL, tif=Tif.IOC),
    ):
        refused = only(desk.place(CAROL, spec), OrderRefused)
        assert refused.reason is Refusal.OPEN_INTEREST_AT_CAP
    turned = only(desk.place(ALICE, order("sell", "101", "21", asset=SOL)), OrderRefused)
    assert turned.reason is Refusal.OPEN_INTEREST_FLIP_AT_CAP


def test_full_market_takes_orders_that_reduce() -> None:
    """And then there is room again."""
    desk = full()
    desk.rest(BOB, order("buy", "100", "1", asset=SOL))
    events = desk.place(ALICE, order("sell", "100", "1", asset=SOL, reduce_only=True))

    assert only(events, Traded).lots == 100
    desk.rest(CAROL, order("buy", "99", "1", asset=SOL))


def test_position_may_change_hands_in_a_full_market() -> None:
    """A resting order that opens may meet one that closes: open interest stays."""
    desk = capped()
    desk.rest(CAROL, order("buy", "99", "5", asset=SOL))
    desk.rest(BOB, order("sell", "100", "10", asset=SOL))
    desk.place(ALICE, order("buy", "100", "10", asset=SOL))

    events = desk.place(ALICE, order("sell", "99", "5", asset=SOL))
    assert only(events, Traded).lots == 500
    assert desk.exchange.market_state(SOL).open_interest == 1000


def test_order_is_cut_short_where_the_cap_is() -> None:
    """It trades as long as there is room; the order it met next stays in the book."""
    desk = capped()
    desk.rest(BOB, order("sell", "100", "6", asset=SOL))
    left = desk.rest(CAROL, order("sell", "100", "6", asset=SOL))

    events = desk.place(ALICE, order("buy", "100", "12", asset=SOL))
    assert [event.lots for event in every(events, Traded)] == [600]
    cut = only(events, OrderCanceled)
    assert (cut.account, cut.remaining, cut.reason) == (ALICE, 600, CancelReason.OPEN_INTEREST)
    assert [resting.oid for resting in desk.exchange.market_state(SOL).asks] == [left]
    assert desk.exchange.market_state(SOL).bids == ()
