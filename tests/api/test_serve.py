"""How the program ends: by signals, by failures, and what the operator is told."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from actors.errors import StorageError
from api import serve
from api.program import Program
from api.serve import EXIT_DATA, EXIT_FAILED, EXIT_OK, EXIT_UNAVAILABLE, OuterDeadline, banner, run
from api.settings import Settings
from model.units import USD
from tests.api.gateways import open_gateway


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With status 0, said at the beginning and the end; a second signal changes nothing."""

    def stop(_: Program) -> list[str]:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        return ["it runs"]

    monkeypatch.setattr(serve, "banner", stop)
    status = run(Settings(data=tmp_path / "data", port=0))

    assert status == EXIT_OK
    said = capsys.readouterr().out.splitlines()
    assert said == ["it runs", f"stopping ({number.name})", "stopped"]


def test_a_signal_during_the_start_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to wait for a long recovery in order to give it up."""

    async def recover(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await trio.sleep_forever()

    monkeypatch.setattr("actors.chain.FileChain.recover", recover)

    assert run(Settings(data=tmp_path / "data", port=0)) == EXIT_OK


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("the journal is broken"), EXIT_DATA),
        (OSError(errno.EADDRINUSE, "Address in use"), EXIT_UNAVAILABLE),
        (ZeroDivisionError("a bug"), EXIT_FAILED),
    ],
)
def test_what_ends_it_has_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """What an operator can mend, and what only we can, are told apart."""

    def fall(_: Settings) -> None:
        raise error

    monkeypatch.setattr(serve, "open_program", fall)

    assert run(Settings(data=tmp_path / "data", port=0)) == status


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_nowhere_to_write_to_changes_no_status(tmp_path: Path) -> None:
    """A full disk under standard output neither ends the program nor hides how it ended."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # a device, no path of ours
        refused = subprocess.run(
            [sys.executable, "-m", "api.cli", "serve", "--config", str(tmp_path / "nowhere.toml")],
            stdout=full,
            stderr=full,
            check=False,
        )
        served = subprocess.run(
            [sys.executable, "-c", SAYS_A_LOT], stdout=full, stderr=full, check=False
        )

    assert (refused.returncode, served.returncode) == (EXIT_DATA, EXIT_OK)


SAYS_A_LOT = """
import os, signal, sys, tempfile
from pathlib import Path
from api import serve
from api.settings import Settings
banner = serve.banner
def stop(program):
    os.kill(os.getpid(), signal.SIGTERM)
    return banner(program)
serve.banner = stop
with tempfile.TemporaryDirectory() as directory:
    status = serve.run(Settings(data=Path(directory), port=0))
sys.exit(status)
"""


async def test_the_banner_names_what_runs(tmp_path: Path) -> None:
    """Markets, data, and how many newcomers were credited."""
    async with open_gateway(tmp_path, faucet_usd=5 * USD, faucet_credits_max=7) as program:
        text = "\n".join(banner(program))

    assert "BTC" in text
    assert "5.0 USD" in text
    assert "0 of 7" in text


def test_a_deadline_that_never_began_can_be_cancelled() -> None:
    """And one that began twice is one."""
    deadline = OuterDeadline()
    deadline.cancel()
    begun = OuterDeadline()
    begun.start()
    begun.start()
    begun.cancel()
