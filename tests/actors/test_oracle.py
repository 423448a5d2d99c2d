"""The walk of the oracle: bounded, seeded, and going on from wherever the exchange stands."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from actors.errors import UnavailableError
from actors.oracle import MOVE_SECONDS, Oracle, OracleMarket, Walk, next_price
from model.commands import MoveOracle
from model.ids import AssetId
from model.instruments import Instrument, round_to_grid
from model.units import E8
from supervision import ChildSpec, SupervisorSpec, open_system

BTC = Instrument(AssetId(0), "BTC", 5, 40, 65_000 * E8)
TOYOTA = Instrument(AssetId(1), "7203", 1, 10, 18_40000000)
MARKETS = [OracleMarket(BTC, 90), OracleMarket(TOYOTA, 60)]


def opening() -> dict[AssetId, int]:
    return {market.instrument.asset: market.instrument.opening_price_e8 for market in MARKETS}


def rounded(move: MoveOracle) -> dict[AssetId, int]:
    """What the exchange makes of a move."""
    ticks = {market.instrument.asset: market.instrument.tick_e8 for market in MARKETS}
    return {price.asset: round_to_grid(price.price_e8, ticks[price.asset]) for price in move.prices}


def test_a_walk_stays_within_its_band(seed: int) -> None:
    """However wild a market is, its demo price stays within a fifth of where it opened."""
    draw = random.Random(seed)
    price = BTC.opening_price_e8
    for _ in range(5_000):
        price = next_price(price, BTC.opening_price_e8, 10_000, draw)
        assert 52_000 * E8 <= price <= 78_000 * E8


def test_moves_are_about_as_large_as_the_volatility_says() -> None:
    """The root of the mean squared move is the volatility, to a few per cent."""
    draw = random.Random(7)
    squares = 0
    for _ in range(4_000):
        move = next_price(65_000 * E8, 65_000 * E8, 90, draw) - 65_000 * E8
        squares += move * move
    typical_ppm = (squares / 4_000) ** 0.5 / (65_000 * E8) * 1e6

    assert typical_ppm == pytest.approx(90, rel=0.05)


@pytest.mark.parametrize("start_usd", [20_000, 200_000])
def test_from_outside_the_band_a_walk_only_goes_home(start_usd: int) -> None:
    """An operator may rehearse a crash; the oracle comes back without a jump."""
    draw = random.Random(1)
    price = start_usd * E8
    for _ in range(1_000):
        moved = next_price(price, BTC.opening_price_e8, 90, draw)
        assert abs(moved - BTC.opening_price_e8) <= abs(price - BTC.opening_price_e8)
        assert abs(moved - price) < price // 100
        price = moved


def test_equal_seeds_walk_alike_and_others_do_not() -> None:
    """A demo can be repeated."""

    def walked(seed: int) -> dict[AssetId, int]:
        walk = Walk(MARKETS, random.Random(seed))
        standing = opening()
        for _ in range(50):
            standing = rounded(walk.advance(standing))
        return standing

    assert walked(1) == walked(1)
    assert walked(1) != walked(2)


def test_a_market_moves_even_if_its_grid_is_coarser_than_its_moves() -> None:
    """The walk goes on from its own fine price, not from the rounded one."""
    calm = Instrument(AssetId(0), "CALM", 1, 10, 18_40000000)
    walk = Walk([OracleMarket(calm, 3)], random.Random(3))
    standing = {calm.asset: calm.opening_price_e8}
    for _ in range(2_000):
        [price] = walk.advance(standing).prices
        standing = {calm.asset: round_to_grid(price.price_e8, calm.tick_e8)}

    assert standing[calm.asset] != calm.opening_price_e8


def test_a_walk_goes_on_from_where_an_operator_put_the_oracle() -> None:
    """What `zaraba oracle` sets is the price from then on, and other markets keep theirs."""
    walk = Walk(MARKETS, random.Random(3))
    standing = rounded(walk.advance(opening()))

    moved = rounded(walk.advance({**standing, BTC.asset: 50_000 * E8}))

    assert moved[BTC.asset] == pytest.approx(50_000 * E8, rel=0.01)
    assert moved[TOYOTA.asset] == pytest.approx(TOYOTA.opening_price_e8, rel=0.01)


def test_a_market_that_the_exchange_lacks_is_left_out() -> None:
    """A journal may have been opened with fewer markets than the file has now."""
    move = Walk(MARKETS, random.Random(3)).advance({BTC.asset: BTC.opening_price_e8})

    assert [price.asset for price in move.prices] == [BTC.asset]


class FakeExchange:
    """Takes oracle moves, unless told to be unavailable."""

    def __init__(self) -> None:
        self.standing = opening()
        self.moves = 0
        self.is_available = True

    async def submit(self, move: MoveOracle) -> None:
        if not self.is_available:
            raise UnavailableError("rebuilding")
        self.standing.update(rounded(move))
        self.moves += 1

    async def read_prices(self) -> Mapping[AssetId, int]:
        return self.standing


async def test_the_oracle_moves_once_a_second_and_survives_a_pause_of_the_exchange(
    autojump_clock: object,
) -> None:
    """A move that is not taken is left out; the oracle is not restarted for it."""
    import trio

    exchange = FakeExchange()
    spec = SupervisorSpec(
        [ChildSpec("oracle", lambda: Oracle(MARKETS, exchange.submit, exchange.read_prices, 1))]
    )
    async with open_system(spec) as system:
        await trio.sleep(3.5 * MOVE_SECONDS)
        assert exchange.moves == 3
        exchange.is_available = False
        await trio.sleep(2 * MOVE_SECONDS)
        exchange.is_available = True
        await trio.sleep(2 * MOVE_SECONDS)

        assert exchange.moves == 5
        assert system.address("oracle").generation == 1
        assert exchange.standing[BTC.asset] != BTC.opening_price_e8
