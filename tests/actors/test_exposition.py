import math

import pytest
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from actors.exposition import MARKETS_SHOWN_MAX, Exposer, MarketRow, Markets, Number
from actors.telemetry import Telemetry
from supervision import Registry, UsageMeter

OPEN = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


class Step:
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def opened_families(body: bytes) -> list[Metric]:
    return list(parse_open(body.decode()))  # type: ignore[no-untyped-call]  # a library's


def row(market: str) -> MarketRow:
    return MarketRow(market=market, seq=1, age_seconds=0.5, subscribers=2)


async def test_scrapers_get_the_form_they_ask_for() -> None:
    """Both forms are read by Prometheus' own parsers and tell the same."""
    telemetry = Telemetry()
    telemetry.input_refused("ws", "malformed")
    opened, plain = await telemetry.expose(OPEN), await telemetry.expose()

    assert opened.content_type.startswith("application/openmetrics-text")
    assert plain.content_type.startswith("text/plain")
    families = {family.name: family for family in opened_families(opened.body)}
    assert families["zaraba_input_refused"].type == "counter"
    assert {f.name for f in parse_plain(plain.body.decode())} >= families.keys() - {"zaraba_chain"}


async def test_exemplars_lead_to_traces() -> None:
    """A bucket names the newest trace that fell into it."""
    telemetry = Telemetry()
    telemetry.hops.hops["checked"].observe(0.0002, Step())
    body = (await telemetry.expose(OPEN)).body

    samples = [s for family in opened_families(body) for s in family.samples if s.exemplar]
    assert [(s.name, s.labels["hop"], s.labels["le"]) for s in samples] == [
        ("zaraba_hop_seconds_bucket", "checked", "0.00025")
    ]
    assert samples[0].exemplar is not None
    assert samples[0].exemplar.labels == {"trace_id": "a" * 32, "span_id": "b" * 16}


async def test_whatever_a_scraper_claims_to_accept_two_forms_are_kept() -> None:
    """Versions that somebody makes up cost nothing."""
    exposer = Exposer(CollectorRegistry())
    for number in range(50):
        await exposer.expose(f"application/openmetrics-text;version=1.0.{number}")
        await exposer.expose(f"text/plain;version=1.0.{number}")

    assert len(exposer._made) == 2


@pytest.mark.parametrize(("seconds", "makings"), [(0.001, 3), (0.1, 1)])
async def test_a_dear_exposition_is_made_rarely(seconds: float, makings: int) -> None:
    """A cheap one is new for everybody; a dear one is shown again for a while."""
    now, made = 0.0, 0

    def read() -> float:
        nonlocal now, made
        now, made = now + seconds, made + 1
        return made

    registry = CollectorRegistry()
    exposer = Exposer(registry, clock=lambda: now)
    registry.register(Number("n", "N.", read))
    now, made = 0.0, 0  # registering reads it once
    for _ in range(3):
        await exposer.expose()

    assert made == makings
    now += 2.0 + seconds
    await exposer.expose()
    assert made == makings + 1


async def test_a_look_that_takes_too_long_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Under overload a scrape is answered with the last look at the actors."""

    class Stuck(UsageMeter):
        async def look(self) -> None:
            await trio.sleep_forever()

    exposer = Exposer(CollectorRegistry(), Stuck(Registry()))
    with trio.fail_after(1.0):
        made = await exposer.expose()

    assert made.body == b""


def test_markets_have_series_up_to_a_bound() -> None:
    """More markets than there are actors for add no series."""
    rows = [row(f"M{number}") for number in range(MARKETS_SHOWN_MAX + 5)]
    families = list(Markets(lambda: rows).collect())

    assert {len(family.samples) for family in families} == {MARKETS_SHOWN_MAX}
    assert not any(math.isnan(s.value) for family in families for s in family.samples)
