"""The ticker: the newest context of every market, and the streams that show all of them.

Markets write their numbers onto the board as they change; whoever needs marks or mids of all
markets reads them there, without asking each market. The ticker actor is only the pace of the
streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Final, Protocol

import trio
from attrs import Factory, define, field

from actors.channels import Channel, Channels, Subscribe
from actors.fanout import publish
from actors.frames import Frame
from actors.throttle import Throttle
from model.ids import SPOT_ASSETS_FROM, AssetId
from model.views.market import MarketContext
from supervision import Actor

MIDS_SECONDS: Final = 0.5
MIDS_REPEAT_SECONDS: Final = 5.0
CONTEXTS_SECONDS: Final = 1.0
CONTEXT_KINDS: Final = ("assetCtxs", "spotAssetCtxs", "allDexsAssetCtxs")
_MIDS: Final = Channel("allMids")


@define(eq=False)
class Board:
    """The newest context of each market. Written by the market actors only; everyone may read."""

    contexts: dict[AssetId, MarketContext] = field(factory=dict)
    changes: int = 0

    def show(self, asset: AssetId, context: MarketContext) -> None:
        """Put a market's newest numbers up."""
        self.contexts[asset] = context
        self.changes += 1

    def perps(self) -> list[MarketContext]:
        """Return the contexts of perpetuals by asset id, up to the first that has not shown any."""
        return self._from(AssetId(0))

    def pairs(self) -> list[MarketContext]:
        """Return the contexts of spot pairs in the same way."""
        return self._from(SPOT_ASSETS_FROM)

    def marks(self) -> list[int]:
        """Return the mark prices of perpetuals, in ticks, by asset id."""
        return [context.mark for context in self.perps()]

    def _from(self, first: AssetId) -> list[MarketContext]:
        contexts = self.contexts
        shown = takewhile(contexts.__contains__, map(AssetId, count(first)))
        return [contexts[asset] for asset in shown]


class TickerFrames(Protocol):
    """How the ticker's news looks on the wire."""

    def all_mids(self, contexts: Mapping[AssetId, MarketContext]) -> Frame:
        """Encode the mid price of every market."""
        ...

    def contexts(self, channel: Channel, board: Board) -> Frame | None:
        """Encode what a channel shows of all contexts; None if it is not such a channel."""
        ...


@define
class Ticker(Actor):
    """Publishes ``allMids`` and the contexts of all markets from the board.

    On change it does so at most every MIDS_SECONDS and CONTEXTS_SECONDS, without one every
    MIDS_REPEAT_SECONDS.
    """

    board: Board
    frames: TickerFrames
    channels: Channels
    _mids: Throttle = Factory(lambda: Throttle(MIDS_SECONDS, MIDS_REPEAT_SECONDS))
    _contexts: Throttle = Factory(lambda: Throttle(CONTEXTS_SECONDS, MIDS_REPEAT_SECONDS))
    _seen: int = field(init=False, default=-1)

    async def init(self) -> None:
        """Start the pace."""
        self.channels.epoch += 1
        self.context.set_timer("publish", MIDS_SECONDS, None)

    async def handle(self, message: object) -> object:
        """Serve subscribers; any other message is the timer's."""
        match message:
            case Subscribe(channel, subscription):
                self.channels.add(channel, subscription)
                frame = self._frame(channel)
                if frame is not None:
                    subscription.offer(frame)
            case _:
                self._publish()
        return None

    def _publish(self) -> None:
        if self.board.changes != self._seen:
            self._seen = self.board.changes
            self._mids.change()
            self._contexts.change()
        now = trio.current_time()
        if self._mids.is_due(now):
            self._publish_kinds((_MIDS.kind,))
        if self._contexts.is_due(now):
            self._publish_kinds(CONTEXT_KINDS)
        self.context.set_timer("publish", MIDS_SECONDS, None)

    def _publish_kinds(self, kinds: Sequence[str]) -> None:
        for kind in kinds:
            for channel in list(self.channels.of_kind(kind)):
                frame = self._frame(channel)
                if frame is not None:
                    publish(list(self.channels.of(channel)), frame)

    def _frame(self, channel: Channel) -> Frame | None:
        if channel == _MIDS:
            return self.frames.all_mids(self.board.contexts)
        return self.frames.contexts(channel, self.board)
