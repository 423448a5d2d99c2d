"""The real program, started with a clock that a test sets forward.

``python -m tests.conformance.shifted_clock serve …`` is ``zaraba serve …``, except that the wall
clock is ahead by the milliseconds that stand in the file named by ``ZARABA_TESTS_SHIFT``. Payments
of funding come once an hour; a test does not wait for one.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

SHIFT_FILE: Final = "ZARABA_TESTS_SHIFT"


def shifted(real: Callable[[], int], file: Path) -> Callable[[], int]:
    """Return a clock that is ahead of another, both in nanoseconds."""
    return lambda: real() + int(file.read_text(encoding="utf-8")) * 1_000_000


if __name__ == "__main__":
    time.time_ns = shifted(time.time_ns, Path(os.environ[SHIFT_FILE]))

    from api import cli

    sys.exit(cli.main())
