"""TWAPs on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType

from api.wire.decimals import notional_text, size_text
from api.wire.market import side_text
from model.ids import Address
from model.state import TwapState
from model.universe import Universe
from model.views.records import TwapRecord
from model.views.twaps import running_of


class TwapStateShape(Struct, frozen=True, rename="camel"):
    """A TWAP as it stands. None here waits for a price or stops at one."""

    coin: str
    user: Address
    side: str
    sz: str
    executed_sz: str
    executed_ntl: str
    minutes: int
    reduce_only: bool
    randomize: bool
    timestamp: int
    stop_px: None = None
    trigger: None = None


class TwapStatus(Struct, frozen=True):
    """What became of a TWAP."""

    status: str


class TwapEntry(Struct, frozen=True, rename="camel"):
    """One change of a TWAP's status. ``time`` is in seconds, alone among all times."""

    time: int
    state: TwapStateShape
    status: TwapStatus
    twap_id: int


class TwapHistory(Struct, frozen=True, rename="camel"):
    """Data of a ``userTwapHistory`` frame."""

    user: Address
    history: list[TwapEntry]
    is_snapshot: bool | UnsetType = UNSET


class TwapEvents(Struct, frozen=True, rename="camel"):
    """Data of a ``user`` frame that tells of TWAPs."""

    twap_history: list[TwapEntry]


class TwapStates(Struct, frozen=True):
    """Data of a ``twapStates`` frame: the running ones, each with its id."""

    dex: str
    user: Address
    states: list[tuple[int, TwapStateShape]]


def twap_state(twap: TwapState, universe: Universe) -> TwapStateShape:
    """Return a TWAP as it stands."""
    instrument = universe[twap.asset]
    return TwapStateShape(
        instrument.name,
        twap.account,
        side_text(twap.is_buy),
        size_text(twap.lots, instrument),
        size_text(twap.executed_lots, instrument),
        notional_text(twap.executed_notional, instrument),
        twap.minutes,
        twap.reduce_only,
        twap.randomize,
        twap.started_ms,
    )


def twap_states(
    running: Iterable[TwapState], universe: Universe
) -> list[tuple[int, TwapStateShape]]:
    """Return the running TWAPs, each with its id."""
    return [(twap.twap_id, twap_state(twap, universe)) for twap in running]


def twap_history(records: Iterable[TwapRecord], universe: Universe) -> list[TwapEntry]:
    """Return changes of status in the order given: the answer of ``twapHistory``."""
    return [
        TwapEntry(
            record.status_ms // 1000,
            twap_state(running_of(record), universe),
            TwapStatus(record.status),
            record.twap_id,
        )
        for record in records
    ]


def twap_history_frame(
    user: Address, records: Iterable[TwapRecord], universe: Universe, *, is_snapshot: bool = False
) -> TwapHistory:
    """Return the data of a ``userTwapHistory`` frame."""
    return TwapHistory(user, twap_history(records, universe), is_snapshot or UNSET)
