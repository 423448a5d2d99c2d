"""What a node's data gives beyond the public API: a native feed, order by order, whole streams.

One desk serves all subscribers of all coins. It encodes a message once, and only if somebody
follows the coin; what the native feed said lately is kept for clients that come back.

A coin's channels are ``book`` (the native feed, by level), ``l4Book`` (order by order, in the shape
that clients of such streams know) and ``bookDiffs`` (the node's diffs as they are; of all coins
under the name ALL). Without a coin there are ``allFills`` and ``allLiquidations``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import msgspec
from attrs import define, field
from msgspec import Raw

from actors.channels import Channel, ChannelsByKey
from actors.fanout import Cork
from actors.frames import Frame
from actors.subscription import Subscription
from model.node.coins import Coin, CoinChange, Coins
from model.node.feed import FeedMessage, Ring, checksum, level_texts, side_texts
from model.node.ingest import Applied
from model.node.joiner import NodeBlock
from model.node.lines import Diff, Fill, Status
from model.node.snapshot import body_of
from model.node.writing import event_out

ALL: Final = "*"
"""In place of a coin: all of them."""

RINGS_MAX: Final = 200
"""Coins of which the newest messages are kept; the one that was followed longest ago goes first."""

HEARTBEAT_SECONDS: Final = 5.0
"""How often a quiet coin is told of, so that quiet can be told from lost."""

BOOK: Final = Channel("book")
L4: Final = Channel("l4Book")
DIFFS: Final = Channel("bookDiffs")
FILLS: Final = Channel("allFills")
LIQUIDATIONS: Final = Channel("allLiquidations")

COIN_KINDS: Final = frozenset({BOOK.kind, L4.kind, DIFFS.kind})
MARKET_WIDE_KINDS: Final = frozenset({FILLS.kind, LIQUIDATIONS.kind})

_encode = msgspec.json.Encoder().encode


def frame_of(kind: str, data: Any) -> Frame:
    """Return a frame of a channel."""
    return Frame(b'{"channel":"%b","data":%b}' % (kind.encode(), _encode(data)))


@define(eq=False)
class FeedDesk:
    """The desk described above.

    Args:
        run: names this run of the program, so that its epochs are nobody else's.
        coins: the books.
        channels: who follows what, by coin; outlives the desk.
        clock_ms: wall clock.
    """

    run: str
    coins: Coins
    channels: ChannelsByKey[str]
    clock_ms: Callable[[], int]
    _rings: dict[str, tuple[int, Ring]] = field(init=False, factory=dict)
    _told_at: dict[str, float] = field(init=False, factory=dict)

    def wants_statuses(self) -> bool:
        """Tell whether somebody follows a coin order by order, whose rejections are shown too."""
        return any(channels.of(L4) for channels in self.channels)

    def publish(self, applied: Applied, now: float) -> None:
        """Tell what a block did."""
        if not len(self.channels):
            self._keep_rings(applied)
            return
        block, changes = applied.block, applied.changes
        statuses = self._statuses(block)
        changed = {change.coin.name for change in changes.changes}
        with Cork() as cork:
            for name in changes.doubted:  # before what may be wrong because of it
                coin = self.coins.by_name[name]
                seq = coin.sequence - (name in changed)
                self._tell(cork, coin, self._message(coin, "doubt", seq=seq, why=coin.why))
            for change in changes.changes:
                self._tell_change(cork, change, block, statuses)
                self._told_at[change.coin.name] = now
            self._tell_fills(cork, [block.fills, *(late.fills for late in block.late)])

    def reset(self, names: Iterable[str], now: float) -> None:
        """Show the new books of coins that were healed."""
        with Cork() as cork:
            for name in names:
                coin = self.coins.by_name[name]
                if name in self._rings:
                    self._rings[name] = (coin.epoch, Ring())
                channels = self.channels.of(name)
                if subscribers := channels.of(BOOK):
                    cork.publish(subscribers, self._snapshot(coin, "reset"))
                if subscribers := channels.of(L4):
                    cork.publish(subscribers, self._l4_snapshot(coin))
                reset = self._diffs_data(coin, [], prev=None)
                self._publish_diffs(cork, name, {**reset, "reset": True})
                self._told_at[name] = now
                self.channels.drop_if_empty(name)

    def confirm(self, names: Iterable[str]) -> None:
        """Tell that coins that were in doubt are whole as they are."""
        with Cork() as cork:
            for name in names:
                coin = self.coins.by_name[name]
                self._tell(cork, coin, self._message(coin, "whole"))

    def beat(self, now: float) -> None:
        """Tell of the coins that had nothing to tell for a while."""
        with Cork() as cork:
            for name, coin in self.coins.by_name.items():
                channels = self.channels.get(name)
                if channels is None or now - self._told_at.get(name, 0.0) < HEARTBEAT_SECONDS:
                    continue
                self._told_at[name] = now
                if subscribers := channels.of(BOOK):
                    cork.publish(subscribers, self._frame(self._message(coin, "heartbeat")))

    def subscribe(
        self,
        channel: Channel,
        name: str,
        subscription: Subscription,
        resume: tuple[str, int] | None,
    ) -> None:
        """Take a subscriber in, and show it where the coin stands, or what it missed."""
        if not self.channels.of(name).add(channel, subscription):
            return
        coin = self.coins.by_name.get(name)
        if coin is None or channel.kind in MARKET_WIDE_KINDS:
            return
        if channel == BOOK:
            for frame in self._catch_up(coin, resume):
                subscription.offer(frame)
        elif channel == L4:
            # The book of a large coin is more than may wait for a subscription; an answer may.
            subscription.outlet.reply(self._l4_snapshot(coin))

    # -- the native feed

    def _catch_up(self, coin: Coin, resume: tuple[str, int] | None) -> list[Frame]:
        epoch, ring = self._ring(coin)
        if resume is not None and resume[0] == self._epoch(coin) and epoch == coin.epoch:
            missed = ring.after(resume[1], coin.sequence)
            if missed is not None:
                kind = "heartbeat" if coin.is_whole else "doubt"
                now = self._frame(self._message(coin, kind, why=coin.why))
                return [*map(Frame, missed), now]
        return [self._snapshot(coin, "subscribed" if resume is None else "resumed too late")]

    def _ring(self, coin: Coin) -> tuple[int, Ring]:
        ring = self._rings.pop(coin.name, None)
        if ring is None or ring[0] != coin.epoch:
            ring = (coin.epoch, Ring())
        self._rings[coin.name] = ring
        if len(self._rings) > RINGS_MAX:
            del self._rings[next(iter(self._rings))]
        return ring

    def _keep_rings(self, applied: Applied) -> None:
        """Nobody listens now: keep what those who come back will ask for."""
        for change in applied.changes.changes:
            if change.coin.name in self._rings:
                self._diff_frame(change, applied.block)

    def _diff_frame(self, change: CoinChange, block: NodeBlock) -> Frame:
        coin = change.coin
        message = self._message(
            coin,
            "diff",
            prev=coin.sequence - 1,
            crc=checksum(coin.book.bids, coin.book.asks),
            node_time=block.local_time,
            bids=level_texts(change.moves, is_bid=True),
            asks=level_texts(change.moves, is_bid=False),
        )
        frame = self._frame(message)
        self._ring(coin)[1].add(coin.sequence, frame.payload)
        return frame

    def _snapshot(self, coin: Coin, why: str) -> Frame:
        book = coin.book
        return self._frame(
            self._message(
                coin,
                "snapshot",
                crc=checksum(book.bids, book.asks),
                why=why,
                bids=side_texts(book.bids),
                asks=side_texts(book.asks),
                is_doubtful=not coin.is_whole,
            )
        )

    def _message(
        self, coin: Coin, kind: Any, *, seq: int | None = None, **more: Any
    ) -> FeedMessage:
        coins = self.coins
        return FeedMessage(
            kind,
            coin.name,
            self._epoch(coin),
            coin.sequence if seq is None else seq,
            coins.height,
            coins.time_ms,
            sent=self.clock_ms(),
            **more,
        )

    def _epoch(self, coin: Coin) -> str:
        return f"{self.run}-{coin.epoch}"

    def _frame(self, message: FeedMessage) -> Frame:
        return frame_of(BOOK.kind, message)

    def _tell(self, cork: Cork, coin: Coin, message: FeedMessage) -> None:
        channels = self.channels.get(coin.name)
        if channels is not None and (subscribers := channels.of(BOOK)):
            cork.publish(subscribers, self._frame(message))

    # -- what a block did

    def _tell_change(
        self, cork: Cork, change: CoinChange, block: NodeBlock, statuses: dict[str, list[Status]]
    ) -> None:
        coin = change.coin
        channels = self.channels.get(coin.name)
        subscribers: Collection[Subscription] = () if channels is None else channels.of(BOOK)
        if coin.name in self._rings or subscribers:
            frame = self._diff_frame(change, block)
            if subscribers:
                cork.publish(subscribers, frame)
        if channels is not None and (subscribers := channels.of(L4)):
            cork.publish(subscribers, self._l4_updates(change, statuses.get(coin.name, [])))
        self._publish_diffs(cork, coin.name, change)

    def _publish_diffs(self, cork: Cork, name: str, data: CoinChange | dict[str, Any]) -> None:
        for key in (name, ALL):
            channels = self.channels.get(key)
            if channels is not None and (subscribers := channels.of(DIFFS)):
                if isinstance(data, CoinChange):
                    data = self._diffs_data(data.coin, data.diffs, prev=data.coin.sequence - 1)
                cork.publish(subscribers, frame_of(DIFFS.kind, data))

    def _diffs_data(self, coin: Coin, diffs: list[Diff], prev: int | None) -> dict[str, Any]:
        return {
            "coin": coin.name,
            "epoch": self._epoch(coin),
            "seq": coin.sequence,
            "prev": prev,
            "height": self.coins.height,
            "time": self.coins.time_ms,
            "diffs": list(map(event_out, diffs)),
            **_doubt(coin),
        }

    def _tell_fills(self, cork: Cork, groups: Iterable[list[Fill]]) -> None:
        channels = self.channels.get(ALL)
        fills = [fill for fills in groups for fill in fills] if channels is not None else []
        if channels is None or not fills:
            return
        if subscribers := channels.of(FILLS):
            cork.publish(subscribers, frame_of(FILLS.kind, list(map(event_out, fills))))
        forced = [fill for fill in fills if isinstance(fill.body.liquidation, msgspec.Struct)]
        if forced and (subscribers := channels.of(LIQUIDATIONS)):
            cork.publish(subscribers, frame_of(LIQUIDATIONS.kind, list(map(event_out, forced))))

    # -- order by order

    def _statuses(self, block: NodeBlock) -> dict[str, list[Status]]:
        """Return the statuses of the coins that are followed order by order."""
        found: dict[str, list[Status]] = {}
        if not self.wants_statuses():
            return found
        for statuses in (block.statuses, *(late.statuses for late in block.late)):
            for status in statuses:
                channels = self.channels.get(status.order.coin)
                if channels is not None and channels.of(L4):
                    found.setdefault(status.order.coin, []).append(status)
        return found

    def _l4_updates(self, change: CoinChange, statuses: list[Status]) -> Frame:
        coin = change.coin
        data = {
            "time": self.coins.time_ms,
            "height": self.coins.height,
            "epoch": self._epoch(coin),
            "seq": coin.sequence,
            "prev": coin.sequence - 1,
            "order_statuses": list(map(event_out, statuses)),
            "book_diffs": list(map(event_out, change.diffs)),
            **_doubt(coin),
        }
        return frame_of(L4.kind, {"Updates": data})

    def _l4_snapshot(self, coin: Coin) -> Frame:
        levels: tuple[list[Any], list[Any]] = ([], [])
        for order in coin.book:
            body = _encode(body_of(coin.name, order))
            shown = Raw(b'{"user":' + _encode(order.user) + b"," + body[1:])
            levels[0 if order.is_bid else 1].append(shown)
        data = {
            "coin": coin.name,
            "time": self.coins.time_ms,
            "height": self.coins.height,
            "epoch": self._epoch(coin),
            "seq": coin.sequence,
            "levels": levels,
        }
        return frame_of(L4.kind, {"Snapshot": data})


def _doubt(coin: Coin) -> dict[str, str]:
    return {} if coin.is_whole else {"doubt": coin.why}
