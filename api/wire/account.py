"""An account's positions and margin on the wire."""

from __future__ import annotations

from msgspec import Struct

from api.wire.decimals import ZERO, price_text, size_text, usd_text
from api.wire.market import RATIO_DECIMALS
from model.ids import Address
from model.instruments import Instrument
from model.units import format_decimal
from model.universe import Universe
from model.views.summary import (
    PRICE_SCALE_DECIMALS,
    AccountSummary,
    AssetSummary,
    PositionSummary,
)


class Leverage(Struct, frozen=True):
    """The leverage of an account in a market; always cross here."""

    type: str
    value: int


class CumulativeFunding(Struct, frozen=True, rename="camel"):
    """Funding paid; there is none here."""

    all_time: str = ZERO
    since_open: str = ZERO
    since_change: str = ZERO


class PositionShape(Struct, frozen=True, rename="camel"):
    """One position. Clients divide by ``szi``, so flat ones are not listed."""

    coin: str
    szi: str
    leverage: Leverage
    entry_px: str
    position_value: str
    unrealized_pnl: str
    return_on_equity: str
    liquidation_px: str | None
    margin_used: str
    max_leverage: int
    cum_funding: CumulativeFunding


class AssetPosition(Struct, frozen=True):
    """A position and how positions are counted: one net position a market."""

    position: PositionShape
    type: str = "oneWay"


class MarginSummary(Struct, frozen=True, rename="camel"):
    """Totals over positions."""

    account_value: str
    total_ntl_pos: str
    total_raw_usd: str
    total_margin_used: str


class ClearinghouseState(Struct, frozen=True, rename="camel"):
    """An account's positions and margin. Both summaries agree while all positions are cross."""

    margin_summary: MarginSummary
    cross_margin_summary: MarginSummary
    cross_maintenance_margin_used: str
    withdrawable: str
    asset_positions: tuple[AssetPosition, ...]
    time: int


class ClearinghouseFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``clearinghouseState`` frame."""

    dex: str
    user: Address
    clearinghouse_state: ClearinghouseState


class ActiveAssetData(Struct, frozen=True, rename="camel"):
    """What an account could trade in a market; pairs are buy and sell."""

    user: Address
    coin: str
    leverage: Leverage
    max_trade_szs: tuple[str, str]
    available_to_trade: tuple[str, str]
    mark_px: str


def clearinghouse_state(
    summary: AccountSummary, universe: Universe, *, time_ms: int
) -> ClearinghouseState:
    """Return an account's positions and margin at a chain time."""
    totals = MarginSummary(
        usd_text(summary.account_value),
        usd_text(summary.total_notional),
        usd_text(summary.cash),
        usd_text(summary.margin_used),
    )
    return ClearinghouseState(
        totals,
        totals,
        usd_text(summary.maintenance),
        usd_text(summary.withdrawable),
        tuple(
            AssetPosition(_position(position, universe[position.asset]))
            for position in summary.positions
        ),
        time_ms,
    )


def clearinghouse_frame(user: Address, state: ClearinghouseState) -> ClearinghouseFrame:
    """Return the data of a ``clearinghouseState`` frame."""
    return ClearinghouseFrame("", user, state)


def active_asset_data(
    user: Address, summary: AssetSummary, instrument: Instrument
) -> ActiveAssetData:
    """Return what an account could trade in a market. Margins are before leverage."""
    return ActiveAssetData(
        user,
        instrument.name,
        Leverage("cross", summary.leverage),
        (size_text(summary.max_buy_lots, instrument), size_text(summary.max_sell_lots, instrument)),
        (usd_text(summary.buy_margin), usd_text(summary.sell_margin)),
        price_text(summary.mark, instrument),
    )


def _position(position: PositionSummary, instrument: Instrument) -> PositionShape:
    liquidation = position.liquidation_price
    return PositionShape(
        instrument.name,
        size_text(position.size, instrument),
        Leverage("cross", position.leverage),
        price_text(position.entry_price, instrument),
        usd_text(position.value),
        usd_text(position.unrealized_pnl),
        format_decimal(position.return_on_equity, RATIO_DECIMALS),
        None if liquidation is None else format_decimal(liquidation, PRICE_SCALE_DECIMALS),
        usd_text(position.margin_used),
        position.max_leverage,
        CumulativeFunding(),
    )
