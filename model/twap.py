"""TWAPs: a size that is traded in slices, one every 30 seconds, over so many minutes.

A TWAP has two slices for each minute. By the end of slice k of n (from 0) it should have traded
size * (k + 1) / n lots, and a slice asks for what is missing of that, but for three times an even
share at most. Each is an immediate order that pays up to 3 % more than the mark price, and none is
repeated: what it could not get is left to those after it. The first slice is due at once; when the
time is over, what was not traded stays so.

If asked to, slices are made up to a fifth smaller or larger. By how much follows from the id of the
TWAP and the number of the slice, so a replay draws the same.

Source: Hyperliquid documentation, TWAP orders.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from model.accounts import Account
from model.commands import CancelTwap, OrderSpec, PlaceTwap, Tif
from model.events import (
    Event,
    OrderRefused,
    Traded,
    TwapEnd,
    TwapEnded,
    TwapRefused,
    TwapStarted,
)
from model.ids import Address, AssetId
from model.instruments import SIGNIFICANT_FIGURES_MAX
from model.markets import Market
from model.orders import LOTS_MAX
from model.refusals import Refusal
from model.state import TwapState
from model.units import E8, USD

if TYPE_CHECKING:
    from model.matching import MatchingEngine

SLICE_MS: Final = 30_000
SLICES_PER_MINUTE: Final = 2
MINUTES_MIN: Final = 5
MINUTES_MAX: Final = 1440

USD_PER_MINUTE_MIN: Final = 10
"""Smallest value of a TWAP, for each of its minutes."""

CATCH_UP_FACTOR: Final = 3
"""How many even shares one slice may be."""

SLIPPAGE_PERCENT: Final = 3
"""How far beyond the mark price a slice may trade."""

JITTER_PERCENT: Final = 20
"""How much smaller or larger a randomized slice may be."""

TWAPS_MAX: Final = 20
"""TWAPs of one account at a time."""


class Twap(Struct, array_like=True, gc=False):
    """A running TWAP: what ``state.TwapState`` shows, and how many of its slices are over."""

    twap_id: int
    asset: AssetId
    account: Address
    is_buy: bool
    lots: int
    reduce_only: bool
    minutes: int
    randomize: bool
    started_ms: int
    executed_lots: int = 0
    executed_notional: int = 0
    slices: int = 0

    @property
    def slices_max(self) -> int:
        """How many slices the whole time has."""
        return self.minutes * SLICES_PER_MINUTE

    @property
    def due_ms(self) -> int:
        """When something is to be done next: the slice that has something to do, or the end.

        Slices of a TWAP of few lots have nothing to do until the next lot should be there.
        """
        wanted = -((self.executed_lots + 1) * self.slices_max // -self.lots) - 1
        return self.started_ms + min(max(self.slices, wanted), self.slices_max) * SLICE_MS

    def to_state(self) -> TwapState:
        """Return the TWAP as a plain value."""
        return TwapState(
            self.twap_id,
            self.asset,
            self.account,
            self.is_buy,
            self.lots,
            self.reduce_only,
            self.minutes,
            self.randomize,
            self.started_ms,
            self.executed_lots,
            self.executed_notional,
        )


class Twaps:
    """All running TWAPs: by id, by account, and by when they are due."""

    __slots__ = ("by_account", "by_id", "due", "next_id")

    def __init__(self) -> None:
        self.next_id = 1
        self.by_id: dict[int, Twap] = {}
        self.by_account: dict[Address, dict[int, Twap]] = {}
        self.due: list[tuple[int, int]] = []

    def add(self, twap: Twap) -> None:
        """Enter a TWAP."""
        self.by_id[twap.twap_id] = twap
        self.by_account.setdefault(twap.account, {})[twap.twap_id] = twap
        insort(self.due, (twap.due_ms, twap.twap_id))

    def remove(self, twap: Twap) -> None:
        """Take a TWAP out; it must be as it was when it was entered."""
        del self.by_id[twap.twap_id]
        mine = self.by_account[twap.account]
        del mine[twap.twap_id]
        if not mine:
            del self.by_account[twap.account]
        del self.due[bisect_left(self.due, (twap.due_ms, twap.twap_id))]

    def of(self, account: Address) -> tuple[TwapState, ...]:
        """Return an account's TWAPs as plain values, oldest first."""
        return tuple(twap.to_state() for twap in self.by_account.get(account, {}).values())


