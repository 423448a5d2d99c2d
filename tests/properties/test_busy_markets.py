"""Long seeded runs of busy markets, in which everything that can happen to an order does happen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from model.events import (
    CancelReason,
    OrderCanceled,
    OrderRefused,
    Traded,
    TriggerArmed,
    TriggerFired,
    TriggerPlaced,
    TwapEnded,
    TwapStarted,
)
from model.exchange import Exchange
from model.invariants import check
from model.refusals import Refusal
from tests.properties.busy_markets import BusyMarkets, history_digest

COMMANDS: Final = 1_500
COMMANDS_PER_CHECK: Final = 5

EXPECTED_CANCELS: Final = {
    CancelReason.CANCELED,
    CancelReason.IOC_REMAINDER,
    CancelReason.SELF_TRADE,
    CancelReason.MARGIN,
    CancelReason.REDUCE_ONLY,
    CancelReason.MODIFIED,
    CancelReason.PARENT_CANCELED,
    CancelReason.SCHEDULED,
}

EXPECTED_EVENTS: Final = {TriggerPlaced, TriggerArmed, TriggerFired, TwapStarted, TwapEnded}

EXPECTED_REFUSALS: Final = {
    Refusal.NOTIONAL_TOO_SMALL,
    Refusal.CLOID_IN_USE,
    Refusal.MARGIN_TOO_LOW,
    Refusal.REDUCE_ONLY_INCREASES,
    Refusal.POST_ONLY_WOULD_MATCH,
    Refusal.IOC_FOUND_NOTHING,
    Refusal.MARKET_FOUND_NOTHING,
}


@pytest.mark.parametrize("seed", range(6))
def test_busy_markets_stay_whole(seed: int) -> None:
    """Trades, expiries, margin calls and trims by the hundred leave every invariant in place."""
    markets = BusyMarkets(seed)
    seen: Counter[object] = Counter()

    for count in range(COMMANDS):
        for event in markets.step():
            if isinstance(event, OrderCanceled | OrderRefused):
                seen[event.reason] += 1
            seen[type(event)] += 1
        if count % COMMANDS_PER_CHECK == 0:
            check(markets.exchange)
        if count % 300 == 0:
            markets.exchange = Exchange.load(markets.exchange.dump())

    assert seen[Traded] > 200
    assert set(seen) >= EXPECTED_EVENTS
    assert set(seen) >= EXPECTED_CANCELS
    assert set(seen) >= EXPECTED_REFUSALS


def test_history_does_not_depend_on_the_hash_seed() -> None:
    """Two processes that hash texts differently write the same bytes."""
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.properties.busy_markets", "42", "400"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert digests == {f"{history_digest(42, 400)}\n".encode()}
