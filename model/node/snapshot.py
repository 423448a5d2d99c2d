"""The snapshot file: every order in every book after one block.

``[height, [[coin, [bids, asks]], ...]]``, or without a height only the inner list. A side is best
first, and in order of time within a price. An order is an object, or a pair of its owner's address
and the object. Untriggered trigger orders, where they are included, stand at the end of *both*
sides; they are not in the book and are left out.

A file of the main network is some 160 MB, so coins are read one after the other out of the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from model.node.decimals import decimal_text, e8
from model.node.lines import INTEGER_MAX, OrderBody, Text
from model.units import MalformedDecimalError

NO_CHILDREN: Final = b"[]"


class SnapshotError(ValueError):
    """The bytes are not a snapshot."""


class Order(Struct, gc=False):
    """An order that rests: what diffs say of it, and what only statuses and snapshots know.

    ``size`` is what is left of it. ``details`` is ``None`` until a status was seen; the orders of
    the exchange's own market makers never have one.
    """

    oid: int
    user: str
    is_bid: bool
    price: int
    size: int
    details: Details | None = None


class Details(Struct, frozen=True, gc=False):
    """What the book does not need: see ``OrderBody``. ``children`` is JSON."""

    timestamp: int
    orig_sz: str
    tif: str | None
    cloid: str | None
    order_type: str
    reduce_only: bool
    trigger_condition: str
    is_position_tpsl: bool
    children: bytes


class CoinOrders(Struct):
    """The book of one coin: bids and asks, each best first and oldest first within a price."""

    bids: list[Order]
    asks: list[Order]


class Snapshot(Struct):
    """All books after block ``height``; ``None`` if the file does not say of which block it is."""

    height: int | None
    coins: dict[str, CoinOrders]


_heighted = msgspec.json.Decoder(tuple[int, list[tuple[Text, Raw]]])
_plain = msgspec.json.Decoder(list[tuple[Text, Raw]])
_sides = msgspec.json.Decoder(
    tuple[list[tuple[Text, OrderBody] | OrderBody], list[tuple[Text, OrderBody] | OrderBody]]
)
_encode = msgspec.json.Encoder().encode


def read_snapshot(data: bytes, coins: Iterable[str] | None = None) -> Snapshot:
    """Read a snapshot file, whole or only some coins of it.

    Raises:
        SnapshotError: it is not one.
    """
    wanted = None if coins is None else frozenset(coins)
    owners: dict[str, str] = {}
    books: dict[str, CoinOrders] = {}
    try:
        height, entries = _outer(data)
        for coin, raw in entries:
            if wanted is None or coin in wanted:
                books[coin] = _coin_orders(coin, raw, owners)
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        MalformedDecimalError,
    ) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    return Snapshot(height, books)


def write_snapshot(height: int, coins: Mapping[str, CoinOrders]) -> Iterator[bytes]:
    """Yield the pieces of a snapshot file, as the node writes it with users and height."""
    yield b"[%d,[" % height
    for index, (coin, orders) in enumerate(coins.items()):
        sides = [[(order.user, body_of(coin, order)) for order in side] for side in _both(orders)]
        yield (b"," if index else b"") + _encode((coin, sides))
    yield b"]]"


def body_of(coin: str, order: Order) -> OrderBody:
    """Return an order as snapshots show it.

    One of which no status is known is shown as what it must be: a post-only limit order.
    """
    details = order.details
    side, price, size = (
        "B" if order.is_bid else "A",
        decimal_text(order.price),
        decimal_text(order.size),
    )
    if details is None:
        return OrderBody(coin, side, price, size, order.oid, 0, orig_sz=size, tif="Alo")
    return OrderBody(
        coin,
        side,
        price,
        size,
        order.oid,
        details.timestamp,
        trigger_condition=details.trigger_condition,
        children=Raw(details.children),
        is_position_tpsl=details.is_position_tpsl,
        reduce_only=details.reduce_only,
        order_type=details.order_type,
        orig_sz=details.orig_sz,
        tif=details.tif,
        cloid=details.cloid,
    )


def details_of(body: OrderBody) -> Details:
    """Return what is kept of an order's object beside what the book knows."""
    children = bytes(body.children)
    return Details(
        body.timestamp,
        body.orig_sz,
        body.tif,
        body.cloid,
        body.order_type,
        body.reduce_only,
        body.trigger_condition,
        body.is_position_tpsl,
        NO_CHILDREN if children == NO_CHILDREN else children,
    )


def _outer(data: bytes) -> tuple[int | None, list[tuple[str, Raw]]]:
    start = data[:64].lstrip()
    if not start.startswith(b"["):
        raise SnapshotError("not a snapshot: no list")
    if start[1:].lstrip()[:1].isdigit():
        height, entries = _heighted.decode(data)
        if height > INTEGER_MAX:
            raise SnapshotError("not a snapshot: the height is too large")
        return height, entries
    return None, _plain.decode(data)


def _both(orders: CoinOrders) -> tuple[list[Order], list[Order]]:
    return orders.bids, orders.asks


def _coin_orders(coin: str, raw: Raw, owners: dict[str, str]) -> CoinOrders:
    bids, asks = _sides.decode(raw)
    on_both = {_body(entry).oid for entry in bids} & {_body(entry).oid for entry in asks}
    return CoinOrders(
        list(_orders(coin, bids, on_both, owners, is_bid=True)),
        list(_orders(coin, asks, on_both, owners, is_bid=False)),
    )


def _orders(
    coin: str, entries: list[Any], on_both: set[int], owners: dict[str, str], *, is_bid: bool
) -> Iterator[Order]:
    for entry in entries:
        body = _body(entry)
        if body.oid in on_both or body.is_trigger:
            continue  # not triggered yet: it does not rest
        user = entry[0] if isinstance(entry, tuple) else ""
        price, size = e8(body.limit_px), e8(body.sz)
        if body.coin != coin or price <= 0 or size <= 0:
            raise SnapshotError(f"not a snapshot: order {body.oid} of {coin} cannot rest")
        yield Order(body.oid, owners.setdefault(user, user), is_bid, price, size, details_of(body))


def _body(entry: Any) -> OrderBody:
    body: OrderBody = entry[1] if isinstance(entry, tuple) else entry
    return body
