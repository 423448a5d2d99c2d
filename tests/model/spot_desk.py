"""A trading desk with a spot pair: PURR against USDC, and accounts that have some of both."""

from __future__ import annotations

from typing import Final

from model.commands import (
    ClassTransfer,
    CreditSource,
    CreditToken,
    ListMarket,
    ListToken,
    OpenExchange,
    SpotSend,
)
from model.events import Event
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, TokenId
from model.instruments import Instrument, Token
from model.state import BalanceState
from model.units import E8, USD, parse_decimal
from tests.model.desk import ALICE, BOB, Desk

PURR: Final = TokenId(1)
PAIR: Final = AssetId(SPOT_ASSETS_FROM)
"""PURR/USDC: opened at 2 USDC, lots of 0.01 PURR, ticks of 0.000001 USDC."""

SPOT_TERMS: Final = OpenExchange(450, 150, 700, 400)


def list_pair(desk: Desk) -> None:
    """Open the pair on a desk that has none."""
    desk.apply(ListToken(Token(PURR, "PURR", 2)))
    desk.apply(ListMarket(Instrument(PAIR, "PURR/USDC", 2, 1, 2 * E8, base=PURR)))


class SpotDesk(Desk):
    """An exchange with the pair. Alice has 1,000 USDC in spot and Bob 1,000 PURR."""

    def __init__(self, terms: OpenExchange = SPOT_TERMS) -> None:
        super().__init__(terms=terms)
        list_pair(self)
        self.to_spot(ALICE, 1_000 * USD)
        self.credit_token(BOB, PURR, "1000")

    def to_spot(self, account: Address, usd: int) -> list[Event]:
        """Move micro-USD from an account's cash to its spot balance."""
        return self.apply(ClassTransfer(*self.head(account), usd, False))

    def credit_token(self, account: Address, token: TokenId, amount: str) -> list[Event]:
        """Give an account tokens."""
        command = CreditToken(account, token, parse_decimal(amount), CreditSource.FUND)
        return self.apply(command)

    def send_token(
        self, sender: Address, to: Address, amount: str, token: TokenId = PURR
    ) -> list[Event]:
        """Send tokens from spot balance to spot balance."""
        return self.apply(SpotSend(*self.head(sender), to, token, parse_decimal(amount)))

    def balance(self, account: Address, token: TokenId = USDC) -> BalanceState:
        """Return an account's balance, an empty one if it has none."""
        balances = self.state(account).balances
        empty = BalanceState(token, 0, 0, 0)
        return next((balance for balance in balances if balance.token == token), empty)

    def total(self, account: Address, token: TokenId = USDC) -> int:
        """Return how much of a token an account has, in 1e-8."""
        return self.balance(account, token).total_e8
