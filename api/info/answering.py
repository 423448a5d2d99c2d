"""``POST /info``: every question that is answered, in one table.

A question names its ``type``; the table says what else it must hold and who answers. Unknown keys
are ignored, null is absence, and an address may be in any letter case. What is unknown or
ill-formed is answered with 422 and the text that clients of Hyperliquid know.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
import trio

from actors.errors import SourceError
from actors.history_queries import HistoryReader
from api.exchange.errors import MalformedBodyError, not_a_request, not_json
from api.framing import mids
from api.gateway import Gateway
from api.subscriptions import (
    INTERVALS,
    InvalidSubscriptionError,
    MalformedMessageError,
    read_aggregation,
)
from api.wire import account, fills, ledger, market, metadata, orders, terms
from api.wire.frames import encode
from api.wire.overview import paid_in
from model.ids import Address, Cloid, OrderId
from model.instruments import Instrument
from model.views.account import AccountView
from model.views.records import OrderRecord
from model.views.summary import asset_summary, summarize
from supervision import SupervisionError

QUESTION_BYTES_MAX: Final = 64 * 1024
"""Longest question; the longest useful one is a few hundred bytes."""
ANSWER_SECONDS_MAX: Final = 8.0
"""How long an answer may take, a view that is being rebuilt included; clients wait ten seconds."""
RECENT_TRADES_MAX: Final = 30
MONTH_DAYS: Final = 30
PERIOD_DAYS: Final = (1, 7, MONTH_DAYS)
"""Days of volume in the day, week and month of a portfolio, today included."""
FEE_DAYS: Final = 15
"""Days of volume that the fee answer lists: today and the fortnight before it."""

ResultT = TypeVar("ResultT")
Question = dict[str, Any]
Answer = Callable[["Info", Question], Awaitable[bytes]]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}", re.ASCII)
_TIME_MS_MAX: Final = 2**53 - 1
_decoder = msgspec.json.Decoder(dict[str, Any])


class Info:
    """Answers questions about a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._accounts = gateway.wires.accounts

    async def answer(self, body: bytes) -> bytes:
        """Return the JSON answer to the body of a request.

        Raises:
            MalformedBodyError: it is not a question that is answered here.
        """
        return (await self._answer(body))[1]

    async def answer_post(self, body: bytes) -> tuple[str, bytes]:
        """Return the type of a question and its JSON answer; errors as in ``answer``."""
        return await self._answer(body)

    async def _answer(self, body: bytes) -> tuple[str, bytes]:
        telemetry = self.gateway.telemetry
        try:
            question = _read(body)
            kind = question.get("type")
            fixed = metadata.FIXED_ANSWERS.get(kind) if isinstance(kind, str) else None
            if fixed is not None:
                _check_user(question)
                return str(kind), fixed
            answer = ANSWERS.get(kind) if isinstance(kind, str) else None
            if answer is None:
                raise not_a_request(f"unknown type {str(kind)[:40]!r}")
            started = time.perf_counter()
            with trio.fail_after(ANSWER_SECONDS_MAX):
                await self.gateway.catch_up()
                data = await answer(self, question)
            telemetry.question_answered(str(kind), time.perf_counter() - started)
            return str(kind), data
        except MalformedBodyError as error:
            telemetry.input_refused("info", str(error.status))
            raise
        except (SupervisionError, SourceError, trio.TooSlowError) as error:
            telemetry.input_refused("info", "503")
            raise MalformedBodyError(503, "Being rebuilt; try again.") from error

    # -- markets

    async def meta(self, question: Question) -> bytes:
        """Answer ``meta``."""
        _check_dex(question)
        return encode(metadata.meta(self.gateway.directory.universe.perps))

    async def all_perp_metas(self, _: Question) -> bytes:
        """Answer ``allPerpMetas``."""
        return encode([metadata.meta(self.gateway.directory.universe.perps)])

    async def meta_and_contexts(self, question: Question) -> bytes:
        """Answer ``metaAndAssetCtxs``."""
        _check_dex(question)
        gateway = self.gateway
        contexts = gateway.board.in_order()
        return encode(
            market.meta_and_contexts(gateway.directory.universe.perps[: len(contexts)], contexts)
        )

    async def all_mids(self, question: Question) -> bytes:
        """Answer ``allMids``."""
        _check_dex(question)
        gateway = self.gateway
        return encode(mids(gateway.directory.universe, gateway.board.contexts))

    async def exchange_status(self, _: Question) -> bytes:
        """Answer ``exchangeStatus``."""
        return encode(metadata.exchange_status(time.time_ns() // 1_000_000))

    async def book(self, question: Question) -> bytes:
        """Answer ``l2Book``."""
        instrument = self._coin(question)
        try:
            n_sig_figs, mantissa = read_aggregation(question)
        except (MalformedMessageError, InvalidSubscriptionError) as error:
            raise not_a_request("invalid aggregation") from error
        if instrument is None:
            return b"null"
        wire = self.gateway.wires.market(instrument)
        return await self.gateway.read_market(
            instrument.asset, lambda view: wire.book_data(view, n_sig_figs, mantissa)
        )

    async def recent_trades(self, question: Question) -> bytes:
        """Answer ``recentTrades``: newest first."""
        instrument = self._coin(question)
        if instrument is None:
            return b"null"
        newest = await self.gateway.read_market(
            instrument.asset, lambda view: list(view.trades)[: -RECENT_TRADES_MAX - 1 : -1]
        )
        return encode(market.trades(newest, instrument))

    async def candles(self, question: Question) -> bytes:
        """Answer ``candleSnapshot``: the newest of the span, oldest first."""
        asked = question.get("req")
        if not isinstance(asked, dict):
            raise not_a_request("missing field req")
        instrument, interval = self._coin(asked), asked.get("interval")
        if interval not in INTERVALS:
            raise not_a_request("unknown interval")
        start, end = _span(asked, start_required=True)
        if instrument is None:
            return b"[]"
        asset = instrument.asset
        found = await self._history(
            lambda reader: reader.candles(asset, interval, start_ms=start, end_ms=end)
        )
        return encode([market.candle(record, instrument) for record in found])

    # -- accounts

    async def account_state(self, question: Question) -> bytes:
        """Answer ``clearinghouseState``."""
        _check_dex(question)
        return await self.gateway.read_account(
            _user(question), lambda view: encode(self._accounts.account_state(view))
        )

    async def active_asset_data(self, question: Question) -> bytes:
        """Answer ``activeAssetData``."""
        gateway, user, instrument = self.gateway, _user(question), self._coin(question)
        if instrument is None:
            return b"null"
        marks = gateway.board.marks()
        return await gateway.read_account(
            user,
            lambda view: encode(
                account.active_asset_data(
                    user, asset_summary(view, instrument.asset, marks), instrument
                )
            ),
        )

    async def user_role(self, question: Question) -> bytes:
        """Answer ``userRole``."""
        user, directory = _user(question), self.gateway.directory
        return encode(
            terms.user_role(known=user in directory.accounts, master=directory.master_of(user))
        )

    async def extra_agents(self, question: Question) -> bytes:
        """Answer ``extraAgents``: the named ones."""
        time_ms = self.gateway.directory.time_ms
        return await self.gateway.read_account(
            _user(question), lambda view: encode(terms.extra_agents(view.agents(time_ms)))
        )

    async def user_rate_limit(self, question: Question) -> bytes:
        """Answer ``userRateLimit``."""
        return await self.gateway.read_account(
            _user(question),
            lambda view: encode(terms.user_rate_limit(volume=view.volume, requests_used=0)),
        )

    async def user_fees(self, question: Question) -> bytes:
        """Answer ``userFees``."""
        user, directory = _user(question), self.gateway.directory
        days = await self._history(
            lambda reader: reader.volume_by_day(user, until_ms=directory.time_ms, days=FEE_DAYS)
        )
        shown = [
            terms.day_volume(
                _date(day.day_ms), taker=day.taker, maker=day.maker, exchange=day.exchange
            )
            for day in days
        ]
        return encode(
            terms.user_fees(
                shown,
                taker_fee_ppm=directory.terms.taker_fee_ppm,
                maker_fee_ppm=directory.terms.maker_fee_ppm,
            )
        )

    async def portfolio(self, question: Question) -> bytes:
        """Answer ``portfolio``: volumes by period; the value now is its only point."""
        gateway, user = self.gateway, _user(question)
        time_ms = gateway.directory.time_ms
        days = await self._history(
            lambda reader: reader.volume_by_day(user, until_ms=time_ms, days=MONTH_DAYS)
        )
        marks, universe = gateway.board.marks(), gateway.directory.universe

        def answer(view: AccountView) -> bytes:
            value = summarize(view, universe, marks).account_value
            profit = value - paid_in(list(view.ledger))
            periods = [
                ledger.portfolio_period(
                    values=[(time_ms, value)] if view.known else (),
                    profits=[(time_ms, profit)] if view.known else (),
                    volume=volume,
                )
                for volume in (
                    *(sum(day.taker + day.maker for day in days[-n:]) for n in PERIOD_DAYS),
                    view.volume,
                )
            ]
            return encode(ledger.portfolio(*periods))

        return await gateway.read_account(user, answer)

    # -- orders

    async def open_orders(self, question: Question) -> bytes:
        """Answer ``openOrders``."""
        _check_dex(question)
        universe = self.gateway.directory.universe
        return await self.gateway.read_account(
            _user(question),
            lambda view: encode(orders.basic_orders(_newest_first(view.open_orders), universe)),
        )

    async def frontend_open_orders(self, question: Question) -> bytes:
        """Answer ``frontendOpenOrders``."""
        _check_dex(question)
        universe = self.gateway.directory.universe
        return await self.gateway.read_account(
            _user(question),
            lambda view: encode(orders.frontend_orders(_newest_first(view.open_orders), universe)),
        )

    async def order_status(self, question: Question) -> bytes:
        """Answer ``orderStatus``.

        That an order is unknown is only said once whatever was sent before has been decided: a
        client whose outcome was unknown may rely on it, and place the order anew.
        """
        target = _order_target(question)
        user = _user(question)

        def find(reader: HistoryReader) -> OrderRecord | None:
            return reader.order(user, target)

        record = await self._history(find)
        if record is None:
            record = await self.gateway.history.read(
                find, seen_height=await self._decided_height(user)
            )
        return encode(orders.order_status(record, self.gateway.directory.universe))

    async def historical_orders(self, question: Question) -> bytes:
        """Answer ``historicalOrders``: newest first."""
        user = _user(question)
        found = await self._history(lambda reader: reader.orders_of(user))
        return encode(orders.historical_orders(found, self.gateway.directory.universe))

    # -- fills and money

    async def user_fills(self, question: Question) -> bytes:
        """Answer ``userFills``: newest first."""
        by_time = _flag(question, "aggregateByTime")
        universe = self.gateway.directory.universe
        return await self.gateway.read_account(
            _user(question),
            lambda view: encode(fills.fills(list(view.fills)[::-1], universe, by_time=by_time)),
        )

    async def user_fills_by_time(self, question: Question) -> bytes:
        """Answer ``userFillsByTime``: oldest first unless reversed."""
        start, end = _span(question, start_required=True)
        by_time, newest_first = _flag(question, "aggregateByTime"), _flag(question, "reversed")
        user = _user(question)
        found = await self._history(
            lambda reader: reader.fills_of(
                user, start_ms=start, end_ms=end, newest_first=newest_first
            )
        )
        return encode(fills.fills(found, self.gateway.directory.universe, by_time=by_time))

    async def ledger_updates(self, question: Question) -> bytes:
        """Answer ``userNonFundingLedgerUpdates``: the oldest of the span."""
        start, end = _span(question, start_required=False)
        user = _user(question)
        found = await self._history(
            lambda reader: reader.ledger_of(user, start_ms=start, end_ms=end)
        )
        return encode(ledger.ledger_updates(found))

    async def _decided_height(self, user: Address) -> int:
        """Return a height at which everything is decided that was handed in before.

        Reads overtake the commands that wait beside them, so it takes a second one.
        """
        source = self.gateway.source
        await source.account(user)
        return (await source.account(user)).height

    async def _history(self, query: Callable[[HistoryReader], ResultT]) -> ResultT:
        """Ask the history for what everyone has been told of by now."""
        gateway = self.gateway
        return await gateway.history.read(query, seen_height=gateway.directory.height)

    # -- reading questions

    def _coin(self, question: Question) -> Instrument | None:
        coin = question.get("coin")
        if not isinstance(coin, str):
            raise not_a_request("missing field coin")
        return self.gateway.instrument(coin)


ANSWERS: Final[dict[str, Answer]] = {
    "meta": Info.meta,
    "allPerpMetas": Info.all_perp_metas,
    "metaAndAssetCtxs": Info.meta_and_contexts,
    "allMids": Info.all_mids,
    "exchangeStatus": Info.exchange_status,
    "l2Book": Info.book,
    "recentTrades": Info.recent_trades,
    "candleSnapshot": Info.candles,
    "clearinghouseState": Info.account_state,
    "activeAssetData": Info.active_asset_data,
    "userRole": Info.user_role,
    "extraAgents": Info.extra_agents,
    "userRateLimit": Info.user_rate_limit,
    "userFees": Info.user_fees,
    "portfolio": Info.portfolio,
    "openOrders": Info.open_orders,
    "frontendOpenOrders": Info.frontend_open_orders,
    "orderStatus": Info.order_status,
    "historicalOrders": Info.historical_orders,
    "userFills": Info.user_fills,
    "userFillsByTime": Info.user_fills_by_time,
    "userNonFundingLedgerUpdates": Info.ledger_updates,
}
"""Who answers which type. Types with one fixed answer are in ``api.wire.metadata``."""

USER_TYPES: Final = frozenset(
    (
        "spotClearinghouseState",
        "subAccounts",
        "userAbstraction",
        "userFunding",
    )
)
"""Types with a fixed answer that clients always ask about a user; asking about none is a mistake.
"""


def _read(body: bytes) -> Question:
    if len(body) > QUESTION_BYTES_MAX:
        raise not_a_request("too long")
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_a_request(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error


def _user(question: Question) -> Address:
    user = question.get("user")
    if not isinstance(user, str) or _ADDRESS.fullmatch(user) is None:
        raise not_a_request("missing or malformed field user")
    return Address(user.lower())


def _check_user(question: Question) -> None:
    if question["type"] in USER_TYPES:
        _user(question)


def _check_dex(question: Question) -> None:
    """Accept the main market under its three spellings: absent, null and empty."""
    if question.get("dex") not in (None, ""):
        raise not_a_request("unknown dex")


def _flag(question: Question, key: str) -> bool:
    value = question.get(key)
    if value is not None and not isinstance(value, bool):
        raise not_a_request(f"malformed field {key}")
    return bool(value)


def _span(question: Question, *, start_required: bool) -> tuple[int, int]:
    start, end = question.get("startTime"), question.get("endTime")
    if start is None and not start_required:
        start = 0
    for value in (start, end):
        if value is not None and not (type(value) is int and 0 <= value <= _TIME_MS_MAX):
            raise not_a_request("malformed time")
    if start is None:
        raise not_a_request("missing field startTime")
    return start, _TIME_MS_MAX if end is None else end


def _order_target(question: Question) -> OrderId | Cloid:
    oid = question.get("oid")
    if type(oid) is int and 0 <= oid <= 2**63 - 1:
        return OrderId(oid)
    if isinstance(oid, str) and _CLOID.fullmatch(oid) is not None:
        return Cloid(oid.lower())
    raise not_a_request("missing or malformed field oid")


def _newest_first(found: Any) -> list[Any]:
    return list(found)[::-1]


def _date(day_ms: int) -> str:
    return datetime.fromtimestamp(day_ms // 1000, UTC).date().isoformat()
