"""Limits of one network address, on a clock of the test's own."""

from __future__ import annotations

import json

import pytest

from api.config import Limits
from api.limits import ADDRESSES_MAX, LimitedError, NetworkLimits

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def limits_of(**limits: int) -> tuple[NetworkLimits, Clock]:
    """Return limits with these tables, and their clock."""
    clock = Clock()
    return NetworkLimits(Limits(**limits), clock), clock


def question(kind: str) -> bytes:
    """Return the body of a question."""
    return json.dumps({"type": kind}).encode()


def batch(key: str, length: int) -> bytes:
    """Return the body of an action with a batch."""
    return json.dumps({"action": {"type": "any", key: [{}] * length}, "nonce": 1}).encode()


def asked(network: NetworkLimits, address: str, body: bytes, most: int = 5000) -> int:
    """Ask until it is refused; return how often it was not."""
    for count in range(most):
        try:
            network.ask(address, body)
        except LimitedError:
            return count
    return most


@pytest.mark.parametrize(
    ("kind", "often"), [("l2Book", 600), ("meta", 60), ("userRole", 20), ("nonsense", 60)]
)
def test_questions_weigh_what_is_documented(kind: str, often: int) -> None:
    """A minute's 1,200 are 600 books, 60 of most others, 20 roles."""
    network, _ = limits_of(weight_per_minute=1200)

    assert asked(network, HERE, question(kind)) == often
    assert asked(network, THERE, question(kind)) == often


def test_a_bucket_fills_evenly() -> None:
    """Half a minute later there is half of it again, and never more than all of it."""
    network, clock = limits_of(weight_per_minute=1200)
    asked(network, HERE, question("meta"))

    clock.seconds += 30
    assert asked(network, HERE, question("meta")) == 30
    clock.seconds += 3600
    assert asked(network, HERE, question("meta")) == 60


def test_long_answers_weigh_more() -> None:
    """Two thousand fills weigh a hundred beyond their question."""
    network, _ = limits_of(weight_per_minute=140)
    body = question("userFills")
    network.ask(HERE, body)

    network.answered(HERE, body, json.dumps([{}] * 2000).encode())

    assert asked(network, HERE, body) == 1
    network.answered(HERE, body, b"null")
    network.answered(HERE, question("meta"), b"[1,2,3]")


@pytest.mark.parametrize(
    ("key", "length", "often"), [("orders", 1, 10), ("orders", 40, 5), ("cancels", 80, 3)]
)
def test_actions_weigh_by_their_batch(key: str, length: int, often: int) -> None:
    """One, and one more for each full forty entries."""
    network, _ = limits_of(weight_per_minute=10)

    for _ in range(often):
        network.act(HERE, batch(key, length))

    with pytest.raises(LimitedError):
        network.act(HERE, batch(key, length))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"action": 7}', b"\xff\xfe"])
def test_what_is_no_request_weighs_like_one(body: bytes) -> None:
    """Nonsense is answered elsewhere, but it is not free."""
    network, _ = limits_of(weight_per_minute=1)
    network.act(HERE, body)

    with pytest.raises(LimitedError):
        network.act(HERE, body)


def test_connections_are_counted_while_they_live() -> None:
    """A third beside two is refused; after one has ended there is room again."""
    network, _ = limits_of(connections=2)

    with network.connection(HERE):
        with network.connection(HERE):
            with pytest.raises(LimitedError), network.connection(HERE):
                pass
            with network.connection(THERE):
                pass
        with network.connection(HERE):
            pass


def test_new_connections_have_a_rate() -> None:
    """Opening and closing again and again does not help."""
    network, clock = limits_of(connections_per_minute=2)
    for _ in range(2):
        with network.connection(HERE):
            pass

    with pytest.raises(LimitedError), network.connection(HERE):
        pass
    clock.seconds += 30
    with network.connection(HERE):
        pass


def test_messages_are_counted_over_all_connections() -> None:
    """Two connections of one address share its messages."""
    network, _ = limits_of(messages_per_minute=3)

    with network.connection(HERE) as first, network.connection(HERE) as second:
        assert [first(), second(), first(), second(), first()] == [True] * 3 + [False] * 2


def test_without_numbers_there_are_no_limits() -> None:
    """The default file sets none."""
    network, _ = limits_of()

    assert asked(network, HERE, question("userRole")) == 5000
    with network.connection(HERE) as message:
        assert all(message() for _ in range(5000))


def test_memory_is_bounded_and_connected_peers_are_kept() -> None:
    """Many addresses push out the quiet ones, never one that is connected."""
    network, _ = limits_of(weight_per_minute=20, connections=1)
    with network.connection(HERE):
        network.ask(THERE, question("meta"))
        for number in range(ADDRESSES_MAX + 5):
            network.ask(f"198.51.100.{number}", question("meta"))

        network.ask(THERE, question("meta"))  # forgotten, so its bucket is full again
        with pytest.raises(LimitedError), network.connection(HERE):
            pass
        assert len(network._clients) <= ADDRESSES_MAX + 1