# ---- beginning and ending ----------------------------------------------------------------------


def start(engine: MatchingEngine, account: Account, command: PlaceTwap) -> list[Event]:
    """Begin a TWAP, or refuse it."""
    refused = _refusal(engine, account, command)
    if refused is not None:
        return [TwapRefused(account.address, command.asset, *refused)]
    twaps = engine.twaps
    lots = command.size_e8 // engine.markets[command.asset].lot_e8
    twap = Twap(
        twaps.next_id,
        command.asset,
        account.address,
        command.is_buy,
        lots,
        command.reduce_only,
        command.minutes,
        command.randomize,
        engine.time_ms,
    )
    twaps.next_id += 1
    twaps.add(twap)
    return [
        TwapStarted(
            account.address,
            twap.twap_id,
            twap.asset,
            twap.is_buy,
            lots,
            twap.reduce_only,
            twap.minutes,
            twap.randomize,
        )
    ]


def cancel(engine: MatchingEngine, account: Account, command: CancelTwap) -> list[Event]:
    """End a TWAP of the account, or say that there is none."""
    twap = engine.twaps.by_account.get(account.address, {}).get(command.twap_id)
    if twap is None or twap.asset != command.asset:
        return [TwapRefused(account.address, command.asset, Refusal.TWAP_NOTHING_THERE)]
    events: list[Event] = []
    _end(engine, twap, TwapEnd.TERMINATED, events)
    return events


def stop_all(
    engine: MatchingEngine, account: Account, events: list[Event], asset: AssetId | None = None
) -> None:
    """End all TWAPs of an account that is being liquidated, or those in one market."""
    for twap in list(engine.twaps.by_account.get(account.address, {}).values()):
        if asset is None or twap.asset == asset:
            _end(engine, twap, TwapEnd.STOPPED, events)


def _end(engine: MatchingEngine, twap: Twap, end: TwapEnd, events: list[Event]) -> None:
    engine.twaps.remove(twap)
    events.append(
        TwapEnded(
            twap.account,
            twap.twap_id,
            twap.asset,
            end,
            twap.executed_lots,
            twap.executed_notional,
        )
    )


def _refusal(
    engine: MatchingEngine, account: Account, command: PlaceTwap
) -> tuple[Refusal, tuple[int, ...]] | None:
    """Name the first rule that a TWAP breaks, with the numbers of its text, or ``None``."""
    asset, minutes = command.asset, command.minutes
    if not 0 <= asset < len(engine.markets):
        return Refusal.ASSET_UNKNOWN, ()
    market = engine.markets[asset]
    if not MINUTES_MIN <= minutes <= MINUTES_MAX:
        return Refusal.TWAP_DURATION_BAD, (minutes,)
    lots, beyond = divmod(command.size_e8, market.lot_e8)
    if command.size_e8 == 0:
        return Refusal.SIZE_ZERO, ()
    if beyond or lots > LOTS_MAX:
        return Refusal.SIZE_OFF_GRID, ()
    least = USD_PER_MINUTE_MIN * minutes
    if lots * market.mark < least * USD:
        return Refusal.TWAP_TOO_SMALL, (least,)
    if lots * market.mark > market.limit_notional_max:
        return Refusal.NOTIONAL_TOO_LARGE, ()
    if command.reduce_only:
        position = account.positions.get(asset)
        if position is None or not position.size or (position.size > 0) is command.is_buy:
            return Refusal.TWAP_INCREASES, ()
    if len(engine.twaps.by_account.get(account.address, ())) >= TWAPS_MAX:
        return Refusal.TWAPS_AT_MAX, (TWAPS_MAX,)
    return None


