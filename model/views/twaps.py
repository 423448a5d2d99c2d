"""The TWAPs that are running, kept by applying events, and the records that the changes give.

Source of the statuses: Hyperliquid API documentation, TWAP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from model.events import Event, Leg, Traded, TwapEnd, TwapEnded, TwapStarted
from model.ids import Address
from model.state import TwapState
from model.views.records import Moment, TwapRecord

ACTIVATED: Final = "activated"
END_STATUS: Final = {
    TwapEnd.FINISHED: "finished",
    TwapEnd.TERMINATED: "terminated",
    TwapEnd.STOPPED: "stopped",
}


class Twaps:
    """Running TWAPs, of one account or of all. They iterate in the order of their ids."""

    __slots__ = ("_account", "_running", "_touched")

    def __init__(
        self, running: Iterable[TwapState] = (), *, account: Address | None = None
    ) -> None:
        self._account = account
        self._running = {twap.twap_id: twap for twap in running}
        self._touched: dict[int, None] = {}

    def __iter__(self) -> Iterator[TwapState]:
        return iter(sorted(self._running.values(), key=_by_id))

    def apply(self, event: Event, at: Moment) -> TwapRecord | None:
        """Take in one event; return the status change that it means, if any."""
        match event:
            case Traded():
                self._fill(event, event.taker)
                self._fill(event, event.maker)
            case TwapStarted() if self._is_mine(event.account):
                self._touched[event.twap_id] = None
                twap = self._running[event.twap_id] = TwapState(
                    event.twap_id,
                    event.asset,
                    event.account,
                    event.is_buy,
                    event.lots,
                    event.reduce_only,
                    event.minutes,
                    event.randomize,
                    at.time_ms,
                    0,
                    0,
                )
                return twap_record(twap, ACTIVATED, at)
            case TwapEnded() if self._is_mine(event.account):
                ended = self._running.pop(event.twap_id, None)
                if ended is not None:
                    ended = replace(
                        ended,
                        executed_lots=event.executed_lots,
                        executed_notional=event.executed_notional,
                    )
                    return twap_record(ended, END_STATUS[event.end], at)
            case _:
                pass
        return None

    def take_touched(self) -> list[TwapState]:
        """Return the running ones that began or traded since this was last asked."""
        touched, self._touched = self._touched, {}
        return [self._running[twap_id] for twap_id in touched if twap_id in self._running]

    def _is_mine(self, account: Address) -> bool:
        return self._account is None or account == self._account

    def _fill(self, event: Traded, leg: Leg) -> None:
        twap = None if leg.twap_id is None else self._running.get(leg.twap_id)
        if twap is not None:
            self._touched[twap.twap_id] = None
            self._running[twap.twap_id] = replace(
                twap,
                executed_lots=twap.executed_lots + event.lots,
                executed_notional=twap.executed_notional + event.lots * event.price,
            )


def twap_record(twap: TwapState, status: str, at: Moment) -> TwapRecord:
    """Return the record of a TWAP at a status."""
    return TwapRecord(
        twap.account,
        twap.twap_id,
        twap.asset,
        twap.is_buy,
        twap.lots,
        twap.reduce_only,
        twap.minutes,
        twap.randomize,
        twap.started_ms,
        twap.executed_lots,
        twap.executed_notional,
        status,
        at.time_ms,
        at.height,
    )


def running_of(record: TwapRecord) -> TwapState:
    """Return the running TWAP that a record with the status *activated* is about."""
    return TwapState(
        record.twap_id,
        record.asset,
        record.account,
        record.is_buy,
        record.lots,
        record.reduce_only,
        record.minutes,
        record.randomize,
        record.started_ms,
        record.executed_lots,
        record.executed_notional,
    )


def _by_id(twap: TwapState) -> int:
    return twap.twap_id
