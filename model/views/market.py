"""One market as its readers see it: book, latest trades, candles, and the numbers of its context.

A market is a perpetual or a spot pair. A pair has neither oracle, funding nor open interest; its
mark price is that of its last trade.

The view starts from a ``MarketState`` and what the history knows (``MarketSeeds``), and applies the
events of its market block by block. The day's volume is a rolling one: minutes enter as they are
traded and leave after a day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from model.events import Event, FundingPaid, Leg, OracleMoved, PremiumSampled, Traded
from model.instruments import Instrument, round_to_grid
from model.state import MarketState
from model.units import RATE_SCALE
from model.views.candles import (
    DAY_MS,
    INTERVALS,
    MINUTE_MS,
    CandleFold,
    candle_of,
    interval_start,
    merged,
)
from model.views.depth import BookSide, BookView, Changes
from model.views.records import OFF_BOOK, Candle, Moment, TradeRecord, trade_from

RECENT_TRADES_MAX: Final = 100
"""Trades that a view remembers; the wire shows fewer."""

RATIO_SCALE: Final = RATE_SCALE
"""Ratios such as the premium are integers of this fraction."""


class MarketSeeds(Struct, frozen=True, array_like=True):
    """What the history knows of a market up to the height of its state; all oldest first.

    ``minutes`` are the 1m candles of the last day, ``forming`` the unfinished candle of each
    interval that has one. ``previous_day_price`` is the price a day ago, None if nothing was traded
    before.
    """

    trades: tuple[TradeRecord, ...] = ()
    minutes: tuple[Candle, ...] = ()
    forming: tuple[Candle, ...] = ()
    previous_day_price: int | None = None


NO_SEEDS: Final = MarketSeeds()
"""Of a market without history."""


class MarketChanges(Struct, frozen=True, array_like=True):
    """What one block did to a market. ``closed`` are candles that ended before the block."""

    book: Changes
    trades: tuple[TradeRecord, ...]
    closed: tuple[Candle, ...]
    oracle: bool


class MarketContext(Struct, frozen=True, array_like=True):
    """The numbers of a market's context.

    ``twice_mid`` is best bid plus best ask, None where a side is empty. ``impact`` is impact bid
    and ask, None where a side is too thin. ``premium`` is in units of 1 / RATIO_SCALE, None like
    ``impact``. Volumes are of the last day. ``funding_rate`` is the hourly rate so far, in the
    same unit. All of a pair but its prices and volumes are nothing.
    """

    oracle: int
    mark: int
    twice_mid: int | None
    impact: tuple[int, int] | None
    premium: int | None
    open_interest: int
    previous_day_price: int
    day_lots: int
    day_notional: int
    funding_rate: int = 0


class DayVolume:
    """Volume of the last 24 hours by minute, and the price that was traded before them."""

    __slots__ = ("_minutes", "lots", "notional", "previous_price")

    def __init__(self, minutes: Iterable[Candle], previous_price: int) -> None:
        self._minutes: deque[Candle] = deque(minutes)
        self.lots = sum(minute.lots for minute in self._minutes)
        self.notional = sum(minute.notional for minute in self._minutes)
        self.previous_price = previous_price

    def add(self, part: Candle, time_ms: int) -> None:
        """Take in what was traded at one moment."""
        minutes = self._minutes
        minute = interval_start("1m", time_ms)
        if minutes and minutes[-1].open_ms == minute:
            minutes[-1] = merged(minutes[-1], part)
        else:
            minutes.append(replace(part, interval="1m", open_ms=minute))
        self.lots += part.lots
        self.notional += part.notional
        self.expire(time_ms)

    def expire(self, time_ms: int) -> None:
        """Drop the minutes that ended a day ago or earlier."""
        minutes = self._minutes
        while minutes and minutes[0].open_ms + MINUTE_MS <= time_ms - DAY_MS:
            gone = minutes.popleft()
            self.lots -= gone.lots
            self.notional -= gone.notional
            self.previous_price = gone.close


class MarketView:
    """One market, followed block by block.

    Public parts: ``book``, ``trades`` (oldest first), ``candles`` (fold by interval), ``oracle``,
    ``mark``, ``last`` (0 before the first trade), ``open_interest``, ``premium`` and
    ``funding_rate`` (of the latest sample), and ``time_ms``, the latest chain time that the view
    heard of.
    """

    def __init__(self, state: MarketState, time_ms: int, seeds: MarketSeeds = NO_SEEDS) -> None:
        self.instrument = state.instrument
        self.book = BookView(state)
        self.oracle = state.oracle
        self.mark = state.mark
        self.last = state.last
        self.open_interest = state.open_interest
        self.premium = state.premium
        self.funding_rate = state.funding_rate
        self.time_ms = time_ms
        self.trades: deque[TradeRecord] = deque(seeds.trades, RECENT_TRADES_MAX)
        forming = {candle.interval: candle for candle in seeds.forming}
        self.candles = {name: CandleFold(name, forming.get(name)) for name in INTERVALS}
        previous = seeds.previous_day_price
        if previous is None:
            previous = opening_price(self.instrument)
        self.day = DayVolume(seeds.minutes, previous)

    def apply(
        self, height: int, time_ms: int, events: Iterable[tuple[int, Event]]
    ) -> MarketChanges:
        """Take in one block's events of this market, each with the index of its command."""
        closed = self.advance(time_ms)
        trades: list[TradeRecord] = []
        oracle = False
        for index, event in events:
            self.book.apply(event)
            if isinstance(event, Traded):
                if event.kind not in OFF_BOOK:
                    trades.append(trade_from(event, Moment(height, time_ms, index)))
                if not self.instrument.is_spot:
                    self.open_interest += _longs_opened(event)
            elif isinstance(event, OracleMoved):
                self.oracle, self.mark = event.oracle, event.mark
                oracle = True
            elif isinstance(event, PremiumSampled):
                self.premium, self.funding_rate = event.premium, event.rate
            elif isinstance(event, FundingPaid):
                self.funding_rate = event.rate
        if trades:
            self._trade(trades, time_ms)
        return MarketChanges(self.book.take_changes(), tuple(trades), closed, oracle)

    def advance(self, time_ms: int) -> tuple[Candle, ...]:
        """Let chain time pass; return the candles that this closed, shortest interval first."""
        self.time_ms = time_ms
        self.day.expire(time_ms)
        closed = [fold.close(time_ms) for fold in self.candles.values()]
        return tuple(candle for candle in closed if candle is not None)

    def forming(self, interval: str) -> Candle | None:
        """Return the forming candle of an interval, or the last one if nothing was traded since.

        So the last state of a candle can still be shown after its end. None if there never was one.
        """
        return self.candles[interval].latest

    def twice_mid(self) -> int | None:
        """Return best bid plus best ask, None where a side is empty."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        return None if bid is None or ask is None else bid.price + ask.price

    def context(self) -> MarketContext:
        """Return the numbers of the market's context."""
        impact = self._impact()
        return MarketContext(
            self.oracle,
            self.mark,
            self.twice_mid(),
            impact,
            None if impact is None else premium(impact, self.oracle),
            self.open_interest,
            self.day.previous_price,
            self.day.lots,
            self.day.notional,
            self.funding_rate,
        )

    def _impact(self) -> tuple[int, int] | None:
        if self.instrument.is_spot:
            return None
        notional = self.instrument.impact_notional
        bid = impact_price(self.book.bids, notional)
        ask = impact_price(self.book.asks, notional)
        return None if bid is None or ask is None else (bid, ask)

    def _trade(self, trades: list[TradeRecord], time_ms: int) -> None:
        self.trades.extend(trades)
        self.last = trades[-1].price
        if self.instrument.is_spot:
            self.mark = self.last
        part = candle_of(trades, trades[0].asset, "1m", time_ms)
        self.day.add(part, time_ms)
        for fold in self.candles.values():
            fold.add(part, time_ms)


