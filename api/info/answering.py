"""The way of a question: read, answered within a time, and counted."""

from __future__ import annotations

import time
from typing import Final

import trio

from actors.errors import SourceError
from api.exchange.errors import MalformedBodyError, not_a_request
from api.gateway import Gateway
from api.info.questions import Question, read_question, user_of
from api.info.table import ANSWERS, USER_TYPES
from api.wire.metadata import FIXED_ANSWERS
from supervision import SupervisionError

ANSWER_SECONDS_MAX: Final = 8.0
"""How long an answer may take, a view that is being rebuilt included; clients wait ten seconds."""


class Info:
    """Answers questions about a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def answer(self, body: bytes) -> bytes:
        """Return the JSON answer to the body of a request.

        Raises:
            MalformedBodyError: it is not a question that is answered here.
        """
        return (await self.answer_post(body))[1]

    async def answer_post(self, body: bytes) -> tuple[str, bytes]:
        """Return the type of a question and its JSON answer; errors as in ``answer``."""
        telemetry = self.gateway.telemetry
        try:
            question = read_question(body)
            return await self._answer(question)
        except MalformedBodyError as error:
            telemetry.input_refused("info", str(error.status))
            raise
        except (SupervisionError, SourceError, trio.TooSlowError) as error:
            telemetry.input_refused("info", "503")
            raise MalformedBodyError(503, "Being rebuilt; try again.") from error

    async def _answer(self, question: Question) -> tuple[str, bytes]:
        asked = question.get("type")
        kind = asked if isinstance(asked, str) else ""
        fixed = FIXED_ANSWERS.get(kind)
        if fixed is not None:
            if kind in USER_TYPES:
                user_of(question)
            return kind, fixed
        answer = ANSWERS.get(kind)
        if answer is None:
            raise not_a_request(f"unknown type {str(asked)[:40]!r}")
        started = time.perf_counter()
        with trio.fail_after(ANSWER_SECONDS_MAX):
            await self.gateway.catch_up()
            data = answer(self.gateway, question)
            if not isinstance(data, bytes):
                data = await data
        self.gateway.telemetry.question_answered(kind, time.perf_counter() - started)
        return kind, data
