"""The checkers of the simulated worlds find mistakes: each one that is planted here."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.audit import BrokenPromiseError
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
    """A promise is seen to be broken in one of a few worlds."""
    assert BrokenPromiseError.__name__ in str(find(plant))


def test_the_printed_line_repeats_the_case() -> None:
    """Pasting it into a shell runs the very case, with the same end; so does running it here."""
    error = find("answer_before_commit")
    first, _, line = str(error).partition("\nrepeat with: ")
    command = [sys.executable, *shlex.split(line)[1:]]

    with pytest.raises(SimulationError) as again:
        simulate(int(line.split()[-3]), plant=PLANTS["answer_before_commit"])
    pasted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert str(again.value) == str(error)
    assert pasted.returncode == 1
    assert first in pasted.stdout