# ---- slices ------------------------------------------------------------------------------------


def run_due(engine: MatchingEngine, events: list[Event]) -> None:
    """Trade the slices that are due and end what is over; each TWAP is looked at once."""
    twaps = engine.twaps
    due = twaps.due[: bisect_left(twaps.due, (engine.time_ms + 1, 0))]
    for _, twap_id in due:
        twap = twaps.by_id.get(twap_id)
        if twap is not None:
            _run(engine, twap, events)


def _run(engine: MatchingEngine, twap: Twap, events: list[Event]) -> None:
    index = (engine.time_ms - twap.started_ms) // SLICE_MS
    if index >= twap.slices_max:
        _end(engine, twap, TwapEnd.FINISHED, events)
        return
    head = len(events)
    _trade(engine, twap, slice_lots(twap, index), events)
    refused = events[head]
    lots, notional = _claim(twap, events, head)
    if twap.twap_id not in engine.twaps.by_id:
        return
    engine.twaps.remove(twap)
    twap.slices = index + 1
    twap.executed_lots += lots
    twap.executed_notional += notional
    engine.twaps.add(twap)
    if twap.executed_lots == twap.lots:
        _end(engine, twap, TwapEnd.FINISHED, events)
    elif isinstance(refused, OrderRefused) and refused.reason is Refusal.REDUCE_ONLY_INCREASES:
        _end(engine, twap, TwapEnd.STOPPED, events)


def _trade(engine: MatchingEngine, twap: Twap, lots: int, events: list[Event]) -> None:
    market = engine.markets[twap.asset]
    spec = OrderSpec(
        twap.asset,
        twap.is_buy,
        slice_price(market, is_buy=twap.is_buy) * market.tick_e8,
        lots * market.lot_e8,
        Tif.IOC,
        twap.reduce_only,
    )
    account = engine.accounts[twap.account]
    engine.place(account, spec, events, twap_id=twap.twap_id)


def _claim(twap: Twap, events: list[Event], head: int) -> tuple[int, int]:
    """Mark a slice's trades as the TWAP's; return their lots and value.

    Done here, where it is rare, rather than in every trade of the matching engine.
    """
    lots = notional = 0
    for index in range(head, len(events)):
        event = events[index]
        if isinstance(event, Traded) and event.taker.account == twap.account:
            lots += event.lots
            notional += event.lots * event.price
            events[index] = replace(event, taker=replace(event.taker, twap_id=twap.twap_id))
    return lots, notional


def slice_lots(twap: Twap, index: int) -> int:
    """Return how many lots a slice that is due asks for; at least one."""
    slices = twap.slices_max
    wanted = twap.lots * (index + 1) // slices - twap.executed_lots
    if twap.randomize and index + 1 < slices:
        wanted = wanted * (100 + _jitter(twap.twap_id, index)) // 100
    most = min(CATCH_UP_FACTOR * -(twap.lots // -slices), twap.lots - twap.executed_lots)
    return max(1, min(wanted, most))


def _jitter(twap_id: int, index: int) -> int:
    """Return a number of percent from -JITTER_PERCENT to JITTER_PERCENT, the same each time."""
    drawn = blake2b(f"{twap_id}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") % (2 * JITTER_PERCENT + 1) - JITTER_PERCENT


def slice_price(market: Market, *, is_buy: bool) -> int:
    """Return the worst valid price, in ticks, within SLIPPAGE_PERCENT of the mark price."""
    tick = market.tick_e8
    percent = 100 + SLIPPAGE_PERCENT if is_buy else 100 - SLIPPAGE_PERCENT
    bound = market.mark * tick * percent
    step = tick
    while step < E8 and bound // (100 * step) >= 10**SIGNIFICANT_FIGURES_MAX:
        step *= 10
    steps = bound // (100 * step) if is_buy else -(bound // -(100 * step))
    return max(tick, steps * step) // tick
