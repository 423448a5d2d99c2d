"""One suite for two floors: the fast one of the exchange and the slow, obvious one."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final, TypeAlias

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from model.commands import Grouping, Tif
from model.exchange import Exchange
from tests.model.reference_floor import (
    ACCOUNTS,
    At,
    ExchangeFloor,
    Floor,
    ReferenceFloor,
    Wish,
    is_above,
)


@pytest.fixture(params=[ReferenceFloor, ExchangeFloor], ids=["reference", "exchange"])
def floor(request: pytest.FixtureRequest) -> Floor:
    """Both, one after the other."""
    made: Floor = request.param()
    return made


def stop(price: int, lots: int, *, is_buy: bool = False, is_market: bool = True) -> Wish:
    """Make a stop with some slippage allowed."""
    limit = price + 5 if is_buy else price - 5
    return Wish(is_buy, limit, lots, reduce_only=True, at=At(price, is_market, True))


def profit(price: int, lots: int) -> Wish:
    """Make a take-profit of a long position."""
    return Wish(False, price, lots, reduce_only=True, at=At(price, True, False))


def buy_at_100(floor: Floor, lots: int) -> None:
    """Let the first account buy from the second."""
    floor.place(1, [Wish(False, 100, lots)])
    floor.place(0, [Wish(True, 100, lots)])


def test_stop_becomes_an_order(floor: Floor) -> None:
    """It fires at its price under its own id and takes what it finds."""
    buy_at_100(floor, 2)
    floor.place(0, [stop(95, 2)])
    floor.place(2, [Wish(True, 93, 5)])

    assert floor.move(96) == []
    assert floor.move(95) == [("fired", 3), ("placed", 3, 90, 2), ("traded", 4, 93, 2)]


def test_limit_trigger_queues_behind_those_who_were_there(floor: Floor) -> None:
    """Its id is older, its place in the book is not."""
    buy_at_100(floor, 2)
    floor.place(0, [stop(95, 2, is_market=False)])
    floor.place(2, [Wish(False, 90, 1)])
    floor.move(95)

    assert [oid for oid, _, _ in floor.show()[0]] == [4, 3]


def test_children_follow_their_parent(floor: Floor) -> None:
    """Armed when it is filled, and the one that fills cancels the other."""
    told = floor.place(0, [Wish(True, 99, 2), profit(110, 2), stop(95, 2)], Grouping.NORMAL_TPSL)
    assert told == [("placed", 1, 99, 2), ("trigger", 2, False), ("trigger", 3, False)]
    told = floor.place(1, [Wish(False, 99, 2)])
    assert told[2:] == [("armed", 2), ("armed", 3)]
    floor.place(2, [Wish(True, 93, 5)])

    assert floor.move(94)[-1] == ("gone", 2, "SIBLING_FILLED", 2)


def test_older_excess_of_reduce_only_orders_goes(floor: Floor) -> None:
    """Together they never exceed the position."""
    buy_at_100(floor, 3)
    floor.place(0, [Wish(False, 105, 2, reduce_only=True)])
    told = floor.place(0, [Wish(False, 106, 2, reduce_only=True)])

    assert told == [("placed", 4, 106, 2), ("gone", 3, "REDUCE_ONLY", 2)]


def test_bound_triggers_go_with_their_position(floor: Floor) -> None:
    """Whatever closed it."""
    buy_at_100(floor, 2)
    floor.place(0, [stop(95, 0), profit(110, 0)], Grouping.POSITION_TPSL)
    floor.place(2, [Wish(True, 99, 5)])

    told = floor.place(0, [Wish(False, 99, 2)])
    assert told[2:] == [
        ("gone", 3, "POSITION_CLOSED", 0),
        ("gone", 4, "POSITION_CLOSED", 0),
    ]


who = st.integers(0, len(ACCOUNTS) - 1)
prices = st.integers(94, 106)
plain = st.builds(
    Wish,
    is_buy=st.booleans(),
    price=prices,
    lots=st.integers(1, 5),
    tif=st.sampled_from([Tif.GTC] * 5 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]),
    reduce_only=st.sampled_from([False, False, True]),
)
waiting = st.builds(
    Wish,
    is_buy=st.booleans(),
    price=prices,
    lots=st.integers(0, 5),
    reduce_only=st.sampled_from([True] * 9 + [False]),
    at=st.builds(At, price=prices, is_market=st.booleans(), is_stop_loss=st.booleans()),
)
oids = st.integers(1, 30)

Action: TypeAlias = tuple[object, ...]

families = st.tuples(plain, st.lists(waiting, min_size=1, max_size=2)).map(
    lambda parts: [parts[0], *parts[1]]
)
actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("place"), who, st.lists(plain, min_size=1, max_size=2)),
    st.tuples(st.just("place"), who, st.lists(plain | waiting, min_size=1, max_size=2)),
    st.tuples(st.just("place"), who, families, st.just(Grouping.NORMAL_TPSL)),
    st.tuples(
        st.just("place"),
        who,
        st.lists(waiting, min_size=1, max_size=2),
        st.just(Grouping.POSITION_TPSL),
    ),
    st.tuples(
        st.just("place"),
        who,
        st.lists(plain | waiting, min_size=1, max_size=4),
        st.sampled_from(Grouping),
    ),
    st.tuples(st.just("cancel"), who, oids),
    st.tuples(st.just("modify"), who, oids, plain | waiting),
    st.tuples(st.just("move"), st.integers(95, 105)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=40))
def test_both_floors_do_the_same(script: list[Action]) -> None:
    """Any sequence of actions has the same outcomes and leaves the same behind."""
    slow, fast = ReferenceFloor(), ExchangeFloor()
    for name, *arguments in script:
        told = getattr(fast, str(name))(*arguments)

        assert getattr(slow, str(name))(*arguments) == told
        assert slow.show() == fast.show()


class Crowd:
    """Draws actions that mostly make sense from a seed."""

    def __init__(self, seed: int, floor: ReferenceFloor) -> None:
        self.random = random.Random(seed)
        self.floor = floor

    def draw(self) -> Action:
        """Draw the next action, knowing what is there."""
        draw, who = self.random.random(), self.random.randrange(len(ACCOUNTS))
        if draw < 0.35:
            return "place", who, [self._plain()]
        if draw < 0.5:
            return "place", who, [self._trigger(is_buy=self._reducing(who))]
        if draw < 0.65:
            main = self._plain()
            children = [self._trigger(is_buy=not main.is_buy) for _ in range(2)]
            return "place", who, [main, *children], Grouping.NORMAL_TPSL
        if draw < 0.7:
            bound = [self._trigger(is_buy=self._reducing(who), lots=0) for _ in range(2)]
            return "place", who, bound, Grouping.POSITION_TPSL
        if draw < 0.85:
            return "move", self.random.randint(95, 105)
        thing = self.random.choice(self.floor.things) if self.floor.things else None
        oid, owner = (thing.oid, thing.account) if thing else (1, who)
        if draw < 0.95:
            return "cancel", owner, oid
        wish = self._plain() if draw < 0.97 else self._trigger(is_buy=self._reducing(owner))
        return "modify", owner, oid, wish

    def _reducing(self, account: int) -> bool:
        return self.floor.positions[account] < 0

    def _plain(self) -> Wish:
        tifs = [Tif.GTC] * 5 + [Tif.IOC, Tif.ALO, Tif.FRONTEND_MARKET]
        return Wish(
            self.random.random() < 0.5,
            self.random.randint(95, 105),
            self.random.randint(1, 5),
            self.random.choice(tifs),
            self.random.random() < 0.25,
        )

    def _trigger(self, *, is_buy: bool, lots: int | None = None) -> Wish:
        is_stop = self.random.random() < 0.5
        at = At(self.floor.mark, self.random.random() < 0.5, is_stop)
        away = self.random.randint(0, 5)
        price = self.floor.mark + (away if is_above(at, is_buy=is_buy) else -away)
        limit = price + self.random.randint(-1, 4) * (1 if is_buy else -1)
        size = self.random.randint(1, 5) if lots is None else lots
        return Wish(is_buy, limit, size, reduce_only=True, at=evolve(at, price=price))


ALL_KINDS: Final = {
    "placed", "traded", "refused", "trigger", "armed", "fired", "failed", "SELF_TRADE",
    "REDUCE_ONLY", "MODIFIED", "CANCELED", "SIBLING_FILLED", "PARENT_CANCELED", "POSITION_CLOSED",
}  # fmt: skip
"""What must have happened many times in a busy run, or the run would prove little."""


@pytest.mark.parametrize("seed", range(4))
def test_busy_floors_do_the_same(seed: int) -> None:
    """A crowd in which everything that can happen does happen, and both agree on all of it."""
    seen = compare_floors(seed)

    assert min(seen[kind] for kind in ALL_KINDS) >= 5, seen


def compare_floors(seed: int) -> Counter[object]:
    """Let a crowd act on both floors; return how often each kind of outcome was seen."""
    slow, fast = ReferenceFloor(), ExchangeFloor()
    crowd = Crowd(seed, slow)
    seen: Counter[object] = Counter()

    for count in range(1_200):
        name, *arguments = crowd.draw()
        told = getattr(fast, str(name))(*arguments)
        assert getattr(slow, str(name))(*arguments) == told
        seen.update(what[2] if what[0] == "gone" else what[0] for what in told)
        if count % 100 == 0:
            fast.desk.exchange = Exchange.load(fast.desk.exchange.dump())
        assert slow.show() == fast.show()
    return seen
