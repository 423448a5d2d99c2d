"""What watches a gateway asks for metrics that exist, and explains each of its alerts."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actors.telemetry import Telemetry
from api.node.gateway import NodeGateway
from api.node.program import watch_node_gauges
from api.program import open_program
from api.settings import Settings
from supervision import Registry

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
ALERTS = (DEPLOY / "alerts.yml").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
METRIC = re.compile(r"\bzaraba_\w+")


def series_of(telemetry: Telemetry) -> set[str]:
    """Return the names that Prometheus knows a gateway's series by."""
    names = set()
    for family in telemetry.registry.collect():
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
            case _:
                names.add(family.name)
    return names


@pytest.fixture
async def existing(tmp_path: Path) -> set[str]:
    """Return the series of an exchange and of a gateway beside a node."""
    node = NodeGateway(Registry(), Telemetry())
    watch_node_gauges(node)
    async with open_program(Settings(data=tmp_path / "data"), serve=False) as program:
        return series_of(program.gateway.telemetry) | series_of(node.telemetry)


def panels(page: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page.read_text(encoding="utf-8"))["panels"]
    return found


async def test_dashboards_and_alerts_ask_for_what_exists(existing: set[str]) -> None:  # noqa: ASYNC124
    """Each series that a panel, a variable or an alert names is one of the program's."""
    asked = set(METRIC.findall(ALERTS))
    for page in DASHBOARDS:
        asked |= set(METRIC.findall(page.read_text(encoding="utf-8")))

    assert len(DASHBOARDS) == 4
    assert asked - existing == set()


@pytest.mark.parametrize("page", DASHBOARDS, ids=lambda page: page.stem)
def test_panels_do_not_cover_each_other(page: Path) -> None:
    """Each panel has an id, a title, a question and a place of its own."""
    found = panels(page)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found]

    assert len({panel["id"] for panel in found}) == len(found) == len(set(places))
    assert len({panel["title"] for panel in found}) == len(found)
    assert all(target["expr"] for panel in found for target in panel["targets"])


def test_each_alert_has_a_runbook() -> None:
    """The page of operations has a heading for each alert, and none for others."""
    names = re.findall(r"- alert: (\w+)", ALERTS)
    links = re.findall(r"runbook: docs/operations\.md#(\w+)", ALERTS)
    explained = re.findall(r"^### ((?:Gateway|Node)\w+)$", OPERATIONS, re.MULTILINE)

    assert names == explained
    assert links == [name.lower() for name in names]


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_prometheus_agrees(arguments: tuple[str, ...]) -> None:
    """Configuration and rules are sound, and alerts fire when they should and not before."""
    done = promtool(*arguments)

    assert done.returncode == 0, done.stdout + done.stderr


async def test_prometheus_reads_the_metrics(tmp_path: Path) -> None:
    """Prometheus' own check has nothing to say of names, helps and types."""
    async with open_program(Settings(data=tmp_path / "data"), serve=False) as program:
        body = (await program.gateway.telemetry.expose()).body
    done = promtool("check", "metrics", given=body.decode())

    assert (done.returncode, done.stderr) == (0, "")


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run Prometheus' tool, where it is installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    return subprocess.run(
        [program, *arguments],
        cwd=DEPLOY,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
