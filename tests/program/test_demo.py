"""The demo in the real program: six living books, and bots that come back after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from actors.strategies import LEVELS_PER_SIDE
from api.config import load_config
from api.demo import demo_key
from api.settings import DEMO_SEED
from tests.program.harness import POLL_SECONDS, START_SECONDS_MAX, Program

pytestmark = pytest.mark.program

COINS = [market.name for market in load_config().markets]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what the running program does in its own time."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)


def is_full(program: Program, coin: str) -> bool:
    bids, asks = program.info("l2Book", coin=coin)["levels"]
    return len(bids) >= LEVELS_PER_SIDE - 2 and len(asks) >= LEVELS_PER_SIDE - 2


def orders_of_makers(program: Program) -> dict[str, int]:
    return {
        coin: len(program.info("openOrders", user=demo_key(DEMO_SEED, f"maker-{coin}").address))
        for coin in COINS
    }


def test_a_newcomer_sees_a_living_book_in_all_markets(
    programs: Callable[..., Program],
) -> None:
    """Full ladders on both sides, trades, and an oracle that moves; again after a kill."""
    program = programs("--demo").start()
    opening = program.info("allMids")
    wait_until(lambda: all(is_full(program, coin) for coin in COINS))
    wait_until(lambda: sum(bool(program.info("recentTrades", coin=coin)) for coin in COINS) >= 3)
    assert program.info("allMids") != opening
    program.kill()
    program.start()
    wait_until(lambda: all(is_full(program, coin) for coin in COINS))

    # What the killed bots left was cancelled: no ladder stands twice.
    assert max(orders_of_makers(program).values()) <= 2 * LEVELS_PER_SIDE
    assert program.stop() == 0
