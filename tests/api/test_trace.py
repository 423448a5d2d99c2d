"""Stories of messages: told by a real run, the same in every run, and those of the documents."""

from functools import cache
from pathlib import Path

import msgspec
import pytest
import trio

from actors.tracing_export import KeptSpan
from api.cli import TRACES
from api.trace import HEAL, SCENARIOS, follow_scenario, run_trace
from api.trace_flow import Kind, Line, tell
from api.trace_text import diagram_of, mermaid, render, text, with_diagrams, without_times

PAGE = Path(__file__).parents[2] / "docs" / "message-flow.md"


@cache
def story(name: str) -> tuple[Line, ...]:
    """Run a scenario once for all tests."""
    return tuple(trio.run(follow_scenario, name))


def test_command_line_offers_all_scenarios() -> None:
    """What can be asked for is what there is."""
    assert (*SCENARIOS, HEAL) == TRACES


@pytest.mark.program
@pytest.mark.parametrize("name", TRACES)
def test_diagram_of_the_page_is_what_the_program_does(name: str) -> None:
    """Participants, messages and their order; if this fails, read them and run ``make docs``."""
    drawn = without_times(mermaid(story(name)))

    assert without_times(diagram_of(PAGE.read_text(encoding="utf-8"), name)) == drawn


@pytest.mark.program
def test_order_is_durable_before_anybody_hears_of_it() -> None:
    """Commit comes first, then the views, and every message has its two times."""
    lines = story("order")
    said = [(line.source, line.text) for line in lines]
    messages = [line for line in lines if line.waited is not None]

    durable = said.index(("journal", "durable"))
    assert durable < said.index(("sequencer", "BlockCommitted"))
    assert durable < said.index(("sequencer", "Receipt"))
    assert len(messages) >= 5
    assert all(line.waited is not None and line.waited >= 0 for line in messages)
    assert all(line.took is not None and line.took > 0 for line in messages)


@pytest.mark.program
def test_every_form_tells_the_same() -> None:
    """Mermaid, a table, and JSON have one line for each line of the story."""
    lines = story("restart")

    read = msgspec.json.decode(render(lines, "json"))
    assert [one["text"] for one in read] == [line.text for line in lines]
    assert len(text(lines).splitlines()) == len(lines) + 1
    assert render(lines, "mermaid").count("\n    p") >= sum(x.kind is Kind.CALL for x in lines)


@pytest.mark.program
def test_page_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the diagram of that name changes, and nothing is printed."""
    page = tmp_path / "page.md"
    before = "# Page\n\n<!-- zaraba trace cancel -->\n\n```mermaid\nold\n```\n\nThe end.\n"
    page.write_text(before)
    status = run_trace("cancel", "mermaid", page)

    assert (status, capsys.readouterr().out) == (0, "")
    assert page.read_text().startswith("# Page\n\n<!-- zaraba trace cancel -->\n\n```mermaid\nseq")
    assert page.read_text().endswith("```\n\nThe end.\n")


def test_page_without_a_place_is_refused() -> None:
    """A diagram that nobody would see is a mistake."""
    with pytest.raises(ValueError, match="order"):
        with_diagrams("# Page\n", {"order": []})


def span(name: str, number: int, parent: int = 0, **facts: object) -> KeptSpan:
    """Make a span that began ``number`` microseconds after the first."""
    links = tuple(str(one) for one in facts.pop("links", ()))  # type: ignore[attr-defined]
    return KeptSpan(
        name=name,
        id=str(number),
        parent=str(parent) if parent else "",
        links=links,
        start_ns=number * 1_000,
        end_ns=number * 1_000 + 500,
        attributes={key.replace("__", "."): value for key, value in facts.items()},
        events=(),
        is_error=False,
    )


def message(number: int, parent: int, to: str, *, sent_at: float) -> KeptSpan:
    return span(
        f"process {to}",
        number,
        parent,
        actor__path=to,
        message__type=f"M{number}",
        message__sent_at=sent_at,
        message__queue_seconds=0.0,
        message__is_asked=False,
        message__is_forwarded=False,
    )


def test_what_happened_at_once_is_told_in_the_order_of_sending() -> None:
    """Whichever actor came first: the times of handling are chance."""
    request = span("POST /x", 1, http__route="/x")
    one = [request, message(2, 1, "a", sent_at=1.0), message(3, 1, "b", sent_at=2.0)]
    other = [request, message(3, 1, "a", sent_at=1.0), message(2, 1, "b", sent_at=2.0)]

    for spans in (one, other):
        assert [line.target for line in tell(spans, str)] == ["edge", "a", "b", "client"]


def test_what_many_caused_is_told_once() -> None:
    """A step of a trace of its own stands behind the first that it is linked to."""
    spans = [
        span("POST /x", 1, http__route="/x"),
        message(2, 1, "a", sent_at=1.0),
        message(3, 1, "a", sent_at=2.0),
        span("block", 4, links=(2, 3)),
        message(5, 4, "b", sent_at=3.0),
    ]

    assert [line.text for line in tell(spans, str)] == ["POST /x", "M2", "M5", "M3", "answer"]


def test_signs_of_mermaid_are_taken_out_of_names() -> None:
    """A semicolon or a hash would end the diagram's line."""
    drawn = mermaid([Line(Kind.CALL, "a", "b", "x; y #1: z")])

    assert "p0->>p1: x, y 1  z\n" in drawn
