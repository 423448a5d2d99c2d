"""The same exchange under a server of the operator's own: ``hypercorn -k trio api.asgi:app``."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.record import Recorder
from tests.conformance.wallets import IOC, Wallet
from tests.program.bad_clients import UPGRADE, never_reads, upgraded
from tests.program.harness import Program, run_command
from tests.program.test_bad_input import raw

pytestmark = pytest.mark.program

HYPERCORN = (sys.executable, "-m", "hypercorn", "-k", "trio", "api.asgi:app")


@pytest.fixture
def hosted(programs: Callable[..., Program], tmp_path: Path) -> Program:
    """An exchange that hypercorn hosts, with a faucet."""
    environment = {"ZARABA_DATA": str(tmp_path / "data"), "ZARABA_FAUCET": "10000"}
    return programs(environment=environment, command=HYPERCORN)


@pytest.fixture
def wallets(hosted: Program) -> Iterator[tuple[Wallet, Wallet]]:
    """Two users of the published client, funded by the faucet."""
    hosted.start()
    recorder = Recorder()
    opened = (
        Wallet.open(hosted, 0, recorder=recorder),
        Wallet.open(hosted, 0, recorder=recorder),
    )
    yield opened
    for wallet in opened:
        wallet.close()


def test_it_serves_trades_and_stops(hosted: Program, wallets: tuple[Wallet, Wallet]) -> None:
    """The published client trades on it, streams deliver, and what was traded is still there."""
    maker, taker = wallets
    maker.rest("ETH", -0.5, 2600)
    frames = taker.subscribe({"type": "userFills", "user": taker.address})
    assert frames.next()["fills"] == []

    taker.place("ETH", 0.2, 2600, IOC)

    assert [fill["sz"] for fill in frames.next()["fills"]] == ["0.2"]
    taker.close()
    assert hosted.stop() == 0
    assert run_command("verify", str(hosted.directory)).returncode == 0
    hosted.start()
    (order,) = hosted.info("openOrders", user=maker.address)
    assert (order["coin"], order["sz"]) == ("ETH", "0.3")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_although_a_client_never_reads(hosted: Program, number: signal.Signals) -> None:
    """Full sockets do not hold up the stop here either."""
    hosted.start()

    with upgraded(hosted, never_reads(100)):
        assert hosted.stop(number) == 0


def test_one_bad_connection_does_not_end_it(hosted: Program) -> None:
    """Frames ahead of the answer to the upgrade end their own connection only."""
    hosted.start()

    for _ in range(3):
        raw(hosted, UPGRADE + never_reads(3))

    assert hosted.is_ready()


def test_a_wrong_setting_stops_the_start(programs: Callable[..., Program], tmp_path: Path) -> None:
    """The setting is named, and the server ends; with which status is hypercorn's own business."""
    environment = {"ZARABA_DATA": str(tmp_path / "data"), "ZARABA_FAUCET": "lots"}
    program = programs(environment=environment, command=HYPERCORN).start(wait=False)

    program.wait_ended()
    assert "lots" in program.output()
