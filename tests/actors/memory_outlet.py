"""An outlet over a transport in memory that takes as many frames as a test lets it."""

import trio

from actors.frames import Frame
from actors.outlet import Close, FanoutCounts, Outlet
from actors.subscription import Ended, Policy, Subscription


class MemoryOutlet(Outlet):
    """Takes `room` more frames; `written` is what the peer would have got."""

    def __init__(self, room: int = 0) -> None:
        super().__init__(FanoutCounts())
        self.room = room
        self.written: list[Frame] = []
        self.goodbye: Close | None = None
        self.aborted = False
        self._more = trio.Event()
        self.open()

    def make_room(self, frames: int) -> None:
        """Let the peer read so many frames."""
        self.room += frames
        self._more.set()
        self._more = trio.Event()
        self._refresh()
        self._kick.set()

    @property
    def texts(self) -> list[str]:
        """Payloads written so far."""
        return [frame.payload.decode() for frame in self.written]

    def abort(self) -> None:
        self.aborted = True
        self.mark_closed()
        self._more.set()

    def _idle(self) -> bool:
        return self.room > 0 and not self.closed

    def _has_unfinished(self) -> bool:
        return False

    def _take(self, frame: Frame) -> bool:
        self.room -= 1
        self.written.append(frame)
        self._refresh()
        return True

    async def _settle(self) -> None:
        while not self.closed:
            if not self.room:
                await self._more.wait()
            elif self._replies:
                self._take(self._next_reply())
            else:
                return

    async def _say_goodbye(self, close: Close) -> None:
        await trio.lowlevel.checkpoint()
        self.goodbye = close


class Client:
    """Subscriptions of one memory outlet; their drains run in the nursery when woken."""

    def __init__(self, nursery: trio.Nursery, room: int = 0) -> None:
        self.outlet = MemoryOutlet(room)
        self.ended: list[tuple[str, Ended]] = []
        self.wakes = 0
        self._nursery = nursery
        nursery.start_soon(self.outlet.run)

    def subscribe(self, name: str, policy: Policy = Policy.LOSSLESS) -> Subscription:
        return Subscription(name, self.outlet, policy, wake=self._wake, on_end=self._note_end)

    def _wake(self, subscription: Subscription) -> bool:
        self.wakes += 1
        self._nursery.start_soon(subscription.drain)
        return True

    def _note_end(self, subscription: Subscription, reason: Ended) -> None:
        self.ended.append((subscription.name, reason))


def text(payload: str, key: object = None) -> Frame:
    """Return a frame."""
    return Frame(payload.encode(), key)


def refuse(_subscription: Subscription) -> bool:
    """Be a `wake` that finds nobody to drain."""
    return False
