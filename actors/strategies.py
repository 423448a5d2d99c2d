"""What the demo's bots decide: which orders to rest, which to change, what to take.

Pure functions of what a bot sees and of a seeded random source; ``actors.bots`` carries the
decisions out. Prices and sizes are integers of 1e-8, money is in micro-USD.

**The maker's lattice.** A maker rests orders on fixed prices, whole multiples of a step, on both
sides of its idea of the price. When that idea moves by a step, all but two orders are still where
they should be: one at an end of each side moves to the other end. So a ladder of forty orders
costs a few changes a second instead of forty, and most orders keep their place in the queue.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from model.ids import AssetId, OrderId
from model.instruments import Instrument, round_to_grid
from model.units import E8, USD

LEVELS_PER_SIDE: Final = 20
STEP_PPM: Final = 30
"""Distance of two levels, before it is brought to the price grid."""
HALF_SPREAD_PPM: Final = 30
"""Distance of the first level from the maker's price, at least."""
SKEW_PPM_MAX: Final = 60
"""How far a maker with a full inventory moves its price to get rid of it."""

MAKER_VALUE_PERCENT_PER_LEVEL: Final = 10
"""Mean value of one resting order, of the account's value: twenty levels are twice the account."""
MAKER_INVENTORY_PERCENT_MAX: Final = 200
"""Position, of the account's value, from which a maker stops quoting the side that adds to it."""
WORN_FRACTION: Final = 4
"""An order that has less than one such part of its size left is refreshed."""
REFRESH_PERCENT: Final = 30
"""Chance, each turn, that one standing order is given another size: books breathe."""
CHANGES_PER_TURN_MAX: Final = 24
"""Orders changed, placed or cancelled in one turn, of each kind."""

TAKE_VALUE_PERCENT_MAX: Final = 3
"""Value of an ordinary order of a taker, of its account's value."""
SWEEP_PERCENT: Final = 4
"""Chance that an order of a taker is a large one."""
SWEEP_FACTOR: Final = 10
TAKE_SLIPPAGE_PPM: Final = 500
SWEEP_SLIPPAGE_PPM: Final = 2_000
TAKER_INVENTORY_PERCENT_MAX: Final = 30
"""Position in one market, of the account's value, beyond which a taker only reduces."""

ORDER_USD_MIN: Final = 12 * USD
"""The exchange takes no order below 10 USD; a little more, since prices move meanwhile."""

_PPM: Final = 10**6


@frozen
class Quote:
    """An order that a bot wants to have."""

    asset: AssetId
    is_buy: bool
    price_e8: int
    size_e8: int


@frozen
class OpenOrder:
    """An order that the bot has on the book; ``size_e8`` is what is left of it."""

    oid: OrderId
    asset: AssetId
    is_buy: bool
    price_e8: int
    size_e8: int


@frozen
class Holdings:
    """What an account is worth, in micro-USD, and its signed positions, in units of 1e-8."""

    value_usd: int
    positions_e8: Mapping[AssetId, int]

    def position_usd(self, asset: AssetId, price_e8: int) -> int:
        """Return the signed value of a position at a price, in micro-USD."""
        return self.positions_e8.get(asset, 0) * price_e8 // (E8 * E8 // USD)


@frozen
class Requote:
    """What brings the orders on the book to the wanted ones: each part in order of urgency."""

    changes: tuple[tuple[OrderId, Quote], ...] = ()
    cancels: tuple[tuple[AssetId, OrderId], ...] = ()
    places: tuple[Quote, ...] = ()


