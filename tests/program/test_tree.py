"""`zaraba tree` on the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.program.harness import Program, run_command

pytestmark = pytest.mark.program


def tree(exchange: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("tree", *arguments, "--data", str(exchange.directory))


def told(exchange: Program, path: str) -> Any:
    """Return the JSON of one node."""
    result = tree(exchange, path, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["nodes"][0]


def test_everything_that_runs_is_shown(exchange: Program) -> None:
    """Every part of the program has its line; nothing of it is in trouble."""
    nodes = json.loads(tree(exchange, "--json", "--top", "2").stdout)["nodes"]
    lines = tree(exchange, "--top", "2").stdout.splitlines()

    paths = [node["path"] for node in nodes]
    assert {"source/sequencer", "router", "markets", "services/admin", "server"} <= set(paths)
    assert paths[-1] == "server", "the last to come"
    assert all(node["state"] == "running" for node in nodes if node["kind"] != "actor")
    assert sum(path.startswith("markets/") for path in paths) == 2
    for part in ("sequencer", "router", "markets", "server"):
        assert any(part in line for line in lines)


def test_one_market_is_restarted(exchange: Program, coin: str, asset: int) -> None:
    """It is a new generation afterwards, and answers as before."""
    before = told(exchange, f"markets/{coin}")
    result = tree(exchange, f"markets/{coin}", "--restart")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"markets/{asset} restarted: generation ")
    assert told(exchange, f"markets/{coin}")["generation"] == before["generation"] + 1
    assert exchange.info("l2Book", coin=coin)["coin"] == coin


def test_restart_that_takes_the_admin_socket_along(programs: Callable[..., Program]) -> None:
    """The command waits until it is back, and all that went along, down to the demo's bots."""
    program = programs("--demo").start()
    result = tree(program, "router", "--restart", "--json")

    answer = json.loads(result.stdout)
    assert (answer["actor"], answer["after"], answer["state"]) == ("router", 2, "running")
    assert told(program, "router")["restarts"] == 1
    assert told(program, "demo/bots")["state"] == "running"
    assert program.stop() == 0


def test_messages_and_state_of_one_actor(exchange: Program) -> None:
    """A trace ends by itself after its messages, and a state names what the actor holds."""
    trace = tree(exchange, "ticker", "--trace", "2", "--seconds", "10", "--json")
    state = tree(exchange, "sequencer", "--state")

    assert [json.loads(line)["way"] for line in trace.stdout.splitlines()] == ["in", "in"]
    assert state.stdout.splitlines()[0] == "source/sequencer"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sequenzer"], "near are source/sequencer"),
        (["--restart"], "name what to restart"),
        (["markets", "--state"], "markets is a pool"),
    ],
)
def test_refusal_is_one_line(exchange: Program, arguments: list[str], words: str) -> None:
    """What cannot be done is said in a line, with the status of a refusal."""
    result = tree(exchange, *arguments)

    assert result.returncode == 1
    assert result.stderr.startswith("zaraba: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_where_everything_waits(programs: Callable[..., Program]) -> None:
    """SIGUSR1 tells it in the log and stops nothing."""
    program = programs().start()
    os.kill(program.process.pid, signal.SIGUSR1)
    with trio.fail_after(10):
        while "source/sequencer" not in program.output():  # noqa: ASYNC110  # only it can tell
            await trio.sleep(0.05)

    assert program.request("GET", "/health/ready").status == 200
