"""Answers about what happened to an account's money: fills, funding, ledger."""

from __future__ import annotations

from api.gateway import Gateway
from api.info.questions import Question, flag, span_of, user_of
from api.wire import fills, funding, ledger
from api.wire.frames import encode


async def user_fills(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userFills``: newest first."""
    by_time, universe = flag(question, "aggregateByTime"), gateway.directory.universe
    return await gateway.read_account(
        user_of(question),
        lambda view: encode(fills.fills(list(view.fills)[::-1], universe, by_time=by_time)),
    )


async def user_fills_by_time(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userFillsByTime``: oldest first unless reversed."""
    start, end = span_of(question, start_required=True)
    by_time, newest_first = flag(question, "aggregateByTime"), flag(question, "reversed")
    user = user_of(question)
    found = await gateway.read_history(
        lambda reader: reader.fills_of(user, start_ms=start, end_ms=end, newest_first=newest_first)
    )
    return encode(fills.fills(found, gateway.directory.universe, by_time=by_time))


async def slice_fills(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userTwapSliceFills``: newest first."""
    user = user_of(question)
    found = await gateway.read_history(lambda reader: reader.fills_of(user, slices_only=True))
    return encode(fills.slice_fills(found, gateway.directory.universe))


async def slice_fills_by_time(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userTwapSliceFillsByTime``: oldest first."""
    start, end = span_of(question, start_required=True)
    user = user_of(question)
    found = await gateway.read_history(
        lambda reader: reader.fills_of(
            user, start_ms=start, end_ms=end, newest_first=False, slices_only=True
        )
    )
    return encode(fills.slice_fills(found, gateway.directory.universe))


async def user_funding(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userFunding``: the oldest of the span."""
    start, end = span_of(question, start_required=False)
    user = user_of(question)
    found = await gateway.read_history(
        lambda reader: reader.fundings_of(user, start_ms=start, end_ms=end)
    )
    return encode(funding.user_funding(found, gateway.directory.universe))


async def ledger_updates(gateway: Gateway, question: Question) -> bytes:
    """Answer ``userNonFundingLedgerUpdates``: the oldest of the span."""
    start, end = span_of(question, start_required=False)
    user = user_of(question)
    found = await gateway.read_history(
        lambda reader: reader.ledger_of(user, start_ms=start, end_ms=end)
    )
    return encode(ledger.ledger_updates(found, gateway.directory.universe))
