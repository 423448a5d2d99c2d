"""Follows a node's files: reads what comes, applies it to the books, and tells everybody.

It is the source of a gateway beside a node. Views ask it for the state of their coin or account at
a height, and the router hands them what comes after. It never gives up for bad data: what cannot be
read is counted and skipped, what is lost puts coins in doubt, and a snapshot that covers the loss
heals those that differ, while all others go on.

It reads in small pieces and lets others have their turn in between. Comparing with a snapshot is
done one coin at a time between two pieces.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import trio
from attrs import define, field, frozen

from actors.carried import Step, carried, together
from actors.channels import Channel, ChannelsByKey
from actors.node.errors import NodeDataError
from actors.node.feeds import FeedDesk
from actors.node.offline import detect_form, feed, streams_of
from actors.node.router import NodeParts
from actors.node.status import NodeStatus
from actors.node.tail import Item, Tail, locate
from actors.source import At
from actors.subscription import Subscription
from model.ids import Address, AssetId
from model.node.coins import COINS_MAX, Coins, Comparison, Healing
from model.node.decimals import DECIMALS
from model.node.ingest import Applied, Ingest
from model.node.joiner import Late, NodeBlock
from model.node.ledger import entries_of
from model.node.lines import Form, Stream, folder_of
from model.node.snapshot import Order, Snapshot
from model.node.views import CoinNews, NodeCoinState, TradePairs, state_of
from supervision import Actor, Exit, InHand
from supervision import Address as ActorAddress

READ_BYTES: Final = 256 << 10
"""Bytes of a stream that are read at once: some 5 ms of work."""
BEAT_SECONDS: Final = 1.0
CAUGHT_UP_BYTES: Final = READ_BYTES
"""A look that finds less than this has reached the end of the files."""
FAULTS_TOLD: Final = 1_000
"""Kinds of faults that are written to the log, each once; all are counted."""

log = logging.getLogger("zaraba")


@frozen
class NodeFiles:
    """Where a node's data is.

    ``form`` is ``None`` to find out. ``snapshot`` gets one, and blocks meanwhile.
    """

    root: Path
    snapshot: Callable[[], Snapshot]
    form: Form | None = None


@frozen
class Look:
    """Tell the follower to look at the files."""

    in_hand: ClassVar[InHand] = InHand.DROP


@frozen
class Compare:
    """Tell the follower to compare its books with a snapshot."""

    in_hand: ClassVar[InHand] = InHand.DROP

    snapshot: Snapshot


@frozen
class ReadCoin:
    """Ask for ``At[NodeCoinState]``."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    asset: AssetId


@frozen
class ReadOrders:
    """Ask for ``At[list[tuple[str, Order]]]``: an account's resting orders with their coins."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    account: Address


@frozen
class Follow:
    """Ask the desk for a feed from now on; ``resume`` is the epoch and sequence of the last one."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    channel: Channel
    coin: str
    subscription: Subscription
    resume: tuple[str, int] | None = None


