"""Chance and trouble of a simulated world: everything that is random there follows from one seed.

Each part of the world draws from a generator of its own, so that a part that draws more often does
not change the luck of the others.
"""

from __future__ import annotations

import random
from typing import Final

import trio
from attrs import define, field, frozen

START_MS: Final = 1_700_000_000_000


class InjectedError(Exception):
    """A failure that the simulation wanted."""


@frozen
class Rates:
    """How often things go wrong, as probabilities of each occasion; seconds where it says so.

    ``crash`` is per batch of messages of an actor, ``slow`` likewise; the ``disk_`` ones are per
    commit, ``read`` per read of the disk, ``poison`` per command, which then breaks the exchange,
    ``reset`` per kilobyte that a client receives, ``cut`` per message that it sends; the
    ``history`` ones are per step of the history's writer. ``room`` bounds the mailboxes of views,
    accounts and the router; 0 leaves them as they are. Intervals are mean seconds between two
    events of the whole world; 0 for never.
    """

    crash: float = 0.0
    crash_init: float = 0.0
    slow: float = 0.0
    disk_full: float = 0.0
    disk_short: float = 0.0
    disk_sync: float = 0.0
    disk_slow: float = 0.0
    power: float = 0.0
    read: float = 0.0
    poison: float = 0.0
    damaged_snapshot: float = 0.0
    reset: float = 0.0
    stall: float = 0.0
    room: int = 0
    kill_seconds: float = 0.0
    stop_seconds: float = 0.0
    storm_seconds: float = 0.0
    clock_seconds: float = 0.0
    cut: float = 0.0
    history_write: float = 0.0
    history_slow: float = 0.0
    history_lost_seconds: float = 0.0


CALM: Final = Rates()

DOUBTFUL: Final = frozenset(("crash", "crash_init", "disk_short", "disk_sync"))
"""What may end a command whose outcome nobody can tell at once. A full disk, a slow one, one that
cannot be read, and a command on which the exchange breaks are none of these.
"""


def rates_of(rng: random.Random) -> Rates:
    """Draw a world's troubles: a few kinds together, each gentle or rough."""

    def some(rate: float) -> float:
        return rng.choice((0.0, rate, rate, rate * 4))

    return Rates(
        crash=some(0.004),
        crash_init=some(0.02),
        slow=some(0.02),
        disk_full=some(0.005),
        disk_short=some(0.005),
        disk_sync=some(0.005),
        disk_slow=some(0.02),
        power=some(0.002),
        read=some(0.02),
        poison=some(0.003),
        damaged_snapshot=some(0.1),
        reset=some(0.003),
        stall=some(0.02),
        room=rng.choice((0, 0, 16)),
        kill_seconds=rng.choice((0.0, 15.0, 40.0)),
        stop_seconds=rng.choice((0.0, 0.0, 30.0)),
        storm_seconds=rng.choice((0.0, 20.0)),
        clock_seconds=rng.choice((0.0, 10.0)),
        cut=some(0.004),
        history_write=some(0.01),
        history_slow=some(0.01),
        history_lost_seconds=rng.choice((0.0, 20.0)),
    )


@define(eq=False)
class Chaos:
    """The luck of one world. While ``calm`` nothing goes wrong.

    Attributes:
        faults: what went wrong so far, by name.
        last_fault: virtual time of the last thing that went wrong.
        last_doubt: virtual time of the last thing that may make an outcome unknown by itself.
        last_stop: virtual time at which a process was last asked to stop.
    """

    seed: int
    rates: Rates
    calm: bool = True
    faults: dict[str, int] = field(init=False, factory=dict)
    last_fault: float = field(init=False, default=float("-inf"))
    last_doubt: float = field(init=False, default=float("-inf"))
    last_stop: float = field(init=False, default=float("-inf"))
    skew_ms: int = field(init=False, default=0)
    _generators: dict[str, random.Random] = field(init=False, factory=dict)

    def rng(self, part: str) -> random.Random:
        """Return the generator of a part of the world."""
        if part not in self._generators:
            self._generators[part] = random.Random(f"{self.seed} {part}")
        return self._generators[part]

    def strikes(self, kind: str, part: str, weight: float = 1.0) -> bool:
        """Tell whether this trouble happens now; note it if so."""
        if self.calm:
            return False
        rate: float = getattr(self.rates, kind)
        if self.rng(f"{part} {kind}").random() >= rate * weight:
            return False
        self.note(kind)
        return True

    def note(self, kind: str) -> None:
        """Take note of a trouble."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.last_fault = trio.current_time()
        if kind in DOUBTFUL:
            self.last_doubt = self.last_fault
        if kind == "stop":
            self.last_stop = self.last_fault

    async def wait(self, kind: str) -> None:
        """Wait for the next event of a kind; for ever if there is none."""
        mean: float = getattr(self.rates, kind)
        await trio.sleep(self.rng(kind).expovariate(1 / mean) if mean else float("inf"))

    async def spend(self, part: str) -> None:
        """Take the time of a disk; what was begun is not cancelled."""
        seconds = self.rng(part).expovariate(2_000.0)
        if self.strikes("disk_slow", part):
            seconds += self.rng(part).uniform(0.1, 3.0)
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)

    def clock_ms(self) -> int:
        """Return the wall clock: virtual time, and whatever it was set to since."""
        return START_MS + int(trio.current_time() * 1000) + self.skew_ms
