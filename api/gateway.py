"""The gateway as the routes see it: whom to ask for what.

One object, made once by the composition root and handed to every route, instead of names that
modules share. It holds addresses and read-only tables, and no state of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import define

from actors.account import ReadAccountView
from actors.channels import Channel, Subscribe, Unsubscribe
from actors.connections import Connections
from actors.history import History
from actors.market import ReadMarketView
from actors.outlet import FanoutCounts
from actors.router import Directory
from actors.source import At, Receipt, Source
from actors.subscription import Subscription
from actors.subscription_actor import wake
from actors.telemetry import Telemetry
from actors.ticker import Board
from api.subscriptions import Wanted
from model.commands import Credit, CreditSource
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.state import AccountState
from model.views.account import AccountView
from model.views.market import MarketView
from supervision import Address as ActorAddress
from supervision import Pool, Registry, State

ResultT = TypeVar("ResultT")


@define(eq=False)
class Gateway:
    """Whom to ask for what.

    Args:
        source: decides and remembers what happened.
        directory: who exists.
        board: newest numbers of every market.
        history: what happened long ago.
        registry: finds the actors of markets, accounts, the ticker and subscriptions.
        connections: the live WebSocket connections.
        counts: what fan-out did.
        telemetry: metrics and traces.
    """

    source: Source
    directory: Directory
    board: Board
    history: History
    registry: Registry
    connections: Connections
    counts: FanoutCounts
    telemetry: Telemetry
    is_draining: bool = False

    @property
    def markets(self) -> Pool[AssetId]:
        """The market actors, by asset id."""
        return self.registry.pool("markets")

    @property
    def accounts(self) -> Pool[Address]:
        """The account actors, by address."""
        return self.registry.pool("accounts")

    def why_not_ready(self) -> str:
        """Tell why the gateway should not be given traffic; nothing if it should."""
        if self.is_draining:
            return "stopping"
        for path in ("source/sequencer", "history", "router"):
            state = self.registry.address(path).state
            if state is not State.RUNNING:
                return f"{path} is {state.value}"
        for instrument in self.directory.instruments:
            actor = self.markets.get(instrument.asset)
            if actor is None or actor.state is not State.RUNNING:
                return f"market {instrument.name} is being rebuilt"
        return ""

    async def fund(self, account: Address, usd: int) -> Receipt:
        """Give an account micro-USD.

        Raises:
            SupervisionError, SourceError: see ``Source.submit``.
        """
        return await self.source.submit(Credit(account, usd, CreditSource.FUND))

    def instrument(self, coin: str) -> Instrument | None:
        """Return the market of that name, if there is one."""
        return self.directory.by_name.get(coin)

    def account_actor(self, signer: Address) -> ActorAddress:
        """Return the actor through which the actions of a signer go."""
        return self.accounts.address(self.directory.account_of(signer))

    async def read_market(self, asset: AssetId, read: Callable[[MarketView], ResultT]) -> ResultT:
        """Return the result of a pure function of a market's view."""
        result: ResultT = await self.markets.address(asset).ask(ReadMarketView(read))
        return result

    async def read_account(
        self, account: Address, read: Callable[[AccountView], ResultT]
    ) -> ResultT:
        """Return the result of a pure function of an account's view.

        Of an address that never held anything it is computed here, from nothing: questions about
        strangers must not cost actors.
        """
        if account not in self.directory.accounts:
            empty = AccountState(account, False, 0, 0, (), (), ())
            return read(AccountView(empty, self.directory.instruments))
        result: ResultT = await self.accounts.address(account).ask(ReadAccountView(read))
        return result

    async def open_account(self, at: At[AccountState]) -> AccountView:
        """Make the view of an account at a height, with the history of the time before."""
        seeds = await self.history.account_seeds(at.state.address, at.height)
        return AccountView(at.state, self.directory.instruments, seeds)

    # -- subscriptions

    def knows_subject(self, wanted: Wanted) -> bool:
        """Tell whether the market that a subscription names exists."""
        return wanted.coin is None or wanted.coin in self.directory.by_name

    def publisher(self, wanted: Wanted) -> ActorAddress:
        """Return the actor that publishes what is wanted."""
        if wanted.user is not None:
            return self.accounts.address(wanted.user)
        if wanted.coin is not None:
            return self.markets.address(self.directory.by_name[wanted.coin].asset)
        return self.registry.address("ticker")

    def wake_subscription(self, subscription: Subscription) -> bool:
        """Have a subscription drained whose client fell behind; false if nobody can."""
        return wake(self.registry.pool("subscriptions"), subscription)

    def subscribe(self, wanted: Wanted, subscription: Subscription) -> bool:
        """Begin a subscription; false if its publisher takes no more messages."""
        channel = channel_of(wanted)
        return bool(self.publisher(wanted).tell(Subscribe(channel, subscription)))

    def unsubscribe(self, wanted: Wanted, subscription: Subscription) -> None:
        """End a subscription's supply of frames."""
        self.publisher(wanted).tell(Unsubscribe(channel_of(wanted), subscription))


def channel_of(wanted: Wanted) -> Channel:
    """Return the channel that a subscription asks for."""
    return Channel(
        kind=wanted.channel,
        interval=wanted.interval,
        n_sig_figs=wanted.n_sig_figs,
        mantissa=wanted.mantissa,
        aggregate_by_time=wanted.aggregate_by_time,
        coin=wanted.coin if wanted.user is not None else None,
    )
