"""From the wire form of what moves money to its canonical form and the command that it asks for.

Texts that wallets sign are hashed as the client wrote them, and so are the token and the amount of
an L1 transfer; everything else as ``api.exchange.canonical`` has it.
"""

from __future__ import annotations

from typing import Final, TypeAlias, assert_never

from msgspec import structs

from api.exchange.money_wire import (
    AgentSetAbstractionAction,
    CreateSubAccountAction,
    RegisterReferrerAction,
    ReserveRequestWeightAction,
    SendAssetAction,
    SetDisplayNameAction,
    SpotSendAction,
    SpotUserAction,
    SubAccountModifyAction,
    SubAccountSpotTransferAction,
    SubAccountTransferAction,
    UsdClassTransferAction,
    UsdSendAction,
    UserDexAbstractionAction,
    UserSetAbstractionAction,
    WithdrawAction,
)
from api.exchange.values import read_decimal, u64
from api.wire.tokens import token_id
from model.commands import (
    ClassTransfer,
    ClientCommand,
    CreateSubAccount,
    Noop,
    RenameSubAccount,
    ReserveRequests,
    SendAsset,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    UsdSend,
    Withdraw,
)
from model.ids import Address, TokenId
from model.refusals import Refusal, refusal_text
from model.units import E8, USD
from model.universe import Universe

MoneyAction: TypeAlias = (
    AgentSetAbstractionAction
    | CreateSubAccountAction
    | RegisterReferrerAction
    | ReserveRequestWeightAction
    | SendAssetAction
    | SetDisplayNameAction
    | SpotSendAction
    | SpotUserAction
    | SubAccountModifyAction
    | SubAccountSpotTransferAction
    | SubAccountTransferAction
    | UsdClassTransferAction
    | UsdSendAction
    | UserDexAbstractionAction
    | UserSetAbstractionAction
    | WithdrawAction
)

Head: TypeAlias = tuple[Address, int, int | None, Address | None]
"""Signer, nonce, expiry and vault: what every command begins with."""

NO_TOKEN: Final = TokenId(-1)
"""Stands in a command for a token that nobody knows. It is refused before it is used."""

_CLASSES: Final = {"": True, "spot": False}
"""Names of the two classes of an account, and whether each is that of perpetuals."""

_ABSTRACTIONS: Final = frozenset({"default", "disabled"})
"""Names of the only way in which accounts hold collateral here: each class for itself."""

_SUB_ACCOUNT: Final = " subaccount:"
_E8_PER_MICRO_USD: Final = E8 // USD

TOO_MANY_DECIMALS: Final = "Invalid number of decimals"
ABSTRACTION_NOT_OFFERED: Final = "Account abstractions are not offered on this exchange."
RESERVATION_FOR_OTHERS: Final = "Requests can be reserved for the own account only."


def read_money_action(
    action: MoneyAction, head: Head, universe: Universe
) -> tuple[MoneyAction, ClientCommand]:
    """Return the canonical form of an action and the command it asks for.

    Raises:
        MalformedDecimalError, UnreadableValueError: a field has no possible value.
    """
    match action:
        case (
            UsdSendAction()
            | UsdClassTransferAction()
            | SpotSendAction()
            | SendAssetAction()
            | WithdrawAction()
        ):
            return action, _read_transfer(action, head, universe)
        case CreateSubAccountAction(name=name):
            return action, CreateSubAccount(*head, name)
        case SubAccountModifyAction():
            address = _address(action.sub_account_user)
            lowered = structs.replace(action, sub_account_user=address)
            return lowered, RenameSubAccount(*head, address, action.name)
        case SubAccountTransferAction(is_deposit=is_deposit, usd=usd):
            address = _address(action.sub_account_user)
            return (
                structs.replace(action, sub_account_user=address),
                SubAccountTransfer(*head, address, is_deposit, u64(usd)),
            )
        case SubAccountSpotTransferAction(is_deposit=is_deposit, token=token):
            address = _address(action.sub_account_user)
            amount_e8, _ = read_decimal(action.amount)
            return (
                structs.replace(action, sub_account_user=address),
                SubAccountSpotTransfer(
                    *head, address, is_deposit, find_token(universe, token), amount_e8
                ),
            )
        case ReserveRequestWeightAction(weight=weight):
            return action, ReserveRequests(*head, weight)
        case (
            AgentSetAbstractionAction()
            | RegisterReferrerAction()
            | SetDisplayNameAction()
            | SpotUserAction()
        ):
            return action, Noop(*head)
        case UserDexAbstractionAction() | UserSetAbstractionAction():
            return action, Noop(*head, as_owner=True)
        case _:
            assert_never(action)


