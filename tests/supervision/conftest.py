"""What the supervision tests share: a recorder of reports."""

import pytest

from supervision import Event, Hooks, Report


class Recorder(Hooks):
    """Keeps every report."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def on_report(self, report: Report) -> None:
        self.reports.append(report)

    def of(self, event: Event) -> list[Report]:
        """Return the reports of one kind, in order."""
        return [report for report in self.reports if report.event is event]

    def children(self, event: Event) -> list[str]:
        """Return the paths of the children with such a report, in order."""
        return [report.child for report in self.of(event)]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
