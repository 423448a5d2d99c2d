"""Traces: what belongs together of what the actors do, as spans. Knows OpenTelemetry.

An action is traced when its request carries a sampled ``traceparent`` (W3C Trace Context). What
happens to an actor is an event: on the span of the traced request in which it happens, on that of
the actor's outage, or on a short span of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    TraceState,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from actors.tree_events import Outage, TreeEvent

TRACEPARENT_LENGTH_MAX: Final = 128
OUTAGES_MAX: Final = 1_024
"""Actors whose outage has a span at the same time; what happens to others has spans of its own."""
EVENT_SPANS_PER_SECOND_MAX: Final = 100
"""Short spans for events of the tree; further events of a second are only counted."""
SPANS_WAITING_MAX: Final = 2_048
"""Spans that wait for the file; more are dropped."""


def open_tracing(file: Path | None) -> Tracing | None:
    """Return what makes spans and appends them to a file; nothing without a file."""
    return None if file is None else Tracing(FileExporter(file))


class Tracing:
    """The spans of one process; ``exporter`` takes them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = _open_provider(exporter)
        self._tracer = self._provider.get_tracer("zaraba")
        self._tree_spans = _TreeSpans(self._tracer)

    @contextmanager
    def action_span(self, action: str, traceparent: str | None) -> Iterator[None]:
        """Trace the handling of an action, if its sender asked for that."""
        if traceparent is None or len(traceparent) > TRACEPARENT_LENGTH_MAX:
            yield
            return
        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        with self._tracer.start_as_current_span(f"action {action}", context=context):
            yield

    def current(self) -> object:
        """Return what a message that is sent now should carry: the span that is recorded now."""
        span = get_current_span()
        return span.get_span_context() if span.is_recording() else None

    def note(self, event: TreeEvent) -> None:
        """Put an event of the tree on the spans that it belongs to."""
        self._tree_spans.add(event)

    def close(self) -> None:
        """Write what is left."""
        self._tree_spans.close()
        self._provider.shutdown()


class FileExporter(SpanExporter):
    """Appends spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._file.write(json.dumps(json.loads(span.to_json()), separators=(",", ":")) + "\n")
        self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._file.close()


def _open_provider(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider(
        sampler=ParentBased(_TreeOnly()), resource=Resource.create({"service.name": "zaraba"})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=SPANS_WAITING_MAX))
    return provider


class _TreeOnly(Sampler):
    """Of spans without a parent, takes those about the tree."""

    def should_sample(  # noqa: PLR0917  # the signature is OpenTelemetry's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if name.startswith(("outage", "event")):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "TreeOnly"


class _TreeSpans:
    """The spans of what happens to actors."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._outages: dict[str, Span] = {}
        self._second = 0
        self._made = 0
        self._left_out = 0

    def add(self, event: TreeEvent) -> None:
        """Put an event on the spans that it belongs to."""
        request = get_current_span()
        if request.is_recording():
            request.add_event(event.name, event.attributes)
        outage = self._outages.get(event.path)
        if outage is None and event.outage is Outage.BEGINS and len(self._outages) < OUTAGES_MAX:
            outage = self._outages[event.path] = self._open(f"outage {event.actor}", event)
        if outage is not None:
            outage.add_event(event.name, event.attributes)
            if event.outage in (Outage.ENDS, Outage.BROKEN_OFF):
                self._end_outage(event)
        elif not request.is_recording():
            self._add_alone(event)

    def _open(self, name: str, event: TreeEvent) -> Span:
        links = [Link(c) for c in event.contexts if isinstance(c, SpanContext) and c.is_valid]
        attributes = {"actor.path": event.path}
        return self._tracer.start_span(name, Context(), attributes=attributes, links=links)

    def _end_outage(self, event: TreeEvent) -> None:
        span = self._outages.pop(event.path)
        if event.outage is Outage.BROKEN_OFF:
            span.set_status(StatusCode.ERROR, event.name)
        span.end()

    def _add_alone(self, event: TreeEvent) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._made = second, 0
        if self._made >= EVENT_SPANS_PER_SECOND_MAX:
            self._left_out += 1
            return
        self._made += 1
        span = self._open(f"event {event.name}", event)
        span.add_event(event.name, event.attributes)
        if self._left_out:
            span.set_attribute("events.left_out", self._left_out)
            self._left_out = 0
        span.end()

    def close(self) -> None:
        """End the outages that nobody saw the end of."""
        for span in self._outages.values():
            span.end()
        self._outages.clear()
