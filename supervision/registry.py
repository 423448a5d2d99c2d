"""From paths to cells. Cells exist before anything runs, so addresses can be handed out early."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from supervision.address import Address
from supervision.cell import Cell, Kind, Services
from supervision.errors import UnknownPath
from supervision.hooks import Hooks, Reporter
from supervision.mailbox import MailboxSpec
from supervision.timers import Timers

if TYPE_CHECKING:
    from supervision.pool import Pool
    from supervision.spec import PoolSpec


class Registry:
    """All cells of one system.

    Make one before the specification if actors are to be given addresses by their factories; an
    address asked for before its cell is specified is a promise, and `open_system` refuses to start
    while promises are open.
    """

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._promised: set[str] = set()
        self._pools: dict[str, Pool[Any]] = {}
        self._sealed = False
        self.services = Services(self, Reporter(Hooks()), Timers(), lambda: 0.0)

    def open(self, hooks: Hooks, uniform: Callable[[], float]) -> None:
        """Bind the cells to a running system."""
        services = self.services
        services.bind(Reporter(hooks), uniform)
        services.clock = trio.lowlevel.current_clock().current_time

    def seal(self) -> None:
        """From now on unknown paths are errors.

        Raises:
            UnknownPath: an address was asked for and nothing was specified under it.
        """
        self._sealed = True
        if self._promised:
            raise UnknownPath(", ".join(sorted(self._promised)))

    def address(self, path: str) -> Address:
        """Return the address at ``path``; below a pool, of the key whose text is the last part.

        Raises:
            UnknownPath: nothing is specified there.
        """
        return Address(self._find(path))

    def _find(self, path: str) -> Cell:
        cell = self._cells.get(path)
        if cell is not None:
            return cell
        parent, _, key = path.rpartition("/")
        if parent in self._pools:
            return self._pools[parent].find(key)
        if self._sealed:
            raise UnknownPath(path)
        self._promised.add(path)
        return self._add(path)

    def _add(self, path: str) -> Cell:
        cell = self._cells[path] = Cell(path, self.services)
        return cell

    def specify(self, path: str, kind: Kind, mailbox: MailboxSpec | None = None) -> Cell:
        """Return the cell at ``path``, made if it is new. Only actors have an open mailbox."""
        cell = self._cells.get(path) or self._add(path)
        if path in self._promised:
            self._promised.remove(path)
            self._cells[path] = self._cells.pop(path)  # its place is where it is specified
        cell.kind = kind
        if mailbox is None:
            cell.mailbox.refuse()
        elif mailbox != cell.mailbox.spec:
            cell.mailbox.configure(mailbox)
        return cell

    def specify_pool(self, path: str, spec: PoolSpec[Any]) -> Pool[Any]:
        """Return the pool at ``path``, made if it is new."""
        from supervision.pool import Pool

        cell = self.specify(path, Kind.POOL)
        pool = self._pools.get(path)
        if pool is None:
            pool = self._pools[path] = Pool(cell, spec)
        pool.spec = spec
        return pool

    def pool(self, path: str) -> Pool[Any]:
        """Return the pool at ``path``.

        Raises:
            UnknownPath: there is no pool.
        """
        try:
            return self._pools[path]
        except KeyError:
            raise UnknownPath(f"no pool at {path}") from None

    def cells(self) -> list[Cell]:
        """Return all cells but those in pools, in the order in which they were specified."""
        return list(self._cells.values())

    def members(self) -> list[Cell]:
        """Return the cells of all pools."""
        return [m.cell for pool in self._pools.values() for m in pool.members.values()]

    def below(self, cell: Cell) -> list[Cell]:
        """Return the cells below a supervisor or pool; none below anything else."""
        if cell.kind in (Kind.ACTOR, Kind.TASK):
            return []
        prefix = f"{cell.path}/" if cell.path else ""
        found = [c for p, c in self._cells.items() if p.startswith(prefix) and c is not cell]
        for path, pool in self._pools.items():
            if path == cell.path or path.startswith(prefix):
                found.extend(member.cell for member in pool.members.values())
        return found

    def children(self, cell: Cell) -> list[Cell]:
        """Return the cells directly below a supervisor."""
        prefix = f"{cell.path}/" if cell.path else ""
        return [
            below
            for path, below in self._cells.items()
            if path and path.startswith(prefix) and "/" not in path[len(prefix) :]
        ]

    def forget(self, path: str) -> None:
        """Forget a cell and everything below it. Addresses keep pointing to the closed cells."""
        below = path + "/"
        for known in [p for p in self._cells if p == path or p.startswith(below)]:
            del self._cells[known]
            self._pools.pop(known, None)
