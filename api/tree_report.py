"""What the admin API tells of the living tree: the records of ``{"do": "tree"}`` and its relatives.

They are the JSON that ``zaraba tree --json`` prints and the rows that ``zaraba tree`` draws. Times
are in seconds, depths in messages, shares from 0 to 1.
"""

from __future__ import annotations

from attrs import field, frozen

from supervision import Crowd, MessageEvent, NodeStatus, Surveyed

SECONDS_DIGITS = 6
UNSETTLED = frozenset({"starting", "stopping", "draining"})
"""States that something is about to leave."""
FAILURE_CHARACTERS_MAX = 300
NAMES_MAX = 20
"""Most message types in hand, and most actors waited for, that are told of one actor."""


@frozen(kw_only=True)
class Members:
    """The children of a pool in numbers, whether they are listed or not.

    ``busy_share`` is the sum over all of them, and ``oldest_seconds`` the largest of any.
    """

    known: int
    states: dict[str, int]
    depth: int
    oldest_seconds: float
    busy_share: float


@frozen(kw_only=True)
class Node:
    """One place in the tree.

    ``title`` is what people call it, where its path does not say so: a market's name.
    ``busy_share`` is the part of the last moments that its handlers took, and null for what
    handles no messages. ``in_hand`` are the types of the messages that it has been working on for
    ``in_hand_seconds``.
    """

    path: str
    title: str = ""
    kind: str
    state: str
    is_suspended: bool = False
    generation: int = 0
    restarts: int = 0
    depth: int = 0
    control_depth: int = 0
    capacity: int = 0
    high_water: int = 0
    oldest_seconds: float = 0.0
    busy_share: float | None = None
    in_hand: list[str] = field(factory=list)
    in_hand_seconds: float = 0.0
    waits_for: list[str] = field(factory=list)
    handled: int = 0
    refused: int = 0
    uptime_seconds: float = 0.0
    last_failure: str = ""
    members: Members | None = None


@frozen(kw_only=True)
class TreeReport:
    """The tree at one moment, parents before their children.

    ``frames`` tells where the task of the topmost node waits, outermost first, if only that one was
    asked for.
    """

    data: str
    height: int
    time_ms: int
    seconds: float
    nodes: list[Node]
    frames: list[str] = field(factory=list)


@frozen(kw_only=True)
class TracedMessage:
    """One message of a traced actor: ``way`` is ``in`` or ``out``, ``peer`` the other side's path.

    Of a message on its way out nothing more is known than that it was sent.
    """

    time_ms: int
    way: str
    type: str
    peer: str
    wait_seconds: float
    handle_seconds: float
    outcome: str


def report_node(surveyed: Surveyed, title: str = "") -> Node:
    """Return what is told of one cell."""
    status: NodeStatus = surveyed.status
    share = surveyed.busy_share
    return Node(
        path=status.path,
        title=title,
        kind=status.kind.value,
        state=status.state.value,
        is_suspended=status.suspended,
        generation=status.generation,
        restarts=status.restarts,
        depth=status.depth,
        control_depth=status.control_depth,
        capacity=status.capacity,
        high_water=status.high_water,
        oldest_seconds=_rounded(status.oldest_age),
        busy_share=None if share is None else _rounded(share),
        in_hand=list(status.in_hand[:NAMES_MAX]),
        in_hand_seconds=_rounded(status.in_hand_seconds),
        waits_for=list(status.waits_for[:NAMES_MAX]),
        handled=status.handled,
        refused=status.refused,
        uptime_seconds=_rounded(status.uptime),
        last_failure=status.last_failure[:FAILURE_CHARACTERS_MAX],
        members=None if surveyed.crowd is None else _report_members(surveyed.crowd),
    )


def _report_members(crowd: Crowd) -> Members:
    return Members(
        known=crowd.known,
        states={state.value: count for state, count in crowd.states.items()},
        depth=crowd.depth,
        oldest_seconds=_rounded(crowd.oldest_age),
        busy_share=_rounded(crowd.busy_share),
    )


def report_message(event: MessageEvent, *, time_ms: int) -> TracedMessage:
    """Return what is told of one traced message; ``time_ms`` is when, since 1970."""
    return TracedMessage(
        time_ms=time_ms,
        way=event.direction.value,
        type=event.kind,
        peer=event.peer,
        wait_seconds=_rounded(event.wait),
        handle_seconds=_rounded(event.seconds),
        outcome=event.outcome,
    )


def _rounded(seconds: float) -> float:
    return round(seconds, SECONDS_DIGITS)
