"""Orders at the edges: the largest numbers, the smallest ones, and as many as there may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from model.blocks import Entry, decode_entries, encode_entries
from model.commands import (
    CancelTwap,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    ScheduleCancel,
    Tick,
    Tif,
    TriggerSpec,
)
from model.events import (
    Event,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
    TriggerFailed,
    TriggerFired,
    TriggerPlaced,
)
from model.exchange import Exchange
from model.fees import OPEN_ORDERS_MAX
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.invariants import check
from model.orders import PRICE_E8_MAX
from model.refusals import Refusal
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, BTC, START_MS, Desk, every, only, order

U64_MAX: Final = 2**64 - 1
OWNERS: Final = [Address(f"0x{number:040x}") for number in range(1, 11)]


def stop_spec(price_e8: int = 90 * E8, size_e8: int = E8, at_e8: int = 95 * E8) -> OrderSpec:
    """Make a stop that sells."""
    trigger = TriggerSpec(at_e8, True, True)
    return OrderSpec(BTC, False, price_e8, size_e8, Tif.GTC, True, None, trigger)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (OrderSpec(BTC, True, U64_MAX, E8, Tif.GTC, False), Refusal.PRICE_INVALID),
        (OrderSpec(BTC, True, 99 * E8, U64_MAX, Tif.GTC, False), Refusal.SIZE_OFF_GRID),
        (
            OrderSpec(BTC, True, 99 * E8, U64_MAX // E8 * E8, Tif.GTC, False),
            Refusal.NOTIONAL_TOO_LARGE,
        ),
        (OrderSpec(AssetId(U64_MAX), True, 99 * E8, E8, Tif.GTC, False), Refusal.ASSET_UNKNOWN),
        (stop_spec(price_e8=U64_MAX), Refusal.PRICE_INVALID),
        (stop_spec(at_e8=U64_MAX), Refusal.PRICE_INVALID),
        (stop_spec(size_e8=U64_MAX), Refusal.SIZE_OFF_GRID),
        (stop_spec(size_e8=U64_MAX // E8 * E8), Refusal.NOTIONAL_TOO_LARGE),
        (
            stop_spec(price_e8=10**17, size_e8=E8 // 100, at_e8=10**17 - E8),
            Refusal.TRIGGER_PRICE_BAD,
        ),
    ],
)
def test_largest_numbers_of_an_order(spec: OrderSpec, reason: Refusal) -> None:
    """Whatever 64 bits can hold is answered, and the answer can be kept."""
    desk = Desk()
    command = PlaceOrders(*desk.head(ALICE), (spec,))
    events = desk.apply(command)

    refused = only(events, OrderRefused)
    assert refused.reason is reason
    entry = Entry(command, tuple(events))
    assert decode_entries(encode_entries([entry])) == (entry,)


def test_largest_numbers_of_what_waits() -> None:
    """The end of time is a time, and no TWAP has so many minutes or so large an id."""
    desk = Desk()
    commands: list[Command] = [
        ScheduleCancel(*desk.head(ALICE), U64_MAX),
        PlaceTwap(*desk.head(ALICE), BTC, True, U64_MAX, False, U64_MAX, True),
        PlaceTwap(*desk.head(ALICE), BTC, True, U64_MAX, False, 5, True),
        CancelTwap(*desk.head(ALICE), BTC, U64_MAX),
    ]
    entries = tuple(Entry(command, tuple(desk.apply(command))) for command in commands)

    assert decode_entries(encode_entries(entries)) == entries
    assert Exchange.load(desk.exchange.dump()).dump() == desk.exchange.dump()
    assert desk.state(ALICE).cancel_at_ms == U64_MAX


def test_smallest_size_at_the_largest_price() -> None:
    """A milliard USD for a millionth: traded, kept and closed without a rest."""
    desk = Desk()
    dear = Instrument(AssetId(2), "DEAR", 6, 3, PRICE_E8_MAX)
    desk.apply(ListMarket(dear))
    spec = OrderSpec(dear.asset, False, PRICE_E8_MAX, E8 // 10**6, Tif.GTC, False)
    desk.place(BOB, spec)
    buy = OrderSpec(dear.asset, True, PRICE_E8_MAX, E8 // 10**6, Tif.IOC, False)

    traded = only(desk.place(ALICE, buy), Traded)
    assert traded.price * traded.lots == 1_000 * USD
    assert Exchange.load(desk.exchange.dump()).dump() == desk.exchange.dump()


class Crowd:
    """Ten accounts with money, and commands of theirs; nothing is checked unless asked for."""

    def __init__(self) -> None:
        desk = Desk()
        for owner in OWNERS:
            desk.apply(Credit(owner, 100_000 * USD, CreditSource.FUND))
        self.exchange = desk.exchange
        self.nonce = desk.nonce

    def place(self, owner: Address, specs: Iterable[OrderSpec]) -> list[Event]:
        """Place many orders at once."""
        self.nonce += 1
        return self.exchange.apply(PlaceOrders(owner, self.nonce, None, None, tuple(specs)))

    def schedule(self, owner: Address, at_ms: int) -> None:
        """Schedule the cancel of all orders."""
        self.nonce += 1
        self.exchange.apply(ScheduleCancel(owner, self.nonce, None, None, at_ms))


def test_ten_thousand_open_orders() -> None:
    """They are kept, reloaded in their order, and go at once at the time that was set."""
    crowd = Crowd()
    for owner in OWNERS:
        specs = (order("buy", str(50 + count % 40), "0.2") for count in range(OPEN_ORDERS_MAX))
        assert len(every(crowd.place(owner, specs), OrderPlaced)) == OPEN_ORDERS_MAX
        crowd.schedule(owner, START_MS + 6_000)
    check(crowd.exchange)
    loaded = Exchange.load(crowd.exchange.dump())
    assert loaded.dump() == crowd.exchange.dump()

    loaded.begin_block(loaded.height + 1, START_MS + 6_000)
    assert len(every(loaded.apply(Tick()), OrderCanceled)) == 10_000
    assert loaded.market_state(BTC).bids == ()
    check(loaded)


def test_ten_thousand_triggers_fire_at_once() -> None:
    """Each once, the nearest price first, then the oldest; nothing stays behind."""
    crowd = Crowd()
    placed = [
        event
        for owner in OWNERS
        for event in every(
            crowd.place(
                owner, (stop_spec(at_e8=(90 + n % 7) * E8) for n in range(OPEN_ORDERS_MAX))
            ),
            TriggerPlaced,
        )
    ]
    check(crowd.exchange)

    events = crowd.exchange.apply(MoveOracle((OraclePrice(BTC, 80 * E8),)))
    fired = [event.oid for event in every(events, TriggerFired)]
    assert fired == [t.oid for t in sorted(placed, key=lambda t: (-t.terms.price, t.oid))]
    assert len(fired) == len(every(events, TriggerFailed)) == 10_000
    assert not crowd.exchange.engine.triggers[BTC].triggers
    check(crowd.exchange)
