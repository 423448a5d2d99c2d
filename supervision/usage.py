"""How busy each kind of actor is: sums over the tree, for those who keep books on it.

A pool is one kind, however many actors it has. Counts never fall: what an actor did is kept when
its pool lets go of it. What one did that came and went between two looks is not seen.
"""

from __future__ import annotations

import attrs
import trio

from supervision.address import cell_of
from supervision.cell import Cell, Kind
from supervision.registry import Registry

LOOKS_BETWEEN_CHECKPOINTS = 500
"""About a millisecond of looking; then others may run."""


@attrs.define(eq=False)
class Usage:
    """One kind of actor. Times in seconds.

    Attributes:
        actors: how many are known.
        depth: messages that wait now, at all of them together.
        oldest_seconds: the longest wait among them.
        handled: messages handled.
        busy_seconds: time in handlers, awaits included.
        restarts: incarnations after the first; in pools, activations after idling too.
    """

    actors: int = 0
    depth: int = 0
    oldest_seconds: float = 0.0
    handled: int = 0
    busy_seconds: float = 0.0
    restarts: int = 0


@attrs.define(eq=False)
class UsageMeter:
    """Looks at all actors of a system.

    Attributes:
        kinds: what the last look found, by path: of a pool, or of an actor outside of pools.
    """

    registry: Registry
    kinds: dict[str, Usage] = attrs.field(init=False, factory=dict)
    _seen: dict[Cell, tuple[int, float, int]] = attrs.field(init=False, factory=dict)

    async def look(self) -> None:
        """Look once; others run meanwhile. Cancelled, it leaves the last whole look in place."""
        found: dict[str, Usage] = {
            kind: attrs.evolve(usage, actors=0, depth=0, oldest_seconds=0.0)
            for kind, usage in self.kinds.items()
        }
        seen: dict[Cell, tuple[int, float, int]] = {}
        for cell in self._actors():
            self._add(cell, found.setdefault(cell.owner, Usage()), seen)
            if len(seen) % LOOKS_BETWEEN_CHECKPOINTS == 0:
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        self.kinds, self._seen = found, seen

    def _add(self, cell: Cell, usage: Usage, seen: dict[Cell, tuple[int, float, int]]) -> None:
        waiting = cell.mailbox.user
        usage.actors += 1
        usage.depth += len(waiting)
        if waiting:
            usage.oldest_seconds = max(
                usage.oldest_seconds, cell.services.clock() - waiting[0].sent_at
            )
        now = seen[cell] = (cell.mailbox.handled, cell.busy_seconds, cell.restarts)
        before = self._seen.get(cell, (0, 0.0, 0))
        usage.handled += now[0] - before[0]
        usage.busy_seconds += now[1] - before[1]
        usage.restarts += now[2] - before[2]

    def _actors(self) -> list[Cell]:
        cells: list[Cell] = []
        rest = [cell_of(self.registry.address(""))]
        while rest:
            cell = rest.pop()
            if cell.kind is Kind.SUPERVISOR:
                rest.extend(self.registry.children(cell))
            elif cell.kind is Kind.POOL:
                members = self.registry.pool(cell.path).members.values()
                cells.extend(member.cell for member in members)
            elif cell.kind is Kind.ACTOR:
                cells.append(cell)
        return cells
