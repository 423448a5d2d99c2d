"""Orders: the mutable record in a book, and the rules on the form of an order that need no account.

An order is looked at twice. The first look is a handful of comparisons in the matching engine,
which nearly every order passes. Only when it fails is ``form_refusal`` asked, which goes through
the rules one by one and names the first that is broken, or finds the exemption that lets the order
pass after all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import astuple

from model.commands import OrderSpec, Tif
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import is_on_grid
from model.refusals import Refusal
from model.state import RestingOrder
from model.units import E8, USD

if TYPE_CHECKING:
    from model.markets import Market

PRICE_E8_MAX: Final = 10**9 * E8
"""Largest price, one milliard USD.

Keeps every product of the machine far within what the journal can hold.
"""

LOTS_MAX: Final = 2**53 - 1
"""Largest order in lots, for the same reason."""

NOTIONAL_MIN: Final = 10 * USD
"""Smallest order at its limit price; reduce-only orders are exempt so that dust can be closed."""


class Order(Struct, array_like=True, gc=False):
    """An order in the machine. Field by field what ``state.RestingOrder`` shows, but mutable.

    It refers to its account by address and holds no other object, so the garbage collector need not
    look at it (``gc=False``) and dropping an exchange leaves no cycle behind.
    """

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


def form_refusal(market: Market, spec: OrderSpec, *, is_slice: bool = False) -> Refusal | None:
    """Name the first rule on form, grid and value that an order breaks, or ``None``.

    The slice of a TWAP may be of any value. A valid price is entered into the market's memo of
    prices on the way. Sources: Hyperliquid API documentation, tick and lot size; error responses;
    contract specifications.
    """
    if not 0 < spec.price_e8 <= PRICE_E8_MAX:
        return Refusal.PRICE_INVALID
    if not is_on_grid(spec.price_e8, market.tick_e8):
        return Refusal.PRICE_OFF_GRID
    price = market.remember_price(spec.price_e8)
    lots, beyond = divmod(spec.size_e8, market.lot_e8)
    if spec.size_e8 == 0:
        return Refusal.SIZE_ZERO
    if beyond or not 0 < lots <= LOTS_MAX:
        return Refusal.SIZE_OFF_GRID
    if price * lots < NOTIONAL_MIN and not (spec.reduce_only or is_slice):
        return Refusal.NOTIONAL_TOO_SMALL
    return _value_refusal(market, spec, price, lots)


def _value_refusal(market: Market, spec: OrderSpec, price: int, lots: int) -> Refusal | None:
    is_market_order = spec.tif is Tif.FRONTEND_MARKET
    most = market.market_notional_max if is_market_order else market.limit_notional_max
    if price * lots > most:
        return Refusal.NOTIONAL_TOO_LARGE
    if not market.price_low <= price <= market.price_high:
        return Refusal.PRICE_TOO_FAR
    return None


def liquidity_refusal(market: Market, tif: Tif) -> tuple[Refusal, tuple[int, ...]]:
    """Say why an order that must rest would match, or one that must match has nothing to."""
    match tif:
        case Tif.ALO:
            bbo = (market.bids.best_price(), market.asks.best_price())
            return Refusal.POST_ONLY_WOULD_MATCH, bbo
        case Tif.IOC:
            return Refusal.IOC_FOUND_NOTHING, ()
        case _:
            return Refusal.MARKET_FOUND_NOTHING, ()


def resting_order(order: Order) -> RestingOrder:
    """Return an order as a plain value."""
    return RestingOrder(*astuple(order))
