"""The benchmarks run, and what they print can be read; what they measure is not judged here."""

from pathlib import Path

import pytest

from api.bench.entry import run
from api.bench.telemetry import run as measure_telemetry
from tests.program.harness import run_command

pytestmark = pytest.mark.program


def test_the_command_prints_a_table() -> None:
    """Each benchmark that is named has its part, with what it leaves out."""
    done = run_command("bench", "machine", "margin", "signing", "--quick", "--markdown")

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("## ")] == [
        "## machine",
        "## margin",
        "## signing",
    ]
    assert done.stdout.count("Left out: ") == 3


def test_an_unknown_name_is_refused() -> None:
    """The names that there are, are told."""
    done = run_command("bench", "nosuch")

    assert done.returncode == 2
    assert "recovery" in done.stderr


def test_order_entry_is_measured(tmp_path: Path) -> None:
    """Every order of the measurement is carried out, single and in batches."""
    rows = run(seconds=0.1, rates=(200,), batch_rates=(40,), rounds=1, directory=tmp_path)

    assert len(rows) == 8
    assert all(row.figure > 0 for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_cost_of_telemetry_is_measured(tmp_path: Path) -> None:
    """With and without metrics and traces, alone and with followers, side by side."""
    rows = measure_telemetry(rounds=1, orders=40, followers=2, directory=tmp_path)

    assert len(rows) == 2 * 4
    assert all(row.figure > 0 for row in rows)
    assert rows[0].ratio == rows[4].ratio == 1
    assert list(tmp_path.iterdir()) == []
