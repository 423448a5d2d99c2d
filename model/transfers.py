"""Money that moves without a trade: credits, sends between accounts and classes, withdrawals.

An account has two classes: the cash of its perpetuals, in micro-USD, and its spot balances, in 1e-8
tokens. USDC may be in either, every other token in spot only. What leaves the perpetuals class must
not be needed there: at most ``margin.withdrawable`` may go. What leaves a spot balance must not be
held by an order.

Nothing is made or lost: over all accounts, cash plus fees plus what left the exchange plus the
USDC in spot is what was credited, and of every token the balances plus fees are its supply.
``invariants.check`` computes both from nothing.

Every function checks first and then moves, and returns its events or why it did nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from model.accounts import Account
from model.balances import COST_E8_MAX, E8_PER_MICRO_USD, SUPPLY_E8_MAX
from model.commands import (
    ClassTransfer,
    Credit,
    CreditToken,
    SendAsset,
    SpotSend,
    UsdSend,
    Withdraw,
)
from model.events import (
    AssetSent,
    ClassTransferred,
    Credited,
    Event,
    TokenCredited,
    TokenSent,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address, TokenId
from model.margin import refresh, withdrawable
from model.refusals import Refusal
from model.units import USD

if TYPE_CHECKING:
    from model.matching import MatchingEngine

Outcome: TypeAlias = list[Event] | Refusal | tuple[Refusal, tuple[int | str, ...]]
"""What a command came to: its events, or a refusal, with the detail that its text names."""

CASH_MAX: Final = 10**10 * USD
"""Most that an account may hold after a credit or transfer: sums then stay within 64 bits."""

CREDITED_MAX: Final = 2**62
"""Most that all credits may come to, in micro-USD, for the same reason."""

VALUE_MAX: Final = COST_E8_MAX // E8_PER_MICRO_USD
"""Most that an amount of a token is said to be worth, in micro-USD."""

WITHDRAWAL_FEE: Final = 1 * USD
"""Taken out of each withdrawal (Hyperliquid API documentation, initiate a withdrawal request)."""


class _Move(Struct, frozen=True):
    """What goes from which class to which; what is to be cash must be whole micro-USD."""

    token: TokenId
    amount_e8: int
    from_perp: bool
    to_perp: bool

    @property
    def usd(self) -> int:
        """The amount of USDC in micro-USD."""
        return self.amount_e8 // E8_PER_MICRO_USD


# ---- from outside ------------------------------------------------------------------------------


def credit(engine: MatchingEngine, command: Credit) -> Outcome:
    """Give an account cash."""
    if command.usd <= 0:
        return Refusal.CREDIT_INVALID
    if _exceeds_cash(engine, command.account, command.usd):
        return Refusal.BALANCE_AT_MAX
    if engine.credited_usd + command.usd > CREDITED_MAX:
        return Refusal.BALANCE_AT_MAX
    account_or_new(engine, command.account).pay(command.usd)
    engine.credited_usd += command.usd
    return [Credited(command.account, command.usd, command.source)]


def credit_token(engine: MatchingEngine, command: CreditToken) -> Outcome:
    """Give an account tokens."""
    token, amount = command.token, command.amount_e8
    if not 0 <= token < len(engine.tokens):
        return Refusal.TOKEN_UNKNOWN, (token,)
    if amount <= 0:
        return Refusal.CREDIT_INVALID
    if engine.supply[token] + amount > SUPPLY_E8_MAX:
        return Refusal.BALANCE_AT_MAX
    if token == USDC:
        usd, beyond = divmod(amount, E8_PER_MICRO_USD)
        if beyond:
            return Refusal.AMOUNT_TOO_FINE
        if engine.credited_usd + usd > CREDITED_MAX:
            return Refusal.BALANCE_AT_MAX
        engine.credited_usd += usd
    engine.supply[token] += amount
    account_or_new(engine, command.account).balance(token).receive(amount)
    usd = value_of(engine, token, amount)
    return [TokenCredited(command.account, token, amount, command.source, usd)]


# ---- between accounts and classes --------------------------------------------------------------


def send_usd(engine: MatchingEngine, sender: Account, command: UsdSend) -> Outcome:
    """Send cash to another account's cash."""
    if command.destination == sender.address:
        return Refusal.TRANSFER_TO_SELF
    refused = cash_refusal(engine, sender, command.destination, command.usd)
    if refused is not None:
        return refused
    move_cash(engine, sender, command.destination, command.usd)
    return [UsdSent(sender.address, command.destination, command.usd)]


