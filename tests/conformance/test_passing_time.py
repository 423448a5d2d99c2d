"""Time passes, and what was due is done: what each client sees of funding and of a TWAP."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from tests.conformance.ccxt_users import CcxtUser
from tests.conformance.shapes import ANSWERS, misfits
from tests.conformance.shifted_clock import SHIFT_FILE
from tests.conformance.wallets import IOC, Wallet, wait_until
from tests.program.harness import Program, running

pytestmark = pytest.mark.program

Open = Callable[..., Any]

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
SLICE_MS: Final = 30_000
NO_HASH: Final = "0x" + "00" * 32
COMMAND: Final = (sys.executable, "-m", "tests.conformance.shifted_clock", "serve")
RATE: Final = 0.0000125
"""Of funding in an hour in which no price was away from the oracle: the interest part alone."""


@frozen
class Time:
    """The lead of the program's clock."""

    file: Path

    def pass_by(self, ms: int) -> None:
        """Let time pass."""
        lead = int(self.file.read_text(encoding="utf-8")) + ms
        aside = self.file.with_suffix(".new")
        aside.write_text(str(lead), encoding="utf-8")
        aside.replace(self.file)


@pytest.fixture
def hours(tmp_path: Path) -> Time:
    """The clock's lead; at first such that it is half past some hour, far from any payment."""
    file = tmp_path / "shift"
    file.write_text(str(HOUR_MS // 2 - time.time_ns() // 1_000_000 % HOUR_MS), encoding="utf-8")
    return Time(file)


@pytest.fixture
def exchange(tmp_path: Path, markets_file: Path, hours: Time) -> Iterator[Program]:
    """An exchange whose hours are short."""
    with running(
        tmp_path / "data",
        "--config",
        str(markets_file),
        environment={SHIFT_FILE: str(hours.file)},
        command=COMMAND,
    ) as program:
        yield program


def test_an_hour_of_funding(
    open_wallet: Callable[..., Wallet], open_ccxt: Open, hours: Time, coin: str, symbol: str
) -> None:
    """Who is long pays who is short, once an hour; both clients show rate, payment and total."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, -1, 2000)
    wallet.place(coin, 1, 2000, IOC)
    frames = wallet.subscribe({"type": "userFundings", "user": wallet.address})
    assert frames.next()["fundings"] == []
    user: CcxtUser = open_ccxt(account=wallet.account)

    hours.pass_by(HOUR_MS)

    (told,) = frames.next()["fundings"]
    paid = wallet.info.user_funding_history(wallet.address, 0)
    received = maker.info.user_funding_history(maker.address, 0)
    assert misfits(paid, ANSWERS["userFunding"]) == []
    assert float(paid[0]["delta"]["usdc"]) == pytest.approx(-2000 * RATE)
    assert float(received[0]["delta"]["usdc"]) == -float(paid[0]["delta"]["usdc"])
    assert {key: told[key] for key in ("coin", "usdc")} == {
        "coin": coin,
        "usdc": paid[0]["delta"]["usdc"],
    }
    (position,) = wallet.info.user_state(wallet.address)["assetPositions"]
    assert float(position["position"]["cumFunding"]["allTime"]) == pytest.approx(2000 * RATE)
    (rate,) = wallet.info.funding_history(coin, 0)
    assert float(rate["fundingRate"]) == RATE

    (entry,) = user.api.fetch_funding_history(symbol)
    assert entry["amount"] == pytest.approx(-2000 * RATE)
    (past,) = user.api.fetch_funding_rate_history(symbol, 1)
    assert past["fundingRate"] == RATE


def test_slices_of_a_twap(
    open_wallet: Callable[..., Wallet], open_ccxt: Open, hours: Time, coin: str, symbol: str
) -> None:
    """What ccxt ordered is bought slice by slice, and the Python SDK sees each slice's fill."""
    maker, wallet = open_wallet(), open_wallet()
    maker.rest(coin, -1, 2010)
    user: CcxtUser = open_ccxt(account=wallet.account)

    def seen() -> Any:
        return wallet.info.user_twap_slice_fills(wallet.address)

    def at_least(count: int) -> Callable[[], bool]:
        return lambda: len(seen()) >= count

    order = user.api.create_twap_order(symbol, "buy", 1, 5 * MINUTE_MS)
    for count in range(1, 4):
        hours.pass_by(SLICE_MS)
        wait_until(at_least(count))

    slices = seen()
    assert misfits(slices, ANSWERS["userTwapSliceFills"]) == []
    assert {one["twapId"] for one in slices} == {int(order["id"])}
    assert {one["fill"]["hash"] for one in slices} == {NO_HASH}
    bought = user.api.fetch_position(symbol)["contracts"]
    assert bought == pytest.approx(sum(float(one["fill"]["sz"]) for one in slices))
    user.api.cancel_twap_order(order["id"], symbol)