def wall_clock_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@define
class Follower(Actor):
    """The actor described above.

    Args:
        files: what to follow.
        router: is told what each block means to whom.
        channels: who follows which feed; outlives the actor.
        status: is kept up to date.
        run: names this run of the program in epochs.
        clock_ms: wall clock.
        on_healed: is told which coins were given the books of a snapshot, and of which block.
    """

    files: NodeFiles
    router: ActorAddress
    channels: ChannelsByKey[str]
    status: NodeStatus
    run: str
    clock_ms: Callable[[], int] = wall_clock_ms
    on_healed: Callable[[list[str], int], None] = lambda _coins, _height: None
    _ingest: Ingest = field(init=False)
    _desk: FeedDesk = field(init=False)
    _tails: dict[Stream, Tail] = field(init=False, factory=dict)
    _pairs: TradePairs = field(init=False, factory=TradePairs)
    _waiting: Snapshot | None = field(init=False, default=None)
    _comparison: Comparison | None = field(init=False, default=None)
    _told: dict[str, None] = field(init=False, factory=dict)
    _full: set[Stream] = field(init=False, factory=set)
    _beat_at: float = field(init=False, default=0.0)
    _handed_out: int = field(init=False, default=0)
    _causes: list[Step] = field(init=False, factory=list)

    async def init(self) -> None:
        """Load the snapshot, and find where the files go on from it.

        Raises:
            NodeDataError: there are no such files.
        """
        self.status.is_started = self.status.is_caught_up = False
        form, snapshot, tails = await trio.to_thread.run_sync(self._open)
        self.status.size_decimals.update(await trio.to_thread.run_sync(_size_decimals, snapshot))
        assert snapshot.height is not None
        coins = Coins()
        coins.start(snapshot, snapshot.height)
        for coin in coins.by_name:
            self.status.list_coin(coin)
        self._ingest = Ingest(form, tails, coins)
        self._tails = tails
        run = f"{self.run}.{self.context.address.generation}"
        self._desk = FeedDesk(run, coins, self.channels, self.clock_ms)
        self._desk.reset([name for name in coins.by_name if self.channels.get(name)], 0.0)
        self.status.height = coins.height
        self.status.is_started = True
        log.info("following %s (%s) from block %d", self.files.root, form, coins.height)
        self.context.set_timer("look", 0.0, Look())

    async def on_stop(self, exit: Exit) -> None:
        """Let go of the files."""
        for tail in self._tails.values():
            tail.close()

    async def handle(self, message: object) -> object:
        """Serve the messages of this module."""
        match message:
            case Look():
                await self._look()
            case Compare(snapshot):
                cause = carried.get()
                self._causes = [] if cause is None else [cause]
                self._begin_comparison(snapshot)
            case ReadCoin(asset):
                return self._coin(asset)
            case ReadOrders(account):
                return self._orders(account)
            case Follow(channel, coin, subscription, resume):
                self._desk.subscribe(channel, coin, subscription, resume)
            case _:
                raise TypeError(f"not a message of the follower: {message!r}")
        return None

    # -- files

    def _open(self) -> tuple[Form, Snapshot, dict[Stream, Tail]]:
        files = self.files
        form = files.form or detect_form(files.root)
        streams = streams_of(files.root, form)
        snapshot = files.snapshot()
        if snapshot.height is None:
            raise NodeDataError("the snapshot does not tell its height, nor does its name")
        tails = {}
        for stream in (stream for stream in Stream if stream in streams):  # diffs first
            folder = files.root / folder_of(stream, form)
            tails[stream] = Tail(folder, locate(folder, snapshot.height))
        return form, snapshot, tails

    def _read(self, streams: Collection[Stream]) -> list[tuple[Stream, list[Item]]]:
        return [(stream, self._tails[stream].read(READ_BYTES)) for stream in streams]

    def _to_read(self) -> Collection[Stream]:
        """Return the streams to read now: those alone that are behind and have more, if any.

        Statuses have many times the bytes of diffs, and would else fall behind them.
        """
        behind = self._ingest.joiner.behind()
        return [stream for stream in self._full if behind[stream]] or self._tails

    async def _look(self) -> None:
        """Read a piece of every stream, apply it, and come back at once if there is more."""
        streams = self._to_read()
        found = await trio.to_thread.run_sync(self._read, streams)
        self._full = {stream for stream, items in found if _size(items) >= READ_BYTES // 2}
        self._ingest.wants_all_statuses = bool(self.status.followed) or self._desk.wants_statuses()
        before = self._ingest.counts.bytes
        for stream, items in found:
            for blocks in feed(self._ingest, stream, items, self.clock_ms()):
                await self._publish(blocks)
                await trio.lowlevel.checkpoint()
        await self._publish(self._ingest.blocks(self.clock_ms()))
        await self._go_on_comparing()
        read_all = len(streams) == len(self._tails)
        read_bytes = self._ingest.counts.bytes - before
        self._note_status(is_at_end=read_all and read_bytes < CAUGHT_UP_BYTES)
        if not read_all or self._comparison or any(items for _, items in found):
            self.context.set_timer("look", 0.0, Look())
        elif (wait_ms := self._ingest.joiner.wait_ms(self.clock_ms())) is not None:
            self.context.set_timer("look", wait_ms / 1_000, Look())

    # -- blocks

    async def _publish(self, blocks: Iterator[Applied]) -> None:
        """Tell everybody of blocks that are complete."""
        for applied in blocks:
            parts = self._parts(applied)
            block = applied.block
            if parts:
                await self._hand_out(block.time_ms, parts)
            self._desk.publish(applied, trio.current_time())
            self.status.height, self.status.time_ms = block.height, block.time_ms
            self.status.local_time = block.local_time
            self._tell_faults()

    async def _hand_out(self, time_ms: int, parts: dict[Any, list[Any]]) -> None:
        """Have the router give each view its part.

        Parts are numbered rather than called after their block: a book that is healed is news of a
        block that its views have heard of already.
        """
        self._handed_out += 1
        await self.router.put(NodeParts(self._handed_out, time_ms, parts))

    def _parts(self, applied: Applied) -> dict[Any, list[Any]]:
        """Return what a block means, by subject: coins by number, accounts by address."""
        parts: dict[Any, list[Any]] = {}
        list_coin = self.status.list_coin
        for change in applied.changes.changes:
            asset = list_coin(change.coin.name)
            parts[asset] = [CoinNews(asset, change.moves)]
        everything: list[NodeBlock | Late] = [*applied.block.late, applied.block]
        for told in everything:
            for trade in self._pairs.take(told):
                if trade.coin not in self.status.assets and len(self.status.coins) >= COINS_MAX:
                    continue
                asset = list_coin(trade.coin)
                parts.setdefault(asset, []).append(CoinNews(asset, (), (trade,)))
            for account, event in _of_accounts(told, self.status.followed):
                parts.setdefault(account, []).append((told.height, told.time_ms, event))
        return parts

    def _coin(self, asset: AssetId) -> At[NodeCoinState]:
        coins, name = self._ingest.coins, self.status.coins[asset]
        coin = coins.by_name.get(name)
        if coin is None:
            state = NodeCoinState(asset, name, (), ())
        else:
            state = state_of(asset, coin.book)
        return At(self._handed_out, coins.time_ms, state)

    def _orders(self, account: Address) -> At[list[tuple[str, Order]]]:
        coins = self._ingest.coins
        found = [
            (name, order)
            for name, coin in coins.by_name.items()
            for order in coin.book
            if order.user == account
        ]
        return At(self._handed_out, coins.time_ms, found)

    # -- healing

    def _begin_comparison(self, snapshot: Snapshot) -> None:
        """Compare now, or when the block of the snapshot is there; one at a time, the newest."""
        coins = self._ingest.coins
        height = coins.height if snapshot.height is None else snapshot.height
        if height > coins.height:
            self._waiting = snapshot
        elif self._comparison is None:
            self._comparison = coins.comparison(snapshot, height)
            if self._comparison is None:
                log.warning("the snapshot of block %d is too old to compare with", height)

    async def _go_on_comparing(self) -> None:
        waiting, coins = self._waiting, self._ingest.coins
        if waiting is not None and (waiting.height or 0) <= coins.height:
            self._waiting = None
            self._begin_comparison(waiting)
        comparison = self._comparison
        if comparison is None:
            return
        healing, before = comparison.healing, len(comparison.healing.confirmed)
        known = set(healing.reset)
        has_more = comparison.step()
        await self._tell_healing(
            healing,
            [name for name in healing.reset if name not in known],
            healing.confirmed[before:],
        )
        if not has_more:
            self._comparison = None
            self.status.comparisons += 1
            log.info(
                "compared with block %d: %d coins reset, %d confirmed, %d still in doubt",
                healing.height,
                len(healing.reset),
                len(healing.confirmed),
                len(healing.doubtful),
            )

    async def _tell_healing(self, healing: Healing, reset: list[str], confirmed: list[str]) -> None:
        coins, now = self._ingest.coins, trio.current_time()
        parts: dict[Any, list[Any]] = {}
        for name in reset:
            asset = self.status.list_coin(name)
            parts[asset] = [CoinNews(asset, healing.moves[name])]
            self.status.resets += 1
            log.warning("%s is reset: %s", name, healing.reset[name] or "it was not known")
        if parts:
            with together(self._causes, "heal"):
                self.on_healed(reset, healing.height)
                await self._hand_out(coins.time_ms, parts)
                self._desk.reset(reset, now)
        if confirmed:
            self.status.confirmed += len(confirmed)
            self._desk.confirm(confirmed)

    # -- what is told

    def _note_status(self, *, is_at_end: bool) -> None:
        status, counts = self.status, self._ingest.counts
        status.is_caught_up = status.is_caught_up or is_at_end
        status.lines, status.bytes, status.blocks = counts.lines, counts.bytes, counts.blocks
        status.odd = counts.odd
        status.behind = self._ingest.joiner.behind()
        status.in_doubt = len(self._ingest.coins.in_doubt())
        status.rewinds = sum(sequence.rewinds for sequence in self._ingest.sequences.values())
        now = trio.current_time()
        if now - self._beat_at >= BEAT_SECONDS:
            self._beat_at = now
            self._desk.beat(now)

    def _tell_faults(self) -> None:
        """Write each kind of fault of a coin to the log once; all are counted."""
        for fault in self._ingest.take_faults():
            kind = f"{fault.coin} {fault.kind}"
            if kind not in self._told and len(self._told) < FAULTS_TOLD:
                self._told[kind] = None
                log.warning("block %d: %s %s", fault.height, fault.coin or "any coin", fault.what)


def _size(items: list[Item]) -> int:
    return sum(len(item) for item in items if isinstance(item, bytes))


def _size_decimals(snapshot: Snapshot) -> dict[str, int]:
    """Return the decimals that the sizes of each coin have: the files do not tell its grid."""
    found = {}
    for name, orders in snapshot.coins.items():
        sizes = [order.size for side in (orders.bids, orders.asks) for order in side]
        decimals = 0
        while decimals < DECIMALS and any(size % 10 ** (DECIMALS - decimals) for size in sizes):
            decimals += 1
        found[name] = decimals
    return found


def _of_accounts(
    told: NodeBlock | Late, followed: Collection[Address]
) -> Iterator[tuple[Address, object]]:
    """Yield what concerns the accounts that somebody follows: most are nobody's business."""
    if not followed:
        return
    for status in told.statuses:
        if status.user in followed:
            yield Address(status.user), status
    for fill in told.fills:
        if fill.user in followed:
            yield Address(fill.user), fill
    for misc in told.misc:
        yield from entries_of(misc, told.time_ms, followed)
