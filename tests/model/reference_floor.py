"""A trading floor that is obviously right: orders, triggers and groups in one list, one market.

Everything that the machine keeps in indexes is found here by going through the list: who reduces,
whose child somebody is, what the mark price has reached. It knows nothing of money; all accounts
have plenty. The fast one (``ExchangeFloor``) must do exactly what it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from attrs import define, frozen

from model.commands import (
    CancelOrders,
    CancelSpec,
    Grouping,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    TriggerSpec,
)
from model.events import (
    CancelRefused,
    CommandRefused,
    Event,
    ModifyRefused,
    OracleMoved,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    PremiumSampled,
    Traded,
    TriggerArmed,
    TriggerFailed,
    TriggerFired,
    TriggerPlaced,
)
from model.ids import Address, OrderId
from model.units import E8
from tests.model.desk import BTC, Desk

ACCOUNTS: Final = tuple(Address(f"0x{number:040x}") for number in range(1, 4))
OPENING_MARK: Final = 100

_IMMEDIATE: Final = (Tif.IOC, Tif.FRONTEND_MARKET)
_OWNERS: Final = ("CANCELED", "MODIFIED")


@frozen
class At:
    """When a trigger fires and as what."""

    price: int
    is_market: bool
    is_stop_loss: bool


@frozen
class Wish:
    """An order as asked for: ticks of 1 USD and lots of one coin, for the sake of plain numbers."""

    is_buy: bool
    price: int
    lots: int
    tif: Tif = Tif.GTC
    reduce_only: bool = False
    at: At | None = None


Outcome = tuple[str | int | bool, ...]
"""What happened: its name, the order it happened to, and what else there is to say."""

Shown = tuple[list[tuple[int, int, int]], list[tuple[int, bool]], list[int]]
"""Resting orders (id, price, lots) by priority, bids first; triggers with whether they are armed;
positions by account."""


class Floor(Protocol):
    """What both floors can do."""

    def place(
        self, account: int, wishes: Sequence[Wish], grouping: Grouping = Grouping.NA
    ) -> list[Outcome]:
        """Place orders; accepted ones are numbered from 1."""

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        """Cancel an order or a trigger."""

    def modify(self, account: int, oid: int, wish: Wish) -> list[Outcome]:
        """Replace an order or a trigger."""

    def move(self, mark: int) -> list[Outcome]:
        """Let the mark price be another one."""

    def show(self) -> Shown:
        """Return all that is there."""


@define(eq=False)
class Thing:
    """An order or a trigger. A trigger that fires becomes an order and stays the same thing."""

    oid: int
    account: int
    is_buy: bool
    price: int
    lots: int
    left: int
    reduce_only: bool
    at: At | None = None
    parent: int | None = None
    is_position: bool = False
    state: Literal["waiting", "armed", "resting"] = "resting"
    arrival: int = 0

    @property
    def is_above(self) -> bool:
        """Tell on which side of its price a trigger fires."""
        assert self.at is not None
        return is_above(self.at, is_buy=self.is_buy)


def is_above(at: At, *, is_buy: bool) -> bool:
    """Stops that buy and profits that sell fire above their price."""
    return is_buy == at.is_stop_loss


class ReferenceFloor:
    """The slow one."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.positions: Counter[int] = Counter()
        self.mark = OPENING_MARK
        self.accepted = 0
        self.arrivals = 0
        self.told: list[Outcome] = []

    # ---- what is asked -----------------------------------------------------------------------

    def place(
        self, account: int, wishes: Sequence[Wish], grouping: Grouping = Grouping.NA
    ) -> list[Outcome]:
        self.told = []
        if grouping is Grouping.NA:
            for wish in wishes:
                self._place(account, wish)
        elif grouping is Grouping.POSITION_TPSL:
            if self._is_group(wishes):
                for wish in wishes:
                    self._place_trigger(account, wish, is_position=True)
        elif wishes[0].at is not None:
            self.told.append(("command refused", "GROUP_MAIN_IS_TRIGGER"))
        elif self._is_group(wishes[1:]):
            self._place_family(account, wishes[0], wishes[1:])
        return self.told

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        self.told = []
        found = self._find(oid)
        if found is None or found.account != account:
            self.told.append(("unknown", oid))
        else:
            self._drop(found, "CANCELED")
        return self.told

    def modify(self, account: int, oid: int, wish: Wish) -> list[Outcome]:
        self.told = []
        old = self._find(oid)
        if old is None or old.account != account:
            return [("unknown", oid)]
        was = old.state
        self._drop(old, "MODIFIED")
        if was != "resting" and wish.at is not None:
            self._place_trigger(
                account, wish, old.parent, is_position=old.is_position, waits=was == "waiting"
            )
        else:
            self._place(account, wish)
        return self.told

    def move(self, mark: int) -> list[Outcome]:
        self.told = []
        self.mark = mark
        while due := self._due():
            self._fire(due[0])
        return self.told

    def show(self) -> Shown:
        resting = [self._makers(is_buy=True), self._makers(is_buy=False)]
        triggers = [thing for thing in self.things if thing.state != "resting"]
        return (
            [(thing.oid, thing.price, thing.left) for side in resting for thing in side],
            sorted((thing.oid, thing.state == "armed") for thing in triggers),
            [self.positions[account] for account in range(len(ACCOUNTS))],
        )

    # ---- placing -----------------------------------------------------------------------------

    def _place(self, account: int, wish: Wish, fired: Thing | None = None) -> Thing | None:
        """Place an order; return it if it rests. A fired trigger is one already."""
        if wish.at is not None:
            self._place_trigger(account, wish)
            return None
        refused = self._why_not(account, wish)
        if refused is not None:
            self._refuse(refused, fired)
            return None
        lots = min(wish.lots, abs(self.positions[account])) if wish.reduce_only else wish.lots
        order = fired or Thing(self._next(), account, wish.is_buy, wish.price, lots, lots, False)
        order.lots = order.left = lots
        order.reduce_only = wish.reduce_only
        self.told.append(("placed", order.oid, wish.price, lots))
        self._match(order)
        if order.left and wish.tif in _IMMEDIATE:
            self.told.append(("gone", order.oid, "IOC_REMAINDER", order.left))
        elif order.left:
            order.state = "resting"
            self.arrivals += 1
            order.arrival = self.arrivals
            self.things.append(order)
            if order.reduce_only:
                self._trim(account, newest=order)
            return order
        return None

    def _why_not(self, account: int, wish: Wish) -> str | None:
        size = self.positions[account]
        if wish.reduce_only and (not size or (size > 0) is wish.is_buy):
            return "REDUCE_ONLY_INCREASES"
        crosses = bool(self._matching(wish.price, is_buy=wish.is_buy))
        if wish.tif is Tif.ALO and crosses:
            return "POST_ONLY_WOULD_MATCH"
        if wish.tif is Tif.IOC and not crosses:
            return "IOC_FOUND_NOTHING"
        if wish.tif is Tif.FRONTEND_MARKET and not crosses:
            return "MARKET_FOUND_NOTHING"
        return None

    def _place_trigger(
        self,
        account: int,
        wish: Wish,
        parent: int | None = None,
        *,
        is_position: bool = False,
        waits: bool = False,
    ) -> None:
        at, size = wish.at, self.positions[account]
        assert at is not None
        expected = self.mark
        if waits:
            assert parent is not None
            main = self._find(parent)
            assert main is not None
            expected = min(self.mark, main.price) if main.is_buy else max(self.mark, main.price)
        above = is_above(at, is_buy=wish.is_buy)
        if not wish.reduce_only:
            self._refuse("TRIGGER_NOT_REDUCING")
        elif not wish.lots and not is_position:
            self._refuse("SIZE_ZERO")
        elif is_position and (not size or (size > 0) is wish.is_buy):
            self._refuse("REDUCE_ONLY_INCREASES")
        elif expected >= at.price if above else expected <= at.price:
            self._refuse("TRIGGER_PRICE_BAD")
        else:
            thing = Thing(
                self._next(), account, wish.is_buy, wish.price, wish.lots, wish.lots, True
            )
            thing.at, thing.parent, thing.is_position = at, parent, is_position
            thing.state = "waiting" if waits else "armed"
            self.things.append(thing)
            self.told.append(("trigger", thing.oid, not waits))

    def _is_group(self, wishes: Sequence[Wish]) -> bool:
        good = 1 <= len(wishes) <= 2 and all(wish.at is not None for wish in wishes)
        if not good:
            self.told.append(("command refused", "GROUP_COUNT_WRONG"))
        return good

    def _place_family(self, account: int, main: Wish, children: Sequence[Wish]) -> None:
        resting = self._place(account, main)
        head, *consequences = self.told
        reason = head[1] if head[0] == "refused" else None
        if reason is None and resting is None and all(what[0] != "traded" for what in consequences):
            market = main.tif is Tif.FRONTEND_MARKET
            reason = "MARKET_FOUND_NOTHING" if market else "IOC_FOUND_NOTHING"
        for child in children:
            if reason is not None:
                self._refuse(str(reason))
            elif child.is_buy is main.is_buy:
                self._refuse("REDUCE_ONLY_INCREASES")
            else:
                assert isinstance(head[1], int)
                self._place_trigger(account, child, head[1], waits=resting is not None)

    def _refuse(self, reason: str, fired: Thing | None = None) -> None:
        self.told.append(("refused", reason) if fired is None else ("failed", fired.oid, reason))

    def _next(self) -> int:
        self.accepted += 1
        return self.accepted

    # ---- matching ----------------------------------------------------------------------------

    def _match(self, taker: Thing) -> None:
        while taker.left and (makers := self._matching(taker.price, is_buy=taker.is_buy)):
            maker = makers[0]
            if maker.account == taker.account:
                self._drop(maker, "SELF_TRADE")
                continue
            lots = min(maker.left, taker.left)
            for side in (taker, maker):
                side.left -= lots
                self.positions[side.account] += lots if side.is_buy else -lots
            if not maker.left:
                self.things.remove(maker)
            self.told.append(("traded", maker.oid, maker.price, lots))
            for side in (taker, maker):
                self._trim(side.account)
            for side in (taker, maker):
                self._follow(side)

    def _trim(self, account: int, newest: Thing | None = None) -> None:
        """Cancel reduce-only orders, oldest first, until the rest only reduces."""
        size = self.positions[account]
        reducing = [
            thing
            for thing in self.things
            if thing.account == account and thing.state == "resting" and thing.reduce_only
        ]
        reducing.sort(key=lambda thing: (thing is newest, thing.oid))
        while reducing:
            lots = sum(thing.left for thing in reducing)
            if reducing[0].is_buy is (size < 0) and lots <= abs(size):
                return
            self._drop(reducing.pop(0), "REDUCE_ONLY")

    def _follow(self, side: Thing) -> None:
        """Let bound triggers follow the position, and relatives an order that is filled."""
        size = self.positions[side.account]
        for thing in [thing for thing in self.things if thing.account == side.account]:
            is_bound = thing.is_position and thing.state != "resting"
            if is_bound and (not size or (size > 0) is thing.is_buy):
                self._drop(thing, "POSITION_CLOSED")
        if not side.left:
            if side.parent is not None:
                for sibling in self._children(side.parent):
                    if sibling is not side:
                        self._drop(sibling, "SIBLING_FILLED")
            for child in self._children(side.oid):
                self._arm(child)

    # ---- going and firing --------------------------------------------------------------------

    def _drop(self, thing: Thing, reason: str) -> None:
        self.things.remove(thing)
        self.told.append(("gone", thing.oid, reason, thing.left))
        for child in self._children(thing.oid):
            if thing.left < thing.lots and reason not in _OWNERS:
                self._arm(child)
            else:
                self._drop(child, "PARENT_CANCELED")

    def _arm(self, thing: Thing) -> None:
        thing.state = "armed"
        self.told.append(("armed", thing.oid))

    def _due(self) -> list[Thing]:
        """Return what the mark has reached: on its way down first, nearest first, then oldest."""
        due = []
        for thing in self.things:
            if thing.state == "armed":
                assert thing.at is not None
                away = thing.at.price - self.mark
                if away <= 0 if thing.is_above else away >= 0:
                    due.append((thing.is_above, -abs(away), thing.oid, thing))
        return [entry[-1] for entry in sorted(due, key=lambda entry: entry[:3])]

    def _fire(self, thing: Thing) -> None:
        assert thing.at is not None
        self.things.remove(thing)
        self.told.append(("fired", thing.oid))
        lots = thing.lots or abs(self.positions[thing.account])
        tif = Tif.FRONTEND_MARKET if thing.at.is_market else Tif.GTC
        self._place(thing.account, Wish(thing.is_buy, thing.price, lots, tif, True), thing)

    # ---- looking -----------------------------------------------------------------------------

    def _find(self, oid: int) -> Thing | None:
        return next((thing for thing in self.things if thing.oid == oid), None)

    def _children(self, oid: int) -> list[Thing]:
        children = [thing for thing in self.things if thing.parent == oid]
        return sorted(children, key=lambda thing: thing.oid)

    def _makers(self, *, is_buy: bool) -> list[Thing]:
        """Return one side of the book by price, then by arrival."""
        side = [t for t in self.things if t.state == "resting" and t.is_buy is is_buy]
        side.sort(key=lambda thing: (-thing.price if is_buy else thing.price, thing.arrival))
        return side

    def _matching(self, price: int, *, is_buy: bool) -> list[Thing]:
        """Return the orders that an order could trade with, best first."""
        side = self._makers(is_buy=not is_buy)
        return [
            thing for thing in side if (thing.price <= price if is_buy else thing.price >= price)
        ]


