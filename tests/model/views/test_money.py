import pytest

from model.commands import CreditSource
from model.events import (
    AssetSent,
    ClassTransferred,
    Credited,
    Event,
    FundingPaid,
    FundingPayment,
    Liquidated,
    SubAccountFunded,
    TokenCredited,
    TokenSent,
    UsdSent,
    Withdrawn,
)
from model.ids import USDC, Address, AssetId, TokenId
from model.views.money import fundings_from, ledger_from, paid_in, rate_from
from model.views.records import Moment

BTC, PURR = AssetId(0), TokenId(1)
ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
AT = Moment(height=7, time_ms=1_000, index=2)


@pytest.mark.parametrize(
    ("event", "kind", "of_alice", "of_bob"),
    [
        (Credited(ALICE, 7, CreditSource.FUND), "deposit", (7, 7), None),
        (Withdrawn(ALICE, BOB, 7, 1, 5), "withdraw", (-8, -8), None),
        (UsdSent(ALICE, BOB, 7), "internalTransfer", (-7, -7), (7, 7)),
        (ClassTransferred(ALICE, 7, True), "accountClassTransfer", (0, 7), None),
        (ClassTransferred(ALICE, 7, False), "accountClassTransfer", (0, -7), None),
        (SubAccountFunded(ALICE, BOB, True, 7), "subAccountTransfer", (-7, -7), (7, 7)),
        (SubAccountFunded(ALICE, BOB, False, 7), "subAccountTransfer", (7, 7), (-7, -7)),
        (TokenSent(ALICE, BOB, USDC, 700), "spotTransfer", (-7, 0), (7, 0)),
        (TokenSent(ALICE, BOB, PURR, 700, 9), "spotTransfer", (-9, 0), (9, 0)),
        (AssetSent(ALICE, BOB, True, False, USDC, 700, 1), "send", (-7, -7), (7, 0)),
        (AssetSent(ALICE, ALICE, True, False, USDC, 700, 1), "send", (0, -7), None),
        (TokenCredited(ALICE, USDC, 700, CreditSource.FUND), "spotGenesis", (7, 0), None),
        (Liquidated(ALICE, None, 100, -3, ((BTC, 5),)), "liquidation", (0, 0), None),
    ],
)
def test_ledger_tells_each_account_its_part(
    event: Event, kind: str, of_alice: tuple[int, int], of_bob: tuple[int, int] | None
) -> None:
    """One entry for each account that an event concerns, worth what it brought that account."""
    entries = {entry.account: entry for entry in ledger_from(event, AT)}

    assert {entry.kind for entry in entries.values()} == {kind}
    assert paid_in(entries[ALICE]) == of_alice
    assert (paid_in(entries[BOB]) if BOB in entries else None) == of_bob


def test_a_liquidation_names_what_was_held() -> None:
    """Its notional, the account's value and the positions from before it began."""
    (cross,) = ledger_from(Liquidated(ALICE, None, 100, -3, ((BTC, 5),)), AT)
    (isolated,) = ledger_from(Liquidated(ALICE, BTC, 100, -3, ((BTC, 5),)), AT)

    assert (cross.usd, cross.account_value, cross.positions) == (100, -3, ((BTC, 5),))
    assert (cross.is_cross, isolated.is_cross) == (True, False)


def test_funding_is_told_to_each_position_and_once_to_the_market() -> None:
    """What a position paid is negative."""
    payments = (FundingPayment(ALICE, 5, -3, True), FundingPayment(BOB, -5, 3, False))
    event = FundingPaid(BTC, 125, 40, 650_000, payments)
    hers, his = fundings_from(event, AT, payments)
    rate = rate_from(event, AT)

    assert (hers.account, hers.usd, hers.size, hers.rate) == (ALICE, -3, 5, 125)
    assert (his.account, his.usd, his.size) == (BOB, 3, -5)
    assert (rate.asset, rate.rate, rate.premium, rate.time_ms) == (BTC, 125, 40, 1_000)
