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

* ``TriggerPlaced`` puts an order nowhere; ``OrderCanceled`` or ``TriggerFired`` ends its waiting.

Within the events of one command, every order of a ``PlaceOrders`` has exactly one head,
``OrderPlaced``, ``TriggerPlaced`` or ``OrderRefused``, in the order of the request, followed by
what it caused. A
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

from model.commands import CreditSource, OpenExchange, OrderSpec, Tif
from model.ids import Address, AssetId, Cloid, OrderId, TokenId, TradeId
from model.instruments import Instrument, Token
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
    SCHEDULED = 6
    """At the time that its owner had set."""
    LIQUIDATED = 7
    """Its account was liquidated."""
    SIBLING_FILLED = 8
    """The other leg of a take-profit and stop-loss pair was filled."""
    PARENT_CANCELED = 9
    """The order that it was attached to was cancelled."""
    POSITION_CLOSED = 10
    """The position that it was bound to is gone."""
    OPEN_INTEREST = 11
    """It would have made open interest grow beyond its cap."""


class TradeKind(IntEnum):
    """How a trade came about."""

    BOOK = 0
    """An order met a resting one."""
    LIQUIDATION = 1
    """The same, where the taker's order was placed to liquidate its account."""
    BACKSTOP = 2
    """The backstop took over the position of a liquidated account, at the mark price."""
    DELEVERAGING = 3
    """A position was closed against a profitable one of another account (auto-deleveraging)."""


class TwapEnd(IntEnum):
    """How a TWAP ended."""

    FINISHED = 0
    """Its time is over."""
    TERMINATED = 1
    """Its owner cancelled it."""
    STOPPED = 2
    """It could not go on: its account was liquidated or has nothing left to reduce."""


class TriggerTerms(Struct, frozen=True, array_like=True, gc=False):
    """When a trigger fires and as what.

    It fires when the mark price is at or beyond ``price`` (ticks): above it if ``is_above``, below
    it otherwise. Then it becomes an immediate order if ``is_market``, else one that may rest.
    """

    price: int
    is_above: bool
    is_market: bool
    is_stop_loss: bool


