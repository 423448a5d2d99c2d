"""A WebSocket that sends every text back: what ``api.bench.entry`` is measured against.

The same server with the same settings as the exchange's, and the least that an ASGI application can
do. ``python -m api.bench.echo`` serves it on a free port, whose URL it prints, until SIGTERM.
"""

from __future__ import annotations

import signal
from typing import Any

import trio
from hypercorn.trio import serve

from api.server import hypercorn_config


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Serve one scope."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": event["text"]})


async def _live(receive: Any, send: Any) -> None:
    for word in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{word}.complete"})


async def _main() -> None:
    config = hypercorn_config("127.0.0.1:0")
    config.graceful_timeout = 0.1
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            (url,) = await nursery.start(serve, echo, config)
            print(url, flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main)
