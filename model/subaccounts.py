"""Sub-accounts: accounts of their own that a master's keys command.

A sub-account has cash, positions, orders and balances of its own and shares nothing with its master
but the fee tier, to which the volume of all counts. It has no key. Whoever may sign for the master,
its agents included, acts for it by naming it as the ``vault`` of a command.

Its address is made from the master's and a number, so it is the same in every replay. Nobody knows
a key of it, hence nobody can have opened an account there; money that was sent to the address
before is the sub-account's.

Source: Hyperliquid documentation, sub-accounts.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from model.accounts import Account
from model.commands import (
    CreateSubAccount,
    RenameSubAccount,
    SubAccountSpotTransfer,
    SubAccountTransfer,
)
from model.events import (
    SubAccountCreated,
    SubAccountFunded,
    SubAccountRenamed,
    TokenSent,
)
from model.ids import Address
from model.refusals import Refusal
from model.transfers import (
    Outcome,
    account_or_new,
    cash_refusal,
    move_cash,
    move_token,
    token_refusal,
)

if TYPE_CHECKING:
    from model.matching import MatchingEngine

SUB_ACCOUNTS_MAX: Final = 10
"""Sub-accounts of one master."""

SUB_ACCOUNT_NAME_LENGTH_MAX: Final = 16

_ADDRESS_BYTES: Final = 20


def sub_account_address(master: Address, number: int) -> Address:
    """Return the address of a master's sub-account; numbers count from 0."""
    seed = bytes.fromhex(master.removeprefix("0x")) + number.to_bytes(8, "big")
    return Address("0x" + blake2b(seed).digest()[-_ADDRESS_BYTES:].hex())


def create(engine: MatchingEngine, master: Account, command: CreateSubAccount) -> Outcome:
    """Open a sub-account. One that is a sub-account itself may not have any."""
    if not 1 <= len(command.name) <= SUB_ACCOUNT_NAME_LENGTH_MAX:
        return Refusal.SUB_ACCOUNT_NAME_LENGTH
    most = SUB_ACCOUNTS_MAX if master.master is None else 0
    if len(master.sub_accounts) >= most:
        return Refusal.SUB_ACCOUNTS_AT_MAX, (most,)
    address = sub_account_address(master.address, len(master.sub_accounts))
    adopt(master, account_or_new(engine, address), command.name)
    return [SubAccountCreated(master.address, address, command.name)]


def adopt(master: Account, account: Account, name: str) -> None:
    """Make an account a master's sub-account."""
    master.sub_accounts[account.address] = name
    account.master = master.address
    account.fees = master.fees


def rename(master: Account, command: RenameSubAccount) -> Outcome:
    """Give a sub-account another name."""
    address = command.sub_account
    if address not in master.sub_accounts:
        return Refusal.VAULT_UNKNOWN, (address,)
    if not 1 <= len(command.name) <= SUB_ACCOUNT_NAME_LENGTH_MAX:
        return Refusal.SUB_ACCOUNT_NAME_LENGTH
    master.sub_accounts[address] = command.name
    return [SubAccountRenamed(master.address, address, command.name)]


def transfer(engine: MatchingEngine, master: Account, command: SubAccountTransfer) -> Outcome:
    """Move cash into a sub-account or out of it."""
    ends = _ends(engine, master, command)
    if ends is None:
        return Refusal.SUB_ACCOUNT_TRANSFER_INVALID, _names(master, command)
    sender, receiver = ends
    refused = cash_refusal(engine, sender, receiver.address, command.usd)
    if refused is not None:
        return refused
    move_cash(engine, sender, receiver.address, command.usd)
    return [SubAccountFunded(master.address, command.sub_account, command.is_deposit, command.usd)]


def transfer_token(
    engine: MatchingEngine, master: Account, command: SubAccountSpotTransfer
) -> Outcome:
    """Move tokens into a sub-account or out of it."""
    ends = _ends(engine, master, command)
    if ends is None:
        return Refusal.SUB_ACCOUNT_TRANSFER_INVALID, _names(master, command)
    sender, receiver = ends
    token, amount = command.token, command.amount_e8
    if engine.token_or_none(token) is None:
        return Refusal.TOKEN_UNKNOWN, (token,)
    refused = token_refusal(sender, token, amount)
    if refused is not None:
        return refused
    usd = move_token(engine, sender, receiver.address, token, amount)
    return [TokenSent(sender.address, receiver.address, token, amount, usd)]


def _names(
    master: Account, command: SubAccountTransfer | SubAccountSpotTransfer
) -> tuple[Address, Address]:
    """Return who gives and who gets."""
    if command.is_deposit:
        return master.address, command.sub_account
    return command.sub_account, master.address


def _ends(
    engine: MatchingEngine, master: Account, command: SubAccountTransfer | SubAccountSpotTransfer
) -> tuple[Account, Account] | None:
    """Return who gives and who gets, or ``None`` if they do not belong together."""
    if command.sub_account not in master.sub_accounts:
        return None
    sender, receiver = _names(master, command)
    return engine.accounts[sender], engine.accounts[receiver]
