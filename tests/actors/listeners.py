"""Subscribers of a floor: what each was sent, decoded."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from attrs import Factory, define, field

from actors.channels import Channel, Subscribe
from actors.subscription import Ended, Subscription
from model.ids import Address, AssetId
from tests.actors.floor import Floor
from tests.actors.memory_outlet import MemoryOutlet, refuse

ROOM = 1_000_000


@define(eq=False)
class Listener:
    """One subscription of a client that reads everything."""

    channel: Channel
    outlet: MemoryOutlet = Factory(lambda: MemoryOutlet(ROOM))
    endings: list[Ended] = Factory(list)
    subscription: Subscription = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.subscription = Subscription(
            f"{self.channel.kind}-{id(self)}",
            self.outlet,
            self.channel.policy,
            wake=refuse,
            on_end=lambda _, reason: self.endings.append(reason),
        )

    @property
    def frames(self) -> list[Any]:
        return [msgspec.json.decode(frame.payload)["data"] for frame in self.outlet.written]

    def trade_ids(self) -> list[int]:
        return [trade["tid"] for frame in self.frames for trade in frame]

    def order_states(self) -> list[tuple[int, str, str]]:
        """Return (order id, status, size left) of each update."""
        return [
            (update["order"]["oid"], update["status"], update["order"]["sz"])
            for frame in self.frames
            for update in frame
        ]

    def fill_ids(self) -> list[int]:
        return [fill["tid"] for frame in self.frames for fill in frame["fills"]]


def listen_to_market(floor: Floor, channel: Channel, asset: AssetId) -> Listener:
    listener = Listener(channel)
    address = floor.system.pool("markets").address(asset)
    assert address.tell(Subscribe(channel, listener.subscription))
    return listener


def listen_to_account(floor: Floor, channel: Channel, account: Address) -> Listener:
    listener = Listener(channel)
    address = floor.system.pool("accounts").address(account)
    assert address.tell(Subscribe(channel, listener.subscription))
    return listener


def crash_next(
    floor: Floor, path: str, method: str = "handle_batch"
) -> Callable[[], Awaitable[object]]:
    """Return what makes the actor at a path fall over its next batch."""

    async def fall(*_: object) -> None:  # noqa: ASYNC124
        raise ZeroDivisionError("on purpose")

    def arm() -> Awaitable[object]:
        return floor.system.probe(path, lambda actor: setattr(actor, method, fall))

    return arm
