"""The clock: ticks once a second, and goes on when nobody takes one."""

from __future__ import annotations

import trio

from actors.clock import TICK_SECONDS, Clock
from actors.errors import UnavailableError
from model.commands import Tick
from supervision import ChildSpec, SupervisorSpec, open_system


async def test_a_tick_is_submitted_every_second(autojump_clock: trio.testing.MockClock) -> None:
    """Ten seconds are nine ticks, since the tenth is just about to come."""
    ticks: list[Tick] = []

    async def submit(tick: Tick) -> None:
        await trio.lowlevel.checkpoint()
        ticks.append(tick)

    async with open_system(SupervisorSpec([ChildSpec("clock", lambda: Clock(submit))])):
        await trio.sleep(10 * TICK_SECONDS - 0.5)

    assert ticks == [Tick()] * 9


async def test_a_tick_that_nobody_takes_is_followed_by_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An exchange that is away for a while finds the clock still going, in the same actor."""
    attempts = 0
    starts = 0

    async def submit(_tick: Tick) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise UnavailableError("rebuilding")
        await trio.sleep_forever()

    def start() -> Clock:
        nonlocal starts
        starts += 1
        return Clock(submit)

    async with open_system(SupervisorSpec([ChildSpec("clock", start)])):
        await trio.sleep(20)

    assert attempts >= 4
    assert starts == 1
