"""Channels: what can be subscribed to, and who has.

The table of subscribers belongs to the program, not to the actor that publishes: a market that
crashes and is rebuilt finds its subscribers where it left them, together with a note of what they
were shown. It greets them with a new epoch and snapshots, and with what they missed of the streams
in which everything counts.

To subscribe is a message, since the publisher has to send a snapshot at the right moment. To
unsubscribe is a call, which no full mailbox can lose. Publishers never await while they go through
a table, so nobody sees it half changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, KeysView
from typing import ClassVar, Final, Generic, TypeVar

from attrs import define, field, frozen

from actors.subscription import Ended, Policy, Subscription
from supervision import InHand

KeyT = TypeVar("KeyT", bound=Hashable)

POLICIES: Final = {
    "trades": Policy.LOSSLESS,
    "orderUpdates": Policy.LOSSLESS,
    "userEvents": Policy.LOSSLESS,
    "userFills": Policy.LOSSLESS,
    "userFundings": Policy.LOSSLESS,
    "userNonFundingLedgerUpdates": Policy.LOSSLESS,
    "userHistoricalOrders": Policy.LOSSLESS,
    "userTwapSliceFills": Policy.LOSSLESS,
    "userTwapHistory": Policy.LOSSLESS,
    "notification": Policy.LOSSLESS,
    "book": Policy.LOSSLESS,
    "l4Book": Policy.LOSSLESS,
    "bookDiffs": Policy.LOSSLESS,
    "allFills": Policy.LOSSLESS,
    "allLiquidations": Policy.LOSSLESS,
}
"""Channels of which every frame counts. All others show a state, of which only the newest does."""


@frozen
class Channel:
    """One stream of frames of one subject: its kind and what else decides the bytes."""

    kind: str
    interval: str | None = None
    n_sig_figs: int | None = None
    mantissa: int | None = None
    aggregate_by_time: bool = False
    coin: str | None = None

    @property
    def policy(self) -> Policy:
        """What happens to frames that a client is too slow for."""
        return POLICIES.get(self.kind, Policy.LATEST)


@frozen
class Subscribe:
    """Ask a publisher to send a channel's frames from now on, its snapshot first if it has one.

    The subscriber has its confirmation already, so a publisher that falls with this in hand is
    given it again.
    """

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    channel: Channel
    subscription: Subscription


@frozen
class Shown:
    """Up to where all subscribers were shown everything.

    ``orders`` counts the changes of orders shown for ``time_ms``: they know their time but not
    their height, and several blocks may share a millisecond.
    """

    height: int
    time_ms: int
    orders: int = 0


@define(eq=False)
class Channels:
    """The subscribers of one subject, by channel.

    ``epoch`` counts the incarnations of its publisher; ``shown`` is ``None`` before the first one
    had anything to show.
    """

    epoch: int = 0
    shown: Shown | None = None
    _subscribers: dict[Channel, dict[Subscription, None]] = field(init=False, factory=dict)
    _by_kind: defaultdict[str, dict[Channel, None]] = field(
        init=False, factory=lambda: defaultdict(dict)
    )

    def add(self, channel: Channel, subscription: Subscription) -> bool:
        """Take a subscriber in; false if it is in already, or its subscription has ended."""
        subscribers = self._subscribers.get(channel, _NOBODY)
        if subscription.ended is not None or subscription in subscribers:
            return False
        self._subscribers.setdefault(channel, {})[subscription] = None
        self._by_kind[channel.kind][channel] = None
        return True

    def discard(self, channel: Channel, subscription: Subscription) -> None:
        """Let a subscriber go."""
        subscribers = self._subscribers.get(channel)
        if subscribers is None:
            return
        subscribers.pop(subscription, None)
        if not subscribers:
            del self._subscribers[channel]
            self._by_kind[channel.kind].pop(channel, None)

    def end_all(self, reason: Ended, kinds: Collection[str] | None = None) -> None:
        """End the subscriptions of some kinds of channels, or of all."""
        for channel, subscribers in list(self._subscribers.items()):
            if kinds is None or channel.kind in kinds:
                for subscription in list(subscribers):
                    self.discard(channel, subscription)
                    subscription.end(reason)

    def of(self, channel: Channel) -> Collection[Subscription]:
        """Return the subscribers of a channel; do not change the table while iterating."""
        return self._subscribers.get(channel, _NOBODY)

    def of_kind(self, kind: str) -> KeysView[Channel]:
        """Return the channels of a kind that have subscribers."""
        return self._by_kind[kind].keys()

    def __bool__(self) -> bool:
        return bool(self._subscribers)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._subscribers))

    def __len__(self) -> int:
        return sum(map(len, self._subscribers.values()))


class ChannelsByKey(Generic[KeyT]):
    """The tables of many subjects, made when first asked for and dropped when empty."""

    def __init__(self) -> None:
        self._channels: dict[KeyT, Channels] = {}

    def of(self, key: KeyT) -> Channels:
        """Return the table of a subject."""
        return self._channels.setdefault(key, Channels())

    def get(self, key: KeyT) -> Channels | None:
        """Return the table of a subject if it has one."""
        return self._channels.get(key)

    def drop_if_empty(self, key: KeyT) -> None:
        """Forget a subject without subscribers."""
        if key in self._channels and not self._channels[key]:
            del self._channels[key]

    def __iter__(self) -> Iterator[Channels]:
        return iter(list(self._channels.values()))

    def __len__(self) -> int:
        return sum(map(len, self._channels.values()))


_NOBODY: Final[dict[Subscription, None]] = {}
