"""The ticker: the newest context of every market, and the stream of all mids.

Markets write their numbers onto the board as they change; whoever needs marks or mids of all
markets reads them there, without asking each market. The ticker actor is only the pace of the
``allMids`` stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Final, Protocol

import trio
from attrs import Factory, define, field

from actors.channels import Channel, Channels, Subscribe
from actors.fanout import publish
from actors.frames import Frame
from actors.throttle import Throttle
from model.ids import AssetId
from model.views.market import MarketContext
from supervision import Actor

MIDS_SECONDS: Final = 0.5
MIDS_REPEAT_SECONDS: Final = 5.0
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

    def in_order(self) -> list[MarketContext]:
        """Return the contexts by asset id, up to the first market that has not shown any."""
        contexts = self.contexts
        shown = takewhile(contexts.__contains__, map(AssetId, count()))
        return [contexts[asset] for asset in shown]

    def marks(self) -> list[int]:
        """Return the mark prices, in ticks, by asset id."""
        return [context.mark for context in self.in_order()]


class TickerFrames(Protocol):
    """How the ticker's news looks on the wire."""

    def all_mids(self, contexts: Mapping[AssetId, MarketContext]) -> Frame:
        """Encode the mid price of every market."""
        ...


@define
class Ticker(Actor):
    """Publishes ``allMids`` from the board.

    On change it does so at most every MIDS_SECONDS, without one every MIDS_REPEAT_SECONDS.
    """

    board: Board
    frames: TickerFrames
    channels: Channels
    _throttle: Throttle = Factory(lambda: Throttle(MIDS_SECONDS, MIDS_REPEAT_SECONDS))
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
                subscription.offer(self.frames.all_mids(self.board.contexts))
            case _:
                self._publish()
        return None

    def _publish(self) -> None:
        if self.board.changes != self._seen:
            self._seen = self.board.changes
            self._throttle.change()
        if self._throttle.is_due(trio.current_time()) and (subscribers := self.channels.of(_MIDS)):
            publish(subscribers, self.frames.all_mids(self.board.contexts))
        self.context.set_timer("publish", MIDS_SECONDS, None)
