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
from api.interpreter import settle_heap, tune_interpreter
from api.program import Program, open_program
from api.server_guard import guard_connections
from api.settings import Settings, settings_from_environment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DRAIN_SECONDS: Final = 1.0
"""How long clients may take to read their last frames."""
DOWN: Final = b"the gateway is not running\n"

log = logging.getLogger("zaraba")


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class HostedGateway:
    """An ASGI application that runs a whole gateway inside somebody else's server.

    Args:
        settings: read when the server starts, so that a wrong setting stops the start.
        end_process: asks the server to stop, if the tree gave up.
    """

    def __init__(
        self, settings: Callable[[], Settings], end_process: Callable[[], None] = _end_process
    ) -> None:
        self._settings = settings
        self._end_process = end_process
        self._app: Any = None
        self._was_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: the lifespan runs the gateway, all others go to its routes."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            await _refuse(scope, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Run the gateway for the time of the lifespan; tell the server how it went."""
        await receive()
        tune_interpreter()
        guard_connections()  # the server looks for its handler after the lifespan has started
        try:
            async with open_program(self._settings(), serve=False) as program:
                settle_heap()
                self._app = create_app(program.gateway, program.entry, program.info, program.limits)
                await send({"type": "lifespan.startup.complete"})
                try:
                    await _wait_shutdown(receive)
                finally:
                    await self._say_goodbye(program)  # noqa: ASYNC102  # shielded, with a deadline
        except Exception as error:
            log.exception("the gateway failed")
            if not self._was_started:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            self._end_process()
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _say_goodbye(self, program: Program) -> None:
        """Serve nobody any more, whether the server stops or the tree gave up."""
        self._app, self._was_started = None, True
        program.note_draining()
        with trio.move_on_after(2 * DRAIN_SECONDS, shield=True):
            await program.gateway.connections.drain(DRAIN_SECONDS)


async def _wait_shutdown(receive: Receive) -> None:
    """Wait until the server wants to stop; a tree that gives up cancels this wait."""
    message = await receive()
    while message["type"] != "lifespan.shutdown":
        message = await receive()


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": DOWN})


app = HostedGateway(settings_from_environment)
