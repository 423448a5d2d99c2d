"""The actor of a subscription: it drains the backlog of a client whose socket was full.

Its pool starts it at the first frame that a socket does not take and puts it to sleep when its
client has caught up, so a subscription whose client keeps up never has a task. It is temporary:
what its client missed cannot be made up for by a restart, so a crash ends the subscription.
"""

from typing import ClassVar, Final

import attrs

from actors.subscription import Ended, Subscription
from supervision import (
    Actor,
    Exit,
    ExitKind,
    InHand,
    MailboxSpec,
    Pool,
    PoolFull,
    PoolSpec,
    Restart,
)

SUBSCRIPTIONS_MAX: Final = 100_000
"""Backlogs at a time in one process: far more slow clients than one core could serve."""

IDLE_SECONDS: Final = 10.0
"""How long a drained subscription keeps its task: a client slow once is soon slow again."""


@attrs.frozen
class Drain:
    """Write the backlog until it is empty."""

    in_hand: ClassVar[InHand] = InHand.DROP


class SubscriptionActor(Actor):
    """Drains one subscription whenever it is told to."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def handle(self, message: Drain) -> None:
        """Drain; returns when nothing waits. Cancelling loses no frame and no order."""
        await self._subscription.drain()

    async def on_stop(self, exit: Exit) -> None:
        """End the subscription if this was no orderly end, so that its client learns of the gap."""
        if exit.kind is ExitKind.ABNORMAL:
            self._subscription.end(Ended.CRASHED)


def subscriptions_pool() -> PoolSpec[Subscription]:
    """Return the pool of all subscription actors; its keys are the subscriptions."""
    return PoolSpec(
        start=SubscriptionActor,
        # A second Drain in the queue would say nothing new.
        mailbox=MailboxSpec(capacity=2),
        restart=Restart.TEMPORARY,
        capacity=SUBSCRIPTIONS_MAX,
        idle_seconds=IDLE_SECONDS,
    )


def wake(pool: Pool[Subscription], subscription: Subscription) -> bool:
    """Have the pool drain a subscription, or forget its actor when the subscription has ended.

    With the pool bound, this is what `Subscription` wants as its `wake`.

    Returns:
        False when nobody will drain it: the pool is full or stopped.
    """
    if subscription.ended is not None:
        pool.stop(subscription)
        return True
    try:
        address = pool.address(subscription)
    except PoolFull:
        return False
    # Not accepted although the pool lives means that a Drain waits already.
    return bool(address.tell(Drain())) or address.depth > 0
