"""How the tree of actors takes part in traces: what it does for messages that carry a step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

import trio

from actors.carried import carried, carrying, receive, receive_batch, within
from actors.tracing import Tracing
from supervision import Envelope, Hooks


class TracedHooks(Hooks):
    """Makes a step of each handling of a message that carries one, and of each restart.

    Args:
        tracing: knows the outages.
        pools: paths whose children share one name.
    """

    carried = carried

    def __init__(self, tracing: Tracing, pools: Collection[str]) -> None:
        self._tracing = tracing
        self._pools = pools

    def handling(self, path: str, envelope: Envelope) -> AbstractContextManager[Any] | None:
        return within(receive(envelope, path, self._kind(path), trio.current_time()))

    def handling_batch(
        self, path: str, envelopes: Sequence[Envelope]
    ) -> AbstractContextManager[Any] | None:
        return within(receive_batch(envelopes, path, self._kind(path), trio.current_time()))

    def starting(self, path: str, generation: int) -> AbstractContextManager[Any] | None:
        outage = self._tracing.outage(path)
        return None if outage is None else carrying(outage)

    def _kind(self, path: str) -> str:
        pool = path.partition("/")[0]
        return pool if pool in self._pools else path
