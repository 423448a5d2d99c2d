"""How many requests an account may make."""

from __future__ import annotations

from typing import Final

from model.commands import (
    CancelOrders,
    CancelSpec,
    Noop,
    OpenExchange,
    PlaceOrders,
    ReserveRequests,
)
from model.events import CommandRefused, NonceUsed, RequestsReserved
from model.exchange import Exchange
from model.ids import OrderId
from model.refusals import Refusal
from model.requests import BEYOND_INTERVAL_MS, EXPIRED_WEIGHT, RESERVED_MAX
from model.state import RequestState
from model.units import USD
from tests.model.desk import ALICE, BOB, BTC, START_MS, Desk, only, order

FREE: Final = 10


def limited() -> Desk:
    """Return a desk on which ten requests are free."""
    return Desk(terms=OpenExchange(450, 150, requests_free=FREE))


def use_up(desk: Desk) -> None:
    """Make all of Alice's requests."""
    for _ in range(FREE):
        assert desk.apply(Noop(*desk.head(ALICE)))[0].__class__ is NonceUsed


def test_exchange_without_limit_counts_nothing() -> None:
    """Zero free requests means that there is no limit."""
    desk = Desk()
    desk.apply(Noop(*desk.head(ALICE)))

    assert desk.state(ALICE).requests == RequestState(0, 0, 0)


def test_request_beyond_the_allowance_is_heard_once_in_ten_seconds() -> None:
    """The first one beyond is heard, the next only ten seconds later."""
    desk = limited()
    use_up(desk)

    outcomes = []
    for time_ms in (0, BEYOND_INTERVAL_MS - 1, BEYOND_INTERVAL_MS, BEYOND_INTERVAL_MS):
        desk.block(START_MS + time_ms)
        outcomes.append(type(desk.apply(Noop(*desk.head(ALICE)))[0]))

    assert outcomes == [NonceUsed, CommandRefused, NonceUsed, CommandRefused]


def test_refusal_tells_the_numbers_and_leaves_no_trace() -> None:
    """What was asked, the limit, and the volume that earned it; the nonce may be used again."""
    desk = limited()
    use_up(desk)
    desk.apply(Noop(*desk.head(ALICE)))
    before = desk.exchange.digest()

    refused = desk.apply(Noop(*desk.head(ALICE)))

    assert refused == [CommandRefused(ALICE, Refusal.REQUESTS_USED_UP, (12, 10, 0))]
    assert desk.exchange.digest() == before


def test_volume_earns_requests() -> None:
    """One for each USD."""
    desk = limited()
    desk.trade(ALICE, BOB, "100", "0.5")

    assert desk.state(ALICE).requests == RequestState(1, FREE + 50, 0)


def test_batch_counts_as_many_as_it_has_entries() -> None:
    """One action of eight orders is eight requests."""
    desk = limited()
    desk.place(ALICE, *[order("buy", "90", "1")] * 8)

    assert desk.state(ALICE).requests == RequestState(8, FREE, 0)


def test_cancels_have_twice_the_limit() -> None:
    """An account that has used up its requests can still take back its orders."""
    desk = limited()
    desk.place(ALICE, *[order("buy", "90", "1")] * FREE)
    desk.apply(Noop(*desk.head(ALICE)))

    canceled = [desk.cancel(ALICE, OrderId(number)) for number in range(1, FREE)]
    beyond = desk.apply(CancelOrders(*desk.head(ALICE), (CancelSpec(BTC, OrderId(FREE)),)))

    assert not any(isinstance(events[0], CommandRefused) for events in canceled)
    assert only(beyond, CommandRefused).reason is Refusal.REQUESTS_USED_UP


def test_expired_request_counts_five_times() -> None:
    """It used up its nonce and the attention of the exchange."""
    desk = limited()
    _, nonce, *_ = desk.head(ALICE)
    desk.apply(PlaceOrders(ALICE, nonce, START_MS - 1, None, (order("buy", "90", "1"),)))

    assert desk.state(ALICE).requests == RequestState(EXPIRED_WEIGHT, FREE, 0)


def test_requests_can_be_bought() -> None:
    """At 0.0005 USD each, which the exchange keeps."""
    desk = limited()

    events = desk.apply(ReserveRequests(*desk.head(ALICE), 2_000))

    assert events == [RequestsReserved(ALICE, 2_000, 1 * USD)]
    assert desk.state(ALICE).requests == RequestState(1, FREE + 2_000, 2_000)
    assert desk.state(ALICE).cash == 9_999 * USD
    assert desk.exchange.engine.fees == 1 * USD


def test_impossible_reservations_are_refused() -> None:
    """None, too many, or more than the account can pay."""
    desk = Desk()
    reasons = [
        only(desk.apply(ReserveRequests(*desk.head(ALICE), count)), CommandRefused).reason
        for count in (0, RESERVED_MAX + 1, 20_000_001)
    ]

    assert reasons == [
        Refusal.RESERVATION_INVALID,
        Refusal.RESERVATION_INVALID,
        Refusal.TRANSFER_TOO_LARGE,
    ]


def test_counts_survive_a_snapshot() -> None:
    """With what was bought, and when the last one beyond came."""
    desk = limited()
    use_up(desk)
    desk.apply(Noop(*desk.head(ALICE)))

    again = Exchange.load(desk.exchange.dump())

    assert again.account_state(ALICE) == desk.state(ALICE)
    assert again.dump() == desk.exchange.dump()
    refused = again.apply(Noop(*desk.head(ALICE)))[0]
    assert isinstance(refused, CommandRefused)


def test_accounts_are_counted_apart() -> None:
    """What Alice used up is not Bob's affair."""
    desk = limited()
    use_up(desk)

    assert isinstance(desk.apply(Noop(*desk.head(BOB)))[0], NonceUsed)
