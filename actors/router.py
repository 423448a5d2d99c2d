"""Takes durable blocks from the source and gives each view the part that concerns it.

A view attaches before it asks the source for its state, so nothing falls between the two: what the
router delivers meanwhile waits in the view's own mailbox. Each part names the height of the part
before it, so a view that lost one (its mailbox was full) notices at the next and starts again from
the source.

The router also keeps the directory: who exists and who signs for whom, which the edge needs in
order to find the actor of a signer. Only the exchange's own state decides; the directory may be a
block behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from attrs import define, field, frozen

from actors.errors import LostPartError
from actors.source import BlockCommitted, Source
from model.blocks import Block
from model.events import (
    AgentApproved,
    Credited,
    Event,
    ExchangeOpened,
    LeverageUpdated,
    MarketListed,
    OracleMoved,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    UsdSent,
)
from model.ids import Address, AssetId
from model.instruments import Instrument
from supervision import Actor
from supervision import Address as ActorAddress

BLOCKS_WAITING_MAX: Final = 1_024
"""Capacity of the router's mailbox; when it is full the sequencer waits, and orders with it."""


@define
class Directory:
    """Who exists. Written by the router only."""

    height: int = 0
    time_ms: int = 0
    instruments: list[Instrument] = field(factory=list)
    by_name: dict[str, Instrument] = field(factory=dict)
    accounts: set[Address] = field(factory=set)
    agents: dict[Address, Address] = field(factory=dict)
    taker_fee_ppm: int = 0
    maker_fee_ppm: int = 0

    def account_of(self, signer: Address) -> Address:
        """Return the account that a signer acts for: its master's if it is an agent, else its own."""
        return self.agents.get(signer, signer)

    def learn(self, event: Event) -> None:
        """Take in an event that changes who exists; ignore any other."""
        match event:
            case Credited(account=account):
                self.accounts.add(account)
            case UsdSent(destination=destination):
                self.accounts.add(destination)
            case AgentApproved():
                if event.replaced is not None:
                    self.agents.pop(event.replaced, None)
                if event.agent:
                    self.agents[event.agent] = event.account
            case MarketListed(instrument=instrument):
                self.list_market(instrument)
            case ExchangeOpened(taker_fee_ppm=taker, maker_fee_ppm=maker):
                self.taker_fee_ppm, self.maker_fee_ppm = taker, maker
            case _:
                pass

    def list_market(self, instrument: Instrument) -> None:
        """Add a market; its asset id is its place in the list."""
        self.instruments.append(instrument)
        self.by_name[instrument.name] = instrument


@frozen
class Attach:
    """Ask to be told what concerns a market or an account, from the next block on."""

    subject: AssetId | Address
    view: ActorAddress


@frozen
class Detach:
    """Ask not to be told any more; nothing happens if another view has attached since."""

    subject: AssetId | Address
    view: ActorAddress


@frozen
class BlockPart:
    """What one block means to one view.

    ``events`` pairs each event with the index of its command within the block. ``previous`` is the
    height of the part that was delivered before this one, or of the block at which the view
    attached.
    """

    height: int
    time_ms: int
    previous: int
    events: list[tuple[int, Event]]


@define
class _Attached:
    view: ActorAddress
    previous: int


@define
class Router(Actor):
    """The actor described above."""

    source: Source
    directory: Directory
    _attached: dict[AssetId | Address, _Attached] = field(init=False, factory=dict)

    async def init(self) -> None:
        """Learn who exists."""
        at = await self.source.directory()
        directory = self.directory
        directory.instruments.clear()
        directory.by_name.clear()
        for instrument in at.state.instruments:
            directory.list_market(instrument)
        directory.accounts = set(at.state.accounts)
        directory.agents = dict(at.state.agents)
        directory.taker_fee_ppm = at.state.taker_fee_ppm
        directory.maker_fee_ppm = at.state.maker_fee_ppm
        directory.height, directory.time_ms = at.height, at.time_ms

    async def handle(self, message: object) -> object:
        """Serve ``BlockCommitted``, ``Attach`` and ``Detach``."""
        match message:
            case BlockCommitted(block):
                if block.height > self.directory.height + 1:
                    raise LostPartError(f"block {block.height} came after {self.directory.height}")
                if block.height > self.directory.height:
                    self._deliver(block)
            case Attach(subject, view):
                self._attached[subject] = _Attached(view, self.directory.height)
            case Detach(subject, view):
                attached = self._attached.get(subject)
                if attached is not None and attached.view == view:
                    del self._attached[subject]
            case _:
                raise TypeError(f"not a message of the router: {message!r}")
        return None

    def _deliver(self, block: Block) -> None:
        attached = self._attached
        parts: defaultdict[AssetId | Address, list[tuple[int, Event]]] = defaultdict(list)
        for index, entry in enumerate(block.entries):
            for event in entry.events:
                for subject in self._subjects(event):
                    if subject in attached:
                        parts[subject].append((index, event))
        for subject, events in parts.items():
            to = attached[subject]
            # A full mailbox refuses the part; the next one then names a height that the view never
            # saw.
            to.view.tell(BlockPart(block.height, block.time_ms, to.previous, events))
            to.previous = block.height
        self.directory.height, self.directory.time_ms = block.height, block.time_ms

    def _subjects(self, event: Event) -> Iterator[AssetId | Address]:
        """Name the views that an event concerns, each once."""
        kind = type(event)
        if kind is OrderPlaced or kind is OrderCanceled:
            yield event.asset  # type: ignore[union-attr]  # the two kinds just named have it
            yield event.account  # type: ignore[union-attr]
        elif kind is Traded:
            yield event.asset  # type: ignore[union-attr]
            yield event.maker.account  # type: ignore[union-attr]
            yield event.taker.account  # type: ignore[union-attr]
        elif kind is OrderRefused or kind is LeverageUpdated:
            yield event.account  # type: ignore[union-attr]
        elif kind is OracleMoved:
            yield event.asset  # type: ignore[union-attr]
        elif kind is Credited or kind is AgentApproved:
            self.directory.learn(event)
            yield event.account  # type: ignore[union-attr]
        elif kind is UsdSent:
            self.directory.learn(event)
            yield event.sender  # type: ignore[union-attr]
            yield event.destination  # type: ignore[union-attr]
        elif kind is MarketListed or kind is ExchangeOpened:
            self.directory.learn(event)
