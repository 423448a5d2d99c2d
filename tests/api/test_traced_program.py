"""Traces through a whole gateway: what is traced there, what is not, and what the journal keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.journal_reader import JournalReader
from actors.recovery import recover, verify
from actors.tracing import Tracing
from actors.tracing_export import KeptSpan, KeptSpans
from api.program import Ground, Program, open_program
from api.settings import Settings
from api.trace_stage import TRACEPARENT, follow, open_socket
from model.ids import AssetId
from tests.api.gateways import key, order_body

USD = 1_000_000
SAMPLED = [(b"traceparent", TRACEPARENT.encode())]
UNSAMPLED = [(b"traceparent", TRACEPARENT[:-1].encode() + b"0")]


@asynccontextmanager
async def traced(path: Path, rate: float = 0.0) -> AsyncIterator[tuple[Program, list[KeptSpan]]]:
    """Run a gateway whose spans are kept, with a rich trader whose actor is awake."""
    kept = KeptSpans()
    ground = Ground(tracing=Tracing([kept], rate=rate))
    settings = Settings(data=path / "data", port=0)
    with trio.fail_after(30):
        async with open_program(settings, ground=ground) as program:
            await program.gateway.fund(key(1).address, 100_000 * USD)
            await program.gateway.read_account(key(1).address, lambda _: None)
            yield program, kept.spans


async def post(program: Program, headers: list[tuple[bytes, bytes]] | None) -> Any:
    """Send an order over a WebSocket; return the answer."""
    async with open_socket(program.urls[0], headers) as socket:
        action = {"type": "action", "payload": msgspec.Raw(order_body(key(1)))}
        message = {"method": "post", "id": 1, "request": action}
        await socket.send_message(msgspec.json.encode(message).decode())
        return msgspec.json.decode(await socket.get_message())


def names(spans: list[KeptSpan]) -> set[str]:
    return {span.name for span in spans if not span.name.startswith("event ")}


@pytest.mark.program
async def test_header_of_the_upgrade_holds_for_the_connection(tmp_path: Path) -> None:
    """Posts and subscriptions are traced, through every actor that they reach."""
    async with traced(tmp_path) as (program, spans):
        answer = await post(program, SAMPLED)
        async with open_socket(program.urls[0], SAMPLED) as socket:
            await follow(socket, "bbo", coin="BTC")
        await program.gateway.catch_up()
        await program.gateway.read_market(AssetId(0), str)

    assert "resting" in msgspec.json.encode(answer).decode()
    assert names(spans) >= {
        "ws post",
        "ws subscribe",
        "process accounts",
        "process source/sequencer",
        "block",
        "execute",
        "commit journal",
        "process router",
        "process markets",
        "send frames",
    }
    requests = [span for span in spans if span.name == "ws post"]
    assert [span.parent for span in requests] == [TRACEPARENT.split("-")[2]]
    assert requests[0].attributes["action.type"] == "order"


@pytest.mark.program
@pytest.mark.parametrize("headers", [None, UNSAMPLED, [(b"traceparent", b"nonsense")]])
async def test_what_did_not_ask_leaves_nothing(
    tmp_path: Path, headers: list[tuple[bytes, bytes]] | None
) -> None:
    """No span, and no byte in the journal."""
    async with traced(tmp_path) as (program, spans):
        await post(program, headers)

    assert names(spans) == set()
    with JournalReader(tmp_path / "data") as reader:
        assert {entry.trace for block in reader.blocks() for entry in block.entries} == {""}


@pytest.mark.program
async def test_journal_keeps_where_a_command_stood(tmp_path: Path) -> None:
    """So the history is linked to it; recovery and verification take such blocks like others."""
    async with traced(tmp_path) as (program, spans):
        await post(program, SAMPLED)
        height = program.gateway.directory.height
        await program.gateway.history.wait_height(height)
        digest = program.gateway.directory.digest
    with JournalReader(tmp_path / "data") as reader:
        [trace] = [e.trace for b in reader.blocks() for e in b.entries if e.trace]
    command = trace.split("-")[2]
    [written] = [span for span in spans if span.name == "write history"]
    [block] = [span for span in spans if span.name == "block"]

    assert trace.split("-")[1] == TRACEPARENT.split("-")[1]
    assert [s.name for s in spans if s.id == command] == ["process source/sequencer"]
    assert written.links == block.links == (command,)
    assert recover(tmp_path / "data").digest == digest
    assert verify(tmp_path / "data").head is not None


@pytest.mark.program
async def test_all_of_them_at_a_rate_of_one(tmp_path: Path) -> None:
    """Nobody has to ask, and what the operator does is traced as well."""
    async with traced(tmp_path, rate=1.0) as (program, spans):
        await post(program, None)

    assert names(spans) >= {"carry out", "ws post", "block"}
