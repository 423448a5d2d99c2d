"""Events: what the exchange did, in the past tense.

They are all that views, histories and answers are made from. Events are few and full rather than
many and small: an order that rests costs one event, a trade costs one event with both its sides.
What a reader of the log must know to follow a book:

* ``OrderPlaced`` puts the whole order on its side of the book, whatever its time in force. While a
  block is being read, the book may therefore be crossed; after the last event of a block it never
  is.
* ``Traded`` takes ``lots`` off both orders. An order with nothing left is gone (its status is
  *filled*).
* ``OrderCanceled`` removes what is left of an order and says why.

Within the events of one command, every order of a ``PlaceOrders`` has exactly one head,
``OrderPlaced`` or ``OrderRefused``, in the order of the request, followed by what it caused. A
cancel has ``OrderCanceled`` or ``CancelRefused``. A modify has ``ModifyRefused``, or
``OrderCanceled`` of the old order (left out where the old order was gone and ``always_place`` was
asked for) and then the head of the new order.

Prices are ticks, sizes lots, money micro-USD. The time of an event is the time of its block. Field
order is the journal format; new fields go to the end and have a default.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from model.commands import CreditSource, OrderSpec, Tif
from model.ids import Address, AssetId, Cloid, OrderId, TradeId
from model.instruments import Instrument
from model.refusals import Refusal


class CancelReason(IntEnum):
    """Why an order left the book other than by being filled."""

    CANCELED = 0
    """By its owner."""
    IOC_REMAINDER = 1
    """What an immediate order could not fill at once."""
    SELF_TRADE = 2
    """It stood in the way of an order of the same account."""
    MARGIN = 3
    """Its account could no longer carry it when it was about to trade."""
    REDUCE_ONLY = 4
    """It would no longer have reduced a position."""
    MODIFIED = 5
    """By its owner, in favour of a new order."""


class OrderPlaced(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """An order was accepted.

    ``lots`` is what it may execute or rest with (reduce-only orders were clamped).
    """

    asset: AssetId
    account: Address
    oid: OrderId
    is_buy: bool
    price: int
    lots: int
    tif: Tif
    reduce_only: bool
    cloid: Cloid | None


class OrderRefused(Struct, frozen=True, array_like=True, tag=2):
    """An order was refused; nothing of it happened.

    ``detail`` holds the numbers that the refusal's text names.
    """

    account: Address
    spec: OrderSpec
    reason: Refusal
    detail: tuple[int, ...] = ()


class OrderCanceled(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """``remaining`` lots of an order left the book."""

    asset: AssetId
    account: Address
    oid: OrderId
    remaining: int
    reason: CancelReason


class CancelRefused(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """There was no such order to cancel."""

    account: Address
    asset: AssetId
    target: OrderId | Cloid
    reason: Refusal


class ModifyRefused(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """There was no such order to modify; nothing was placed."""

    account: Address
    target: OrderId | Cloid
    reason: Refusal


class Leg(Struct, frozen=True, array_like=True, gc=False):
    """One side of a trade.

    ``remaining`` is what its order has left afterwards. ``start_position`` is the account's signed
    position before the trade. ``closed_pnl`` is realised profit before fees; ``fee`` is negative
    for a rebate.
    """

    account: Address
    oid: OrderId
    cloid: Cloid | None
    remaining: int
    start_position: int
    closed_pnl: int
    fee: int


class Traded(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Two orders met at the resting order's price."""

    asset: AssetId
    trade_id: TradeId
    price: int
    lots: int
    taker_is_buy: bool
    taker: Leg
    maker: Leg


class LeverageUpdated(Struct, frozen=True, array_like=True, tag=7, gc=False):
    """An account chose its leverage in a market."""

    account: Address
    asset: AssetId
    is_cross: bool
    leverage: int


class AgentApproved(Struct, frozen=True, array_like=True, tag=8, gc=False):
    """``agent`` may sign for ``account`` until ``valid_until`` (ms).

    ``replaced`` may no longer, from now on. ``agent`` is empty when the account only removed the
    agent of that name.
    """

    account: Address
    agent: Address
    name: str
    valid_until: int
    replaced: Address | None


class Credited(Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Money came in from outside."""

    account: Address
    usd: int
    source: CreditSource


class UsdSent(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Money moved between two accounts."""

    sender: Address
    destination: Address
    usd: int


class OracleMoved(Struct, frozen=True, array_like=True, tag=11, gc=False):
    """A market has a new oracle price and, with it, a new mark price; both in ticks."""

    asset: AssetId
    oracle: int
    mark: int


class MarketListed(Struct, frozen=True, array_like=True, tag=12):
    """A market opened."""

    instrument: Instrument


class ExchangeOpened(Struct, frozen=True, array_like=True, tag=13, gc=False):
    """The log began. Rates in parts per million."""

    taker_fee_ppm: int
    maker_fee_ppm: int


class NonceUsed(Struct, frozen=True, array_like=True, tag=14, gc=False):
    """A command did nothing but use up its nonce."""

    signer: Address
    nonce: int


class CommandRefused(Struct, frozen=True, array_like=True, tag=15):
    """A command was refused as a whole.

    ``nonce_used`` tells whether it was admitted first and has used up its nonce; if not, the
    command has changed nothing at all and need not be kept. ``detail`` holds what the refusal's
    text names.
    """

    signer: Address | None
    reason: Refusal
    detail: tuple[int | str, ...] = ()
    nonce_used: bool = False


Event: TypeAlias = (
    OrderPlaced
    | OrderRefused
    | OrderCanceled
    | CancelRefused
    | ModifyRefused
    | Traded
    | LeverageUpdated
    | AgentApproved
    | Credited
    | UsdSent
    | OracleMoved
    | MarketListed
    | ExchangeOpened
    | NonceUsed
    | CommandRefused
)
