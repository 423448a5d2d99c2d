"""The picture of ``zaraba watch``: a market's state, and its lines of text.

``render`` is a pure function from what was heard to lines of exactly the terminal's width, coloured
by a palette. ``api.watch`` hears and draws.

    BTC   http://127.0.0.1:8000                                           live
    mark 65,012   oracle 65,010   24h +0.42%   volume 1.23M USD   open interest 310.5

        price      size     total                time              price      size
       65,021    1.2000    3.9000 ██████▌        12:00:03  buy    65,013    0.0100
    ── spread 6 (0.9 bp) ───────────────         12:00:01  sell   65,007    0.3000
       65,007    0.8000    0.8000 ████
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from model.units import format_decimal, parse_decimal

LEVELS_MAX: Final = 20
"""Levels a side that the exchange sends."""
TRADES_KEPT_MAX: Final = 200
"""More than any terminal has rows."""
TRADES_COLUMNS_MIN: Final = 79
"""A terminal narrower than this shows the ladder alone."""
NUMBERS_COLUMNS: Final = 30
"""Price, size and total, each 9 wide and followed by a blank."""
BAR_COLUMNS: Final = (12, 24)
"""Width of the bars where there are trades beside them: as far as the terminal goes."""
GAP_COLUMNS: Final = 3
HEADER_ROWS: Final = 4
FOOTER_ROWS: Final = 1

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_BP: Final = 10_000


@frozen
class Palette:
    """Escape sequences that colour a text, or empty ones."""

    bid: str = ""
    ask: str = ""
    bold: str = ""
    dim: str = ""
    alert: str = ""
    reset: str = ""

    def paint(self, text: str, *codes: str) -> str:
        """Return the text in these colours."""
        return f"{''.join(codes)}{text}{self.reset}"


COLOURED: Final = Palette("\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[1;33m", "\x1b[0m")
COLOURLESS: Final = Palette()


@frozen
class Level:
    """One price level: texts as they came."""

    price: str
    size: str


@frozen
class Trade:
    """One trade: texts as they came, milliseconds since 1970, and whether the taker bought."""

    tid: int
    time_ms: int
    is_buy: bool
    price: str
    size: str


@define
class MarketPicture:
    """What was heard of a market: its book, its last trades (newest first) and its context.

    ``trouble`` says why the picture is not live, if it is not.
    """

    coin: str
    url: str
    bids: list[Level] = field(factory=list)
    asks: list[Level] = field(factory=list)
    trades: deque[Trade] = field(factory=lambda: deque(maxlen=TRADES_KEPT_MAX))
    context: Mapping[str, Any] = field(factory=dict)
    book_time_ms: int = 0
    is_live: bool = False
    trouble: str = "connecting"
    changed: frozenset[tuple[bool, str]] = frozenset()

    def hear(self, channel: str, data: Any) -> None:
        """Take a frame of one of the three subscriptions."""
        match channel:
            case "l2Book":
                self._hear_book(data)
            case "trades":
                self._hear_trades(data)
            case "activeAssetCtx":
                self.context = data["ctx"]
            case _:
                raise ValueError(f"not a channel of the picture: {channel}")

    def forget_trades(self) -> None:
        """Start the list of trades anew: a reconnection sends the last ones again."""
        self.trades.clear()

    def _hear_book(self, data: Mapping[str, Any]) -> None:
        before = {(True, level) for level in self.bids} | {(False, level) for level in self.asks}
        self.bids, self.asks = (
            [Level(level["px"], level["sz"]) for level in side] for side in data["levels"]
        )
        now = {(True, level) for level in self.bids} | {(False, level) for level in self.asks}
        self.changed = frozenset((is_bid, level.price) for is_bid, level in now - before)
        self.book_time_ms = data["time"]

    def _hear_trades(self, data: Sequence[Mapping[str, Any]]) -> None:
        heard = sorted(data, key=lambda trade: (trade["time"], trade["tid"]))
        for trade in heard:
            self.trades.appendleft(
                Trade(trade["tid"], trade["time"], trade["side"] == "B", trade["px"], trade["sz"])
            )


def local_time(time_ms: int) -> str:
    """Return a time of day in the reader's time zone."""
    return time.strftime("%H:%M:%S", time.localtime(time_ms // 1000))


def render(
    picture: MarketPicture,
    *,
    columns: int,
    rows: int,
    levels: int | None = None,
    palette: Palette = COLOURLESS,
    time_of_day: Callable[[int], str] = local_time,
) -> list[str]:
    """Return at most ``rows`` lines, each at most ``columns`` wide, without line ends.

    ``levels`` is the number of price levels a side; without it, as many as fit.
    """
    fitting = max(1, (rows - HEADER_ROWS - 1 - FOOTER_ROWS) // 2)
    shown = min(fitting, LEVELS_MAX, levels or LEVELS_MAX)
    has_trades = columns >= TRADES_COLUMNS_MIN
    bar_columns = _bar_columns(columns, has_trades=has_trades)
    ladder = _ladder(picture, shown, bar_columns, palette)
    body = [text for text, _ in ladder]
    if has_trades:
        trades = _trades(picture, len(ladder), palette, time_of_day)
        start = NUMBERS_COLUMNS + bar_columns + GAP_COLUMNS
        body = [
            left + " " * (start - width) + right if right else left
            for (left, width), right in zip(ladder, trades, strict=True)
        ]
    lines = [*_header(picture, columns, palette), "", *body]
    footer = palette.paint("q or Ctrl-C leaves"[:columns], palette.dim)
    return [*lines[: rows - FOOTER_ROWS], footer][:rows]


def _bar_columns(columns: int, *, has_trades: bool) -> int:
    low, high = BAR_COLUMNS
    if has_trades:
        return min(low + columns - TRADES_COLUMNS_MIN, high)
    return max(0, min(columns - NUMBERS_COLUMNS, high))


def _header(picture: MarketPicture, columns: int, palette: Palette) -> list[str]:
    name = f"{picture.coin}   {picture.url}"
    if picture.is_live:
        state, colour = "live", palette.bid
    else:
        state, colour = picture.trouble, palette.alert
    state = state[: max(0, columns - len(picture.coin) - 1)]
    name = name[: max(len(picture.coin), columns - len(state) - 1)]
    gap = " " * max(1, columns - len(name) - len(state))
    first = (
        palette.paint(picture.coin, palette.bold)
        + palette.paint(name[len(picture.coin) :], palette.dim)
        + gap
        + palette.paint(state, colour)
    )
    facts = ""
    for fact in _facts(picture.context):
        longer = f"{facts}   {fact}" if facts else fact
        if len(longer) > columns:
            break
        facts = longer
    return [first, facts]


def _facts(context: Mapping[str, Any]) -> list[str]:
    if not context:
        return []
    mark, before = parse_decimal(context["markPx"]), parse_decimal(context["prevDayPx"])
    change = (mark - before) * 100 * _BP // before if before > 0 else 0
    sign = "+" if change >= 0 else "-"
    facts = [
        f"mark {grouped(context['markPx'])}",
        f"24h {sign}{abs(change) // _BP}.{abs(change) % _BP // 100:02d}%",
        f"volume {_short(context['dayNtlVlm'])} USD",
    ]
    if "oraclePx" in context:  # a spot pair has neither
        facts.insert(1, f"oracle {grouped(context['oraclePx'])}")
        facts.append(f"open interest {grouped(context['openInterest'])}")
    return facts


Cell = tuple[str, int]
"""A text with its escape sequences, and its width without them."""


def _ladder(picture: MarketPicture, shown: int, bar_columns: int, palette: Palette) -> list[Cell]:
    """Return the asks above the spread above the bids, always ``2 * shown + 2`` rows."""
    bids, asks = picture.bids[:shown], picture.asks[:shown]
    both = [*bids, *asks]
    prices = aligned([level.price for level in both])
    sizes = aligned([level.size for level in both])
    totals = aligned([*_totals(bids), *_totals(asks)])
    largest = max([parse_decimal(level.size) for level in both], default=1) or 1
    rows: list[Cell] = []
    for index, level in enumerate(both):
        is_bid = index < len(bids)
        bar = _bar(parse_decimal(level.size), largest, bar_columns)
        numbers = f" {sizes[index]:>9} {totals[index]:>9} "
        price = f"{prices[index]:>9}"
        text = _paint_level(picture, palette, (is_bid, level.price), (price, numbers, bar))
        rows.append((text, len(price) + len(numbers) + len(bar)))
    empty: Cell = ("", 0)
    titles = f"{'price':>9} {'size':>9} {'total':>9} "
    return [
        (palette.paint(titles, palette.dim), len(titles)),
        *[empty] * (shown - len(asks)),
        *reversed(rows[len(bids) :]),
        _spread(picture, NUMBERS_COLUMNS + bar_columns, palette),
        *rows[: len(bids)],
        *[empty] * (shown - len(bids)),
    ]


def _paint_level(
    picture: MarketPicture, palette: Palette, key: tuple[bool, str], parts: tuple[str, str, str]
) -> str:
    price, numbers, bar = parts
    if not picture.is_live:
        return palette.paint(price + numbers + bar, palette.dim)
    colour = palette.bid if key[0] else palette.ask
    emphasis = palette.bold if key in picture.changed else ""
    return palette.paint(price, colour, emphasis) + numbers + palette.paint(bar, colour)


def _spread(picture: MarketPicture, columns: int, palette: Palette) -> Cell:
    if not picture.bids or not picture.asks:
        is_empty = not picture.bids and not picture.asks
        words = "empty" if is_empty else "one side is empty"
        text = f"── {words if picture.book_time_ms else 'no book yet'} "
    else:
        bid, ask = parse_decimal(picture.bids[0].price), parse_decimal(picture.asks[0].price)
        tenths = (ask - bid) * 2 * _BP * 10 // (ask + bid)
        spread = grouped(format_decimal(ask - bid, 8))
        text = f"── spread {spread} ({tenths // 10}.{tenths % 10} bp) "
    text = text.ljust(columns, "─")
    return palette.paint(text, palette.dim), len(text)


def _trades(
    picture: MarketPicture, rows: int, palette: Palette, time_of_day: Callable[[int], str]
) -> list[str]:
    """Return titles and the newest trades, always so many rows."""
    shown = list(picture.trades)[: rows - 1]
    prices = aligned([trade.price for trade in shown])
    sizes = aligned([trade.size for trade in shown])
    lines = [palette.paint(f"{'time':<8}  {'':4} {'price':>9} {'size':>9}", palette.dim)]
    for trade, price, size in zip(shown, prices, sizes, strict=True):
        colour = palette.bid if trade.is_buy else palette.ask
        at = palette.paint(time_of_day(trade.time_ms), palette.dim)
        side = palette.paint(f"{'buy' if trade.is_buy else 'sell':4} {price:>9}", colour)
        lines.append(f"{at}  {side} {size:>9}")
    return lines + [""] * (rows - len(lines))


def _totals(levels: Sequence[Level]) -> list[str]:
    """Return the sizes from the best level to each level, summed."""
    total, texts = 0, []
    for level in levels:
        total += parse_decimal(level.size)
        texts.append(format_decimal(total, 8))
    return texts


def _bar(size: int, largest: int, columns: int) -> str:
    """Return a bar in eighths of a column; anything above zero shows."""
    eighths = max(1, size * columns * 8 // largest) if size > 0 and columns else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def aligned(decimals: Sequence[str]) -> list[str]:
    """Return decimal texts with equally many decimals each, none if all are whole, and grouped."""
    parts = [text.partition(".") for text in decimals]
    places = max((len(fraction.rstrip("0")) for _, _, fraction in parts), default=0)
    return [
        _group(whole) + (f".{fraction[:places].ljust(places, '0')}" if places else "")
        for whole, _, fraction in parts
    ]


def grouped(decimal: str) -> str:
    """Return a decimal text with its thousands grouped and without needless zeros."""
    return aligned([decimal])[0]


def _group(whole: str) -> str:
    return f"{int(whole):,}" if whole != "-0" else whole


def _short(decimal: str) -> str:
    """Return an amount in three significant figures and a unit."""
    whole = abs(parse_decimal(decimal, 8)) // 10**8
    for unit, scale in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if whole >= scale:
            hundredths = whole * 100 // scale
            return f"{hundredths // 100}.{hundredths % 100:02d}{unit}"
    return str(whole)


def describe_book(picture: MarketPicture) -> str:
    """Return the best bid and ask in one line of text, for terminals without a moving picture."""
    bid = f"{picture.bids[0].size} @ {picture.bids[0].price}" if picture.bids else "none"
    ask = f"{picture.asks[0].price} @ {picture.asks[0].size}" if picture.asks else "none"
    return f"book   {bid} | {ask}"


def describe_trade(trade: Trade) -> str:
    """Return a trade in one line of text."""
    return f"{'buy' if trade.is_buy else 'sell':<5}  {trade.size} @ {trade.price}"
