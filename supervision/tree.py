"""A picture of a running tree: plain records, taken without disturbing anything."""

from collections.abc import Iterator
from itertools import islice

import attrs

from supervision.cell import Cell, Kind, State
from supervision.registry import Registry


@attrs.frozen(kw_only=True)
class NodeStatus:
    """One cell at one moment. Times in seconds.

    Attributes:
        generation: incarnations so far.
        restarts: incarnations after the first. An actor of a pool counts each activation.
        depth, control_depth: messages waiting in each lane.
        high_water: most messages that waited in the user lane when a batch was taken.
        oldest_age: how long the first waiting message has waited; 0 if none waits.
        uptime: how long the current incarnation has been ready; 0 if it is not.
        busy_seconds: time spent in handlers since the cell was made, awaits included.
        in_hand: types of the messages in hand.
        in_hand_seconds: how long they have been worked on; 0 if there are none.
        waits_for: paths whose answers it waits for.
        last_failure: the last exception that ended an incarnation, as text.
    """

    path: str
    kind: Kind
    state: State
    generation: int
    restarts: int
    depth: int
    control_depth: int
    capacity: int
    high_water: int
    oldest_age: float
    uptime: float
    busy_seconds: float
    handled: int
    refused: int
    in_hand: tuple[str, ...]
    in_hand_seconds: float
    waits_for: tuple[str, ...]
    last_failure: str


def status_of(cell: Cell) -> NodeStatus:
    """Return the status of one cell."""
    mailbox, now, failure = cell.mailbox, cell.services.clock(), cell.last_failure
    running = cell.run is not None and cell.run.ready
    return NodeStatus(
        path=cell.path,
        kind=cell.kind,
        state=cell.state,
        generation=cell.generation,
        restarts=cell.restarts,
        depth=len(mailbox.user),
        control_depth=len(mailbox.control),
        capacity=mailbox.spec.capacity,
        high_water=mailbox.high_water,
        oldest_age=now - mailbox.user[0].sent_at if mailbox.user else 0.0,
        uptime=now - cell.started_at if running else 0.0,
        busy_seconds=cell.busy_seconds,
        handled=mailbox.handled,
        refused=mailbox.refused,
        in_hand=() if cell.run is None else cell.run.in_hand_types(),
        in_hand_seconds=0.0 if cell.run is None else cell.run.in_hand_seconds(),
        waits_for=tuple(server.path for server in cell.waits_for()),
        last_failure="" if failure is None else f"{type(failure).__name__}: {failure}",
    )


def snapshot(registry: Registry, *, pool_children_max: int = 1000) -> list[NodeStatus]:
    """Return the status of every cell, parents before their children in the order of the tree.

    At most ``pool_children_max`` children are listed for each pool.
    """
    return [status_of(cell) for cell in _walk(registry, pool_children_max)]


def _walk(registry: Registry, pool_children_max: int) -> Iterator[Cell]:
    children: dict[str, list[Cell]] = {}
    for cell in registry.cells():
        if cell.path:
            children.setdefault(cell.path.rpartition("/")[0], []).append(cell)

    def below(path: str) -> Iterator[Cell]:
        for cell in children.get(path, ()):
            yield cell
            if cell.kind is Kind.POOL:
                members = registry.pool(cell.path).members.values()
                yield from (member.cell for member in islice(members, pool_children_max))
            else:
                yield from below(cell.path)

    yield from below("")
