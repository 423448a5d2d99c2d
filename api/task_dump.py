"""Where every task of this process waits: the first thing to look at when something hangs.

``kill -USR1`` writes it to the log. Before that the interpreter itself writes what each thread
executes at that very moment, which works even where a function never gives the loop back.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from trio.lowlevel import Task, current_root_task, spawn_system_task

LINES_MAX: Final = 500
SIBLINGS_MAX: Final = 1_000
"""Tasks of one nursery that are looked at: about a tenth of a second."""
FRAMES_MAX: Final = 40
"""Innermost frames of a task that are looked at."""
FRAMES_SHOWN: Final = 3
"""Innermost frames of this program that a line of the dump shows."""
_TRIO: Final = str(Path(trio.__file__).parent)

log = logging.getLogger("zaraba")


@frozen
class _Waiting:
    """One task: how deep below the root, its name, and where it waits, innermost first."""

    depth: int
    name: str
    places: tuple[str, ...]

    @property
    def kind(self) -> tuple[int, str, tuple[str, ...]]:
        """What tasks have in common that are told of together."""
        return self.depth, self.name.rpartition("/")[0] or self.name, self.places


def describe_tasks() -> list[str]:
    """Return a line for each task of the running loop, parents before their children.

    Siblings that wait at the same place share a line; there are at most LINES_MAX lines.
    """
    root = current_root_task()
    if root is None:
        return []
    lines: list[str] = []
    for _, alike in groupby(_walk(root), lambda waiting: waiting.kind):
        if len(lines) >= LINES_MAX:
            return [*lines, "…"]
        first, *rest = alike
        others = len(rest)
        more = f" (and {others:,} more)" if others else ""
        where = " < ".join(first.places) or "runs, or has not run yet"
        lines.append(f"{'  ' * first.depth}{first.name}{more}: {where}")
    return lines


def frames_of(name: str) -> list[str]:
    """Return where the task of this name waits, outermost first and without Trio's own places.

    Nothing if there is no such task. Those of a supervision tree bear the names of their paths.
    """
    root = current_root_task()
    if root is None or not name:
        return []
    for task in _tasks(root):
        if task.name == name:
            frames = _frames(task)
            ours = [place for place, is_trio in frames if not is_trio]
            return ours or [place for place, _ in frames]
    return []


def _walk(task: Task, depth: int = 0) -> Iterator[_Waiting]:
    yield _Waiting(depth, task.name, _places(task))
    for nursery in task.child_nurseries:
        looked_at = list(islice(nursery.child_tasks, SIBLINGS_MAX))
        for child in sorted(looked_at, key=lambda child: (_last(child), child.name)):
            yield from _walk(child, depth + 1)
        left = len(nursery.child_tasks) - len(looked_at)
        if left:
            yield _Waiting(depth + 1, f"{left:,} others", ("not looked at",))


def _last(task: Task) -> str:
    """Bring tasks together that wait at the same place."""
    places = _places(task)
    return places[0] if places else ""


def _tasks(root: Task) -> Iterator[Task]:
    waiting = [root]
    while waiting:
        task = waiting.pop()
        yield task
        waiting.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)


def _places(task: Task) -> tuple[str, ...]:
    """Return the innermost places of a task outside Trio, innermost first."""
    frames = _frames(task)
    ours = [place for place, is_trio in reversed(frames) if not is_trio]
    return tuple((ours or [place for place, _ in reversed(frames)])[:FRAMES_SHOWN])


def _frames(task: Task) -> Sequence[tuple[str, bool]]:
    """Return the frames of a task, outermost first, and whether each belongs to Trio."""
    frames = list(islice(task.iter_await_frames(), 10 * FRAMES_MAX))[-FRAMES_MAX:]
    return [
        (
            f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_qualname}",
            frame.f_code.co_filename.startswith(_TRIO),
        )
        for frame, line in frames
    ]


def _short(filename: str) -> str:
    """Return the last folder and the name of a file."""
    return "/".join(Path(filename).parts[-2:])


def log_tasks() -> None:
    """Write where every task waits to the log, in one record."""
    lines = describe_tasks()
    log.warning("tasks, and where they wait:\n%s", "\n".join(lines))


def dump_on_signal() -> None:
    """From now on until the loop ends, SIGUSR1 makes this process tell where it waits."""
    spawn_system_task(_dump_on_signal, name="dump of tasks")


async def _dump_on_signal() -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals, _threads_dumped_too():
        async for _ in signals:
            try:
                log_tasks()
            except Exception:
                # A system task that raises ends the program, and looking must not do that.
                log.exception("the tasks could not be told")


@contextmanager
def _threads_dumped_too() -> Iterator[None]:
    """Let the interpreter write the threads' stacks, before Trio hears of the signal."""
    try:
        faulthandler.register(signal.SIGUSR1, file=sys.stderr, chain=True)
    except (OSError, ValueError, RuntimeError):
        log.debug("threads are not dumped: standard error is not a file")
    try:
        yield
    finally:
        faulthandler.unregister(signal.SIGUSR1)
