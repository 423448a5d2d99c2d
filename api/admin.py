"""The admin API: what only the operator of a data directory may do, over a Unix socket inside it.

One JSON object a line each way. A request names what to do (``{"do": "fund", ...}``); the answer is
``{"ok": {...}}`` or ``{"error": "<text>"}``. The socket is created with mode 0600, so the file
system decides who may connect. Whatever a request changes goes through the log like any other
command.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from actors.errors import ActorsError
from api.settings import SettingsError
from supervision import SupervisionError

ADMIN_SOCKET: Final = "admin.sock"
ADDRESS_BYTES_MAX: Final = 100
"""Longest path that every Unix takes as a socket's name; Linux takes a few bytes more."""
REQUEST_BYTES_MAX: Final = 64 * 1024
"""Longest request line; the longest that the command line sends is far below."""
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest answer line that the command line reads."""
CONNECTIONS_MAX: Final = 16
"""Operators at once."""
ANSWER_SECONDS_MAX: Final = 30.0
"""How long a request may take before the operator is told so."""

log = logging.getLogger("zaraba")

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


class AdminError(Exception):
    """The request was refused; the text says why and is meant for the operator."""


REFUSALS: Final = (AdminError, SettingsError, ActorsError, SupervisionError)
"""What a request may fail with that is not a mistake of ours."""


class AdminUnreachableError(AdminError):
    """Nothing listens in that data directory."""


@contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    """Give a name of the socket that fits the 108 bytes of a Unix address, however deep it is."""
    path = str(directory / ADMIN_SOCKET)
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX or not Path("/proc/self/fd").exists():
        yield path
        return
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{ADMIN_SOCKET}"
    finally:
        os.close(opened)


def _listen(directory: Path) -> trio.SocketListener:
    path = directory / ADMIN_SOCKET
    path.unlink(missing_ok=True)  # the directory's lock is ours, so whoever left it is gone
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(stat.S_IXUSR | stat.S_IRWXG | stat.S_IRWXO)
        try:
            with _short_path(directory) as short:
                listening.bind(short)
        finally:
            os.umask(before)
        listening.listen(CONNECTIONS_MAX)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


async def serve_admin(  # noqa: ASYNC128
    directory: Path,
    handlers: Mapping[str, Handler],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the admin API of a data directory until cancelled; leave no socket file behind."""
    listener = _listen(directory)
    limit = trio.CapacityLimiter(CONNECTIONS_MAX)

    async def serve_one(stream: trio.SocketStream) -> None:
        async with limit:
            try:
                await _serve_connection(stream, handlers)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the operator left

    try:
        await trio.serve_listeners(serve_one, [listener], task_status=_StartedOnce(task_status))
    finally:
        (directory / ADMIN_SOCKET).unlink(missing_ok=True)


class _StartedOnce:
    """Report readiness without handing the listeners out."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status = status

    def started(self, value: object = None) -> None:
        self._status.started()


async def _serve_connection(stream: trio.SocketStream, handlers: Mapping[str, Handler]) -> None:
    async with stream:
        lines = _Lines(stream, REQUEST_BYTES_MAX)
        while (line := await lines.read()) is not None:
            await stream.send_all(msgspec.json.encode(await _answer(line, handlers)) + b"\n")


async def _answer(line: bytes, handlers: Mapping[str, Handler]) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(line, type=dict[str, Any])
        handler = handlers[request["do"]]
    except (msgspec.DecodeError, KeyError, TypeError):
        return {"error": f"not a request; known are: {', '.join(sorted(handlers))}"}
    try:
        with trio.fail_after(ANSWER_SECONDS_MAX):
            return {"ok": await handler(request)}
    except trio.TooSlowError:
        return {"error": f"no answer within {ANSWER_SECONDS_MAX:.0f} s; it may still happen"}
    except REFUSALS as error:
        return {"error": str(error) or type(error).__name__}
    except Exception as error:  # our mistake: the operator is told, and the API lives on
        log.exception("the admin request %r failed", request["do"])
        return {"error": f"internal error: {error!r}"}


class _Lines:
    """The lines of a stream, none longer than a bound."""

    def __init__(self, stream: trio.SocketStream, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._buffer = bytearray()

    async def read(self) -> bytes | None:
        """Read one line, or ``None`` at the end of the stream or where a line is too long."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._bytes_max:
                return None
            received = await self._stream.receive_some(65_536)
            if not received:
                return None
            self._buffer += received
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line


@asynccontextmanager
async def _connect(directory: Path) -> AsyncIterator[trio.SocketStream]:
    try:
        with _short_path(directory) as short:
            stream = await trio.open_unix_socket(short)
    except OSError as error:
        raise AdminUnreachableError(
            f"no exchange is running on {directory}"
            f" (start one with: zaraba serve --data {directory})"
        ) from error
    async with stream:
        yield stream


async def ask_admin(directory: Path, request: Mapping[str, Any]) -> Any:
    """Send one request to the exchange that runs on a data directory and return what it answers.

    Raises:
        AdminUnreachableError: nothing listens there.
        AdminError: the request was refused.
    """
    async with _connect(directory) as stream:
        await stream.send_all(msgspec.json.encode(request) + b"\n")
        line = await _Lines(stream, ANSWER_BYTES_MAX).read()
    if line is None:
        raise AdminUnreachableError("the exchange closed the connection without an answer")
    answer = msgspec.json.decode(line, type=dict[str, Any])
    if "error" in answer:
        raise AdminError(answer["error"])
    return answer.get("ok")
