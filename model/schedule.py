"""Scheduled cancels: a dead man's switch that cancels all orders of an account at a set time.

Source: Hyperliquid API documentation, exchange endpoint, schedule cancel. Its condition on traded
volume is left out.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from model.accounts import Account
from model.events import CancelReason, CancelScheduled, Event
from model.nonces import DAY_MS
from model.refusals import Refusal

if TYPE_CHECKING:
    from model.matching import MatchingEngine

AHEAD_MIN_MS: Final = 5_000
"""How far ahead a cancel is scheduled at least."""

FIRED_A_DAY_MAX: Final = 10
"""How often an account's schedule may come true in one UTC day."""


def set_cancel(
    engine: MatchingEngine, account: Account, at_ms: int | None
) -> list[Event] | Refusal | tuple[Refusal, tuple[int, ...]]:
    """Schedule the cancel of all orders, move it, or take it back with ``None``."""
    if at_ms is not None:
        if at_ms < engine.time_ms + AHEAD_MIN_MS:
            return Refusal.SCHEDULE_TOO_SOON
        if fired_on(account, at_ms // DAY_MS) >= FIRED_A_DAY_MAX:
            return Refusal.SCHEDULES_AT_MAX, (FIRED_A_DAY_MAX,)
    _enter(engine, account, at_ms)
    return [CancelScheduled(account.address, at_ms)]


def fired_on(account: Account, day: int) -> int:
    """Return how often an account's schedule came true on a day, counted from 1970."""
    return account.schedules_fired if account.schedules_day == day else 0


def run_due(engine: MatchingEngine, events: list[Event]) -> None:
    """Cancel the orders of all accounts whose time has come; an account's schedule is then over."""
    scheduled = engine.scheduled
    while scheduled and scheduled[0][0] <= engine.time_ms:
        account = engine.accounts[scheduled[0][1]]
        _enter(engine, account, None)
        day = engine.time_ms // DAY_MS
        account.schedules_fired = fired_on(account, day) + 1
        account.schedules_day = day
        events.append(CancelScheduled(account.address, None))
        engine.cancel_all(account, CancelReason.SCHEDULED, events)


def _enter(engine: MatchingEngine, account: Account, at_ms: int | None) -> None:
    """Change an account's schedule and the engine's sorted list of them."""
    scheduled = engine.scheduled
    if account.cancel_at_ms is not None:
        entry = (account.cancel_at_ms, account.address)
        del scheduled[bisect_left(scheduled, entry)]
    account.cancel_at_ms = at_ms
    if at_ms is not None:
        insort(scheduled, (at_ms, account.address))
