"""The same properties for much longer; ``make soak`` runs this."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.model.test_floors import compare_floors
from tests.properties.test_every_command import EveryCommand
from tests.properties.test_exchange_machine import ArbitraryCommands

ROUNDS: Final = 20
EXAMPLES_PER_ROUND: Final = 500
"""10,000 examples of each machine. What was tried is kept in memory, so not in one round."""

CROWDS: Final = range(100, 200)
"""Seeds of crowds beside those of every run."""


@pytest.mark.soak
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("kind", [ArbitraryCommands, EveryCommand])
def test_machine_stays_whole_in_the_long_run(
    kind: type[RuleBasedStateMachine], number: int
) -> None:
    """Any commands in any order, ten thousand times over: within minutes, and over days."""
    machine = seed(number)(type("Round", (kind,), {}))

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES_PER_ROUND, stateful_step_count=50, deadline=None, database=None
        ),
    )


@pytest.mark.soak
@pytest.mark.parametrize("crowd", CROWDS)
def test_floors_agree_in_the_long_run(crowd: int) -> None:
    """Many more crowds, on both floors."""
    compare_floors(crowd)
