from pathlib import Path

import pytest

from api import cli
from api.settings import Settings
from model.units import USD


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What `serve` was called with."""
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("api.serve.run", run)
    return seen


def test_the_options_become_settings(served: list[Settings], tmp_path: Path) -> None:
    """Each option has its setting."""
    arguments = ["serve", "--bind", "[::1]:9", "--data", str(tmp_path), "--faucet", "12.5"]

    assert cli.main([*arguments, "--faucet-max", "3"]) == 0
    (settings,) = served
    assert (settings.bind, settings.data) == ("[::1]:9", tmp_path)
    assert (settings.faucet_usd, settings.faucet_credits_max) == (12_500_000, 3)


@pytest.mark.parametrize(
    ("options", "usd"),
    [([], 0), (["--demo"], 10_000 * USD), (["--demo", "--faucet", "0"], 0)],
)
def test_the_faucet_is_off_unless_asked_for(
    served: list[Settings], options: list[str], usd: int
) -> None:
    """On with the demo, and even there it can be turned off."""
    assert cli.main(["serve", *options]) == 0
    assert served[0].faucet_usd == usd


@pytest.mark.parametrize(
    "options",
    [["--bind", "nowhere:x"], ["--faucet", "lots"], ["--faucet-max", "-1"]],
)
def test_a_wrong_option_is_named(
    served: list[Settings], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line, with the status of a usage error."""
    assert cli.main(["serve", *options]) == cli.EXIT_USAGE
    assert options[1] in capsys.readouterr().err
    assert served == []


def test_an_operator_without_an_exchange_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to start one."""
    who = "0x" + "1" * 40

    for more in ([], ["--token", "USDC"]):
        assert cli.main(["fund", who, "5", *more, "--data", str(tmp_path)]) == cli.EXIT_REFUSED
        assert "no exchange is running" in capsys.readouterr().err
