"""Fan-out: give one encoded frame to many subscriptions.

Both ways run to the end without a checkpoint, so every subscriber sees the same order of frames.
`publish` is for one frame. A `Cork` is for several frames of one block: it collects them for each
connection and writes each connection once, which saves a system call per frame and client.
"""

from collections.abc import Iterable

from actors.frames import Frame
from actors.outlet import Outlet
from actors.subscription import Subscription

STAGED_FRAMES_MAX = 64
"""Frames of one connection written together; beyond it the saving is used up and only the copy that
joins them grows."""


def publish(subscriptions: Iterable[Subscription], frame: Frame) -> None:
    """Offer the frame to each subscription; never blocks, whatever their clients do."""
    for subscription in subscriptions:
        if not subscription.write(frame):
            subscription.hold(frame)


class Cork:
    """Collects the frames of one block and writes each connection once.

    Use it as `with cork: cork.publish(...)`, or call `flush` at the end; do not await before that.
    A direct write to a connection with collected frames writes these first, so a subscription's
    order is kept whoever writes.
    """

    __slots__ = ("_outlets",)

    def __init__(self) -> None:
        self._outlets: list[Outlet] = []

    def publish(self, subscriptions: Iterable[Subscription], frame: Frame) -> None:
        """Collect the frame for each subscription."""
        outlets = self._outlets
        for subscription in subscriptions:
            outlet = subscription.outlet
            staged = outlet.staged
            if not staged:
                outlets.append(outlet)
            elif len(staged) >= STAGED_FRAMES_MAX:
                outlet.flush()
            outlet.stage(subscription, frame)

    def flush(self) -> None:
        """Write what was collected; frames that a socket does not take go to their backlogs."""
        outlets, self._outlets = self._outlets, []
        for outlet in outlets:
            if outlet.staged:
                outlet.flush()

    def __enter__(self) -> "Cork":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
