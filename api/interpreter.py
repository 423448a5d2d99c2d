"""How the interpreter is set for a gateway: garbage collection and the lock between threads."""

from __future__ import annotations

import gc
import sys
from typing import Final

GC_THRESHOLDS: Final = (2_000, 10, 100)
"""Young objects are looked at often, so that no look takes long, and old ones rarely, since the
state is long-lived and free of cycles. A look at 50,000 young objects took 20 ms, and four of those
in five seconds made the p99 of order entry at 2,000 orders/s 24 ms instead of 8 ms.
"""

SWITCH_SECONDS: Final = 0.000_5
"""How long a worker thread waits for the interpreter's lock before it insists. Each turn of the
event loop gives the lock away and takes it back, and while turns are shorter than this, a worker
can miss it every time: beside a busy loop with turns of 2 ms, a commit took up to a second at the
default of 5 ms (p99), 20 ms at 1 ms and 17 ms at 0.5 ms. What it costs the loop is not measurable.
"""


def tune_interpreter() -> None:
    """Set the interpreter for a process whose work is a gateway."""
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


def settle_heap() -> None:
    """Take what stands after a start out of the collector's sight: most of it stays for good.

    The collector otherwise walks the whole state again and again, and finds nothing.
    """
    gc.collect()
    gc.freeze()
