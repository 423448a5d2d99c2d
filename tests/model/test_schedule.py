"""Scheduled cancels: set, moved, taken back, and come true."""

from __future__ import annotations

from model.commands import ScheduleCancel, Tick
from model.events import (
    CancelReason,
    CancelScheduled,
    CommandRefused,
    Event,
    FundingPaid,
    OrderCanceled,
    PremiumSampled,
    Ticked,
)
from model.exchange import Exchange
from model.nonces import DAY_MS
from model.refusals import Refusal
from model.schedule import AHEAD_MIN_MS, FIRED_A_DAY_MAX
from tests.model.desk import ALICE, BOB, BTC, ETH, START_MS, Desk, order


def schedule(desk: Desk, at_ms: int | None) -> list[Event]:
    """Let Alice schedule a cancel."""
    return desk.apply(ScheduleCancel(*desk.head(ALICE), at_ms))


def tick(desk: Desk, at_ms: int) -> list[Event]:
    """Let it be so late; return what happened beside funding."""
    desk.block(at_ms)
    return beside_funding(desk.apply(Tick())) or [Ticked()]


def beside_funding(events: list[Event]) -> list[Event]:
    """Leave out the samples and payments that fall due at the same time."""
    return [event for event in events if not isinstance(event, PremiumSampled | FundingPaid)]


def test_all_orders_go_at_the_time_that_was_set() -> None:
    """Of all markets, with a reason of their own, and only those of the account."""
    desk = Desk()
    oids = [desk.rest(ALICE, order("buy", "99", "1")), desk.rest(ALICE, order("buy", "98", "1"))]
    oids.append(desk.rest(ALICE, order("buy", "9", "2", asset=ETH)))
    bobs = desk.rest(BOB, order("buy", "99", "1"))

    assert schedule(desk, START_MS + 6_000) == [CancelScheduled(ALICE, START_MS + 6_000)]
    assert tick(desk, START_MS + 5_999) == [Ticked()]
    assert tick(desk, START_MS + 6_000) == [
        CancelScheduled(ALICE, None),
        OrderCanceled(BTC, ALICE, oids[0], 100, CancelReason.SCHEDULED),
        OrderCanceled(BTC, ALICE, oids[1], 100, CancelReason.SCHEDULED),
        OrderCanceled(ETH, ALICE, oids[2], 20, CancelReason.SCHEDULED),
    ]
    assert desk.open_oids(BOB) == [bobs]
    assert tick(desk, START_MS + 7_000) == [Ticked()]


def test_last_word_counts() -> None:
    """A schedule is moved by another one and ended by none."""
    desk = Desk()
    schedule(desk, START_MS + 6_000)
    schedule(desk, START_MS + 9_000)

    assert tick(desk, START_MS + 8_000) == [Ticked()]
    assert schedule(desk, None) == [CancelScheduled(ALICE, None)]
    assert tick(desk, START_MS + 10_000) == [Ticked()]


def test_oracle_makes_time_pass_as_well() -> None:
    """A schedule comes true in the first command of the clock or of the oracle after its time."""
    desk = Desk()
    schedule(desk, START_MS + 6_000)
    desk.block(START_MS + 6_000)

    assert beside_funding(desk.move_oracle("100"))[1:] == [CancelScheduled(ALICE, None)]


def test_schedule_needs_some_time_ahead() -> None:
    """Five seconds are enough and a millisecond less is not."""
    desk = Desk()

    assert schedule(desk, START_MS + AHEAD_MIN_MS - 1) == [
        CommandRefused(ALICE, Refusal.SCHEDULE_TOO_SOON, (), True)
    ]
    assert schedule(desk, START_MS + AHEAD_MIN_MS) == [CancelScheduled(ALICE, START_MS + 5_000)]


def test_schedules_of_a_day_are_counted() -> None:
    """The eleventh of a day is refused; the next day counts anew."""
    desk = Desk()
    now = START_MS
    for _ in range(FIRED_A_DAY_MAX):
        schedule(desk, now + 5_000)
        now += 5_000
        tick(desk, now)

    refused = schedule(desk, now + 5_000)
    assert refused == [CommandRefused(ALICE, Refusal.SCHEDULES_AT_MAX, (10,), True)]
    tomorrow = (now // DAY_MS + 1) * DAY_MS
    assert schedule(desk, tomorrow) == [CancelScheduled(ALICE, tomorrow)]
    assert tick(desk, tomorrow) == [CancelScheduled(ALICE, None)]


def test_schedule_survives_a_snapshot() -> None:
    """Loaded, it comes true at the same time, and what was counted stays counted."""
    desk = Desk()
    schedule(desk, START_MS + 5_000)
    tick(desk, START_MS + 5_000)
    schedule(desk, START_MS + 20_000)
    data = desk.exchange.dump()

    desk.exchange = Exchange.load(data)

    assert desk.exchange.dump() == data
    assert desk.exchange.engine.accounts[ALICE].schedules_fired == 1
    assert tick(desk, START_MS + 20_000) == [CancelScheduled(ALICE, None)]
