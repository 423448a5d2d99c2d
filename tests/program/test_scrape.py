"""A running gateway is scraped as Prometheus does it, also while clients overwhelm it."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.conformance.record import Recorder
from tests.conformance.wallets import GTC, Wallet
from tests.program.harness import Program

pytestmark = pytest.mark.program

ACCEPT = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
SCRAPE_SECONDS_MAX = 1.0
ASKERS = 8
"""Clients that each ask as fast as they are answered: several times what one core can do."""


def scrape(program: Program) -> dict[str, Metric]:
    """Read /metrics as Prometheus would."""
    answer = program.request("GET", "/metrics", headers=ACCEPT)
    assert answer.text.endswith("# EOF\n")
    families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    return {family.name: family for family in families}


def value(family: Metric, part: str, **labels: str) -> float:
    """Return the sum or the count of a histogram."""
    wanted = (f"{family.name}_{part}", labels)
    (found,) = [sample for sample in family.samples if (sample.name, sample.labels) == wanted]
    return float(found.value)


def test_the_way_of_an_order_is_measured(programs: Callable[..., Program]) -> None:
    """Each hop counts the order once, in the order in which it passed them."""
    program = programs("--trace-rate", "1", "--traces", "/dev/null").start()
    wallet = Wallet.open(program, recorder=Recorder())
    wallet.place("BTC", 0.001, 30_000, GTC)
    measured = scrape(program)["zaraba_hop_seconds"]

    hops = ("checked", "sequenced", "committed", "published", "written")
    counts = [value(measured, "count", hop=hop) for hop in hops]
    sums = [value(measured, "sum", hop=hop) for hop in hops]
    assert counts == [1.0] * len(hops)
    assert sums[:3] == sorted(sums[:3])
    assert min(sums[3:]) >= sums[2]
    exemplars = [s.exemplar for s in measured.samples if s.exemplar]
    assert {len(one.labels["trace_id"]) for one in exemplars} == {32}


def test_scrapes_are_answered_under_overload(programs: Callable[..., Program]) -> None:
    """Somebody who looks while all ask at once waits for less than a second."""
    program = programs().start()
    stop = threading.Event()

    def ask() -> None:
        body = json.dumps({"type": "meta"}).encode()
        while not stop.is_set():
            program.request("POST", "/info", body, headers={"content-type": "application/json"})

    askers = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    took = []
    try:
        for _ in range(5):
            time.sleep(0.2)
            began_at = time.monotonic()
            scrape(program)
            took.append(time.monotonic() - began_at)
    finally:
        stop.set()
        for asker in askers:
            asker.join()

    assert max(took) < SCRAPE_SECONDS_MAX
