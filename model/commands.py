"""Commands: actions that were checked at the edge and wait for their place in the order of events.

A command is an imperative. Prices and sizes are still integers of 1e-8 here: whether they fit the
market's grid is the exchange's decision, so that one place refuses and one table says why. Field
order is the journal format; new fields go to the end and have a default.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument


class Tif(IntEnum):
    """Time in force."""

    GTC = 0
    IOC = 1
    ALO = 2
    FRONTEND_MARKET = 3
    """Executes as IOC; shown to its owner as a market order."""


class Grouping(IntEnum):
    """How the orders of one action hang together."""

    NA = 0
    NORMAL_TPSL = 1
    POSITION_TPSL = 2


class CreditSource(IntEnum):
    """Why an account was credited."""

    FAUCET = 0
    FUND = 1


class TriggerSpec(Struct, frozen=True, array_like=True, gc=False):
    """The trigger part of a stop or take-profit order.

    Refused until the exchange has a trigger book.
    """

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


class OpenExchange(Struct, frozen=True, array_like=True, tag=32):
    """First command of every log: what the whole exchange runs under.

    Rates in parts per million.
    """

    taker_fee_ppm: int
    maker_fee_ppm: int


class ListMarket(Struct, frozen=True, array_like=True, tag=33):
    """Open a market. Its asset id must be the next free one."""

    instrument: Instrument


class Credit(Struct, frozen=True, array_like=True, tag=34):
    """Give an account micro-USD from outside the exchange."""

    account: Address
    usd: int
    source: CreditSource


class OraclePrice(Struct, frozen=True, array_like=True, gc=False):
    """A new oracle price of one market, in units of 1e-8."""

    asset: AssetId
    price_e8: int


class MoveOracle(Struct, frozen=True, array_like=True, tag=35):
    """Take new oracle prices. Each is rounded half up to the market's price grid."""

    prices: tuple[OraclePrice, ...]


ClientCommand: TypeAlias = (
    PlaceOrders | CancelOrders | ModifyOrders | UpdateLeverage | Noop | ApproveAgent | UsdSend
)
"""What signed actions become."""

AdminCommand: TypeAlias = OpenExchange | ListMarket | Credit | MoveOracle
"""What operators and the exchange's own actors may do."""

Command: TypeAlias = ClientCommand | AdminCommand
