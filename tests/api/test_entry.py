"""Order entry when the exchange behind it does not answer as it should."""

from pathlib import Path

import msgspec
import pytest
import trio

from actors.errors import CommandCrashedError, CommitFailedError, OverloadedError, UnavailableError
from actors.source import Receipt
from api.entry import CRASHED, NOT_DONE, UNKNOWN
from api.exchange.errors import MalformedBodyError
from api.program import Program
from model.commands import ClientCommand
from supervision import MailboxFull, NoReply, Restarting, ServerDied, Stopped
from tests.api.gateways import key, open_gateway, order_body

FAILURES = [
    (MailboxFull("a"), NOT_DONE),
    (Restarting("a", 1.0), NOT_DONE),
    (OverloadedError("a"), NOT_DONE),
    (UnavailableError("a"), NOT_DONE),
    (CommandCrashedError("a"), CRASHED),
    (CommitFailedError("a"), UNKNOWN),
    (ServerDied("a"), UNKNOWN),
    (Stopped("a"), UNKNOWN),
    (NoReply("a"), UNKNOWN),
]


def fail_with(program: Program, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def submit(_: ClientCommand) -> Receipt:  # noqa: ASYNC124
        raise error

    monkeypatch.setattr(type(program.gateway), "submit", lambda _, command: submit(command))


@pytest.mark.parametrize(("error", "text"), FAILURES)
async def test_each_failure_says_whether_it_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    """Only what certainly was not done is called so."""
    async with open_gateway(tmp_path) as program:
        fail_with(program, monkeypatch, error)
        answer = msgspec.json.decode(await program.entry.enter(order_body(key(1))))

    assert answer == {"status": "err", "response": text}


async def test_an_answer_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is unknown, and the client is told before it gives up."""
    async with open_gateway(tmp_path) as program:

        async def submit(_: ClientCommand) -> Receipt:
            await trio.sleep(3600)
            raise AssertionError

        monkeypatch.setattr(type(program.gateway), "submit", lambda _, command: submit(command))
        monkeypatch.setattr("api.entry.ANSWER_SECONDS_MAX", 0.05)
        answer = await program.entry.enter(order_body(key(1)))

    assert msgspec.json.decode(answer)["response"] == UNKNOWN


async def test_what_is_no_request_is_an_http_error(tmp_path: Path) -> None:
    """And is counted; everything else that a client can cause is not."""
    async with open_gateway(tmp_path) as program:
        for body, status in ((b"{", 400), (b"[]", 422), (b"{}", 422)):
            with pytest.raises(MalformedBodyError) as caught:
                await program.entry.enter(body)
            assert caught.value.status == status


async def test_an_answer_that_cannot_be_made_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a WebSocket our mistake must neither fell the sequencer nor leave the client waiting."""
    async with open_gateway(tmp_path) as program:
        monkeypatch.setattr("api.entry.answer", lambda *_: 1 // 0)
        answers: list[bytes] = []
        done = trio.Event()
        program.entry.enter_nowait(order_body(key(1)), lambda a: (answers.append(a), done.set()))  # type: ignore[arg-type, func-returns-value]
        await done.wait()

        assert msgspec.json.decode(answers[0])["response"] == UNKNOWN
        assert program.registry.address("source/sequencer").generation == 1
