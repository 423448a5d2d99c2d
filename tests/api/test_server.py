"""The server as a child of the tree."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypercorn.config import Config
from trio.testing import MockClock

from actors.connections import Connections
from api import server
from api.server import serve_http


async def test_a_server_that_is_cancelled_while_it_starts_just_ends(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Nobody is there yet to tell it to stop, so it must not wait for that."""
    waited_in_vain = False

    async def serve(
        _app: Any,
        _config: Config,
        *,
        shutdown_trigger: Callable[[], Awaitable[None]],
        task_status: trio.TaskStatus[list[str]],
    ) -> None:
        nonlocal waited_in_vain
        await trio.sleep(1)
        task_status.started([])
        with trio.move_on_after(60) as patience:
            await shutdown_trigger()
        waited_in_vain = patience.cancelled_caught

    monkeypatch.setattr(server, "serve", serve)
    with trio.move_on_after(0.5) as stopped:
        await serve_http(None, Config(), Connections(), on_listening=lambda _urls: None)

    assert stopped.cancelled_caught
    assert not waited_in_vain
