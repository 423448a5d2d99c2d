"""Where a view learns what the chain did: a state at some height, and the blocks after it.

Every view starts in the same way, whether it is its first start, a restart or a recovery: attach to
the router, ask the source for the state of its subject at height H, then apply what the router
delivers after H. This module holds the words of that conversation; a source is whoever answers
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, Protocol, TypeVar

from attrs import frozen

from model.agents import Agent
from model.blocks import Block
from model.commands import ClientCommand, Command, OpenExchange
from model.events import Event
from model.ids import Address, AssetId, TokenId
from model.instruments import Instrument, Token
from model.state import AccountState, MarketState
from supervision import Address as ActorAddress
from supervision import Delivery, Envelope, InHand, Reply

StateT = TypeVar("StateT")


@frozen
class Receipt:
    """What became of one command: it is durable, or was refused before it could change anything.

    ``height`` and ``time_ms`` are those of its block. A command that was refused without using its
    nonce need not be in any; its receipt then carries those of the last block.
    """

    height: int
    time_ms: int
    events: tuple[Event, ...]


@frozen
class At(Generic[StateT]):
    """A state and the height up to which every block is in it."""

    height: int
    time_ms: int
    state: StateT


@frozen
class DirectoryState:
    """Who exists: markets, tokens, accounts, and which signer acts for which account.

    ``sub_accounts`` has the master of each sub-account, ``supply`` how much there is of each token
    other than USDC (1e-8), ``terms`` is what the exchange was opened
    with, ``digest`` that of the last block.
    """

    instruments: tuple[Instrument, ...]
    tokens: tuple[Token, ...]
    accounts: frozenset[Address]
    agents: dict[Address, Agent]
    sub_accounts: dict[Address, Address]
    supply: dict[TokenId, int]
    terms: OpenExchange
    digest: bytes


@frozen
class Submit:
    """Ask the sequencer to order and execute a command; answered with its Receipt when durable.

    One that was in hand when the sequencer fell may have been carried out: its asker is told so,
    and it is never handed on a second time.
    """

    command: Command


@frozen
class ReadMarket:
    """Ask for ``At[MarketState]``."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    asset: AssetId


@frozen
class ReadAccount:
    """Ask for ``At[AccountState]``."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER

    account: Address


@frozen
class ReadDirectory:
    """Ask for ``At[DirectoryState]``."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER


@frozen
class BlockCommitted:
    """Told to the router: this block is durable."""

    block: Block


class Source(Protocol):
    """The three things that the rest of the program needs of a chain."""

    async def market(self, asset: AssetId) -> At[MarketState]:
        """Return the committed state of one market."""
        ...

    async def account(self, account: Address) -> At[AccountState]:
        """Return the committed state of one account; of an unknown one, the empty state."""
        ...

    async def directory(self) -> At[DirectoryState]:
        """Return who exists."""
        ...

    async def submit(self, command: Command) -> Receipt:
        """Have a command ordered, executed and made durable; return what it did.

        Raises:
            supervision.SupervisionError: the outcome is unknown, or nothing was done (see the
            subclass). actors.errors.SourceError: nothing was done.
        """
        ...

    def submit_nowait(self, command: Command, then: Callable[[Reply], None]) -> None:
        """Submit without waiting; ``then`` gets the reply. Raises as ``submit``, if at once."""
        ...

    def forward(self, command: ClientCommand, reply: Reply) -> Delivery:
        """Submit without waiting, on behalf of whoever holds ``reply``."""
        ...


class EmbeddedSource:
    """The source whose chain is our own sequencer."""

    def __init__(self, sequencer: ActorAddress) -> None:
        self._sequencer = sequencer

    async def market(self, asset: AssetId) -> At[MarketState]:
        """Return the committed state of one market."""
        answer: At[MarketState] = await self._sequencer.ask(ReadMarket(asset))
        return answer

    async def account(self, account: Address) -> At[AccountState]:
        """Return the committed state of one account; of an unknown one, the empty state."""
        answer: At[AccountState] = await self._sequencer.ask(ReadAccount(account))
        return answer

    async def directory(self) -> At[DirectoryState]:
        """Return who exists."""
        answer: At[DirectoryState] = await self._sequencer.ask(ReadDirectory())
        return answer

    async def submit(self, command: Command) -> Receipt:
        """Have a command ordered, executed and made durable; return what it did."""
        receipt: Receipt = await self._sequencer.ask(Submit(command))
        return receipt

    def submit_nowait(self, command: Command, then: Callable[[Reply], None]) -> None:
        """Submit without waiting; ``then`` gets the reply."""
        self._sequencer.ask_nowait(Submit(command), then)

    def forward(self, command: ClientCommand, reply: Reply) -> Delivery:
        """Submit without waiting, on behalf of whoever holds ``reply``."""
        return self._sequencer.forward(Submit(command), reply)


ViewT = TypeVar("ViewT")


def answer_read(envelope: Envelope, read: Callable[[ViewT], object], view: ViewT) -> None:
    """Answer a question about a view; one that raises only fails its reply."""
    try:
        envelope.answer(read(view))
    except Exception as error:  # noqa: BLE001  # it is the asker's mistake, and must not fell the view
        envelope.fail(error)
