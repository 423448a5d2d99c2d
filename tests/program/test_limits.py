"""Limits of one network address, against the real server."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import trio_websocket

from tests.program.clients import open_wire
from tests.program.harness import Program, write_config

pytestmark = pytest.mark.program

Make = Callable[..., Program]

LIMITS = {"weight_per_minute": 100, "connections": 2, "messages_per_minute": 5}
TOO_MANY_REQUESTS = 429
POLICY_VIOLATION = 1008


@pytest.fixture
def limited(programs: Make, tmp_path: Path) -> Program:
    """An exchange with tight limits."""
    config = write_config(tmp_path / "markets.toml")
    text = config.read_text()
    for key, value in LIMITS.items():
        assert f"\n{key} = 0" in text
        text = text.replace(f"\n{key} = 0", f"\n{key} = {value}")
    config.write_text(text)
    return programs("--config", str(config)).start()


def ask(program: Program) -> tuple[int, bytes]:
    """Ask for the markets; return status and body."""
    body = json.dumps({"type": "meta"}).encode()
    headers = {"content-type": "application/json"}
    return status_of(urllib.request.Request(f"{program.url}/info", body, headers))


def ask_for_a_stream(program: Program) -> int:
    """Ask for an upgrade; return the status of its refusal."""
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(bytes(16)).decode(),
    }
    # urllib would ask for the connection to be closed, so the request is written by hand.
    host, port = program.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    try:
        connection.request("GET", "/ws", headers=headers)
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()


def status_of(request: urllib.request.Request) -> tuple[int, bytes]:
    """Send a request; return status and body."""
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def test_a_client_that_asks_too_much(limited: Program) -> None:
    """Questions get 429 and null, connections are refused, a flood of messages ends its own."""
    answers = [ask(limited) for _ in range(6)]  # noqa: ASYNC210 - nothing else runs here
    assert [status for status, _ in answers] == [200] * 5 + [TOO_MANY_REQUESTS]
    assert answers[-1][1] == b"null"

    url = limited.url.replace("http", "ws") + "/ws"
    async with open_wire(url) as first:
        async with open_wire(url):
            assert ask_for_a_stream(limited) == TOO_MANY_REQUESTS
        for _ in range(5):
            await first.send({"method": "ping"})
            assert await first.receive() == {"channel": "pong"}
        await first.send({"method": "ping"})
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await first.receive()
        assert closed.value.reason is not None
        assert closed.value.reason.code == POLICY_VIOLATION
