from pathlib import Path

import pytest

from actors.trace_settings import TraceSettings
from api.settings import (
    Settings,
    SettingsError,
    read_bind,
    read_faucet,
    read_rate,
    read_usd,
    settings_from_environment,
)
from model.transfers import CASH_MAX
from model.units import USD


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        (":9000", ("0.0.0.0", 9000)),
        ("localhost", ("localhost", 8000)),
        ("[::1]:0", ("::1", 0)),
    ],
)
def test_binds(text: str, bind: tuple[str, int]) -> None:
    """Host and port, either of which may be left out."""
    assert read_bind(text) == bind


@pytest.mark.parametrize("text", ["a:b", "a:70000", "a:-1", "a:", "a:\u0661"])
def test_no_binds(text: str) -> None:
    """What is no port is named."""
    with pytest.raises(SettingsError, match="not an address"):
        read_bind(text)


def test_an_address_of_ipv6_is_bracketed() -> None:
    """As servers take it."""
    assert Settings(host="::1", port=1).bind == "[::1]:1"


@pytest.mark.parametrize("text", ["", "0", "-1", "1e5", "nan", "0.0000001", "1" * 30])
def test_no_amounts(text: str) -> None:
    """What is no positive amount that an account may hold is named."""
    with pytest.raises(SettingsError, match="not an amount"):
        read_usd(text)


def test_amounts() -> None:
    """Decimals of a dollar are micro-USD; the most is what an account may hold."""
    assert read_usd("12.5") == 12_500_000
    assert read_usd(str(CASH_MAX // USD)) == CASH_MAX


def test_the_faucet_is_on_with_the_demo_and_can_be_turned_off() -> None:
    """Said on the command line or in the environment, it means the same."""
    assert read_faucet(None, demo=False) == 0
    assert read_faucet(None, demo=True) == 10_000 * USD
    assert read_faucet("0", demo=True) == 0
    assert read_faucet("5", demo=False) == 5 * USD
    assert settings_from_environment({"ZARABA_DEMO": "1", "ZARABA_FAUCET": "0"}).faucet_usd == 0


def test_the_environment() -> None:
    """Each variable means what its option means."""
    settings = settings_from_environment({"ZARABA_DATA": "/d", "ZARABA_CONFIG": "/c.toml"})

    assert (settings.data, settings.config) == (Path("/d"), Path("/c.toml"))
    assert not settings.demo
    with pytest.raises(SettingsError, match="ZARABA_DEMO"):
        settings_from_environment({"ZARABA_DEMO": "yes"})


def test_a_faucet_that_no_account_can_hold() -> None:
    """A setting that would only ever be refused is refused at once."""
    with pytest.raises(ValueError, match="faucet_usd"):
        Settings(faucet_usd=CASH_MAX + 1)


def test_environment_says_what_is_traced() -> None:
    """Places and rate; without any of them nothing is traced."""
    found = settings_from_environment(
        {
            "ZARABA_TRACES": "/tmp/t.jsonl",
            "ZARABA_TRACE_CONSOLE": "1",
            "ZARABA_OTLP": "http://collector:4318",
            "ZARABA_TRACE_RATE": "0.01",
        }
    ).tracing

    assert (str(found.file), found.console) == ("/tmp/t.jsonl", True)
    assert (found.otlp, found.rate) == ("http://collector:4318", 0.01)
    assert settings_from_environment({}).tracing == TraceSettings()


@pytest.mark.parametrize("text", ["", "x", "-0.1", "1.1", "nan", "1%"])
def test_rates_are_parts(text: str) -> None:
    """Anything that is not from 0 to 1 is refused, with its text."""
    with pytest.raises(SettingsError, match="not a part"):
        read_rate(text)