def transfer_class(engine: MatchingEngine, account: Account, command: ClassTransfer) -> Outcome:
    """Move USDC between an account's cash and its spot balance."""
    usd, to_perp = command.usd, command.to_perp
    move = _Move(USDC, usd * E8_PER_MICRO_USD, not to_perp, to_perp)
    refused = _refusal(engine, account, account.address, move)
    if refused is not None:
        return refused
    _carry_out(engine, account, account, move)
    return [ClassTransferred(account.address, usd, to_perp)]


def send_token(engine: MatchingEngine, sender: Account, command: SpotSend) -> Outcome:
    """Send a token from spot balance to spot balance."""
    token, amount, destination = command.token, command.amount_e8, command.destination
    if engine.token_or_none(token) is None:
        return Refusal.TOKEN_UNKNOWN, (token,)
    if destination == sender.address:
        return Refusal.TRANSFER_TO_SELF
    refused = token_refusal(sender, token, amount)
    if refused is not None:
        return refused
    usd = move_token(engine, sender, destination, token, amount)
    return [TokenSent(sender.address, destination, token, amount, usd)]


def send_asset(engine: MatchingEngine, sender: Account, command: SendAsset) -> Outcome:
    """Send a token from a class of one account to a class of another one, or of the same."""
    token, amount, destination = command.token, command.amount_e8, command.destination
    from_perp, to_perp = command.from_perp, command.to_perp
    if engine.token_or_none(token) is None:
        return Refusal.TOKEN_UNKNOWN, (token,)
    if (from_perp or to_perp) and token != USDC:
        return Refusal.TOKEN_NOT_IN_PERP
    if (from_perp or to_perp) and amount % E8_PER_MICRO_USD:
        return Refusal.AMOUNT_TOO_FINE
    if destination == sender.address and from_perp is to_perp:
        return Refusal.TRANSFER_TO_SELF
    move = _Move(token, amount, from_perp, to_perp)
    refused = _refusal(engine, sender, destination, move)
    if refused is not None:
        return refused
    usd = value_of(engine, token, amount)
    _carry_out(engine, sender, account_or_new(engine, destination), move)
    return [
        AssetSent(
            sender.address, destination, from_perp, to_perp, token, amount, command.nonce, usd
        )
    ]


