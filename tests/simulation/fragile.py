"""Actors that crash: before a batch, after it, while they start, and inside the exchange itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio
from attrs import define, field

from actors.sequencer import Sequencer, SequencerHooks
from supervision import Actor, ChildSpec, MailboxSpec, PoolSpec, SupervisorSpec
from tests.simulation.chaos import Chaos, InjectedError

SNAPSHOT_COMMANDS = 60


class _CrashingHooks(SequencerHooks):
    """Crashes the sequencer between the commit of a block and its publication."""

    def __init__(self, inner: SequencerHooks, chaos: Chaos) -> None:
        self._inner = inner
        self._chaos = chaos

    def __getattribute__(self, name: str) -> Any:
        if name in ("_inner", "_chaos", "block_committed"):
            return super().__getattribute__(name)
        return getattr(self._inner, name)

    def block_committed(self, **facts: Any) -> None:
        self._inner.block_committed(**facts)
        if self._chaos.strikes("crash", "committed"):
            raise InjectedError("between commit and publication")


@define(eq=False)
class Fragile:
    """Makes every actor of a tree fragile.

    Attributes:
        snapshot_commands: how often the sequencer keeps a snapshot.
        doomed: names of classes; the next batch of an actor of such a class is its last.
    """

    chaos: Chaos
    snapshot_commands: int = SNAPSHOT_COMMANDS
    doomed: set[str] = field(init=False, factory=set)
    _classes: dict[type[Actor], type[Actor]] = field(init=False, factory=dict)

    def prepare(self, spec: SupervisorSpec) -> SupervisorSpec:
        """Return the tree with fragile actors, and without the sockets of the real world."""
        children = [self._child(child) for child in spec.children if child.id != "admin"]
        return attrs.evolve(spec, children=children)

    def _child(self, child: ChildSpec) -> ChildSpec:
        start = child.start
        if isinstance(start, SupervisorSpec):
            return attrs.evolve(child, start=self.prepare(start))
        if isinstance(start, PoolSpec):
            return attrs.evolve(child, start=self._pool(start))
        if callable(start):
            make: Callable[[], Any] = start
            mailbox = self._mailbox(child.mailbox) if child.id == "router" else child.mailbox
            return attrs.evolve(child, start=lambda: self.weaken(make()), mailbox=mailbox)
        return child

    def _pool(self, pool: PoolSpec[Any]) -> PoolSpec[Any]:
        start = pool.start
        mailbox = self._mailbox(pool.mailbox)
        return attrs.evolve(pool, start=lambda key: self.weaken(start(key)), mailbox=mailbox)

    def _mailbox(self, spec: MailboxSpec) -> MailboxSpec:
        room = self.chaos.rates.room
        return attrs.evolve(spec, capacity=room) if room < spec.capacity and room else spec

    def weaken(self, actor: Actor) -> Actor:
        """Make one actor fragile."""
        kind = type(actor)
        if isinstance(actor, Sequencer):
            actor.snapshot_every = self.snapshot_commands
            actor.hooks = _CrashingHooks(actor.hooks, self.chaos)
        if kind not in self._classes:
            self._classes[kind] = self._weakened(kind)
        actor.__class__ = self._classes[kind]
        return actor

    def _weakened(self, kind: Any) -> type[Actor]:
        chaos = self.chaos

        async def init(actor: Any) -> None:
            if chaos.strikes("crash_init", kind.__name__):
                raise InjectedError(f"{actor.context.path} while starting")
            await kind.init(actor)

        async def trouble(actor: Any) -> None:
            if chaos.strikes("slow", kind.__name__):
                await trio.sleep(chaos.rng(kind.__name__).expovariate(2.0))
            if kind.__name__ in self.doomed:
                self.doomed.discard(kind.__name__)
                raise InjectedError(f"{actor.context.path} was doomed")
            if chaos.strikes("crash", kind.__name__):
                raise InjectedError(f"{actor.context.path} before a message")

        def after(actor: Any) -> None:
            if chaos.strikes("crash", kind.__name__):
                raise InjectedError(f"{actor.context.path} after a message")

        async def handle(actor: Any, message: Any) -> Any:
            await trouble(actor)
            value = await kind.handle(actor, message)
            after(actor)
            return value

        async def handle_batch(actor: Any, batch: Any) -> None:
            await trouble(actor)
            await kind.handle_batch(actor, batch)
            after(actor)

        body: dict[str, Any] = {"__slots__": (), "init": init}
        if kind.handle_batch is not Actor.handle_batch:
            body["handle_batch"] = handle_batch
        else:
            body["handle"] = handle
        return type(f"Fragile{kind.__name__}", (kind,), body)
