"""Takes durable blocks from the source and gives each view the part that concerns it.

A view attaches before it asks the source for its state, so nothing falls between the two: what the
router delivers meanwhile waits in the view's own mailbox. Each part names the height of the part
before it, so a view that lost one (its mailbox was full) notices at the next and starts again from
the source. Where no next part comes, the router keeps telling it of the gap until it takes notice.

The router itself only takes the block that continues the chain it knows, by height and digest.
Blocks that it has already are ignored; at any other it falls, and everything behind it starts again
from what the source holds.

The router also keeps the directory: who exists and who signs for whom, which the edge needs in
order to find the actor of a signer. Only the exchange's own state decides. The directory may be a
block behind; an ask of ``CatchUp`` returns when it holds all blocks that were published before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeAlias

import trio
from attrs import define, field, frozen
from msgspec.structs import replace

from actors.errors import LostPartError
from actors.source import At, BlockCommitted, DirectoryState, Source
from model.agents import Agent
from model.blocks import GENESIS_DIGEST, Block
from model.commands import OpenExchange
from model.events import (
    AgentApproved,
    AssetSent,
    CancelScheduled,
    ClassTransferred,
    CollateralSeized,
    Credited,
    Event,
    ExchangeOpened,
    FundingPaid,
    IsolatedMarginMoved,
    LeverageUpdated,
    Liquidated,
    MarketListed,
    OracleMoved,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    PremiumSampled,
    RequestsReserved,
    ShortfallCovered,
    SubAccountCreated,
    SubAccountFunded,
    SubAccountRenamed,
    TokenCredited,
    TokenListed,
    TokenSent,
    Traded,
    TriggerArmed,
    TriggerFailed,
    TriggerFired,
    TriggerPlaced,
    TwapEnded,
    TwapStarted,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address, AssetId, TokenId
from model.universe import Universe
from supervision import Actor, InHand
from supervision import Address as ActorAddress

BLOCKS_WAITING_MAX: Final = 1_024
"""Capacity of the router's mailbox; when it is full the sequencer waits, and orders with it."""

REMIND_SECONDS: Final = 0.1
"""How often a view whose mailbox was full is told that it missed a part."""

NO_TERMS: Final = OpenExchange(0, 0)
"""What an exchange runs under that has not been opened."""

Subject: TypeAlias = AssetId | Address
"""What a view is of: a market or an account."""


@define
class Directory:
    """Who exists. Written by the router only; ``digest`` is that of the block at ``height``.

    ``universe`` are the markets and tokens, ``sub_accounts`` the master of each sub-account,
    ``supply`` how much there is of each token but USDC (1e-8), ``terms`` what the exchange was
    opened with.
    """

    height: int = 0
    time_ms: int = 0
    digest: bytes = GENESIS_DIGEST
    universe: Universe = field(factory=Universe)
    accounts: set[Address] = field(factory=set)
    agents: dict[Address, Agent] = field(factory=dict)
    sub_accounts: dict[Address, Address] = field(factory=dict)
    supply: dict[TokenId, int] = field(factory=dict)
    terms: OpenExchange = NO_TERMS
    _agents_of: defaultdict[Address, dict[str, Address]] = field(
        init=False, factory=lambda: defaultdict(dict)
    )

    def master_of(self, signer: Address) -> Address | None:
        """Return the account that a signer is an agent of, as of the last block."""
        agent = self.agents.get(signer)
        return agent.master if agent is not None and self.time_ms < agent.valid_until else None

    def account_of(self, signer: Address) -> Address | None:
        """Return the account that a signer acts for: its master's, its own, or none."""
        master = self.master_of(signer)
        if master is not None:
            return master
        return signer if signer in self.accounts else None

    def replace(self, at: At[DirectoryState]) -> None:
        """Become what the source says; ``universe`` stays the same object, which views hold."""
        state = at.state
        self.universe.clear()
        self.universe.tokens[:] = state.tokens
        for instrument in state.instruments:
            self.universe.list(instrument)
        self.accounts = set(state.accounts)
        self.agents = dict(state.agents)
        self._agents_of.clear()
        for address, agent in state.agents.items():
            self._agents_of[agent.master][agent.name] = address
        self.sub_accounts = dict(state.sub_accounts)
        self.supply = dict(state.supply)
        self.terms = state.terms
        self.height, self.time_ms, self.digest = at.height, at.time_ms, state.digest

    def learn(self, event: Event) -> None:
        """Take in an event that changes who exists; ignore any other."""
        match event:
            case Credited(account=account):
                self.accounts.add(account)
            case TokenCredited(account=account, token=token, amount_e8=amount):
                self.accounts.add(account)
                if token != USDC:
                    self.supply[token] += amount
            case UsdSent(destination=account) | TokenSent(destination=account):
                self.accounts.add(account)
            case AssetSent(destination=account) | CollateralSeized(backstop=account):
                self.accounts.add(account)
            case SubAccountCreated():
                self.accounts.add(event.account)
                self.sub_accounts[event.account] = event.master
            case AgentApproved():
                self._approve(event)
            case MarketListed(instrument=instrument):
                self.universe.list(instrument)
            case TokenListed():
                self.universe.tokens.append(event.token)
                self.supply[event.token.token] = 0
            case ExchangeOpened(terms=terms):
                self.terms = terms
            case _:
                pass

    def _approve(self, event: AgentApproved) -> None:
        """Note an agent, and let go of those whose time is up, as the exchange does."""
        account, names = event.account, self._agents_of[event.account]
        self._drop_agent(names.get(event.name))
        if not event.agent:
            return
        for address in list(names.values()):
            if self.agents[address].valid_until <= self.time_ms:
                self._drop_agent(address)
        self._drop_agent(event.agent)
        self.agents[event.agent] = Agent(account, event.name, event.valid_until)
        names[event.name] = event.agent

    def _drop_agent(self, address: Address | None) -> None:
        agent = self.agents.pop(address, None) if address is not None else None
        if agent is not None:
            del self._agents_of[agent.master][agent.name]


