"""The settings file: the default one, and every way to get one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.config import CONFIG_BYTES_MAX, ConfigError, load_config, parse_config
from model.instruments import Instrument, is_on_grid

BTC = """
[[markets]]
name = "BTC"
size_decimals = 5
max_leverage = 40
opening_price = "65000"
"""


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "my.toml")
    return str(caught.value).splitlines()


def test_the_default_file_opens_six_markets_in_a_fixed_order() -> None:
    """Asset ids are places in the file: these six must stay where they are."""
    config = load_config()

    names = [instrument.name for instrument in config.instruments]
    assert names == ["BTC", "ETH", "SOL", "7203", "6758", "9984"]
    assert [instrument.asset for instrument in config.instruments] == list(range(6))
    assert (config.fees.taker_fee_ppm, config.fees.maker_fee_ppm) == (450, 150)


def test_the_default_opening_prices_obey_their_own_price_rule() -> None:
    """An opening price that no order may have would make a strange market."""
    for instrument in load_config().instruments:
        assert is_on_grid(instrument.opening_price_e8, instrument.tick_e8), instrument.name


def test_a_market_becomes_the_instrument_that_the_file_describes() -> None:
    """Every field arrives, the price as an integer of 1e-8."""
    config = parse_config(BTC, "my.toml")

    assert config.instruments == (Instrument(0, "BTC", 5, 40, 65_000 * 10**8),)  # type: ignore[arg-type]
    assert config.fees.taker_fee_ppm == 450
    assert config.markets[0].volatility_ppm == 100


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("max_leverage = 101", "max_leverage: must be 1 to 100, not 101"),
        ("max_leverage = 0", "max_leverage: must be 1 to 100, not 0"),
        ("max_leverage = 4.5", "max_leverage: must be a whole number without quotes, not 4.5"),
        ("max_leverage = true", "max_leverage: must be a whole number without quotes, not True"),
        ('max_leverage = "4"', "max_leverage: must be a whole number without quotes, not '4'"),
        ("size_decimals = 7", "size_decimals: must be 0 to 6, not 7"),
        ("opening_price = 65000", "opening_price: must be a text in quotes, not 65000"),
        ('opening_price = "1e5"', "opening_price: not a decimal: '1e5'"),
        ('opening_price = "0"', "opening_price: must be above 0 and at most 1000000000"),
        ('opening_price = "-1"', "opening_price: must be above 0 and at most 1000000000"),
        (
            'opening_price = "65000.5"',
            (
                "opening_price: must have at most 1 decimals and, unless whole, "
                "five significant figures"
            ),
        ),
        ("volatility_ppm = -1", "volatility_ppm: must be 0 to 10000, not -1"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(line: str, complaint: str) -> None:
    """The message says which file, which market, which field and what would be right."""
    key = line.split(" = ", maxsplit=1)[0]
    kept = [old for old in BTC.splitlines() if not old.startswith(key)]

    assert complaints("\n".join([*kept, line])) == [f"my.toml: market BTC: {complaint}"]


def test_a_missing_and_an_unknown_key_are_both_reported() -> None:
    """A typing error shows as one key too many and one too few."""
    found = complaints(BTC.replace("max_leverage", "max_leverages"))

    assert found == [
        "my.toml: market BTC: max_leverage: missing",
        "my.toml: market BTC: max_leverages: unknown key",
    ]


def test_two_markets_may_not_share_a_name_even_in_another_case() -> None:
    """Clients and people tell markets apart by name alone."""
    found = complaints(BTC + BTC.replace("BTC", "btc"))

    assert found == ["my.toml: market btc: name: another market is called BTC"]


@pytest.mark.parametrize("name", ["", "@1", "PURR/USDC", "A B", "X" * 21])
def test_a_name_that_would_mean_something_else_on_the_wire_is_refused(name: str) -> None:
    """Spot pairs and indices have their own forms of name."""
    [found] = complaints(BTC.replace('"BTC"', f'"{name}"'))

    assert "name: must be 1 to 20 letters" in found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "markets: must be 1 to 512 [[markets]] tables"),
        ("markets = []", "markets: must be 1 to 512 [[markets]] tables"),
        ("markets = [1]", "market number 1: must be a table"),
        ("fees = 3\n" + BTC, "fees: must be a table"),
        (
            "[fees]\ntaker_fee_ppm = 10001\n" + BTC,
            "fees: taker_fee_ppm: must be 0 to 10000, not 10001",
        ),
        ("colour = 3\n" + BTC, "colour: unknown key"),
        ("[[markets]", "not TOML: "),
    ],
)
def test_a_wrong_document_is_refused(text: str, complaint: str) -> None:
    """What is not a settings file says so in one line."""
    [found] = complaints(text)

    assert found.startswith(f"my.toml: {complaint}")


def test_all_mistakes_of_a_file_are_reported_at_once() -> None:
    """Nobody should have to start the program once per typing error."""
    text = "colour = 1\n[fees]\nx = 1\n" + BTC.replace("40", "999")

    assert len(complaints(text)) == 3


def test_a_file_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    """The path is the first thing to look at."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"\xff\xfe", "not UTF-8"), (b"#" * (CONFIG_BYTES_MAX + 1), "larger than")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A settings path that leads to something else entirely is caught before parsing."""
    path = tmp_path / "some.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=complaint):
        load_config(path)