def money_refusal(action: object, command: ClientCommand) -> str | None:
    """Say why an action is refused whoever signed it, given the command that it became."""
    match action:
        case UsdSendAction(amount=amount) | WithdrawAction(amount=amount):
            return TOO_MANY_DECIMALS if read_decimal(amount)[0] % _E8_PER_MICRO_USD else None
        case UsdClassTransferAction():
            amount, _ = split_amount(action.amount)
            return TOO_MANY_DECIMALS if read_decimal(amount)[0] % _E8_PER_MICRO_USD else None
        case SendAssetAction():
            if action.source_dex not in _CLASSES or action.destination_dex not in _CLASSES:
                return refusal_text(Refusal.TOKEN_NOT_IN_PERP)
        case UserDexAbstractionAction(enabled=True):
            return ABSTRACTION_NOT_OFFERED
        case UserSetAbstractionAction() if action.abstraction not in _ABSTRACTIONS:
            return ABSTRACTION_NOT_OFFERED
        case AgentSetAbstractionAction() if action.abstraction != "i":
            return ABSTRACTION_NOT_OFFERED
        case ReserveRequestWeightAction() if action.destination is not None:
            return RESERVATION_FOR_OTHERS
        case _:
            pass
    match action, command:
        case (
            SendAssetAction() | SpotSendAction() | SubAccountSpotTransferAction(),
            SendAsset() | SpotSend() | SubAccountSpotTransfer(),
        ) if command.token == NO_TOKEN:
            return refusal_text(Refusal.TOKEN_UNKNOWN, (action.token,))
        case _:
            return None


def find_token(universe: Universe, text: str) -> TokenId:
    """Return the token that a client means, or NO_TOKEN.

    A token is written ``NAME:0x<id>``; its name alone is understood as well.
    """
    name, colon, identity = text.partition(":")
    for token in universe.tokens:
        if token.name == name and (not colon or identity.lower() == token_id(token)):
            return token.token
    return NO_TOKEN


def split_amount(text: str) -> tuple[str, Address | None]:
    """Return the amount of a class transfer, and the sub-account that it names behind it.

    ccxt leaves out the ``0x`` of the sub-account.
    """
    amount, named, address = text.partition(_SUB_ACCOUNT)
    return amount, _address(f"0x{address.removeprefix('0x')}") if named else None


def _read_transfer(
    action: UsdSendAction
    | UsdClassTransferAction
    | SpotSendAction
    | SendAssetAction
    | WithdrawAction,
    head: Head,
    universe: Universe,
) -> ClientCommand:
    amount, account = action.amount, None
    if isinstance(action, UsdClassTransferAction):
        amount, account = split_amount(amount)
    amount_e8, _ = read_decimal(amount)
    usd = amount_e8 // _E8_PER_MICRO_USD
    match action:
        case UsdClassTransferAction():
            return ClassTransfer(*head, usd, action.to_perp, account)
        case UsdSendAction():
            return UsdSend(*head, _address(action.destination), usd)
        case WithdrawAction():
            return Withdraw(*head, _address(action.destination), usd)
        case SpotSendAction():
            token = find_token(universe, action.token)
            return SpotSend(*head, _address(action.destination), token, amount_e8)
        case SendAssetAction():
            return SendAsset(
                *head,
                _address(action.destination),
                _CLASSES.get(action.source_dex, False),
                _CLASSES.get(action.destination_dex, False),
                find_token(universe, action.token),
                amount_e8,
                _address(action.from_sub_account) if action.from_sub_account else None,
            )
        case _:
            assert_never(action)


def _address(text: str) -> Address:
    return Address(text.lower())