@frozen
class Attach:
    """Ask to be told what concerns a market or an account, from the next block on."""

    subject: Subject
    view: ActorAddress


@frozen
class Detach:
    """Ask not to be told any more; nothing happens if another view has attached since."""

    subject: Subject
    view: ActorAddress


@frozen
class CatchUp:
    """Ask for an answer once all blocks are delivered that were published before."""

    in_hand: ClassVar[InHand] = InHand.REDELIVER


@frozen
class BlockPart:
    """What one block means to one view.

    ``events`` pairs each event with the index of its command within the block; of an hour's funding
    an account is given its own payments only. ``previous`` is the
    height of the part that was delivered before this one, or of the block at which the view
    attached. A view that falls with one in hand needs it no more: it starts from the source.
    """

    in_hand: ClassVar[InHand] = InHand.DROP

    height: int
    time_ms: int
    previous: int
    events: list[tuple[int, Event]]


@frozen
class _Remind:
    """The router's timer: tell views again that they missed something."""


@define
class _Attached:
    view: ActorAddress
    previous: int


def _tell_nobody(_height: int, _now: float) -> None:
    pass


@define
class Router(Actor):
    """The actor described above.

    Args:
        on_published: is told the height of each block that was handed on, and Trio's time.
    """

    source: Source
    directory: Directory
    on_published: Callable[[int, float], None] = _tell_nobody
    _attached: dict[Subject, _Attached] = field(init=False, factory=dict)
    _missing: dict[Subject, None] = field(init=False, factory=dict)

    async def init(self) -> None:
        """Learn who exists."""
        self.directory.replace(await self.source.directory())

    async def handle(self, message: object) -> object:
        """Serve the messages of this module and ``BlockCommitted``."""
        match message:
            case BlockCommitted(block):
                if self._continues(block):
                    self._deliver(block)
            case Attach(subject, view):
                self._attached[subject] = _Attached(view, self.directory.height)
                self._missing.pop(subject, None)
            case Detach(subject, view):
                attached = self._attached.get(subject)
                if attached is not None and attached.view == view:
                    del self._attached[subject]
                    self._missing.pop(subject, None)
            case CatchUp():
                pass  # all blocks before it are delivered
            case _Remind():
                self._remind()
            case _:
                raise TypeError(f"not a message of the router: {message!r}")
        return None

    def _continues(self, block: Block) -> bool:
        """Tell whether a block is news.

        Raises:
            LostPartError: it is not of the chain that the router knows, or one before it is lost.
        """
        directory = self.directory
        if block.height < directory.height or block.digest == directory.digest:
            return False
        if block.height != directory.height + 1 or block.parent != directory.digest:
            raise LostPartError(f"block {block.height} does not continue {directory.height}")
        return True

    def _deliver(self, block: Block) -> None:
        attached = self._attached
        parts: defaultdict[Subject, list[tuple[int, Event]]] = defaultdict(list)
        directory = self.directory
        directory.height, directory.time_ms = block.height, block.time_ms
        directory.digest = block.digest
        for index, entry in enumerate(block.entries):
            for event in entry.events:
                kind = type(event)
                if kind in _LEARNED:
                    directory.learn(event)
                if type(event) is FundingPaid:
                    self._divide(event, index, parts)
                    continue
                for subject in subjects_of(event):
                    if subject in attached:
                        parts[subject].append((index, event))
        for subject, events in parts.items():
            to = attached[subject]
            part = BlockPart(block.height, block.time_ms, to.previous, events)
            to.previous = block.height
            if to.view.tell(part):
                self._missing.pop(subject, None)  # it sees the gap in this part
            else:
                self._note_missing(subject)
        self.on_published(block.height, trio.current_time())

    def _divide(
        self,
        event: FundingPaid,
        index: int,
        parts: defaultdict[Subject, list[tuple[int, Event]]],
    ) -> None:
        """Give each account its own payment only, and the market none of them.

        There is one for each position: if all were given to all, the work of an hour would grow
        with the square of the accounts.
        """
        attached = self._attached
        if event.asset in attached:
            parts[event.asset].append((index, replace(event, payments=())))
        for payment in event.payments:
            if payment.account in attached:
                parts[payment.account].append((index, replace(event, payments=(payment,))))

    def _note_missing(self, subject: Subject) -> None:
        if not self._missing:
            self.context.set_timer("remind", REMIND_SECONDS, _Remind())
        self._missing[subject] = None

    def _remind(self) -> None:
        """Tell views of their gap by a part without events that follows the one they missed."""
        for subject in list(self._missing):
            to = self._attached[subject]
            if to.view.tell(BlockPart(to.previous, self.directory.time_ms, to.previous, [])):
                self._missing.pop(subject, None)
        if self._missing:
            self.context.set_timer("remind", REMIND_SECONDS, _Remind())


