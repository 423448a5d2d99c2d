"""Commands: actions that were checked at the edge and wait for their place in the order of events.

A command is an imperative. Prices and sizes are still integers of 1e-8 here: whether they fit the
market's grid is the exchange's decision, so that one place refuses and one table says why. Field
order is the journal format; new fields go to the end and have a default.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from model.ids import Address, AssetId, Cloid, OrderId, TokenId
from model.instruments import Instrument, Token


class Tif(IntEnum):
    """Time in force."""

    GTC = 0
    IOC = 1
    ALO = 2
    FRONTEND_MARKET = 3
    """Executes as IOC; shown to its owner as a market order."""
    LIQUIDATION_MARKET = 4
    """Executes as IOC; placed by the exchange for an account that it liquidates."""


class Grouping(IntEnum):
    """How the orders of one action hang together."""

    NA = 0
    NORMAL_TPSL = 1
    POSITION_TPSL = 2


class CreditSource(IntEnum):
    """Why an account was credited."""

    FAUCET = 0
    FUND = 1


class MarkSource(IntEnum):
    """Where mark prices come from."""

    ORACLE = 0
    """The oracle price alone."""
    MEDIAN = 1
    """The median of oracle, book and outside prices, as ``model.marks`` has it."""


class TriggerSpec(Struct, frozen=True, array_like=True, gc=False):
    """The trigger part of a stop or take-profit order."""

    price_e8: int
    is_market: bool
    is_stop_loss: bool


class OrderSpec(Struct, frozen=True, array_like=True, gc=False):
    """One order as asked for: price and size in units of 1e-8."""

    asset: AssetId
    is_buy: bool
    price_e8: int
    size_e8: int
    tif: Tif
    reduce_only: bool
    cloid: Cloid | None = None
    trigger: TriggerSpec | None = None


class CancelSpec(Struct, frozen=True, array_like=True, gc=False):
    """An order to cancel, by its exchange id or by its client id."""

    asset: AssetId
    target: OrderId | Cloid


class ModifySpec(Struct, frozen=True, array_like=True, gc=False):
    """An order to replace, by its exchange id or by its client id, and what replaces it."""

    target: OrderId | Cloid
    order: OrderSpec


class SignedCommand(Struct, frozen=True, array_like=True):
    """What all commands of clients share.

    ``signer`` is the address that the signature gave: the account itself or one of its agents.
    ``nonce`` is in milliseconds since 1970 by convention. ``expires_after`` is the last millisecond
    of chain time at which the command may take effect. ``vault`` asks to act for a sub-account.
    """

    signer: Address
    nonce: int
    expires_after: int | None
    vault: Address | None


class PlaceOrders(SignedCommand, frozen=True, array_like=True, tag=1):
    """Place orders one after the other; each stands or is refused by itself."""

    orders: tuple[OrderSpec, ...]
    grouping: Grouping = Grouping.NA


class CancelOrders(SignedCommand, frozen=True, array_like=True, tag=2):
    """Cancel orders by exchange id or client id."""

    cancels: tuple[CancelSpec, ...]


class ModifyOrders(SignedCommand, frozen=True, array_like=True, tag=3):
    """Replace orders; each gets a new id and loses its time priority.

    ``always_place`` places the new order even where the old one is gone.
    """

    modifies: tuple[ModifySpec, ...]
    always_place: bool = False


class UpdateLeverage(SignedCommand, frozen=True, array_like=True, tag=4):
    """Choose the leverage of the account in one market."""

    asset: AssetId
    is_cross: bool
    leverage: int


class Noop(SignedCommand, frozen=True, array_like=True, tag=5):
    """Use up a nonce and do nothing else.

    Actions whose only effect on this exchange is that they were accepted come here as well.
    ``as_owner`` is true for those that a wallet signs for itself, never for a master account.
    """

    as_owner: bool = False


class ApproveAgent(SignedCommand, frozen=True, array_like=True, tag=6):
    """Let ``agent`` sign orders for the signer's account.

    An empty ``name`` is the account's one unnamed agent. The zero address removes the agent of that
    name. ``valid_until`` is in milliseconds of chain time; ``None`` takes the default validity.
    """

    agent: Address
    name: str = ""
    valid_until: int | None = None


class UsdSend(SignedCommand, frozen=True, array_like=True, tag=7):
    """Send micro-USD from the signer's account to another one."""

    destination: Address
    usd: int


class UpdateIsolatedMargin(SignedCommand, frozen=True, array_like=True, tag=8):
    """Move micro-USD into an isolated position, or out of it if negative."""

    asset: AssetId
    usd: int


class TopUpIsolatedMargin(SignedCommand, frozen=True, array_like=True, tag=9):
    """Add what an isolated position lacks to stand at a leverage (in 1e-8) at its mark price."""

    asset: AssetId
    leverage_e8: int


class ScheduleCancel(SignedCommand, frozen=True, array_like=True, tag=10):
    """Cancel all orders of the account at a chain time (ms); ``None`` takes that back."""

    at_ms: int | None = None


class PlaceTwap(SignedCommand, frozen=True, array_like=True, tag=11):
    """Trade a size in slices over so many minutes; ``size_e8`` in units of 1e-8."""

    asset: AssetId
    is_buy: bool
    size_e8: int
    reduce_only: bool
    minutes: int
    randomize: bool


class CancelTwap(SignedCommand, frozen=True, array_like=True, tag=12):
    """End a running TWAP."""

    asset: AssetId
    twap_id: int


