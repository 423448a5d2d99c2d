"""The auditor: follows what is durable, with an exchange of its own, and judges what clients see.

Everything it knows comes from the log alone. A frame is right if its content is in the log at no
more than the height that was durable when the frame was written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Final

import msgspec
from attrs import define, field

from actors.journal_file import Row
from actors.recovery import replay_row
from api.wire.decimals import price_text, size_text
from api.wire.fills import fill
from api.wire.market import trades
from api.wire.orders import order_updates
from model.book import BookSide
from model.commands import OrderSpec
from model.events import CancelReason, Event, OrderCanceled, OrderPlaced, OrderRefused, Traded
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.invariants import check
from model.universe import Universe
from model.views.open_orders import OpenOrders
from model.views.records import Moment, fills_from, trade_from

LEVELS_MAX: Final = 20

Json = Any


class BrokenPromiseError(AssertionError):
    """The exchange broke a promise."""


def require(holds: bool, broken: str) -> None:
    """Raise if a promise is broken."""
    if not holds:
        raise BrokenPromiseError(broken)


@define(eq=False)
class Seen:
    """A sequence of things that one subject's subscribers see, each with its height."""

    items: list[Json] = field(factory=list)
    heights: list[int] = field(factory=list)
    places: dict[Any, int] = field(factory=dict)

    def add(self, item: Json, height: int, key: Any = None) -> None:
        """Append one; ``key`` finds its place again."""
        if key is not None:
            require(key not in self.places, f"{key} is in the log twice")
            self.places[key] = len(self.items)
        self.items.append(item)
        self.heights.append(height)


@define(eq=False)
class Audit:
    """What the log says.

    Attributes:
        placed: of each client order id, the ids of the orders that were placed under it.
        decided: of each client order id, the heights at which an order was placed or refused.
        canceled: of each order that its owner cancelled, the height.
        traded: the orders that traded.
        books: by coin and chain time, all books of that time with their heights.
    """

    exchange: Exchange = field(init=False, factory=Exchange)
    commands: int = field(init=False, default=0)
    placed: defaultdict[str, list[tuple[int, int]]] = field(
        init=False, factory=lambda: defaultdict(list)
    )
    decided: defaultdict[str, list[int]] = field(init=False, factory=lambda: defaultdict(list))
    canceled: dict[int, int] = field(init=False, factory=dict)
    traded: set[int] = field(init=False, factory=set)
    trades: defaultdict[str, Seen] = field(init=False, factory=lambda: defaultdict(Seen))
    orders: defaultdict[str, Seen] = field(init=False, factory=lambda: defaultdict(Seen))
    fills: defaultdict[str, Seen] = field(init=False, factory=lambda: defaultdict(Seen))
    books: defaultdict[tuple[str, int], list[tuple[int, Json]]] = field(
        init=False, factory=lambda: defaultdict(list)
    )
    _digests: dict[int, bytes] = field(init=False, factory=dict)
    _universe: Universe = field(init=False, factory=Universe)
    _open: OpenOrders | None = field(init=False, default=None)

    @property
    def height(self) -> int:
        """Height of the last durable block."""
        return self.exchange.height

    def judge_return(self, height: int, digest: bytes) -> None:
        """See that an exchange that comes back has everything that was durable."""
        require(
            self._digests.get(height, digest) == digest,
            f"the exchange came back with another block {height} than was durable",
        )
        require(
            height >= self.height,
            f"the exchange came back at block {height}, but block {self.height} was durable",
        )

    def take(self, row: Row) -> None:
        """Take in a block that is durable; see that executing it gives what it says."""
        require(
            row.height > self.height, f"block {row.height} was durable, and now it is another one"
        )
        replay_row(self.exchange, row)
        self._digests[row.height] = row.digest
        check(self.exchange)
        for instrument in self.exchange.instruments[len(self._universe) :]:
            self._universe.list(instrument)
        if self._open is None:
            self._open = OpenOrders(self._universe, [])
        for index, entry in enumerate(row.block().entries):
            self.commands += 1
            for event in entry.events:
                self._take_event(event, Moment(row.height, row.time_ms, index))
        for instrument in self._universe:
            book = self.book(instrument.asset)
            self.books[instrument.name, row.time_ms].append((row.height, book))

    def _take_event(self, event: Event, at: Moment) -> None:
        assert self._open is not None
        for record in self._open.apply(event, at.time_ms):
            shown = _plain(order_updates([record], self._universe)[0])
            key = json.dumps(shown, sort_keys=True)
            self.orders[record.account].add(shown, at.height, key)
        match event:
            case OrderPlaced(cloid=str(cloid)):
                self.placed[cloid].append((event.oid, at.height))
                self.decided[cloid].append(at.height)
                require(len(self.placed[cloid]) == 1, f"{cloid} was placed twice")
            case OrderRefused(spec=OrderSpec(cloid=str(cloid))):
                self.decided[cloid].append(at.height)
            case OrderCanceled(reason=CancelReason.CANCELED):
                self.canceled[event.oid] = at.height
            case Traded():
                self._take_trade(event, at)
            case _:
                pass

    def _take_trade(self, event: Traded, at: Moment) -> None:
        self.traded |= {event.taker.oid, event.maker.oid}
        instrument = self._universe[event.asset]
        trade = _plain(trades([trade_from(event, at)], instrument))
        self.trades[instrument.name].add(trade[0], at.height, event.trade_id)
        for one in fills_from(event, at):
            self.fills[one.account].add(_plain(fill(one, self._universe)), at.height)

    # -- the state of now

    def book(self, asset: AssetId) -> Json:
        """Return the top of a book as the wire shows it, straight from the orders in it."""
        market = self.exchange.engine.markets[asset]
        instrument = self._universe[asset]
        return [_levels(side, instrument) for side in (market.bids, market.asks)]

    def open_orders(self, account: Address) -> list[int]:
        """Return the ids of an account's open orders, in order of age."""
        known = self.exchange.engine.accounts.get(account)
        return [] if known is None else sorted(known.orders)

    # -- what is judged

    def judge_book(self, coin: str, time_ms: int, levels: Json, upto: int) -> None:
        """See that a book was the exchange's at that time."""
        known = self.books.get((coin, time_ms), [])
        if not any(height <= upto and book == levels for height, book in known):
            require(False, f"{coin} had no such book at {time_ms}: {levels}, but {known}")

    def judge_best(self, coin: str, time_ms: int, best: Json, upto: int) -> None:
        """See that a best bid and ask were the exchange's at that time."""
        known = self.books.get((coin, time_ms), [])
        tops = [[side[0] if side else None for side in b] for h, b in known if h <= upto]
        if best not in tops:
            require(False, f"{coin} had no such best at {time_ms}: {best}, but {tops}")


def _levels(side: BookSide, instrument: Instrument) -> list[Json]:
    levels: dict[int, list[int]] = {}
    for order in side:
        level = levels.setdefault(order.price, [0, 0])
        level[0] += order.remaining
        level[1] += 1
    best_first = sorted(levels, key=lambda price: -price * side.sign)[:LEVELS_MAX]
    return [
        {
            "px": price_text(price, instrument),
            "sz": size_text(levels[price][0], instrument),
            "n": levels[price][1],
        }
        for price in best_first
    ]


def _plain(value: object) -> Json:
    return msgspec.json.decode(msgspec.json.encode(value))
