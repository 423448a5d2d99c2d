"""A matcher that is obviously right: one list of orders, sorted anew whenever the best is wanted.

It knows price-time priority, times in force and expire-maker, and nothing of money. The fast
matcher must do exactly what it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import define, frozen

from model.commands import (
    CancelOrders,
    CancelSpec,
    CreditSource,
    CreditToken,
    ListMarket,
    ListToken,
    OrderSpec,
    PlaceOrders,
    Tif,
)
from model.events import CancelRefused, Event, OrderCanceled, OrderPlaced, OrderRefused, Traded
from model.ids import USDC, Address, OrderId
from model.instruments import Instrument, Token
from model.state import RestingOrder
from model.units import E8
from tests.model.desk import BTC, Desk
from tests.model.spot_desk import PAIR, PURR

ACCOUNTS = tuple(Address(f"0x{number:040x}") for number in range(1, 5))


@frozen
class Ask:
    """An order as asked for: ticks of 1 USD and lots of one coin, for the sake of plain numbers."""

    account: int
    is_buy: bool
    price: int
    lots: int
    tif: Tif = Tif.GTC


Outcome = tuple[str, int, int, int]
"""What happened: its name, the order it happened to, and two numbers that depend on the name."""

Shown = list[tuple[int, int, int]]
"""One side of a book, best first: order, price, lots left."""


class Matcher(Protocol):
    """What all matchers can do."""

    def place(self, ask: Ask) -> list[Outcome]:
        """Place an order; accepted ones are numbered from 1."""

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        """Cancel an order."""

    def book(self) -> tuple[Shown, Shown]:
        """Return bids and asks."""


@define
class Resting:
    """An order in the reference's list."""

    oid: int
    account: int
    is_buy: bool
    price: int
    lots: int


class ReferenceMatcher:
    """The slow one."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []
        self.accepted = 0

    def place(self, ask: Ask) -> list[Outcome]:
        crosses = bool(self._matching(ask))
        if ask.tif is Tif.ALO and crosses:
            return [("refused", 0, 0, 0)]
        if ask.tif in (Tif.IOC, Tif.FRONTEND_MARKET) and not crosses:
            return [("refused", 0, 0, 0)]
        self.accepted += 1
        taker = Resting(self.accepted, ask.account, ask.is_buy, ask.price, ask.lots)
        outcomes: list[Outcome] = [("placed", taker.oid, ask.price, ask.lots)]
        while taker.lots and (makers := self._matching(ask)):
            maker = makers[0]
            if maker.account == taker.account:
                self.orders.remove(maker)
                outcomes.append(("expired", maker.oid, maker.lots, 0))
                continue
            lots = min(maker.lots, taker.lots)
            maker.lots -= lots
            taker.lots -= lots
            outcomes.append(("traded", maker.oid, maker.price, lots))
            if not maker.lots:
                self.orders.remove(maker)
        if taker.lots and ask.tif in (Tif.GTC, Tif.ALO):
            self.orders.append(taker)
        elif taker.lots:
            outcomes.append(("dropped", taker.oid, taker.lots, 0))
        return outcomes

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        for order in self.orders:
            if order.oid == oid and order.account == account:
                self.orders.remove(order)
                return [("canceled", oid, order.lots, 0)]
        return [("unknown", oid, 0, 0)]

    def book(self) -> tuple[Shown, Shown]:
        return self._side(True), self._side(False)

    def _side(self, is_buy: bool) -> Shown:
        """Return one side, sorted by price, then by arrival."""
        side = [order for order in self.orders if order.is_buy is is_buy]
        side.sort(key=lambda order: (-order.price if is_buy else order.price, order.oid))
        return [(order.oid, order.price, order.lots) for order in side]

    def _matching(self, ask: Ask) -> list[Resting]:
        """Return the orders that an order could trade with, best first."""
        by_oid = {order.oid: order for order in self.orders}
        side = [by_oid[oid] for oid, _, _ in self._side(not ask.is_buy)]
        if ask.is_buy:
            return [order for order in side if order.price <= ask.price]
        return [order for order in side if order.price >= ask.price]


class ExchangeMatcher:
    """The fast one, behind the same surface: an exchange whose accounts have plenty."""

    asset = BTC
    ticks_per_usd = 10_000

    def __init__(self) -> None:
        self.desk = Desk()
        for account in ACCOUNTS:
            self.desk.credit(account, 1_000_000)

    def place(self, ask: Ask) -> list[Outcome]:
        spec = OrderSpec(self.asset, ask.is_buy, ask.price * E8, ask.lots * E8, ask.tif, False)
        command = PlaceOrders(*self.desk.head(ACCOUNTS[ask.account]), (spec,))
        return self._outcomes(self.desk.apply(command))

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        spec = CancelSpec(self.asset, OrderId(oid))
        return self._outcomes(
            self.desk.apply(CancelOrders(*self.desk.head(ACCOUNTS[account]), (spec,)))
        )

    def book(self) -> tuple[Shown, Shown]:
        state = self.desk.exchange.market_state(self.asset)
        return self._shown(state.bids), self._shown(state.asks)

    def _outcomes(self, events: list[Event]) -> list[Outcome]:
        return [self._outcome(event) for event in events]

    def _outcome(self, event: Event) -> Outcome:
        match event:
            case OrderPlaced():
                price, lots = event.price // self.ticks_per_usd, event.lots // _LOTS_PER_COIN
                return "placed", event.oid, price, lots
            case Traded():
                price, lots = event.price // self.ticks_per_usd, event.lots // _LOTS_PER_COIN
                return "traded", event.maker.oid, price, lots
            case OrderCanceled():
                return _CANCELS[event.reason.name], event.oid, event.remaining // _LOTS_PER_COIN, 0
            case OrderRefused():
                return "refused", 0, 0, 0
            case CancelRefused():
                return "unknown", int(event.target), 0, 0
            case _:
                raise AssertionError(event)

    def _shown(self, side: Sequence[RestingOrder]) -> Shown:
        return [
            (order.oid, order.price // self.ticks_per_usd, order.remaining // _LOTS_PER_COIN)
            for order in side
        ]


class SpotMatcher(ExchangeMatcher):
    """The one of spot pairs: the same, where accounts have plenty of both tokens."""

    asset = PAIR
    ticks_per_usd = 1_000_000

    def __init__(self) -> None:
        super().__init__()
        self.desk.apply(ListToken(Token(PURR, "PURR", 2)))
        self.desk.apply(ListMarket(Instrument(PAIR, "PURR/USDC", 2, 1, 100 * E8, base=PURR)))
        for account in ACCOUNTS:
            for token in (USDC, PURR):
                self.desk.apply(CreditToken(account, token, 10**6 * E8, CreditSource.FUND))


_LOTS_PER_COIN = 100
_CANCELS = {"CANCELED": "canceled", "SELF_TRADE": "expired", "IOC_REMAINDER": "dropped"}
