"""What falls due as time goes on."""

from __future__ import annotations

from model.commands import Tick
from model.events import CommandRefused, Ticked
from model.exchange import Exchange
from model.refusals import Refusal
from tests.model.desk import START_MS, Desk


def test_tick_with_nothing_due_changes_nothing() -> None:
    """It says so and need not be kept."""
    desk = Desk()
    desk.block(START_MS + 1)
    before = desk.exchange.dump()

    assert desk.apply(Tick()) == [Ticked()]
    assert desk.exchange.dump() == before


def test_exchange_that_is_not_open_has_no_time() -> None:
    """The first command of a log opens the exchange."""
    assert Exchange().apply(Tick()) == [CommandRefused(None, Refusal.EXCHANGE_NOT_OPEN)]
