"""Markets of a running exchange: listed, added, traded at once, and there after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program.clients import Trader, Wanted
from tests.program.harness import Program, run_command

pytestmark = pytest.mark.program

Make = Callable[..., Program]

MORE = """
[[markets]]
name = "DOGE"
size_decimals = 0
max_leverage = 10
opening_price = "0.12"
margin_tiers = [{ from_usd = "20000000", max_leverage = 5 }]
"""


@pytest.fixture
def more(tmp_path: Path) -> str:
    """A file with one more market."""
    path = tmp_path / "more.toml"
    path.write_text(MORE)
    return str(path)


def test_a_market_is_added_while_the_exchange_runs(programs: Make, more: str) -> None:
    """It can be traded when the command has returned, and after a restart; asset ids go on."""
    program = programs().start()
    data = str(program.directory)
    count = len(program.info("meta")["universe"])

    done = run_command("markets", "add", more, "--data", data)

    assert done.returncode == 0, done.stderr
    assert "DOGE" in done.stdout
    listed = program.info("meta")["universe"][count]
    assert (listed["name"], listed["szDecimals"], listed["maxLeverage"]) == ("DOGE", 0, 10)
    trader = Trader.fresh()
    program.fund(trader.address, 1_000)
    answer = program.exchange(trader.place(Wanted(count, True, "0.11", "1000")))
    assert "resting" in answer["response"]["data"]["statuses"][0]
    assert program.stop() == 0

    program.start()
    assert program.info("meta")["universe"][count]["name"] == "DOGE"
    [order] = program.info("openOrders", user=trader.address)
    assert order["coin"] == "DOGE"


def test_a_name_that_is_taken_adds_nothing(exchange: Program, tmp_path: Path) -> None:
    """All markets of a file are opened, or none of them."""
    path = tmp_path / "more.toml"
    path.write_text(MORE.replace("DOGE", "FRESH") + MORE.replace("DOGE", "btc"))
    before = exchange.info("meta")

    done = run_command("markets", "add", str(path), "--data", str(exchange.directory))

    assert done.returncode == 1
    assert "already listed: btc" in done.stderr
    assert exchange.info("meta") == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fees]\ntaker_fee_ppm = 1\n", "fees: unknown key"),
        ("[[markets]]\nname = 'X'\n", "size_decimals: missing"),
        ("[[markets", "not TOML"),
        ("", "at least one"),
    ],
)
def test_a_file_with_a_mistake_is_refused(
    exchange: Program, tmp_path: Path, text: str, said: str
) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    done = run_command("markets", "add", str(path), "--data", str(exchange.directory))

    assert done.returncode == 1
    assert said in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_markets_are_listed_with_their_prices(exchange: Program) -> None:
    """One row each, for people and as JSON."""
    data = str(exchange.directory)

    table = run_command("markets", "--data", data)
    rows = json.loads(run_command("markets", "--data", data, "--json").stdout)

    assert table.returncode == 0, table.stderr
    heading, *lines = table.stdout.splitlines()
    assert heading.split()[:3] == ["asset", "name", "kind"]
    pairs = exchange.info("spotMeta")["universe"]
    assert len(lines) == len(rows) == len(exchange.info("meta")["universe"]) + len(pairs)
    assert rows[-1]["name"] == pairs[-1]["name"]
    assert rows[0]["name"] == "BTC"
    assert rows[0]["leverage"] == "40, 20 from 150M"
    assert rows[0]["mark"] == "65000.0"


def test_without_an_exchange_the_configured_markets_are_listed(tmp_path: Path, more: str) -> None:
    """What a new exchange would open, or what a file would, before it is used."""
    built_in = run_command("markets", "--data", str(tmp_path))
    own = run_command("markets", "--config", more, "--data", str(tmp_path))
    wrong = run_command("markets", "--config", str(tmp_path / "nowhere"))

    assert built_in.returncode == own.returncode == 0
    assert "a new exchange would open these" in built_in.stdout
    assert "BTC" in built_in.stdout
    assert "DOGE" in own.stdout
    assert "BTC" not in own.stdout
    assert wrong.returncode == 1
    assert "No such file" in wrong.stderr
