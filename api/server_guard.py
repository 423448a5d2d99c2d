"""One connection's failure stays its own: a guard round hypercorn's connection handler.

hypercorn runs all connections in one nursery and lets their exceptions out, so that whatever trips
its protocol code (data right behind an upgrade request is enough, ahead of the answer) would end
the server and every other connection with it. Here such a connection is ended, reported, and
forgotten.

A connection also ends with its client; see ``_leave_with_client``.

hypercorn offers no place for this, so the name by which its worker finds the handler is replaced,
once, in this process. It is looked up when a worker starts, which makes the guard work for
``hypercorn -k trio`` as well. A test drives the failure through a real server, and so notices a
hypercorn that looks elsewhere.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import hypercorn.trio.run
import trio
from hypercorn.trio.tcp_server import TCPServer

ON_BROKEN: Final = "on_broken_connection"
"""Attribute of a hypercorn ``Config`` with what to call, without arguments, for each failure."""

log = logging.getLogger("zaraba.http")


async def serve_connection(
    app: Any, config: Any, context: Any, state: Any, stream: trio.abc.Stream
) -> None:
    """Serve one connection as hypercorn does; its exceptions end here, cancellation does not."""
    try:
        await _leave_with_client(
            TCPServer(app, config, context, state, stream)  # type: ignore[arg-type]
        )
    except* Exception as group:  # noqa: BLE001 - whatever it is, it was one client's
        # Any client can cause this at will: one line, and never the traceback.
        log.info("a connection was ended: %s", _first_leaf(group))
        on_broken = getattr(config, ON_BROKEN, None)
        if on_broken is not None:
            on_broken()


def _leave_with_client(server: TCPServer) -> TCPServer:
    """Have a connection end when its client leaves, not when its idle time is over as well.

    hypercorn ends its idle timer when a request comes. A connection that never had one would stay,
    socket and all, until the timer ends it; so would whatever probes the port by connecting.
    """
    read = server._read_data

    async def read_to_the_end() -> None:
        await read()
        await server.idle_task.stop()

    server._read_data = read_to_the_end  # type: ignore[method-assign]
    return server


def _first_leaf(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def guard_connections() -> None:
    """Have hypercorn's workers of this process serve their connections through the guard."""
    hypercorn.trio.run.TCPServer = serve_connection  # type: ignore[attr-defined,assignment]
