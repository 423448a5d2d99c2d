"""The exchange machine: takes commands in their order and says what happened.

``Exchange.apply`` is where every command arrives and where all of them branch; the rules themselves
are in the modules that it calls. The same commands in the same blocks always give the same events
and the same state.

Not offered yet, each with its place: trigger orders are refused in ``orders.form_refusal`` and
groupings in ``Exchange._place_orders``; funding will be one more command, paid out of
``Account.pay``; liquidation looks at the totals of ``margin`` after ``Exchange._move_oracle``; the
rule of the mark price is ``markets.mark_price``.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from model import clock, schedule, snapshot, trigger_entry
from model.accounts import Account
from model.agents import AgentBook
from model.commands import (
    AdminCommand,
    ApproveAgent,
    CancelOrders,
    ClientCommand,
    Command,
    Credit,
    CreditSource,
    Grouping,
    ListMarket,
    ModifyOrders,
    MoveOracle,
    Noop,
    OpenExchange,
    PlaceOrders,
    ScheduleCancel,
    SignedCommand,
    Tick,
    UpdateLeverage,
    UsdSend,
)
from model.errors import BrokenInvariantError
from model.events import (
    CommandRefused,
    Credited,
    Event,
    ExchangeOpened,
    LeverageUpdated,
    MarketListed,
    ModifyRefused,
    NonceUsed,
    OracleMoved,
    Ticked,
    UsdSent,
)
from model.fees import are_terms_valid, day_of
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.margin import adjust, demand, refresh, withdrawable
from model.markets import Market
from model.matching import MatchingEngine
from model.nonces import use_nonce
from model.orders import PRICE_E8_MAX
from model.refusals import Refusal
from model.state import AccountState, MarketState, PositionState
from model.units import PRICE_DECIMALS_MAX, USD

DIGEST_BYTES: Final = 32

CASH_MAX: Final = 10**10 * USD
"""Most that an account may hold after a credit or transfer: sums then stay within 64 bits."""

CREDITED_MAX: Final = 2**62
"""Most that all credits may come to, in micro-USD, for the same reason."""

LEVERAGE_MAX: Final = 100
"""Largest maximum leverage of a market."""

MARKETS_MAX: Final = 1000
"""Markets that may be listed; every account may hold something in each."""


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
        self.credited_usd = 0
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

    def apply(self, command: Command) -> list[Event]:  # noqa: C901, PLR0912 - one place branches
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
            return [CommandRefused(signer, Refusal.VAULT_UNKNOWN, (command.vault,))]
        kept = self.nonces.get(signer)
        if kept is None:
            kept = []
        refused = use_nonce(kept, command.nonce, self.time_ms)
        if refused is not None:
            return [CommandRefused(signer, *refused)]
        self.nonces[signer] = kept
        if command.expires_after is not None and self.time_ms > command.expires_after:
            return [CommandRefused(signer, Refusal.EXPIRED, (), True)]

        outcome: list[Event] | Refusal | tuple[Refusal, tuple[int, ...]]
        match command:
            case PlaceOrders():
                outcome = self._place_orders(account, command)
            case CancelOrders():
                outcome = self._cancel_orders(account, command)
            case ModifyOrders():
                outcome = self._modify_orders(account, command)
            case UpdateLeverage():
                outcome = self._update_leverage(account, command)
            case Noop():
                outcome = [NonceUsed(signer, command.nonce)]
            case ApproveAgent():
                outcome = self._approve_agent(account, command)
            case UsdSend():
                outcome = self._send_usd(account, command)
            case ScheduleCancel():
                outcome = schedule.set_cancel(self.engine, account, command.at_ms)
            case _:
                outcome = Refusal.NOT_OFFERED_YET
        if isinstance(outcome, list):
            return outcome
        reason, detail = outcome if isinstance(outcome, tuple) else (outcome, ())
        return [CommandRefused(signer, reason, detail, True)]

    def _apply_admin(self, command: AdminCommand) -> list[Event]:
        match command:
            case OpenExchange():
                outcome = self._open(command)
            case ListMarket():
                outcome = self._list_market(command.instrument)
            case Credit():
                outcome = self._credit(command)
            case MoveOracle():
                outcome = self._move_oracle(command)
            case Tick():
                outcome = self._tick()
            case _:
                outcome = Refusal.NOT_OFFERED_YET
        return [CommandRefused(None, outcome)] if isinstance(outcome, Refusal) else outcome

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

    def _update_leverage(self, account: Account, command: UpdateLeverage) -> list[Event] | Refusal:
        asset = command.asset
        if not 0 <= asset < len(self.engine.markets):
            return Refusal.ASSET_UNKNOWN
        if not command.is_cross:
            return Refusal.ISOLATED_NOT_OFFERED
        market = self.engine.markets[asset]
        if not 1 <= command.leverage <= market.instrument.max_leverage:
            return Refusal.LEVERAGE_INVALID
        self._refresh(account)
        position = account.position(market)
        before = position.leverage
        position.leverage = command.leverage
        added = demand(position, market.mark) - position.margin
        if added > 0 and account.value < account.required + added:
            position.leverage = before
            return Refusal.LEVERAGE_NEEDS_MARGIN
        adjust(account, position, market.mark)
        return [LeverageUpdated(account.address, asset, True, command.leverage)]

    def _approve_agent(self, account: Account, command: ApproveAgent) -> list[Event] | Refusal:
        accounts = self.engine.accounts
        refused = self.agent_book.refusal(
            account, command, address_taken=command.agent in accounts, time_ms=self.time_ms
        )
        if refused is not None:
            reason, detail = refused
            return [CommandRefused(command.signer, reason, detail, True)]
        return [self.agent_book.approve(account, command, masters=accounts, time_ms=self.time_ms)]

    def _send_usd(self, sender: Account, command: UsdSend) -> list[Event] | Refusal:
        if command.usd <= 0:
            return Refusal.TRANSFER_ZERO
        if command.destination == sender.address:
            return Refusal.TRANSFER_TO_SELF
        self._refresh(sender)
        if command.usd > withdrawable(sender, self.engine.markets):
            return Refusal.TRANSFER_TOO_LARGE
        receiver = self.engine.accounts.get(command.destination)
        if (receiver.cash if receiver is not None else 0) + command.usd > CASH_MAX:
            return Refusal.BALANCE_AT_MAX
        sender.pay(-command.usd)
        self._account_or_new(command.destination).pay(command.usd)
        return [UsdSent(sender.address, command.destination, command.usd)]

    def _account_or_new(self, address: Address) -> Account:
        account = self.engine.accounts.get(address)
        if account is None:
            account = self.engine.accounts[address] = Account(address)
        return account

    def _refresh(self, account: Account) -> None:
        if account.epoch != self.engine.epoch:
            refresh(account, self.engine.markets, self.engine.epoch)

    # ---- what operators do -------------------------------------------------------------------

    def _open(self, command: OpenExchange) -> list[Event] | Refusal:
        if self.is_open:
            return Refusal.EXCHANGE_ALREADY_OPEN
        if not are_terms_valid(command):
            return Refusal.FEES_INVALID
        self.is_open = True
        self.engine.schedule.terms = command
        return [ExchangeOpened(command)]

    def _list_market(self, instrument: Instrument) -> list[Event] | Refusal:
        if not self.is_open:
            return Refusal.EXCHANGE_NOT_OPEN
        markets = self.engine.markets
        if instrument.asset != len(markets) or len(markets) >= MARKETS_MAX:
            return Refusal.ASSET_UNKNOWN
        if not (
            0 <= instrument.size_decimals <= PRICE_DECIMALS_MAX
            and 1 <= instrument.max_leverage <= LEVERAGE_MAX
            and 0 < instrument.opening_price_e8 <= PRICE_E8_MAX
            and instrument.name
            and all(instrument.name != market.instrument.name for market in markets)
        ):
            return Refusal.MARKET_INVALID
        markets.append(Market(instrument))
        return [MarketListed(instrument)]

    def _credit(self, command: Credit) -> list[Event] | Refusal:
        if not self.is_open:
            return Refusal.EXCHANGE_NOT_OPEN
        if command.usd <= 0:
            return Refusal.CREDIT_INVALID
        account = self.engine.accounts.get(command.account)
        if (account.cash if account is not None else 0) + command.usd > CASH_MAX:
            return Refusal.BALANCE_AT_MAX
        if self.credited_usd + command.usd > CREDITED_MAX:
            return Refusal.BALANCE_AT_MAX
        self._account_or_new(command.account).pay(command.usd)
        self.credited_usd += command.usd
        if command.source is CreditSource.FAUCET:
            self.faucet_credits += 1
        return [Credited(command.account, command.usd, command.source)]

    def _move_oracle(self, command: MoveOracle) -> list[Event] | Refusal:
        markets = self.engine.markets
        for price in command.prices:
            if not 0 <= price.asset < len(markets):
                return Refusal.ASSET_UNKNOWN
            if not 0 < price.price_e8 <= PRICE_E8_MAX:
                return Refusal.PRICE_INVALID
        if not command.prices:
            return Refusal.BATCH_EMPTY
        events: list[Event] = []
        for price in command.prices:
            market = markets[price.asset]
            market.move_oracle(price.price_e8)
            events.append(OracleMoved(price.asset, market.oracle, market.mark))
        self.engine.epoch += 1
        clock.run_due(self.engine, events)
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
        """All markets' definitions, by asset id."""
        return [market.instrument for market in self.engine.markets]

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
        return self.engine.markets[asset].to_state()

    def account_state(self, address: Address) -> AccountState:
        """Return one account as a plain value; unknown ones are empty."""
        account = self.engine.accounts.get(address)
        if account is None:
            return AccountState(address, False, 0, 0, (), (), ())
        agents = self.agent_book.of_account(account, self.time_ms)
        return account.to_state(self.position_states(account), agents)

    def position_states(self, account: Account) -> tuple[PositionState, ...]:
        """Return what an account holds or chose, by asset id.

        A market without a position and with its default leverage has no entry.
        """
        markets = self.engine.markets
        return tuple(
            PositionState(asset, position.size, position.entry_notional, True, position.leverage)
            for asset, position in sorted(account.positions.items())
            if position.size or position.leverage != markets[asset].default_leverage
        )

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
        case ApproveAgent() | UsdSend():
            return True
        case Noop():
            return command.as_owner
        case _:
            return False
