"""Metrics and traces: the one module that knows Prometheus and OpenTelemetry.

Everyone else calls a method of ``Telemetry`` or returns a fact. Labels are markets, routes, actions
and reasons, never accounts, orders or addresses, so the number of series stays bounded whatever
clients do.

Traces are off until a file is named. An action is traced when its request carries a sampled
``traceparent`` (W3C Trace Context). What happens to an actor is an event: on the span of the traced
request in which it happens, on that of the actor's outage, or on a short span of its own.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen
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
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from actors.errors import StorageError
from actors.sequencer import SequencerHooks
from actors.tree_events import (
    Outage,
    TreeEvent,
    event_of_letter,
    event_of_report,
    event_of_shed,
)
from model.commands import Command
from supervision import DeadLetter, Report, Shed

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SECONDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
COMMANDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

TRACEPARENT_LENGTH_MAX: Final = 128
OUTAGES_MAX: Final = 1_024
"""Actors whose outage has a span at the same time; what happens to others has spans of its own."""
EVENT_SPANS_PER_SECOND_MAX: Final = 100
"""Short spans for events of the tree; further events of a second are only counted."""
SPANS_WAITING_MAX: Final = 2_048
"""Spans that wait for the file; more are dropped."""

log = logging.getLogger("zaraba")


class Telemetry(SequencerHooks):
    """The counters of one process. Give each test its own.

    Args:
        traces: file that spans are appended to, one JSON object a line.
        exporter: what takes spans instead of the file. Without either none are made.
    """

    def __init__(self, traces: Path | None = None, exporter: SpanExporter | None = None) -> None:
        self.registry = CollectorRegistry()
        self.faucet_credits = 0
        self.chain_is_ready = False
        self._blocks = Counter("zaraba_blocks", "Blocks made durable.", registry=self.registry)
        self._commands = Counter(
            "zaraba_commands", "Commands made durable.", registry=self.registry
        )
        self._block_commands = Histogram(
            "zaraba_block_commands",
            "Commands in a block.",
            buckets=COMMANDS,
            registry=self.registry,
        )
        self._execute = Histogram(
            "zaraba_block_execute_seconds",
            "Time to execute a block.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._commit = Histogram(
            "zaraba_block_commit_seconds",
            "Time to make a block durable.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._height = Gauge("zaraba_height", "Height of the last block.", registry=self.registry)
        self._crashed = Counter(
            "zaraba_commands_crashed",
            "Commands on which the machine broke, by kind.",
            ["kind"],
            registry=self.registry,
        )
        self._chain_lost = Counter(
            "zaraba_chain_lost", "Failed commits and rebuilds.", registry=self.registry
        )
        self._faucet = Gauge(
            "zaraba_faucet_credits", "Newcomers credited so far.", registry=self.registry
        )
        self._faucet_max = Gauge(
            "zaraba_faucet_credits_max", "Newcomers that may be credited.", registry=self.registry
        )
        self._requests = Counter(
            "zaraba_requests",
            "HTTP requests, by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "zaraba_request_seconds",
            "Time from a request's head to its answer's first byte, by route.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._questions = Histogram(
            "zaraba_question_seconds",
            "Time to answer a question, by type.",
            ["type"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._actions = Counter(
            "zaraba_actions",
            "Signed actions, by type and outcome.",
            ["action", "outcome"],
            registry=self.registry,
        )
        self._refused = Counter(
            "zaraba_input_refused",
            "Input that was refused before it became a command, by place and reason.",
            ["place", "reason"],
            registry=self.registry,
        )
        self._restarts = Counter(
            "zaraba_actor_events",
            "Supervisor reports, by kind of actor and event.",
            ["actor", "event"],
            registry=self.registry,
        )
        self._dead_letters = Counter(
            "zaraba_dead_letters",
            "Messages that reached nobody, by kind of actor and reason.",
            ["actor", "reason"],
            registry=self.registry,
        )
        self._sheds = Counter(
            "zaraba_messages_shed",
            "Messages that a mailbox turned away or let go, by kind of actor and reason.",
            ["actor", "reason"],
            registry=self.registry,
        )
        if exporter is None and traces is not None:
            exporter = _FileExporter(traces)
        self._provider = None if exporter is None else _open_provider(exporter)
        self._tree_spans: _TreeSpans | None = None
        self._tracer: Tracer | None = None
        if self._provider is not None:
            self._tracer = self._provider.get_tracer("zaraba")
            self._tree_spans = _TreeSpans(self._tracer)

    # -- facts that others report

    def block_committed(
        self, *, commands: int, execute_seconds: float, commit_seconds: float
    ) -> None:
        """A block went through."""
        self._blocks.inc()
        self._commands.inc(commands)
        self._block_commands.observe(commands)
        self._execute.observe(execute_seconds)
        self._commit.observe(commit_seconds)
        self._height.inc()

    def chain_ready(self, *, height: int, faucet_credits: int) -> None:
        """The state stands at a height again, with so many newcomers credited."""
        self.chain_is_ready = True
        self._height.set(height)
        self.faucet_credits = faucet_credits
        self._faucet.set(faucet_credits)

    def chain_lost(self, error: BaseException) -> None:
        """A commit or a rebuild failed; the log says how."""
        self.chain_is_ready = False
        self._chain_lost.inc()
        # What a disk refuses explains itself, and is told once a second while it lasts.
        told = None if isinstance(error, StorageError) else error
        log.error("the state is being rebuilt: %s", error, exc_info=told)

    def newcomer_credited(self, *, credits: int, credits_max: int) -> None:
        """The faucet gave; ``credits`` newcomers so far."""
        self.faucet_credits = credits
        self._faucet.set(credits)
        self._faucet_max.set(credits_max)

    def command_crashed(self, command: Command, error: BaseException) -> None:
        """The machine broke on a command; the log says how."""
        self._crashed.labels(type(command).__name__).inc()
        log.error("the machine broke on %r", command, exc_info=error)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request on a known route was answered."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def question_answered(self, kind: str, seconds: float) -> None:
        """A question of a known type was answered."""
        self._questions.labels(kind).observe(seconds)

    def action_answered(self, action: str, outcome: str) -> None:
        """A signed action of a known type was answered: ``ok``, ``err`` or ``failed``."""
        self._actions.labels(action, outcome).inc()

    def input_refused(self, place: str, reason: str) -> None:
        """Input was refused; ``place`` and ``reason`` come from small fixed sets."""
        self._refused.labels(place, reason).inc()

    def supervisor_reported(self, report: Report, actor: str) -> None:
        """A supervisor reported; ``actor`` is the kind, not the key."""
        self._restarts.labels(actor, report.event.value).inc()
        if self._tree_spans is not None:
            self._tree_spans.add(event_of_report(report, actor))

    def letter_died(self, letter: DeadLetter) -> None:
        """A message reached nobody."""
        self._dead_letters.labels(letter.owner, letter.reason.value).inc()
        if self._tree_spans is not None:
            self._tree_spans.add(event_of_letter(letter))

    def message_shed(self, shed: Shed) -> None:
        """A mailbox turned a message away, or let one go."""
        self._sheds.labels(shed.owner, shed.why.value).inc()
        if self._tree_spans is not None:
            self._tree_spans.add(event_of_shed(shed))

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def watch_total(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a running total, read when asked for; ``_total`` is added to its name."""
        self.registry.register(_Total(name, text, read))

    def faucet_opened(self, credits_max: int) -> None:
        """The faucet will serve so many newcomers."""
        self._faucet_max.set(credits_max)

    # -- what operators read

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format (media type ``CONTENT_TYPE``)."""
        return generate_latest(self.registry)

    @contextmanager
    def action_span(self, action: str, traceparent: str | None) -> Iterator[None]:
        """Trace the handling of an action, if its sender asked for that and traces are on."""
        if self._tracer is None or traceparent is None or len(traceparent) > TRACEPARENT_LENGTH_MAX:
            yield
            return
        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        with self._tracer.start_as_current_span(f"action {action}", context=context):
            yield

    @property
    def is_tracing(self) -> bool:
        """Whether spans are made at all."""
        return self._tracer is not None

    def current_trace(self) -> object:
        """Return what a message that is sent now should carry: the span that is recorded now."""
        span = get_current_span()
        return span.get_span_context() if span.is_recording() else None

    def close(self) -> None:
        """Write what is left of the traces."""
        if self._tree_spans is not None:
            self._tree_spans.close()
        if self._provider is not None:
            self._provider.shutdown()


@frozen
class _Total(Collector):
    """A counter that somebody else keeps."""

    name: str
    text: str
    read: Callable[[], float]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Read it now."""
        yield CounterMetricFamily(self.name, self.text, self.read())


class _FileExporter(SpanExporter):
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
