"""Wire forms of what moves money, and of settings: sends, withdrawals, sub-accounts, requests.

As in ``api.exchange.wire``, the order of fields is part of the protocol.
"""

from __future__ import annotations

from typing import Literal

from api.exchange.forms import (
    U32,
    U64,
    AddressText,
    ClassAmountText,
    DecimalText,
    ShortText,
    Strict,
    SubAccountText,
    UserSignedAction,
)

# ---- L1 actions ------------------------------------------------------------------------------


class RegisterReferrerAction(Strict, frozen=True, tag_field="type", tag="registerReferrer"):
    """Take a referral code; accepted and without effect."""

    code: ShortText


class SetDisplayNameAction(
    Strict, frozen=True, tag_field="type", tag="setDisplayName", rename="camel"
):
    """Choose a name for a leader board; accepted and without effect."""

    display_name: ShortText


class SpotDustingWire(Strict, frozen=True, gc=False, rename="camel"):
    """Whether small spot balances may be converted; there is no such conversion here."""

    opt_out: bool


class SpotUserAction(Strict, frozen=True, tag_field="type", tag="spotUser", rename="camel"):
    """Settings of spot balances; accepted and without effect."""

    toggle_spot_dusting: SpotDustingWire


class AgentSetAbstractionAction(Strict, frozen=True, tag_field="type", tag="agentSetAbstraction"):
    """How classes of an account share collateral: apart is all that there is here."""

    abstraction: Literal["i", "u", "p"]


class ReserveRequestWeightAction(Strict, frozen=True, tag_field="type", tag="reserveRequestWeight"):
    """Buy requests. A ``destination`` would buy them for another account."""

    weight: U32
    destination: AddressText | None = None


class CreateSubAccountAction(Strict, frozen=True, tag_field="type", tag="createSubAccount"):
    """Open a sub-account."""

    name: ShortText


class SubAccountModifyAction(
    Strict, frozen=True, tag_field="type", tag="subAccountModify", rename="camel"
):
    """Rename a sub-account."""

    sub_account_user: AddressText
    name: ShortText


class SubAccountTransferAction(
    Strict, frozen=True, tag_field="type", tag="subAccountTransfer", rename="camel"
):
    """Move micro-USD into a sub-account or out of it."""

    sub_account_user: AddressText
    is_deposit: bool
    usd: U64


class SubAccountSpotTransferAction(
    Strict, frozen=True, tag_field="type", tag="subAccountSpotTransfer", rename="camel"
):
    """Move tokens into a sub-account or out of it. Token and amount are hashed as written."""

    sub_account_user: AddressText
    is_deposit: bool
    token: ShortText
    amount: DecimalText


# ---- user-signed actions ---------------------------------------------------------------------


class UsdSendAction(UserSignedAction, frozen=True, tag_field="type", tag="usdSend", rename="camel"):
    """Send USD to another account. Destination and amount are signed as the client wrote them."""

    destination: AddressText
    amount: DecimalText
    time: U64


class UsdClassTransferAction(
    UserSignedAction, frozen=True, tag_field="type", tag="usdClassTransfer", rename="camel"
):
    """Move USD between perpetuals and spot."""

    amount: ClassAmountText
    to_perp: bool
    nonce: U64


class SpotSendAction(
    UserSignedAction, frozen=True, tag_field="type", tag="spotSend", rename="camel"
):
    """Send a token to another account. All texts are signed as the client wrote them."""

    destination: AddressText
    token: ShortText
    amount: DecimalText
    time: U64


class SendAssetAction(
    UserSignedAction, frozen=True, tag_field="type", tag="sendAsset", rename="camel"
):
    """Send a token between classes and accounts. All texts are signed as written."""

    destination: AddressText
    source_dex: ShortText
    destination_dex: ShortText
    token: ShortText
    amount: DecimalText
    from_sub_account: SubAccountText
    nonce: U64


class WithdrawAction(
    UserSignedAction, frozen=True, tag_field="type", tag="withdraw3", rename="camel"
):
    """Take USD off the exchange."""

    destination: AddressText
    amount: DecimalText
    time: U64


class UserDexAbstractionAction(
    UserSignedAction, frozen=True, tag_field="type", tag="userDexAbstraction", rename="camel"
):
    """Whether collateral moves between exchanges by itself; it does not here."""

    user: AddressText
    enabled: bool
    nonce: U64


class UserSetAbstractionAction(
    UserSignedAction, frozen=True, tag_field="type", tag="userSetAbstraction", rename="camel"
):
    """How classes of an account share collateral: apart is all that there is here."""

    user: AddressText
    abstraction: ShortText
    nonce: U64
