"""Metrics as scrapers read them, beside those that `actors.telemetry` keeps itself.

What others wrote down as plain numbers gets its names and labels here, at the moment somebody asks.
Labels are from fixed sets, and markets; their number is bounded by the program's own tables.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import trio
from attrs import Factory, define, field, frozen
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from actors.measures import BOUNDS, Durations
from supervision import UsageMeter

MARKETS_SHOWN_MAX: Final = 1_000
"""Markets that have series of their own; as many as the program has actors for. Later ones have
none."""
CHEAP_SECONDS: Final = 0.01
"""An exposition that took no longer than this is made anew for everybody who asks."""
REST_FACTOR: Final = 20
"""A dearer one is shown to all for so many times as long as it took: scrapers together cost one
part in twenty of the loop at most."""
LOOK_SECONDS_MAX: Final = 0.4
"""For the look at all actors; under overload the last one is shown again."""

OPEN_METRICS: Final = "application/openmetrics-text"
PLAIN: Final = ""
"""Prometheus' text format, for those who do not say what they read. It has no exemplars."""

_TEXTS: Final = (*map(repr, BOUNDS), "+Inf")
_TRACEPARENT_PARTS: Final = 4


@frozen
class Number(Collector):
    """A running total that somebody else keeps."""

    name: str
    text: str
    read: Callable[[], float]

    def collect(self) -> Iterator[Metric]:
        """Read it now."""
        yield CounterMetricFamily(self.name, self.text, self.read())


@frozen
class Histograms(Collector):
    """Durations that others measure, by the values of one label; none where it has no name."""

    name: str
    text: str
    label: str
    read: Callable[[], Iterable[tuple[str, Durations]]]

    def collect(self) -> Iterator[Metric]:
        """Read them now."""
        family = HistogramMetricFamily(
            self.name, self.text, labels=[self.label] if self.label else []
        )
        for value, durations in self.read():
            family.add_metric([value] if self.label else [], _buckets(durations), durations.total)
        yield family


def _buckets(durations: Durations) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    rows: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    total = 0
    for bucket, (text, count) in enumerate(zip(_TEXTS, durations.counts, strict=True)):
        total += count
        exemplar = _exemplar(durations, bucket)
        rows.append((text, total) if exemplar is None else (text, total, exemplar))
    return rows


def _exemplar(durations: Durations, bucket: int) -> Exemplar | None:
    found = durations.exemplars.get(bucket)
    if found is None:
        return None
    traceparent, value, at = found
    parts = traceparent.split("-")
    if len(parts) != _TRACEPARENT_PARTS:
        return None
    return Exemplar({"trace_id": parts[1], "span_id": parts[2]}, value, at)


@frozen
class Actors(Collector):
    """How busy each kind of actor is: the last look of a meter."""

    meter: UsageMeter

    def collect(self) -> Iterator[Metric]:
        """Read it now."""
        gauges = {
            name: GaugeMetricFamily(f"zaraba_actor_{name}", text, labels=["actor"])
            for name, text in (
                ("known", "Actors that are known, by kind."),
                ("depth", "Messages that wait, by kind of actor."),
                ("oldest_seconds", "The longest wait among those messages, by kind of actor."),
            )
        }
        totals = {
            name: CounterMetricFamily(f"zaraba_actor_{name}", text, labels=["actor"])
            for name, text in (
                ("handled", "Messages handled, by kind of actor."),
                ("busy_seconds", "Time in handlers, waits included, by kind of actor."),
                ("starts", "Starts after the first, by kind of actor."),
            )
        }
        for kind, usage in sorted(self.meter.kinds.items()):
            gauges["known"].add_metric([kind], usage.actors)
            gauges["depth"].add_metric([kind], usage.depth)
            gauges["oldest_seconds"].add_metric([kind], usage.oldest_seconds)
            totals["handled"].add_metric([kind], usage.handled)
            totals["busy_seconds"].add_metric([kind], usage.busy_seconds)
            totals["starts"].add_metric([kind], usage.restarts)
        yield from gauges.values()
        yield from totals.values()


@frozen(kw_only=True)
class MarketRow:
    """How one market stands.

    Attributes:
        seq: height of the newest block that its subscribers were shown.
        age_seconds: how long ago that block was made; NaN if there is none.
        subscribers: subscriptions to its channels.
    """

    market: str
    seq: int
    age_seconds: float
    subscribers: int


@frozen
class Markets(Collector):
    """How the markets stand, MARKETS_SHOWN_MAX at most."""

    read: Callable[[], Iterable[MarketRow]]

    def collect(self) -> Iterator[Metric]:
        """Read them now."""
        seq, age, subscribers = (
            GaugeMetricFamily(f"zaraba_market_{name}", text, labels=["market"])
            for name, text in (
                ("seq", "Newest block that was shown of a market."),
                ("age_seconds", "How old that block is."),
                ("subscribers", "Subscriptions to a market's channels."),
            )
        )
        for index, row in enumerate(self.read()):
            if index == MARKETS_SHOWN_MAX:
                break
            seq.add_metric([row.market], row.seq)
            age.add_metric([row.market], row.age_seconds)
            subscribers.add_metric([row.market], row.subscribers)
        yield from (seq, age, subscribers)


@frozen
class Exposition:
    """All metrics at one moment, as bytes of a media type."""

    body: bytes
    content_type: str


@define(eq=False)
class Exposer:
    """Makes expositions, and no more of them than the program can afford.

    Attributes:
        look: what is to be brought up to date before, if it can be within LOOK_SECONDS_MAX.
    """

    registry: CollectorRegistry
    look: UsageMeter | None = None
    clock: Callable[[], float] = time.perf_counter
    _made: dict[str, tuple[float, Exposition]] = field(init=False, factory=dict)
    _turn: trio.Lock = Factory(trio.Lock)

    async def expose(self, accept: str | None = None) -> Exposition:
        """Return all metrics: as OpenMetrics where ``accept`` asks for it, else as plain text."""
        form = OPEN_METRICS if OPEN_METRICS in (accept or "") else PLAIN
        async with self._turn:
            until, made = self._made.get(form, (-math.inf, None))
            if made is not None and self.clock() < until:
                return made
            if self.look is not None:
                with trio.move_on_after(LOOK_SECONDS_MAX):
                    await self.look.look()
            return self._make(form)

    def _make(self, form: str) -> Exposition:
        encode, content_type = choose_encoder(form)
        began_at = self.clock()
        made = Exposition(encode(self.registry), content_type)
        took = self.clock() - began_at
        until = began_at if took <= CHEAP_SECONDS else began_at + took * REST_FACTOR
        self._made[form] = (until, made)
        return made


def rows_of(counts: Mapping[str, Durations]) -> Callable[[], Iterable[tuple[str, Durations]]]:
    """Return how to read a table of durations."""
    return lambda: list(counts.items())
