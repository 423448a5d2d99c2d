"""What every test stands on: a seed that fixes Trio's schedule, and the Hypothesis profile.

Trio runs the tasks of one batch in random order on purpose. Here each test gets a seed of its own,
made from the session's seed and the test's name, so that a failure can be repeated exactly:

    pytest --seed 123 "tests/actors/test_sequencer.py::test_name"

The session's seed stands in the header of the run and in the report of each failing test.
"""

import random
from collections import Counter
from collections.abc import Callable

import hypothesis
import pytest
import trio

from supervision.faults import Sweep

SEED_BITS = 32
SWEPT = pytest.StashKey[Counter[str]]()

# No deadline: a busy machine is not a failed property. The blob repeats a failure elsewhere.
hypothesis.settings.register_profile("zaraba", deadline=None, print_blob=True)
hypothesis.settings.load_profile("zaraba")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed",
        type=int,
        default=random.SystemRandom().getrandbits(SEED_BITS),
        help="repeat a run: the seed from its header",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.getoption('--seed')}"


@pytest.fixture
def seed_scheduling(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes Trio schedule every following run by the seed it is given.

    Two private names of Trio are used, in this place only; `architecture/test_seeding.py` notices
    when they change their meaning.
    """
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    return trio._core._run._r.seed


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest, seed_scheduling: Callable[[int], None]) -> int:
    """Fix the schedule of this test and return its seed, for the test's own random choices."""
    session_seed = request.config.getoption("--seed")
    test_seed = random.Random(f"{session_seed} {request.node.nodeid}").getrandbits(SEED_BITS)
    seed_scheduling(test_seed)
    print(f"repeat with --seed {session_seed} (this test: {test_seed})")
    return test_seed


@pytest.fixture
def swept(request: pytest.FixtureRequest) -> Callable[[str, Sweep], None]:
    """Return a function that counts what a sweep struck, for the end of the run."""
    counts = request.config.stash.setdefault(SWEPT, Counter())

    def count(what: str, sweep: Sweep) -> None:
        print(sweep.summary())
        counts[what] += sweep.steps

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = terminalreporter.config.stash.get(SWEPT, Counter())
    if counts:
        terminalreporter.section("checkpoints swept")
        for what, steps in sorted(counts.items()):
            terminalreporter.line(f"{steps:7,}  {what}")
        terminalreporter.line(f"{counts.total():7,}  in all")
