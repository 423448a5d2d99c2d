"""Measure what telemetry costs: order entry, and orders that many follow, four times in one run.

Four exchanges run side by side, each in a process and with a journal of its own, all tied to one
core: without metrics, with them, and with a hundredth and with all of the orders traced as well,
whose spans go to a collector over OTLP. In each round each of them is driven in turn, in changing
order, while the others sleep, so all meet the same noise. The ratio is that of the medians.

Left out: signing, the network, TLS, what the followers and the collector do with what they get.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from api.bench.entry import WINDOW, drive_window, own_core, serve, text_flow
from api.bench.rows import Row, print_rows
from api.bench.variant import METRICS, OFF, port_of

VARIANTS: Final = {
    "everything off": OFF,
    "metrics": METRICS,
    "metrics, 1 % traced": "0.01",
    "metrics, all traced": "1",
}
ROUNDS: Final = 15
ORDERS: Final = 2_000
FOLLOWERS: Final = 100
SEED: Final = 7


def run(
    *,
    rounds: int = ROUNDS,
    orders: int = ORDERS,
    followers: int = FOLLOWERS,
    directory: Path | None = None,
) -> list[Row]:
    """Measure.

    Args:
        rounds: how often each exchange is driven.
        orders: how many orders each time.
        followers: connections that follow the market's trades and best prices, in the second part.
        directory: where the journals are made and removed; the working directory if not given.
    """
    where = directory or Path.cwd()
    with own_core():
        return [
            *_rows("order entry", _measure(where, rounds, orders, 0)),
            *_rows(
                f"order entry, {followers} followers", _measure(where, rounds, orders, followers)
            ),
        ]


def _rows(what: str, rates: dict[str, list[float]]) -> list[Row]:
    off = statistics.median(rates["everything off"])
    rows = []
    for name, found in rates.items():
        rate = statistics.median(found)
        note = f"best {max(found):,.0f}, worst {min(found):,.0f}; ratio to everything off"
        rows.append(Row(f"{what}: {name}", rate, "orders/s", rate / off, note))
    return rows


def _measure(where: Path, rounds: int, orders: int, followers: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    chance = random.Random(SEED)
    with ExitStack() as stack:
        collector = stack.enter_context(_helper("collect"))
        drives = {}
        for name, variant in VARIANTS.items():
            data = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="zaraba-bench-", dir=where)
            )
            url = stack.enter_context(serve("api.bench.variant", "serve", data, variant, collector))
            if followers:
                stack.enter_context(_helper("follow", port_of(url), str(followers)))
            drives[name] = stack.enter_context(drive_window(url, WINDOW))
        flows = {name: text_flow() for name in VARIANTS}
        for name in VARIANTS:
            drives[name](flows[name].take(orders))  # to warm up
        for _ in range(rounds):
            for name in chance.sample(list(VARIANTS), len(VARIANTS)):
                frames = flows[name].take(orders)
                started = time.perf_counter()
                drives[name](frames)
                rates[name].append(len(frames) / (time.perf_counter() - started))
    return rates


@contextmanager
def _helper(*arguments: str) -> Iterator[str]:
    """Run something beside the exchanges; give its first line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.bench.variant", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    print_rows(run())
