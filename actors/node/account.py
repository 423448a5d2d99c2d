"""Accounts as a node's files show them: open orders, changes of orders, fills, and the ledger.

Balances and positions are not in the files, so nothing is said of them. Everything is shown as the
node wrote it. An account is followed while somebody is interested in it: its open orders are taken
from the books, the rest begins with the first message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec
from attrs import define, field, frozen
from msgspec import UNSET, Struct, UnsetType

from actors.channels import Channel, ChannelsByKey, Subscribe
from actors.errors import LostPartError
from actors.fanout import Cork
from actors.frames import Frame
from actors.node.feeds import frame_of
from actors.node.follower import ReadOrders
from actors.router import Attach, BlockPart, Detach
from actors.source import At, answer_read
from actors.subscription import Ended, Subscription
from model.ids import Address
from model.node.decimals import decimal_text, e8
from model.node.ledger import FundingEntry, LedgerEntry
from model.node.lines import Fill, FillBody, OrderBody, Status
from model.node.snapshot import Order, body_of
from model.units import MalformedDecimalError
from supervision import Actor, Envelope, Exit, InHand
from supervision import Address as ActorAddress

FILLS_MAX: Final = 2_000
STATUSES_MAX: Final = 2_000
LEDGER_MAX: Final = 500
"""What is remembered of each: as much as the public API shows at once."""
ORDERS_MAX: Final = 10_000
"""Open orders of an account that are followed."""

ORDER_UPDATES: Final = Channel("orderUpdates")
USER_EVENTS: Final = Channel("userEvents")
USER_FILLS: Final = Channel("userFills")
OPEN_ORDERS: Final = Channel("openOrders")
LEDGER: Final = Channel("userNonFundingLedgerUpdates")
FUNDINGS: Final = Channel("userFundings")
SERVED: Final = frozenset(
    channel.kind
    for channel in (ORDER_UPDATES, USER_EVENTS, USER_FILLS, OPEN_ORDERS, LEDGER, FUNDINGS)
)

_ENDED: Final = ("Canceled", "Rejected")
_ENDED_WORDS: Final = frozenset(
    {"filled", "canceled", "rejected", "scheduledCancel", "internalCancel"}
)


class BasicOrder(Struct, rename="camel"):
    """An order as ``orderUpdates`` shows it."""

    coin: str
    side: str
    limit_px: str
    sz: str
    oid: int
    timestamp: int
    orig_sz: str
    cloid: str | UnsetType = UNSET


class OrderUpdate(Struct, rename="camel"):
    """A change of an order's status; times are ms."""

    order: BasicOrder
    status: str
    status_timestamp: int


@define
class _News:
    """What one block means to the streams of an account."""

    orders: list[OrderUpdate] = field(factory=list)
    fills: list[FillBody] = field(factory=list)
    ledger: list[LedgerEntry] = field(factory=list)
    fundings: list[FundingEntry] = field(factory=list)


@define(eq=False)
class NodeAccountView:
    """What is known of one account. ``orders`` are open ones by id, as the public API shows them.

    ``statuses`` are the latest changes of orders, each with its block's time in ms.
    """

    address: Address
    orders: dict[int, OrderBody] = field(factory=dict)
    fills: deque[FillBody] = field(factory=lambda: deque(maxlen=FILLS_MAX))
    statuses: deque[tuple[int, Status]] = field(factory=lambda: deque(maxlen=STATUSES_MAX))
    ledger: deque[LedgerEntry] = field(factory=lambda: deque(maxlen=LEDGER_MAX))
    fundings: deque[FundingEntry] = field(factory=lambda: deque(maxlen=LEDGER_MAX))

    def start(self, resting: list[tuple[str, Order]]) -> None:
        """Begin with the orders that rest."""
        self.orders = {order.oid: body_of(coin, order) for coin, order in resting}

    def see(self, status: Status, time_ms: int) -> None:
        """Take in a change of an order."""
        order = status.order
        self.statuses.append((time_ms, status))
        if is_end(status.status) or order.tif in {"Ioc", "FrontendMarket"}:
            self.orders.pop(order.oid, None)
        elif len(self.orders) < ORDERS_MAX:
            self.orders[order.oid] = order

    def fill(self, fill: Fill) -> None:
        """Take in a fill; what is left of the order is less by it."""
        self.fills.append(fill.body)
        order = self.orders.get(fill.body.oid)
        if order is None:
            return
        try:
            left = e8(order.sz) - fill.size
        except MalformedDecimalError:
            return
        if left <= 0:
            del self.orders[order.oid]
        else:
            changed = msgspec.structs.replace(order, sz=decimal_text(left))
            self.orders[order.oid] = changed


def is_end(status: str) -> bool:
    """Tell whether an order is no longer open. The list of statuses is open: suffixes decide."""
    return status in _ENDED_WORDS or status.endswith(_ENDED)


