"""What is traced, and where the spans go."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen, validators


@frozen
class TraceSettings:
    """Where spans go, and of what they are made; off unless one of the places is named.

    Args:
        file: spans are appended to it, one JSON object a line.
        console: they are written to standard error likewise.
        otlp: URL of a collector that takes OTLP over HTTP.
        rate: part of the requests that are traced without asking for it, from 0 to 1.
    """

    file: Path | None = None
    console: bool = False
    otlp: str | None = None
    rate: float = field(default=0.0, validator=[validators.ge(0.0), validators.le(1.0)])
