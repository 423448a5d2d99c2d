"""Listing: which markets and tokens may become known, and under which definitions.

Ids are given out in order and never again, so the number of a listing must be the next one of its
kind. What is listed stays.
"""

from __future__ import annotations

from typing import Final

from model import tiers
from model.events import Event, MarketListed, TokenListed
from model.ids import SPOT_ASSETS_FROM, USDC
from model.instruments import Instrument, MarginMode, Token
from model.markets import Market
from model.matching import MatchingEngine
from model.orders import PRICE_E8_MAX
from model.refusals import Refusal
from model.units import PRICE_DECIMALS_MAX, SPOT_PRICE_DECIMALS_MAX

MARKETS_MAX: Final = 1000
"""Markets of each kind that may be listed; every account may hold something in each."""

TOKENS_MAX: Final = 1000
"""Tokens that may be listed; every account may have a balance of each."""

TOKEN_NAME_LENGTH_MAX: Final = 16
"""Longest name of a token: letters and digits, since names are parts of what clients sign."""


def list_token(engine: MatchingEngine, token: Token) -> list[Event] | Refusal:
    """Make a token known."""
    tokens = engine.tokens
    if token.token != len(tokens) or len(tokens) >= TOKENS_MAX:
        return Refusal.TOKEN_INVALID
    if not (
        token.name.isascii()
        and token.name.isalnum()
        and len(token.name) <= TOKEN_NAME_LENGTH_MAX
        and 0 <= token.size_decimals <= SPOT_PRICE_DECIMALS_MAX
        and all(token.name != known.name for known in tokens)
    ):
        return Refusal.TOKEN_INVALID
    tokens.append(token)
    engine.supply.append(0)
    engine.token_fees.append(0)
    return [TokenListed(token)]


def list_market(engine: MatchingEngine, instrument: Instrument) -> list[Event] | Refusal:
    """Open a market, a perpetual or a pair."""
    kind, first = (engine.pairs, SPOT_ASSETS_FROM) if instrument.is_spot else (engine.markets, 0)
    if instrument.asset != first + len(kind) or len(kind) >= MARKETS_MAX:
        return Refusal.ASSET_UNKNOWN
    is_possible = _is_pair if instrument.is_spot else _is_perpetual
    if not (
        0 < instrument.opening_price_e8 <= PRICE_E8_MAX
        and instrument.name
        and all(
            instrument.name != market.instrument.name for market in engine.markets + engine.pairs
        )
        and is_possible(engine, instrument)
    ):
        return Refusal.MARKET_INVALID
    kind.append(Market(instrument))
    return [MarketListed(instrument)]


def _is_perpetual(engine: MatchingEngine, instrument: Instrument) -> bool:
    del engine
    return (
        0 <= instrument.size_decimals <= PRICE_DECIMALS_MAX
        and tiers.are_valid(instrument)
        and instrument.impact_notional > 0
        and instrument.open_interest_max >= 0
    )


def _is_pair(engine: MatchingEngine, instrument: Instrument) -> bool:
    """Tell whether a pair trades a known token in its own lots, and has nothing of margin."""
    base = instrument.base
    return (
        base is not None
        and base != USDC
        and 0 < base < len(engine.tokens)
        and instrument.size_decimals == engine.tokens[base].size_decimals
        and instrument.max_leverage == 1
        and not instrument.margin_tiers
        and instrument.margin_mode is MarginMode.ANY
        and not instrument.open_interest_max
    )
