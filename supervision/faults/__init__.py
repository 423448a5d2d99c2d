"""Faults at every checkpoint of a Trio program, and every order of its tasks.

A Trio task can be cancelled only where it yields, so the ways in which a fault can mix with a
scenario are finite: count the steps of the tasks under test, and in run k strike right after the
k-th. `sweep` does that for all k, and `sweep_pairs` for two strikes. What strikes is a choice:
`cancel` (the default), `raising`, `delaying`, `jumping`, or any function of the scenario's own.

    async def scenario(fault: Fault) -> None:
        with fault:                      # what runs in here, and below it, is under test
            await transfer(bank)
        assert bank.is_balanced()        # must hold wherever the strike fell

    print(sweep(scenario).summary())

Trio runs the tasks that are ready in random order. `run_seeds` tries seeds, `run_priorities` orders
that find rare bugs fast, and `explore` every order there is. Every run has virtual time of its own,
must end and leave no task behind. A failure prints the line that runs exactly that case again.

Read in this order: `fault` (counting and striking), `strikes` (what to do there), `sweeps`,
`schedules` (the order of tasks), `orders` (searches over orders), `cases` (how to repeat one),
`worlds` (one run on virtual time). Only `strikes` and `schedules` use private names of Trio, and
the cancel sweep needs neither. `docs/faults.md` shows how to sweep a program.
"""

from supervision.faults.cases import Case, SweepError
from supervision.faults.fault import Fault
from supervision.faults.orders import Course, Exploration, explore, run_priorities, run_seeds
from supervision.faults.schedules import seeded
from supervision.faults.strikes import cancel, delaying, jumping, raising
from supervision.faults.sweeps import Sweep, run_step, sweep, sweep_pairs
from supervision.faults.worlds import run_virtual, settle

__all__ = [
    "Case",
    "Course",
    "Exploration",
    "Fault",
    "Sweep",
    "SweepError",
    "cancel",
    "delaying",
    "explore",
    "jumping",
    "raising",
    "run_priorities",
    "run_seeds",
    "run_step",
    "run_virtual",
    "seeded",
    "settle",
    "sweep",
    "sweep_pairs",
]
