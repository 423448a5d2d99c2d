"""Parts of the exchange's state as plain values: what a view starts from.

A view asks for the state of its subject at some height and applies the blocks after it. Prices are
ticks, sizes lots, money micro-USD.
"""

from __future__ import annotations

from msgspec import Struct

from model.commands import Tif
from model.ids import Address, AssetId, Cloid, OrderId
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


class MarketState(Struct, frozen=True, array_like=True):
    """One market.

    ``bids`` and ``asks`` are in priority order, best first. ``last`` is 0 before the first trade.
    """

    instrument: Instrument
    oracle: int
    mark: int
    last: int
    open_interest: int
    bids: tuple[RestingOrder, ...]
    asks: tuple[RestingOrder, ...]


class PositionState(Struct, frozen=True, array_like=True, gc=False):
    """One account in one market.

    ``size`` is signed. ``entry_notional`` is the signed cost of the position, so the average entry
    price is entry_notional / size. A market whose leverage was chosen but that has no position has
    size 0.
    """

    asset: AssetId
    size: int
    entry_notional: int
    is_cross: bool
    leverage: int


class AgentState(Struct, frozen=True, array_like=True, gc=False):
    """A key that may sign for an account until ``valid_until`` (ms).

    An empty name is the unnamed agent.
    """

    agent: Address
    name: str
    valid_until: int


class AccountState(Struct, frozen=True, array_like=True):
    """One account.

    ``cash`` is deposits minus the signed cost of positions minus fees. ``volume`` is what it traded
    so far. ``known`` is false for an address that never held anything; all else is then empty.
    """

    address: Address
    known: bool
    cash: int
    volume: int
    positions: tuple[PositionState, ...]
    orders: tuple[RestingOrder, ...]
    agents: tuple[AgentState, ...]
