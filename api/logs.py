"""Log lines: one for each event, as JSON for machines or as text for people.

The program logs with the standard library; structlog gives its records their form at the one
handler of the process. A line has the time, the level, who says it and what, and where there are
such: ``trace_id`` of what is worked on, ``actor`` and ``generation`` of whom it is about, and the
traceback.

What repeats itself is held back (LINES_MAX in WINDOW_SECONDS), and told of in the next line of its
kind. Private keys and signatures are cut out of every line at the last moment, whoever put them in.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import IO, Any, Final

import structlog
from attrs import define

from actors.carried import carried

FORMATS: Final = ("console", "json")
LINES_MAX: Final = 20
"""Lines of one kind in a window; further ones are counted instead."""
WINDOW_SECONDS: Final = 10.0
KINDS_MAX: Final = 256
"""Kinds that are counted apart; the text before its values are put in makes a kind. Of more, the
oldest is forgotten, and may speak again."""
FACTS: Final = ("actor", "generation")
"""What a record may carry beside its text."""

_SECRETS: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{60,}")
"""A signature's halves and private keys have 64 hexadecimal digits, 60 or more with leading zeros
left out, and up to 78 as decimal numbers. Addresses have 40 and client order ids 32."""
_CUT: Final = "[cut]"


def configure_logging(form: str | None, *, verbose: bool, stream: IO[str] | None = None) -> None:
    """Make the process log to a stream, standard error by default.

    Args:
        form: one of FORMATS; ``None`` for text on a terminal and JSON anywhere else.
        verbose: log more.
    """
    stream = sys.stderr if stream is None else stream
    if form is None:
        form = "console" if stream.isatty() else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(make_formatter(form, is_coloured=stream.isatty()))
    handler.addFilter(RateLimit())
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True
    )
    logging.getLogger("zaraba.http").setLevel(logging.INFO if verbose else logging.WARNING)


def make_formatter(form: str, *, is_coloured: bool = False) -> logging.Formatter:
    """Return what makes lines of records."""
    return _Formatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(FACTS),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_renderers(form, is_coloured=is_coloured),
        ],
    )


def _renderers(form: str, *, is_coloured: bool) -> list[Callable[..., Any]]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=is_coloured,
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return _SECRETS.sub(_CUT, super().format(record))


def _add_trace(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Name the trace of what is worked on."""
    step = carried.get()
    if step is not None:
        # W3C Trace Context: version, trace, span, flags.
        event["trace_id"] = step.traceparent.split("-")[1]
    return event


@define
class _Window:
    began_at: float
    lines: int = 0


class RateLimit(logging.Filter):
    """Holds back what repeats itself.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through, or count it."""
        kind, now = (record.name, str(record.msg)), self._clock()
        window = self._windows.get(kind)
        if window is None or now - window.began_at >= WINDOW_SECONDS:
            self._begin(kind, now)
            if window is not None and window.lines > LINES_MAX:
                left_out = window.lines - LINES_MAX
                record.msg = f"{record.getMessage()} ({left_out} like it were left out)"
                record.args = None
            return True
        window.lines += 1
        return window.lines <= LINES_MAX

    def _begin(self, kind: tuple[str, str], now: float) -> None:
        self._windows.pop(kind, None)  # the newest window stands last
        if len(self._windows) >= KINDS_MAX:
            del self._windows[next(iter(self._windows))]
        self._windows[kind] = _Window(now, 1)
