"""Fan-out: give one encoded frame to many subscriptions.

Both ways run to the end without a checkpoint, so every subscriber sees the same order of frames.
`publish` is for one frame. A `Cork` is for the frames of one block: it collects them and writes
each connection once, which saves a system call for each further frame of a client. With a single
frame it is `publish`.
"""

from collections.abc import Collection

from actors.carried import SYSTEM, Role, Value, carried, inside
from actors.frames import Frame
from actors.outlet import Outlet
from actors.subscription import Subscription

BATCH_FRAMES_MAX = 64
"""Frames of one connection written together; beyond it the saving is used up and only the copy that
joins them grows."""


def publish(subscriptions: Collection[Subscription], frame: Frame) -> None:
    """Offer the frame to each subscription; never blocks, whatever their clients do."""
    if carried.get() is None:
        _publish(subscriptions, frame)
        return
    with inside("send frames", Role.SENDER, _facts_of([(subscriptions, frame)])):
        _publish(subscriptions, frame)


def _publish(subscriptions: Collection[Subscription], frame: Frame) -> None:
    for subscription in subscriptions:
        if not subscription.write(frame):
            subscription.hold(frame)


class Cork:
    """Collects the frames of one block and writes each connection once.

    Use it as `with Cork() as cork: cork.publish(...)`, or call `flush` at the end. Until then do
    not await, and neither offer anything else to these subscriptions nor change the collections:
    they are looked at when flushing.
    """

    __slots__ = ("_publications",)

    def __init__(self) -> None:
        self._publications: list[tuple[Collection[Subscription], Frame]] = []

    def publish(self, subscriptions: Collection[Subscription], frame: Frame) -> None:
        """Collect the frame for the subscriptions."""
        self._publications.append((subscriptions, frame))

    def flush(self) -> None:
        """Write what was collected; frames that a socket does not take go to their backlogs."""
        publications, self._publications = self._publications, []
        if publications and carried.get() is not None:
            with inside("send frames", Role.SENDER, _facts_of(publications)):
                self._write(publications)
        else:
            self._write(publications)

    def _write(self, publications: list[tuple[Collection[Subscription], Frame]]) -> None:
        if len(publications) == 1:
            _publish(*publications[0])
        else:
            _write_batches(publications)

    def __enter__(self) -> "Cork":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def _facts_of(publications: list[tuple[Collection[Subscription], Frame]]) -> dict[str, Value]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "connections",
        "messaging.batch.message_count": len(publications),
        "frames.channels": [_channel_of(frame) for _, frame in publications],
        "frames.subscriptions": sum(len(subscriptions) for subscriptions, _ in publications),
        "frames.bytes": sum(frame.size for _, frame in publications),
    }


def _channel_of(frame: Frame) -> str:
    """Return what a frame says it is: they all begin with ``{"channel":"NAME"``."""
    head = bytes(frame.payload[:64]).split(b'"', 4)
    return head[3].decode() if len(head) > 3 and head[1] == b"channel" else ""


def _write_batches(publications: list[tuple[Collection[Subscription], Frame]]) -> None:
    batches: dict[Outlet, list[tuple[Subscription, Frame]]] = {}
    for subscriptions, frame in publications:
        for subscription in subscriptions:
            if subscription.ended is not None:
                continue
            outlet = subscription.outlet
            batch = batches.get(outlet)
            if batch is None:
                batches[outlet] = [(subscription, frame)]
                continue
            batch.append((subscription, frame))
            if len(batch) >= BATCH_FRAMES_MAX:
                outlet.write_batch(batch)
                batch.clear()
    for outlet, batch in batches.items():
        outlet.write_batch(batch)
