"""``zaraba verify``: prove a data directory, and say what was found."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from actors.errors import StorageError
from actors.recovery import VerifyReport, verify

EXIT_SOUND: Final = 0
EXIT_FLAWED: Final = 1


def run_verify(data: Path) -> int:
    """Replay the journal from nothing and print the verdict; return the exit status."""
    started = time.perf_counter()
    try:
        report = verify(data, progress=_progress)
    except StorageError as error:
        _clear()
        print(f"zaraba: {error}", file=sys.stderr)
        return EXIT_FLAWED
    _clear()
    for line in verdict(report, time.perf_counter() - started):
        print(line)
    return EXIT_SOUND if report.is_sound else EXIT_FLAWED


def verdict(report: VerifyReport, seconds: float) -> list[str]:
    """Return the lines that tell what a replay found."""
    height = report.head.height if report.head is not None else 0
    lines = [
        f"journal   {height} blocks, {report.commands} commands, all as recorded ({seconds:.1f} s)"
    ]
    lines += [
        f"snapshot  {snapshot.path.name}: {snapshot.flaw or 'sound'}"
        for snapshot in report.snapshots
    ]
    if report.damage is not None:
        lines.append(f"damage    {report.damage}")
    lines.append(f"state     {report.state_digest.hex()}")
    lines.append("verified" if report.is_sound else "NOT SOUND")
    return lines


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} blocks", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
