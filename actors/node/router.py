"""Gives each view of a node's data its part of each block.

The conversation is that of ``actors.router``: a view attaches, asks the source for its state, and
skips the parts up to it. In place of heights stand the numbers of the follower's messages, since
blocks may be left out, and a book may be healed between two blocks.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from attrs import define, field, frozen

from actors.router import Attach, BlockPart, CatchUp, Detach
from model.ids import Address
from supervision import Actor, InHand
from supervision import Address as ActorAddress

REMIND_SECONDS: Final = 0.1
"""How often a view whose mailbox was full is told that it missed a part."""


@frozen
class NodeParts:
    """Told to the router: what a block means, by subject. ``number`` counts these messages."""

    in_hand: ClassVar[InHand] = InHand.DROP

    number: int
    time_ms: int
    parts: dict[Any, list[Any]]


@frozen
class _Remind:
    """The router's timer: tell views again that they missed something."""


@define
class _Attached:
    view: ActorAddress
    previous: int


@define
class NodeRouter(Actor):
    """The actor described above.

    ``followed`` is kept to be the accounts that have a view; others need not be told of here.
    """

    followed: set[Address] = field(factory=set)
    _attached: dict[Any, _Attached] = field(init=False, factory=dict)
    _missing: dict[Any, None] = field(init=False, factory=dict)
    _number: int = field(init=False, default=-1)
    _time_ms: int = field(init=False, default=0)

    async def init(self) -> None:
        """Begin with nobody attached."""
        self.followed.clear()

    async def handle(self, message: object) -> object:
        """Serve the messages of this module and those of ``actors.router``."""
        match message:
            case NodeParts():
                self._deliver(message)
            case Attach(subject, view):
                self._attached[subject] = _Attached(view, self._number)
                self._missing.pop(subject, None)
                if isinstance(subject, str):
                    self.followed.add(Address(subject))
            case Detach(subject, view):
                attached = self._attached.get(subject)
                if attached is not None and attached.view == view:
                    del self._attached[subject]
                    self._missing.pop(subject, None)
                    self.followed.discard(Address(str(subject)))
            case CatchUp():
                pass  # all blocks before it are delivered
            case _Remind():
                self._remind()
            case _:
                raise TypeError(f"not a message of the router: {message!r}")
        return None

    def _deliver(self, block: NodeParts) -> None:
        self._number, self._time_ms = block.number, block.time_ms
        for subject, events in block.parts.items():
            to = self._attached.get(subject)
            if to is None:
                continue
            part = BlockPart(
                block.number, block.time_ms, to.previous, [(0, event) for event in events]
            )
            to.previous = block.number
            if to.view.tell(part):
                self._missing.pop(subject, None)
            else:
                self._note_missing(subject)

    def _note_missing(self, subject: object) -> None:
        if not self._missing:
            self.context.set_timer("remind", REMIND_SECONDS, _Remind())
        self._missing[subject] = None

    def _remind(self) -> None:
        """Tell views of their gap by a part without events that follows the one they missed."""
        for subject in list(self._missing):
            to = self._attached[subject]
            if to.view.tell(BlockPart(to.previous, self._time_ms, to.previous, [])):
                self._missing.pop(subject, None)
        if self._missing:
            self.context.set_timer("remind", REMIND_SECONDS, _Remind())
