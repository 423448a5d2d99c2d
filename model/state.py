"""Parts of the exchange's state as plain values: what a view starts from.

A view asks for the state of its subject at some height and applies the blocks after it. Prices are
ticks, sizes lots, money micro-USD.
"""

from __future__ import annotations

from msgspec import Struct

from model.commands import Tif
from model.events import TriggerTerms
from model.ids import Address, AssetId, Cloid, OrderId, TokenId
from model.instruments import Instrument


class RestingOrder(Struct, frozen=True, array_like=True, gc=False):
    """An order in a book. ``lots`` is its size at placement, ``remaining`` what is unfilled."""

    asset: AssetId
    account: Address
    oid: OrderId
    is_buy: bool
    price: int
    lots: int
    remaining: int
    tif: Tif
    reduce_only: bool
    cloid: Cloid | None
    placed_ms: int


class TriggerOrder(Struct, frozen=True, array_like=True, gc=False):
    """A stop or take-profit order that has not fired. Fields as in ``events.TriggerPlaced``."""

    asset: AssetId
    account: Address
    oid: OrderId
    is_buy: bool
    price: int
    lots: int
    reduce_only: bool
    cloid: Cloid | None
    terms: TriggerTerms
    parent: OrderId | None
    is_position: bool
    is_armed: bool
    placed_ms: int


class TwapState(Struct, frozen=True, array_like=True, gc=False):
    """A running TWAP. Fields as in ``events.TwapStarted`` and ``events.TwapEnded``."""

    twap_id: int
    asset: AssetId
    account: Address
    is_buy: bool
    lots: int
    reduce_only: bool
    minutes: int
    randomize: bool
    started_ms: int
    executed_lots: int
    executed_notional: int


class BalanceState(Struct, frozen=True, array_like=True, gc=False):
    """A spot balance in 1e-8 tokens.

    ``hold`` is the part that open orders have reserved, ``entry_e8`` what was paid for all of it in
    1e-8 USDC (0 for USDC itself).
    """

    token: TokenId
    total_e8: int
    hold_e8: int
    entry_e8: int


class SubAccountState(Struct, frozen=True, array_like=True, gc=False):
    """A sub-account and its name."""

    account: Address
    name: str


class MarketState(Struct, frozen=True, array_like=True):
    """One market.

    ``bids`` and ``asks`` are in priority order, best first. ``last`` is 0 before the first trade.
    ``premium`` and ``funding_rate`` (hourly, so far) are in 1 / RATE_SCALE, of the latest sample.
    """

    instrument: Instrument
    oracle: int
    mark: int
    last: int
    open_interest: int
    bids: tuple[RestingOrder, ...]
    asks: tuple[RestingOrder, ...]
    premium: int = 0
    funding_rate: int = 0


class PositionState(Struct, frozen=True, array_like=True, gc=False):
    """One account in one market.

    ``size`` is signed. ``entry_notional`` is the signed cost of the position, so the average entry
    price is entry_notional / size. A market whose leverage was chosen but that has no position has
    size 0. ``isolated_usd`` is an isolated position's own ledger of cash: margin posted minus the
    signed cost, 0 for a cross one. ``funding_paid`` are micro-USD paid (negative: received) ever,
    since the position was opened, and since it last changed.
    """

    asset: AssetId
    size: int
    entry_notional: int
    is_cross: bool
    leverage: int
    isolated_usd: int = 0
    funding_paid: tuple[int, int, int] = (0, 0, 0)


class AgentState(Struct, frozen=True, array_like=True, gc=False):
    """A key that may sign for an account until ``valid_until`` (ms).

    An empty name is the unnamed agent.
    """

    agent: Address
    name: str
    valid_until: int


class FeeState(Struct, frozen=True, array_like=True, gc=False):
    """What trades cost an account today, in parts per million.

    ``volume_14d`` (micro-USD, spot counted double) and ``maker_share_ppm`` are what the tier was
    chosen by.
    """

    taker_ppm: int
    maker_ppm: int
    spot_taker_ppm: int
    spot_maker_ppm: int
    volume_14d: int
    maker_share_ppm: int


class RequestState(Struct, frozen=True, array_like=True, gc=False):
    """How many requests an account has made and may make; ``allowed`` 0 means without limit."""

    used: int
    allowed: int
    reserved: int


class AccountState(Struct, frozen=True, array_like=True):
    """One account.

    ``cash`` is deposits minus the signed cost of cross positions minus fees minus what isolated
    positions hold. ``volume`` is what it traded so far. ``known`` is false for an address that
    never held anything; all else is then empty. ``master`` is the account that this is a
    sub-account of. ``cancel_at_ms`` is when all orders are to be cancelled. ``fees`` and
    ``requests`` are ``None`` only of an unknown account.
    """

    address: Address
    known: bool
    cash: int
    volume: int
    positions: tuple[PositionState, ...]
    orders: tuple[RestingOrder, ...]
    agents: tuple[AgentState, ...]
    triggers: tuple[TriggerOrder, ...] = ()
    twaps: tuple[TwapState, ...] = ()
    balances: tuple[BalanceState, ...] = ()
    sub_accounts: tuple[SubAccountState, ...] = ()
    master: Address | None = None
    cancel_at_ms: int | None = None
    fees: FeeState | None = None
    requests: RequestState | None = None
