"""What a WebSocket client may ask for: its messages, read strictly, and what is one subscription.

Two requests mean the same subscription when their type and normalised parameters are equal, however
they were spelled (explicit nulls and defaults equal their absence, addresses compare without letter
case). The acknowledgement repeats every key that the client sent, with addresses in lower case,
plus the defaults that it left out: clients wait for exactly that. Source: Hyperliquid API
documentation, WebSocket; the published clients.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from attrs import field, frozen

from actors.channels import Channel
from model.ids import Address

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""Longest message of a client: a batch of a thousand orders fits."""
SUBSCRIPTION_BYTES_MAX: Final = 4_096
"""Longest request for a subscription: its acknowledgement repeats it, and a connection keeps as
many as it may have subscriptions.
"""
POST_ID_MAX: Final = 2**64 - 1

INTERVALS: Final = frozenset(
    ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w", "1M")
)
SIG_FIGS: Final = frozenset((2, 3, 4, 5))
MANTISSAS: Final = frozenset((1, 2, 5))

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)

COIN_CHANNELS: Final = frozenset(("l2Book", "bbo", "trades", "candle", "activeAssetCtx"))
NODE_COIN_CHANNELS: Final = frozenset(("book", "l4Book", "bookDiffs"))
NODE_MARKET_CHANNELS: Final = frozenset(("allFills", "allLiquidations"))
NODE_CHANNELS: Final = NODE_COIN_CHANNELS | NODE_MARKET_CHANNELS
"""What only a gateway beside a node serves. ``book`` is the native feed."""
EPOCH_LENGTH_MAX: Final = 100
USER_CHANNELS: Final = frozenset(
    (
        "orderUpdates",
        "userEvents",
        "userFills",
        "userFundings",
        "userNonFundingLedgerUpdates",
        "openOrders",
        "clearinghouseState",
        "activeAssetData",
        "webData2",
        "webData3",
        "spotState",
        "notification",
        "userHistoricalOrders",
        "userTwapSliceFills",
        "userTwapHistory",
        "twapStates",
        "allDexsClearinghouseState",
    )
)
CONTEXT_CHANNELS: Final = frozenset(("assetCtxs", "spotAssetCtxs", "allDexsAssetCtxs"))
MARKET_CHANNELS: Final = CONTEXT_CHANNELS | {"allMids"}
"""What is about all markets at once."""
DEX_CHANNELS: Final = frozenset(
    ("allMids", "assetCtxs", "openOrders", "clearinghouseState", "twapStates")
)
"""What may name the dex it is about, of which there is one."""


class MalformedMessageError(Exception):
    """The message is not one that the protocol knows. The connection survives."""


class InvalidSubscriptionError(Exception):
    """The subscription is well formed but cannot be served. The connection survives."""


@frozen
class Wanted:
    """One subscription. Equality is identity; ``echo`` is what the acknowledgement shows.

    ``resume`` is the epoch and sequence that a client of a feed has already.
    """

    channel: str
    coin: str | None = None
    user: Address | None = None
    interval: str | None = None
    n_sig_figs: int | None = None
    mantissa: int | None = None
    aggregate_by_time: bool = False
    echo: dict[str, Any] = field(eq=False, factory=dict)
    resume: tuple[str, int] | None = field(eq=False, default=None)


@frozen
class Ping:
    """``{"method": "ping"}``."""


@frozen
class Subscribe:
    """Ask for a subscription."""

    wanted: Wanted


@frozen
class Unsubscribe:
    """End a subscription."""

    wanted: Wanted


@frozen
class Post:
    """A request over the socket; ``kind`` is ``info`` or ``action``, ``payload`` its JSON."""

    id: int
    kind: str
    payload: bytes


Message = Ping | Subscribe | Unsubscribe | Post


class _PostRequest(msgspec.Struct):
    type: str
    payload: msgspec.Raw


class _Incoming(msgspec.Struct):
    method: str
    subscription: dict[str, Any] | None = None
    id: Any = None
    request: _PostRequest | None = None


_incoming = msgspec.json.Decoder(_Incoming)


def read_message(text: str | bytes) -> Message:
    """Read one message of a client.

    Raises:
        MalformedMessageError: unknown method or type, a missing key, or not JSON at all.
        InvalidSubscriptionError: a parameter has a value that no subscription can have.
    """
    try:
        incoming = _incoming.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError from error
    match incoming.method:
        case "ping":
            return Ping()
        case "subscribe" | "unsubscribe" if len(text) > SUBSCRIPTION_BYTES_MAX:
            raise MalformedMessageError
        case "subscribe" if incoming.subscription is not None:
            return Subscribe(read_subscription(incoming.subscription))
        case "unsubscribe" if incoming.subscription is not None:
            return Unsubscribe(read_subscription(incoming.subscription))
        case "post" if incoming.request is not None:
            post_id = incoming.id
            if type(post_id) is int and 0 <= post_id <= POST_ID_MAX:
                return Post(post_id, incoming.request.type, bytes(incoming.request.payload))
    raise MalformedMessageError


