"""Signed actions beside a node: handed on unchanged to whoever takes them, or refused.

A node's files cannot be traded on. With an upstream URL an action goes there as it came, and its
answer comes back as it is; what was signed is checked there.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

import msgspec
import trio
from attrs import define, field

from api.exchange.errors import MalformedBodyError

UPSTREAM_SECONDS_MAX: Final = 8.0
"""How long the upstream may take; clients give up after ten seconds."""
IN_FLIGHT_MAX: Final = 64
"""Actions that may be upstream at once; further ones wait."""
WAITING_MAX: Final = 1_000
"""Actions over WebSockets that may wait."""
ANSWER_BYTES_MAX: Final = 64 << 20

REFUSED: Final = (
    "This gateway shows a node's data and takes no actions. "
    "Start it with --upstream URL to have them handed on."
)
OVERLOADED: Final = "Too many actions wait for the upstream; this one was not sent."
UNKNOWN: Final = "Outcome unknown: the upstream did not answer. Query it before you retry."
NOT_REACHED: Final = "The upstream cannot be reached; the action was not executed."

_Waiting = tuple[bytes, Callable[[bytes], None]]


def refusal(text: str) -> bytes:
    """Return the answer of a refused action."""
    return msgspec.json.encode({"status": "err", "response": text})


@define(eq=False)
class NodeEntry:
    """The way in for signed actions; ``run`` must run for those that come over WebSockets.

    Args:
        upstream: URL of an exchange, without ``/exchange``; ``None`` to refuse.
    """

    upstream: str | None
    _limiter: trio.CapacityLimiter = field(
        init=False, factory=lambda: trio.CapacityLimiter(IN_FLIGHT_MAX)
    )
    _sender: trio.MemorySendChannel[_Waiting] = field(init=False)
    _receiver: trio.MemoryReceiveChannel[_Waiting] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[_Waiting](WAITING_MAX)

    async def enter(self, body: bytes) -> bytes:
        """Hand a request on; return its answer.

        Raises:
            MalformedBodyError: the upstream says so.
        """
        upstream = self.upstream
        if upstream is None:
            return refusal(REFUSED)
        return await trio.to_thread.run_sync(_act, upstream, body, limiter=self._limiter)

    async def ask(self, body: bytes) -> bytes | None:
        """Hand a question on; return its answer, or ``None`` if there is nobody to ask.

        Raises:
            MalformedBodyError: the upstream says so, or cannot be reached.
        """
        upstream = self.upstream
        if upstream is None:
            return None
        return await trio.to_thread.run_sync(_ask, upstream, body, limiter=self._limiter)

    def enter_nowait(self, body: bytes, then: Callable[[bytes], None]) -> None:
        """Hand a request on; call ``then`` with its answer, now or later."""
        if self.upstream is None:
            then(refusal(REFUSED))
            return
        try:
            self._sender.send_nowait((body, then))
        except trio.WouldBlock:
            then(refusal(OVERLOADED))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hand on what came over WebSockets; for ever."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for body, then in self._receiver.clone():
                async with self._limiter:
                    pass  # as many as may be upstream: wait here rather than in a task each
                nursery.start_soon(self._answer, body, then)

    async def _answer(self, body: bytes, then: Callable[[bytes], None]) -> None:
        try:
            answer = await self.enter(body)
        except MalformedBodyError as error:
            answer = refusal(error.text)
        then(answer)


def _act(upstream: str, body: bytes) -> bytes:
    """Send an action in a worker thread."""
    try:
        return _post(upstream, "/exchange", body)
    except urllib.error.URLError as error:
        was_sent = isinstance(error.reason, TimeoutError)
        return refusal(UNKNOWN if was_sent else NOT_REACHED)
    except OSError:
        return refusal(UNKNOWN)


def _ask(upstream: str, body: bytes) -> bytes:
    """Send a question in a worker thread."""
    try:
        return _post(upstream, "/info", body)
    except OSError as error:
        raise MalformedBodyError(503, f"The upstream does not answer: {error}") from error


def _post(upstream: str, path: str, body: bytes) -> bytes:
    request = urllib.request.Request(
        upstream.rstrip("/") + path, body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=UPSTREAM_SECONDS_MAX) as answer:
            return bytes(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        raise MalformedBodyError(error.code, text) from error
