"""Mistakes to plant in a simulated world, to see that its checkers find them.

Each is a bug that a program like this could have. A plant is given a world before it begins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import attrs
from msgspec.structs import replace

from actors.account import Account, SubmitAction
from actors.frames import Frame
from actors.journal_file import Row
from actors.market import Market
from actors.router import BlockPart
from api.outlets import DirectOutlet
from model.blocks import Block
from model.commands import PlaceOrders
from model.events import Traded
from supervision import Actor, Envelope, PoolSpec, SupervisorSpec
from tests.simulation.disk import DiskChain
from tests.simulation.past import MemoryHistory
from tests.simulation.world import NEED_FILES, World

EVERY: Final = 40
"""Each mistake happens once in so many occasions."""


class _Counter:
    def __init__(self) -> None:
        self.count = 0

    def strikes(self) -> bool:
        self.count += 1
        return self.count % EVERY == 0


def answer_before_commit(world: World) -> None:
    """Call a block durable that is only written; the next commit makes it so."""

    class Hasty(DiskChain):
        late: Row | None = None

        async def commit(self, block: Block, body: bytes) -> None:
            row = Row(block.height, block.time_ms, block.parent, body, block.digest)
            late, self.late = self.late, None
            if late is not None:
                self.disk.make_durable(late)
            if row.height % EVERY:
                self.disk.make_durable(row)
            else:
                self.late = row

    world.open_chain = lambda: Hasty(world.disk)


def forget_a_block(world: World) -> None:
    """Recover without the newest block, though it was durable, and without what proves it."""

    class Forgetful(DiskChain):
        async def recover(self) -> Any:
            disk = self.disk
            if len(disk.rows) > EVERY and len(disk.log) == disk.synced:  # none follows it
                row = disk.rows.pop()
                disk.snapshots.pop(row.height, None)
            return await super().recover()

    world.open_chain = lambda: Forgetful(world.disk)
    world.chaos.rates = attrs.evolve(world.chaos.rates, kill_seconds=5.0)


def answer_from_the_past(world: World) -> None:
    """Answer questions about orders from whatever the history has by then."""

    class Hasty(MemoryHistory):
        async def read(self, query: Any, *, seen_height: int = 1) -> Any:
            return await super().read(query, seen_height=1)

    world.open_history = lambda writer: Hasty(world.past, writer)


def split_an_action(world: World) -> None:
    """Carry out only the first order of an action."""
    counter = _Counter()

    async def handle_batch(account: Any, batch: list[Envelope]) -> None:
        changed = [_first_order(one) if counter.strikes() else one for one in batch]
        await Account.handle_batch(account, changed)

    _spoil(world, "accounts", Account, handle_batch=handle_batch)


def _first_order(envelope: Envelope) -> Envelope:
    message = envelope.message
    if isinstance(message, SubmitAction) and isinstance(message.command, PlaceOrders):
        command = replace(message.command, orders=message.command.orders[:1])
        envelope.message = attrs.evolve(message, command=command)
    return envelope


def lose_the_log(world: World) -> None:
    """Let a power cut take what was synced: the whole write-ahead log."""
    assert world.files is not None
    world.files.keeps_synced = False
    world.chaos.rates = attrs.evolve(world.chaos.rates, power=0.02)


def lose_a_trade(world: World) -> None:
    """Let a market overlook a trade."""
    counter = _Counter()

    def apply(market: Any, part: BlockPart) -> None:
        if any(type(event) is Traded for _, event in part.events) and counter.strikes():
            events = [(index, event) for index, event in part.events if type(event) is not Traded]
            part = attrs.evolve(part, events=events)
        Market._apply(market, part)

    _spoil(world, "markets", Market, _apply=apply)


def lose_a_part(world: World) -> None:
    """Let an account overlook everything that a block means to it."""
    counter = _Counter()

    def apply(account: Any, part: BlockPart) -> None:
        if counter.strikes():
            part = attrs.evolve(part, events=[])
        Account._apply(account, part)

    _spoil(world, "accounts", Account, _apply=apply)


def repeat_a_frame(world: World) -> None:
    """Send a frame twice."""
    counter = _Counter()

    class Stutter(DirectOutlet):
        __slots__ = ()

        def write_nowait(self, frame: Frame) -> bool:
            if b'"trades"' in frame.payload[:30] and counter.strikes():
                super().write_nowait(frame)
            return super().write_nowait(frame)

        def write_batch(self, batch: Any) -> None:
            for holder, frame in batch:
                if not self.write_nowait(frame):
                    holder.hold(frame)

    _replace_outlets(world, Stutter)


def swap_two_frames(world: World) -> None:
    """Let a frame overtake the one before it."""
    counter = _Counter()

    class Swap(DirectOutlet):
        __slots__ = ()

        def write_batch(self, batch: Any) -> None:
            batch = list(batch)
            kinds = [frame.payload.partition(b'"data"')[0][-24:] for _, frame in batch]
            if len(set(kinds)) < len(kinds):
                batch.reverse()
            for holder, frame in batch:
                if not self.write_nowait(frame):
                    holder.hold(frame)

        def write_nowait(self, frame: Frame) -> bool:
            if b'"orderUpdates"' in frame.payload[:30] and counter.strikes():
                return True  # it never comes back, and the next one takes its place
            return super().write_nowait(frame)

    _replace_outlets(world, Swap)


def lose_an_answer(world: World) -> None:
    """Leave a request without an answer."""
    counter = _Counter()

    class Forget(DirectOutlet):
        __slots__ = ()

        def reply(self, frame: Frame) -> bool:
            if b'"post"' in frame.payload[:30] and counter.strikes():
                return True
            return super().reply(frame)

    _replace_outlets(world, Forget)


def answer_twice(world: World) -> None:
    """Answer a request, and once more."""
    counter = _Counter()

    class Twice(DirectOutlet):
        __slots__ = ()

        def reply(self, frame: Frame) -> bool:
            if b'"post"' in frame.payload[:30] and counter.strikes():
                super().reply(frame)
            return super().reply(frame)

    _replace_outlets(world, Twice)


PLANTS: Final[dict[str, Callable[[World], None]]] = {
    plant.__name__: plant
    for plant in (
        answer_before_commit,
        forget_a_block,
        answer_from_the_past,
        split_an_action,
        lose_the_log,
        lose_a_trade,
        lose_a_part,
        repeat_a_frame,
        swap_two_frames,
        lose_an_answer,
        answer_twice,
    )
}


NEED_FILES.add(lose_the_log)


def _replace_outlets(world: World, kind: type[DirectOutlet]) -> None:
    def wrap(outlet: DirectOutlet) -> DirectOutlet:
        outlet.__class__ = kind
        return outlet

    world.listener.wrap = wrap


def _spoil(world: World, pool: str, kind: type[Actor], **methods: Any) -> None:
    """Replace methods of the actors of a pool."""
    spoiled = type(f"Spoiled{kind.__name__}", (kind,), {"__slots__": (), **methods})

    def spoil(actor: Actor) -> Actor:
        actor.__class__ = spoiled
        return actor

    def prepare(tree: SupervisorSpec) -> SupervisorSpec:
        children = list(tree.children)
        for place, child in enumerate(children):
            if child.id == pool:
                spec = cast(PoolSpec[Any], child.start)
                changed = attrs.evolve(spec, start=partial(_then, spoil, spec.start))
                children[place] = attrs.evolve(child, start=changed)
        return attrs.evolve(tree, children=children)

    world.prepare_first = prepare


def _then(change: Callable[[Actor], Actor], start: Callable[[Any], Actor], key: Any) -> Actor:
    return change(start(key))
