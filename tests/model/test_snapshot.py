"""The state as bytes: canonical, complete, and refused when damaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import snapshot
from model.commands import Noop, Tif, UpdateLeverage
from model.errors import UnreadableSnapshotError
from model.events import Liquidated
from model.exchange import Exchange
from model.ids import Address
from model.invariants import check
from tests.model.desk import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    KEY,
    START_MS,
    Desk,
    cloid,
    only,
    order,
)


def lively_desk() -> Desk:
    """Return a desk with something of everything in its state."""
    desk = Desk(taker_fee_ppm=450, maker_fee_ppm=150)
    desk.trade(ALICE, BOB, "100", "5")
    desk.rest(ALICE, order("sell", "101", "3", reduce_only=True))
    desk.rest(BOB, order("sell", "101", "3", cloid=cloid(1)))
    desk.rest(CAROL, order("buy", "99", "3", tif=Tif.ALO))
    desk.place(CAROL, order("buy", "101", "1"))
    desk.approve(ALICE, KEY, "bot")
    desk.move_oracle("100.5")
    return desk


def test_empty_exchange_is_dumped_and_loaded() -> None:
    """Even before it is opened."""
    empty = Exchange()

    assert Exchange.load(empty.dump()).dump() == empty.dump()


def test_loaded_exchange_shows_the_same() -> None:
    """Everything that can be asked has the same answer."""
    desk = lively_desk()
    loaded = Exchange.load(desk.exchange.dump())

    check(loaded)
    assert loaded.digest() == desk.exchange.digest()
    assert (loaded.height, loaded.time_ms) == (desk.exchange.height, desk.exchange.time_ms)
    assert loaded.instruments == desk.exchange.instruments
    assert loaded.agents() == desk.exchange.agents()
    assert loaded.faucet_credits == desk.exchange.faucet_credits
    for instrument in loaded.instruments:
        asset = instrument.asset
        assert loaded.market_state(asset) == desk.exchange.market_state(asset)
    for account in (ALICE, BOB, CAROL, KEY):
        assert loaded.account_state(account) == desk.state(account)


@pytest.mark.parametrize("items", [1, 2, 500])
@pytest.mark.parametrize("orders", [0, 1, 15, 16, 70])
def test_pieces_add_up_to_the_whole(
    monkeypatch: pytest.MonkeyPatch, items: int, orders: int
) -> None:
    """A state that is encoded in pieces has the bytes that its whole would have."""
    monkeypatch.setattr(snapshot, "ITEMS_PER_PIECE", items)
    desk = lively_desk()
    for number in range(orders):
        desk.rest(ALICE, order("buy", str(50 + number % 40), "1"))
    dump = desk.exchange.dump()

    assert msgspec.msgpack.encode(msgspec.msgpack.decode(dump)) == dump


@pytest.mark.parametrize("count", [0, 15, 16, 2**16 - 1, 2**16])
def test_lists_begin_as_the_format_says(count: int) -> None:
    """The head of a list of any length is that of the whole list encoded at once."""
    whole = msgspec.msgpack.encode([0] * count)

    assert b"".join(snapshot._array_pieces(count, [0] * count)) == whole


def test_equal_states_have_equal_bytes_however_they_came_about() -> None:
    """Who came first leaves no trace where it does not matter."""
    desks = []
    for accounts in ((ALICE, BOB), (BOB, ALICE)):
        desk = Desk()
        for account in accounts:
            desk.apply(Noop(account, START_MS + 1, None, None))
            desk.credit(Address(account[:-1] + "0"), 5)
        desks.append(desk)

    assert desks[0].exchange.dump() == desks[1].exchange.dump()


def test_different_states_have_different_digests() -> None:
    """A nonce is enough."""
    one, other = Desk(), Desk()
    other.apply(Noop(ALICE, START_MS + 1, None, None))

    assert one.exchange.digest() != other.exchange.digest()


def test_refused_order_that_looked_at_a_market_leaves_the_digest_alone() -> None:
    """What is prepared for an order that is then refused is not state."""
    one, other = Desk(), Desk()
    one.place(ALICE, order("buy", "99", "999999"))
    other.apply(Noop(ALICE, one.nonce, None, None))

    assert one.exchange.digest() == other.exchange.digest()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_never_load_as_something_that_breaks_later(data: st.DataObject) -> None:
    """Cut or changed bytes either raise the one error or give a state that can be dumped."""
    intact = _INTACT
    cut = data.draw(st.integers(0, len(intact)))
    damaged = bytearray(intact[:cut] if data.draw(st.booleans()) else intact)
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        loaded = Exchange.load(bytes(damaged))
    except UnreadableSnapshotError:
        return
    loaded.dump()


def test_unknown_format_is_refused() -> None:
    """A later version's state is not guessed at."""
    fields = msgspec.msgpack.decode(_INTACT)
    fields[0] += 1

    with pytest.raises(UnreadableSnapshotError, match="format"):
        Exchange.load(msgspec.msgpack.encode(fields))


_INTACT = lively_desk().exchange.dump()


def test_isolated_position_is_looked_after_on_reload() -> None:
    """One that was chosen, not the market's default, is liquidated by itself after a reload too."""
    desk = Desk()
    desk.apply(UpdateLeverage(*desk.head(ALICE), BTC, False, 20))
    desk.trade(ALICE, BOB, "100", "10")

    desk.exchange = Exchange.load(desk.exchange.dump())

    events = desk.move_oracle("90")
    assert only(events, Liquidated).asset == BTC
