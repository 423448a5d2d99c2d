"""Wire forms of signed requests.

Field order is part of the protocol: an L1 action is signed as MessagePack of these structs, in the
order in which their fields stand here, without the fields that are ``None``. Unknown fields are
refused, because they would not be covered by the signature. Source: Hyperliquid API documentation,
exchange endpoint; the Python and TypeScript SDKs.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from model.units import DECIMAL_TEXT_LENGTH_MAX

BODY_BYTES_MAX: Final = 320 * 1024
"""A full batch of modifies of trigger orders by client id, loosely spaced, has 254 KiB."""

BATCH_MAX: Final = 1000
"""Entries of one action: an account with the usual limit of open orders can cancel them all at
once."""

TEXT_LENGTH_MAX: Final = 128
"""Names, codes and fee rates; each has a tighter rule of its own where it means anything."""

U64_MAX: Final = 2**64 - 1

# msgspec states bounds within 63 bits only; U64 has its upper bound checked where it is used.
U64: TypeAlias = Annotated[int, Meta(ge=0)]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
DecimalText: TypeAlias = Annotated[str, Meta(max_length=DECIMAL_TEXT_LENGTH_MAX)]
ShortText: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
AddressText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
VaultText: TypeAlias = Annotated[str, Meta(pattern=r"^(0x)?[0-9a-fA-F]{40}\Z")]
CloidText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{32}\Z")]
ChainIdText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
FeeRateText: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,8})?%\Z")]
ScalarText: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A wire form that takes no other fields, and leaves out those that are absent."""


# ---- parts of orders -------------------------------------------------------------------------


class LimitWire(_Strict, frozen=True, gc=False):
    """How long a limit order stands."""

    tif: Literal["Gtc", "Ioc", "Alo", "FrontendMarket"]


class TriggerWire(_Strict, frozen=True, gc=False, rename="camel"):
    """When a stop or take-profit order fires, and as what."""

    is_market: bool
    trigger_px: DecimalText
    tpsl: Literal["tp", "sl"]


class OrderTypeWire(_Strict, frozen=True):
    """Exactly one of the two is given; the reader checks it."""

    limit: LimitWire | None = None
    trigger: TriggerWire | None = None


class OrderWire(
    _Strict,
    frozen=True,
    rename={
        "asset": "a",
        "is_buy": "b",
        "price": "p",
        "size": "s",
        "reduce_only": "r",
        "kind": "t",
        "cloid": "c",
    },
):
    """One order."""

    asset: U32
    is_buy: bool
    price: DecimalText
    size: DecimalText
    reduce_only: bool
    kind: OrderTypeWire
    cloid: CloidText | None = None


class PriorityWire(_Strict, frozen=True, gc=False, rename={"priority": "p"}):
    """A grouping that only asks for priority; accepted and without effect."""

    priority: Annotated[int, Meta(ge=0, le=100_000_000)]


class BuilderWire(_Strict, frozen=True, gc=False, rename={"builder": "b", "fee": "f"}):
    """Who gets a share of the fee, in tenths of a basis point; accepted and without effect."""

    builder: AddressText
    fee: U32


class CancelWire(_Strict, frozen=True, gc=False, rename={"asset": "a", "oid": "o"}):
    """An order to cancel, by exchange id."""

    asset: U32
    oid: U64


class CancelByCloidWire(_Strict, frozen=True, gc=False):
    """An order to cancel, by client id. Its keys are long, unlike those above."""

    asset: U32
    cloid: CloidText


class ModifyWire(_Strict, frozen=True):
    """An order to replace; the id keeps its JSON type when it is signed."""

    oid: U64 | CloidText
    order: OrderWire


# ---- L1 actions ------------------------------------------------------------------------------


class OrderAction(_Strict, frozen=True, tag_field="type", tag="order"):
    """Place orders."""

    orders: Annotated[tuple[OrderWire, ...], Meta(max_length=BATCH_MAX)]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | PriorityWire
    builder: BuilderWire | None = None


class CancelAction(_Strict, frozen=True, tag_field="type", tag="cancel", rename={"fast": "f"}):
    """Cancel by exchange id."""

    cancels: Annotated[tuple[CancelWire, ...], Meta(max_length=BATCH_MAX)]
    fast: bool | None = None


class CancelByCloidAction(
    _Strict, frozen=True, tag_field="type", tag="cancelByCloid", rename={"fast": "f"}
):
    """Cancel by client id."""

    cancels: Annotated[tuple[CancelByCloidWire, ...], Meta(max_length=BATCH_MAX)]
    fast: bool | None = None