def lattice_step_e8(instrument: Instrument) -> int:
    """Return the distance of two levels: about STEP_PPM of the opening price, and on the grid.

    The grid is coarser above a power of ten; the step obeys the grid at twice the opening price.
    """
    opening = instrument.opening_price_e8
    grid = _grid_e8(2 * opening, instrument.tick_e8)
    return max(1, (opening * STEP_PPM // _PPM + grid // 2) // grid) * grid


def _grid_e8(price_e8: int, tick_e8: int) -> int:
    """Return the distance of two neighbouring valid prices around a price."""
    step = tick_e8
    while step < E8 and price_e8 // step >= 10**5:
        step *= 10
    return step


def quotes(
    price_e8: int, instrument: Instrument, holdings: Holdings, draw: random.Random
) -> list[Quote]:
    """Return the orders that a maker wants at this price: best first, bids and asks by turns.

    The ladder leans against the inventory, and its side that would add to a full inventory is left
    out. An account that cannot afford a valid order quotes nothing.
    """
    inventory_usd = holdings.position_usd(instrument.asset, price_e8)
    limit_usd = max(1, holdings.value_usd * MAKER_INVENTORY_PERCENT_MAX // 100)
    lean_ppm = min(max(inventory_usd * SKEW_PPM_MAX // limit_usd, -SKEW_PPM_MAX), SKEW_PPM_MAX)
    middle_e8 = price_e8 - price_e8 * lean_ppm // _PPM
    mean_usd = holdings.value_usd * MAKER_VALUE_PERCENT_PER_LEVEL // 100
    wanted = []
    for level in range(LEVELS_PER_SIDE):
        for is_buy in (True, False):
            if abs(inventory_usd) >= limit_usd and is_buy == (inventory_usd > 0):
                continue
            level_price = _level_price_e8(middle_e8, instrument, level, is_buy=is_buy)
            size = _natural_size_e8(_level_usd(mean_usd, level, draw), level_price, instrument)
            if level_price > 0 and size * level_price >= ORDER_USD_MIN * (E8 * E8 // USD):
                wanted.append(Quote(instrument.asset, is_buy, level_price, size))
    return wanted


def _level_price_e8(middle_e8: int, instrument: Instrument, level: int, *, is_buy: bool) -> int:
    step = lattice_step_e8(instrument)
    half = middle_e8 * HALF_SPREAD_PPM // _PPM
    if is_buy:
        price = ((middle_e8 - half) // step - level) * step
    else:
        price = (-((-middle_e8 - half) // step) + level) * step
    return round_to_grid(price, instrument.tick_e8) if price > 0 else 0


def _level_usd(mean_usd: int, level: int, draw: random.Random) -> int:
    """Return the value of a level's order: thinner in front, thicker behind, never even."""
    return mean_usd * (40 + 6 * level) // 100 * draw.randint(40, 160) // 100


def _natural_size_e8(usd: int, price_e8: int, instrument: Instrument) -> int:
    """Return the size that is worth about so much, in two significant figures of lots."""
    if price_e8 <= 0:
        return 0
    lots = usd * (E8 * E8 // USD) // price_e8 // instrument.lot_e8
    round_by: int = 10 ** max(0, len(str(lots)) - 2)
    return lots // round_by * round_by * instrument.lot_e8


def requote(standing: Sequence[OpenOrder], wanted: Sequence[Quote], draw: random.Random) -> Requote:
    """Compare what stands with what is wanted, price by price, and return what to change.

    An order whose price is still wanted stays. One whose price is not moves to the best price that
    is missing on its side. The side that retreats goes first, so that no change crosses an order of
    the same bot that is about to move out of the way.
    """
    missing = {(quote.is_buy, quote.price_e8): quote for quote in wanted}
    kept: list[tuple[OrderId, Quote]] = []
    worn: list[tuple[OrderId, Quote]] = []
    surplus: dict[bool, list[OpenOrder]] = defaultdict(list)
    for order in standing:
        quote = missing.pop((order.is_buy, order.price_e8), None)
        if quote is None:
            surplus[order.is_buy].append(order)
        elif order.size_e8 * WORN_FRACTION < quote.size_e8:
            worn.append((order.oid, quote))
        else:
            kept.append((order.oid, quote))
    moves: list[tuple[OpenOrder, Quote]] = []
    cancels: list[tuple[AssetId, OrderId]] = []
    lacking: set[Quote] = set()
    for is_buy in (True, False):
        free = sorted(surplus[is_buy], key=lambda order: order.price_e8, reverse=is_buy)
        gaps = [quote for quote in missing.values() if quote.is_buy == is_buy]
        moves += zip(free, gaps, strict=False)
        cancels += [(order.asset, order.oid) for order in free[len(gaps) :]]
        lacking.update(gaps[len(free) :])
    moves.sort(key=_is_advance)
    places = [quote for quote in wanted if quote in lacking]
    changes = [(order.oid, quote) for order, quote in moves] + worn
    if kept and draw.randint(1, 100) <= REFRESH_PERCENT:
        changes.append(draw.choice(kept))
    most = CHANGES_PER_TURN_MAX
    return Requote(tuple(changes[:most]), tuple(cancels[:most]), tuple(places[:most]))


def _is_advance(move: tuple[OpenOrder, Quote]) -> bool:
    """Tell whether an order moves towards the other side."""
    order, quote = move
    return (quote.price_e8 > order.price_e8) == order.is_buy


def take(
    instruments: Sequence[Instrument],
    prices_e8: Mapping[AssetId, int],
    holdings: Holdings,
    draw: random.Random,
) -> Quote | None:
    """Return an order that crosses the spread in some market, at the worst price it would pay.

    The larger a position, the likelier the order reduces it; beyond the limit it always does.
    ``None`` if the market has no price or the account cannot afford a valid order.
    """
    instrument = draw.choice(instruments)
    price_e8 = prices_e8.get(instrument.asset, 0)
    if price_e8 <= 0:
        return None
    position_usd = holdings.position_usd(instrument.asset, price_e8)
    limit_usd = max(1, holdings.value_usd * TAKER_INVENTORY_PERCENT_MAX // 100)
    full_percent = min(max(position_usd * 50 // limit_usd, -50), 50)
    is_buy = draw.randint(1, 100) <= 50 - full_percent
    is_sweep = draw.randint(1, 100) <= SWEEP_PERCENT
    most_usd = holdings.value_usd * TAKE_VALUE_PERCENT_MAX // 100
    usd = max(ORDER_USD_MIN, most_usd * draw.randint(1, 100) // 100 * draw.randint(1, 100) // 100)
    if is_sweep:
        usd *= SWEEP_FACTOR
    slip_ppm = SWEEP_SLIPPAGE_PPM if is_sweep else TAKE_SLIPPAGE_PPM
    slip_e8 = price_e8 * slip_ppm // _PPM
    worst_e8 = round_to_grid(
        price_e8 + slip_e8 if is_buy else price_e8 - slip_e8, instrument.tick_e8
    )
    size_e8 = usd * (E8 * E8 // USD) // price_e8 // instrument.lot_e8 * instrument.lot_e8
    if usd > holdings.value_usd or size_e8 * worst_e8 < ORDER_USD_MIN * 9 // 10 * (E8 * E8 // USD):
        return None
    return Quote(instrument.asset, is_buy, worst_e8, size_e8)
