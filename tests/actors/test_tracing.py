"""What is traced, what is not, and what becomes of spans whose exporter fails."""

import gc
import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import Span

from actors.carried import Step, carried, carrying, inside, together, within
from actors.telemetry import Telemetry
from actors.trace_settings import TraceSettings
from actors.tracing import TRACEPARENT_LENGTH_MAX, Tracing, open_tracing
from actors.tracing_export import KeptSpans, SpanQueue, otlp_exporter

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"
MALFORMED = (
    "",
    "nonsense",
    "00-0-0-01",
    SAMPLED.upper() + "x",
    SAMPLED.replace("b7", "zz"),
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"ff-{TRACE_ID}-b7ad6b7169203331-01",
    "0" * TRACEPARENT_LENGTH_MAX * 2,
    "00-\u00e9\u0000-01",
)


@contextmanager
def kept(rate: float = 0.0) -> Iterator[tuple[Tracing, KeptSpans]]:
    """Trace into memory."""
    spans = KeptSpans()
    tracing = Tracing([spans], rate=rate)
    try:
        yield tracing, spans
    finally:
        tracing.close()


def begin(tracing: Tracing, traceparent: str | None = SAMPLED) -> Step:
    step = tracing.begin("request", traceparent)
    assert step is not None
    return step


@pytest.mark.parametrize("header", [None, UNSAMPLED, *MALFORMED])
def test_what_did_not_ask_is_not_traced(header: str | None) -> None:
    """Malformed headers are as none."""
    with kept() as (tracing, _):
        assert tracing.begin("request", header) is None


def test_sampled_request_is_continued() -> None:
    """Its span is the child of the sender's."""
    with kept() as (tracing, spans):
        step = begin(tracing)
        step.end()

    assert step.traceparent.split("-")[1] == TRACE_ID
    assert [span.parent for span in spans.spans] == ["b7ad6b7169203331"]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (0.25, 250), (1.0, 1000)])
def test_others_are_traced_at_a_rate(rate: float, expected: int) -> None:
    """Of evenly spread draws exactly that part."""
    draws = iter([number / 1000 for number in range(1000)])
    tracing = Tracing([], rate=rate, random=lambda: next(draws))
    steps = [tracing.begin("request", MALFORMED[1]) for _ in range(1000)]

    assert sum(step is not None for step in steps) == expected


def test_what_is_not_traced_makes_no_span() -> None:
    """Not even one that goes nowhere: no such object exists afterwards."""
    with kept() as (tracing, _):
        telemetry = Telemetry(tracing)
        gc.collect()
        before = sum(isinstance(one, Span) for one in gc.get_objects())
        with telemetry.request("request", UNSAMPLED), inside("work"), together([], "publish"):
            after = sum(isinstance(one, Span) for one in gc.get_objects())
            current = carried.get()

    assert (after, current) == (before, None)


def test_steps_belong_to_each_other() -> None:
    """What is done inside a step is its child; what several caused has all of them."""
    with kept() as (tracing, spans):
        one, other = begin(tracing), begin(tracing)
        with within(one), inside("work"):
            pass
        with carrying(other):
            pass
        with together([one, other], "publish"):
            pass
        block = one.begin_apart("block", {}, [one, other])
        block.end()
        other.end()
        found = {span.name: span for span in spans.spans}
        ids = [step.traceparent.split("-")[2] for step in (one, other, block)]

    assert found["work"].parent == ids[0]
    assert (found["publish"].parent, found["publish"].links) == (ids[0], (ids[1],))
    assert (found["block"].parent, found["block"].links) == ("", (ids[0], ids[1]))
    assert [s.links for s in spans.spans if s.id == ids[1]] == [(ids[2],)]


def test_failure_ends_a_step_once() -> None:
    """With the error, and a later end changes nothing."""
    with kept() as (tracing, spans):
        step = begin(tracing)
        with pytest.raises(ValueError, match="broken"), within(step):
            raise ValueError("broken")
        step.end()

    [span] = spans.spans
    assert span.is_error
    assert [name for name, _ in span.events] == ["exception"]


def test_stored_contexts_are_linked_to() -> None:
    """Also by a later process; what is damaged is left out."""
    with kept() as (tracing, spans):
        tracing.begin_linked("read", {}, [SAMPLED, *MALFORMED]).end()

    assert spans.spans[0].links == ("b7ad6b7169203331",)


