"""A bounded look at a running tree: how busy its actors are, and the most burdened of each pool.

A pool may hold tens of thousands of actors. Listing them all would hold up everything that runs and
tell nobody anything, so each pool shows the few that somebody should look at and counts the rest.
A survey takes two looks, some time apart: how busy an actor is shows only over a stretch of time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest

import attrs
import trio

from supervision.address import cell_of
from supervision.cell import Cell, Kind, State
from supervision.registry import Registry
from supervision.tree import NodeStatus, status_of

LOOKS_BETWEEN_CHECKPOINTS = 500
"""About a millisecond of looking; then others may run."""
AGE_STEP_SECONDS = 0.1
SHARE_STEP = 0.05
"""Smaller differences choose nobody: the same few stay listed from one survey to the next."""
TROUBLED = frozenset({State.FAILED, State.BACKOFF, State.STARTING, State.STOPPING, State.DRAINING})


@attrs.frozen(kw_only=True)
class Crowd:
    """The children of one pool in numbers, listed or not.

    Attributes:
        known: keys that the pool knows, running or idle.
        states: how many are in each state.
        depth: messages waiting at all of them together.
        oldest_age: the longest wait among those messages, in seconds.
        busy_share: handlers at work on average; above 1 when several await something at once.
    """

    known: int
    states: Mapping[State, int]
    depth: int
    oldest_age: float
    busy_share: float


@attrs.frozen(kw_only=True)
class Surveyed:
    """One cell, as the second look found it.

    Attributes:
        busy_share: part of the time between the looks that its handlers took, awaits included,
            from 0 to 1. None for what is not an actor.
        crowd: for a pool, its children in numbers.
    """

    status: NodeStatus
    busy_share: float | None
    crowd: Crowd | None = None


async def survey(
    registry: Registry, *, path: str = "", members_max: int = 10, seconds: float = 0.25
) -> list[Surveyed]:
    """Look at a cell and everything below it twice, ``seconds`` apart.

    Args:
        registry: of the system.
        path: of the topmost cell to look at; empty for all.
        members_max: how many children of each pool are listed: those in trouble first, then those
            that let messages wait longest, the busiest, and those that failed before. They keep the
            order of the pool.
        seconds: between the looks.

    Returns:
        The cells in the order of the tree, parents before their children.

    Raises:
        UnknownPath: there is no such cell.
    """
    before = await _each(_cells(registry, path), _busy_seconds)
    began = trio.current_time()
    await trio.sleep(seconds)
    passed = max(trio.current_time() - began, 1e-9)

    def share(cell: Cell) -> float:
        worked = _busy_seconds(cell) - before.get(cell, 0.0)
        return min(max(worked / passed, 0.0), 1.0)

    found: list[Surveyed] = []
    for cell in _static(registry, path):
        if cell.kind is Kind.POOL:
            found.extend(await _survey_pool(registry, cell, members_max, share))
        else:
            found.append(_surveyed(cell, share))
    return found


def _surveyed(cell: Cell, share: Callable[[Cell], float]) -> Surveyed:
    is_actor = cell.kind is Kind.ACTOR
    return Surveyed(status=status_of(cell), busy_share=share(cell) if is_actor else None)


async def _survey_pool(
    registry: Registry, pool: Cell, members_max: int, share: Callable[[Cell], float]
) -> list[Surveyed]:
    members = _members(registry, pool)
    shares = await _each(members, share)
    ages = await _each(members, _oldest_age)
    crowd = Crowd(
        known=len(members),
        states=Counter(cell.state for cell in members),
        depth=sum(len(cell.mailbox.user) for cell in members),
        oldest_age=max(ages.values(), default=0.0),
        busy_share=sum(shares.values()),
    )

    def burden(cell: Cell) -> tuple[int, ...]:
        return (
            cell.state in TROUBLED,
            int(ages[cell] / AGE_STEP_SECONDS),
            int(shares[cell] / SHARE_STEP),
            cell.last_failure is not None,
            len(cell.mailbox.user).bit_length(),
            cell.state is State.RUNNING,
        )

    chosen = set(nlargest(members_max, members, key=burden))
    listed = [_surveyed(cell, share) for cell in members if cell in chosen]
    return [Surveyed(status=status_of(pool), busy_share=None, crowd=crowd), *listed]


async def _each(cells: Iterable[Cell], look: Callable[[Cell], float]) -> dict[Cell, float]:
    """Look at many cells without holding up the loop for long."""
    seen: dict[Cell, float] = {}
    for cell in cells:
        seen[cell] = look(cell)
        if len(seen) % LOOKS_BETWEEN_CHECKPOINTS == 0:
            await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    return seen


def _busy_seconds(cell: Cell) -> float:
    """Time spent in handlers, what is in hand included."""
    return cell.busy_seconds + (0.0 if cell.run is None else cell.run.in_hand_seconds())


def _oldest_age(cell: Cell) -> float:
    user = cell.mailbox.user
    return cell.services.clock() - user[0].sent_at if user else 0.0


def _cells(registry: Registry, path: str) -> list[Cell]:
    cells: list[Cell] = []
    for cell in _static(registry, path):
        cells.append(cell)
        if cell.kind is Kind.POOL:
            cells.extend(_members(registry, cell))
    return cells


def _members(registry: Registry, pool: Cell) -> list[Cell]:
    return [member.cell for member in registry.pool(pool.path).members.values()]


def _static(registry: Registry, path: str) -> list[Cell]:
    """Return a cell and those below it, parents first; of a pool, only itself."""
    top = cell_of(registry.address(path))
    found = [top]
    if top.kind is Kind.SUPERVISOR:
        for child in registry.children(top):
            found.extend(_static(registry, child.path))
    return found
