"""Auto-deleveraging: who on the other side must give up a position, and how much of it.

Those who profited most, with the most leverage, come first. A long position ranks by
(mark / entry) * (notional / account value), a short one by (entry / mark) * (notional / account
value); the value of an isolated position is its own. Equal ranks are ordered by address. The
ranking of a market's side is made when it is first needed in a command and holds while the command
lasts; each candidate is looked at again when its turn comes. When all were asked it is made again,
RANKINGS_MAX times at most, since the liquidations of the same command make new candidates.

Nobody is made to pay for it: at a price worse than the mark price a candidate gives up no more than
what its loss leaves worth something.

Source: Hyperliquid documentation, auto-deleveraging; the ranking of shorts mirrors that of longs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model.accounts import Account, Position
from model.ids import Address, AssetId
from model.margin import equity, refresh
from model.markets import Market

if TYPE_CHECKING:
    from model.matching import MatchingEngine

RANK_SCALE: Final = 2**64
"""Ranks are integers of this fraction, so that close ones are told apart."""

RANKINGS_MAX: Final = 4
"""How often a side of a market is ranked within one command."""


class Deleveraging:
    """The candidates of one command."""

    def __init__(self, engine: MatchingEngine) -> None:
        self._engine = engine
        self._queues: dict[tuple[AssetId, bool], list[Address]] = {}
        self._rankings: dict[tuple[AssetId, bool], int] = {}

    def next(
        self, market: Market, *, of_longs: bool, price: int, but: Address
    ) -> tuple[Account, Position, int] | None:
        """Return who gives up how many lots next, at a price; ``None`` if nobody can.

        Args:
            market: where.
            of_longs: whether candidates are long.
            price: what they get, in ticks.
            but: an account that is no candidate, because it is the one that is liquidated.
        """
        asset = market.instrument.asset
        key = asset, of_longs
        while True:
            queue = self._queues.get(key)
            if not queue:
                if self._rankings.get(key, 0) >= RANKINGS_MAX:
                    return None
                self._rankings[key] = self._rankings.get(key, 0) + 1
                queue = self._queues[key] = self._ranked(market, of_longs=of_longs)
                if not queue:
                    return None
            account = self._engine.accounts[queue[-1]]
            position = account.positions[asset]
            if account.address != but and position.size and (position.size > 0) is of_longs:
                lots = self._bearable(market, account, position, price)
                if lots:
                    return account, position, lots
            queue.pop()

    def _bearable(self, market: Market, account: Account, position: Position, price: int) -> int:
        sign = 1 if position.size > 0 else -1
        loss = sign * (market.mark - price)
        if loss <= 0:
            return abs(position.size)
        return min(abs(position.size), max(0, self._worth(market, account, position)) // loss)

    def _worth(self, market: Market, account: Account, position: Position) -> int:
        if not position.is_cross:
            return equity(position, market.mark)
        if account.epoch != self._engine.epoch:
            refresh(account, self._engine.markets, self._engine.epoch)
        return account.value

    def _ranked(self, market: Market, *, of_longs: bool) -> list[Address]:
        """Return all positions of one side, the first to give up at the end."""
        ranks = [
            (self._rank(market, address, position), address)
            for address, position in market.holders.items()
            if (position.size > 0) is of_longs
        ]
        ranks.sort(key=lambda entry: entry[1], reverse=True)
        ranks.sort(key=lambda entry: entry[0])
        return [address for _, address in ranks]

    def _rank(self, market: Market, address: Address, position: Position) -> int:
        worth = self._worth(market, self._engine.accounts[address], position)
        if worth <= 0:
            return 0
        notional = abs(position.size) * market.mark
        entry = max(1, abs(position.entry_notional))
        if position.size > 0:
            return notional * notional * RANK_SCALE // (entry * worth)
        return entry * RANK_SCALE // worth
