"""Wire forms of signed requests.

Field order is part of the protocol: an L1 action is signed as MessagePack of these structs, in the
order in which their fields stand here, without the fields that are ``None``. Unknown fields are
refused, because they would not be covered by the signature. Source: Hyperliquid API documentation,
exchange endpoint; the Python and TypeScript SDKs.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from api.exchange.forms import (
    I64,
    U32,
    U64,
    AddressText,
    CloidText,
    DecimalText,
    FeeRateText,
    ScalarText,
    ShortText,
    Strict,
    UserSignedAction,
    VaultText,
)
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
from api.exchange.timed_wire import ScheduleCancelAction, TwapCancelAction, TwapOrderAction

BODY_BYTES_MAX: Final = 320 * 1024
"""A full batch of modifies of trigger orders by client id, loosely spaced, has 254 KiB."""

BATCH_MAX: Final = 1000
"""Entries of one action: an account with the usual limit of open orders can cancel them all at
once."""

# ---- parts of orders -------------------------------------------------------------------------


class LimitWire(Strict, frozen=True, gc=False):
    """How long a limit order stands."""

    tif: Literal["Gtc", "Ioc", "Alo", "FrontendMarket"]


class TriggerWire(Strict, frozen=True, gc=False, rename="camel"):
    """When a stop or take-profit order fires, and as what."""

    is_market: bool
    trigger_px: DecimalText
    tpsl: Literal["tp", "sl"]


class OrderTypeWire(Strict, frozen=True):
    """Exactly one of the two is given; the reader checks it."""

    limit: LimitWire | None = None
    trigger: TriggerWire | None = None


class OrderWire(
    Strict,
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


class PriorityWire(Strict, frozen=True, gc=False, rename={"priority": "p"}):
    """A grouping that only asks for priority; accepted and without effect."""

    priority: Annotated[int, Meta(ge=0, le=100_000_000)]


class BuilderWire(Strict, frozen=True, gc=False, rename={"builder": "b", "fee": "f"}):
    """Who gets a share of the fee, in tenths of a basis point; accepted and without effect."""

    builder: AddressText
    fee: U32


class CancelWire(Strict, frozen=True, gc=False, rename={"asset": "a", "oid": "o"}):
    """An order to cancel, by exchange id."""

    asset: U32
    oid: U64


class CancelByCloidWire(Strict, frozen=True, gc=False):
    """An order to cancel, by client id. Its keys are long, unlike those above."""

    asset: U32
    cloid: CloidText


class ModifyWire(Strict, frozen=True):
    """An order to replace; the id keeps its JSON type when it is signed."""

    oid: U64 | CloidText
    order: OrderWire


# ---- L1 actions ------------------------------------------------------------------------------


class OrderAction(Strict, frozen=True, tag_field="type", tag="order"):
    """Place orders."""

    orders: Annotated[tuple[OrderWire, ...], Meta(max_length=BATCH_MAX)]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | PriorityWire
    builder: BuilderWire | None = None


class CancelAction(Strict, frozen=True, tag_field="type", tag="cancel", rename={"fast": "f"}):
    """Cancel by exchange id."""

    cancels: Annotated[tuple[CancelWire, ...], Meta(max_length=BATCH_MAX)]
    fast: bool | None = None


class CancelByCloidAction(
    Strict, frozen=True, tag_field="type", tag="cancelByCloid", rename={"fast": "f"}
):
    """Cancel by client id."""

    cancels: Annotated[tuple[CancelByCloidWire, ...], Meta(max_length=BATCH_MAX)]
    fast: bool | None = None


class ModifyAction(
    Strict, frozen=True, tag_field="type", tag="modify", rename={"always_place": "a"}
):
    """Replace one order."""

    oid: U64 | CloidText
    order: OrderWire
    always_place: bool | None = None


class BatchModifyAction(
    Strict, frozen=True, tag_field="type", tag="batchModify", rename={"always_place": "a"}
):
    """Replace orders."""

    modifies: Annotated[tuple[ModifyWire, ...], Meta(max_length=BATCH_MAX)]
    always_place: bool | None = None


class UpdateLeverageAction(
    Strict, frozen=True, tag_field="type", tag="updateLeverage", rename="camel"
):
    """Choose the leverage in one market."""

    asset: U32
    is_cross: bool
    leverage: U32


class UpdateIsolatedMarginAction(
    Strict, frozen=True, tag_field="type", tag="updateIsolatedMargin", rename="camel"
):
    """Move micro-USD into an isolated position, or out of it. ``is_buy`` has no effect."""

    asset: U32
    is_buy: bool
    ntli: I64


class TopUpIsolatedOnlyMarginAction(
    Strict, frozen=True, tag_field="type", tag="topUpIsolatedOnlyMargin", rename="camel"
):
    """Add what an isolated position lacks to stand at a leverage."""

    asset: U32
    leverage: DecimalText


class NoopAction(Strict, frozen=True, tag_field="type", tag="noop"):
    """Use up a nonce."""


class SetReferrerAction(Strict, frozen=True, tag_field="type", tag="setReferrer"):
    """Name who brought the account; accepted and without effect."""

    code: ShortText


# ---- user-signed actions ---------------------------------------------------------------------


class ApproveAgentAction(
    UserSignedAction, frozen=True, tag_field="type", tag="approveAgent", rename="camel"
):
    """Let another key sign for the account. Without a name, the empty name was signed."""

    agent_address: AddressText
    nonce: U64
    agent_name: ShortText | None = None


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
    | UpdateIsolatedMarginAction
    | TopUpIsolatedOnlyMarginAction
    | ScheduleCancelAction
    | TwapOrderAction
    | TwapCancelAction
    | NoopAction
    | SetReferrerAction
    | RegisterReferrerAction
    | SetDisplayNameAction
    | SpotUserAction
    | AgentSetAbstractionAction
    | ReserveRequestWeightAction
    | CreateSubAccountAction
    | SubAccountModifyAction
    | SubAccountTransferAction
    | SubAccountSpotTransferAction
)
WalletAction: TypeAlias = (
    ApproveAgentAction
    | ApproveBuilderFeeAction
    | UsdSendAction
    | UsdClassTransferAction
    | SpotSendAction
    | SendAssetAction
    | WithdrawAction
    | UserDexAbstractionAction
    | UserSetAbstractionAction
)
Action: TypeAlias = L1Action | WalletAction

UNSUPPORTED_TYPES: Final = frozenset(
    """
    agentSendAsset agentEnableDexAbstraction
    vaultTransfer vaultModify vaultDistribute createVault cDeposit cWithdraw tokenDelegate
    claimRewards convertToMultiSigUser multiSig perpDeploy spotDeploy evmUserModify
    finalizeEvmContract sendToEvmWithData CSignerAction CValidatorAction validatorL1Stream
    borrowLend userOutcome userPortfolioMargin linkStakingUser gossipPriorityBid
    hip3LiquidatorTransfer authorizeAqav2Role
    """.split()
)
"""Action types that clients know and this exchange does not offer. They are refused by name."""


# ---- envelopes -------------------------------------------------------------------------------


class SignatureWire(Strict, frozen=True, gc=False):
    """A signature; r and s may lack leading zeros."""

    r: ScalarText
    s: ScalarText
    v: U64


class Envelope(Strict, frozen=True, rename="camel"):
    """A signed request."""

    action: Action
    nonce: U64
    signature: SignatureWire
    vault_address: VaultText | None = None
    expires_after: U64 | None = None


class AnyAction(Struct, frozen=True):
    """An action of which nothing but its type is looked at."""

    type: ShortText


class AnyEnvelope(Strict, frozen=True, rename="camel"):
    """A signed request for something that is not offered."""

    action: AnyAction
    nonce: U64
    signature: SignatureWire
    vault_address: VaultText | None = None
    expires_after: U64 | None = None
