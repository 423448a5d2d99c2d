"""The money of one account as its events move it: cash of the cross positions, and spot balances.

Balances are moved by the exchange's own arithmetic. What isolated positions have of their own is
with the positions.
"""

from __future__ import annotations

from collections.abc import Iterable

from model.balances import E8_PER_MICRO_USD, Balance
from model.events import (
    AssetSent,
    ClassTransferred,
    Credited,
    Event,
    Leg,
    SubAccountFunded,
    TokenCredited,
    TokenSent,
    Traded,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address, TokenId
from model.instruments import Instrument
from model.state import BalanceState, RestingOrder


class Purse:
    """Cash in micro-USD, and a balance for each token that the account ever had."""

    __slots__ = ("_address", "_balances", "cash")

    def __init__(self, address: Address, cash: int, balances: Iterable[BalanceState]) -> None:
        self._address = address
        self._balances: dict[TokenId, Balance] = {}
        self.cash = cash
        for state in balances:
            balance = self._balance(state.token)
            balance.total, balance.hold = state.total_e8, state.hold_e8
            balance.entry = state.entry_e8

    def balances(self) -> tuple[BalanceState, ...]:
        """Return the spot balances that are not empty, by token."""
        return tuple(
            balance.to_state() for _, balance in sorted(self._balances.items()) if balance.total
        )

    def hold(self, order: RestingOrder, instrument: Instrument, lots: int) -> None:
        """Hold what so many lots of an order of a pair may have to give, or free it if negative."""
        assert instrument.base is not None
        if order.is_buy:
            self._balance(USDC).hold += lots * order.price
        else:
            self._balance(instrument.base).hold += lots * instrument.lot_e8

    def trade(self, event: Traded, leg: Leg, instrument: Instrument, *, is_buy: bool) -> None:
        """Take in the account's side of a trade of a pair."""
        assert instrument.base is not None
        amount, cost = event.lots * instrument.lot_e8, event.lots * event.price
        base, usdc = self._balance(instrument.base), self._balance(USDC)
        if is_buy:
            usdc.spend(cost)
            base.receive(amount - leg.fee, cost)
        else:
            base.spend(amount)
            usdc.receive(cost - leg.fee)

    def move(self, event: Event) -> None:
        """Take in an event that moves money without a trade; any other moves nothing."""
        match event:
            case Credited():
                self.cash += event.usd
            case Withdrawn():
                self.cash -= event.usd + event.fee
            case UsdSent():
                self.cash += self._sign(event.sender, event.destination) * event.usd
            case SubAccountFunded():
                usd = event.usd if event.is_deposit else -event.usd
                self.cash += self._sign(event.master, event.account) * usd
            case ClassTransferred():
                usd = event.usd if event.to_perp else -event.usd
                self.cash += usd
                self._add(USDC, -usd * E8_PER_MICRO_USD)
            case TokenCredited():
                self._add(event.token, event.amount_e8)
            case TokenSent():
                sign = self._sign(event.sender, event.destination)
                self._add(event.token, sign * event.amount_e8, event.usd)
            case AssetSent():
                if event.sender == self._address:
                    self._send(event, -event.amount_e8, is_perp=event.from_perp)
                if event.destination == self._address:
                    self._send(event, event.amount_e8, is_perp=event.to_perp)
            case _:
                pass

    def _sign(self, sender: Address, destination: Address) -> int:
        """Return what a transfer counts for this account: -1, 1, or 0 to itself."""
        return (destination == self._address) - (sender == self._address)

    def _send(self, event: AssetSent, amount_e8: int, *, is_perp: bool) -> None:
        if is_perp:
            self.cash += amount_e8 // E8_PER_MICRO_USD
        else:
            self._add(event.token, amount_e8, event.usd)

    def _add(self, token: TokenId, amount_e8: int, cost_usd: int = 0) -> None:
        """Add tokens, or take them out if negative; what comes cost what it was worth."""
        balance = self._balance(token)
        if amount_e8 < 0:
            balance.spend(-amount_e8)
        else:
            balance.receive(amount_e8, cost_usd * E8_PER_MICRO_USD)

    def _balance(self, token: TokenId) -> Balance:
        balance = self._balances.get(token)
        if balance is None:
            balance = self._balances[token] = Balance(token)
        return balance
