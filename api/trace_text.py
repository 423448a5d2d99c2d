"""A story of messages as a Mermaid sequence diagram, as text for a terminal, or as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from api.trace_flow import Kind, Line

_ARROWS: Final = {Kind.CALL: "->", Kind.REPLY: "-->"}
FORMATS: Final = ("mermaid", "text", "json")


def render(lines: Sequence[Line], form: str) -> str:
    """Return the story in one of ``FORMATS``, with a newline at its end."""
    if form == "json":
        return (
            msgspec.json.format(msgspec.json.encode([_plain(line) for line in lines])).decode()
            + "\n"
        )
    return mermaid(lines) if form == "mermaid" else text(lines)


def participants(lines: Sequence[Line]) -> list[str]:
    """Name who takes part, in the order of their first word."""
    return list(dict.fromkeys(name for line in lines for name in (line.source, line.target)))


def mermaid(lines: Sequence[Line]) -> str:
    """Return a sequence diagram in Mermaid's language."""
    ids = {name: f"p{number}" for number, name in enumerate(participants(lines))}
    said = [f"    participant {ids[name]} as {_escaped(name)}" for name in ids]
    for line in lines:
        source, target, told = ids[line.source], ids[line.target], _escaped(line.text)
        times = _times(line)
        if times:
            told += f"<br/>{times}"
        match line.kind:
            case Kind.CALL | Kind.WORK:
                said.append(f"    {source}->>{target}: {told}")
            case Kind.REPLY:
                said.append(f"    {source}-->>{target}: {told}")
            case Kind.NOTE:
                said.append(f"    Note over {source}: {told}")
    return "\n".join(("sequenceDiagram", *said)) + "\n"


def with_diagrams(page: str, stories: Mapping[str, Sequence[Line]]) -> str:
    """Return a page with its diagrams made anew.

    A diagram stands in a fence behind a line ``<!-- zaraba trace NAME -->``.

    Raises:
        ValueError: the page has no place for one of the stories.
    """
    for name, lines in stories.items():
        place = _place(name)
        if not place.search(page):
            raise ValueError(f"the page has no place for the diagram of {name}")
        page = place.sub(lambda found, lines=lines: found[1] + mermaid(lines) + found[3], page)  # type: ignore[misc]
    return page


def diagram_of(page: str, name: str) -> str:
    """Return the diagram of a story as it stands in a page; empty if there is none."""
    found = _place(name).search(page)
    return "" if found is None else found[2]


def without_times(diagram: str) -> str:
    """Return a diagram as it must be in every run."""
    return _TIMES.sub("", diagram)


_TIMES: Final = re.compile(r"<br/>.*$", re.MULTILINE)


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- zaraba trace {name} -->\n\n?```mermaid\n)(.*?)(```)", re.DOTALL)


def text(lines: Sequence[Line]) -> str:
    """Return one line for each message: who, what, how long it waited and how long it took."""
    rows = []
    for line in lines:
        who = line.source
        if line.kind in _ARROWS:
            who += f" {_ARROWS[line.kind]} {line.target}"
        rows.append((who, line.text, _seconds(line.waited), _seconds(line.took)))
    head = ("who", "what", "in queue", "in handler")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(4)]
    return "".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() + "\n"
        for a, b, c, d in (head, *rows)
    )


def _plain(line: Line) -> dict[str, object]:
    return {
        "kind": line.kind.value,
        "source": line.source,
        "target": line.target,
        "text": line.text,
        "queue_seconds": line.waited,
        "handler_seconds": line.took,
    }


def _times(line: Line) -> str:
    parts = []
    if line.waited is not None:
        parts.append(f"{_seconds(line.waited)} in queue")
    if line.took is not None:
        parts.append(f"{_seconds(line.took)}{' in handler' if line.waited is not None else ''}")
    return ", ".join(parts)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _escaped(told: str) -> str:
    """Take out what Mermaid would read as syntax."""
    return told.replace(";", ",").replace("#", "").replace("\n", " ").replace(":", " ")
