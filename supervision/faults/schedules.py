"""The order in which Trio runs the tasks that are ready, under our control.

Trio collects the tasks that are ready into a batch, and runs a batch in random order. Here that
order comes from a seed, or from a chooser that lets one task go at a time. Private names of Trio
are used, in this place and in `strikes`; `tests/architecture/test_seeding.py` notices when they
change their meaning.
"""

import random
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any

import trio
from trio.lowlevel import Task

_run = trio._core._run

Choose = Callable[[list[Task]], int]
"""Given the ready tasks in the order of their creation: the index of the one to run next."""


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Make the Trio runs inside take the order of tasks that belongs to a seed; None: leave it."""
    if seed is None:
        yield
        return
    with _chance(random.Random(seed)):
        yield


@contextmanager
def chosen(choose: Choose) -> Iterator[None]:
    """Make the Trio runs inside run one ready task at a time, the one that is chosen."""
    with _chance(_OneAtATime(choose)):
        yield


@contextmanager
def _chance(source: random.Random) -> Iterator[None]:
    before = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING
    _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = source, True  # type: ignore[misc]
    try:
        yield
    finally:
        _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


class _OneAtATime(random.Random):
    """Trio's source of chance: a shuffle leaves one task in the batch, and queues the others."""

    def __init__(self, choose: Choose) -> None:
        super().__init__(0)
        self._choose = choose

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Keep the chosen task. Trio has sorted the batch by the creation of its tasks."""
        if len(x) > 1:
            one = x.pop(self._choose(list(x)))
            _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(x)
            x[:] = [one]
