"""Which accounts must be looked at after prices moved: none that a move cannot have hurt.

An account that has slack, its value less its maintenance margin, can bear some movement of the
prices before it runs out of it. When it is looked at, its slack is spread over its positions, so
that each of their markets may move by the same fraction of its price:

    distance(market) = slack * mark / sum over positions of |size| * mark * (1 + maintenance rate)

in ticks, rounded down, and the account is entered in each of those markets under the market's
*travel* so far plus that distance plus one. A market's travel is the sum of all its movements, up
and down alike, so it never falls, and the price is never further away from where it was than the
market has travelled since. Each market keeps these entries in a heap. After a move, those whose
travel has been reached are taken from the top and looked at; nobody else is.

*None can be missed.* As long as no entry of an account was reached, each of its markets has
travelled no further than its distance. A move of one tick takes |size| off its value at most, and
adds |size| times the largest maintenance rate of the market to its maintenance margin at most, up
to two micro-USD of rounding for each position, which are taken off the slack beforehand. The sum
over all positions is then no more than the slack, by the formula above. Everything else that makes
an account worth less (a trade, a payment, funding) enters it in ``touched``, and whoever is there
is looked at as well.

The entry of a position that must be looked at sooner than necessary may stay where it is. It is
replaced only when it would come in less than half the distance, so accounts that trade all the time
do not fill the heaps. Replaced entries are recognised by ``Position.due`` and dropped when they
come up, or when they make up most of a heap.

An isolated position is spread over its own market only.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from model.accounts import Account, Position
from model.ids import Address, AssetId
from model.margin import equity
from model.markets import NEVER_DUE, Market

ROUNDING_MAX: Final = 2
"""Micro-USD by which the rounded maintenance margin of one position may jump."""

LOOKS_BEYOND_HOLDERS_MAX: Final = 64
"""Entries that a heap may have beyond twice the holders of its market before it is cleared out."""


class Watch:
    """Who is to be looked at.

    ``touched`` are the accounts whose worth the command being executed has changed. ``pending`` are
    those whose distances are out of date, and ``ailing`` those that are below their maintenance
    margin and could not be helped yet; both are looked at after the next move. ``cooling`` are
    accounts and their isolated positions (``None`` for all cross positions) of which a part was
    liquidated, with the time (ms) until which the rest is left alone.
    """

    __slots__ = ("ailing", "cooling", "pending", "touched")

    def __init__(self) -> None:
        self.touched: set[Address] = set()
        self.pending: set[Address] = set()
        self.ailing: set[Address] = set()
        self.cooling: dict[tuple[Address, AssetId | None], int] = {}

    def reached(self, markets: Sequence[Market]) -> set[Address]:
        """Take all entries from the heaps that the markets' travel has reached."""
        found: set[Address] = set()
        for market in markets:
            looks = market.looks
            while looks and looks[0][0] <= market.travel:
                due, address = heappop(looks)
                position = market.holders.get(address)
                if position is not None and position.due == due:
                    position.due = NEVER_DUE
                    found.add(address)
        return found

    def enter(self, account: Account, markets: Sequence[Market]) -> None:
        """Enter an account that is at or above its maintenance margin everywhere.

        Its totals must be current.
        """
        slack, spread = account.value, 0
        cross: list[tuple[Market, Position]] = []
        for asset, position in account.positions.items():
            if not position.size:
                continue
            market = markets[asset]
            notional = abs(position.size) * market.mark
            weight = notional - notional // -market.margins.movement_divisor
            if position.is_cross:
                slack -= market.margins.maintenance(notional) + ROUNDING_MAX
                spread += weight
                cross.append((market, position))
            else:
                own = equity(position, market.mark) - market.margins.maintenance(notional)
                _enter(account.address, market, position, own - ROUNDING_MAX, weight)
        for market, position in cross:
            _enter(account.address, market, position, slack, spread)


def _enter(account: Address, market: Market, position: Position, slack: int, spread: int) -> None:
    distance = max(0, slack) * market.mark // spread
    due = market.travel + distance + 1
    if position.due <= due and 2 * (position.due - market.travel) >= distance:
        return
    position.due = due
    heappush(market.looks, (due, account))
    if len(market.looks) > 2 * len(market.holders) + LOOKS_BEYOND_HOLDERS_MAX:
        holders = market.holders
        market.looks = [
            (held.due, address) for address, held in holders.items() if held.due != NEVER_DUE
        ]
        heapify(market.looks)
