"""The gateway beside a node, as the routes see it: whom to ask for what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import Factory, define

from actors.channels import Channels, ChannelsByKey, Subscribe
from actors.connections import Connections
from actors.market import ReadMarketView
from actors.node.account import SERVED, NodeAccountView, ReadAccount
from actors.node.feeds import ALL
from actors.node.follower import Follow
from actors.node.status import NodeStatus
from actors.outlet import FanoutCounts
from actors.subscription import Ended, Subscription
from actors.subscription_actor import wake
from actors.telemetry import Telemetry
from actors.ticker import Board
from api.node.wire import NodeMarketWire, NodeTickerWire, node_instrument
from api.subscriptions import CONTEXT_CHANNELS, NODE_CHANNELS, Wanted, channel_of
from model.ids import Address, AssetId
from model.node.views import NodeMarketView
from supervision import Address as ActorAddress
from supervision import Pool, PoolFull, Registry, State

ResultT = TypeVar("ResultT")


@define(eq=False)
class NodeGateway:
    """Whom to ask for what; see ``api.surface.Surface``."""

    registry: Registry
    telemetry: Telemetry
    status: NodeStatus = Factory(NodeStatus)
    board: Board = Factory(Board)
    connections: Connections = Factory(Connections)
    counts: FanoutCounts = Factory(FanoutCounts)
    market_channels: ChannelsByKey[AssetId] = Factory(ChannelsByKey)
    account_channels: ChannelsByKey[Address] = Factory(ChannelsByKey)
    feed_channels: ChannelsByKey[str] = Factory(ChannelsByKey)
    ticker_channels: Channels = Factory(Channels)
    is_draining: bool = False
    _wires: dict[str, NodeMarketWire] = Factory(dict)

    @property
    def markets(self) -> Pool[AssetId]:
        """The actors of coins, by number."""
        return self.registry.pool("markets")

    @property
    def accounts(self) -> Pool[Address]:
        """The actors of accounts, by address."""
        return self.registry.pool("accounts")

    @property
    def follower(self) -> ActorAddress:
        """The follower."""
        return self.registry.address("source/follower")

    @property
    def ticker_wire(self) -> NodeTickerWire:
        """Frames of the ticker."""
        return NodeTickerWire(self.status.coins)

    def wire(self, coin: str) -> NodeMarketWire:
        """Return the frames of a coin."""
        wire = self._wires.get(coin)
        if wire is None:
            asset = self.status.assets[coin]
            wire = self._wires[coin] = NodeMarketWire(node_instrument(asset, coin))
        return wire

    def why_not_ready(self) -> str:
        """Tell why the gateway should not be given traffic; nothing if it should."""
        if self.is_draining:
            return "stopping"
        for path in ("source/follower", "router", "services/ticker"):
            state = self.registry.address(path).state
            if state is not State.RUNNING:
                return f"{path} is {state.value}"
        return self.status.why_not_ready(time.time_ns() // 1_000_000)

    # -- what only looks

    async def read_market(
        self, asset: AssetId, read: Callable[[NodeMarketView], ResultT]
    ) -> ResultT:
        """Return the result of a pure function of a coin's view."""
        question = ReadMarketView(read)  # type: ignore[arg-type]  # a node's view in its place
        result: ResultT = await self.markets.address(asset).ask(question)
        return result

    async def read_account(
        self, account: Address, read: Callable[[NodeAccountView], ResultT]
    ) -> ResultT:
        """Return the result of a pure function of an account's view."""
        result: ResultT = await self.accounts.address(account).ask(ReadAccount(read))
        return result

    # -- subscriptions

    def knows_subject(self, wanted: Wanted) -> bool:
        """Tell whether the coin that a subscription names exists, and its channel is served."""
        if wanted.user is not None:
            return wanted.channel in SERVED
        if wanted.channel in CONTEXT_CHANNELS:
            return False
        if wanted.channel == "bookDiffs" and wanted.coin == ALL:
            return True
        return wanted.coin is None or wanted.coin in self.status.assets

    def wake_subscription(self, subscription: Subscription) -> bool:
        """Have a subscription drained whose client fell behind; false if nobody can."""
        return wake(self.registry.pool("subscriptions"), subscription)

    def subscribe(self, wanted: Wanted, subscription: Subscription) -> bool:
        """Begin a subscription; false if its publisher takes no more messages, or there is none."""
        channel = channel_of(wanted)
        try:
            if wanted.channel in NODE_CHANNELS:
                message: Any = Follow(channel, wanted.coin or ALL, subscription, wanted.resume)
                return bool(self.follower.tell(message))
            return bool(self._publisher(wanted).tell(Subscribe(channel, subscription)))
        except PoolFull:
            return False

    def unsubscribe(self, wanted: Wanted, subscription: Subscription) -> None:
        """End a subscription's supply of frames."""
        channels = self._channels(wanted)
        if channels is not None:
            channels.discard(channel_of(wanted), subscription)
        if wanted.channel in NODE_CHANNELS:
            self.feed_channels.drop_if_empty(wanted.coin or ALL)
        elif wanted.user is not None and not self._is_running(wanted.user):
            self.account_channels.drop_if_empty(wanted.user)

    def give_up(self, path: str) -> None:
        """End the subscriptions of a publisher that stays down."""
        pool, _, key = path.partition("/")
        channels: Channels | None = None
        if pool == "markets":
            channels = self.market_channels.get(AssetId(int(key)))
        elif pool == "accounts":
            channels = self.account_channels.get(Address(key))
        if channels is not None:
            channels.end_all(Ended.CRASHED)

    def _publisher(self, wanted: Wanted) -> ActorAddress:
        if wanted.user is not None:
            return self.accounts.address(wanted.user)
        if wanted.coin is not None:
            return self.markets.address(self.status.assets[wanted.coin])
        return self.registry.address("services/ticker")

    def _channels(self, wanted: Wanted) -> Channels | None:
        if wanted.channel in NODE_CHANNELS:
            return self.feed_channels.get(wanted.coin or ALL)
        if wanted.user is not None:
            return self.account_channels.get(wanted.user)
        if wanted.coin is not None:
            return self.market_channels.get(self.status.assets[wanted.coin])
        return self.ticker_channels

    def _is_running(self, account: Address) -> bool:
        actor = self.accounts.get(account)
        return actor is not None and actor.state not in (State.IDLE, State.STOPPED, State.FAILED)
