"""What the clients make of the limits that an operator may set."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import ccxt
import pytest
from hyperliquid.utils.error import ClientError

from tests.conformance.ccxt_users import REFUSALS
from tests.conformance.record import Recorder
from tests.conformance.wallets import Wallet
from tests.program.harness import Program, running

pytestmark = pytest.mark.program

Open = Callable[..., Any]

WEIGHT: Final = 300
"""Of a minute: a dozen of the heavier questions."""
QUESTIONS_MAX: Final = 60


@pytest.fixture
def exchange(tmp_path: Path, markets_file: Path) -> Iterator[Program]:
    """An exchange that is strict with network addresses."""
    text = markets_file.read_text(encoding="utf-8")
    line = "weight_per_minute = "
    assert f"{line}0" in text
    strict = tmp_path / "strict.toml"
    strict.write_text(text.replace(f"{line}0", f"{line}{WEIGHT}"), encoding="utf-8")
    with running(tmp_path / "data", "--config", str(strict)) as program:
        yield program


def again_and_again(ask: Callable[[], object]) -> None:
    """Ask more often than is allowed."""
    for _ in range(QUESTIONS_MAX):
        ask()


def test_ccxt_is_told_to_slow_down(open_ccxt: Open, recorder: Recorder) -> None:
    """Status 429 is the exception that ccxt users wait and try again for."""
    recorder.note_call(REFUSALS, "status 429 is raised as `RateLimitExceeded`")
    user = open_ccxt()

    with pytest.raises(ccxt.RateLimitExceeded):
        again_and_again(user.exchange.fetch_funding_rates)


def test_the_python_sdk_is_told_to_slow_down(open_wallet: Callable[..., Wallet]) -> None:
    """Its error has the status, and does not choke on the body."""
    info = open_wallet().info

    with pytest.raises(ClientError) as refusal:
        again_and_again(info.meta)

    assert refusal.value.status_code == 429
