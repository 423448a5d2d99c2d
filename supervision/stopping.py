"""Stopping one child and telling how it went. Shared by supervisors and pools."""

import trio

from supervision.cell import Cell, Exit
from supervision.hooks import Event, Report
from supervision.restarts import ExitKind, Restart
from supervision.run import Run, ScopedRun

OVERDUE_MARGIN_SECONDS = 1.0
"""How long after its time to stop a child is reported as overdue."""


async def stop_run(run: Run, supervisor: Cell, restart: Restart, reason: str) -> None:
    """Ask for the end, wait for it however long it takes, and report it.

    A child that outlives its time cannot be killed: Trio has no such thing. It is reported once,
    with the place where it waits, and the wait goes on.
    """
    run.request_stop(reason)
    if isinstance(run, ScopedRun) and run.exit is None:
        patience = run.shutdown_seconds + run.drain_seconds + OVERDUE_MARGIN_SECONDS
        with trio.move_on_after(patience) as scope:
            await run.wait_done()
        if scope.cancelled_caught:
            _report(Event.OVERDUE, run.cell, supervisor, restart, frames=run.frames())
    await run.wait_done()
    assert run.exit is not None
    report_stop(supervisor, run.cell, restart, run.exit)


def report_stop(supervisor: Cell, cell: Cell, restart: Restart, exit: Exit) -> None:
    """Report the end of a child that was asked to stop."""
    failed = exit.kind is ExitKind.ABNORMAL
    event = Event.SHUTDOWN_ERROR if failed else Event.STOPPED
    _report(event, cell, supervisor, restart, exit=exit)
    if exit.cleanup_error is not None:
        _report(
            Event.CLEANUP_FAILED, cell, supervisor, restart, exit=exit, cause=exit.cleanup_error
        )


def report_end(supervisor: Cell, cell: Cell, restart: Restart, exit: Exit, uptime: float) -> None:
    """Report a child that ended by itself."""
    _report(Event.CHILD_ENDED, cell, supervisor, restart, exit=exit, uptime=uptime)
    if exit.cleanup_error is not None:
        _report(
            Event.CLEANUP_FAILED, cell, supervisor, restart, exit=exit, cause=exit.cleanup_error
        )


def _report(
    event: Event,
    cell: Cell,
    supervisor: Cell,
    restart: Restart,
    *,
    exit: Exit | None = None,
    cause: BaseException | None = None,
    uptime: float = 0.0,
    frames: tuple[str, ...] = (),
) -> None:
    if cause is None and exit is not None:
        cause = exit.cause
    report = Report(
        event=event,
        at=cell.services.clock(),
        supervisor=supervisor.path,
        child=cell.path,
        generation=cell.generation,
        restart=restart,
        kind=None if exit is None else exit.kind,
        reason="" if exit is None else exit.reason,
        cause=cause,
        uptime=uptime,
        depth=len(cell.mailbox.user),
        control_depth=len(cell.mailbox.control),
        in_hand=() if exit is None else exit.in_hand,
        frames=frames,
    )
    cell.services.reporter.report(report)
