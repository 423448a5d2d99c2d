"""Subscriptions: one per (connection, channel, parameters), each with a policy and a backlog.

While the connection is writable a subscription costs its publisher one non-blocking write and its
actor sleeps, or does not exist yet. Only when a frame is not taken does the frame enter the backlog
and the actor wake to drain it, in order and in turn with the connection's other subscriptions.

The state and its rules are in `Subscription`, which is synchronous but for `drain`; the actor only
gives that task a supervised home. A subscription ends once, for one reason, and its owner is told.
"""

from collections.abc import Callable
from enum import Enum, auto

from actors.backlogs import Backlog, ConflatingBacklog, LosslessBacklog, Pushed
from actors.frames import Frame
from actors.outlet import FAILED, SLOW_CONSUMER, Outlet

TURN_BYTES_MAX = 32 << 10
"""What one subscription writes before the next one of its connection has its turn: about what a
socket takes at once, so a turn is seldom cut short and nobody waits for long."""


class Policy(Enum):
    """What a subscription does with frames that its client is too slow for."""

    LOSSLESS = auto()
    """Keep all, in order; end when the backlog is full."""

    CONFLATE = auto()
    """Keep the newest of each key, in the place of the oldest unsent one."""

    LATEST = auto()
    """Keep the newest alone."""


class Ended(Enum):
    """Why a subscription ended."""

    UNSUBSCRIBED = auto()
    OVERFLOWED = auto()
    DISCONNECTED = auto()
    CRASHED = auto()


class Subscription:
    """A client's wish for one stream of frames, and what waits for that client.

    Args:
        name: unique in the process, e.g. `c17:l2Book:BTC`; also the name of its actor.
        outlet: of the connection.
        policy: for frames that find the socket full.
        wake: called when a backlog begins; must see to it that `drain` runs, and return False if
            it cannot. Called a last time when a subscription that was ever woken has ended, to
            let go of whatever drains it. Must not call back.
        on_end: called once with the reason. It runs inside the publisher's loop, so it may send
            messages but must not touch a publisher's collection of subscriptions.

    Attributes:
        write: the outlet's `write_nowait`, or a sink once the subscription has ended. A publisher
            calls it, and `hold` when it answers False.
        ended: why, or None while the subscription lives.
    """

    __slots__ = (
        "_backlog",
        "_on_end",
        "_wake",
        "_woken",
        "ended",
        "name",
        "outlet",
        "policy",
        "write",
    )

    def __init__(
        self,
        name: str,
        outlet: Outlet,
        policy: Policy,
        *,
        wake: "Callable[[Subscription], bool]",
        on_end: "Callable[[Subscription, Ended], None]",
    ) -> None:
        self.name = name
        self.outlet = outlet
        self.policy = policy
        self.ended: Ended | None = None
        self.write: Callable[[Frame], bool] = outlet.write_nowait
        self._wake = wake
        self._woken = False
        self._on_end = on_end
        self._backlog: Backlog | None = None

    def __str__(self) -> str:
        return self.name

    def offer(self, frame: Frame) -> None:
        """Send the frame now if the socket takes it, else by the policy. Never blocks."""
        if not self.write(frame):
            self.hold(frame)

    def hold(self, frame: Frame) -> None:
        """Keep a frame that the socket did not take, as the policy says."""
        if self.ended is not None:
            return
        if self.outlet.closing is not None:
            self.end(Ended.DISCONNECTED)
            return
        backlog = self._backlog or self._begin_backlog()
        size = backlog.size
        match backlog.push(frame):
            case Pushed.QUEUED:
                self.outlet.counts.held += 1
            case Pushed.REPLACED:
                self.outlet.counts.conflated += 1
            case Pushed.REFUSED:
                self.outlet.counts.overflowed += 1
                self.end(Ended.OVERFLOWED)
                return
        self.outlet.resize_backlog(backlog.size - size)
        if size == 0:
            self._woken = True
            if not self._wake(self):
                self.end(Ended.CRASHED)

    def end(self, reason: Ended) -> None:
        """Take no more frames, forget those that wait, tell the owner. Later calls do nothing."""
        if self.ended is not None:
            return
        self.ended = reason
        self.write = _discard
        self._drop_backlog()
        if self._woken:
            self._wake(self)
        self._on_end(self, reason)

    async def drain(self) -> None:
        """Write the backlog, in turn with others, until it is empty or the subscription ends."""
        while self._backlog is not None:
            await self.outlet.wait_turn()
            try:
                self._take_turn()
            finally:
                self.outlet.end_turn()

    @property
    def held_frames(self) -> int:
        """Return how many frames wait."""
        return 0 if self._backlog is None else len(self._backlog)

    def _take_turn(self) -> None:
        if self.outlet.closing is not None:
            self.end(Ended.DISCONNECTED)
        written = 0
        while (backlog := self._backlog) is not None and written < TURN_BYTES_MAX:
            frame = backlog.first()
            if not self.outlet.write_in_turn(frame):
                return
            written += frame.size
            backlog.drop_first()
            self.outlet.resize_backlog(-frame.size)
            if not len(backlog):
                self._drop_backlog()

    def _begin_backlog(self) -> Backlog:
        match self.policy:
            case Policy.LOSSLESS:
                self._backlog = LosslessBacklog()
            case Policy.CONFLATE:
                self._backlog = ConflatingBacklog()
            case Policy.LATEST:
                self._backlog = ConflatingBacklog(keys_max=1, keyed=False)
        self.outlet.begin_backlog()
        return self._backlog

    def _drop_backlog(self) -> None:
        backlog, self._backlog = self._backlog, None
        if backlog is not None:
            self.outlet.resize_backlog(-backlog.size)
            self.outlet.end_backlog()


def close_connection(subscription: Subscription, reason: Ended) -> None:
    """End the whole connection of a subscription that lost frames.

    For clients that cannot resume a stream: better no stream than one with a silent gap.
    """
    match reason:
        case Ended.OVERFLOWED:
            subscription.outlet.close(SLOW_CONSUMER)
        case Ended.CRASHED:
            subscription.outlet.close(FAILED)
        case Ended.UNSUBSCRIBED | Ended.DISCONNECTED:
            pass


def _discard(_frame: Frame) -> bool:
    return True
