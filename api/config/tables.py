"""What the tables of a settings file may say, and what they mean to the model.

Each class is one kind of table; its fields are the keys. Amounts and prices are decimal texts in
the file, so no float is ever read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import Any, Final, NewType

from attrs import Attribute, field, frozen

from model.commands import (
    AdminCommand,
    FeeTier,
    ListMarket,
    ListToken,
    MakerTier,
    MarkSource,
    OpenExchange,
)
from model.ids import SPOT_ASSETS_FROM, USDC, AssetId, TokenId
from model.instruments import (
    IMPACT_NOTIONAL,
    USDC_TOKEN,
    Instrument,
    MarginMode,
    MarginTier,
    Token,
    is_on_grid,
)
from model.units import E8, PRICE_DECIMALS_MAX, SPOT_PRICE_DECIMALS_MAX, USD

MARKETS_MAX: Final = 512
"""Each market is an actor with frames of its own."""

TOKENS_MAX: Final = 256
LEVERAGE_MAX: Final = 100
FEE_PPM_MAX: Final = 10_000
"""One per cent of the notional."""

TIERS_MAX: Final = 16
"""Tiers of one kind: of fees, of makers, of one market's margin."""

VOLATILITY_PPM_MAX: Final = 10_000
REQUESTS_FREE_MAX: Final = 10**9
OPENING_PRICE_E8_MAX: Final = 10**9 * E8
AMOUNT_MAX: Final = 10**12 * USD
"""The largest amount of USD that a table may name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}", re.ASCII)

PriceE8 = NewType("PriceE8", int)
"""A price in units of 1e-8 USD, written as a decimal text in the file."""

MicroUsd = NewType("MicroUsd", int)
"""An amount in micro-USD, written as a decimal text of USD in the file."""


class Margin(Enum):
    """Which margin a market allows."""

    ANY = "any"
    ISOLATED = "isolated"
    STRICT = "strict-isolated"


class Mark(Enum):
    """Where mark prices come from."""

    MEDIAN = "median"
    ORACLE = "oracle"


class OracleSource(Enum):
    """Where a market's oracle prices come from."""

    WALK = "walk"
    OPERATOR = "operator"


_MODES: Final = {
    Margin.ANY: MarginMode.ANY,
    Margin.ISOLATED: MarginMode.NO_CROSS,
    Margin.STRICT: MarginMode.STRICT_ISOLATED,
}
_MARKS: Final = {Mark.MEDIAN: MarkSource.MEDIAN, Mark.ORACLE: MarkSource.ORACLE}


# ---- rules of fields -------------------------------------------------------------------------


