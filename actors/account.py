"""Account actors: the view and the order entry of each account that somebody is interested in.

All actions of an account pass through its actor on their way to the sequencer, so that one account
cannot crowd out the others beyond its own bound, and each is sequenced in the order in which it
arrived. The actor does not wait for the outcome: the caller's reply cell travels on with the
command.

If it falls, its supervisor builds it anew, as with markets: its subscribers are sent snapshots, and
of the streams without snapshots the updates that they missed. An action in hand was either handed
on already, and is none of its business any more, or is given to the new incarnation.

An account without subscribers and without messages is passivated after a while and activated by the
next message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Any, ClassVar, Final, Protocol

import trio
from attrs import Factory, define, field, frozen

from actors.carried import HISTORY, Role, Step, carried, inside, together
from actors.channels import Channel, Channels, ChannelsByKey, Shown, Subscribe
from actors.errors import LostPartError, OverloadedError
from actors.fanout import Cork, publish
from actors.frames import Frame
from actors.router import Attach, BlockPart, Detach
from actors.source import At, Source, answer_read
from actors.subscription import Ended, Subscription
from actors.throttle import Throttle
from model.commands import ClientCommand
from model.ids import Address
from model.state import AccountState
from model.views.account import AccountView
from model.views.news import News
from model.views.records import Moment, OrderRecord
from supervision import Actor, Envelope, Exit, InHand
from supervision import Address as ActorAddress

STATE_SECONDS: Final = 1.0
"""Time between two frames of positions and balances, which move with every mark price."""

_ORDER_UPDATES: Final = Channel("orderUpdates")
_USER_EVENTS: Final = Channel("userEvents")
_NOTIFICATION: Final = Channel("notification")


class AccountFrames(Protocol):
    """How an account's news looks on the wire. Every method encodes one frame."""

    def order_updates(self, orders: Sequence[OrderRecord]) -> Frame:
        """Encode changes of order status, oldest first."""
        ...

    def user_events(self, news: News) -> list[Frame]:
        """Encode what an account should hear of, with a frame for each kind of it."""
        ...

    def notifications(self, news: News) -> list[Frame]:
        """Encode what a person should read."""
        ...

    def entries(
        self, view: AccountView, channel: Channel, news: News, *, is_snapshot: bool
    ) -> Frame | None:
        """Encode what a list channel adds to its list; None if that is nothing.

        A snapshot is never nothing.
        """
        ...

    def state(self, view: AccountView, channel: Channel) -> Frame | None:
        """Encode what a state channel shows now."""
        ...


@frozen
class SubmitAction:
    """Have a command sequenced; answered with its Receipt."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    command: ClientCommand


@frozen
class ReadAccountView:
    """Ask for the result of a pure function of the account's view."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    read: Callable[[AccountView], Any]


LIST_KINDS: Final = (
    "userFills",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "userHistoricalOrders",
    "userTwapSliceFills",
    "userTwapHistory",
)
"""Channels that begin with what happened lately and then tell what is new."""

_MOVES_WITH_MARKS: Final = (
    "clearinghouseState",
    "allDexsClearinghouseState",
    "activeAssetData",
    "spotState",
    "twapStates",
    "webData2",
    "webData3",
)
"""Channels that are shown again as marks and time move."""

_STATE_KINDS: Final = ("openOrders", *_MOVES_WITH_MARKS)


