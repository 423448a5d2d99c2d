"""Stopping one child and telling how it went. Shared by supervisors and pools."""

from math import inf
from typing import Any

import trio

from supervision.cell import Cell, Exit
from supervision.hooks import Event, Report
from supervision.restarts import ExitKind
from supervision.run import Run, ScopedRun
from supervision.spec import ChildSpec, PoolSpec, SupervisorSpec

Supervised = ChildSpec | PoolSpec[Any]
"""What says how one child is restarted and stopped: its own specification, or that of its pool."""

OVERDUE_MARGIN_SECONDS = 1.0
"""How long after its time to stop a child is reported as overdue."""


async def stop_run(run: Run, supervisor: Cell, spec: Supervised, reason: str) -> None:
    """Ask for the end, wait for it however long it takes, and report it.

    A child that outlives its time cannot be killed: Trio has no such thing. It is reported once,
    with the place where it waits, and the wait goes on.
    """
    run.request_stop(reason)
    at = overdue_at(run)
    if run.exit is None and at > supervisor.services.clock():
        with trio.move_on_at(at) as scope:
            await run.wait_done()
        if scope.cancelled_caught:
            report_overdue(supervisor, run, spec)
    await run.wait_done()
    assert run.exit is not None
    report_stop(supervisor, run.cell, spec, run.exit)


def overdue_at(run: Run) -> float:
    """Return when a run that was asked to stop is overdue; absolute Trio time, inf for never."""
    if run.stop_at is None or not isinstance(run, ScopedRun):
        return inf
    return run.stop_at + run.shutdown_seconds + run.drain_seconds + OVERDUE_MARGIN_SECONDS


def report_overdue(supervisor: Cell, run: Run, spec: Supervised) -> None:
    """Report a child that outlived its time, with the place where it waits."""
    _report(
        Event.OVERDUE,
        run.cell,
        supervisor,
        spec,
        frames=run.frames(),
        in_hand=(run.in_hand_types(), run.in_hand_contexts()),
    )


def time_to_stop(spec: Supervised) -> float:
    """Return the seconds a child has to stop; supervisors and pools take what they need."""
    if isinstance(spec, ChildSpec) and isinstance(spec.start, SupervisorSpec | PoolSpec):
        return inf
    return spec.shutdown_seconds


def report_stop(supervisor: Cell, cell: Cell, spec: Supervised, exit: Exit) -> None:
    """Report the end of a child that was asked to stop."""
    failed = exit.kind is ExitKind.ABNORMAL
    event = Event.SHUTDOWN_ERROR if failed else Event.STOPPED
    _report(event, cell, supervisor, spec, exit=exit)
    if exit.cleanup_error is not None:
        _report(Event.CLEANUP_FAILED, cell, supervisor, spec, exit=exit, cause=exit.cleanup_error)


def report_end(supervisor: Cell, cell: Cell, spec: Supervised, exit: Exit, uptime: float) -> None:
    """Report a child that ended by itself."""
    _report(Event.CHILD_ENDED, cell, supervisor, spec, exit=exit, uptime=uptime)
    if exit.cleanup_error is not None:
        _report(Event.CLEANUP_FAILED, cell, supervisor, spec, exit=exit, cause=exit.cleanup_error)


def _report(
    event: Event,
    cell: Cell,
    supervisor: Cell,
    spec: Supervised,
    *,
    exit: Exit | None = None,
    cause: BaseException | None = None,
    uptime: float = 0.0,
    frames: tuple[str, ...] = (),
    in_hand: tuple[tuple[str, ...], tuple[object, ...]] = ((), ()),
) -> None:
    if cause is None and exit is not None:
        cause = exit.cause
    report = Report(
        event=event,
        at=cell.services.clock(),
        supervisor=supervisor.path,
        child=cell.path,
        generation=cell.generation,
        restart=spec.restart,
        shutdown_seconds=time_to_stop(spec),
        kind=None if exit is None else exit.kind,
        reason="" if exit is None else exit.reason,
        cause=cause,
        uptime=uptime,
        depth=len(cell.mailbox.user),
        control_depth=len(cell.mailbox.control),
        in_hand=in_hand[0] if exit is None else exit.in_hand,
        contexts=in_hand[1] if exit is None else exit.contexts,
        frames=frames,
    )
    cell.services.reporter.report(report)
