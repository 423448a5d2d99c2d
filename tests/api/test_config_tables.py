"""The tables of a settings file beyond plain markets: fees, tiers, margins, pairs, limits."""

from __future__ import annotations

import pytest

from api.config import ConfigError, load_config, parse_config, parse_listed
from model.commands import FeeTier, ListMarket, ListToken, MakerTier, MarkSource, OpenExchange
from model.instruments import MarginMode, MarginTier
from model.units import USD

BTC = """
[[markets]]
name = "BTC"
size_decimals = 5
max_leverage = 40
opening_price = "65000"
"""
PAIR = """
[[pairs]]
token = "SAKE"
size_decimals = 1
opening_price = "2.5"
"""
TIER = (
    'tiers = [{ volume_usd = "5000000", taker_fee_ppm = 400, maker_fee_ppm = 120,'
    " spot_taker_fee_ppm = 600, spot_maker_fee_ppm = 300 }]"
)


def complaint(text: str) -> str:
    """Return the one complaint about a file."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.toml")
    [line] = str(caught.value).splitlines()
    return line.removeprefix("my.toml: ")


def opened(text: str) -> OpenExchange:
    """Return the command that a file opens an exchange with."""
    first = parse_config(text, "my.toml").genesis()[0]
    assert isinstance(first, OpenExchange)
    return first


def test_the_default_fees_are_the_published_schedule() -> None:
    """Seven volume tiers and three maker tiers (Hyperliquid documentation, fees)."""
    first = load_config().genesis()[0]

    assert isinstance(first, OpenExchange)
    assert (first.taker_fee_ppm, first.maker_fee_ppm) == (450, 150)
    perps = [(t.volume // USD, t.taker_ppm, t.maker_ppm) for t in first.fee_tiers]
    assert perps == [
        (5_000_000, 400, 120),
        (25_000_000, 350, 80),
        (100_000_000, 300, 40),
        (500_000_000, 280, 0),
        (2_000_000_000, 260, 0),
        (7_000_000_000, 240, 0),
    ]
    assert first.maker_tiers == (
        MakerTier(5_000, -10),
        MakerTier(15_000, -20),
        MakerTier(30_000, -30),
    )
    assert first.mark_source is MarkSource.MEDIAN
    assert first.requests_free == 0


def test_tables_become_what_the_exchange_is_opened_with() -> None:
    """Fees, tiers, the rule of the mark and the allowance arrive in the first command."""
    terms = opened(
        f'[prices]\nmark = "oracle"\n[limits]\nrequests_per_address = 9\n[fees]\n{TIER}\n{BTC}'
    )

    assert terms.fee_tiers == (FeeTier(5_000_000 * USD, 400, 120, 600, 300),)
    assert terms.mark_source is MarkSource.ORACLE
    assert terms.requests_free == 9
    assert (terms.spot_taker_fee_ppm, terms.spot_maker_fee_ppm) == (700, 400)


def test_a_market_has_its_margins_and_caps() -> None:
    """Tiers begin with the market's own leverage; amounts are micro-USD."""
    extra = (
        'margin = "isolated"\nimpact_usd = "20000"\nopen_interest_usd = "1.5"\n'
        'margin_tiers = [{ from_usd = "150000000", max_leverage = 20 }]'
    )
    [instrument] = parse_config(BTC + extra, "my.toml").instruments

    assert instrument.margin_mode is MarginMode.NO_CROSS
    assert instrument.tiers == (MarginTier(0, 40), MarginTier(150_000_000 * USD, 20))
    assert instrument.impact_notional == 20_000 * USD
    assert instrument.open_interest_max == 1_500_000


def test_a_pair_brings_its_token() -> None:
    """A pair is listed right behind the token that it trades, under the first spot id."""
    *_, token, pair = parse_config(BTC + PAIR, "my.toml").genesis()

    assert isinstance(token, ListToken)
    assert isinstance(pair, ListMarket)
    assert (token.token.token, token.token.name, token.token.size_decimals) == (1, "SAKE", 1)
    assert (pair.instrument.asset, pair.instrument.name) == (10_000, "SAKE/USDC")
    assert (pair.instrument.base, pair.instrument.price_decimals) == (1, 7)


def test_listings_are_numbered_behind_what_is_there() -> None:
    """A file that is added to an exchange continues its numbers."""
    tables = parse_listed(BTC + PAIR, "more.toml")

    first, second, third = tables.listings(perps=6, pairs=2, tokens=3)

    assert isinstance(first, ListMarket)
    assert first.instrument.asset == 6
    assert isinstance(second, ListToken)
    assert second.token.token == 3
    assert isinstance(third, ListMarket)
    assert (third.instrument.asset, third.instrument.base) == (10_002, 3)


def test_a_file_to_add_holds_markets_and_nothing_else() -> None:
    """Fees of a running exchange are not changed by the way."""
    with pytest.raises(ConfigError, match="fees: unknown key"):
        parse_listed("[fees]\n" + BTC, "more.toml")
    with pytest.raises(ConfigError, match="at least one"):
        parse_listed("", "more.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[prices]\nmark = "mid"\n' + BTC, 'prices: mark: must be "median" or "oracle", not'),
        ("[limits]\nweight_per_minute = -1\n" + BTC, "limits: weight_per_minute: must be 0 to"),
        (f"[fees]\n{TIER.replace('400', '99999')}\n{BTC}", "fees: tiers: taker_fee_ppm: must be"),
        (f"[fees]\n{TIER.replace('5000000', '0')}\n{BTC}", "fees: tiers: volume_usd: must ascend"),
        (f"[fees]\n{TIER.replace('120', '-450')}\n{BTC}", "fees: a rebate must not be larger"),
        (
            BTC + 'margin_tiers = [{ from_usd = "10", max_leverage = 40 }]',
            "market BTC: margin_tiers: 1 / max_leverage: must ascend",
        ),
        (
            BTC + 'margin_tiers = [{ from_usd = "0", max_leverage = 20 }]',
            "market BTC: margin_tiers: from_usd: must ascend",
        ),
        (BTC + 'impact_usd = "-1"', "market BTC: impact_usd: must be 0 to"),
        (BTC + 'oracle = "nowhere"', 'market BTC: oracle: must be "walk" or "operator", not'),
        (BTC + PAIR + PAIR.replace("SAKE", "sake"), "pair sake: token: another pair is called"),
        (BTC + PAIR.replace("2.5", "2.55555555"), "pair SAKE: opening_price: must have at most 7"),
    ],
)
def test_a_wrong_table_is_named_with_its_rule(text: str, said: str) -> None:
    """The message names the table, the field and what would be right."""
    assert complaint(text).startswith(said)