@define
class Account(Actor):
    """The actor described above.

    Args:
        open_view: makes the view of a state, with the history of the time before it.
        channels: the subscribers of all accounts; they outlive the actor.
    """

    account: Address
    source: Source
    router: ActorAddress
    open_view: Callable[[At[AccountState]], Awaitable[AccountView]]
    frames: AccountFrames
    channels: ChannelsByKey[Address]
    view: AccountView = field(init=False)
    _height: int = field(init=False, default=0)
    _time_ms: int = field(init=False, default=0)
    _state: Throttle = Factory(lambda: Throttle(STATE_SECONDS, STATE_SECONDS))
    _news: News = Factory(News)
    _causes: list[Step] = Factory(list)

    frames_messages: ClassVar[bool] = True

    async def init(self) -> None:
        """Attach, take the state, and greet whoever is subscribed already."""
        await self.router.ask(Attach(self.account, self.context.address))
        at = await self.source.account(self.account)
        with inside("read history", Role.CLIENT, HISTORY):
            self.view = await self.open_view(at)
        self._height = at.height
        self._time_ms = at.time_ms
        self._greet_all()
        self._note_shown()
        self._set_timer()

    async def on_stop(self, exit: Exit) -> None:
        """Want no more parts of blocks."""
        self.router.tell(Detach(self.account, self.context.address))
        self.channels.drop_if_empty(self.account)

    def may_passivate(self) -> bool:
        """Stay while somebody is subscribed."""
        return not self.channels.of(self.account)

    async def handle_batch(self, batch: list[Envelope]) -> None:
        """Pass actions on, apply all parts, then publish once."""
        for envelope in batch:
            if envelope.context is None:
                self._take(envelope)
            else:
                with self.context.handling(envelope):
                    self._take(envelope)
        causes, self._causes = self._causes, []
        with together(causes, "publish accounts"):
            self._publish()

    def _take(self, envelope: Envelope) -> None:
        match envelope.message:
            case SubmitAction(command):
                self._submit(command, envelope)
            case BlockPart() as part:
                self._apply(part)
            case ReadAccountView(read):
                answer_read(envelope, read, self.view)
            case Subscribe(channel, subscription):
                self._subscribe(channel, subscription)
            case _:
                pass  # the timer: what is due is published afterwards

    def _submit(self, command: ClientCommand, envelope: Envelope) -> None:
        reply = envelope.reply
        if reply is not None and not self.source.forward(command, reply):
            reply.fail(OverloadedError("the exchange has more orders waiting than it takes"))

    # -- parts of blocks

    def _apply(self, part: BlockPart) -> None:
        if part.height <= self._height:
            return
        if part.previous > self._height:
            raise LostPartError(f"at height {self._height}, but {part.previous} was sent before")
        for index, event in part.events:
            change = self.view.apply(event, Moment(part.height, part.time_ms, index))
            self._news.add(change)
            if change.state:
                self._state.change()
        self._height, self._time_ms = part.height, part.time_ms
        if (step := carried.get()) is not None:
            self._causes.append(step)

    # -- publication

    def _publish(self) -> None:
        with Cork() as cork:
            has_fills = self._publish_news(cork)
            if self._state.is_due(trio.current_time()) or has_fills:
                self._publish_state(cork, _MOVES_WITH_MARKS)
        self._set_timer()

    def _publish_news(self, cork: Cork) -> bool:
        """Publish what has happened since the last time; tell whether there were fills."""
        news, self._news = self._news, News()
        self._note_shown()
        if not news:
            return False
        channels = self.channels.of(self.account)
        self._publish_events(cork, news)
        for kind in LIST_KINDS:
            for channel in channels.of_kind(kind):
                frame = self.frames.entries(self.view, channel, news, is_snapshot=False)
                if frame is not None:
                    cork.publish(channels.of(channel), frame)
        if news.orders:
            self._publish_state(cork, ("openOrders",))
        return bool(news.fills)

    def _publish_events(self, cork: Cork, news: News) -> None:
        """Publish the streams that have no snapshot."""
        channels = self.channels.of(self.account)
        if news.orders and (subscribers := channels.of(_ORDER_UPDATES)):
            cork.publish(subscribers, self.frames.order_updates(news.orders))
        if subscribers := channels.of(_USER_EVENTS):
            for frame in self.frames.user_events(news):
                cork.publish(subscribers, frame)
        if subscribers := channels.of(_NOTIFICATION):
            for frame in self.frames.notifications(news):
                cork.publish(subscribers, frame)

    def _note_shown(self) -> None:
        channels = self.channels.of(self.account)
        shown = channels.shown
        if shown is not None and shown.height == self._height:
            return
        newest = takewhile(self._is_of_now, reversed(self.view.orders))
        channels.shown = Shown(self._height, self._time_ms, sum(1 for _ in newest))

    def _is_of_now(self, order: OrderRecord) -> bool:
        return order.status_ms == self._time_ms

    def _publish_state(self, cork: Cork, kinds: Sequence[str]) -> None:
        channels = self.channels.of(self.account)
        for kind in kinds:
            for channel in channels.of_kind(kind):
                frame = self.frames.state(self.view, channel)
                if frame is not None:
                    cork.publish(channels.of(channel), frame)

    def _set_timer(self) -> None:
        """Come back for what moves with marks, if there is anybody to show it to."""
        channels = self.channels.of(self.account)
        if any(channels.of_kind(kind) for kind in _MOVES_WITH_MARKS):
            self.context.set_timer("publish", STATE_SECONDS, None)

    # -- subscribers

    def _subscribe(self, channel: Channel, subscription: Subscription) -> None:
        with Cork() as cork:
            self._publish_news(cork)  # the newcomer finds it in its snapshot
        if self.channels.of(self.account).add(channel, subscription):
            self._send_snapshot(channel, subscription)

    def _greet_all(self) -> None:
        """Show those who followed the last incarnation where this one stands."""
        channels = self.channels.of(self.account)
        channels.epoch += 1
        for channel in channels:
            for subscription in list(channels.of(channel)):
                self._send_snapshot(channel, subscription)
        if channels.shown is not None:
            self._show_missed(channels, channels.shown)

    def _show_missed(self, channels: Channels, shown: Shown) -> None:
        """Publish what the streams without snapshot missed; end them if that is not known."""
        orders = self.view.orders
        same_time = [order for order in orders if order.status_ms == shown.time_ms]
        later = [order for order in orders if order.status_ms > shown.time_ms]
        missed = News.of(self.view, after=shown.height)
        missed.orders = same_time[shown.orders :] + later
        if (
            len(same_time + later) == orders.maxlen
            or len(missed.fills) == self.view.fills.maxlen
            or len(missed.ledger) == self.view.ledger.maxlen
            or len(missed.fundings) == self.view.fundings.maxlen
        ):
            kinds = (_ORDER_UPDATES.kind, _USER_EVENTS.kind, _NOTIFICATION.kind)
            channels.end_all(Ended.CRASHED, kinds)
            return
        with Cork() as cork:
            self._publish_events(cork, missed)

    def _send_snapshot(self, channel: Channel, subscription: Subscription) -> None:
        frame: Frame | None = None
        if channel.kind in LIST_KINDS:
            everything = News.of(self.view)
            frame = self.frames.entries(self.view, channel, everything, is_snapshot=True)
        elif channel.kind in _STATE_KINDS:
            frame = self.frames.state(self.view, channel)
        if frame is not None:
            publish([subscription], frame)
