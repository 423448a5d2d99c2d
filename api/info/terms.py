"""Answers about the terms that an account trades under: fees, requests, referrals, liquidation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from api.gateway import Gateway
from api.info.questions import Question, user_of
from api.wire import terms
from api.wire.frames import encode
from model.ids import Address
from model.state import AccountState

FEE_DAYS: Final = 15
"""Days of volume that the fee answer lists: today and the fortnight before it."""


async def user_fees(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userFees``."""
    user, directory = user_of(question), gateway.directory
    state = await _state(gateway, user)
    days = await gateway.read_history(
        lambda reader: reader.volume_by_day(user, until_ms=directory.time_ms, days=FEE_DAYS)
    )
    shown = [
        terms.day_volume(_date(day.day_ms), taker=day.taker, maker=day.maker, exchange=day.exchange)
        for day in days
    ]
    fees = None if state is None else state.fees
    return encode(terms.user_fees(shown, directory.terms, fees))


async def user_rate_limit(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userRateLimit``."""
    state = await _state(gateway, user_of(question))
    if state is None:
        return encode(terms.user_rate_limit(volume=0, requests=None))
    return encode(terms.user_rate_limit(volume=state.volume, requests=state.requests))


async def referral(gateway: Gateway, question: Question) -> bytes:
    """Answer ``referral``."""
    return await gateway.read_account(
        user_of(question), lambda view: encode(terms.referral(view.volume))
    )


def liquidatable(_: Gateway, __: Question) -> bytes:
    """Answer ``liquidatable``: nobody, since liquidation is part of the command that causes it."""
    return b"[]"


async def _state(gateway: Gateway, user: Address) -> AccountState | None:
    """Return an account as the exchange has it; None of a stranger, who must cost nothing."""
    if user not in gateway.directory.accounts:
        return None
    return (await gateway.source.account(user)).state


def _date(day_ms: int) -> str:
    return datetime.fromtimestamp(day_ms // 1000, UTC).date().isoformat()
