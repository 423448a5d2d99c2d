"""What the routes need of whatever stands behind them: an exchange, or a node's data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actors.connections import Connections
from actors.outlet import FanoutCounts
from actors.subscription import Subscription
from actors.telemetry import Telemetry
from api.subscriptions import Wanted


class Surface(Protocol):
    """Subscriptions, and how everything is."""

    telemetry: Telemetry
    counts: FanoutCounts
    connections: Connections

    def why_not_ready(self) -> str:
        """Tell why no traffic should be given to it; nothing if it should."""
        ...

    def knows_subject(self, wanted: Wanted) -> bool:
        """Tell whether what a subscription names exists."""
        ...

    def wake_subscription(self, subscription: Subscription) -> bool:
        """Have a subscription drained whose client fell behind; false if nobody can."""
        ...

    def subscribe(self, wanted: Wanted, subscription: Subscription) -> bool:
        """Begin a subscription; false if nobody can serve it now."""
        ...

    def unsubscribe(self, wanted: Wanted, subscription: Subscription) -> None:
        """End a subscription's supply of frames."""
        ...


class Answering(Protocol):
    """Answers questions. Both methods raise ``MalformedBodyError`` for what is none."""

    async def answer(self, body: bytes) -> bytes:
        """Return the JSON answer to the body of a request."""
        ...

    async def answer_post(self, body: bytes) -> tuple[str, bytes]:
        """Return the type of a question and its JSON answer."""
        ...


class Entering(Protocol):
    """Takes signed actions. Both methods raise ``MalformedBodyError`` for what is none."""

    async def enter(self, body: bytes) -> bytes:
        """Carry out a request; return the JSON of its answer."""
        ...

    def enter_nowait(self, body: bytes, then: Callable[[bytes], None]) -> None:
        """Carry out a request; call ``then`` with the JSON of its answer, now or later."""
        ...
