"""The checkers of the simulated worlds find mistakes: each one that is planted here."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.world import SimulationError, simulate

WORLDS = range(1, 9)
ROOT = Path(__file__).parents[2]


def find(plant: str) -> SimulationError:
    """Return how the first world with the mistake fails."""
    for world in WORLDS:
        try:
            simulate(world, plant=PLANTS[plant])
        except SimulationError as error:
            return error
    raise AssertionError(f"nobody noticed: {plant}")


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_found(plant: str) -> None:
    """One of a few worlds fails, and fails in the same way when it is run again."""
    error = find(plant)
    seed = re.search(r"--seed (\d+)", str(error))
    assert seed is not None

    with pytest.raises(SimulationError) as again:
        simulate(int(seed[1]), plant=PLANTS[plant])
    assert str(again.value) == str(error)


def test_the_printed_line_repeats_the_case() -> None:
    """Pasting it into a shell runs the very case, with the same end."""
    error = find("answer_before_commit")
    first, _, line = str(error).partition("\nrepeat with: ")
    command = [sys.executable, *shlex.split(line)[1:]]

    pasted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert pasted.returncode == 1
    assert first in pasted.stdout
