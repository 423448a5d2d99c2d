"""What may be listed: tokens and pairs under the next number, with a possible definition."""

from __future__ import annotations

import pytest

from model.commands import ListMarket, ListToken
from model.events import CommandRefused, MarketListed, TokenListed
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, USDC, AssetId, TokenId
from model.instruments import USDC_TOKEN, Instrument, MarginMode, MarginTier, Token
from model.refusals import Refusal
from model.units import E8
from tests.model.desk import ETH, Desk
from tests.model.spot_desk import PAIR, PURR, SpotDesk

NEXT = AssetId(PAIR + 1)


def pair(
    asset: AssetId = NEXT,
    name: str = "OTHER/USDC",
    size_decimals: int = 2,
    opening_price_e8: int = E8,
    **more: object,
) -> Instrument:
    """Make a second pair of the desk's token, wrong in one way."""
    members = {"max_leverage": 1, "base": PURR, **more}
    return Instrument(asset, name, size_decimals, opening_price_e8=opening_price_e8, **members)  # type: ignore[arg-type]


def test_a_token_may_have_several_pairs() -> None:
    """Only their names and numbers must differ."""
    desk = SpotDesk()

    assert desk.apply(ListMarket(pair())) == [MarketListed(pair())]
    assert desk.exchange.instruments[-1] == pair()


@pytest.mark.parametrize(
    "instrument",
    [
        pair(name=""),
        pair(name="BTC"),
        pair(name="PURR/USDC"),
        pair(size_decimals=3),
        pair(opening_price_e8=0),
        pair(opening_price_e8=10**18),
        pair(max_leverage=2),
        pair(base=USDC),
        pair(base=TokenId(2)),
        pair(base=TokenId(-1)),
        pair(margin_tiers=(MarginTier(0, 1),)),
        pair(margin_mode=MarginMode.NO_CROSS),
        pair(open_interest_max=1),
    ],
)
def test_impossible_pairs(instrument: Instrument) -> None:
    """A pair trades a known token in its own lots, under a new name, without anything of margin."""
    desk = SpotDesk()

    refused = desk.apply(ListMarket(instrument))

    assert refused == [CommandRefused(None, Refusal.MARKET_INVALID)]


@pytest.mark.parametrize("asset", [PAIR, NEXT + 1, SPOT_ASSETS_FROM - 1, ETH + 1])
def test_pair_must_have_the_next_number(asset: int) -> None:
    """Numbers are given out in order; those of perpetuals are no pair's."""
    desk = SpotDesk()

    refused = desk.apply(ListMarket(pair(AssetId(asset))))

    assert refused == [CommandRefused(None, Refusal.ASSET_UNKNOWN)]


def test_perpetual_may_not_have_the_name_of_a_pair() -> None:
    """Names are those of both kinds together."""
    desk = SpotDesk()

    refused = desk.apply(ListMarket(Instrument(AssetId(2), "PURR/USDC", 2, 5, E8)))

    assert refused == [CommandRefused(None, Refusal.MARKET_INVALID)]


@pytest.mark.parametrize(
    "token",
    [
        Token(TokenId(0), "NEW", 2),
        Token(TokenId(2), "NEW", 2),
        Token(TokenId(1), "", 2),
        Token(TokenId(1), "USDC", 2),
        Token(TokenId(1), "A:B", 2),
        Token(TokenId(1), "A/B", 2),
        Token(TokenId(1), "ザラバ", 2),
        Token(TokenId(1), "x" * 17, 2),
        Token(TokenId(1), "NEW", -1),
        Token(TokenId(1), "NEW", 9),
    ],
)
def test_impossible_tokens(token: Token) -> None:
    """A token has the next number, a plain name of its own, and at most eight decimals."""
    desk = Desk()

    assert desk.apply(ListToken(token)) == [CommandRefused(None, Refusal.TOKEN_INVALID)]


def test_tokens_are_known_in_their_order() -> None:
    """USDC is there from the start."""
    desk = Desk()
    token = Token(TokenId(1), "NEW", 8)

    assert desk.apply(ListToken(token)) == [TokenListed(token)]
    assert desk.exchange.tokens == (USDC_TOKEN, token)


def test_nothing_is_listed_before_the_exchange_is_open() -> None:
    """Its terms come first."""
    refused = Exchange().apply(ListToken(Token(TokenId(1), "NEW", 8)))

    assert refused == [CommandRefused(None, Refusal.EXCHANGE_NOT_OPEN)]
