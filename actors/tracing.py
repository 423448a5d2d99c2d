"""Traces: steps of the program as OpenTelemetry's spans.

What is traced is decided once, at the edge: a request with a sampled ``traceparent`` (W3C Trace
Context) always, any other at a rate. What was not chosen makes no span anywhere. What was, is
carried by the messages (`actors.carried`).

What happens to an actor is an event: on the span of the traced request in which it happens, on that
of the actor's outage, or on a short span of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors.carried import LINKS_MAX, SYSTEM, Role, Step, Value
from actors.trace_settings import TraceSettings
from actors.tracing_export import (
    SpanQueue,
    console_exporter,
    file_exporter,
    otlp_exporter,
)
from actors.tracing_tree import TreeSpans
from actors.tree_events import TreeEvent

TRACEPARENT_LENGTH_MAX: Final = 128

_KINDS: Final = {
    Role.INNER: SpanKind.INTERNAL,
    Role.SERVER: SpanKind.SERVER,
    Role.CLIENT: SpanKind.CLIENT,
    Role.SENDER: SpanKind.PRODUCER,
    Role.RECEIVER: SpanKind.CONSUMER,
}
_propagator: Final = TraceContextTextMapPropagator()


def open_tracing(settings: TraceSettings) -> Tracing | None:
    """Return what makes spans; nothing where they would go nowhere."""
    exporters: list[SpanExporter] = []
    if settings.file is not None:
        exporters.append(file_exporter(settings.file))
    if settings.console:
        exporters.append(console_exporter())
    if settings.otlp is not None:
        exporters.append(otlp_exporter(settings.otlp))
    if not exporters:
        return None
    return Tracing([SpanQueue(exporter) for exporter in exporters], rate=settings.rate)


class Tracing:
    """The spans of one process.

    Args:
        processors: take each span when it ends.
        rate: part of the requests that are traced without asking for it.
        random: decides which; from 0 up to 1.
    """

    def __init__(
        self,
        processors: Sequence[SpanProcessor],
        *,
        rate: float = 0.0,
        random: Callable[[], float] | None = None,
    ) -> None:
        resource = Resource.create({"service.name": SYSTEM})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False
        )
        self._queues = [one for one in processors if isinstance(one, SpanQueue)]
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SYSTEM)
        self._tree_spans = TreeSpans(self.begin_linked)
        self._rate = rate
        self._random = Random().random if random is None else random

    def begin(
        self, name: str, traceparent: str | None, attributes: Mapping[str, Value] | None = None
    ) -> Step | None:
        """Begin what a request causes, if it is one of those that are traced.

        Args:
            traceparent: the header of that name; what is malformed is ignored.
        """
        parent: Context | None = None
        if traceparent is not None and len(traceparent) <= TRACEPARENT_LENGTH_MAX:
            parent = _propagator.extract({"traceparent": traceparent})
            if get_current_span(parent).get_span_context().trace_flags.sampled:
                return self._begin(name, parent, attributes)
        # A rate of 1 takes all, since a random number is below it.
        if self._random() < self._rate:
            return self._begin(name, parent, attributes)
        return None

    def begin_linked(
        self, name: str, attributes: Mapping[str, Value], links: Sequence[object]
    ) -> Step:
        """Begin a step of a trace of its own, linked to what is a step or a stored one."""
        found = (_context_of(one) for one in links)
        kept = [Link(context) for context in found if context is not None][:LINKS_MAX]
        return _OpenStep(
            self._tracer,
            self._tracer.start_span(name, Context(), attributes=attributes, links=kept),
        )

    def _begin(
        self, name: str, parent: Context | None, attributes: Mapping[str, Value] | None
    ) -> Step:
        context = Context() if parent is None else parent
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes)
        return _OpenStep(self._tracer, span)

    def note(self, event: TreeEvent) -> None:
        """Put an event of the tree on the spans that it belongs to."""
        self._tree_spans.add(event)

    def outage(self, path: str) -> Step | None:
        """Return the outage of an actor, if it has one."""
        return self._tree_spans.outage(path)

    @property
    def exported(self) -> int:
        """Spans that exporters took."""
        return sum(queue.exported for queue in self._queues)

    @property
    def dropped(self) -> int:
        """Spans for which there was no room."""
        return sum(queue.dropped for queue in self._queues)

    @property
    def failed(self) -> int:
        """Spans that exporters did not take."""
        return sum(queue.failed for queue in self._queues)

    def close(self) -> None:
        """Export what is left, for a bounded time."""
        self._tree_spans.close()
        self._provider.shutdown()


class _OpenStep:
    """A `Step` that is a span."""

    __slots__ = ("_is_open", "_tracer", "span")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self.span = span
        self._is_open = True

    @property
    def traceparent(self) -> str:
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def begin(
        self,
        name: str,
        role: Role = Role.INNER,
        attributes: Mapping[str, Value] | None = None,
        links: Sequence[Step] = (),
    ) -> Step:
        parent = set_span_in_context(self.span, Context())
        span = self._tracer.start_span(name, parent, _KINDS[role], attributes, _links(links))
        return _OpenStep(self._tracer, span)

    def begin_apart(
        self, name: str, attributes: Mapping[str, Value], links: Sequence[Step]
    ) -> Step:
        linked = links[:LINKS_MAX]
        span = self._tracer.start_span(name, Context(), attributes=attributes, links=_links(linked))
        for step in linked:
            assert isinstance(step, _OpenStep)
            step.span.add_link(span.get_span_context())
        return _OpenStep(self._tracer, span)

    def describe(self, attributes: Mapping[str, Value]) -> None:
        self.span.set_attributes(attributes)

    def note(self, name: str, attributes: Mapping[str, Value]) -> None:
        self.span.add_event(name, attributes)

    def end(self, failure: BaseException | str | None = None) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if isinstance(failure, BaseException):
            self.span.record_exception(failure)
            failure = type(failure).__name__
        if failure is not None:
            self.span.set_status(StatusCode.ERROR, failure)
        self.span.end()


def _links(steps: Sequence[Step]) -> list[Link]:
    contexts = (_context_of(step) for step in steps)
    return [Link(context) for context in contexts if context is not None]


def _context_of(one: object) -> SpanContext | None:
    """Return the span that an open step is, or that was stored as a ``traceparent``."""
    if isinstance(one, _OpenStep):
        return one.span.get_span_context()
    if isinstance(one, str) and len(one) <= TRACEPARENT_LENGTH_MAX:
        context = get_current_span(_propagator.extract({"traceparent": one})).get_span_context()
        return context if context.is_valid else None
    return None
