"""An account's positions and margin on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import price_text, ratio_text, size_text, token_text, usd_text
from model.ids import Address
from model.instruments import Instrument
from model.state import BalanceState
from model.units import format_decimal
from model.universe import Universe
from model.views.summary import (
    PRICE_SCALE_DECIMALS,
    AccountSummary,
    AssetSummary,
    PositionSummary,
    Totals,
)


class Leverage(Struct, frozen=True, rename="camel"):
    """The leverage of an account in a market; ``raw_usd`` is an isolated position's own cash."""

    type: str
    value: int
    raw_usd: str | UnsetType = UNSET


class CumulativeFunding(Struct, frozen=True, rename="camel"):
    """Funding paid, negative if received."""

    all_time: str
    since_open: str
    since_change: str


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
    """An account's positions and margin, over all of them and over the cross ones."""

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
    return ClearinghouseState(
        _margin(summary.everything),
        _margin(summary.cross),
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
        leverage(summary.leverage, is_cross=summary.is_cross, isolated_usd=summary.isolated_usd),
        (size_text(summary.max_buy_lots, instrument), size_text(summary.max_sell_lots, instrument)),
        (usd_text(summary.buy_margin), usd_text(summary.sell_margin)),
        price_text(summary.mark, instrument),
    )


def leverage(value: int, *, is_cross: bool, isolated_usd: int | None) -> Leverage:
    """Return the leverage of an account in a market; no cash where there is no own ledger."""
    if is_cross:
        return Leverage("cross", value)
    return Leverage("isolated", value, UNSET if isolated_usd is None else usd_text(isolated_usd))


def _margin(totals: Totals) -> MarginSummary:
    return MarginSummary(
        usd_text(totals.account_value),
        usd_text(totals.total_notional),
        usd_text(totals.cash),
        usd_text(totals.margin_used),
    )


def _position(position: PositionSummary, instrument: Instrument) -> PositionShape:
    liquidation = position.liquidation_price
    return PositionShape(
        instrument.name,
        size_text(position.size, instrument),
        leverage(position.leverage, is_cross=position.is_cross, isolated_usd=position.isolated_usd),
        price_text(position.entry_price, instrument),
        usd_text(position.value),
        usd_text(position.unrealized_pnl),
        ratio_text(position.return_on_equity),
        None if liquidation is None else format_decimal(liquidation, PRICE_SCALE_DECIMALS),
        usd_text(position.margin_used),
        position.max_leverage,
        CumulativeFunding(*map(usd_text, position.funding_paid)),
    )


class SpotBalance(Struct, frozen=True, rename="camel"):
    """What an account has of a token. ``entry_ntl`` is what it cost."""

    coin: str
    token: int
    total: str
    hold: str
    entry_ntl: str


class SpotState(Struct, frozen=True):
    """The spot balances of an account."""

    balances: list[SpotBalance]


class SpotStateFrame(Struct, frozen=True, rename="camel"):
    """Data of a ``spotState`` frame."""

    user: Address
    spot_state: SpotState


class SubAccountShape(Struct, frozen=True, rename="camel"):
    """A sub-account with all that it holds."""

    name: str
    sub_account_user: Address
    master: Address
    clearinghouse_state: ClearinghouseState
    spot_state: SpotState


class SubAccountByDex(Struct, frozen=True, rename="camel"):
    """The same with its positions by dex, of which there is one."""

    name: str
    sub_account_user: Address
    master: Address
    dex_to_clearinghouse_state: tuple[tuple[str, ClearinghouseState], ...]
    spot_state: SpotState


class AllDexsState(Struct, frozen=True, rename="camel"):
    """Data of an ``allDexsClearinghouseState`` frame: there is one dex."""

    user: Address
    clearinghouse_states: tuple[tuple[str, ClearinghouseState], ...]


def spot_state(balances: Iterable[BalanceState], universe: Universe) -> SpotState:
    """Return the spot balances of an account."""
    return SpotState(
        [
            SpotBalance(
                universe.tokens[balance.token].name,
                balance.token,
                token_text(balance.total_e8),
                token_text(balance.hold_e8),
                token_text(balance.entry_e8),
            )
            for balance in balances
        ]
    )