def read_subscription(asked: dict[str, Any]) -> Wanted:
    """Read the ``subscription`` object of a message; see ``read_message`` for the errors."""
    channel = asked.get("type")
    if not isinstance(channel, str):
        raise MalformedMessageError
    echo = dict(asked)
    if channel in DEX_CHANNELS:
        _check_main_dex(asked)
    if channel in MARKET_CHANNELS:
        return Wanted(channel, echo=echo)
    if channel in NODE_MARKET_CHANNELS:
        return Wanted(channel, echo=echo)
    if channel in NODE_COIN_CHANNELS:
        return _read_node_channel(channel, asked, echo)
    if channel in COIN_CHANNELS:
        return _read_coin_channel(channel, asked, echo)
    if channel in USER_CHANNELS:
        return _read_user_channel(channel, asked, echo)
    raise MalformedMessageError


def _read_coin_channel(channel: str, asked: dict[str, Any], echo: dict[str, Any]) -> Wanted:
    coin = asked.get("coin")
    if not isinstance(coin, str):
        raise MalformedMessageError
    if channel == "candle":
        interval = asked.get("interval")
        if not isinstance(interval, str):
            raise MalformedMessageError
        if interval not in INTERVALS:
            raise InvalidSubscriptionError
        return Wanted(channel, coin=coin, interval=interval, echo=echo)
    if channel == "l2Book":
        n_sig_figs, mantissa = read_aggregation(asked)
        echo.setdefault("nSigFigs", None)
        echo.setdefault("mantissa", None)
        echo.setdefault("fast", False)
        return Wanted(channel, coin=coin, n_sig_figs=n_sig_figs, mantissa=mantissa, echo=echo)
    return Wanted(channel, coin=coin, echo=echo)


def _read_node_channel(channel: str, asked: dict[str, Any], echo: dict[str, Any]) -> Wanted:
    coin, start = asked.get("coin"), asked.get("from")
    if not isinstance(coin, str):
        raise MalformedMessageError
    if start is None:
        return Wanted(channel, coin=coin, echo=echo)
    epoch, seq = (start.get("epoch"), start.get("seq")) if isinstance(start, dict) else (None, None)
    if not isinstance(epoch, str) or type(seq) is not int or channel != "book":
        raise MalformedMessageError
    if len(epoch) > EPOCH_LENGTH_MAX or seq < 0:
        raise InvalidSubscriptionError
    return Wanted(channel, coin=coin, echo=echo, resume=(epoch, seq))


def _read_user_channel(channel: str, asked: dict[str, Any], echo: dict[str, Any]) -> Wanted:
    user = asked.get("user")
    if not isinstance(user, str) or _ADDRESS.fullmatch(user) is None:
        raise MalformedMessageError
    address = Address(user.lower())
    echo["user"] = address
    if channel == "activeAssetData":
        if not isinstance(coin := asked.get("coin"), str):
            raise MalformedMessageError
        return Wanted(channel, coin=coin, user=address, echo=echo)
    if channel == "userFills":
        aggregate = asked.get("aggregateByTime")
        if not (aggregate is None or isinstance(aggregate, bool)):
            raise MalformedMessageError
        echo.setdefault("aggregateByTime", False)
        return Wanted(channel, user=address, aggregate_by_time=bool(aggregate), echo=echo)
    return Wanted(channel, user=address, echo=echo)


def read_aggregation(asked: dict[str, Any]) -> tuple[int | None, int | None]:
    """Read ``nSigFigs`` and ``mantissa`` of a book request.

    Raises:
        MalformedMessageError: one of them is not an integer.
        InvalidSubscriptionError: they are integers that no aggregation has.
    """
    n_sig_figs, mantissa = asked.get("nSigFigs"), asked.get("mantissa")
    for value in (n_sig_figs, mantissa):
        if value is not None and type(value) is not int:
            raise MalformedMessageError
    if n_sig_figs is not None and n_sig_figs not in SIG_FIGS:
        raise InvalidSubscriptionError
    if mantissa is not None and (n_sig_figs != max(SIG_FIGS) or mantissa not in MANTISSAS):
        raise InvalidSubscriptionError
    return n_sig_figs, None if mantissa == 1 else mantissa


def _check_main_dex(asked: dict[str, Any]) -> None:
    """Accept the main market under its three spellings: absent, null and empty."""
    dex = asked.get("dex")
    if dex is not None and not isinstance(dex, str):
        raise MalformedMessageError
    if dex:
        raise InvalidSubscriptionError


def channel_of(wanted: Wanted) -> Channel:
    """Return the channel that a subscription asks for."""
    return Channel(
        kind=wanted.channel,
        interval=wanted.interval,
        n_sig_figs=wanted.n_sig_figs,
        mantissa=wanted.mantissa,
        aggregate_by_time=wanted.aggregate_by_time,
        coin=wanted.coin if wanted.user is not None else None,
    )