def subjects_of(event: Event) -> tuple[Subject, ...]:
    """Name the views that an event concerns, each once."""
    name_subjects = _SUBJECTS.get(type(event))
    return () if name_subjects is None else name_subjects(event)


def _of_account(event: Any) -> tuple[Subject, ...]:
    return (event.account,)


def _of_asset(event: Any) -> tuple[Subject, ...]:
    return (event.asset,)


def _of_order(event: Any) -> tuple[Subject, ...]:
    return event.asset, event.account


def _of_trade(event: Traded) -> tuple[Subject, ...]:
    return event.asset, event.maker.account, event.taker.account


def _of_funding(event: FundingPaid) -> tuple[Subject, ...]:
    return event.asset, *(payment.account for payment in event.payments)


def _of_transfer(event: Any) -> tuple[Subject, ...]:
    sender, destination = event.sender, event.destination
    return (sender,) if sender == destination else (sender, destination)


def _of_sub_account(event: Any) -> tuple[Subject, ...]:
    return event.master, event.account


def _of_rescue(event: Any) -> tuple[Subject, ...]:
    account, backstop = event.account, event.backstop
    return (account,) if account == backstop else (account, backstop)


_SUBJECTS: Final[dict[type, Callable[[Any], tuple[Subject, ...]]]] = {
    OrderPlaced: _of_order,
    OrderCanceled: _of_order,
    Traded: _of_trade,
    FundingPaid: _of_funding,
    OracleMoved: _of_asset,
    PremiumSampled: _of_asset,
    UsdSent: _of_transfer,
    TokenSent: _of_transfer,
    AssetSent: _of_transfer,
    SubAccountCreated: _of_sub_account,
    SubAccountRenamed: _of_sub_account,
    SubAccountFunded: _of_sub_account,
    CollateralSeized: _of_rescue,
    ShortfallCovered: _of_rescue,
    **dict.fromkeys(
        (
            OrderRefused,
            LeverageUpdated,
            Credited,
            AgentApproved,
            TriggerPlaced,
            TriggerArmed,
            TriggerFired,
            TriggerFailed,
            IsolatedMarginMoved,
            Liquidated,
            CancelScheduled,
            TwapStarted,
            TwapEnded,
            ClassTransferred,
            Withdrawn,
            TokenCredited,
            RequestsReserved,
        ),
        _of_account,
    ),
}
"""How the views are named that an event concerns; kinds that are not here concern no view."""

_LEARNED: Final = frozenset(
    (
        Credited,
        TokenCredited,
        UsdSent,
        TokenSent,
        AssetSent,
        CollateralSeized,
        SubAccountCreated,
        AgentApproved,
        MarketListed,
        TokenListed,
        ExchangeOpened,
    )
)
"""Kinds of events from which the directory learns."""
