"""The oracle of the demo: prices that wander, so that a new exchange is alive.

Each market does a random walk in proportion to its price, drawn back towards its opening price and
never leaving a band around it by itself. The walk is in integers and follows from its seed. An
operator may put the oracle anywhere (``zaraba oracle``); the walk then goes on from there, and from
outside the band it only goes home.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import trio
from attrs import define, field, frozen

from actors.errors import ActorsError
from model.commands import MoveOracle, OraclePrice
from model.ids import AssetId
from model.instruments import Instrument, round_to_grid
from supervision import Actor, SupervisionError

MOVE_SECONDS: Final = 1.0
"""Time between two moves; the volatility of a market is per this time."""

SUBMIT_SECONDS_MAX: Final = 5.0
"""A move that is not taken within this time is given up; the next one makes up for it."""

BAND_PERCENT: Final = 20
"""The walk stays within this distance of the opening price."""

REVERSION_MOVES: Final = 20_000
"""A distance from the opening price shrinks to a third within so many moves (some six hours)."""

PRICE_MIN_E8: Final = 100
"""The walk stops falling at 0.000001 USD, the smallest tick there is."""

PPB: Final = 10**9
_DRAWS: Final = 12
"""Uniform draws a move is summed from: enough to look normal, and never beyond six deviations."""

Submit = Callable[[MoveOracle], Awaitable[object]]
"""Hands a command to the sequencer."""

PriceReader = Callable[[], Awaitable[Mapping[AssetId, int]]]
"""Reads the oracle prices that the exchange stands at, in units of 1e-8 USD."""


@frozen
class OracleMarket:
    """A market that is to wander, and its typical move in a second, in parts per million."""

    instrument: Instrument
    volatility_ppm: int


def next_price(
    price_e8: int, opening_price_e8: int, volatility_ppm: int, draw: random.Random
) -> int:
    """Return the price after one move. All prices are positive and in units of 1e-8 USD."""
    half_ppb = volatility_ppm * 500
    move_ppb = sum(draw.randint(-half_ppb, half_ppb) for _ in range(_DRAWS))
    away_ppb = (price_e8 - opening_price_e8) * PPB // opening_price_e8
    if abs(away_ppb) * 100 > BAND_PERCENT * PPB:
        move_ppb = abs(move_ppb) if away_ppb < 0 else -abs(move_ppb)
    move_ppb -= away_ppb // REVERSION_MOVES
    moved = price_e8 + price_e8 * move_ppb // PPB
    low, high = (opening_price_e8 * (100 + way * BAND_PERCENT) // 100 for way in (-1, 1))
    if low <= price_e8 <= high:
        moved = min(max(moved, low), high)
    return max(moved, PRICE_MIN_E8)


@define
class Walk:
    """Where every market's price has wandered to, finer than its grid.

    The exchange rounds what it is told to the market's grid. Walking on from the rounded price
    would freeze a market whose moves are smaller than half its grid, so the walk keeps its own
    price as long as that is the one the exchange has, rounded.
    """

    markets: Sequence[OracleMarket]
    draw: random.Random
    _prices_e8: dict[AssetId, int] = field(init=False, factory=dict)

    def advance(self, standing_e8: Mapping[AssetId, int]) -> MoveOracle:
        """Move every market once, from where it stands; one that the exchange lacks is left out."""
        return MoveOracle(
            tuple(
                OraclePrice(market.instrument.asset, self._advance(market, standing))
                for market in self.markets
                if (standing := standing_e8.get(market.instrument.asset)) is not None
            )
        )

    def _advance(self, market: OracleMarket, standing_e8: int) -> int:
        instrument = market.instrument
        price = self._prices_e8.get(instrument.asset, standing_e8)
        if round_to_grid(price, instrument.tick_e8) != standing_e8:
            price = standing_e8
        moved = next_price(price, instrument.opening_price_e8, market.volatility_ppm, self.draw)
        self._prices_e8[instrument.asset] = moved
        return moved


@frozen
class _Move:
    """The time of the next move has come."""


@define
class Oracle(Actor):
    """Moves all markets once every MOVE_SECONDS.

    A restarted oracle walks on from the prices that the exchange stands at. A price that cannot be
    read or a move that is not taken (the exchange is rebuilding its state, say) is left out.

    Args:
        markets: what wanders, and how far.
        submit: hands a command to the sequencer.
        read_prices: reads where the exchange's oracle stands.
        seed: the walk follows from it.
    """

    markets: Sequence[OracleMarket]
    submit: Submit
    read_prices: PriceReader
    seed: int
    _walk: Walk = field(init=False)

    async def init(self) -> None:
        """Set the first move."""
        self._walk = Walk(self.markets, random.Random(self.seed))
        self._set_next()

    async def handle(self, message: Any) -> None:
        """Move, and set the next move."""
        assert type(message) is _Move
        try:
            with trio.fail_after(SUBMIT_SECONDS_MAX):
                await self.submit(self._walk.advance(await self.read_prices()))
        except (ActorsError, SupervisionError, trio.TooSlowError):
            pass  # the exchange counts what it refuses; the next move starts from where it stands
        self._set_next()

    def _set_next(self) -> None:
        self.context.set_timer("move", MOVE_SECONDS, _Move())
