"""What waits for a time or a price, as records of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from model import triggers
from model.ids import Address, OrderId
from model.triggers import Trigger
from model.twap import Twap

if TYPE_CHECKING:
    from model.matching import MatchingEngine


class FiredRecord(Struct, frozen=True, array_like=True):
    """A resting order that was a trigger, and the order that it was attached to."""

    account: Address
    oid: OrderId
    parent: OrderId | None


class ScheduleRecord(Struct, frozen=True, array_like=True):
    """An account's scheduled cancel, and how often one came true on the last day that one did."""

    address: Address
    at_ms: int | None
    day: int
    fired: int


def trigger_records(engine: MatchingEngine) -> list[Trigger]:
    """Return all triggers, oldest first."""
    held = [account.triggers for account in engine.accounts.values() if account.triggers]
    return sorted(
        (trigger for each in held for trigger in each.orders.values()),
        key=lambda trigger: trigger.oid,
    )


def fired_records(engine: MatchingEngine) -> list[FiredRecord]:
    """Return all resting orders that were triggers, oldest first."""
    records = [
        FiredRecord(address, oid, parent)
        for address, account in engine.accounts.items()
        if account.triggers
        for oid, parent in account.triggers.fired.items()
    ]
    return sorted(records, key=lambda record: record.oid)


def schedule_records(engine: MatchingEngine) -> list[ScheduleRecord]:
    """Return what accounts have scheduled, by address."""
    return [
        ScheduleRecord(
            address, account.cancel_at_ms, account.schedules_day, account.schedules_fired
        )
        for address, account in sorted(engine.accounts.items())
        if account.cancel_at_ms is not None or account.schedules_fired
    ]


def restore_triggers(
    engine: MatchingEngine, waiting: list[Trigger], fired: list[FiredRecord]
) -> None:
    """Enter triggers, and what orders were before, into accounts that have all their orders.

    Raises:
        LookupError: one of them is of an unknown account.
    """
    for trigger in waiting:
        triggers.enter(engine, engine.accounts[trigger.account], trigger)
    for record in fired:
        triggers.enter_fired(engine.accounts[record.account], record.oid, record.parent)


def restore_schedules(engine: MatchingEngine, records: list[ScheduleRecord]) -> None:
    """Enter what accounts have scheduled.

    Raises:
        LookupError: one of them is unknown.
    """
    for record in records:
        account = engine.accounts[record.address]
        account.cancel_at_ms = record.at_ms
        account.schedules_day = record.day
        account.schedules_fired = record.fired
        if record.at_ms is not None:
            engine.scheduled.append((record.at_ms, record.address))
    engine.scheduled.sort()


def restore_twaps(engine: MatchingEngine, next_id: int, twaps: list[Twap]) -> None:
    """Enter running TWAPs, oldest first.

    Raises:
        LookupError: one of them is of an unknown account or market.
    """
    engine.twaps.next_id = next_id
    for twap in twaps:
        if twap.account not in engine.accounts or twap.asset >= len(engine.markets):
            raise LookupError(twap)
        engine.twaps.add(twap)
