"""The HTTP server as a child of the tree: the last to start and the first to stop.

hypercorn's own graceful stop waits for clients that never read, because its sends are shielded. So
the stop is ours: no new connections, say goodbye to the open ones, wait DRAIN_SECONDS, shut the
sockets of those that are left, and only then cancel what remains.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from actors.connections import Connections
from api.server_guard import guard_connections
from api.subscriptions import MESSAGE_BYTES_MAX

DRAIN_SECONDS: Final = 1.5
"""How long clients may take to read their last frames."""
HALT_SECONDS: Final = 1.0
"""How long hypercorn may take to notice that its sockets are gone."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""How long an idle HTTP connection is kept; clients hold one session for many requests."""
BACKLOG: Final = 1_024
"""Connections that the kernel holds for us while we are busy."""
HEADER_BYTES_MAX: Final = 16 * 1024


def hypercorn_config(bind: str) -> Config:
    """Return the settings under which the gateway runs well.

    Error logging stays on (hypercorn hangs without it) and goes to the process's own log; there is
    no access log, since ``/metrics`` counts requests.
    """
    config = Config()
    config.bind = [bind]
    config.accesslog = None
    config.errorlog = logging.getLogger("zaraba.http")
    config.graceful_timeout = DRAIN_SECONDS
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.backlog = BACKLOG
    config.websocket_max_message_size = MESSAGE_BYTES_MAX
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.include_server_header = False
    return config


async def serve_http(
    app: Any,
    config: Config,
    connections: Connections,
    *,
    on_listening: Callable[[list[str]], None],
    on_stopping: Callable[[], None] = lambda: None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application until cancelled; started once it listens.

    Args:
        app: the application.
        config: hypercorn's settings.
        connections: the outlets of the application, drained at the end; of no use after it.
        on_listening: is told the URLs.
        on_stopping: is told before anybody is said goodbye to.
        task_status: Trio's start protocol.
    """
    guard_connections()
    stopping = trio.Event()
    ended = trio.Event()
    keep = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:  # noqa: ASYNC128
        try:
            with keep:
                await serve(app, config, shutdown_trigger=stopping.wait, task_status=task_status)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        # Cancelled before it has started, the server just ends: nobody would tell it to stop.
        urls = await nursery.start(run)
        keep.shield = True
        on_listening(urls)
        task_status.started()
        try:
            await ended.wait()
        finally:
            on_stopping()
            stopping.set()
            with trio.CancelScope(shield=True):
                await connections.drain(DRAIN_SECONDS)
                with trio.move_on_after(HALT_SECONDS):
                    await ended.wait()
            keep.cancel(reason="the server is stopping")
