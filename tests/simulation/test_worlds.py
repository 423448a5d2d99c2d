"""The whole gateway in worlds full of trouble: every promise holds, whatever happens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.chaos import CALM
from tests.simulation.soak import kept_seeds
from tests.simulation.world import Outcome, simulate

SEEDS = range(1, 13)
TROUBLES = frozenset(
    (
        "clock",
        "crash",
        "crash_init",
        "cut",
        "damaged_snapshot",
        "disk_full",
        "disk_short",
        "disk_slow",
        "disk_sync",
        "gave up",
        "history_lost",
        "history_slow",
        "history_write",
        "kill",
        "poison",
        "power",
        "read",
        "reset",
        "slow",
        "stall",
        "stop",
        "storm",
    )
)
ROOT = Path(__file__).parents[2]

outcomes: dict[int, Outcome] = {}


@pytest.mark.parametrize("world", SEEDS)
def test_promises_hold(world: int) -> None:
    """What was acknowledged is so, what is seen is durable, nothing is lost, all ends."""
    outcomes[world] = simulate(world)
    print(outcomes[world].summary())


def test_every_trouble_was_met(capsys: pytest.CaptureFixture[str]) -> None:
    """The fixed worlds together meet each kind of trouble, or they would prove little."""
    if len(outcomes) < len(SEEDS):
        pytest.skip("not all worlds were run")
    hours = sum(outcome.virtual_seconds for outcome in outcomes.values()) / 3600
    frames = sum(outcome.frames for outcome in outcomes.values())
    with capsys.disabled():
        print(
            f" [{len(outcomes)} worlds, {hours:.2f} virtual hours, {frames} frames checked] ",
            end="",
        )

    assert {fault for outcome in outcomes.values() for fault in outcome.faults} >= TROUBLES
    assert all(outcome.answers > 100 for outcome in outcomes.values())


@pytest.mark.parametrize("world", kept_seeds())
def test_what_failed_once_holds(world: int) -> None:
    """Worlds in which a promise was broken before it was mended."""
    simulate(world)


def test_nothing_is_unknown_in_the_calm() -> None:
    """Without trouble every outcome is known, and one process lives through it all."""
    outcome = simulate(7, seconds=20, rates=CALM)

    assert (outcome.unknown, outcome.processes, outcome.faults) == (0, 1, {})
    assert outcome.answers > 100


def test_a_seed_is_a_course_of_events() -> None:
    """The same seed gives the same frames at the same times; another one gives others."""
    first, again, other = (simulate(seed, seconds=15) for seed in (12, 12, 13))

    assert first == again
    assert first.fingerprint != other.fingerprint


def test_another_process_takes_the_same_course() -> None:
    """Neither the hash seed nor what ran before has any influence."""
    here = simulate(18)
    line = [sys.executable, "-m", "tests.simulation.soak", "--seed", "18"]
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            line,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert here.summary() in there.stdout
