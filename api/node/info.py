"""``POST /info`` beside a node: the questions that its files can answer.

Balances, positions, funding rates and what happened long ago are not in them; such questions are
refused with a text that says so, rather than answered with nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio
from attrs import define

from actors.errors import SourceError
from actors.node.account import NodeAccountView
from api.exchange.errors import MalformedBodyError, not_a_request, not_json
from api.node.entry import NodeEntry
from api.node.gateway import NodeGateway
from api.node.wire import mids, trades
from api.subscriptions import (
    InvalidSubscriptionError,
    MalformedMessageError,
    read_aggregation,
)
from model.ids import Address, AssetId
from supervision import PoolFull, SupervisionError

QUESTION_BYTES_MAX: Final = 64 * 1024
ANSWER_SECONDS_MAX: Final = 8.0
RECENT_TRADES_MAX: Final = 30
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode

Question = dict[str, Any]


@define(eq=False)
class NodeInfo:
    """Answers questions about a node; others are asked upstream, if there is one."""

    gateway: NodeGateway
    entry: NodeEntry

    async def answer(self, body: bytes) -> bytes:
        """Return the JSON answer to the body of a request.

        Raises:
            MalformedBodyError: it is not a question that is answered here.
        """
        return (await self.answer_post(body))[1]

    async def answer_post(self, body: bytes) -> tuple[str, bytes]:
        """Return the type of a question and its JSON answer; errors as in ``answer``."""
        telemetry = self.gateway.telemetry
        try:
            question = _read(body)
            kind = question.get("type")
            answer = ANSWERS.get(kind) if isinstance(kind, str) else None
            if kind in ASKED_UPSTREAM_FIRST or answer is None:
                asked = await self.entry.ask(body)
                if asked is not None:
                    return str(kind), asked
            if answer is None:
                raise not_a_request(f"{str(kind)[:40]!r} is not answered from a node's files")
            started = time.perf_counter()
            with trio.fail_after(ANSWER_SECONDS_MAX):
                data = await answer(self, question)
            telemetry.question_answered(str(kind), time.perf_counter() - started)
            return str(kind), data
        except MalformedBodyError as error:
            telemetry.input_refused("info", str(error.status))
            raise
        except (SupervisionError, SourceError, PoolFull, trio.TooSlowError) as error:
            telemetry.input_refused("info", "503")
            raise MalformedBodyError(503, "Being rebuilt; try again.") from error

    async def meta(self, _: Question) -> bytes:
        """Answer ``meta`` with what can be told of the perpetuals.

        Their numbers are not in the files: the order is that of the snapshot, and nothing can be
        traded by it.
        """
        status = self.gateway.status
        universe = [
            {"name": coin, "szDecimals": status.size_decimals.get(coin, 0), "maxLeverage": 1}
            for coin in status.coins
            if not set(coin) & SPOT_MARKS
        ]
        return _encode({"universe": universe, "marginTables": [], "collateralToken": 0})

    async def spot_meta(self, _: Question) -> bytes:  # noqa: ASYNC124
        """Answer ``spotMeta``: the pairs are known by number only."""
        return _encode({"universe": [], "tokens": []})

    async def all_mids(self, _: Question) -> bytes:
        """Answer ``allMids``."""
        contexts: Any = self.gateway.board.contexts
        return _encode(mids(self.gateway.status.coins, contexts))

    async def book(self, question: Question) -> bytes:
        """Answer ``l2Book``; null for a coin that nobody knows."""
        coin, asset = self._coin(question)
        if asset is None:
            return b"null"
        try:
            n_sig_figs, mantissa = read_aggregation(question)
        except (MalformedMessageError, InvalidSubscriptionError) as error:
            raise not_a_request("invalid aggregation") from error
        wire = self.gateway.wire(coin)
        return await self.gateway.read_market(
            asset, lambda view: wire.book_data(view, n_sig_figs, mantissa)
        )

    async def recent_trades(self, question: Question) -> bytes:
        """Answer ``recentTrades``: newest first."""
        _, asset = self._coin(question)
        if asset is None:
            return b"null"
        return await self.gateway.read_market(
            asset, lambda view: _encode(trades(list(view.trades)[: -RECENT_TRADES_MAX - 1 : -1]))
        )

    async def exchange_status(self, _: Question) -> bytes:
        """Answer ``exchangeStatus`` with the time of the newest block, and how it stands."""
        status = self.gateway.status
        return _encode(
            {
                "time": status.time_ms,
                "specialStatuses": None,
                "height": status.height,
                "nodeTime": status.local_time,
                "sentTime": time.time_ns() // 1_000_000,
                "coinsInDoubt": status.in_doubt,
                "notReady": self.gateway.why_not_ready() or None,
            }
        )

    async def open_orders(self, question: Question) -> bytes:
        """Answer ``openOrders`` and ``frontendOpenOrders``."""
        return await self._account(question, lambda view: list(view.orders.values()))

    async def user_fills(self, question: Question) -> bytes:
        """Answer ``userFills``: newest first, those since somebody asked for the account."""
        return await self._account(question, lambda view: list(view.fills)[::-1])

    async def historical_orders(self, question: Question) -> bytes:
        """Answer ``historicalOrders``: newest first, likewise."""

        def read(view: NodeAccountView) -> list[dict[str, Any]]:
            return [
                {"order": status.order, "status": status.status, "statusTimestamp": time_ms}
                for time_ms, status in reversed(view.statuses)
            ]

        return await self._account(question, read)

    async def _account(self, question: Question, read: Callable[[NodeAccountView], Any]) -> bytes:
        return await self.gateway.read_account(_user(question), lambda view: _encode(read(view)))

    def _coin(self, question: Question) -> tuple[str, AssetId | None]:
        coin = question.get("coin")
        if not isinstance(coin, str):
            raise not_a_request("missing field coin")
        return coin, self.gateway.status.assets.get(coin)


SPOT_MARKS: Final = frozenset("@#/+:")
"""Characters in the names of coins that are no perpetuals of the main market."""

ASKED_UPSTREAM_FIRST: Final = frozenset({"meta", "spotMeta"})
"""Questions that the files can only half answer."""

ANSWERS: Final[dict[str, Callable[[NodeInfo, Question], Awaitable[bytes]]]] = {
    "meta": NodeInfo.meta,
    "spotMeta": NodeInfo.spot_meta,
    "allMids": NodeInfo.all_mids,
    "l2Book": NodeInfo.book,
    "recentTrades": NodeInfo.recent_trades,
    "exchangeStatus": NodeInfo.exchange_status,
    "openOrders": NodeInfo.open_orders,
    "frontendOpenOrders": NodeInfo.open_orders,
    "userFills": NodeInfo.user_fills,
    "historicalOrders": NodeInfo.historical_orders,
}
"""Who answers which type."""


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
