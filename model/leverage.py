"""Leverage and kind of margin of a market, and money in and out of isolated positions.

The kind cannot change while something is held. A smaller leverage is granted where the account
could have come to where it is under it: a cross position must find what it then demands in the
pool, an isolated one in what it is worth. A larger leverage releases nothing from an isolated
position. What is taken out of one must leave it its initial margin and a tenth of its notional, as
withdrawals must leave the pool.

Source: Hyperliquid documentation, margining; exchange endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.accounts import Account, Position
from model.commands import TopUpIsolatedMargin, UpdateIsolatedMargin, UpdateLeverage
from model.events import Event, IsolatedMarginMoved, LeverageUpdated
from model.ids import AssetId
from model.instruments import MarginMode
from model.margin import adjust, demand, equity, refresh
from model.markets import Market
from model.refusals import Refusal
from model.tiers import notional_max
from model.units import E8

if TYPE_CHECKING:
    from model.matching import MatchingEngine


def update_leverage(
    engine: MatchingEngine, account: Account, command: UpdateLeverage
) -> list[Event] | Refusal:
    """Choose leverage and kind of margin in one market."""
    market = _market(engine, command.asset)
    if market is None:
        return Refusal.ASSET_UNKNOWN
    instrument = market.instrument
    if command.is_cross and instrument.margin_mode is not MarginMode.ANY:
        return Refusal.CROSS_NOT_ALLOWED
    if not 1 <= command.leverage <= instrument.max_leverage:
        return Refusal.LEVERAGE_INVALID
    _refresh(engine, account)
    position = account.position(market)
    if position.size and position.is_cross is not command.is_cross:
        return Refusal.LEVERAGE_TYPE_LOCKED
    if _exceeds_tier(market, position, command.leverage):
        return Refusal.LEVERAGE_INVALID
    if _isolated_lacks(market, position, command.leverage):
        return Refusal.ISOLATED_NEEDS_MARGIN
    before = position.leverage, position.is_cross
    position.choose(command.leverage, is_cross=command.is_cross)
    added = demand(position, market.mark) - position.margin
    if added > 0 and account.value < account.required + added:
        position.choose(before[0], is_cross=before[1])
        return Refusal.LEVERAGE_NEEDS_MARGIN
    account.has_isolated |= not command.is_cross
    adjust(account, position, market.mark)
    return [
        LeverageUpdated(account.address, command.asset, command.is_cross, command.leverage),
    ]


def _exceeds_tier(market: Market, position: Position, leverage: int) -> bool:
    """Tell whether a larger leverage is more than what is held or resting may have."""
    if leverage <= position.leverage:
        return False
    longest = position.size + position.resting_buys
    shortest = position.resting_sells - position.size
    return max(longest, shortest) * market.mark > notional_max(position.tiers, leverage)


def _isolated_lacks(market: Market, position: Position, leverage: int) -> bool:
    """Tell whether an isolated position is not worth its margin at a smaller leverage."""
    if position.is_cross or not position.size or leverage >= position.leverage:
        return False
    notional = abs(position.size) * market.mark
    return equity(position, market.mark) < -(notional // -leverage)


def update_isolated_margin(
    engine: MatchingEngine, account: Account, command: UpdateIsolatedMargin
) -> list[Event] | Refusal:
    """Move money from the pool into an isolated position, or back."""
    found = _isolated(engine, account, command.asset)
    if isinstance(found, Refusal):
        return found
    market, position = found
    if not command.usd:
        return Refusal.MARGIN_MOVE_ZERO
    if command.usd < 0:
        if market.instrument.margin_mode is MarginMode.STRICT_ISOLATED:
            return Refusal.MARGIN_STRICT
        notional = abs(position.size) * market.mark
        least = -(notional // -min(position.leverage, 10))
        if equity(position, market.mark) + command.usd < least:
            return Refusal.MARGIN_REDUCTION_TOO_LARGE
    return _move(account, command.asset, position, command.usd)


def top_up_isolated_margin(
    engine: MatchingEngine, account: Account, command: TopUpIsolatedMargin
) -> list[Event] | Refusal:
    """Add what an isolated position lacks to stand at a leverage at its mark price."""
    if command.leverage_e8 <= 0:
        return Refusal.LEVERAGE_INVALID
    found = _isolated(engine, account, command.asset)
    if isinstance(found, Refusal):
        return found
    market, position = found
    notional = abs(position.size) * market.mark
    lacking = -(notional * E8 // -command.leverage_e8) - equity(position, market.mark)
    if lacking <= 0:
        return Refusal.MARGIN_MOVE_ZERO
    return _move(account, command.asset, position, lacking)


def _isolated(
    engine: MatchingEngine, account: Account, asset: AssetId
) -> tuple[Market, Position] | Refusal:
    market = _market(engine, asset)
    if market is None:
        return Refusal.ASSET_UNKNOWN
    position = account.positions.get(asset)
    if position is None:
        cross = market.instrument.margin_mode is MarginMode.ANY
        return Refusal.MARGIN_NOT_ISOLATED if cross else Refusal.MARGIN_NO_POSITION
    if position.is_cross:
        return Refusal.MARGIN_NOT_ISOLATED
    if not position.size:
        return Refusal.MARGIN_NO_POSITION
    _refresh(engine, account)
    return market, position


def _move(account: Account, asset: AssetId, position: Position, usd: int) -> list[Event] | Refusal:
    if usd > 0 and usd > account.value - account.required:
        return Refusal.MARGIN_INCREASE_TOO_LARGE
    account.pay(-usd)
    position.isolated_usd += usd
    return [IsolatedMarginMoved(account.address, asset, usd)]


def _market(engine: MatchingEngine, asset: AssetId) -> Market | None:
    return engine.markets[asset] if 0 <= asset < len(engine.markets) else None


def _refresh(engine: MatchingEngine, account: Account) -> None:
    if account.epoch != engine.epoch:
        refresh(account, engine.markets, engine.epoch)