@frozen
class ReadAccount:
    """Ask for the result of a pure function of the account's view."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    read: Callable[[NodeAccountView], Any]


@define
class NodeAccount(Actor):
    """The actor of one account.

    If it falls, its new incarnation cannot tell what was missed, so streams in which everything
    counts are ended rather than left with a gap.
    """

    account: Address
    follower: ActorAddress
    router: ActorAddress
    channels: ChannelsByKey[Address]
    view: NodeAccountView = field(init=False)
    _height: int = field(init=False, default=-1)

    async def init(self) -> None:
        """Attach, take the open orders, and greet whoever is subscribed already."""
        await self.router.ask(Attach(self.account, self.context.address))
        at: At[list[tuple[str, Order]]] = await self.follower.ask(ReadOrders(self.account))
        self.view = NodeAccountView(self.account)
        self.view.start(at.state)
        self._height = at.height
        channels = self.channels.of(self.account)
        if channels.epoch:
            channels.end_all(Ended.CRASHED, SERVED - {OPEN_ORDERS.kind})
        channels.epoch += 1
        with Cork() as cork:
            self._show_orders(cork)

    async def on_stop(self, exit: Exit) -> None:
        """Want no more parts of blocks."""
        self.router.tell(Detach(self.account, self.context.address))
        self.channels.drop_if_empty(self.account)

    def may_passivate(self) -> bool:
        """Stay while somebody is subscribed."""
        return not self.channels.of(self.account)

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Apply all parts and publish each, answer questions."""
        for envelope in batch:
            match envelope.message:
                case BlockPart() as part:
                    self._apply(part)
                case ReadAccount(read):
                    answer_read(envelope, read, self.view)
                case Subscribe(channel, subscription):
                    self._subscribe(channel, subscription)
                case _:
                    pass

    def _apply(self, part: BlockPart) -> None:
        if part.height <= self._height:
            return
        if part.previous > self._height:
            raise LostPartError(f"at height {self._height}, but {part.previous} was sent before")
        self._height = part.height
        news = _News()
        for _, told in part.events:
            _told_height, time_ms, event = told  # type: ignore[misc]  # as the follower tells it
            self._learn(event, time_ms, news)
        with Cork() as cork:
            self._publish(cork, news)

    def _learn(self, event: Any, time_ms: int, news: _News) -> None:
        match event:
            case Status():
                self.view.see(event, time_ms)
                news.orders.append(order_update(event, time_ms))
            case Fill():
                self.view.fill(event)
                news.fills.append(event.body)
            case LedgerEntry():
                self.view.ledger.append(event)
                news.ledger.append(event)
            case FundingEntry():
                self.view.fundings.append(event)
                news.fundings.append(event)
            case _:
                raise TypeError(f"not news of an account: {event!r}")

    def _publish(self, cork: Cork, news: _News) -> None:
        if news.orders:
            self._tell(cork, ORDER_UPDATES, news.orders)
        if news.orders or news.fills:
            self._show_orders(cork)
        if news.fills:
            self._tell(cork, USER_EVENTS, {"fills": news.fills})
            self._tell(cork, USER_FILLS, self._fills(news.fills, is_snapshot=False))
        if news.ledger:
            self._tell(cork, LEDGER, self._ledger(news.ledger, is_snapshot=False))
        if news.fundings:
            self._tell(cork, FUNDINGS, self._fundings(news.fundings, is_snapshot=False))

    def _tell(self, cork: Cork, channel: Channel, data: Any) -> None:
        if subscribers := self.channels.of(self.account).of(channel):
            kind = "user" if channel is USER_EVENTS else channel.kind
            cork.publish(subscribers, frame_of(kind, data))

    def _show_orders(self, cork: Cork) -> None:
        if self.channels.of(self.account).of(OPEN_ORDERS):
            self._tell(cork, OPEN_ORDERS, self._open_orders())

    def _open_orders(self) -> dict[str, Any]:
        return {"dex": "", "user": self.account, "orders": list(self.view.orders.values())}

    def _fills(self, fills: list[FillBody], *, is_snapshot: bool) -> dict[str, Any]:
        return _shown({"user": self.account, "fills": fills}, is_snapshot=is_snapshot)

    def _ledger(self, entries: list[LedgerEntry], *, is_snapshot: bool) -> dict[str, Any]:
        data = {"user": self.account, "nonFundingLedgerUpdates": entries}
        return _shown(data, is_snapshot=is_snapshot)

    def _fundings(self, entries: list[FundingEntry], *, is_snapshot: bool) -> dict[str, Any]:
        data = {"user": self.account, "fundings": entries}
        return _shown(data, is_snapshot=is_snapshot)

    def _subscribe(self, channel: Channel, subscription: Subscription) -> None:
        if self.channels.of(self.account).add(channel, subscription):
            frame = self._snapshot(channel)
            if frame is not None:
                subscription.offer(frame)

    def _snapshot(self, channel: Channel) -> Frame | None:
        view = self.view
        match channel.kind:
            case "openOrders":
                return frame_of(channel.kind, self._open_orders())
            case "userFills":
                newest_first = list(view.fills)[::-1]
                return frame_of(channel.kind, self._fills(newest_first, is_snapshot=True))
            case "userNonFundingLedgerUpdates":
                return frame_of(channel.kind, self._ledger(list(view.ledger), is_snapshot=True))
            case "userFundings":
                return frame_of(channel.kind, self._fundings(list(view.fundings), is_snapshot=True))
            case _:
                return None


def order_update(status: Status, time_ms: int) -> OrderUpdate:
    """Return a change of an order as ``orderUpdates`` shows it."""
    order = status.order
    basic = BasicOrder(
        order.coin,
        order.side,
        order.limit_px,
        order.sz,
        order.oid,
        order.timestamp,
        order.orig_sz,
        UNSET if order.cloid is None else order.cloid,
    )
    return OrderUpdate(basic, status.status, time_ms)


def _shown(data: dict[str, Any], *, is_snapshot: bool) -> dict[str, Any]:
    return {"isSnapshot": True, **data} if is_snapshot else data
