"""A market in the machine: its book, its prices, and the limits that follow from its instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model.book import BookSide
from model.commands import MarkSource
from model.ids import Address
from model.instruments import Instrument, round_to_grid
from model.marks import BASIS_MS, BOOK_MS, FINE, Average, book_price, mark_price
from model.orders import resting_order
from model.premiums import Premiums
from model.refusals import Refusal
from model.state import MarketState
from model.tiers import MarginTable
from model.units import USD

if TYPE_CHECKING:
    from model.accounts import Position

OPEN_INTEREST_VALUE_MAX: Final = 2**56
"""What all long positions of a market may be worth by a rise of the oracle price, in micro-USD.

72 milliard USD. Sums of money over several markets then stay within the 64 bits of the journal.
"""

NEVER_DUE: Final = 2**127
"""Further than any price can travel."""

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


class Market:
    """One market. Prices in ticks, sizes in lots, money in micro-USD.

    ``last`` is 0 before the first trade. ``open_interest`` is the sum of all long positions.
    ``price_low`` and ``price_high`` are the first and last price within the band round the mark.
    ``prices`` remembers valid prices in ticks by their value in 1e-8.

    ``outside`` is the price on other exchanges, 0 if unknown. ``mark_before`` is the mark price
    before it was last computed. ``travel`` is how far it has moved in all, both ways added up, and
    ``looks`` the accounts to look at by how far that may go (``model.watch``). ``holders`` are all
    positions of any size. ``basis`` and ``book_average`` belong to the mark price, ``premiums`` to
    funding.
    """

    __slots__ = (
        "asks",
        "basis",
        "bids",
        "book_average",
        "default_leverage",
        "holders",
        "instrument",
        "last",
        "limit_notional_max",
        "looks",
        "lot_e8",
        "margins",
        "mark",
        "mark_before",
        "market_notional_max",
        "open_interest",
        "open_interest_max",
        "oracle",
        "outside",
        "premiums",
        "price_high",
        "price_low",
        "prices",
        "tick_e8",
        "travel",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.tick_e8 = instrument.tick_e8
        self.lot_e8 = instrument.lot_e8
        self.default_leverage = instrument.default_leverage
        self.market_notional_max = market_notional_max(instrument.max_leverage)
        self.limit_notional_max = self.market_notional_max * _LIMIT_ORDER_FACTOR
        self.margins = MarginTable(instrument.tiers)
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.holders: dict[Address, Position] = {}
        self.looks: list[tuple[int, Address]] = []
        self.basis = Average(BASIS_MS, 0)
        self.book_average = Average(BOOK_MS)
        self.premiums = Premiums()
        self.last = 0
        self.open_interest = 0
        self.open_interest_max = instrument.open_interest_max
        self.prices: dict[int, int] = {}
        self.outside = 0
        self.mark = 0
        self.travel = 0
        self.price_low = 0
        self.price_high = 0
        self.move_oracle(instrument.opening_price_e8)
        self.set_mark(self.oracle)
        self.mark_before = self.mark

    def move_oracle(self, price_e8: int, outside_e8: int = 0) -> None:
        """Take new prices, each rounded half up to the grid; the mark price stays."""
        self.oracle = round_to_grid(price_e8, self.tick_e8) // self.tick_e8
        self.outside = 0
        if outside_e8:
            self.outside = round_to_grid(outside_e8, self.tick_e8) // self.tick_e8

    def is_beyond(self, price_e8: int) -> bool:
        """Tell whether an oracle price is a rise to where positions are worth too much to write."""
        price = price_e8 // self.tick_e8
        return price > self.oracle and self.open_interest * price > OPEN_INTEREST_VALUE_MAX

    def compute_mark(self, source: MarkSource, time_ms: int) -> None:
        """Compute the mark price from everything there is now."""
        mark = self.oracle
        if source is MarkSource.MEDIAN:
            mark = self._median_mark(time_ms)
        self.mark_before = self.mark
        if mark != self.mark:
            self.set_mark(mark)

    def _median_mark(self, time_ms: int) -> int:
        bid, ask = self.bids.best_price(), self.asks.best_price()
        book = book_price(bid, ask, self.last)
        if bid and ask:
            self.basis.sample((bid + ask) * FINE // 2 - self.oracle * FINE, time_ms)
        if book is not None:
            self.book_average.sample(book, time_ms)
        return mark_price(
            oracle=self.oracle,
            basis=self.basis.get(time_ms),
            book=book,
            book_average=self.book_average.get(time_ms),
            outside=self.outside * FINE if self.outside else None,
        )

    def set_mark(self, mark: int) -> None:
        """Set the mark price and the band round it."""
        self.travel += abs(mark - self.mark)
        self.mark = mark
        self.price_low = max(1, -(mark * (100 - BAND_PERCENT) // -100))
        self.price_high = mark * (100 + BAND_PERCENT) // 100

    def hold(self, account: Address, position: Position) -> None:
        """Keep the index of holders in line after a position was opened or closed."""
        position.due = NEVER_DUE
        if position.size:
            self.holders[account] = position
        else:
            del self.holders[account]

    def cap_refusal(self, size: int, lots: int, *, is_buy: bool) -> Refusal | None:
        """Say why an order may not open anything in a market that is full, if it would.

        The market must have a cap. ``size`` is the position that the order meets.
        """
        if self.open_interest * self.mark < self.open_interest_max:
            return None
        if size and (size > 0) is not is_buy:
            return Refusal.OPEN_INTEREST_FLIP_AT_CAP if lots > abs(size) else None
        return Refusal.OPEN_INTEREST_AT_CAP

    def exceeds_cap(self, taker: int, maker: int, lots: int) -> bool:
        """Tell whether a trade would lift open interest beyond the cap, which there must be.

        ``taker`` and ``maker`` are signed positions, ``lots`` is what the taker would get.
        """
        added = max(taker + lots, 0) - max(taker, 0) + max(maker - lots, 0) - max(maker, 0)
        return added > 0 and (self.open_interest + added) * self.mark > self.open_interest_max

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
            self.premiums.premium,
            self.premiums.rate,
        )


def market_notional_max(max_leverage: int) -> int:
    """Return the largest market order, in micro-USD, of a market with this maximum leverage."""
    return next(most for least, most in _MARKET_NOTIONAL_MAX if max_leverage >= least)
