"""The gateway inside somebody else's server: starts, stops, and what happens when it gives up."""

from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from api.asgi import HostedGateway
from api.program import Program, open_program
from api.settings import Settings, SettingsError


class Server:
    """Speaks the lifespan protocol with an application."""

    def __init__(self, app: HostedGateway) -> None:
        self.app = app
        self.said: list[MutableMapping[str, Any]] = []
        self._to_app, self._receive = trio.open_memory_channel[dict[str, Any]](10)

    async def live(self) -> None:
        await self.app({"type": "lifespan"}, self._receive.receive, self._send)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.said.append(message)

    def tell(self, kind: str) -> None:
        self._to_app.send_nowait({"type": kind})

    async def wait_said(self, kind: str) -> None:
        with trio.fail_after(10):
            while kind not in [message["type"] for message in self.said]:  # noqa: ASYNC110
                await trio.sleep(0.005)

    async def get(self, path: str) -> int:
        """Return the status of a GET."""
        answers: list[MutableMapping[str, Any]] = []

        bodies = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await trio.sleep_forever()
            return bodies.pop()

        async def send(message: MutableMapping[str, Any]) -> None:  # noqa: ASYNC124
            answers.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
        }
        await self.app(scope, receive, send)
        return int(answers[0]["status"])


def hosted(path: Path, ended: list[str]) -> HostedGateway:
    end: Callable[[], None] = lambda: ended.append("ended")  # noqa: E731
    return HostedGateway(lambda: Settings(data=path / "data"), end)


async def test_it_lives_with_the_server(tmp_path: Path) -> None:
    """Started and stopped by the lifespan; before and after it everybody is refused."""
    ended: list[str] = []
    server = Server(hosted(tmp_path, ended))
    assert await server.get("/health/ready") == 503
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.live)
        server.tell("lifespan.startup")
        await server.wait_said("lifespan.startup.complete")
        assert await server.get("/health/live") == 200
        server.tell("lifespan.shutdown")
        await server.wait_said("lifespan.shutdown.complete")

    assert await server.get("/health/live") == 503
    assert ended == []


async def test_a_start_that_fails_is_told(tmp_path: Path) -> None:
    """The server must not begin to serve."""

    def settings() -> Settings:
        raise SettingsError("not like this")

    server = Server(HostedGateway(settings, lambda: None))
    server.tell("lifespan.startup")
    await server.live()

    assert server.said[-1] == {"type": "lifespan.startup.failed", "message": "not like this"}


async def test_a_tree_that_gives_up_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is refused from then on, and the server is asked to stop."""
    ended: list[str] = []
    programs: list[Program] = []

    @asynccontextmanager
    async def open_and_note(*arguments: Any, **options: Any) -> AsyncIterator[Program]:
        async with open_program(*arguments, **options) as program:
            programs.append(program)
            yield program

    monkeypatch.setattr("api.asgi.open_program", open_and_note)
    monkeypatch.setattr("api.program.RESTARTS_MAX", 0)
    server = Server(hosted(tmp_path, ended))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.live)
        server.tell("lifespan.startup")
        await server.wait_said("lifespan.startup.complete")
        assert programs
        router = programs[0].registry.address("router")
        with trio.fail_after(20):
            while not ended:  # noqa: ASYNC110
                router.tell("nobody understands this")
                await trio.sleep(0.02)
        assert await server.get("/health/ready") == 503
        server.tell("lifespan.shutdown")
        await server.wait_said("lifespan.shutdown.complete")

    assert ended == ["ended"]
