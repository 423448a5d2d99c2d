"""Run simulated worlds: one seed again, or random ones for as long as asked.

``python -m tests.simulation.soak --seconds 600`` prints a line for each world. A seed that fails is
added to ``seeds.txt``, which every run of the tests repeats.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.simulation.plants import PLANTS
from tests.simulation.world import SimulationError, simulate

SEEDS: Final = Path(__file__).with_name("seeds.txt")
SEED_BITS: Final = 32


def kept_seeds() -> list[int]:
    """Return the seeds that failed once."""
    lines = SEEDS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def keep(seed: int, reason: str) -> None:
    """Add a seed to those that failed once."""
    if seed not in kept_seeds():
        with SEEDS.open("a") as file:
            file.write(f"{seed}  # {reason.splitlines()[0][:100]}\n")


def run(seeds: Iterable[int], until: float, plant: str | None) -> int:
    """Run worlds until the time is over; return how many failed."""
    failed, worlds, virtual = 0, 0, 0.0
    for seed in seeds:
        try:
            outcome = simulate(seed) if plant is None else simulate(seed, plant=PLANTS[plant])
        except SimulationError as error:
            failed += 1
            print(f"FAILED: {error}", flush=True)
            if plant is None:
                keep(seed, str(error))
        else:
            worlds += 1
            virtual += outcome.virtual_seconds
            print(outcome.summary(), flush=True)
        if time.monotonic() >= until:
            break
    hours = virtual / 3600
    print(f"{worlds} worlds kept their promises for {hours:.2f} virtual hours; {failed} did not")
    return failed


def main() -> int:
    """Run; return 1 if a world failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this world, once")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to run random ones")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="with this mistake in it")
    options = parser.parse_args()
    if options.seed is not None:
        return min(1, run([options.seed], 0.0, options.plant))
    chance = random.SystemRandom()
    seeds = iter(lambda: chance.getrandbits(SEED_BITS), None)
    return min(1, run(seeds, time.monotonic() + options.seconds, options.plant))


if __name__ == "__main__":
    sys.exit(main())
