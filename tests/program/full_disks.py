"""Disks that are full: a real one, and a limit that needs no rights.

``SmallDisk`` is a file system of a few megabytes in memory, mounted in a namespace of its own that
ends with its keeper. What does not fit gets ENOSPC, as on any disk, and all files share the room.
Not every machine lets one mount.

``Ceiling`` is RLIMIT_FSIZE, set from outside while the program runs, or before it starts where the
system cannot do that. It differs: the error is EFBIG, which SQLite calls a failed disk and not a
full one, so outcomes are unknown rather than refused; the kernel still writes what fits, so files
end in the middle of a page; and the bound is each file's own. The signal that comes with it,
SIGXFSZ, would end a process that does not ignore it; the interpreter does so from its start.
"""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from attrs import define

from tests.program.harness import COMMAND, ROOT, Program

DISK_BYTES: Final = 3 * 2**20
BALLAST_BYTES: Final = 4096
KEEPER_SECONDS_MAX: Final = 10.0


class NoSmallDiskError(Exception):
    """This machine does not let one mount a file system."""


class FullDisk(Protocol):
    """A place for a data directory that can be filled and freed while a program runs on it."""

    @property
    def is_real(self) -> bool:
        """Tell whether the system calls it full."""
        ...

    def program(self, *arguments: str) -> Program:
        """Return a program whose data lie there."""
        ...

    def fill(self, program: Program) -> None:
        """Leave no room."""
        ...

    def free(self, program: Program) -> None:
        """Make room again."""
        ...

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``zaraba verify`` on the data directory."""
        ...


@define(eq=False)
class SmallDisk:
    """A file system that is really full.

    Args:
        keeper: the process whose namespace it is mounted in.
        path: where, in there. What the program prints goes there too, beside its data.
    """

    keeper: int
    path: Path
    is_real: bool = True

    @property
    def data(self) -> Path:
        """The data directory, in there."""
        return self.path / "data"

    def program(self, *arguments: str) -> Program:
        """Return a program whose data lie there."""
        options = ("--data", str(self.data), *arguments)
        return Program(self._outside(self.data), options, command=(*self._command(), "serve"))

    def fill(self, program: Program) -> None:
        """Write until nothing fits any more."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(BALLAST_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self, program: Program) -> None:
        """Take away what was written."""
        self._ballast.unlink()

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``zaraba verify`` on the data directory."""
        return _run([*self._command(), "verify", str(self.data)])

    @property
    def _ballast(self) -> Path:
        return self._outside(self.path) / "ballast"

    def _outside(self, path: Path) -> Path:
        return Path(f"/proc/{self.keeper}/root{path}")

    def _command(self) -> Sequence[str]:
        inside = ("--target", str(self.keeper), "--user", "--mount", "--preserve-credentials")
        return ("nsenter", *inside, f"--wd={ROOT}", *COMMAND)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount one for the length of a block.

    Raises:
        NoSmallDiskError: that is not possible here.
    """
    path.mkdir()
    mount = f'mount -t tmpfs -o size={DISK_BYTES} tmpfs "{path}" && echo mounted && exec cat'
    line = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    try:
        keeper = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise NoSmallDiskError(str(error)) from error
    with keeper:  # which ends as soon as nobody holds its standard input
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        with keeper.stdin:
            if keeper.stdout.readline() != b"mounted\n":
                raise NoSmallDiskError("no file system can be mounted")
            yield SmallDisk(keeper.pid, path)


@define(eq=False)
class Ceiling:
    """A bound on each file of the running program."""

    data: Path
    is_real: bool = False

    def program(self, *arguments: str) -> Program:
        """Return a program whose data lie there."""
        return Program(self.data, arguments)

    def fill(self, program: Program) -> None:
        """Let no file grow beyond what the largest one has."""
        self._limit(program, max(path.stat().st_size for path in self.data.glob("*.sqlite*")))

    def free(self, program: Program) -> None:
        """Let them grow again."""
        self._limit(program, None)

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run ``zaraba verify`` on the data directory."""
        return _run([*COMMAND, "verify", str(self.data)])

    def _limit(self, program: Program, bytes_max: int | None) -> None:
        process = program.process
        if process.poll() is not None:
            return  # the limit ended with it
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        soft = hard if bytes_max is None else bytes_max
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))


_LIMITED: Final = """
import os, resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), hard))
os.execv(sys.argv[2], sys.argv[2:])
"""


def limited_command(bytes_max: int) -> Sequence[str]:
    """Return the command of a program none of whose files may grow beyond a size."""
    return (sys.executable, "-c", _LIMITED, str(bytes_max), *COMMAND, "serve")


def _run(line: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=KEEPER_SECONDS_MAX * 6, check=False
    )