def test_file_has_one_object_a_line(tmp_path: Path) -> None:
    """Written at the end at the latest."""
    file = tmp_path / "traces.jsonl"
    tracing = open_tracing(TraceSettings(file=file, rate=1.0))
    assert tracing is not None
    begin(tracing, None).end()
    begin(tracing).end()
    tracing.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert [line["name"] for line in lines] == ["request", "request"]
    assert lines[1]["context"]["trace_id"] == f"0x{TRACE_ID}"
    assert tracing.exported == 2


def test_nothing_is_traced_where_it_would_go_nowhere() -> None:
    """A rate alone makes no spans."""
    assert open_tracing(TraceSettings(rate=1.0)) is None


# -- a collector


class Collector(HTTPServer):
    """Takes OTLP over HTTP in protobuf, or fails at it as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.requests: list[ExportTraceServiceRequest] = []
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def names(self) -> list[str]:
        return [
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class CollectorHandler(BaseHTTPRequestHandler):
    """One request of an exporter."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        server.go_on.wait(10)
        assert self.path == "/v1/traces"
        assert self.headers["content-type"] == "application/x-protobuf"
        if server.status == 200:
            server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_collector_is_sent_spans_by_otlp(collector: Collector) -> None:
    """In its protobuf form, with ids, parents, links and attributes."""
    tracing = open_tracing(TraceSettings(otlp=collector.url + "/"))
    assert tracing is not None
    step = begin(tracing)
    child = step.begin("process x", attributes={"message.type": "Submit"}, links=[step])
    child.end()
    step.end()
    tracing.close()

    assert collector.names() == ["process x", "request"]
    resource = collector.requests[0].resource_spans[0]
    sent = {span.name: span for span in resource.scope_spans[0].spans}
    service = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert service["service.name"] == "zaraba"
    assert sent["request"].trace_id.hex() == TRACE_ID
    assert sent["process x"].parent_span_id == sent["request"].span_id
    assert sent["process x"].links[0].span_id == sent["request"].span_id
    assert sent["process x"].attributes[0].value.string_value == "Submit"
    assert (tracing.exported, tracing.dropped, tracing.failed) == (2, 0, 0)


def test_refusing_collector_costs_spans_only(collector: Collector) -> None:
    """They are counted."""
    collector.status = 400
    tracing = open_tracing(TraceSettings(otlp=collector.url))
    assert tracing is not None
    begin(tracing).end()
    tracing.close()

    assert (tracing.exported, tracing.dropped, tracing.failed) == (0, 0, 1)


def test_slow_collector_costs_spans_only(collector: Collector) -> None:
    """What finds no room is dropped and counted, at once: ending a span never waits."""
    collector.go_on.clear()
    queue = SpanQueue(otlp_exporter(collector.url), waiting_max=10, seconds=0.001)
    tracing = Tracing([queue])
    begin(tracing).end()
    while queue._waiting:
        time.sleep(0.001)
    began = time.monotonic()
    for _ in range(100):
        begin(tracing).end()
    seconds = time.monotonic() - began
    dropped = tracing.dropped
    collector.go_on.set()
    tracing.close()

    assert dropped == 90
    assert seconds < 1
    assert tracing.exported == 11


def test_hanging_collector_does_not_hold_up_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is given up, and counted as dropped."""
    monkeypatch.setattr("actors.tracing_export.CLOSE_SECONDS_MAX", 0.05)
    collector.go_on.clear()
    queue = SpanQueue(otlp_exporter(collector.url), seconds=0.001)
    tracing = Tracing([queue])
    begin(tracing).end()
    while queue._waiting:
        time.sleep(0.001)
    begin(tracing).end()
    began = time.monotonic()
    tracing.close()

    assert time.monotonic() - began < 1
    assert tracing.dropped == 1


def test_collector_that_is_down_costs_spans_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    monkeypatch.setattr("actors.tracing_export.OTLP_SECONDS_MAX", 0.1)
    tracing = open_tracing(TraceSettings(otlp="http://127.0.0.1:1"))
    assert tracing is not None
    begin(tracing).end()
    tracing.close()

    assert (tracing.exported, tracing.failed + tracing.dropped) == (0, 1)
