"""Margin: what an account must be worth to hold its positions and have its orders resting.

**What is demanded.** In each market the worse of two cases is assumed: all resting buys fill, or
all resting sells do (reduce-only orders cannot make a position larger and are left out). The larger
position of the two, at the mark price, divided by the account's leverage there and rounded up, is
what the market demands. Positions share one pool: the account's value, unrealised profit included,
must cover the sum.

**What is asked when.** Only what makes the demand larger is asked for: an order that closes is
never refused for margin. At each trade both sides are asked again with the price that was found
(``can_carry``), since a trade away from the mark costs its difference at once.

**How it is kept.** Each account keeps its value and its demand as totals, adjusted with every order
and trade. An oracle move would have to visit every account, so it only advances the exchange's
epoch; an account is brought up to date (``refresh``) when it is next looked at. An idle account
costs nothing.

Liquidation belongs here when it comes: the same totals with the maintenance rate, looked at after
each oracle move.

Source: Hyperliquid documentation, margining; contract specifications.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.accounts import Account, Position
from model.markets import Market


def demand(position: Position, mark: int) -> int:
    """Return the initial margin that one market demands, rounded up."""
    worst = position.size + position.resting_buys
    other = position.resting_sells - position.size
    if other > worst:  # noqa: PLR1730 - a call of max() costs as much as the rest
        worst = other
    return -(worst * mark // -position.leverage)


def refresh(account: Account, markets: Sequence[Market], epoch: int) -> None:
    """Compute the kept totals of an account anew, for the marks of this epoch."""
    value = account.cash
    required = 0
    for asset, position in account.positions.items():
        mark = markets[asset].mark
        value += position.size * mark
        position.margin = demand(position, mark)
        required += position.margin
    account.value = value
    account.required = required
    account.epoch = epoch


def adjust(account: Account, position: Position, mark: int) -> None:
    """Bring the kept demand in line after a position's size or resting lots changed.

    Totals of an earlier epoch stay as worthless as they were, which does no harm.
    """
    margin = demand(position, mark)
    account.required += margin - position.margin
    position.margin = margin


def can_carry(
    account: Account,
    position: Position,
    *,
    mark: int,
    signed_lots: int,
    price: int,
    fee: int,
    from_resting: int = 0,
) -> bool:
    """Tell whether an account, whose totals must be current, may make a trade at this price.

    A trade that makes the position larger, or turns it into a larger one, must leave the value
    covering the demand. One that reduces it must not lose the account more than it has: what it
    loses against the mark may not take the value below zero. ``from_resting`` is how many of the
    lots are counted as resting until now.
    """
    loss = signed_lots * (price - mark)
    value = account.value - loss - fee
    size = position.size + signed_lots
    if abs(size) <= abs(position.size):
        return loss <= 0 or value >= 0
    buys, sells = position.resting_buys, position.resting_sells
    if signed_lots > 0:
        buys -= from_resting
    else:
        sells -= from_resting
    margin = -(max(size + buys, sells - size) * mark // -position.leverage)
    return value >= account.required + margin - position.margin


def withdrawable(account: Account, markets: Sequence[Market]) -> int:
    """Return what may be sent away: value beyond the demand and beyond a tenth of all positions."""
    notional = sum(
        abs(position.size) * markets[asset].mark for asset, position in account.positions.items()
    )
    return max(0, account.value - max(account.required, -(notional // -10)))
