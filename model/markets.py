"""A market in the machine: its book, its prices, and the limits that follow from its instrument."""

from __future__ import annotations

from typing import Final

from model.book import BookSide
from model.instruments import Instrument, round_to_grid
from model.orders import resting_order
from model.state import MarketState
from model.units import USD

PRICE_MEMO_SIZE_MAX: Final = 65_536
"""Valid prices that a market remembers. Forgotten all at once when full: a memo, not state."""

BAND_PERCENT: Final = 80
"""How far from the mark price an order's price may be."""

_MARKET_NOTIONAL_MAX: Final = (
    (25, 15_000_000 * USD),
    (20, 5_000_000 * USD),
    (10, 2_000_000 * USD),
    (0, 500_000 * USD),
)
"""Largest market order by least maximum leverage (Hyperliquid: contract specifications)."""

_LIMIT_ORDER_FACTOR: Final = 10
"""How many times larger a limit order may be."""


def mark_price(*, oracle: int, best_bid: int, best_ask: int, last: int) -> int:
    """Return the price that margin is computed with, in ticks.

    For now it is the oracle price. The median of oracle, book and outside prices belongs here and
    nowhere else; a book without bids or asks has 0 as its best price.
    """
    del best_bid, best_ask, last
    return oracle


class Market:
    """One market. Prices in ticks, sizes in lots, money in micro-USD.

    ``last`` is 0 before the first trade. ``open_interest`` is the sum of all long positions.
    ``price_low`` and ``price_high`` are the first and last price within the band round the mark.
    ``prices`` remembers valid prices in ticks by their value in 1e-8.
    """

    __slots__ = (
        "asks",
        "bids",
        "default_leverage",
        "instrument",
        "last",
        "limit_notional_max",
        "lot_e8",
        "mark",
        "market_notional_max",
        "open_interest",
        "oracle",
        "price_high",
        "price_low",
        "prices",
        "tick_e8",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.tick_e8 = instrument.tick_e8
        self.lot_e8 = instrument.lot_e8
        self.default_leverage = instrument.default_leverage
        self.market_notional_max = market_notional_max(instrument.max_leverage)
        self.limit_notional_max = self.market_notional_max * _LIMIT_ORDER_FACTOR
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.last = 0
        self.open_interest = 0
        self.prices: dict[int, int] = {}
        self.oracle = 0
        self.mark = 0
        self.price_low = 0
        self.price_high = 0
        self.move_oracle(instrument.opening_price_e8)

    def move_oracle(self, price_e8: int) -> None:
        """Take a new oracle price, rounded half up to the grid, and the mark that follows."""
        self.oracle = round_to_grid(price_e8, self.tick_e8) // self.tick_e8
        self.set_mark(
            mark_price(
                oracle=self.oracle,
                best_bid=self.bids.best_price(),
                best_ask=self.asks.best_price(),
                last=self.last,
            )
        )

    def set_mark(self, mark: int) -> None:
        """Set the mark price and the band round it."""
        self.mark = mark
        self.price_low = max(1, -(mark * (100 - BAND_PERCENT) // -100))
        self.price_high = mark * (100 + BAND_PERCENT) // 100

    def remember_price(self, price_e8: int) -> int:
        """Enter a valid price into the memo and return it in ticks."""
        if len(self.prices) >= PRICE_MEMO_SIZE_MAX:
            self.prices.clear()
        price = price_e8 // self.tick_e8
        self.prices[price_e8] = price
        return price

    def to_state(self) -> MarketState:
        """Return the market as a plain value."""
        return MarketState(
            self.instrument,
            self.oracle,
            self.mark,
            self.last,
            self.open_interest,
            tuple(resting_order(order) for order in self.bids),
            tuple(resting_order(order) for order in self.asks),
        )


def market_notional_max(max_leverage: int) -> int:
    """Return the largest market order, in micro-USD, of a market with this maximum leverage."""
    return next(most for least, most in _MARKET_NOTIONAL_MAX if max_leverage >= least)