class ExchangeFloor:
    """The fast one, behind the same surface."""

    def __init__(self) -> None:
        self.desk = Desk()
        for account in ACCOUNTS:
            self.desk.credit(account, 1_000_000)

    def place(
        self, account: int, wishes: Sequence[Wish], grouping: Grouping = Grouping.NA
    ) -> list[Outcome]:
        specs = tuple(map(_spec, wishes))
        return self._told(
            self.desk.apply(PlaceOrders(*self.desk.head(ACCOUNTS[account]), specs, grouping))
        )

    def cancel(self, account: int, oid: int) -> list[Outcome]:
        spec = CancelSpec(BTC, OrderId(oid))
        return self._told(
            self.desk.apply(CancelOrders(*self.desk.head(ACCOUNTS[account]), (spec,)))
        )

    def modify(self, account: int, oid: int, wish: Wish) -> list[Outcome]:
        spec = ModifySpec(OrderId(oid), _spec(wish))
        return self._told(
            self.desk.apply(ModifyOrders(*self.desk.head(ACCOUNTS[account]), (spec,)))
        )

    def move(self, mark: int) -> list[Outcome]:
        return self._told(self.desk.apply(MoveOracle((OraclePrice(BTC, mark * E8),))))

    def show(self) -> Shown:
        market = self.desk.exchange.market_state(BTC)
        states = [self.desk.state(account) for account in ACCOUNTS]
        return (
            [
                (order.oid, order.price // _TICKS_PER_USD, order.remaining // _LOTS_PER_COIN)
                for side in (market.bids, market.asks)
                for order in side
            ],
            sorted((t.oid, t.is_armed) for state in states for t in state.triggers),
            [self.desk.size(account) // _LOTS_PER_COIN for account in ACCOUNTS],
        )

    def _told(self, events: list[Event]) -> list[Outcome]:
        return [
            _outcome(event)
            for event in events
            if not isinstance(event, OracleMoved | PremiumSampled)
        ]


_TICKS_PER_USD: Final = 10_000
_LOTS_PER_COIN: Final = 100


def _spec(wish: Wish) -> OrderSpec:
    at = wish.at
    trigger = None if at is None else TriggerSpec(at.price * E8, at.is_market, at.is_stop_loss)
    return OrderSpec(
        BTC,
        wish.is_buy,
        wish.price * E8,
        wish.lots * E8,
        wish.tif,
        wish.reduce_only,
        None,
        trigger,
    )


def _outcome(event: Event) -> Outcome:
    match event:
        case OrderPlaced(oid=oid, price=price, lots=lots):
            return "placed", oid, price // _TICKS_PER_USD, lots // _LOTS_PER_COIN
        case Traded(maker=maker, price=price, lots=lots):
            return "traded", maker.oid, price // _TICKS_PER_USD, lots // _LOTS_PER_COIN
        case OrderCanceled(oid=oid, remaining=remaining, reason=reason):
            return "gone", oid, reason.name, remaining // _LOTS_PER_COIN
        case TriggerPlaced(oid=oid, is_armed=is_armed):
            return "trigger", oid, is_armed
        case TriggerArmed(oid=oid):
            return "armed", oid
        case TriggerFired(oid=oid):
            return "fired", oid
        case TriggerFailed(oid=oid, reason=why):
            return "failed", oid, why.name
        case OrderRefused(reason=why):
            return "refused", why.name
        case CommandRefused(reason=why):
            return "command refused", why.name
        case CancelRefused(target=target) | ModifyRefused(target=target):
            return "unknown", int(target)
        case _:
            raise AssertionError(event)
