"""Where spans go: a file, the console, a collector over OTLP, or memory.

Spans wait in a bounded queue that a thread empties, so an exporter that is slow, down or refuses
costs spans and nothing else: what finds the queue full is dropped and counted, and what an exporter
does not take is counted and forgotten.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Final, TextIO

from attrs import frozen
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id

SPANS_WAITING_MAX: Final = 8_192
"""Spans that wait for an exporter, some 10 MB at most; more are dropped."""
SPANS_PER_EXPORT_MAX: Final = 512
EXPORT_SECONDS: Final = 1.0
"""How long a span waits for others."""
OTLP_SECONDS_MAX: Final = 5.0
"""How long a collector may take for one request, repetitions included."""
CLOSE_SECONDS_MAX: Final = 2.0
"""How long the end of the program waits for an exporter."""

log = logging.getLogger("zaraba")


class SpanQueue(SpanProcessor):
    """Hands ended spans to an exporter, in a thread of its own.

    Attributes:
        exported, dropped, failed: spans that were taken; that found no room; that the exporter did
            not take.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        waiting_max: int = SPANS_WAITING_MAX,
        seconds: float = EXPORT_SECONDS,
    ) -> None:
        self.exported = self.dropped = self.failed = 0
        self._exporter = exporter
        self._waiting: deque[ReadableSpan] = deque()
        self._waiting_max = waiting_max
        self._seconds = seconds
        self._wake = Event()
        self._closing = False
        self._refuses = False
        # A daemon: a collector that hangs must not hold up the end of the process.
        self._thread = Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span in, unless too many wait."""
        if len(self._waiting) >= self._waiting_max or self._closing:
            self.dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) == SPANS_PER_EXPORT_MAX:
            self._wake.set()

    def shutdown(self) -> None:
        """Export what waits, for a bounded time; what is left then is dropped."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS_MAX)
        if self._thread.is_alive():
            self.dropped += len(self._waiting)
            self._waiting.clear()
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Only wake the thread: nobody waits for an exporter."""
        self._wake.set()
        return not self._waiting

    def _run(self) -> None:
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            closing = self._closing
            while self._waiting:
                self._export_some()
            if closing:
                return

    def _export_some(self) -> None:
        batch: list[ReadableSpan] = []
        while self._waiting and len(batch) < SPANS_PER_EXPORT_MAX:
            batch.append(self._waiting.popleft())
        try:
            was_taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001  # an exporter fails in many ways, and all cost its spans
            was_taken = False
        if was_taken:
            self.exported += len(batch)
        else:
            self.failed += len(batch)
        if was_taken is self._refuses:
            self._refuses = not was_taken
            log.warning("spans are %s", "taken again" if was_taken else "not taken by the exporter")


class LineExporter(SpanExporter):
    """Writes spans to a text stream, one JSON object a line."""

    def __init__(self, stream: TextIO, *, closes: bool) -> None:
        self._stream = stream
        self._closes = closes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write and flush."""
        for span in spans:
            self._stream.write(json.dumps(json.loads(span.to_json()), separators=(",", ":")) + "\n")
        self._stream.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close a file."""
        if self._closes:
            self._stream.close()


def file_exporter(path: Path) -> SpanExporter:
    """Return what appends spans to a file."""
    return LineExporter(path.open("a", encoding="utf-8"), closes=True)


def console_exporter() -> SpanExporter:
    """Return what writes spans to standard error."""
    return LineExporter(sys.stderr, closes=False)


def otlp_exporter(url: str) -> SpanExporter:
    """Return what sends spans to a collector by OTLP over HTTP, in protobuf.

    Args:
        url: the collector, such as ``http://127.0.0.1:4318``; ``/v1/traces`` is added to it.
    """
    # Only who sends spans pays for the import of protobuf and requests.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,
    )

    # It would log each attempt; the queue tells of the change.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    return OTLPSpanExporter(url.rstrip("/") + "/v1/traces", timeout=OTLP_SECONDS_MAX)


@frozen
class KeptSpan:
    """A span as readers see it. Times in nanoseconds since 1970; ids in hexadecimal.

    ``parent`` is empty for the first of a trace; ``links`` and ``parent`` are span ids.
    """

    name: str
    id: str
    parent: str
    links: tuple[str, ...]
    start_ns: int
    end_ns: int
    attributes: Mapping[str, object]
    events: tuple[tuple[str, Mapping[str, object]], ...]
    is_error: bool

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


class KeptSpans(SpanProcessor):
    """Keeps spans in memory, in the order of their ends."""

    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep one."""
        self.spans.append(_kept(span))


def _kept(span: ReadableSpan) -> KeptSpan:
    assert span.context is not None
    return KeptSpan(
        name=span.name,
        id=format_span_id(span.context.span_id),
        parent="" if span.parent is None else format_span_id(span.parent.span_id),
        links=tuple(format_span_id(link.context.span_id) for link in span.links),
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=dict(span.attributes or {}),
        events=tuple((event.name, dict(event.attributes or {})) for event in span.events),
        is_error=not span.status.is_ok,
    )