def opening_price(instrument: Instrument) -> int:
    """Return the price that a market was listed with, in ticks."""
    tick_e8 = instrument.tick_e8
    return round_to_grid(instrument.opening_price_e8, tick_e8) // tick_e8


def impact_price(side: BookSide, notional: int) -> int | None:
    """Return the average price in ticks of trading a value against a side; None if it is too thin.

    Rounded away from the mid: down on bids, up on asks.
    """
    left, lots = notional, 0
    for key in reversed(side.keys):
        price, available = abs(key), side.levels[key][0]
        if price * available >= left:
            # The last level gives whole lots: the least that reach the value asked for.
            part = -(-left // price)
            spent = notional - left + part * price
            lots += part
            return spent // lots if side.sign > 0 else -(-spent // lots)
        left -= price * available
        lots += available
    return None


def premium(impact: tuple[int, int], oracle: int) -> int:
    """Return how far the impact prices lie beyond the oracle, in 1 / RATIO_SCALE, rounded down.

    Source: Hyperliquid documentation, funding.
    """
    bid, ask = impact
    beyond = max(bid - oracle, 0) - max(oracle - ask, 0)
    return beyond * RATIO_SCALE // oracle


def _longs_opened(event: Traded) -> int:
    """Return by how many lots a trade changed the sum of all long positions."""
    lots = event.lots
    buyer, seller = event.taker, event.maker
    if not event.taker_is_buy:
        buyer, seller = seller, buyer
    return _long_change(buyer, lots) + _long_change(seller, -lots)


def _long_change(leg: Leg, signed_lots: int) -> int:
    return max(leg.start_position + signed_lots, 0) - max(leg.start_position, 0)
