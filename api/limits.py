"""Limits of one network address: weight of HTTP requests, connections, messages.

Every limit is a bucket that holds a minute's worth and fills evenly, so a client that was quiet may
be quick for a moment but nobody is quicker for long. Limits of one account (its allowance of
requests) are the exchange's own and stand in the log; see ``model.requests``.

Weights and numbers are Hyperliquid's (API documentation, rate limits and user limits). Addresses
are those of the peer: a proxy in front must do the limiting itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from attrs import define, field

from api.config import Limits

ADDRESSES_MAX: Final = 10_000
"""Network addresses that are remembered. The one that was quiet longest is forgotten first, which
gives it a full bucket again, unless it has connections."""

MINUTE_SECONDS: Final = 60.0
BATCH_PER_WEIGHT: Final = 40
"""Entries of a signed action that weigh as much as one request."""
WEIGHT_DEFAULT: Final = 20
WEIGHTS: Final[dict[str, int]] = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
"""Weights of questions; all others have WEIGHT_DEFAULT."""

ITEMS_PER_WEIGHT: Final[dict[str, int]] = dict.fromkeys(
    (
        "recentTrades",
        "historicalOrders",
        "userFills",
        "userFillsByTime",
        "fundingHistory",
        "userFunding",
        "userNonFundingLedgerUpdates",
        "twapHistory",
        "userTwapSliceFills",
        "userTwapSliceFillsByTime",
    ),
    20,
) | {"candleSnapshot": 60}
"""Questions whose answers weigh as well: so many items as much as one request."""


class LimitedError(Exception):
    """A client asks for more than it may."""


class _Question(msgspec.Struct):
    type: str = ""


class _Batch(msgspec.Struct):
    orders: list[msgspec.Raw] = []
    cancels: list[msgspec.Raw] = []
    modifies: list[msgspec.Raw] = []


class _Request(msgspec.Struct):
    action: _Batch


_read_question = msgspec.json.Decoder(_Question).decode
_read_request = msgspec.json.Decoder(_Request).decode
_read_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


@define
class Bucket:
    """A minute's worth of something, filling evenly. A size of 0 sets no limit."""

    size: int
    left: float
    filled_at: float

    def take(self, amount: int, now: float) -> bool:
        """Take so much, or nothing and return false if there is not so much."""
        if not self.size:
            return True
        gained = (now - self.filled_at) * self.size / MINUTE_SECONDS
        self.left = min(float(self.size), self.left + gained)
        self.filled_at = now
        if self.left < amount:
            return False
        self.left -= amount
        return True

    def charge(self, amount: int) -> None:
        """Take so much even if it is not there; the next ones wait the longer."""
        self.left -= amount


@define
class _Client:
    weight: Bucket
    opened: Bucket
    messages: Bucket
    connections: int = 0


@define(eq=False)
class NetworkLimits:
    """What every network address may still do.

    Args:
        limits: how much a minute; 0 sets no limit.
        now: a clock in seconds that only goes forward.
    """

    limits: Limits
    now: Callable[[], float]
    _clients: OrderedDict[str, _Client] = field(init=False, factory=OrderedDict)

    def ask(self, address: str, body: bytes) -> None:
        """Count a question.

        Raises:
            LimitedError: its sender has asked enough for now.
        """
        if self.limits.weight_per_minute:
            self._take_weight(address, WEIGHTS.get(_kind(body), WEIGHT_DEFAULT))

    def answered(self, address: str, body: bytes, answer: bytes) -> None:
        """Count what an answer weighs beyond its question."""
        if not self.limits.weight_per_minute:
            return
        per_weight = ITEMS_PER_WEIGHT.get(_kind(body))
        if per_weight is not None:
            try:
                self._client(address).weight.charge(len(_read_items(answer)) // per_weight)
            except msgspec.MsgspecError:
                return  # an answer that is no list has no items

    def act(self, address: str, body: bytes) -> None:
        """Count a signed action by the length of its batch.

        Raises:
            LimitedError: its sender has asked enough for now.
        """
        if self.limits.weight_per_minute:
            self._take_weight(address, 1 + _batch_length(body) // BATCH_PER_WEIGHT)

    @contextmanager
    def connection(self, address: str) -> Iterator[Callable[[], bool]]:
        """Count a connection while it lives; give a function that counts its messages.

        That function returns false for a message too many.

        Raises:
            LimitedError: its peer has enough connections, or opens them too fast.
        """
        client, most = self._client(address), self.limits.connections
        if most and client.connections >= most:
            raise LimitedError(f"more than {most} connections")
        if not client.opened.take(1, self.now()):
            raise LimitedError(f"more than {client.opened.size} new connections a minute")
        client.connections += 1
        try:
            yield lambda: client.messages.take(1, self.now())
        finally:
            client.connections -= 1

    def _take_weight(self, address: str, weight: int) -> None:
        if not self._client(address).weight.take(weight, self.now()):
            raise LimitedError(f"more than a weight of {self.limits.weight_per_minute} a minute")

    def _client(self, address: str) -> _Client:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = self._new_client()
            self._forget_one()
        else:
            self._clients.move_to_end(address)
        return client

    def _new_client(self) -> _Client:
        limits, now = self.limits, self.now()

        def full(size: int) -> Bucket:
            return Bucket(size, float(size), now)

        return _Client(
            full(limits.weight_per_minute),
            full(limits.connections_per_minute),
            full(limits.messages_per_minute),
        )

    def _forget_one(self) -> None:
        """Make room if there are too many: the longest quiet one without connections goes."""
        if len(self._clients) <= ADDRESSES_MAX:
            return
        quiet = next((key for key, client in self._clients.items() if not client.connections), None)
        if quiet is not None:
            del self._clients[quiet]


def _kind(body: bytes) -> str:
    try:
        return _read_question(body).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""  # whoever answers it will say what is wrong


def _batch_length(body: bytes) -> int:
    try:
        action = _read_request(body).action
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    return len(action.orders) + len(action.cancels) + len(action.modifies)
