"""Spot balances: how many tokens an account has, what open orders reserve, and what they cost.

Amounts are integers of 10^-8 tokens, whatever the token. A resting sell holds the tokens that it
offers and a resting buy the USDC that it would pay, so an order in the book can always be honoured
and no trade ever has to ask. Fees are taken out of what a trade brings.

``entry`` is what was paid for all tokens together, in 10^-8 USDC. Tokens that leave take their
proportion of it along, rounded towards zero, and the last ones all of it. Tokens that came by a
transfer cost what they were worth then, those from outside the exchange nothing.
"""

from __future__ import annotations

from typing import Final

from model.ids import USDC, TokenId
from model.state import BalanceState
from model.units import E8, USD

E8_PER_MICRO_USD: Final = E8 // USD
"""How many units of a spot balance of USDC are one micro-USD."""

SUPPLY_E8_MAX: Final = 2**62
"""Most of a token that may be in all spot balances together: no sum leaves 64 bits."""

COST_E8_MAX: Final = 2**62
"""Most that a balance is said to have cost, whatever prices its tokens came at."""


class Balance:
    """What an account has of one token; USDC, in which costs are counted, has none itself."""

    __slots__ = ("entry", "hold", "token", "total")

    def __init__(self, token: TokenId) -> None:
        self.token = token
        self.total = 0
        self.hold = 0
        self.entry = 0

    @property
    def available(self) -> int:
        """What neither an order nor anything else has reserved."""
        return self.total - self.hold

    def receive(self, amount: int, cost: int = 0) -> None:
        """Add tokens that cost so much."""
        self.total += amount
        if self.token != USDC:
            self.entry = min(self.entry + cost, COST_E8_MAX)

    def spend(self, amount: int) -> int:
        """Take tokens out, at most the total; return what they had cost."""
        released = self.entry
        if amount < self.total:
            released = self.entry * amount // self.total
        self.total -= amount
        self.entry -= released
        return released

    def to_state(self) -> BalanceState:
        """Return the balance as a plain value."""
        return BalanceState(self.token, self.total, self.hold, self.entry)
