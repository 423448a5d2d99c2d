"""The clock of the embedded exchange: makes time pass where nobody trades.

The exchange has no clock of its own; what is due by the time of a block is done by the block's
commands. This actor asks for it once a second. Where nothing is due, no block is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from attrs import define, frozen

from actors.errors import ActorsError
from model.commands import Tick
from supervision import Actor, SupervisionError

TICK_SECONDS: Final = 1.0
"""Time between two ticks: how late funding, a slice or a scheduled cancel may be."""

SUBMIT_SECONDS_MAX: Final = 5.0
"""A tick that is not taken within this time is given up; the next one does its work."""

Submit = Callable[[Tick], Awaitable[object]]


@frozen
class _Strike:
    """The time of the next tick has come."""


@define
class Clock(Actor):
    """Submits a tick once every TICK_SECONDS.

    A tick that is not taken (the exchange is rebuilding its state, say) is left out: whatever was
    due is done by the next one.

    Args:
        submit: hands a command to the sequencer.
    """

    submit: Submit

    async def init(self) -> None:
        """Set the first tick."""
        self._set_next()

    async def handle(self, message: Any) -> None:
        """Tick, and set the next tick."""
        assert type(message) is _Strike
        try:
            with trio.fail_after(SUBMIT_SECONDS_MAX):
                await self.submit(Tick())
        except (ActorsError, SupervisionError, trio.TooSlowError):
            pass  # the exchange counts what it refuses
        self._set_next()

    def _set_next(self) -> None:
        self.context.set_timer("tick", TICK_SECONDS, _Strike())
