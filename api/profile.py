"""``zaraba profile``: where a running gateway spends its time, as a flame graph.

The sampling is py-spy's, a program that reads another's memory from outside: the gateway needs no
preparation and runs on while it is watched. Reading another process is a right (ptrace) that the
same user has on most machines, and that containers and hardened systems take away; what to do about
that is said where it fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from api.settings import SettingsError

SECONDS_MAX: Final = 600
"""Longest profile: the samples are kept in memory until the end."""
RATE: Final = 100
"""Samples a second; py-spy stops the gateway for about a millisecond for each."""
START_SECONDS_MAX: Final = 60.0
"""For py-spy to begin and to draw, beside the sampling."""
EXIT_REFUSED: Final = 1
EXIT_UNAVAILABLE: Final = 69

NOT_ALLOWED: Final = """\
zaraba: not allowed to look into process {pid}
  run this as the user of the gateway; where that is not enough (kernel.yama.ptrace_scope), as root:
    sudo {command}
  in a container, start it with: docker run --cap-add SYS_PTRACE ..."""


@frozen
class ProfileOptions:
    """What to profile: the gateway of ``data`` for so many ``seconds``, into ``output``.

    ``is_gil`` keeps to what holds the interpreter's lock: that is what others wait for.
    """

    seconds: int
    data: Path
    output: Path
    is_gil: bool = False


def run_profile(options: ProfileOptions) -> int:
    """Profile a running gateway; return the exit status.

    Raises:
        SettingsError: it cannot be profiled for so long.
    """
    if not 0 < options.seconds <= SECONDS_MAX:
        raise SettingsError(f"not from 1 to {SECONDS_MAX} seconds: {options.seconds}")
    pid = running_pid(options.data)
    if pid is None:
        return _complain(f"zaraba: no gateway runs on {options.data}", EXIT_REFUSED)
    command = command_of(pid, options)
    print(f"profiling process {pid} for {options.seconds} s")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=options.seconds + START_SECONDS_MAX,
            check=False,
        )
    except FileNotFoundError:
        return _complain("zaraba: py-spy is not installed beside Python", EXIT_UNAVAILABLE)
    except subprocess.TimeoutExpired:
        return _complain("zaraba: the profiler does not come to an end", EXIT_UNAVAILABLE)
    if done.returncode:
        return _explain(done.stderr, pid, command)
    print(f"wrote {options.output}; open it in a browser")
    return 0


def command_of(pid: int, options: ProfileOptions) -> list[str]:
    """Return the profiler's command line."""
    program = Path(sys.executable).with_name("py-spy")
    command = [str(program), "record", "--pid", str(pid), "--duration", str(options.seconds)]
    command += ["--rate", str(RATE), "--output", str(options.output), "--format", "flamegraph"]
    return [*command, "--threads", *(["--gil"] if options.is_gil else [])]


def running_pid(data: Path) -> int | None:
    """Return the process that holds a data directory, if one does."""
    # The file is left behind by whoever was killed: only a lock that is held means anything.
    path = data / "lock"
    try:
        with path.open("r+") as file:
            return _holder(file.fileno(), file.read())
    except OSError:
        return None


def _holder(descriptor: int, text: str) -> int | None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return int(text) if text.strip().isdigit() else None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return None


def _explain(said: str, pid: int, command: Sequence[str]) -> int:
    if "ermission" in said or "not permitted" in said:
        return _complain(NOT_ALLOWED.format(pid=pid, command=" ".join(command)), EXIT_UNAVAILABLE)
    return _complain(f"zaraba: the profiler failed: {said.strip()[-400:]}", EXIT_UNAVAILABLE)


def _complain(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status
