"""What clients ask for when they start: the markets, and what this exchange does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import ZERO, half_price_text, price_text, token_text, usd_text
from api.wire.frames import encode
from api.wire.tokens import token_id
from model.ids import USDC, TokenId
from model.instruments import Instrument, MarginMode, MarginTier, Token
from model.universe import Universe
from model.views.market import MarketContext

COLLATERAL_TOKEN: Final = USDC
"""Index of USDC in the tokens."""

TABLES_FROM: Final = 50
"""First number of a margin table that is not short for a single tier."""

WEI_DECIMALS: Final = 8
"""Decimals of all balances."""

MARGIN_MODES: Final = {
    MarginMode.NO_CROSS: "noCross",
    MarginMode.STRICT_ISOLATED: "strictIsolated",
}
"""Words for the margin of markets that allow isolated positions only."""


class UniverseEntry(Struct, frozen=True, rename="camel"):
    """One market. A margin table below TABLES_FROM is one tier with that maximum leverage.

    The other two are absent where cross margin is allowed.
    """

    sz_decimals: int
    name: str
    max_leverage: int
    margin_table_id: int
    only_isolated: bool | UnsetType = UNSET
    margin_mode: str | UnsetType = UNSET


class TierShape(Struct, frozen=True, rename="camel"):
    """A tier of a margin table, from a position's value on."""

    lower_bound: str
    max_leverage: int


class MarginTable(Struct, frozen=True, rename="camel"):
    """How leverage falls as positions grow."""

    description: str
    margin_tiers: tuple[TierShape, ...]


class Meta(Struct, frozen=True, rename="camel"):
    """The markets, by asset id, and their margin tables by id."""

    universe: tuple[UniverseEntry, ...]
    margin_tables: tuple[tuple[int, MarginTable], ...]
    collateral_token: int = COLLATERAL_TOKEN


class SpotToken(Struct, frozen=True, rename="camel"):
    """A token of the spot exchange."""

    name: str
    sz_decimals: int
    wei_decimals: int
    index: int
    token_id: str
    is_canonical: bool
    evm_contract: None = None
    full_name: None = None
    deployer_trading_fee_share: str = ZERO


class SpotPair(Struct, frozen=True, rename="camel"):
    """A spot pair; ``tokens`` are the one that is traded and the one that it is quoted in."""

    tokens: tuple[int, int]
    name: str
    index: int
    is_canonical: bool


class SpotMeta(Struct, frozen=True, rename="camel"):
    """The spot exchange: its pairs and tokens, each in the order of its index."""

    universe: tuple[SpotPair, ...]
    tokens: tuple[SpotToken, ...]


class TokenDetails(Struct, frozen=True, rename="camel"):
    """A token with how much of it there is, and its price."""

    name: str
    max_supply: str
    total_supply: str
    circulating_supply: str
    sz_decimals: int
    wei_decimals: int
    mid_px: str | None
    mark_px: str | None
    prev_day_px: str | None
    genesis: None = None
    deployer: None = None
    deploy_gas: None = None
    deploy_time: None = None
    seeded_usdc: str = ZERO
    non_circulating_user_balances: tuple[()] = ()
    future_emissions: str = ZERO


class DexStatus(Struct, frozen=True, rename="camel"):
    """What was paid in."""

    total_net_deposit: str


class ExchangeStatus(Struct, frozen=True, rename="camel"):
    """The exchange's time, and nothing special."""

    time: int
    special_statuses: None = None


def meta(instruments: Sequence[Instrument]) -> Meta:
    """Return the perpetuals."""
    tables = margin_table_ids(instruments)
    return Meta(
        tuple(_entry(instrument, tables) for instrument in instruments),
        tuple((number, margin_table(tiers)) for tiers, number in tables.items()),
    )


def _entry(instrument: Instrument, tables: dict[tuple[MarginTier, ...], int]) -> UniverseEntry:
    mode = MARGIN_MODES.get(instrument.margin_mode, UNSET)
    return UniverseEntry(
        instrument.size_decimals,
        instrument.name,
        instrument.max_leverage,
        tables[instrument.tiers],
        UNSET if mode is UNSET else True,
        mode,
    )


