"""docs/compatibility.md, made of what the conformance tests saw, the program's tables, and a frame.

What every client's call came to is from the `Recorder`; which refusals there are, and what happens
to a client that is too slow, is from the program; the sentences around the tables are those of
`compatibility_template.md`, and what is known to differ for a type stands in `differences.toml`.
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from actors.channels import POLICIES
from api.wire.metadata import FIXED_ANSWERS
from model.refusals import WIRE
from tests.conformance.ccxt_users import CCXT, PRO, REFUSALS
from tests.conformance.record import ACTION, CHANNEL, INFO, Recorder, Result, Verdict, Wire
from tests.conformance.surface import (
    ACTIONS,
    CHANNELS,
    OUT_OF_SCOPE,
    QUESTIONS,
    UNUSED,
    tier_of,
)
from tests.conformance.wallets import SDK

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parents[1] / "docs" / "compatibility.md"
TEMPLATE: Final = HERE / "compatibility_template.md"
DIFFERENCES: Final = HERE / "differences.toml"

TYPESCRIPT: Final = "TypeScript SDK"
WIRE_CLIENT: Final = "HTTP and WebSocket"
SURFACES: Final = {INFO: QUESTIONS, ACTION: ACTIONS, CHANNEL: CHANNELS}
FIXED_CHARS_MAX: Final = 30
WORKS: Final = "works"
NOT_ASKED: Final = "**not asked**"


def render(recorder: Recorder) -> str:
    """Return the page as a complete run saw it."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for place, lines in _tables(recorder):
        mark = f"<!-- {place} -->"
        assert text.count(mark) == 1, f"the template has no place for {place}"
        text = text.replace(mark, "\n".join(lines))
    return text


def differences() -> dict[str, dict[str, str]]:
    """Return what is known to differ: kind of request -> type -> a phrase."""
    found: dict[str, dict[str, str]] = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8"))
    return found


def _tables(recorder: Recorder) -> Iterator[tuple[str, Iterable[str]]]:
    yield "summary of calls", _summary(recorder)
    yield "summary of types", _summary_of_types(recorder)
    for client in (SDK, CCXT, PRO):
        yield f"calls of {client}", _calls(recorder, client)
    yield f"calls of {TYPESCRIPT}", _calls_of_optional(recorder, TYPESCRIPT)
    yield "texts that ccxt compares", _texts(recorder)
    for kind in (INFO, ACTION, CHANNEL):
        yield f"{kind} types", _types(recorder, kind)
    yield "refusals", _refusals()


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in row)}|"


# ---- what clients call -------------------------------------------------------------------------


def _summary(recorder: Recorder) -> Iterator[str]:
    rows = []
    for client in (SDK, CCXT, PRO):
        results = [verdict.result for _call, verdict in recorder.rows_of(client)]
        rows.append((client, *(str(results.count(result)) for result in _SHOWN)))
    yield from _table(("client", *_SHOWN.values()), rows)


def _summary_of_types(recorder: Recorder) -> Iterator[str]:
    rows = []
    for kind, title in ((INFO, "questions"), (ACTION, "actions"), (CHANNEL, "channels")):
        for tier in (1, 2):
            names = SURFACES[kind][tier]
            verdicts = [_verdict_of_type(recorder.wires.get((kind, name), {})) for name in names]
            others = [
                f"`{name}` {verdict}"
                for name, verdict in zip(names, verdicts, strict=True)
                if verdict != WORKS
            ]
            count = f"{verdicts.count(WORKS)} of {len(names)}"
            rows.append((f"{title}, tier {tier}", count, ", ".join(others)))
    yield from _table(("types", "work", "others"), rows)


_SHOWN: Final = {
    Result.GREEN: WORKS,
    Result.REFUSED: "refused, explained",
    Result.NOT_YET: "not yet",
}


def _calls(recorder: Recorder, client: str) -> Iterator[str]:
    rows = [
        (f"`{call}`", _sent(verdict.wires), _result(verdict))
        for call, verdict in recorder.rows_of(client)
    ]
    for unused in UNUSED.get(client, ()):
        rows += [(f"`{call}`", "", f"not called: {unused.reason}") for call in unused.calls]
    rows.sort(key=lambda row: row[0].strip("`").lower())
    yield from _table(("call", "sends", "result"), rows)


def _calls_of_optional(recorder: Recorder, client: str) -> Iterator[str]:
    """Yield the calls of a client that not every machine has; if it has not run, the known ones."""
    if any(recorder.rows_of(client)):
        yield from _calls(recorder, client)
        return
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n### {client}\n")
    yield from (line for line in rest.partition("\n#")[0].splitlines() if line.startswith("|"))


def _sent(wires: Iterable[Wire]) -> str:
    return ", ".join(f"`{name}`" for name in sorted({name for _kind, name in wires}))


def _result(verdict: Verdict) -> str:
    if verdict.result is Result.GREEN:
        return WORKS
    return f"{'refused' if verdict.result is Result.REFUSED else 'not yet'}: {verdict.reason}"


def _texts(recorder: Recorder) -> Iterator[str]:
    rows = []
    for call, verdict in recorder.rows_of(REFUSALS):
        text, _, raised = call.partition(" is raised as ")
        rows.append((text, raised, _result(verdict)))
    yield from _table(("text", "raises", "result"), rows)


# ---- what goes over the wire -------------------------------------------------------------------


def _types(recorder: Recorder, kind: str) -> Iterator[str]:
    surface, notes = SURFACES[kind], differences()[kind]
    known = [(tier, name) for tier, names in surface.items() for name in names]
    asked = {name for seen, name in recorder.wires if seen == kind}
    known += sorted((OUT_OF_SCOPE, name) for name in asked if tier_of(name, surface) is None)
    rows = []
    for tier, name in known:
        clients = recorder.wires.get((kind, name), {})
        row = [
            f"`{name}`",
            "" if tier == OUT_OF_SCOPE else str(tier),
            _verdict_of_type(clients),
            ", ".join(sorted(clients.keys() - {WIRE_CLIENT}, key=str.lower)),
        ]
        if kind == CHANNEL:
            row.append("every frame" if name in POLICIES else "newest")
        rows.append((*row, notes.get(name) or _fixed(kind, name)))
    policy = ("policy",) if kind == CHANNEL else ()
    yield from _table(("type", "tier", "result", "used by", *policy, "known differences"), rows)


def _fixed(kind: str, name: str) -> str:
    """Return what a question is always answered with, if it is."""
    answer = FIXED_ANSWERS.get(name, b"").decode() if kind == INFO else ""
    if len(answer) > FIXED_CHARS_MAX:
        return "the same for everybody"
    return f"always `{answer}`" if answer else ""


def _verdict_of_type(clients: dict[str, Result]) -> str:
    match max(clients.values(), default=None):
        case Result.GREEN:
            return WORKS
        case Result.REFUSED:
            return "refused"
        case Result.NOT_YET:
            return "not yet"
        case _:
            return NOT_ASKED


def _refusals() -> Iterator[str]:
    rows = [
        (str(int(reason)), f"`{wire.text}`", "yes" if wire.names_asset else "")
        for reason, wire in sorted(WIRE.items())
    ]
    yield from _table(("number", "text", "asset"), rows)
