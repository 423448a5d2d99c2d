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
        suspended: it handles control messages only, because somebody holds it.
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
    suspended: bool
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
        suspended=cell.run is not None and cell.run.suspended,
        in_hand=() if cell.run is None else cell.run.in_hand_types(),
        in_hand_seconds=0.0 if cell.run is None else cell.run.in_hand_seconds(),
        waits_for=tuple(server.path for server in cell.waits_for()),
        last_failure="" if failure is None else f"{type(failure).__name__}: {failure}",
    )


@attrs.frozen(kw_only=True)
class Wait:
    """One ask between two actors that is not answered yet.

    Attributes:
        asker, server: paths. The server answers, or passed on or keeps the reply.
        kind: name of the type of the message; "" once the server keeps the reply.
        seconds: how long it has been waiting; 0 once the server keeps the reply.
        kept: the server put the reply aside: it is free to do other things.
        in_cycle: the server waits for the asker, directly or through others. Asks that would close
            a cycle are refused, so only a kept reply can be in one.
    """

    asker: str
    server: str
    kind: str
    seconds: float
    kept: bool
    in_cycle: bool


def waits(registry: Registry) -> list[Wait]:
    """Return the asks between actors that are in progress."""
    cells = [*registry.cells(), *registry.members()]
    edges = {
        cell: [(reply, reply.expected_from) for reply in cell.run.waiting_on]
        for cell in cells
        if cell.run is not None and cell.run.waiting_on
    }

    def reaches(start: Cell, goal: Cell) -> bool:
        seen, trail = {start}, [start]
        while trail:
            cell = trail.pop()
            if cell is goal:
                return True
            fresh = {server for _, server in edges.get(cell, ())} - seen
            seen |= fresh
            trail.extend(fresh)
        return False

    found = []
    for asker, asked in edges.items():
        for reply, server in asked:
            carrier = reply.carrier
            found.append(
                Wait(
                    asker=asker.path,
                    server=server.path,
                    kind="" if carrier is None else type(carrier.message).__name__,
                    seconds=0.0 if carrier is None else server.services.clock() - carrier.sent_at,
                    kept=carrier is None,
                    in_cycle=reaches(server, asker),
                )
            )
    return found


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