class ClassTransfer(SignedCommand, frozen=True, array_like=True, tag=13):
    """Move micro-USD between the account's perpetuals cash and its spot balance of USDC.

    ``account`` is a sub-account of the signer to act for, or ``None`` for the signer itself.
    """

    usd: int
    to_perp: bool
    account: Address | None = None


class SpotSend(SignedCommand, frozen=True, array_like=True, tag=14):
    """Send a token from the signer's spot balance; ``amount_e8`` in units of 1e-8 tokens."""

    destination: Address
    token: TokenId
    amount_e8: int


class SendAsset(SignedCommand, frozen=True, array_like=True, tag=15):
    """Send a token between classes and accounts at once.

    ``from_perp`` and ``to_perp`` name the class at each end (spot otherwise); a perpetuals class
    holds USDC only. ``account`` is a sub-account of the signer to send from, or ``None``.
    """

    destination: Address
    from_perp: bool
    to_perp: bool
    token: TokenId
    amount_e8: int
    account: Address | None = None


class Withdraw(SignedCommand, frozen=True, array_like=True, tag=16):
    """Take micro-USD off the exchange. What happens beyond it is a bridge's affair."""

    destination: Address
    usd: int


class CreateSubAccount(SignedCommand, frozen=True, array_like=True, tag=17):
    """Open an account of its own that the signer's account commands."""

    name: str


class RenameSubAccount(SignedCommand, frozen=True, array_like=True, tag=18):
    """Give a sub-account another name."""

    sub_account: Address
    name: str


class SubAccountTransfer(SignedCommand, frozen=True, array_like=True, tag=19):
    """Move micro-USD into a sub-account, or back out of it."""

    sub_account: Address
    is_deposit: bool
    usd: int


class SubAccountSpotTransfer(SignedCommand, frozen=True, array_like=True, tag=20):
    """Move tokens into a sub-account, or back out of it."""

    sub_account: Address
    is_deposit: bool
    token: TokenId
    amount_e8: int


class ReserveRequests(SignedCommand, frozen=True, array_like=True, tag=21):
    """Buy so many requests beyond the account's allowance."""

    requests: int


class FeeTier(Struct, frozen=True, array_like=True, gc=False):
    """Rates in parts per million from a weighted 14-day volume (micro-USD) on."""

    volume: int
    taker_ppm: int
    maker_ppm: int
    spot_taker_ppm: int
    spot_maker_ppm: int


class MakerTier(Struct, frozen=True, array_like=True, gc=False):
    """A maker rate in parts per million from a share (in ppm) of all 14-day maker volume on."""

    share_ppm: int
    maker_ppm: int


class OpenExchange(Struct, frozen=True, array_like=True, tag=32):
    """First command of every log: what the whole exchange runs under.

    Rates in parts per million. ``fee_tiers`` are those above the base rates, ascending by volume,
    ``maker_tiers`` ascending by share. ``requests_free`` is how many requests an account has before
    its volume must earn them; 0 sets no limit.
    """

    taker_fee_ppm: int
    maker_fee_ppm: int
    spot_taker_fee_ppm: int = 0
    spot_maker_fee_ppm: int = 0
    fee_tiers: tuple[FeeTier, ...] = ()
    maker_tiers: tuple[MakerTier, ...] = ()
    mark_source: MarkSource = MarkSource.ORACLE
    requests_free: int = 0


class ListMarket(Struct, frozen=True, array_like=True, tag=33):
    """Open a market, perpetual or spot. Its asset id must be the next free one of its kind."""

    instrument: Instrument


class Credit(Struct, frozen=True, array_like=True, tag=34):
    """Give an account micro-USD from outside the exchange."""

    account: Address
    usd: int
    source: CreditSource


class OraclePrice(Struct, frozen=True, array_like=True, gc=False):
    """A new oracle price of one market, in units of 1e-8.

    ``outside_e8`` is the price of the same perpetual on other exchanges, 0 if nobody knows.
    """

    asset: AssetId
    price_e8: int
    outside_e8: int = 0


class MoveOracle(Struct, frozen=True, array_like=True, tag=35):
    """Take new oracle prices. Each is rounded half up to the market's price grid."""

    prices: tuple[OraclePrice, ...]


class Tick(Struct, frozen=True, array_like=True, tag=36):
    """Do what is due by the time of the block: samples, funding, slices, scheduled cancels."""


class ListToken(Struct, frozen=True, array_like=True, tag=37):
    """Make a token known. Its id must be the next free one; USDC is there from the start."""

    token: Token


class CreditToken(Struct, frozen=True, array_like=True, tag=38):
    """Give an account tokens from outside the exchange, in units of 1e-8."""

    account: Address
    token: TokenId
    amount_e8: int
    source: CreditSource


ClientCommand: TypeAlias = (
    PlaceOrders
    | CancelOrders
    | ModifyOrders
    | UpdateLeverage
    | Noop
    | ApproveAgent
    | UsdSend
    | UpdateIsolatedMargin
    | TopUpIsolatedMargin
    | ScheduleCancel
    | PlaceTwap
    | CancelTwap
    | ClassTransfer
    | SpotSend
    | SendAsset
    | Withdraw
    | CreateSubAccount
    | RenameSubAccount
    | SubAccountTransfer
    | SubAccountSpotTransfer
    | ReserveRequests
)
"""What signed actions become."""

AdminCommand: TypeAlias = (
    OpenExchange | ListMarket | Credit | MoveOracle | Tick | ListToken | CreditToken
)
"""What operators and the exchange's own actors may do."""

Command: TypeAlias = ClientCommand | AdminCommand
