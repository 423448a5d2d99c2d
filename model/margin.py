"""Margin: what an account must be worth to hold its positions and have its orders resting.

**Initial margin.** In each market the worse of two cases is assumed: all resting buys fill, or all
resting sells do (reduce-only orders cannot make a position larger and are left out). The larger
position of the two, at the mark price, divided by the account's leverage there and rounded up, is
what the market demands. Cross positions share one pool: the account's value, unrealised profit
included, must cover the sum. An isolated position has paid its margin into a ledger of its own, so
only what its orders could add to it is demanded of the pool.

**Tiers.** Larger positions are allowed less leverage. An order must fit the tier of what it could
lead to (``Position.notional_max``). A position that outgrew its tier because the price rose is
demanded the margin of the tier it is in. So the initial margin is always at least twice the
maintenance margin, and an account that covers its demand need not be asked about its maintenance.

**Maintenance margin.** Half the initial margin at the largest leverage of the tier, less a
deduction that makes it continuous at the tier's lower bound. Who has less is liquidated
(``model.liquidation``).

**What is asked when.** Only what makes the demand larger is asked for: an order that closes is
never refused for margin. At each trade both sides are asked again with the price that was found
(``can_carry``), since a trade away from the mark costs its difference at once.

**How it is kept.** Each account keeps its value and its demand as totals, adjusted with every order
and trade. A move of a mark price would have to visit every account, so it only advances the
exchange's epoch; an account is brought up to date (``refresh``) when it is next looked at. An idle
account costs nothing; ``model.watch`` finds those that a move could have hurt.

Source: Hyperliquid documentation, margining; margin tiers; contract specifications.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.accounts import Account, Position
from model.markets import Market
from model.tiers import leverage_max

# ---- initial margin ------------------------------------------------------------------------------


def demand(position: Position, mark: int) -> int:
    """Return the initial margin that one market demands of the pool, rounded up."""
    worst = position.size + position.resting_buys
    other = position.resting_sells - position.size
    if other > worst:  # noqa: PLR1730 - a call of max() costs as much as the rest
        worst = other
    if position.is_cross and worst * mark <= position.notional_max:
        return -(worst * mark // -position.leverage)
    return demand_of(position, mark, position.size, position.resting_buys, position.resting_sells)


def demand_of(position: Position, mark: int, size: int, buys: int, sells: int) -> int:
    """Return the same for another size and other resting lots, whatever kind and tier."""
    longest, shortest = size + buys, sells - size
    leverage = leverage_at(position, max(longest, shortest) * mark)
    if position.is_cross:
        return -(max(longest, shortest) * mark // -leverage)
    added = max(longest - max(size, 0), shortest - max(-size, 0))
    return -(added * mark // -leverage)


def leverage_at(position: Position, notional: int) -> int:
    """Return the leverage that counts for a position of this notional in its market."""
    if notional <= position.notional_max:
        return position.leverage
    return min(position.leverage, leverage_max(position.tiers, notional))


# ---- maintenance margin --------------------------------------------------------------------------


def cross_maintenance(account: Account, markets: Sequence[Market]) -> int:
    """Return the maintenance margin of all cross positions."""
    total = 0
    for asset, position in account.positions.items():
        if position.size and position.is_cross:
            market = markets[asset]
            total += market.margins.maintenance(abs(position.size) * market.mark)
    return total


def equity(position: Position, mark: int) -> int:
    """Return what an isolated position is worth."""
    return position.isolated_usd + position.size * mark


# ---- kept totals ---------------------------------------------------------------------------------


def refresh(account: Account, markets: Sequence[Market], epoch: int) -> None:
    """Compute the kept totals of an account anew, for the marks of this epoch."""
    value = account.cash
    required = 0
    for asset, position in account.positions.items():
        mark = markets[asset].mark
        if position.is_cross:
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


# ---- trades --------------------------------------------------------------------------------------


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
    if not position.is_cross:
        return _can_carry_isolated(
            account, position, mark, signed_lots, price=price, fee=fee, from_resting=from_resting
        )
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
    notional = max(size + buys, sells - size) * mark
    margin = -(notional // -leverage_at(position, notional))
    return value >= account.required + margin - position.margin


def _can_carry_isolated(
    account: Account,
    position: Position,
    mark: int,
    signed_lots: int,
    *,
    price: int,
    fee: int,
    from_resting: int,
) -> bool:
    """Tell the same of an isolated position.

    What closes is judged by the position's own worth: a loss against the mark may not take that
    below zero. What opens must find the margin that it posts in the pool, beyond what the pool is
    demanded for everything else.
    """
    posted = isolated_transfer(position, mark, signed_lots, price)
    size = position.size + signed_lots
    if size * position.size < 0 or abs(size) < abs(position.size):
        closed = min(abs(signed_lots), abs(position.size)) * (1 if signed_lots > 0 else -1)
        loss = closed * (price - mark)
        if loss > 0 and equity(position, mark) < loss:
            return False
        if abs(size) <= abs(position.size) and size * position.size >= 0:
            return True
    buys, sells = position.resting_buys, position.resting_sells
    if signed_lots > 0:
        buys -= from_resting
    else:
        sells -= from_resting
    demanded = account.required - position.margin + demand_of(position, mark, size, buys, sells)
    return account.value - posted - fee >= demanded


def isolated_transfer(position: Position, mark: int, signed_lots: int, price: int) -> int:
    """Return what a trade moves from the pool into an isolated position, negative if out of it.

    A part that closes takes along its share of what the position is worth after the trade, rounded
    down; the last part takes everything. A position worth less than nothing releases nothing. What
    opens posts its value at the leverage, rounded up, and at least what makes the position worth
    its initial margin at the mark price, so a trade at a bad price is paid by who makes it.
    """
    size = position.size
    worth = position.isolated_usd + size * mark
    moved = 0
    if size * signed_lots < 0:
        closed = min(abs(signed_lots), abs(size))
        worth -= (closed if signed_lots > 0 else -closed) * (price - mark)
        released = max(0, worth * closed // abs(size))
        moved -= released
        worth -= released
        signed_lots += closed if signed_lots < 0 else -closed
        size += -closed if size > 0 else closed
    if signed_lots:
        size += signed_lots
        worth -= signed_lots * (price - mark)
        leverage = leverage_at(position, abs(size) * mark)
        posted = -(abs(signed_lots) * price // -leverage)
        lacking = -(abs(size) * mark // -leverage) - worth
        moved += max(posted, lacking)
    return moved


def withdrawable(account: Account, markets: Sequence[Market]) -> int:
    """Return what may be sent away: value beyond the demand and beyond a tenth of all positions.

    Isolated positions have their margin elsewhere and do not count.
    """
    notional = sum(
        abs(position.size) * markets[asset].mark
        for asset, position in account.positions.items()
        if position.is_cross
    )
    return max(0, account.value - max(account.required, -(notional // -10)))
