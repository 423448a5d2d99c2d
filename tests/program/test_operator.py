"""What operators do from the command line, and what the faucet gives."""

import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

import pytest

from tests.program.clients import Trader, Wanted
from tests.program.harness import ROOT, Program, run_command

pytestmark = pytest.mark.program

Make = Callable[..., Program]

WATCH_SECONDS_MAX: Final = 20.0


def value(program: Program, trader: Trader) -> str:
    """Return what an account is worth."""
    state = program.info("clearinghouseState", user=trader.address)
    return str(state["marginSummary"]["accountValue"])


def test_fund(exchange: Program) -> None:
    """The account has the money when the command has returned, and again after a second one."""
    trader = Trader.fresh()
    data = str(exchange.directory)

    for usd in ("1000", "0.5"):
        done = run_command("fund", trader.address, usd, "--data", data)
        assert done.returncode == 0, done.stderr
        assert trader.address in done.stdout

    assert value(exchange, trader) == "1000.5"


def test_oracle(exchange: Program, coin: str) -> None:
    """The mark price has moved when the command has returned."""
    done = run_command("oracle", coin, "1234.5", "--data", str(exchange.directory))

    assert done.returncode == 0, done.stderr
    assert "1234.5" in done.stdout
    assert exchange.info("allMids")[coin] == "1234.5"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fund", "0x123", "5"), "0x123"),
        (("fund", "0x" + "1" * 40, "-5"), "-5"),
        (("fund", "0x" + "1" * 40, "1e3"), "1e3"),
        (("oracle", "NOSUCH", "5"), "NOSUCH"),
        (("oracle", "BTC", "0"), "0"),
        (("oracle", "BTC", "cheap"), "cheap"),
    ],
)
def test_what_an_operator_gets_wrong(
    exchange: Program, arguments: tuple[str, ...], said: str
) -> None:
    """It is refused with the value that was wrong, and nothing has happened."""
    mids = exchange.info("allMids")

    done = run_command(*arguments, "--data", str(exchange.directory))

    assert done.returncode not in (0, 2), done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert exchange.info("allMids") == mids


def test_nothing_is_running(tmp_path: object) -> None:
    """The command says that, and how to start one."""
    done = run_command("fund", "0x" + "1" * 40, "5", "--data", str(tmp_path))

    assert done.returncode not in (0, 2)
    assert "zaraba serve" in done.stderr


def test_only_the_owner_may(exchange: Program) -> None:
    """The admin socket can be opened by nobody else."""
    mode = (exchange.directory / "admin.sock").stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_the_faucet_credits_each_newcomer_once_and_not_without_end(programs: Make) -> None:
    """The first valid action of an address brings its credit; the cap outlives a restart."""
    program = programs("--faucet", "500", "--faucet-max", "3").start()
    traders = [Trader.fresh() for _ in range(5)]

    first = [program.exchange(trader.sign({"type": "noop"})) for trader in traders[:2]]
    second = [program.exchange(trader.sign({"type": "noop"})) for trader in traders[:2]]

    assert {answer["status"] for answer in first + second} == {"ok"}
    assert [value(program, trader) for trader in traders[:3]] == ["500.0", "500.0", "0.0"]
    program.kill()
    program.start()
    third, fourth = (program.exchange(trader.sign({"type": "noop"})) for trader in traders[2:4])
    assert third["status"] == "ok"
    assert fourth["status"] == "err"
    assert program.metric("zaraba_faucet_credits") == 3


def test_an_ill_formed_action_brings_no_credit(programs: Make) -> None:
    """The faucet gives for an action, not for a signature."""
    program = programs("--faucet", "500").start()
    trader = Trader.fresh()
    body = trader.place(Wanted(1, True, "2600", "0.1")).replace(b'"2600"', b'"26e2"')

    assert program.post("/exchange", body).status == 422

    assert value(program, trader) == "0.0"


def test_watch_shows_the_book(exchange: Program, coin: str, asset: int) -> None:
    """Without a terminal, `zaraba watch` prints lines with the best levels of the book."""
    trader = Trader.fresh()
    exchange.fund(trader.address, 10_000)
    exchange.exchange(trader.place(Wanted(asset, True, "1987.5", "0.25")))
    best = exchange.info("l2Book", coin=coin)["levels"][0][0]["px"]  # others may have bid more
    command = [sys.executable, "-m", "api.cli", "watch", coin, "--plain", "--url", exchange.url]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        patience = threading.Timer(WATCH_SECONDS_MAX, watch.kill)
        patience.start()
        shown = any(f"@ {best} |" in line for line in watch.stdout)
        patience.cancel()
        watch.terminate()

    assert shown
