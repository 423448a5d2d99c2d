"""Order entry: from the bytes of a signed request to the bytes of its answer.

HTTP, WebSocket posts and the demo bots all come through here. What happens in between is the one
loop: read, recover the signer, hand the command to the account's actor, and turn the receipt's
events into the answer.

Everything that a client can cause is answered with status 200 and ``"status":"err"``, as clients
expect of refusals; only a request that is not one at all gets an HTTP error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio
from attrs import define

from actors.carried import carried
from actors.errors import (
    CommandCrashedError,
    NoRoomError,
    OverloadedError,
    SourceError,
    UnavailableError,
)
from actors.source import Receipt
from actors.telemetry import Telemetry
from api.actions import SignedRequest, parse_request, to_command
from api.answers import answer, refusal_answer
from api.exchange.errors import MalformedBodyError, RequestRefusedError
from api.gateway import Gateway
from api.signing import Chain
from model.commands import ClientCommand
from model.events import CommandRefused
from supervision import MailboxFull, Reply, Restarting, SupervisionError

ANSWER_SECONDS_MAX: Final = 8.0
"""How long a request over HTTP may take; clients give up after ten seconds. An action that has not
been looked at by then is not executed any more.
"""

NOT_DONE: Final = "Exchange is overloaded or restarting; the action was not executed."
UNKNOWN: Final = (
    "Outcome unknown: the exchange failed while executing the action. Query it before you retry."
)
CRASHED: Final = "Internal error; the action was not executed."

log = logging.getLogger("zaraba")


class _Watch:
    """Writes down how long one action takes, hop by hop."""

    __slots__ = ("_received_at", "_step", "_telemetry")

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._received_at = trio.current_time()
        self._step = carried.get()

    def checked(self) -> None:
        seconds = trio.current_time() - self._received_at
        self._telemetry.hops.hops["checked"].observe(seconds, self._step)

    def executed(self, receipt: Receipt) -> None:
        self._telemetry.hops.executed(receipt.height, self._received_at, self._step)

    def written(self, action: str) -> None:
        self._telemetry.action_written(action, self._received_at, self._step)


@define(eq=False)
class OrderEntry:
    """The way in for signed actions."""

    gateway: Gateway
    chain: Chain

    async def enter(self, body: bytes) -> bytes:
        """Carry out one signed request; return the JSON of its answer.

        Raises:
            MalformedBodyError: the body is not a request.
        """
        watch = _Watch(self.gateway.telemetry)
        request = self._read(body)
        answer = await self._carry_out(request, watch)
        watch.written(request.kind)
        return answer

    async def _carry_out(self, request: SignedRequest, watch: _Watch) -> bytes:
        try:
            command = to_command(request, self.chain)
        except RequestRefusedError as refusal:
            return self._refused(request, refusal.text)
        watch.checked()
        try:
            with trio.fail_after(ANSWER_SECONDS_MAX):
                receipt = await self.gateway.submit(command)
        except (SupervisionError, SourceError, trio.TooSlowError) as error:
            return self._failed(request, error)
        watch.executed(receipt)
        return self._answer(request, receipt)

    def enter_nowait(self, body: bytes, then: Callable[[bytes], None]) -> None:
        """Carry out one signed request; call ``then`` with the JSON of its answer, now or later.

        Requests are handed on in the order of the calls.

        Raises:
            MalformedBodyError: the body is not a request; ``then`` is not called.
        """
        watch = _Watch(self.gateway.telemetry)
        request = self._read(body)
        try:
            command: ClientCommand = to_command(request, self.chain)
        except RequestRefusedError as refusal:
            then(self._refused(request, refusal.text))
            watch.written(request.kind)
            return
        watch.checked()

        def finish(reply: Reply) -> None:
            if reply.error is None:
                watch.executed(reply.value)
            then(self._finish(request, reply))
            watch.written(request.kind)

        try:
            self.gateway.submit_nowait(command, finish)
        except SupervisionError as error:
            then(self._failed(request, error))
            watch.written(request.kind)

    def _read(self, body: bytes) -> SignedRequest:
        try:
            request = parse_request(body, self.gateway.directory.universe)
            if (step := carried.get()) is not None:
                step.describe({"action.type": request.kind})
            return request
        except MalformedBodyError as error:
            self.gateway.telemetry.input_refused("exchange", str(error.status))
            raise

    def _finish(self, request: SignedRequest, reply: Reply) -> bytes:
        """Return the answer; it runs in the task of the sequencer, so nothing may be raised."""
        if reply.error is not None:
            return self._failed(request, reply.error)
        try:
            return self._answer(request, reply.value)
        except Exception as error:
            log.exception("an answer to %s could not be made", request.kind)
            return self._failed(request, error)

    def _answer(self, request: SignedRequest, receipt: Receipt) -> bytes:
        events = receipt.events
        refused = bool(events) and type(events[0]) is CommandRefused
        self.gateway.telemetry.action_answered(request.kind, "err" if refused else "ok")
        return answer(request, events, self.gateway.directory.universe.__getitem__)

    def _refused(self, request: SignedRequest, text: str) -> bytes:
        self.gateway.telemetry.action_answered(request.kind, "err")
        self.gateway.telemetry.input_refused("exchange", "signature")
        return refusal_answer(text)

    def _failed(self, request: SignedRequest, error: BaseException) -> bytes:
        self.gateway.telemetry.action_answered(request.kind, "failed")
        match error:
            case CommandCrashedError():
                return refusal_answer(CRASHED)
            case (
                MailboxFull()
                | Restarting()
                | OverloadedError()
                | UnavailableError()
                | NoRoomError()
            ):
                return refusal_answer(NOT_DONE)
            case _:
                return refusal_answer(UNKNOWN)
