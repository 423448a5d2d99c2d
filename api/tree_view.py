"""The picture of ``zaraba tree``: pure functions from a report to lines of a terminal's width.

    zaraba tree   data   height 8,123                                        20:01:12

                               state      gen  restarts  queue  ctrl   oldest  busy
    ├─ source                  running      1         0
    │  ├─ snapshots            running      1         0      0     0        -    0%
    │  └─ sequencer            running      1         0     12     0    1.2ms   34%
    └─ markets                 running      1         0      0     0        -   <1%
       ├─ 0 BTC                running      2         1      0     0        -   <1%
       │    ! ValueError: a part of a block that follows one it never got
       └─ … 5 more: 5 running

A pool's row sums up all its children, listed or not. Columns that do not fit are left out, the
least telling first.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from attrs import frozen

from api.tree_report import Node, TracedMessage, TreeReport
from api.watch_view import COLOURLESS, Palette, local_time

NAME_COLUMNS: Final = (13, 44)
"""The names take at least and at most so much, however wide the terminal is."""
COLUMNS_MIN: Final = 24
"""Narrower than this nothing can be told."""
ADDRESS_CHARACTERS_MIN: Final = 24
"""A key at least this long is shown by its ends."""
GAP: Final = "  "
BUSY_ALERT: Final = 0.8
OLDEST_ALERT_SECONDS: Final = 1.0
FOOTER: Final = "q or Ctrl-C leaves"

_GOOD: Final = frozenset({"running", "idle"})
_BAD: Final = frozenset({"failed", "stopped"})


# -- numbers as texts


def duration(seconds: float) -> str:
    """Return a time in at most six characters; ``-`` for none at all."""
    if seconds <= 0:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f}ms" if seconds < 0.00995 else f"{seconds * 1000:.0f}ms"
    if seconds < 59.5:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 24 else f"{hours // 24}d{hours % 24:02d}h"


def percent(share: float | None) -> str:
    """Return a share in percent, the smallest traces as ``<1%``; empty for none."""
    if share is None:
        return ""
    if 0 < share < 0.01:
        return "<1%"
    return f"{share * 100:.0f}%"


def shortened(text: str, columns: int) -> str:
    """Return a text cut to a width, with an ellipsis if anything is missing."""
    return text if len(text) <= columns else text[: max(columns - 1, 0)] + "…"[:columns]


# -- columns


@frozen
class _Column:
    title: str
    width: int
    rank: int
    """The column with the highest rank is the first to go when the terminal is narrow."""
    text: Callable[[Node], str]
    alert: Callable[[Node], bool] = lambda node: False
    is_left: bool = False


def _state(node: Node) -> str:
    return "held" if node.is_suspended else node.state


def _depth(node: Node) -> int:
    return node.depth if node.members is None else node.members.depth


def _oldest(node: Node) -> float:
    return node.oldest_seconds if node.members is None else node.members.oldest_seconds


def _busy(node: Node) -> float | None:
    return node.busy_share if node.members is None else node.members.busy_share


def _kind(node: Node) -> str:
    return node.kind if node.members is None else f"pool of {node.members.known:,}"


def _mail(text: Callable[[Node], str]) -> Callable[[Node], str]:
    """Leave a column empty for what has no mailbox."""
    return lambda node: text(node) if node.kind in ("actor", "pool") else ""


_COLUMNS: Final = (
    _Column("kind", 14, 9, _kind, is_left=True),
    _Column("state", 9, 0, _state, lambda node: _state(node) not in _GOOD, is_left=True),
    _Column("up", 6, 7, lambda node: duration(node.uptime_seconds)),
    _Column("gen", 4, 6, lambda node: f"{node.generation}" if node.generation else "-"),
    _Column("restarts", 8, 3, lambda node: f"{node.restarts:,}", lambda node: node.restarts > 0),
    _Column("handled", 11, 8, _mail(lambda node: "" if node.members else f"{node.handled:,}")),
    _Column("queue", 6, 1, _mail(lambda node: f"{_depth(node):,}"), lambda node: _depth(node) > 0),
    _Column(
        "ctrl",
        4,
        5,
        _mail(lambda node: "" if node.members else f"{node.control_depth}"),
        lambda node: node.control_depth > 0,
    ),
    _Column(
        "oldest",
        6,
        4,
        _mail(lambda node: duration(_oldest(node))),
        lambda node: _oldest(node) >= OLDEST_ALERT_SECONDS,
    ),
    _Column(
        "busy",
        5,
        2,
        lambda node: percent(_busy(node)),
        lambda node: (node.busy_share or 0.0) >= BUSY_ALERT,
    ),
)


def _fitting(columns: int, name_columns: int) -> list[_Column]:
    """Return the columns for which there is room beside the names."""
    by_rank = sorted(_COLUMNS, key=lambda column: column.rank)
    widths = accumulate(len(GAP) + column.width for column in by_rank)
    room = columns - name_columns
    kept = {column.title for column, width in zip(by_rank, widths, strict=True) if width <= room}
    return [column for column in _COLUMNS if column.title in kept]


# -- the tree


@frozen
class _Row:
    """A line of the tree: the strokes before the name, the name, and its node if it is one.

    ``under`` are the strokes of a line that belongs to the node.
    """

    strokes: str
    name: str
    node: Node | None
    under: str = ""


def _rows(nodes: Sequence[Node]) -> list[_Row]:
    children: dict[str, list[Node]] = {}
    top, *rest = nodes
    for node in rest:
        children.setdefault(node.path.rpartition("/")[0], []).append(node)

    def below(parent: Node, strokes: str) -> list[_Row]:
        rows: list[_Row] = []
        listed = children.get(parent.path, [])
        more = _more(parent, listed)
        for index, node in enumerate(listed):
            is_last = index == len(listed) - 1 and not more
            under = strokes + ("   " if is_last else "│  ")
            rows.append(_Row(strokes + ("└─ " if is_last else "├─ "), _name(node), node, under))
            rows.extend(below(node, under))
        if more:
            rows.append(_Row(f"{strokes}└─ ", more, None))
        return rows

    if not top.path:
        return [_Row("", "the root", top, ""), *below(top, "")]
    title = f"{top.path} {top.title}".rstrip()
    return [_Row("", title, top, ""), *below(top, "")]


def _name(node: Node) -> str:
    return f"{_key(node.path.rpartition('/')[2])} {node.title}".rstrip()


def _key(text: str) -> str:
    """Return a long key by its ends, anything else as it is."""
    return text if len(text) < ADDRESS_CHARACTERS_MIN else f"{text[:10]}…{text[-4:]}"


def _more(pool: Node, listed: Sequence[Node]) -> str:
    """Return the words for the children of a pool that are not listed."""
    if pool.members is None or pool.members.known <= len(listed):
        return ""
    left = Counter(pool.members.states)
    left.subtract(Counter(node.state for node in listed))
    counts = ", ".join(f"{count:,} {state}" for state, count in left.items() if count > 0)
    return f"… {pool.members.known - len(listed):,} more: {counts}"


def render(
    report: TreeReport,
    *,
    columns: int,
    rows: int | None = None,
    palette: Palette = COLOURLESS,
    trouble: str = "",
    time_of_day: Callable[[int], str] = local_time,
) -> list[str]:
    """Return the lines of a tree, each at most ``columns`` wide, without line ends.

    Args:
        report: what to draw.
        columns: width of the terminal.
        rows: draw a moving picture of at most so many lines; without it, all of them.
        palette: colours.
        trouble: why the report is not of now, if it is not; everything is dimmed then.
        time_of_day: how a time in milliseconds since 1970 reads.
    """
    columns = max(columns, COLUMNS_MIN)
    painter = Palette() if trouble else palette
    lines = [_header(report, columns, palette, trouble, time_of_day), ""]
    body = _table(report.nodes, columns, painter)
    if len(report.nodes) == 1 and not report.nodes[0].members:
        body += ["", *_details(report.nodes[0], report.frames, columns, painter)]
    if trouble:
        body = [palette.paint(line, palette.dim) for line in body]
    lines += body
    if rows is None:
        return lines
    room = max(rows - 1, 1)
    if len(lines) > room:
        cut = len(lines) - room + 1
        lines = [*lines[: room - 1], palette.paint(f"… {cut} more lines"[:columns], palette.dim)]
    return [*lines, palette.paint(FOOTER[:columns], palette.dim)][:rows]


def _header(
    report: TreeReport,
    columns: int,
    palette: Palette,
    trouble: str,
    time_of_day: Callable[[int], str],
) -> str:
    right = trouble or time_of_day(report.time_ms)
    right = shortened(right, max(columns // 2, 1))
    facts = f"   {report.data}   height {report.height:,}"
    left = "zaraba tree"[:columns]
    facts = shortened(facts, max(columns - len(left) - len(right) - 2, 0))
    gap = " " * max(columns - len(left) - len(facts) - len(right), 1)
    whole = len(left) + len(facts) + len(gap) + len(right)
    if whole > columns:
        return palette.paint(left, palette.bold)
    return (
        palette.paint(left, palette.bold)
        + palette.paint(facts, palette.dim)
        + gap
        + palette.paint(right, palette.alert if trouble else palette.dim)
    )


def _table(nodes: Sequence[Node], columns: int, palette: Palette) -> list[str]:
    rows = _rows(nodes)
    low, high = NAME_COLUMNS
    widest = max(len(row.strokes) + len(row.name) for row in rows if row.node is not None)
    # Names as wide as they need to be, unless that costs a column that everybody wants.
    essential = sum(len(GAP) + column.width for column in _COLUMNS if column.rank <= 5)
    name_columns = min(max(widest, low), high, max(columns - essential, low), columns)
    shown = _fitting(columns, name_columns)
    left = columns - sum(len(GAP) + column.width for column in shown)
    name_columns = max(min(widest, high, left), name_columns)
    titles = "".join(f"{GAP}{_aligned(column, column.title)}" for column in shown)
    lines = [palette.paint((" " * name_columns + titles).rstrip(), palette.dim)]
    for row in rows:
        lines.extend(_row_lines(row, shown, name_columns, columns, palette))
    return lines


def _aligned(column: _Column, text: str) -> str:
    text = shortened(text, column.width)
    return text.ljust(column.width) if column.is_left else text.rjust(column.width)


def _row_lines(
    row: _Row, shown: Sequence[_Column], name_columns: int, columns: int, palette: Palette
) -> list[str]:
    strokes = palette.paint(row.strokes, palette.dim)
    if row.node is None:
        name = shortened(row.name, max(columns - len(row.strokes), 1))
        return [strokes + palette.paint(name, palette.dim)]
    node = row.node
    room = max(name_columns - len(row.strokes), 1)
    name = shortened(row.name, room).ljust(room)
    cells = "".join(GAP + _paint_cell(column, node, palette) for column in shown)
    lines = [(strokes + palette.paint(name, *_name_colours(node, palette)) + cells).rstrip()]
    if node.last_failure:
        under = f"{row.under}  "
        text = shortened(f"! {_one_line(node.last_failure)}", max(columns - len(under), 2))
        lines.append(palette.paint(under, palette.dim) + palette.paint(text, palette.ask))
    return lines


def _name_colours(node: Node, palette: Palette) -> tuple[str, ...]:
    if node.state in _BAD:
        return (palette.ask, palette.bold)
    return (palette.dim,) if node.state == "idle" else (palette.bold,)


def _paint_cell(column: _Column, node: Node, palette: Palette) -> str:
    text = _aligned(column, column.text(node))
    if column.title == "state":
        if node.state in _BAD:
            return palette.paint(text, palette.ask, palette.bold)
        colour = palette.bid if node.state == "running" else palette.dim
        return palette.paint(text, palette.alert if column.alert(node) else colour)
    if column.alert(node):
        return palette.paint(text, palette.alert)
    quiet = text.strip() in ("", "0", "0%", "-") or column.title in ("kind", "up", "gen", "handled")
    return palette.paint(text, palette.dim) if quiet else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


# -- one actor


def _details(node: Node, frames: Sequence[str], columns: int, palette: Palette) -> list[str]:
    facts: list[tuple[str, str]] = []
    if node.kind == "actor":
        hand = ", ".join(node.in_hand)
        facts = [
            ("in hand", f"{hand} for {duration(node.in_hand_seconds)}" if hand else "nothing"),
            ("handled", f"{node.handled:,} messages; {node.refused:,} were refused"),
            ("queue", f"{node.depth:,} of {node.capacity:,}; at most {node.high_water:,} so far"),
        ]
    if node.waits_for:
        facts.append(("waits for", ", ".join(node.waits_for)))
    if node.last_failure:
        facts.append(("failure", _one_line(node.last_failure)))
    for index, frame in enumerate(frames):
        facts.append(("waits at" if index == 0 else "", frame))
    lines: list[str] = []
    for title, text in facts:
        wrapped = textwrap.wrap(text, columns - 12) or [""]
        for index, part in enumerate(wrapped):
            head = title if index == 0 else ""
            lines.append(palette.paint(f"  {head:<10}", palette.dim) + part)
    return lines


TRACE_TITLES: Final = f"{'time':<12}  {'':3}  {'wait':>6}  {'took':>6}  {'outcome':<9}  message"


def describe_message(
    message: TracedMessage,
    *,
    columns: int | None = None,
    palette: Palette = COLOURLESS,
    time_of_day: Callable[[int], str] = local_time,
) -> str:
    """Return one traced message in a line: time, way, wait, time in the handler, outcome, type.

    ``columns`` is the width of the terminal, if there is one; long keys are then shown by their
    ends.
    """
    is_in = message.way == "in"
    at = f"{time_of_day(message.time_ms)}.{message.time_ms % 1000:03d}"
    took = duration(message.handle_seconds) if is_in else ""
    wait = duration(message.wait_seconds) if is_in else ""
    outcome, _, why = _one_line(message.outcome).partition(" ")
    way = palette.paint(f"{message.way:3}", palette.bid if is_in else palette.bold)
    colour = palette.ask if outcome == "raised" else palette.dim
    head = (
        f"{palette.paint(at, palette.dim)}  {way}  {wait:>6}  {took:>6}  "
        f"{palette.paint(f'{outcome:<9}', colour)}  "
    )
    peer = message.peer or "outside"
    if columns is not None:
        peer = "/".join(_key(part) for part in peer.split("/"))
    towards = f" {'from' if is_in else 'to'} {peer}"
    if columns is not None:
        room = max(columns - len(TRACE_TITLES) + len("message"), 1)
        name = shortened(message.type, room)
        towards = shortened(towards, room - len(name))
        why = shortened(why, max(room - len(name) - len(towards) - len(GAP), 0))
    else:
        name = message.type
    tail = GAP + palette.paint(why, palette.ask) if why else ""
    return head + name + palette.paint(towards, palette.dim) + tail


def describe_restart(answer: Mapping[str, object]) -> str:
    """Return what a restart did, in a line."""
    also = answer.get("also")
    beside = f"; with it {', '.join(map(str, also))}" if isinstance(also, list) and also else ""
    return (
        f"{answer['actor']} restarted: generation {answer['before']} -> {answer['after']},"
        f" {answer['state']}, in {duration(float(str(answer['seconds'])))}{beside}"
    )