class ModifyAction(
    _Strict, frozen=True, tag_field="type", tag="modify", rename={"always_place": "a"}
):
    """Replace one order."""

    oid: U64 | CloidText
    order: OrderWire
    always_place: bool | None = None


class BatchModifyAction(
    _Strict, frozen=True, tag_field="type", tag="batchModify", rename={"always_place": "a"}
):
    """Replace orders."""

    modifies: Annotated[tuple[ModifyWire, ...], Meta(max_length=BATCH_MAX)]
    always_place: bool | None = None


class UpdateLeverageAction(
    _Strict, frozen=True, tag_field="type", tag="updateLeverage", rename="camel"
):
    """Choose the leverage in one market."""

    asset: U32
    is_cross: bool
    leverage: U32


class NoopAction(_Strict, frozen=True, tag_field="type", tag="noop"):
    """Use up a nonce."""


class SetReferrerAction(_Strict, frozen=True, tag_field="type", tag="setReferrer"):
    """Name who brought the account; accepted and without effect."""

    code: ShortText


# ---- user-signed actions ---------------------------------------------------------------------


class UserSignedAction(_Strict, frozen=True, rename="camel"):
    """What wallets add to every action of theirs."""

    hyperliquid_chain: Literal["Mainnet", "Testnet"]
    signature_chain_id: ChainIdText


class ApproveAgentAction(
    UserSignedAction, frozen=True, tag_field="type", tag="approveAgent", rename="camel"
):
    """Let another key sign for the account. Without a name, the empty name was signed."""

    agent_address: AddressText
    nonce: U64
    agent_name: ShortText | None = None


class UsdSendAction(UserSignedAction, frozen=True, tag_field="type", tag="usdSend", rename="camel"):
    """Send USD to another account. Destination and amount are signed as the client wrote them."""

    destination: AddressText
    amount: DecimalText
    time: U64


class ApproveBuilderFeeAction(
    UserSignedAction, frozen=True, tag_field="type", tag="approveBuilderFee", rename="camel"
):
    """Allow a builder a share of the fee; accepted and without effect."""

    max_fee_rate: FeeRateText
    builder: AddressText
    nonce: U64


L1Action: TypeAlias = (
    OrderAction
    | CancelAction
    | CancelByCloidAction
    | ModifyAction
    | BatchModifyAction
    | UpdateLeverageAction
    | NoopAction
    | SetReferrerAction
)
WalletAction: TypeAlias = ApproveAgentAction | UsdSendAction | ApproveBuilderFeeAction
Action: TypeAlias = L1Action | WalletAction

UNSUPPORTED_TYPES: Final = frozenset(
    """
    scheduleCancel updateIsolatedMargin usdClassTransfer withdraw3
    topUpIsolatedOnlyMargin twapOrder twapCancel createSubAccount subAccountModify
    subAccountTransfer subAccountSpotTransfer spotSend sendAsset agentSendAsset
    reserveRequestWeight userSetAbstraction agentSetAbstraction userDexAbstraction
    agentEnableDexAbstraction registerReferrer setDisplayName spotUser
    vaultTransfer vaultModify vaultDistribute createVault cDeposit cWithdraw tokenDelegate
    claimRewards convertToMultiSigUser multiSig perpDeploy spotDeploy evmUserModify
    finalizeEvmContract sendToEvmWithData CSignerAction CValidatorAction validatorL1Stream
    borrowLend userOutcome userPortfolioMargin linkStakingUser gossipPriorityBid
    hip3LiquidatorTransfer authorizeAqav2Role
    """.split()
)
"""Action types that clients know and this exchange does not offer. They are refused by name."""


# ---- envelopes -------------------------------------------------------------------------------


class SignatureWire(_Strict, frozen=True, gc=False):
    """A signature; r and s may lack leading zeros."""

    r: ScalarText
    s: ScalarText
    v: U64


class Envelope(_Strict, frozen=True, rename="camel"):
    """A signed request."""

    action: Action
    nonce: U64
    signature: SignatureWire
    vault_address: VaultText | None = None
    expires_after: U64 | None = None


class AnyAction(Struct, frozen=True):
    """An action of which nothing but its type is looked at."""

    type: ShortText


class AnyEnvelope(_Strict, frozen=True, rename="camel"):
    """A signed request for something that is not offered."""

    action: AnyAction
    nonce: U64
    signature: SignatureWire
    vault_address: VaultText | None = None
    expires_after: U64 | None = None
