"""What happened to an account over some time, for those who are told of it."""

from __future__ import annotations

from attrs import Factory, define

from model.views.account import AccountChanges, AccountView
from model.views.records import Fill, FundingRecord, LedgerRecord, OrderRecord, TwapRecord


@define
class News:
    """Records of all kinds, oldest first."""

    orders: list[OrderRecord] = Factory(list)
    fills: list[Fill] = Factory(list)
    ledger: list[LedgerRecord] = Factory(list)
    fundings: list[FundingRecord] = Factory(list)
    twaps: list[TwapRecord] = Factory(list)

    @classmethod
    def of(cls, view: AccountView, after: int = -1) -> News:
        """Return what a view remembers of the blocks after a height.

        Orders know their time, not their height: all that are remembered are given.
        """
        return cls(
            list(view.orders),
            [fill for fill in view.fills if fill.height > after],
            [entry for entry in view.ledger if entry.height > after],
            [paid for paid in view.fundings if paid.height > after],
            [twap for twap in view.twaps if twap.height > after],
        )

    def add(self, changes: AccountChanges) -> None:
        """Take in what one event did."""
        self.orders += changes.orders
        self.fills += changes.fills
        self.ledger += changes.ledger
        self.fundings += changes.fundings
        self.twaps += changes.twaps

    def __bool__(self) -> bool:
        return bool(self.orders or self.fills or self.ledger or self.fundings or self.twaps)
