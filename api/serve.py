"""``zaraba serve``: run a gateway until it is told to stop, and end with a status that tells how.

The tree is the root of everything; signals and failures stop it in the reverse of its start. A stop
that takes longer than EXIT_SECONDS_MAX ends the process all the same, from a thread that nothing in
the tree can block.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final, TextIO

import trio

from actors.errors import StorageError
from actors.storage import DataDirectoryInUseError
from api.config import ConfigError
from api.interpreter import settle_heap, tune_interpreter
from api.program import Program, open_program
from api.settings import USD_DECIMALS, Settings
from api.task_dump import dump_on_signal
from model.units import format_decimal
from supervision import InitFailed

EXIT_OK: Final = 0
EXIT_FAILED: Final = 70
"""The tree gave up (EX_SOFTWARE)."""
EXIT_OVERDUE: Final = 75
"""The stop took too long (EX_TEMPFAIL)."""
EXIT_DATA: Final = 65
"""The data directory cannot be used as it is (EX_DATAERR)."""
EXIT_UNAVAILABLE: Final = 69
"""Somebody else has the data directory or the port (EX_UNAVAILABLE)."""

EXIT_SECONDS_MAX: Final = 4.8
"""Outer bound of a stop: the promise is five seconds."""

EXPLAINED: Final = (
    (DataDirectoryInUseError, EXIT_UNAVAILABLE),
    (StorageError, EXIT_DATA),
    (ConfigError, EXIT_DATA),
    (OSError, EXIT_UNAVAILABLE),
)
"""What an operator can mend, and the status that says so."""

ADDRESS_ERRORS: Final = frozenset((errno.EADDRINUSE, errno.EADDRNOTAVAIL))

log = logging.getLogger("zaraba")


class OuterDeadline:
    """Ends the process if a stop takes too long, whatever blocks it."""

    def __init__(self) -> None:
        self._timer = threading.Timer(EXIT_SECONDS_MAX, _give_up)
        self._timer.daemon = True

    def start(self) -> None:
        """Begin to wait; later calls do nothing."""
        if self._timer.ident is None:
            self._timer.start()

    def cancel(self) -> None:
        """Wait no longer: the stop is over."""
        self._timer.cancel()


def _give_up() -> None:
    with suppress(OSError):  # where that goes may be what is full
        os.write(2, b"zaraba: the stop takes too long; giving up\n")
    os._exit(EXIT_OVERDUE)


def run(settings: Settings) -> int:
    """Serve until stopped; return the process's exit status."""
    return run_until_stopped(lambda: _run_program(settings), settings.bind)


def run_until_stopped(program: Callable[[], Awaitable[None]], bind: str) -> int:
    """Run a program until a signal comes or it ends; return the process's exit status.

    Args:
        program: serves, and stops in order when it is cancelled.
        bind: where it listens, for the sentence that says why it cannot.
    """
    tune_interpreter()
    deadline = OuterDeadline()
    try:
        trio.run(_serve, program, deadline)
    except Exception as error:  # noqa: BLE001  # the end of the program: told, with a status
        return _explain(error, bind)
    finally:
        deadline.cancel()
        _let_go_of_output()
    return EXIT_OK


async def _serve(program: Callable[[], Awaitable[None]], deadline: OuterDeadline) -> None:
    """Run a gateway until a signal comes; one that comes during the start ends the start."""
    dump_on_signal()
    work = trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def stop_on_signal() -> None:
                async for number in signals:
                    name = signal.Signals(number).name
                    if not work.cancel_called:
                        say(f"stopping ({name})")
                    deadline.start()
                    work.cancel(reason=name)

            nursery.start_soon(stop_on_signal)
            with work:
                try:
                    await program()
                except InitFailed:
                    if not work.cancel_called:
                        raise
            nursery.cancel_scope.cancel(reason="the gateway has stopped")
    say("stopped")


async def _run_program(settings: Settings) -> None:
    async with open_program(settings) as program:
        settle_heap()
        for line in banner(program):
            say(line)
        await program.wait_stopped()


def banner(program: Program) -> list[str]:
    """Return what a person wants to know of a gateway that has just started."""
    settings, directory = program.settings, program.gateway.directory
    names = ", ".join(instrument.name for instrument in directory.universe)
    lines = [
        f"zaraba is listening on {', '.join(program.urls)}",
        f"  markets  {names}",
        f"  data     {settings.data} (at height {directory.height})",
    ]
    if settings.faucet_usd:
        usd = format_decimal(settings.faucet_usd, USD_DECIMALS)
        credited = program.gateway.telemetry.faucet_credits
        lines.append(
            f"  faucet   {usd} USD for each new address"
            f" ({credited} of {settings.faucet_credits_max} credited)"
        )
    if settings.demo:
        lines.append("  demo     the oracle wanders and bots trade; their keys are public")
    lines.append("  stop     Ctrl-C")
    return lines


def say(text: str, *, file: TextIO | None = None) -> None:
    """Tell the person at the terminal.

    Where nothing can be written, to a full disk or to a reader that went away, the program goes on
    and ends as it would have. What was not written is tried again with the next sentence.
    """
    with suppress(OSError):
        print(text, file=file, flush=True)


def _let_go_of_output() -> None:
    """Drop what still cannot be written: the interpreter would end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _explain(error: BaseException, bind: str) -> int:
    """Say what ended the program: in a line if an operator can mend it, else with a traceback."""
    for kind, status in EXPLAINED:  # the system's own errors come last: ours explain them
        for cause in _causes(error):
            if isinstance(cause, kind):
                say(f"zaraba: {_sentence(cause, bind)}", file=sys.stderr)
                return status
    log.error("the gateway failed", exc_info=error)
    return EXIT_FAILED


def _sentence(cause: BaseException, bind: str) -> str:
    """Return what happened; the system's own error does not name the address that is taken."""
    if isinstance(cause, OSError) and cause.errno in ADDRESS_ERRORS:
        return f"cannot listen on {bind}: {cause.strerror}"
    return str(cause)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception's groups and causes, innermost first."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    elif error.__cause__ is not None:
        yield from _causes(error.__cause__)
    yield error
