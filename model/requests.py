"""Requests: how many an account may make, which its volume must earn.

Each account starts with what the exchange gives away, earns one more for every USD that it trades,
and may buy more. A batch counts as many as it has entries. Cancels have a larger limit, so that an
account that has used up its requests can still take its orders back. Beyond its limit an account is
heard once in ten seconds. An exchange that gives nothing away sets no limit and counts nothing.

A command that is turned away here has not happened at all: it has used up no nonce and need not be
kept, so a flood of them costs no journal.

Source: Hyperliquid API documentation, rate limits and user limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model.accounts import Account
from model.commands import (
    CancelOrders,
    CancelTwap,
    ModifyOrders,
    PlaceOrders,
    ReserveRequests,
    ScheduleCancel,
    SignedCommand,
)
from model.events import RequestsReserved
from model.margin import refresh, withdrawable
from model.refusals import Refusal
from model.state import RequestState
from model.transfers import Outcome
from model.units import USD

if TYPE_CHECKING:
    from model.matching import MatchingEngine

CANCELS_MORE: Final = 100_000
"""By how much the limit of cancels is larger, but it is at most twice the other."""

BEYOND_INTERVAL_MS: Final = 10_000
"""How often an account is heard that has used up its requests."""

EXPIRED_WEIGHT: Final = 5
"""How often a request counts that came too late by its own word."""

REQUEST_PRICE: Final = 500
"""Micro-USD for one request."""

RESERVED_MAX: Final = 10**9
"""Most requests that an account may have bought."""


def weight_of(command: SignedCommand) -> int:
    """Return how many requests a command counts as."""
    # A chain of isinstance() rather than a match over classes: half the time, for every command.
    if isinstance(command, PlaceOrders):
        return len(command.orders) or 1
    if isinstance(command, CancelOrders):
        return len(command.cancels) or 1
    if isinstance(command, ModifyOrders):
        return len(command.modifies) or 1
    return 1


def allowance(account: Account, free: int) -> int:
    """Return how many requests an account may make in all."""
    return free + account.volume // USD + account.reserved


def refusal_detail(
    account: Account, command: SignedCommand, free: int, time_ms: int
) -> tuple[int, int, int] | None:
    """Say with which numbers a command is turned away, or ``None`` if it is heard."""
    asked = account.requests + weight_of(command)
    if asked <= allowance(account, free):
        return None
    limit = _limit(account, command, free)
    if asked <= limit or time_ms >= account.beyond_ms + BEYOND_INTERVAL_MS:
        return None
    return asked, limit, account.volume // USD


def count(
    account: Account, command: SignedCommand, free: int, time_ms: int, *, is_expired: bool
) -> None:
    """Count a command that was heard."""
    weight = weight_of(command)
    asked = account.requests + weight
    if asked > allowance(account, free) and asked > _limit(account, command, free):
        account.beyond_ms = time_ms
    account.requests += weight * (EXPIRED_WEIGHT if is_expired else 1)


def _limit(account: Account, command: SignedCommand, free: int) -> int:
    limit = allowance(account, free)
    if isinstance(command, CancelOrders | CancelTwap | ScheduleCancel):
        return min(limit + CANCELS_MORE, 2 * limit)
    return limit


def reserve(engine: MatchingEngine, account: Account, command: ReserveRequests) -> Outcome:
    """Sell an account requests beyond its allowance."""
    usd = command.requests * REQUEST_PRICE
    if not 0 < command.requests <= RESERVED_MAX - account.reserved:
        return Refusal.RESERVATION_INVALID
    if account.epoch != engine.epoch:
        refresh(account, engine.markets, engine.epoch)
    if usd > withdrawable(account, engine.markets):
        return Refusal.TRANSFER_TOO_LARGE
    account.pay(-usd)
    engine.fees += usd
    account.reserved += command.requests
    return [RequestsReserved(account.address, command.requests, usd)]


def to_state(account: Account, free: int) -> RequestState:
    """Return an account's requests as a plain value."""
    allowed = allowance(account, free) if free else 0
    return RequestState(account.requests, allowed, account.reserved)
