"""The demo's bots of spot pairs: one that makes the market, and one that takes from it.

They decide as the bots of perpetuals do. What they call a position is how far their balance of the
token is from what they were given, and what they call their worth is a part of the smaller of their
two balances, so that no order of theirs asks for more than is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field

from actors.bots import MAKER_TURN_MS, TAKER_TURN_MS, Bot, order_action, requote_actions
from actors.oracle import next_price
from actors.strategies import Holdings, quotes, requote, take
from model.ids import USDC, Address, TokenId
from model.instruments import USDC_TOKEN, Instrument
from model.units import E8, USD

START_E8: Final = 100_000 * E8
"""What each of a bot's two balances is filled up to, in 1e-8 USDC or for as much of the token."""

POOR_DIVISOR: Final = 4
"""A balance below such a part of START_E8 is filled up again."""

WORTH_DIVISOR: Final = 3
"""A maker's ladder is twice its worth on each side and may be replaced order by order."""

FundToken = Callable[[Address, TokenId, int], Awaitable[object]]
"""Gives an account tokens, in units of 1e-8."""


@define
class SpotBot(Bot):
    """A trader of one pair.

    Args:
        instrument: the pair.
        fund_token: fills up balances.
        volatility_ppm: how far its idea of the price typically moves between two turns.
    """

    instrument: Instrument = field(kw_only=True)
    fund_token: FundToken = field(kw_only=True)
    volatility_ppm: int = field(kw_only=True)
    price_e8: int = field(init=False, default=0)
    _usdc_e8: int = field(init=False, default=0)
    _token_e8: int = field(init=False, default=0)

    async def init(self) -> None:
        """Begin at the price that the pair opened with."""
        await super().init()
        self.price_e8 = self.instrument.opening_price_e8

    async def look(self) -> Holdings:
        """Read both balances."""
        name = self.instrument.name.removesuffix(f"/{USDC_TOKEN.name}")
        balances = await self.client.read_balances()
        self._usdc_e8, self._token_e8 = balances.get(USDC_TOKEN.name, 0), balances.get(name, 0)
        smaller = min(self._usdc_e8, self._token_e8 * self.price_e8 // E8)
        position = self._token_e8 - self._start_tokens()
        return Holdings(smaller * USD // E8 // WORTH_DIVISOR, {self.instrument.asset: position})

    async def was_poor(self, holdings: Holdings) -> bool:
        """Fill up what has run low; tell whether anything had."""
        assert self.instrument.base is not None
        wanted = (
            (USDC, self._usdc_e8, START_E8),
            (self.instrument.base, self._token_e8, self._start_tokens()),
        )
        lacking = [
            (token, start - held) for token, held, start in wanted if held * POOR_DIVISOR < start
        ]
        for token, amount in lacking:
            await self.fund_token(self.identity.address, token, amount // 100 * 100)
        return bool(lacking)

    def wander(self) -> None:
        """Move the idea of the price by one step of a random walk."""
        opening = self.instrument.opening_price_e8
        self.price_e8 = next_price(self.price_e8, opening, self.volatility_ppm, self.draw)

    def _start_tokens(self) -> int:
        return START_E8 * E8 // self.instrument.opening_price_e8


@define
class SpotMaker(SpotBot):
    """Keeps a ladder of resting orders in one pair."""

    def turn_ms(self) -> tuple[int, int]:
        return MAKER_TURN_MS

    async def trade(self, holdings: Holdings) -> None:
        """Bring the ladder to where the price has wandered."""
        self.wander()
        wanted = quotes(self.price_e8, self.instrument, holdings, self.draw)
        standing = await self.client.read_orders()
        for action in requote_actions(requote(standing, wanted, self.draw)):
            await self.client.act(action)


@define
class SpotTaker(SpotBot):
    """Crosses the spread of one pair now and then."""

    def turn_ms(self) -> tuple[int, int]:
        return TAKER_TURN_MS

    async def trade(self, holdings: Holdings) -> None:
        """Take something at the price that the market has."""
        prices = await self.venue.read_prices()
        self.price_e8 = prices.get(self.instrument.asset, self.price_e8)
        wanted = take([self.instrument], prices, holdings, self.draw)
        if wanted is not None:
            await self.client.act(order_action([wanted], "Ioc"))