def margin_table_ids(instruments: Iterable[Instrument]) -> dict[tuple[MarginTier, ...], int]:
    """Return the number of each margin table, as it is shown, in ascending order.

    A single tier is known by its leverage. Others are numbered in the order in which markets of
    theirs were listed, so a number never changes its meaning.
    """
    tables: dict[tuple[MarginTier, ...], int] = {}
    following = TABLES_FROM
    for instrument in instruments:
        tiers = instrument.tiers
        if tiers in tables:
            continue
        if len(tiers) == 1 and tiers[0].max_leverage < TABLES_FROM:
            tables[tiers] = tiers[0].max_leverage
        else:
            tables[tiers] = following
            following += 1
    return dict(sorted(tables.items(), key=lambda table: table[1]))


def margin_table(tiers: Sequence[MarginTier]) -> MarginTable:
    """Return a margin table."""
    most = tiers[0].max_leverage
    return MarginTable(
        f"tiered {most}x" if len(tiers) > 1 else "",
        tuple(TierShape(usd_text(tier.lower_bound), tier.max_leverage) for tier in tiers),
    )


def spot_meta(universe: Universe) -> SpotMeta:
    """Return the spot exchange. A pair is canonical that is named after its tokens."""
    return SpotMeta(
        tuple(
            SpotPair((_base(pair), USDC), pair.name, index, "/" in pair.name)
            for index, pair in enumerate(universe.pairs)
        ),
        tuple(_token(token) for token in universe.tokens),
    )


def _base(pair: Instrument) -> TokenId:
    assert pair.base is not None
    return pair.base


def _token(token: Token) -> SpotToken:
    return SpotToken(
        token.name, token.size_decimals, WEI_DECIMALS, token.token, token_id(token), True
    )


def token_details(
    token: Token, pair: Instrument | None, context: MarketContext | None, supply_e8: int
) -> TokenDetails:
    """Return what there is to know of a token; prices are those of its pair, if it has one."""
    supply = token_text(supply_e8)
    mid = mark = before = None
    if pair is not None and context is not None:
        mark = price_text(context.mark, pair)
        before = price_text(context.previous_day_price, pair)
        if context.twice_mid is not None:
            mid = half_price_text(context.twice_mid, pair)
    return TokenDetails(
        token.name, supply, supply, supply, token.size_decimals, WEI_DECIMALS, mid, mark, before
    )


def max_market_orders(limits: Iterable[tuple[int, int]]) -> list[tuple[int, str]]:
    """Return the largest market orders by leverage: the answer of ``maxMarketOrderNtls``."""
    return [(leverage, usd_text(notional)) for leverage, notional in limits]


def dex_status(deposited: int) -> DexStatus:
    """Return how much was paid in, from micro-USD."""
    return DexStatus(usd_text(deposited))


def exchange_status(time_ms: int) -> ExchangeStatus:
    """Return the status of the exchange at a chain time."""
    return ExchangeStatus(time_ms)


_EMPTY_LIST: Final = b"[]"
_NULL: Final = b"null"

FIXED_ANSWERS: Final[dict[str, bytes]] = {
    "perpDexs": encode([None]),
    "outcomeMeta": encode({"outcomes": [], "questions": []}),
    "userAbstraction": encode("default"),
    "userDexAbstraction": _NULL,
    "userToMultiSigSigners": _NULL,
    "isVip": _NULL,
    "approvedBuilders": _EMPTY_LIST,
    "userVaultEquities": _EMPTY_LIST,
    "delegations": _EMPTY_LIST,
    "delegatorRewards": _EMPTY_LIST,
    "delegatorHistory": _EMPTY_LIST,
    "maxBuilderFee": b"0",
    "perpDexLimits": _NULL,
    "legalCheck": encode({"acceptedTerms": True, "userAllowed": True, "restrictions": "n"}),
    "delegatorSummary": encode(
        {
            "delegated": ZERO,
            "undelegated": ZERO,
            "totalPendingWithdrawal": ZERO,
            "nPendingWithdrawals": 0,
        }
    ),
}
"""Answers of the info types that ask for what this exchange does not have: vaults, staking, other
dexes, builders' fees.
"""
