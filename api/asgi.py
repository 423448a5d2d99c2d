"""For deployment under a server of your own: ``hypercorn -k trio api.asgi:app``.

The tree runs beside the server then, started and stopped by the ASGI lifespan, with settings from
the environment (see ``api.settings.settings_from_environment``). If the tree gives up, the server
must not go on answering: every request is refused from that moment, and the process is asked to
end.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import trio

from api.app import create_app
from api.program import open_program
from api.server_guard import guard_connections
from api.settings import Settings, settings_from_environment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DOWN: Final = b"the gateway is not running\n"

log = logging.getLogger("zaraba")


class HostedGateway:
    """An ASGI application that runs a whole gateway inside somebody else's server.

    Args:
        settings: read when the server starts, so that a wrong setting stops the start.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: the lifespan runs the gateway, all others go to its routes."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            await _refuse(scope, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        guard_connections()  # the server looks for its handler after the lifespan has started
        started = False
        try:
            async with open_program(self._settings(), serve=False) as program:
                self._app = create_app(program.gateway, program.entry, program.info)
                started = True
                await send({"type": "lifespan.startup.complete"})
                await _wait_shutdown(receive)
                await program.gateway.connections.drain(1.0)
                self._app = None
        except Exception as error:
            self._app = None
            log.exception("the gateway failed")
            if not started:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            os.kill(os.getpid(), signal.SIGTERM)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _wait_shutdown(receive: Receive) -> None:
    """Wait until the server wants to stop; a tree that gives up cancels this wait."""
    while (await receive())["type"] != "lifespan.shutdown":
        await trio.lowlevel.checkpoint()


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": DOWN})


app = HostedGateway(settings_from_environment)
