"""The exchange machine: takes commands in their order and says what happened.

``Exchange.apply`` is where every command arrives and where all of them branch; the rules themselves
are in the modules that it calls. The same commands in the same blocks always give the same events
and the same state.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, assert_never

from msgspec import structs

from model import (
    clock,
    funding,
    leverage,
    liquidation,
    listing,
    requests,
    schedule,
    snapshot,
    subaccounts,
    transfers,
    trigger_entry,
    twap,
)
from model.accounts import Account
from model.agents import AgentBook
from model.commands import (
    AdminCommand,
    ApproveAgent,
    CancelOrders,
    CancelTwap,
    ClassTransfer,
    ClientCommand,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    CreditToken,
    Grouping,
    ListMarket,
    ListToken,
    ModifyOrders,
    MoveOracle,
    Noop,
    OpenExchange,
    PlaceOrders,
    PlaceTwap,
    RenameSubAccount,
    ReserveRequests,
    ScheduleCancel,
    SendAsset,
    SignedCommand,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    Tick,
    TopUpIsolatedMargin,
    UpdateIsolatedMargin,
    UpdateLeverage,
    UsdSend,
    Withdraw,
)
from model.errors import BrokenInvariantError
from model.events import (
    CommandRefused,
    Event,
    ExchangeOpened,
    ModifyRefused,
    NonceUsed,
    Ticked,
)
from model.fees import are_terms_valid, day_of
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, TokenId
from model.instruments import Instrument, Token
from model.matching import MatchingEngine
from model.nonces import use_nonce
from model.orders import PRICE_E8_MAX
from model.refusals import Refusal
from model.state import AccountState, MarketState, PositionState, SubAccountState

DIGEST_BYTES: Final = 32


class Exchange:
    """The whole exchange, empty at first.

    The log opens it with ``OpenExchange`` and ``ListMarket`` commands. ``height`` and ``time_ms``
    are those of the block being executed. ``faucet_credits`` counts the credits from the faucet so
    far. After an exception from ``apply`` the state is not to be trusted and must be thrown away.
    """

    def __init__(self) -> None:
        self.height = 0
        self.time_ms = 0
        self.is_open = False
        self.faucet_credits = 0
        self.engine = MatchingEngine()
        self.agent_book = AgentBook()
        self.nonces: dict[Address, list[int]] = {}

    # ---- executing ---------------------------------------------------------------------------

    def begin_block(self, height: int, time_ms: int) -> None:
        """Start the block that follows the last one; its time may equal the last one's.

        Raises:
            BrokenInvariantError: it does not follow.
        """
        if height != self.height + 1 or time_ms < self.time_ms:
            raise BrokenInvariantError(
                f"block {height} at {time_ms} ms cannot follow {self.height} at {self.time_ms} ms"
            )
        self.height = height
        self.time_ms = time_ms
        self.engine.time_ms = time_ms
        self.engine.day = day_of(time_ms)

    def apply(self, command: Command) -> list[Event]:  # noqa: C901, PLR0912, PLR0915 - one place
        """Execute one command and return what it caused, in order.

        A command that is refused as a whole gives a single ``CommandRefused``; unless its nonce was
        used, it has then changed nothing at all.
        """
        if not isinstance(command, SignedCommand):
            return self._apply_admin(command)

        signer = command.signer
        account = self._account_of(command)
        if account is None:
            return [CommandRefused(signer, _unknown_signer_refusal(command), (signer,))]
        if command.vault is not None:
            if command.vault not in account.sub_accounts:
                return [CommandRefused(signer, Refusal.VAULT_UNKNOWN, (command.vault,))]
            account = self.engine.accounts[command.vault]
        free = self.engine.schedule.terms.requests_free
        if free:
            numbers = requests.refusal_detail(account, command, free, self.time_ms)
            if numbers is not None:
                return [CommandRefused(signer, Refusal.REQUESTS_USED_UP, numbers)]
        kept = self.nonces.get(signer)
        if kept is None:
            kept = []
        refused = use_nonce(kept, command.nonce, self.time_ms)
        if refused is not None:
            return [CommandRefused(signer, *refused)]
        self.nonces[signer] = kept
        is_expired = command.expires_after is not None and self.time_ms > command.expires_after
        if free:
            requests.count(account, command, free, self.time_ms, is_expired=is_expired)
        if is_expired:
            return [CommandRefused(signer, Refusal.EXPIRED, (), True)]

        outcome: transfers.Outcome
        match command:
            case PlaceOrders():
                outcome = self._place_orders(account, command)
            case CancelOrders():
                outcome = self._cancel_orders(account, command)
            case ModifyOrders():
                outcome = self._modify_orders(account, command)
            case UpdateLeverage():
                outcome = leverage.update_leverage(self.engine, account, command)
            case UpdateIsolatedMargin():
                outcome = leverage.update_isolated_margin(self.engine, account, command)
            case TopUpIsolatedMargin():
                outcome = leverage.top_up_isolated_margin(self.engine, account, command)
            case Noop():
                outcome = [NonceUsed(signer, command.nonce)]
            case ApproveAgent():
                outcome = self._approve_agent(account, command)
            case UsdSend() | ClassTransfer() | SpotSend() | SendAsset() | Withdraw():
                outcome = self._move_money(account, command)
            case CreateSubAccount():
                outcome = subaccounts.create(self.engine, account, command)
            case RenameSubAccount():
                outcome = subaccounts.rename(account, command)
            case SubAccountTransfer():
                outcome = subaccounts.transfer(self.engine, account, command)
            case SubAccountSpotTransfer():
                outcome = subaccounts.transfer_token(self.engine, account, command)
            case ReserveRequests():
                outcome = requests.reserve(self.engine, account, command)
            case PlaceTwap():
                outcome = twap.start(self.engine, account, command)
            case CancelTwap():
                outcome = twap.cancel(self.engine, account, command)
            case ScheduleCancel():
                outcome = schedule.set_cancel(self.engine, account, command.at_ms)
            case _:
                assert_never(command)
        if isinstance(outcome, list):
            if self.engine.watch.touched:
                liquidation.heal_after_command(self.engine, outcome)
            return outcome
        reason, detail = outcome if isinstance(outcome, tuple) else (outcome, ())
        return [CommandRefused(signer, reason, detail, True)]

    def _apply_admin(self, command: AdminCommand) -> list[Event]:
        outcome: transfers.Outcome
        match command:
            case OpenExchange():
                outcome = self._open(command)
            case ListMarket() | ListToken() | Credit() | CreditToken() if not self.is_open:
                outcome = Refusal.EXCHANGE_NOT_OPEN
            case ListMarket():
                outcome = listing.list_market(self.engine, command.instrument)
            case ListToken():
                outcome = listing.list_token(self.engine, command.token)
            case Credit():
                outcome = transfers.credit(self.engine, command)
                if command.source is CreditSource.FAUCET and isinstance(outcome, list):
                    self.faucet_credits += 1
            case CreditToken():
                outcome = transfers.credit_token(self.engine, command)
            case MoveOracle():
                outcome = self._move_oracle(command)
            case Tick():
                outcome = self._tick()
            case _:
                assert_never(command)
        if isinstance(outcome, list):
            if self.engine.watch.touched:
                liquidation.heal_after_command(self.engine, outcome)
            return outcome
        reason, detail = outcome if isinstance(outcome, tuple) else (outcome, ())
        return [CommandRefused(None, reason, detail)]

    # ---- who acts ----------------------------------------------------------------------------

    def _account_of(self, command: ClientCommand) -> Account | None:
        """Return the account that a command acts for: the signer's master or the signer itself.

        Wallet-signed commands never act for a master, so an agent cannot move money or approve
        agents.
        """
        agent = self.agent_book.agents.get(command.signer)
        if (
            agent is not None
            and self.time_ms < agent.valid_until
            and not _acts_for_signer_alone(command)
        ):
            return self.engine.accounts[agent.master]
        return self.engine.accounts.get(command.signer)

    # ---- orders ------------------------------------------------------------------------------

    def _place_orders(self, account: Account, command: PlaceOrders) -> list[Event] | Refusal:
        if not command.orders:
            return Refusal.BATCH_EMPTY
        events: list[Event] = []
        if command.grouping is not Grouping.NA:
            refused = trigger_entry.place_group(
                self.engine, account, command.orders, command.grouping, events
            )
            return events if refused is None else refused
        for spec in command.orders:
            self.engine.place(account, spec, events)
        return events

    def _cancel_orders(self, account: Account, command: CancelOrders) -> list[Event] | Refusal:
        if not command.cancels:
            return Refusal.BATCH_EMPTY
        events: list[Event] = []
        for spec in command.cancels:
            self.engine.cancel(account, spec, events)
        return events

    def _modify_orders(self, account: Account, command: ModifyOrders) -> list[Event] | Refusal:
        if not command.modifies:
            return Refusal.BATCH_EMPTY
        events: list[Event] = []
        for spec in command.modifies:
            order = account.find(spec.target)
            if order is not None:
                self.engine.replace(account, order, spec.order, events)
            elif command.always_place:
                self.engine.place(account, spec.order, events)
            else:
                events.append(
                    ModifyRefused(account.address, spec.target, Refusal.MODIFY_NOTHING_THERE)
                )
        return events

    # ---- accounts ----------------------------------------------------------------------------

    def _approve_agent(self, account: Account, command: ApproveAgent) -> list[Event] | Refusal:
        accounts = self.engine.accounts
        refused = self.agent_book.refusal(
            account, command, address_taken=command.agent in accounts, time_ms=self.time_ms
        )
        if refused is not None:
            reason, detail = refused
            return [CommandRefused(command.signer, reason, detail, True)]
        return [self.agent_book.approve(account, command, masters=accounts, time_ms=self.time_ms)]

    def _move_money(
        self, account: Account, command: UsdSend | ClassTransfer | SpotSend | SendAsset | Withdraw
    ) -> transfers.Outcome:
        """Carry out a transfer out of the signer's account, or of the sub-account that it names."""
        engine = self.engine
        named = command.account if isinstance(command, ClassTransfer | SendAsset) else None
        if named is not None and named != account.address:
            if named not in account.sub_accounts:
                return Refusal.VAULT_UNKNOWN, (named,)
            account = engine.accounts[named]
        match command:
            case UsdSend():
                return transfers.send_usd(engine, account, command)
            case ClassTransfer():
                return transfers.transfer_class(engine, account, command)
            case SpotSend():
                return transfers.send_token(engine, account, command)
            case SendAsset():
                return transfers.send_asset(engine, account, command)
            case Withdraw():
                return transfers.withdraw(engine, account, command)
            case _:
                assert_never(command)

    # ---- what operators do -------------------------------------------------------------------

    def _open(self, command: OpenExchange) -> list[Event] | Refusal:
        if self.is_open:
            return Refusal.EXCHANGE_ALREADY_OPEN
        if not are_terms_valid(command):
            return Refusal.FEES_INVALID
        self.is_open = True
        self.engine.schedule.terms = command
        funding.start(self.engine)
        return [ExchangeOpened(command)]

    def _move_oracle(self, command: MoveOracle) -> list[Event] | Refusal:
        markets = self.engine.markets
        for price in command.prices:
            if not 0 <= price.asset < len(markets):
                return Refusal.ASSET_UNKNOWN
            if not 0 < price.price_e8 <= PRICE_E8_MAX:
                return Refusal.PRICE_INVALID
            if not 0 <= price.outside_e8 <= PRICE_E8_MAX:
                return Refusal.PRICE_INVALID
            if markets[price.asset].is_beyond(price.price_e8):
                return Refusal.PRICE_INVALID
        if not command.prices:
            return Refusal.BATCH_EMPTY
        events: list[Event] = []
        for price in command.prices:
            markets[price.asset].move_oracle(price.price_e8, price.outside_e8)
        clock.run_due(self.engine, events, {price.asset for price in command.prices})
        return events

    def _tick(self) -> list[Event] | Refusal:
        if not self.is_open:
            return Refusal.EXCHANGE_NOT_OPEN
        events: list[Event] = []
        clock.run_due(self.engine, events)
        return events or [Ticked()]

    # ---- looking -----------------------------------------------------------------------------

    @property
    def terms(self) -> OpenExchange:
        """What the exchange was opened with; without any fee until then."""
        return self.engine.schedule.terms

    @property
    def instruments(self) -> list[Instrument]:
        """All markets' definitions: perpetuals by asset id, then pairs."""
        return [market.instrument for market in self.engine.markets + self.engine.pairs]

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens, by token id."""
        return tuple(self.engine.tokens)

    def supply(self) -> dict[TokenId, int]:
        """Return how much there is of each token but USDC, in 1e-8 tokens."""
        return {token.token: self.engine.supply[token.token] for token in self.engine.tokens[1:]}

    def sub_accounts(self) -> dict[Address, Address]:
        """Return the master of each sub-account."""
        return {
            address: account.master
            for address, account in self.engine.accounts.items()
            if account.master is not None
        }

    def knows(self, address: Address) -> bool:
        """Tell whether this is an account: whether it was ever given money."""
        return address in self.engine.accounts

    def addresses(self) -> frozenset[Address]:
        """Return all accounts."""
        return frozenset(self.engine.accounts)

    def resolve(self, signer: Address) -> Address | None:
        """Return the account that a signer trades for: its master, itself, or ``None``."""
        master = self.agent_book.master_of(signer, self.time_ms)
        if master is not None:
            return master
        return signer if signer in self.engine.accounts else None

    def agents(self) -> dict[Address, Address]:
        """Return the masters of all agents that may sign in this block, ordered by agent."""
        return {
            address: agent.master
            for address, agent in sorted(self.agent_book.agents.items())
            if self.time_ms < agent.valid_until
        }

    def market_state(self, asset: AssetId) -> MarketState:
        """Return one market as a plain value.

        Raises:
            IndexError: there is no such market.
        """
        engine = self.engine
        if asset >= SPOT_ASSETS_FROM:
            return engine.pairs[asset - SPOT_ASSETS_FROM].to_state()
        return engine.markets[asset].to_state()

    def account_state(self, address: Address) -> AccountState:
        """Return one account as a plain value; unknown ones are empty."""
        account = self.engine.accounts.get(address)
        if account is None:
            return AccountState(address, False, 0, 0, (), (), ())
        agents = self.agent_book.of_account(account, self.time_ms)
        state = account.to_state(self.position_states(account), agents)
        return structs.replace(
            state,
            twaps=self.engine.twaps.of(address),
            balances=tuple(
                balance.to_state()
                for _, balance in sorted(account.balances.items())
                if balance.total
            ),
            sub_accounts=tuple(SubAccountState(*named) for named in account.sub_accounts.items()),
            master=account.master,
            fees=self.engine.fee_book(account).to_state(),
            requests=requests.to_state(account, self.terms.requests_free),
        )

    def position_states(self, account: Account) -> tuple[PositionState, ...]:
        """Return what an account holds or chose, by asset id.

        A market without a position and with its default leverage has no entry.
        """
        markets = self.engine.markets
        states = (
            position.to_state(markets[asset].instrument, account.address)
            for asset, position in sorted(account.positions.items())
        )
        return tuple(state for state in states if state is not None)

    # ---- keeping -----------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return the whole state as canonical bytes: equal states give equal bytes."""
        return snapshot.encode(self)

    @classmethod
    def load(cls, data: bytes) -> Exchange:
        """Make an exchange of what ``dump`` returned; it continues exactly where the other one was.

        Raises:
            UnreadableSnapshotError: the bytes are damaged or of another format.
        """
        exchange = cls()
        snapshot.restore(exchange, data)
        return exchange

    def digest(self) -> bytes:
        """Return the digest of the state."""
        return blake2b(self.dump(), digest_size=DIGEST_BYTES).digest()


def _unknown_signer_refusal(command: ClientCommand) -> Refusal:
    """Return what a signer is told that no account stands behind."""
    if _acts_for_signer_alone(command):
        return Refusal.DEPOSIT_MISSING
    return Refusal.SIGNER_UNKNOWN


def _acts_for_signer_alone(command: ClientCommand) -> bool:
    """Tell whether a command is one that a wallet signs for itself, never for a master account."""
    match command:
        case ApproveAgent() | UsdSend() | ClassTransfer() | SpotSend() | SendAsset() | Withdraw():
            return True
        case Noop():
            return command.as_owner
        case _:
            return False