def withdraw(engine: MatchingEngine, account: Account, command: Withdraw) -> Outcome:
    """Take cash off the exchange. The fee is part of the amount that was asked for."""
    usd = command.usd - WITHDRAWAL_FEE
    if usd <= 0:
        return Refusal.WITHDRAWAL_TOO_SMALL, (WITHDRAWAL_FEE // USD,)
    if command.usd > _free_cash(engine, account):
        return Refusal.WITHDRAWAL_TOO_LARGE
    account.pay(-command.usd)
    engine.fees += WITHDRAWAL_FEE
    engine.withdrawn_usd += usd
    return [Withdrawn(account.address, command.destination, usd, WITHDRAWAL_FEE, command.nonce)]


# ---- parts -------------------------------------------------------------------------------------


def account_or_new(engine: MatchingEngine, address: Address) -> Account:
    """Return an account, which begins to exist if it did not."""
    account = engine.accounts.get(address)
    if account is None:
        account = engine.accounts[address] = Account(address, engine.watch.touched)
    return account


def cash_refusal(
    engine: MatchingEngine, sender: Account, destination: Address, usd: int
) -> Refusal | None:
    """Say why cash may not go to another account."""
    if usd <= 0:
        return Refusal.TRANSFER_ZERO
    if usd > _free_cash(engine, sender):
        return Refusal.TRANSFER_TOO_LARGE
    return Refusal.BALANCE_AT_MAX if _exceeds_cash(engine, destination, usd) else None


def move_cash(engine: MatchingEngine, sender: Account, destination: Address, usd: int) -> None:
    """Move cash that may go."""
    sender.pay(-usd)
    account_or_new(engine, destination).pay(usd)


def token_refusal(sender: Account, token: TokenId, amount_e8: int) -> Refusal | None:
    """Say why a known token may not leave a spot balance."""
    if amount_e8 <= 0:
        return Refusal.TRANSFER_ZERO
    return Refusal.TRANSFER_TOO_LARGE if amount_e8 > sender.available(token) else None


def move_token(
    engine: MatchingEngine, sender: Account, destination: Address, token: TokenId, amount_e8: int
) -> int:
    """Move tokens that may go; return what they are worth, which is what they cost from now on."""
    usd = value_of(engine, token, amount_e8)
    sender.balance(token).spend(amount_e8)
    receiver = account_or_new(engine, destination)
    receiver.balance(token).receive(amount_e8, usd * E8_PER_MICRO_USD)
    return usd


def value_of(engine: MatchingEngine, token: TokenId, amount_e8: int) -> int:
    """Return what tokens are worth at the mark price of their pair, in micro-USD, rounded down.

    A token that no pair trades is worth nothing that anybody knows, and more than VALUE_MAX is said
    of no amount.
    """
    if token == USDC:
        return amount_e8 // E8_PER_MICRO_USD
    for market in engine.pairs:
        if market.instrument.base == token:
            value = amount_e8 * market.mark // (market.lot_e8 * E8_PER_MICRO_USD)
            return min(value, VALUE_MAX)
    return 0


def _refusal(
    engine: MatchingEngine, sender: Account, destination: Address, move: _Move
) -> Refusal | None:
    """Say why a token may not go from one class to another."""
    if move.amount_e8 <= 0:
        return Refusal.TRANSFER_ZERO
    available = sender.available(move.token)
    if move.from_perp:
        available = _free_cash(engine, sender) * E8_PER_MICRO_USD
    if move.amount_e8 > available:
        return Refusal.TRANSFER_TOO_LARGE
    if move.to_perp and _exceeds_cash(engine, destination, move.usd):
        return Refusal.BALANCE_AT_MAX
    into_spot = move.from_perp and not move.to_perp
    if into_spot and engine.supply[USDC] + move.amount_e8 > SUPPLY_E8_MAX:
        return Refusal.BALANCE_AT_MAX
    return None


def _carry_out(engine: MatchingEngine, sender: Account, receiver: Account, move: _Move) -> None:
    """Move a token between classes, when it may."""
    token, amount = move.token, move.amount_e8
    if move.from_perp:
        sender.pay(-move.usd)
        engine.supply[token] += amount
    else:
        sender.balance(token).spend(amount)
    if move.to_perp:
        receiver.pay(move.usd)
        engine.supply[token] -= amount
    else:
        cost = value_of(engine, token, amount) * E8_PER_MICRO_USD
        receiver.balance(token).receive(amount, cost)


def _free_cash(engine: MatchingEngine, account: Account) -> int:
    """Return how much cash may leave an account."""
    if account.epoch != engine.epoch:
        refresh(account, engine.markets, engine.epoch)
    return withdrawable(account, engine.markets)


def _exceeds_cash(engine: MatchingEngine, address: Address, usd: int) -> bool:
    """Tell whether an account would hold too much with that much more."""
    account = engine.accounts.get(address)
    return (account.cash if account is not None else 0) + usd > CASH_MAX