class OrderPlaced(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """An order was accepted.

    ``lots`` is what it may execute or rest with (reduce-only orders were clamped). An order that a
    trigger became keeps its id, and ``TriggerFired`` stands before it. ``twap_id`` is that of the
    TWAP whose slice this is.
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
    twap_id: int | None = None


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
    position before the trade, or of a spot pair the balance of its base token in lots.
    ``closed_pnl`` is realised profit before fees. ``fee`` is negative for a rebate; it is in
    micro-USD, and of a spot pair in 1e-8 of the token that this side receives. ``margin`` is what
    moved from the account's cross cash into the isolated position by the trade, negative for what
    came out of it, in micro-USD.
    """

    account: Address
    oid: OrderId
    cloid: Cloid | None
    remaining: int
    start_position: int
    closed_pnl: int
    fee: int
    margin: int = 0
    twap_id: int | None = None


class Traded(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Two accounts traded: two orders met at the resting order's price, unless ``kind`` says else.

    Of a liquidation of any kind the taker is the liquidated account. In BACKSTOP and DELEVERAGING
    trades no order was placed: both legs have an order id of their own that no book ever held.
    ``mark`` is the mark price then, 0 for ordinary trades. ``is_isolated`` tells that the
    liquidated position was an isolated one.
    """

    asset: AssetId
    trade_id: TradeId
    price: int
    lots: int
    taker_is_buy: bool
    taker: Leg
    maker: Leg
    kind: TradeKind = TradeKind.BOOK
    mark: int = 0
    is_isolated: bool = False


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


class ExchangeOpened(Struct, frozen=True, array_like=True, tag=13):
    """The log began, with everything that the exchange runs under."""

    terms: OpenExchange


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


class TriggerPlaced(Struct, frozen=True, array_like=True, tag=16, gc=False):
    """A stop or take-profit order was accepted. It is in no book until it fires.

    ``lots`` 0 stands for the whole position (``is_position`` only). ``parent`` is the order that it
    is attached to. ``is_armed`` is false while it waits for that order to fill.
    """

    asset: AssetId
    account: Address
    oid: OrderId
    is_buy: bool
    price: int
    lots: int
    reduce_only: bool
    cloid: Cloid | None
    terms: TriggerTerms
    parent: OrderId | None = None
    is_position: bool = False
    is_armed: bool = True


class TriggerArmed(Struct, frozen=True, array_like=True, tag=17, gc=False):
    """The order that a trigger was attached to is done; the trigger is watched from now on."""

    asset: AssetId
    account: Address
    oid: OrderId


class TriggerFired(Struct, frozen=True, array_like=True, tag=18, gc=False):
    """The mark price reached a trigger.

    ``OrderPlaced`` of the same id or ``TriggerFailed`` follows.
    """

    asset: AssetId
    account: Address
    oid: OrderId


class TriggerFailed(Struct, frozen=True, array_like=True, tag=19, gc=False):
    """A trigger fired and its order was refused; it is gone."""

    asset: AssetId
    account: Address
    oid: OrderId
    reason: Refusal


class IsolatedMarginMoved(Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Micro-USD went from the cross cash into an isolated position, or out of it if negative."""

    account: Address
    asset: AssetId
    usd: int


class PremiumSampled(Struct, frozen=True, array_like=True, tag=21, gc=False):
    """A market's premium was sampled. Both in 1 / RATE_SCALE; ``rate`` is the hourly one so far."""

    asset: AssetId
    premium: int
    rate: int


class FundingPayment(Struct, frozen=True, array_like=True, gc=False):
    """What one position got (positive) or paid (negative) in micro-USD."""

    account: Address
    size: int
    usd: int
    is_cross: bool


class FundingPaid(Struct, frozen=True, array_like=True, tag=22):
    """The hour's funding of one market. Rate and average premium in 1 / RATE_SCALE."""

    asset: AssetId
    rate: int
    premium: int
    oracle: int
    payments: tuple[FundingPayment, ...]


class Liquidated(Struct, frozen=True, array_like=True, tag=23):
    """An account fell below its maintenance margin and is being liquidated.

    ``asset`` is ``None`` for the cross positions together. ``positions`` are asset and signed size
    before it began; ``notional`` and ``account_value`` are at the mark prices then.
    """

    account: Address
    asset: AssetId | None
    notional: int
    account_value: int
    positions: tuple[tuple[AssetId, int], ...]


class CollateralSeized(Struct, frozen=True, array_like=True, tag=24, gc=False):
    """What was left of a liquidated account's money went to the backstop with its positions.

    ``asset`` is the isolated position that it was taken from, ``None`` for the cross cash.
    """

    account: Address
    backstop: Address
    asset: AssetId | None
    usd: int


class ShortfallCovered(Struct, frozen=True, array_like=True, tag=25, gc=False):
    """An account that had lost more than it had was brought back to zero.

    ``usd`` is the sum of what the backstop account and the insurance fund paid.
    """

    account: Address
    asset: AssetId | None
    usd: int
    backstop: Address
    from_backstop: int
    from_insurance: int


class CancelScheduled(Struct, frozen=True, array_like=True, tag=26, gc=False):
    """All orders of an account will be cancelled at a time, or no longer will be (``None``)."""

    account: Address
    at_ms: int | None


class TwapStarted(Struct, frozen=True, array_like=True, tag=28, gc=False):
    """A TWAP began."""

    account: Address
    twap_id: int
    asset: AssetId
    is_buy: bool
    lots: int
    reduce_only: bool
    minutes: int
    randomize: bool


class TwapEnded(Struct, frozen=True, array_like=True, tag=29, gc=False):
    """A TWAP is over. Executed lots and their value are those of all its slices."""

    account: Address
    twap_id: int
    asset: AssetId
    end: TwapEnd
    executed_lots: int
    executed_notional: int


class TwapRefused(Struct, frozen=True, array_like=True, tag=30):
    """A TWAP was not begun, or there was none to cancel. ``detail`` fills the refusal's text."""

    account: Address
    asset: AssetId
    reason: Refusal
    detail: tuple[int, ...] = ()


class ClassTransferred(Struct, frozen=True, array_like=True, tag=31, gc=False):
    """Micro-USD moved between an account's perpetuals cash and its spot balance of USDC."""

    account: Address
    usd: int
    to_perp: bool


class TokenSent(Struct, frozen=True, array_like=True, tag=32, gc=False):
    """A token moved between spot balances of two accounts, in 1e-8 tokens.

    ``usd`` is what it was worth then, in micro-USD at the mark price of its pair.
    """

    sender: Address
    destination: Address
    token: TokenId
    amount_e8: int
    usd: int = 0


class AssetSent(Struct, frozen=True, array_like=True, tag=33, gc=False):
    """A token moved between classes, and perhaps accounts, at once, in 1e-8 tokens.

    ``usd`` as in ``TokenSent``.
    """

    sender: Address
    destination: Address
    from_perp: bool
    to_perp: bool
    token: TokenId
    amount_e8: int
    nonce: int
    usd: int = 0


class Withdrawn(Struct, frozen=True, array_like=True, tag=34, gc=False):
    """Money left the exchange. The account paid ``usd`` and ``fee``."""

    account: Address
    destination: Address
    usd: int
    fee: int
    nonce: int


class SubAccountCreated(Struct, frozen=True, array_like=True, tag=35, gc=False):
    """An account opened an account of its own."""

    master: Address
    account: Address
    name: str


class SubAccountRenamed(Struct, frozen=True, array_like=True, tag=36, gc=False):
    """A sub-account has another name."""

    master: Address
    account: Address
    name: str


class SubAccountFunded(Struct, frozen=True, array_like=True, tag=37, gc=False):
    """Micro-USD moved between an account and its sub-account; out of it if not ``is_deposit``."""

    master: Address
    account: Address
    is_deposit: bool
    usd: int


class TokenListed(Struct, frozen=True, array_like=True, tag=38):
    """A token is known."""

    token: Token


class TokenCredited(Struct, frozen=True, array_like=True, tag=39, gc=False):
    """Tokens came in from outside, in 1e-8 tokens. ``usd`` as in ``TokenSent``."""

    account: Address
    token: TokenId
    amount_e8: int
    source: CreditSource
    usd: int = 0


class RequestsReserved(Struct, frozen=True, array_like=True, tag=40, gc=False):
    """An account bought requests for micro-USD."""

    account: Address
    requests: int
    usd: int


class Ticked(Struct, frozen=True, array_like=True, tag=41, gc=False):
    """The clock moved. Alone it tells that nothing was due, and the command need not be kept."""


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
    | TriggerPlaced
    | TriggerArmed
    | TriggerFired
    | TriggerFailed
    | IsolatedMarginMoved
    | PremiumSampled
    | FundingPaid
    | Liquidated
    | CollateralSeized
    | ShortfallCovered
    | CancelScheduled
    | TwapStarted
    | TwapEnded
    | TwapRefused
    | ClassTransferred
    | TokenSent
    | AssetSent
    | Withdrawn
    | SubAccountCreated
    | SubAccountRenamed
    | SubAccountFunded
    | TokenListed
    | TokenCredited
    | RequestsReserved
    | Ticked
)
