"""What clients ask for when they start: the markets, and what this exchange does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from api.wire.decimals import ZERO
from api.wire.frames import encode
from model.instruments import Instrument

COLLATERAL_TOKEN: Final = 0
"""Index of USDC in the tokens."""


class UniverseEntry(Struct, frozen=True, rename="camel"):
    """One market. A margin table below 50 is one tier with that maximum leverage."""

    sz_decimals: int
    name: str
    max_leverage: int
    margin_table_id: int


class MarginTier(Struct, frozen=True, rename="camel"):
    """A tier of a margin table, from a position's value on."""

    lower_bound: str
    max_leverage: int


class MarginTable(Struct, frozen=True, rename="camel"):
    """How leverage falls as positions grow. Every market here has a single tier."""

    description: str
    margin_tiers: tuple[MarginTier, ...]


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


class SpotMeta(Struct, frozen=True, rename="camel"):
    """The spot exchange: no pairs, and the one token that perpetuals are settled in."""

    universe: tuple[()]
    tokens: tuple[SpotToken, ...]


class ExchangeStatus(Struct, frozen=True, rename="camel"):
    """The exchange's time, and nothing special."""

    time: int
    special_statuses: None = None


def meta(instruments: Sequence[Instrument]) -> Meta:
    """Return the universe."""
    leverages = sorted({instrument.max_leverage for instrument in instruments})
    return Meta(
        tuple(
            UniverseEntry(
                instrument.size_decimals,
                instrument.name,
                instrument.max_leverage,
                instrument.max_leverage,
            )
            for instrument in instruments
        ),
        tuple((leverage, margin_table(leverage)) for leverage in leverages),
    )


def margin_table(max_leverage: int) -> MarginTable:
    """Return the table of a market with one maximum leverage for all sizes."""
    return MarginTable("", (MarginTier(ZERO, max_leverage),))


def exchange_status(time_ms: int) -> ExchangeStatus:
    """Return the status of the exchange at a chain time."""
    return ExchangeStatus(time_ms)


SPOT_META: Final = SpotMeta(
    (), (SpotToken("USDC", 8, 8, COLLATERAL_TOKEN, "0x6d1e7cde53ba9467b783cb7c530ce054", True),)
)

_EMPTY_LIST: Final = b"[]"
_NULL: Final = b"null"

FIXED_ANSWERS: Final[dict[str, bytes]] = {
    "spotMeta": encode(SPOT_META),
    "spotMetaAndAssetCtxs": encode((SPOT_META, ())),
    "perpDexs": encode([None]),
    "outcomeMeta": encode({"outcomes": [], "questions": []}),
    "userAbstraction": encode("default"),
    "spotClearinghouseState": encode({"balances": []}),
    "subAccounts": _NULL,
    "subAccounts2": _NULL,
    "userDexAbstraction": _NULL,
    "userToMultiSigSigners": _NULL,
    "isVip": _NULL,
    "fundingHistory": _EMPTY_LIST,
    "userFunding": _EMPTY_LIST,
    "perpsAtOpenInterestCap": _EMPTY_LIST,
    "liquidatable": _EMPTY_LIST,
    "twapHistory": _EMPTY_LIST,
    "userTwapSliceFills": _EMPTY_LIST,
    "userTwapSliceFillsByTime": _EMPTY_LIST,
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
    "referral": encode(
        {
            "referredBy": None,
            "cumVlm": ZERO,
            "unclaimedRewards": ZERO,
            "claimedRewards": ZERO,
            "builderRewards": ZERO,
            "referrerState": {"stage": "needToTrade", "data": {"required": "10000.0"}},
            "rewardHistory": [],
            "tokenToState": [],
        }
    ),
}
"""Answers of the info types that ask for what this exchange does not have: spot, funding, vaults,
staking.
"""
