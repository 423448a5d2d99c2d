from collections.abc import Callable
from pathlib import Path

import pytest

from api.profile import ProfileOptions, command_of, running_pid
from tests.program.harness import Program, run_command

pytestmark = pytest.mark.program


def test_a_running_gateway_is_drawn(programs: Callable[..., Program], tmp_path: Path) -> None:
    """The flame graph names the gateway's own code, and the gateway runs on."""
    program = programs("--demo").start()  # what sleeps all the time is not drawn
    output = tmp_path / "profile.svg"
    done = run_command("profile", "2", "--data", str(program.directory), "--output", str(output))
    if "not allowed" in done.stderr:
        pytest.skip("no right to look into another process here")

    assert done.returncode == 0, done.stderr
    assert "trio/_core/_run.py" in output.read_text(encoding="utf-8")
    assert program.is_ready()


def test_a_lock_that_nobody_holds_means_nothing(tmp_path: Path) -> None:
    """After a kill the file is left behind; its process id may be anybody's."""
    (tmp_path / "lock").write_text("1")

    assert running_pid(tmp_path) is None
    assert running_pid(tmp_path / "absent") is None
    assert run_command("profile", "1", "--data", str(tmp_path)).returncode == 1


@pytest.mark.parametrize("seconds", ["0", "601"])
def test_the_time_is_bounded(seconds: str, tmp_path: Path) -> None:
    """Samples take memory until the end, so there is one."""
    assert run_command("profile", seconds, "--data", str(tmp_path)).returncode == 2


def test_only_the_lock_may_be_looked_at(tmp_path: Path) -> None:
    """What waits for the disk is left out then."""
    options = ProfileOptions(1, tmp_path, tmp_path / "x.svg", is_gil=True)

    assert "--gil" in command_of(1, options)
