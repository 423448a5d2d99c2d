"""What must hold of margin, marks and liquidation between any two commands, from scratch.

Written down a second time on purpose, without the functions that the machine itself uses.
"""

from __future__ import annotations

from fractions import Fraction

from model.accounts import Account, Position
from model.errors import require
from model.exchange import Exchange
from model.ids import AssetId
from model.instruments import Instrument
from model.markets import NEVER_DUE, Market


def check_margin(exchange: Exchange) -> None:
    """Check everything of that kind.

    Raises:
        BrokenInvariantError: naming the first thing that does not hold.
    """
    engine = exchange.engine
    require(not engine.watch.touched, "accounts were touched and not looked at")
    for account in engine.accounts.values():
        for asset, position in account.positions.items():
            _check_position(engine.markets[asset], account, asset, position)
        _check_totals(exchange, account)
        _check_health(exchange, account)
    for market in engine.markets:
        _check_holders(exchange, market)


def _check_position(market: Market, account: Account, asset: AssetId, position: Position) -> None:
    where = f"{account.address} in market {asset}"
    most = market.instrument.max_leverage
    require(1 <= position.leverage <= most, f"{where}: leverage {position.leverage} of {most}")
    require(
        not position.is_cross or not position.isolated_usd,
        f"{where}: a cross position has money of its own",
    )
    require(
        position.size != 0 or position.isolated_usd == 0,
        f"{where}: nothing is held but {position.isolated_usd} of margin",
    )
    require(
        account.has_isolated or position.is_cross, f"{where}: is isolated and is not looked for"
    )


# ---- initial margin ------------------------------------------------------------------------------


def _tier_leverage(instrument: Instrument, notional: int) -> int:
    fitting = [tier for tier in instrument.tiers if tier.lower_bound <= notional]
    return fitting[-1].max_leverage


def demanded(market: Market, position: Position) -> int:
    """Return the initial margin that a market demands of the pool."""
    bought = position.size + position.resting_buys
    sold = position.size - position.resting_sells
    lots = max(bought, -sold)
    notional = lots * market.mark
    leverage = min(position.leverage, _tier_leverage(market.instrument, notional))
    if not position.is_cross:
        added_long = max(bought, 0) - max(position.size, 0)
        added_short = max(-sold, 0) - max(-position.size, 0)
        notional = max(added_long, added_short, 0) * market.mark
    return (notional + leverage - 1) // leverage


def _check_totals(exchange: Exchange, account: Account) -> None:
    """The kept totals, where they are current, equal the same from scratch."""
    engine = exchange.engine
    if account.epoch != engine.epoch:
        return
    value, required = account.cash, 0
    for asset, position in account.positions.items():
        market = engine.markets[asset]
        if position.is_cross:
            value += position.size * market.mark
        margin = demanded(market, position)
        require(position.margin == margin, f"{account.address}: margin in market {asset} is off")
        required += margin
    require(account.value == value, f"{account.address}: keeps value {account.value}, has {value}")
    require(account.required == required, f"{account.address}: kept demand is not {required}")


# ---- maintenance margin --------------------------------------------------------------------------


def maintenance(instrument: Instrument, notional: int) -> int:
    """Return the maintenance margin of a position of this notional."""
    fitting = [tier for tier in instrument.tiers if tier.lower_bound <= notional]
    rates = [Fraction(1, 2 * tier.max_leverage) for tier in fitting]
    deduction = sum(
        (
            tier.lower_bound * (rate - before)
            for tier, rate, before in zip(fitting[1:], rates[1:], rates[:-1], strict=True)
        ),
        Fraction(0),
    )
    gross = notional * rates[-1]
    return -int(-gross // 1) - int(deduction)


def _check_health(exchange: Exchange, account: Account) -> None:
    """Whoever is below the maintenance margin is known to be, and is tried again."""
    engine = exchange.engine
    value, needed = account.cash, 0
    healthy = True
    for asset, position in account.positions.items():
        market = engine.markets[asset]
        own = maintenance(market.instrument, abs(position.size) * market.mark)
        if position.is_cross:
            value += position.size * market.mark
            needed += own
        else:
            healthy &= position.isolated_usd + position.size * market.mark >= own
    healthy &= value >= needed
    require(
        healthy or account.address in engine.watch.ailing,
        f"{account.address}: below its maintenance margin and nobody noticed",
    )
    holds = any(position.size for position in account.positions.values())
    require(holds or value >= 0, f"{account.address}: holds nothing and owes {-value}")


# ---- indexes -------------------------------------------------------------------------------------


def _check_holders(exchange: Exchange, market: Market) -> None:
    """A market's index has exactly those who hold something, each under its own position."""
    asset, name = market.instrument.asset, market.instrument.name
    held = {
        account.address: account.positions[asset]
        for account in exchange.engine.accounts.values()
        if asset in account.positions and account.positions[asset].size
    }
    require(held == market.holders, f"{name}: the index of holders is wrong")
    entered = set(market.looks)
    for address, position in held.items():
        require(
            position.due == NEVER_DUE or (position.due, address) in entered,
            f"{name}: {address} is to be looked at and is not entered",
        )
