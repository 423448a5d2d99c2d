"""Fees and what volume earns."""

from __future__ import annotations

import pytest

from model.commands import Tif
from model.fees import fee_towards_exchange, open_orders_max
from model.units import USD
from tests.model.desk import ALICE, BOB, Desk, order


@pytest.mark.parametrize(
    ("notional", "rate_ppm", "fee"),
    [(1_000_000, 450, 450), (1_000_001, 450, 451), (1, 450, 1), (0, 450, 0), (1, 0, 0)],
)
def test_fee_is_rounded_up(notional: int, rate_ppm: int, fee: int) -> None:
    """A fraction of a micro-USD costs a whole one."""
    assert fee_towards_exchange(notional, rate_ppm) == fee


@pytest.mark.parametrize(("notional", "fee"), [(1_000_000, -10), (1_099_999, -10), (99_999, 0)])
def test_rebate_is_rounded_down(notional: int, fee: int) -> None:
    """A fraction of a micro-USD is not paid out."""
    assert fee_towards_exchange(notional, -10) == fee


@pytest.mark.parametrize(
    ("usd", "most"),
    [(0, 1000), (4_999_999, 1000), (5_000_000, 1001), (10**10, 3000), (10**12, 5000)],
)
def test_volume_earns_open_orders(usd: int, most: int) -> None:
    """One for every five million USD, up to five thousand in all."""
    assert open_orders_max(usd * USD) == most


def test_fees_are_kept_by_the_exchange() -> None:
    """What the taker pays goes to the maker's rebate and the exchange, and nothing is lost."""
    desk = Desk(taker_fee_ppm=450, maker_fee_ppm=-100)
    desk.rest(BOB, order("sell", "100", "1"))
    desk.place(ALICE, order("buy", "100", "1", tif=Tif.IOC))

    assert desk.exchange.engine.fees == 45_000 - 10_000
