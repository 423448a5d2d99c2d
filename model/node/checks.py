"""What is odd about a coin's blocks beside losses: streams that do not tell the same story.

None of this makes a book wrong. It is for whoever wants to know how far a node's files can be
trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model.node.coins import Fault
from model.node.decimals import decimal_text, e8
from model.node.joiner import NodeBlock
from model.node.lines import Change, Fill, Status
from model.units import MalformedDecimalError

LEGS_WAITING_MAX: Final = 1_000
"""Single sides of a match that wait for the other one."""

LEG_BLOCKS_MAX: Final = 64
"""How many blocks the second side may come after the first."""

POSITIONS_MAX: Final = 100_000
"""Accounts whose position in the coin is followed."""

SYSTEM_OWNERS: Final = ("0x" + "f" * 40, "0x" + "f" * 38 + "fe", "0x" + "fe" * 20)
"""Whose orders never have a status."""

_NEVER_RESTS: Final = frozenset({"Ioc", "FrontendMarket", "LiquidationMarket"})
_KNOWN_STATUSES: Final = frozenset(
    """
    open filled canceled triggered rejected marginCanceled vaultWithdrawalCanceled
    openInterestCapCanceled selfTradeCanceled reduceOnlyCanceled siblingFilledCanceled
    delistedCanceled liquidatedCanceled outcomeSettledCanceled scheduledCancel internalCancel
    tickRejected minTradeNtlRejected perpMarginRejected reduceOnlyRejected badAloPxRejected
    iocCancelRejected badTriggerPxRejected marketOrderNoLiquidityRejected
    positionIncreaseAtOpenInterestCapRejected positionFlipAtOpenInterestCapRejected
    tooAggressiveAtOpenInterestCapRejected openInterestIncreaseRejected
    insufficientSpotBalanceRejected oracleRejected perpMaxPositionRejected
    tooManyOpenOrdersRejected
    """.split()
)


class Checker:
    """Looks at the blocks of one coin, in order.

    Args:
        coin: its name.
        has_statuses: whether the node writes statuses; without them none is missed.
    """

    def __init__(self, coin: str, *, has_statuses: bool) -> None:
        self._coin = coin
        self._has_statuses = has_statuses
        self._positions: dict[str, int] = {}
        self._legs: dict[int, int] = {}

    def look(self, block: NodeBlock) -> Iterator[Fault]:
        """Yield what is odd about a block."""
        if self._has_statuses:
            yield from self._compare_statuses(block)
        for fill in block.fills:
            if fill.body.coin == self._coin:
                yield from self._follow(block.height, fill)
        yield from self._expire(block.height)

    def end(self) -> Iterator[Fault]:
        """Yield what remains odd if nothing more comes."""
        for tid, height in self._legs.items():
            yield self._fault(height, f"match {tid} has one side only")

    def _compare_statuses(self, block: NodeBlock) -> Iterator[Fault]:
        """A new order has a status in its block, and an open status means a new order."""
        news = {
            diff.oid: diff
            for diff in block.diffs
            if diff.coin == self._coin and diff.change is Change.NEW
        }
        opened: dict[int, Status] = {}
        ended: set[int] = set()
        for status in block.statuses:
            order = status.order
            if order.coin != self._coin:
                continue
            if status.status not in _KNOWN_STATUSES:
                yield self._fault(block.height, f"status {status.status}", order.oid)
            if status.status in {"open", "triggered"}:
                opened[order.oid] = status
            else:
                ended.add(order.oid)
        for oid, diff in news.items():
            status_of_new = opened.get(oid)
            if status_of_new is None:
                if diff.user not in SYSTEM_OWNERS:
                    yield self._fault(block.height, "new order without a status", oid)
            elif e8(status_of_new.order.sz) != diff.size:
                yield self._fault(block.height, "new order of another size than its status", oid)
        for oid, status in opened.items():
            order = status.order
            if not (oid in news or oid in ended or order.is_trigger or order.tif in _NEVER_RESTS):
                yield self._fault(block.height, f"{status.status} without a new order", oid)

    def _follow(self, height: int, fill: Fill) -> Iterator[Fault]:
        """Both sides of a match share an id, and each starts from the last one's position."""
        body = fill.body
        if self._legs.pop(body.tid, None) is None:
            self._legs[body.tid] = height
            if len(self._legs) > LEGS_WAITING_MAX:
                del self._legs[next(iter(self._legs))]
        try:
            position = e8(body.start_position)
        except MalformedDecimalError:
            yield self._fault(height, "a fill without a readable position", body.oid)
            return
        known = self._positions.get(fill.user)
        if known is not None and known != position:
            what = f"{fill.user} had {decimal_text(known)} and starts at {body.start_position}"
            yield self._fault(height, f"a fill is missing: {what}", body.oid)
        if known is not None or len(self._positions) < POSITIONS_MAX:
            self._positions[fill.user] = position + (fill.size if fill.is_buy else -fill.size)

    def _expire(self, height: int) -> Iterator[Fault]:
        while self._legs:
            tid, since = next(iter(self._legs.items()))
            if height - since <= LEG_BLOCKS_MAX:
                return
            del self._legs[tid]
            yield self._fault(since, f"match {tid} has one side only")

    def _fault(self, height: int, what: str, oid: int = 0) -> Fault:
        return Fault(height, self._coin, what, oid)