def _within(low: int, high: int) -> Any:
    def check(_instance: object, attribute: Attribute[int], value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{attribute.name}: must be {low} to {high}, not {value}")

    return check


def _is_amount(_instance: object, attribute: Attribute[Any], value: int) -> None:
    if not 0 <= value <= AMOUNT_MAX:
        raise ValueError(f"{attribute.name}: must be 0 to {AMOUNT_MAX // USD} USD")


def _is_name(_instance: object, attribute: Attribute[Any], value: str) -> None:
    if _NAME.fullmatch(value) is None:
        rule = 'must be 1 to 20 letters, digits, ".", "_" or "-", beginning with a letter or digit'
        raise ValueError(f"{attribute.name}: {rule}, not {value!r}")


def _is_few(_instance: object, attribute: Attribute[Any], value: tuple[object, ...]) -> None:
    if len(value) > TIERS_MAX:
        raise ValueError(f"{attribute.name}: must be at most {TIERS_MAX} tables")


def _is_ascending(name: str, values: list[int]) -> None:
    if any(upper <= lower for lower, upper in pairwise(values)):
        raise ValueError(f"{name}: must ascend from table to table")


# ---- tables of the exchange ------------------------------------------------------------------


@frozen
class FeeTierTable:
    """Rates from a weighted volume of 14 days on."""

    volume_usd: MicroUsd = field(validator=_is_amount)
    taker_fee_ppm: int = field(validator=_within(0, FEE_PPM_MAX))
    maker_fee_ppm: int = field(validator=_within(-FEE_PPM_MAX, FEE_PPM_MAX))
    spot_taker_fee_ppm: int = field(validator=_within(0, FEE_PPM_MAX))
    spot_maker_fee_ppm: int = field(validator=_within(-FEE_PPM_MAX, FEE_PPM_MAX))


@frozen
class MakerTierTable:
    """A maker rate from a share of all maker volume of 14 days on."""

    share_ppm: int = field(validator=_within(1, 10**6))
    maker_fee_ppm: int = field(validator=_within(-FEE_PPM_MAX, FEE_PPM_MAX))


@frozen
class Fees:
    """Rates in parts per million of a trade's notional."""

    taker_fee_ppm: int = field(default=450, validator=_within(0, FEE_PPM_MAX))
    maker_fee_ppm: int = field(default=150, validator=_within(0, FEE_PPM_MAX))
    spot_taker_fee_ppm: int = field(default=700, validator=_within(0, FEE_PPM_MAX))
    spot_maker_fee_ppm: int = field(default=400, validator=_within(0, FEE_PPM_MAX))
    tiers: tuple[FeeTierTable, ...] = field(default=(), validator=_is_few)
    maker_tiers: tuple[MakerTierTable, ...] = field(default=(), validator=_is_few)

    def __attrs_post_init__(self) -> None:
        _is_ascending("tiers: volume_usd", [0, *(tier.volume_usd for tier in self.tiers)])
        _is_ascending("maker_tiers: share_ppm", [tier.share_ppm for tier in self.maker_tiers])
        takers = [self.taker_fee_ppm, *(tier.taker_fee_ppm for tier in self.tiers)]
        makers = [tier.maker_fee_ppm for tier in self.tiers]
        makers += [tier.maker_fee_ppm for tier in self.maker_tiers]
        if min(makers, default=0) + min(takers) < 0:
            raise ValueError("a rebate must not be larger than the smallest taker fee")


@frozen
class Prices:
    """How mark prices are found."""

    mark: Mark = Mark.MEDIAN


@frozen
class Limits:
    """What clients may ask for; 0 sets no limit.

    ``requests_per_address`` are the signed actions that an account has before its volume must earn
    them. The others are of one network address.
    """

    requests_per_address: int = field(default=0, validator=_within(0, REQUESTS_FREE_MAX))
    weight_per_minute: int = field(default=0, validator=_within(0, REQUESTS_FREE_MAX))
    connections: int = field(default=0, validator=_within(0, REQUESTS_FREE_MAX))
    connections_per_minute: int = field(default=0, validator=_within(0, REQUESTS_FREE_MAX))
    messages_per_minute: int = field(default=0, validator=_within(0, REQUESTS_FREE_MAX))


# ---- tables of markets -----------------------------------------------------------------------


@frozen
class MarginTierTable:
    """The largest leverage of positions from a notional on."""

    from_usd: MicroUsd = field(validator=_is_amount)
    max_leverage: int = field(validator=_within(1, LEVERAGE_MAX))


@frozen
class MarketConfig:
    """One perpetual of the file.

    ``volatility_ppm`` is how far the demo's oracle typically moves in a second.
    """

    name: str = field(validator=_is_name)
    size_decimals: int = field(validator=_within(0, PRICE_DECIMALS_MAX))
    max_leverage: int = field(validator=_within(1, LEVERAGE_MAX))
    opening_price: PriceE8 = field()
    volatility_ppm: int = field(default=100, validator=_within(0, VOLATILITY_PPM_MAX))
    oracle: OracleSource = OracleSource.WALK
    margin: Margin = Margin.ANY
    margin_tiers: tuple[MarginTierTable, ...] = field(default=(), validator=_is_few)
    impact_usd: MicroUsd = field(default=MicroUsd(IMPACT_NOTIONAL), validator=_is_amount)
    open_interest_usd: MicroUsd = field(default=MicroUsd(0), validator=_is_amount)

    @opening_price.validator
    def _check_opening_price(self, attribute: Attribute[PriceE8], value: int) -> None:
        _check_price(attribute.name, value, PRICE_DECIMALS_MAX - self.size_decimals)

    @margin_tiers.validator
    def _check_tiers(self, attribute: Attribute[Any], tiers: tuple[MarginTierTable, ...]) -> None:
        _is_ascending(f"{attribute.name}: from_usd", [0, *(tier.from_usd for tier in tiers)])
        leverages = [self.max_leverage, *(tier.max_leverage for tier in tiers)]
        _is_ascending(f"{attribute.name}: 1 / max_leverage", [-most for most in leverages])

    def instrument(self, asset: AssetId) -> Instrument:
        """Return the market as the model knows it, under this asset id."""
        tiers = (
            MarginTier(0, self.max_leverage),
            *(MarginTier(tier.from_usd, tier.max_leverage) for tier in self.margin_tiers),
        )
        return Instrument(
            asset,
            self.name,
            self.size_decimals,
            self.max_leverage,
            self.opening_price,
            tiers if self.margin_tiers else (),
            _MODES[self.margin],
            self.impact_usd,
            self.open_interest_usd,
        )


@frozen
class PairConfig:
    """One spot pair of the file: a token against USDC, and the token with it."""

    token: str = field(validator=_is_name)
    size_decimals: int = field(validator=_within(0, PRICE_DECIMALS_MAX))
    opening_price: PriceE8 = field()
    volatility_ppm: int = field(default=100, validator=_within(0, VOLATILITY_PPM_MAX))
    oracle: OracleSource = OracleSource.WALK

    @opening_price.validator
    def _check_opening_price(self, attribute: Attribute[PriceE8], value: int) -> None:
        _check_price(attribute.name, value, SPOT_PRICE_DECIMALS_MAX - self.size_decimals)

    @property
    def name(self) -> str:
        """How clients call the pair."""
        return f"{self.token}/{USDC_TOKEN.name}"

    def instrument(self, asset: AssetId, token: TokenId) -> Instrument:
        """Return the pair as the model knows it, under this asset id."""
        return Instrument(asset, self.name, self.size_decimals, 1, self.opening_price, base=token)


@frozen
class ListedTables:
    """Markets to open: perpetuals and pairs, in the order of their asset ids."""

    markets: tuple[MarketConfig, ...]
    pairs: tuple[PairConfig, ...] = ()

    def listings(
        self,
        perps: int = 0,
        pairs: int = 0,
        tokens: int = USDC + 1,
    ) -> Iterator[AdminCommand]:
        """Yield the commands that open them where there are so many of each kind already."""
        for index, market in enumerate(self.markets, perps):
            yield ListMarket(market.instrument(AssetId(index)))
        for index, pair in enumerate(self.pairs):
            token = TokenId(tokens + index)
            yield ListToken(Token(token, pair.token, pair.size_decimals))
            yield ListMarket(pair.instrument(AssetId(SPOT_ASSETS_FROM + pairs + index), token))


@frozen
class ExchangeConfig(ListedTables):
    """What an exchange is opened with. The place of a market in ``markets`` is its asset id."""

    fees: Fees = Fees()
    prices: Prices = Prices()
    limits: Limits = Limits()

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The perpetuals as the model knows them, by asset id."""
        return tuple(market.instrument(AssetId(index)) for index, market in enumerate(self.markets))

    @property
    def listed(self) -> tuple[Instrument, ...]:
        """All markets as the model knows them, pairs behind perpetuals."""
        listings = self.listings()
        return tuple(each.instrument for each in listings if isinstance(each, ListMarket))

    def genesis(self) -> list[AdminCommand]:
        """Return the commands that open the exchange."""
        fees = self.fees
        opened = OpenExchange(
            fees.taker_fee_ppm,
            fees.maker_fee_ppm,
            fees.spot_taker_fee_ppm,
            fees.spot_maker_fee_ppm,
            tuple(
                FeeTier(
                    tier.volume_usd,
                    tier.taker_fee_ppm,
                    tier.maker_fee_ppm,
                    tier.spot_taker_fee_ppm,
                    tier.spot_maker_fee_ppm,
                )
                for tier in fees.tiers
            ),
            tuple(MakerTier(tier.share_ppm, tier.maker_fee_ppm) for tier in fees.maker_tiers),
            _MARKS[self.prices.mark],
            self.limits.requests_per_address,
        )
        return [opened, *self.listings()]


def _check_price(name: str, price_e8: int, decimals: int) -> None:
    """Complain of a price that no order may have."""
    if not 0 < price_e8 <= OPENING_PRICE_E8_MAX:
        raise ValueError(f"{name}: must be above 0 and at most 1000000000")
    if not is_on_grid(price_e8, E8 // 10**decimals):
        rule = f"must have at most {decimals} decimals and, unless whole, five significant figures"
        raise ValueError(f"{name}: {rule}")
