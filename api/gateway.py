"""The gateway as the routes see it: whom to ask for what.

One object, made once by the composition root and handed to every route, instead of names that
modules share. It holds addresses, tables that others write, and one number of its own: the height
of the newest block that anybody was answered with. Whoever was told of a block finds it in every
later answer: a question first waits until the router has handed all blocks up to it to the views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import Factory, define, field

from actors.account import ReadAccountView, SubmitAction
from actors.channels import Channels, ChannelsByKey, Subscribe
from actors.connections import Connections
from actors.history import History
from actors.history_queries import HistoryReader
from actors.market import ReadMarketView
from actors.outlet import FanoutCounts
from actors.router import CatchUp, Directory
from actors.source import At, Receipt, Source
from actors.subscription import Ended, Subscription
from actors.subscription_actor import wake
from actors.telemetry import Telemetry
from actors.ticker import Board
from api.framing import Wires
from api.subscriptions import NODE_CHANNELS, Wanted, channel_of
from model.commands import AdminCommand, ClientCommand, Credit, CreditSource, CreditToken
from model.ids import Address, AssetId, TokenId
from model.instruments import Instrument
from model.state import AccountState
from model.views.account import AccountView
from model.views.market import MarketView
from supervision import Address as ActorAddress
from supervision import Pool, PoolFull, Registry, Reply, State

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
        wires: how markets and accounts look.
        market_channels, account_channels, ticker_channels: who subscribed to what; these tables
            outlive the actors that publish.
        is_draining: the server says goodbye to its clients.
    """

    source: Source
    directory: Directory
    board: Board
    history: History
    registry: Registry
    connections: Connections
    counts: FanoutCounts
    telemetry: Telemetry
    wires: Wires
    market_channels: ChannelsByKey[AssetId] = Factory(ChannelsByKey)
    account_channels: ChannelsByKey[Address] = Factory(ChannelsByKey)
    ticker_channels: Channels = Factory(Channels)
    is_draining: bool = False
    _told_height: int = field(init=False, default=0)

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
        if not self.telemetry.chain_is_ready:
            return "the exchange's state is being rebuilt"
        for path in ("source/sequencer", "history/writer", "router", "services/ticker"):
            state = self.registry.address(path).state
            if state is not State.RUNNING:
                return f"{path} is {state.value}"
        for instrument in self.directory.universe:
            actor = self.markets.get(instrument.asset)
            if actor is None or actor.state is not State.RUNNING:
                return f"market {instrument.name} is being rebuilt"
        return ""

    # -- what changes the exchange

    async def submit(self, command: ClientCommand) -> Receipt:
        """Have a client's command carried out; return what it did.

        Raises:
            SupervisionError, SourceError: see ``Source.submit``.
        """
        actor = self._account_actor(command.signer)
        if actor is None:
            return self._told(await self.source.submit(command))
        receipt: Receipt = await actor.ask(SubmitAction(command))
        return self._told(receipt)

    def submit_nowait(self, command: ClientCommand, then: Callable[[Reply], None]) -> None:
        """Have a client's command carried out; ``then`` is given the reply when it is there.

        Raises:
            SupervisionError: it was not accepted; ``then`` is not called.
        """

        def tell(reply: Reply) -> None:
            if reply.error is None:
                self._told(reply.value)
            then(reply)

        actor = self._account_actor(command.signer)
        if actor is None:
            self.source.submit_nowait(command, tell)
        else:
            actor.ask_nowait(SubmitAction(command), tell)

    async def carry_out(self, command: AdminCommand) -> Receipt:
        """Carry out what no client may ask for. Errors as in ``submit``."""
        with self.telemetry.request("carry out", None, {"command.type": type(command).__name__}):
            return self._told(await self.source.submit(command))

    async def fund(self, account: Address, usd: int) -> Receipt:
        """Give an account micro-USD. Errors as in ``submit``."""
        return await self.carry_out(Credit(account, usd, CreditSource.FUND))

    async def fund_token(self, account: Address, token: TokenId, amount_e8: int) -> Receipt:
        """Give an account tokens, in units of 1e-8. Errors as in ``submit``."""
        return await self.carry_out(CreditToken(account, token, amount_e8, CreditSource.FUND))

    def _account_actor(self, signer: Address) -> ActorAddress | None:
        """Return the actor through which the actions of a signer go.

        ``None`` means straight to the sequencer, which decides anyway: for signers of no account,
        who must not cost an actor each; for an account whose view is beyond repair, so that it can
        still cancel its orders; and where there are more accounts than actors.
        """
        account = self.directory.account_of(signer)
        if account is None:
            return None
        try:
            actor = self.accounts.address(account)
        except PoolFull:
            return None
        return None if actor.state is State.FAILED else actor

    def _told(self, receipt: Receipt) -> Receipt:
        self._told_height = max(self._told_height, receipt.height)
        return receipt

    # -- what only looks

    async def catch_up(self) -> None:
        """Wait until directory and views have been given every block that anybody was told of.

        Raises:
            SupervisionError: the router is being rebuilt.
        """
        if self.directory.height < self._told_height:
            await self.registry.address("router").ask(CatchUp())

    def instrument(self, coin: str) -> Instrument | None:
        """Return the market of that name, if there is one."""
        return self.directory.universe.by_name.get(coin)

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
            return read(AccountView(empty, self.directory.universe))
        result: ResultT = await self.accounts.address(account).ask(ReadAccountView(read))
        return result

    async def read_history(self, query: Callable[[HistoryReader], ResultT]) -> ResultT:
        """Ask the history for what everyone has been told of by now."""
        return await self.history.read(query, seen_height=self.directory.height)

    async def open_account(self, at: At[AccountState]) -> AccountView:
        """Make the view of an account at a height, with the history of the time before."""
        seeds = await self.history.account_seeds(at.state.address, at.height)
        return AccountView(at.state, self.directory.universe, seeds)

    # -- subscriptions

    def knows_subject(self, wanted: Wanted) -> bool:
        """Tell whether the market that a subscription names exists."""
        if wanted.channel in NODE_CHANNELS:
            return False
        if wanted.coin is None:
            return True
        instrument = self.directory.universe.by_name.get(wanted.coin)
        if instrument is None:
            return False
        return not (instrument.is_spot and wanted.channel == "activeAssetData")

    def publisher(self, wanted: Wanted) -> ActorAddress:
        """Return the actor that publishes what is wanted."""
        if wanted.user is not None:
            return self.accounts.address(wanted.user)
        if wanted.coin is not None:
            return self.markets.address(self.directory.universe.by_name[wanted.coin].asset)
        return self.registry.address("services/ticker")

    def wake_subscription(self, subscription: Subscription) -> bool:
        """Have a subscription drained whose client fell behind; false if nobody can."""
        return wake(self.registry.pool("subscriptions"), subscription)

    def subscribe(self, wanted: Wanted, subscription: Subscription) -> bool:
        """Begin a subscription; false if its publisher takes no more messages, or there is none."""
        try:
            publisher = self.publisher(wanted)
        except PoolFull:
            return False
        return bool(publisher.tell(Subscribe(channel_of(wanted), subscription)))

    def unsubscribe(self, wanted: Wanted, subscription: Subscription) -> None:
        """End a subscription's supply of frames. Its request, if still on its way, has no effect.

        The subscription must be ended already, or end before anything else happens.
        """
        channels = self._channels(wanted)
        if channels is not None:
            channels.discard(channel_of(wanted), subscription)
        if wanted.user is not None and not self._is_running(wanted.user):
            self.account_channels.drop_if_empty(wanted.user)

    def give_up(self, path: str) -> None:
        """End the subscriptions of a publisher that stays down: no stream is better than silence.

        Args:
            path: of the actor; nothing happens if it is not a market's or an account's.
        """
        pool, _, key = path.partition("/")
        channels: Channels | None = None
        if pool == "markets":
            channels = self.market_channels.get(AssetId(int(key)))
        elif pool == "accounts":
            channels = self.account_channels.get(Address(key))
        if channels is not None:
            channels.end_all(Ended.CRASHED)

    def _channels(self, wanted: Wanted) -> Channels | None:
        if wanted.user is not None:
            return self.account_channels.get(wanted.user)
        if wanted.coin is not None:
            return self.market_channels.get(self.directory.universe.by_name[wanted.coin].asset)
        return self.ticker_channels

    def _is_running(self, account: Address) -> bool:
        actor = self.accounts.get(account)
        return actor is not None and actor.state not in (State.IDLE, State.STOPPED, State.FAILED)
