"""The line that a failure prints runs exactly that case again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from supervision.faults import Case

ROOT = Path(__file__).parents[2]

BROKEN = '''
"""Broken on purpose."""

import random
from pathlib import Path

import pytest
import trio

from supervision.faults import (
    cancel, explore, raising, run_priorities, run_seeds, sweep, sweep_pairs
)


def note(*facts):
    with Path("ran").open("a") as ran:
        print(*facts, file=ran)


async def three_steps(fault):
    with fault:
        for _ in range(9):
            await trio.sleep(1)
    note(fault.steps)
    assert not (fault.fired and fault.steps >= 4)


async def aftermath(fault):
    with fault:
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(3):
                    await trio.sleep(1)
    note(fault.steps)
    assert not fault.injected or fault.steps < 3


async def race(course):
    order = []

    async def append(item):
        order.append(item)

    with course:
        async with trio.open_nursery() as nursery:
            for item in range(3):
                nursery.start_soon(append, item)
    note(order)
    assert order != [1, 2, 0]


@pytest.mark.parametrize("kind", ["one", "pair", "seed", "every order", "priorities"])
def test_broken(kind):
    if kind == "one":
        sweep(three_steps, seed=5)
    elif kind == "pair":
        sweep_pairs(aftermath, first=cancel, second=raising(OSError), seed=5)
    elif kind == "seed":
        run_seeds(race)
    elif kind == "every order":
        explore(race)
    else:
        run_priorities(race)
'''

EXPECTED = {
    "one": "three_steps step=4 seed=5",
    "pair": "aftermath search=pairs step=1+3 seed=5",
    "seed": "race seed=",
    "every order": "race search=order order=",
    "priorities": "race search=order order=",
}


def run(command: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "FAULTS"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take most of the time
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_printed_line_repeats_the_case(tmp_path: Path) -> None:
    """Pasted into a shell, the line of each kind of search runs one case, and that one fails."""
    (tmp_path / "test_broken.py").write_text(BROKEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    output = run("python -m pytest -p no:cacheprovider test_broken.py", tmp_path)
    lines = re.findall(r"^E +repeat with: (FAULTS=.*)$", output, re.MULTILINE)
    assert len(lines) == len(EXPECTED)

    for line, case in zip(lines, EXPECTED.values(), strict=True):
        (tmp_path / "ran").unlink()
        again = run(f"{line} -p no:cacheprovider", tmp_path)

        assert line.startswith(f"FAULTS='{case}")
        assert "1 failed" in again
        assert f"repeat with: {line}\n" in again, "it failed, but in another way"
        assert len((tmp_path / "ran").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["a step=3", "a step=3+9 seed=5", "a search=order order=4:1+9:2", "a seed=0", "a"]
)
def test_text_form_of_a_case(text: str) -> None:
    """A case reads back as it was written."""
    assert str(Case.parse(text)) == text


def test_unknown_facts_of_a_case() -> None:
    """A mistyped case is refused, not taken for a plain run."""
    with pytest.raises(ValueError, match="stpe"):
        Case.parse("a stpe=3")
