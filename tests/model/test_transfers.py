"""Money between accounts and classes, and off the exchange."""

from __future__ import annotations

import pytest

from model.balances import COST_E8_MAX, SUPPLY_E8_MAX
from model.blocks import Entry, encode_entries
from model.commands import (
    ClassTransfer,
    CreateSubAccount,
    CreditSource,
    CreditToken,
    SendAsset,
    SpotSend,
    SubAccountSpotTransfer,
    SubAccountTransfer,
    Tick,
    UsdSend,
    Withdraw,
)
from model.events import (
    AssetSent,
    ClassTransferred,
    CommandRefused,
    TokenCredited,
    TokenSent,
    Withdrawn,
)
from model.exchange import Exchange
from model.ids import USDC, TokenId
from model.refusals import Refusal
from model.subaccounts import sub_account_address
from model.transfers import CASH_MAX, WITHDRAWAL_FEE
from model.units import E8, USD
from tests.model.desk import ALICE, BOB, CAROL, KEY, STRANGER, Desk, only, order
from tests.model.spot_desk import PAIR, PURR, SpotDesk


def test_class_transfer_moves_cash_to_spot_and_back() -> None:
    """A micro-USD is a hundred units of spot USDC, and back again it is the same."""
    desk = Desk()

    there = desk.apply(ClassTransfer(*desk.head(ALICE), 2_500_000, False))
    assert there == [ClassTransferred(ALICE, 2_500_000, False)]
    assert desk.state(ALICE).balances[0].total_e8 == 250_000_000
    back = desk.apply(ClassTransfer(*desk.head(ALICE), 2_500_000, True))

    assert back == [ClassTransferred(ALICE, 2_500_000, True)]
    assert desk.state(ALICE).cash == 10_000 * USD
    assert desk.state(ALICE).balances == ()


def test_dust_below_a_micro_usd_stays_in_spot() -> None:
    """Cash is whole micro-USD; what is finer cannot leave spot."""
    desk = SpotDesk()
    desk.send_token(ALICE, BOB, "1.00000099", USDC)

    too_much = desk.apply(ClassTransfer(*desk.head(BOB), 1_000_001, True))
    desk.apply(ClassTransfer(*desk.head(BOB), 1_000_000, True))

    assert only(too_much, CommandRefused).reason is Refusal.TRANSFER_TOO_LARGE
    assert desk.total(BOB) == 99


def test_margin_in_use_does_not_go_to_spot() -> None:
    """Only what may be withdrawn may leave the class."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "1000")

    events = desk.apply(ClassTransfer(*desk.head(ALICE), 5_000 * USD + 1, False))

    assert only(events, CommandRefused).reason is Refusal.TRANSFER_TOO_LARGE


def test_sent_tokens_cost_what_they_are_worth() -> None:
    """The event says their value at the pair's mark price, and that is their cost from then on."""
    desk = SpotDesk()

    sent = desk.send_token(BOB, CAROL, "10.5")

    assert sent == [TokenSent(BOB, CAROL, PURR, 1_050_000_000, 21 * USD)]
    assert desk.balance(CAROL, PURR).entry_e8 == 21 * E8


def test_sending_begins_an_account() -> None:
    """An address that is sent tokens is an account from then on."""
    desk = SpotDesk()

    desk.send_token(BOB, STRANGER, "1")

    assert desk.exchange.knows(STRANGER)
    assert desk.total(STRANGER, PURR) == E8


@pytest.mark.parametrize("from_perp", [True, False])
@pytest.mark.parametrize("to_perp", [True, False])
def test_asset_goes_from_any_class_to_any(from_perp: bool, to_perp: bool) -> None:
    """USDC may be sent between the classes of two accounts in one step."""
    desk = SpotDesk()
    command = SendAsset(*desk.head(ALICE), CAROL, from_perp, to_perp, USDC, 300 * E8)

    events = desk.apply(command)

    assert events == [
        AssetSent(ALICE, CAROL, from_perp, to_perp, USDC, 300 * E8, command.nonce, 300 * USD)
    ]
    spent_cash, spent_spot = 9_000 * USD, 1_000 * E8
    if from_perp:
        spent_cash -= 300 * USD
    else:
        spent_spot -= 300 * E8
    assert (desk.state(ALICE).cash, desk.total(ALICE)) == (spent_cash, spent_spot)
    if to_perp:
        assert (desk.state(CAROL).cash, desk.total(CAROL)) == (10_300 * USD, 0)
    else:
        assert (desk.state(CAROL).cash, desk.total(CAROL)) == (10_000 * USD, 300 * E8)


def test_asset_sent_to_oneself_changes_class() -> None:
    """It is then a class transfer; within one class it is refused."""
    desk = SpotDesk()

    desk.apply(SendAsset(*desk.head(ALICE), ALICE, False, True, USDC, 300 * E8))
    refused = desk.apply(SendAsset(*desk.head(ALICE), ALICE, True, True, USDC, 300 * E8))

    assert desk.state(ALICE).cash == 9_300 * USD
    assert only(refused, CommandRefused).reason is Refusal.TRANSFER_TO_SELF


def test_token_crosses_between_spot_balances() -> None:
    """A token other than USDC is sent from spot to spot."""
    desk = SpotDesk()

    event = desk.apply(SendAsset(*desk.head(BOB), CAROL, False, False, PURR, 7 * E8))[0]

    assert isinstance(event, AssetSent)
    assert event.usd == 14 * USD
    assert desk.total(CAROL, PURR) == 7 * E8


def test_withdrawal_takes_its_fee_out_of_the_amount() -> None:
    """The account pays what it asked for; a dollar of it is the fee."""
    desk = Desk()
    command = Withdraw(*desk.head(ALICE), KEY, 100 * USD)

    assert desk.apply(command) == [Withdrawn(ALICE, KEY, 99 * USD, 1 * USD, command.nonce)]
    assert desk.state(ALICE).cash == 9_900 * USD
    assert desk.exchange.engine.withdrawn_usd == 99 * USD
    assert desk.exchange.engine.fees == 1 * USD


def test_smallest_withdrawal_is_a_unit_beyond_the_fee() -> None:
    """The fee alone cannot be withdrawn."""
    desk = Desk()

    refused = desk.apply(Withdraw(*desk.head(ALICE), KEY, WITHDRAWAL_FEE))
    event = desk.apply(Withdraw(*desk.head(ALICE), KEY, WITHDRAWAL_FEE + 1))[0]

    assert refused == [CommandRefused(ALICE, Refusal.WITHDRAWAL_TOO_SMALL, (1,), True)]
    assert isinstance(event, Withdrawn)
    assert event.usd == 1


def test_everything_may_be_withdrawn() -> None:
    """An account without positions can leave with all it has, and not with more."""
    desk = Desk()

    more = desk.apply(Withdraw(*desk.head(ALICE), KEY, 10_000 * USD + 1))
    desk.apply(Withdraw(*desk.head(ALICE), KEY, 10_000 * USD))

    assert only(more, CommandRefused).reason is Refusal.WITHDRAWAL_TOO_LARGE
    assert desk.state(ALICE).cash == 0


def test_nothing_cannot_be_moved() -> None:
    """Zero is refused wherever an amount is asked for, and so is less than zero."""
    desk = SpotDesk()
    desk.apply(CreateSubAccount(*desk.head(ALICE), "one"))
    sub_account = sub_account_address(ALICE, 0)

    for amount in (0, -1):
        for command in (
            UsdSend(*desk.head(ALICE), BOB, amount),
            ClassTransfer(*desk.head(ALICE), amount, True),
            ClassTransfer(*desk.head(ALICE), amount, False),
            SpotSend(*desk.head(ALICE), BOB, USDC, amount),
            SendAsset(*desk.head(ALICE), BOB, False, False, USDC, amount),
            SubAccountTransfer(*desk.head(ALICE), sub_account, True, amount),
            SubAccountSpotTransfer(*desk.head(ALICE), sub_account, False, USDC, amount),
        ):
            refused = only(desk.apply(command), CommandRefused)
            assert refused.reason is Refusal.TRANSFER_ZERO, command


@pytest.mark.parametrize("micro_usd", [1, 2**53, 2**63, 2**64 - 1])
def test_absurd_amounts_are_refused_or_exact(micro_usd: int) -> None:
    """Whatever 64 bits can say is either moved to the last unit or refused."""
    desk = Desk()

    for command in (
        UsdSend(*desk.head(ALICE), BOB, micro_usd),
        ClassTransfer(*desk.head(ALICE), micro_usd, False),
        Withdraw(*desk.head(ALICE), BOB, micro_usd),
        SendAsset(*desk.head(ALICE), BOB, False, True, USDC, micro_usd),
        SpotSend(*desk.head(ALICE), BOB, USDC, micro_usd),
    ):
        desk.apply(command)

    moved = 2 if micro_usd == 1 else 0
    assert desk.state(ALICE).cash == 10_000 * USD - moved


def test_token_credits_stop_at_what_sums_can_hold() -> None:
    """The supply of a token stays within 62 bits."""
    desk = SpotDesk()
    rest = SUPPLY_E8_MAX - 1_000 * E8

    full = desk.apply(CreditToken(CAROL, PURR, rest, CreditSource.FUND))
    over = desk.apply(CreditToken(CAROL, PURR, 1, CreditSource.FUND))

    worth = COST_E8_MAX // 100
    assert full == [TokenCredited(CAROL, PURR, rest, CreditSource.FUND, worth)]
    assert over == [CommandRefused(None, Refusal.BALANCE_AT_MAX)]
    assert Exchange.load(desk.exchange.dump()).account_state(CAROL) == desk.state(CAROL)


def test_absurd_values_stay_within_64_bits() -> None:
    """Nearly all tokens that there can be, at a price at which they are worth more than all USD."""
    desk = SpotDesk()
    desk.credit_token(CAROL, PURR, "40000000000")
    desk.exchange.engine.pairs[0].mark = 500_000 * 10**6

    first = desk.send_token(CAROL, BOB, "30000000000")
    second = desk.send_token(CAROL, BOB, "9000000000")

    assert [encode_entries([Entry(Tick(), tuple(events))]) for events in (first, second)]
    assert desk.balance(BOB, PURR).entry_e8 == COST_E8_MAX
    assert Exchange.load(desk.exchange.dump()).account_state(BOB) == desk.state(BOB)


def test_credited_usdc_counts_as_money_paid_in() -> None:
    """USDC that comes into spot from outside can become cash, so the total must know of it."""
    desk = Desk()
    before = desk.exchange.engine.credited_usd

    desk.apply(CreditToken(STRANGER, USDC, 5 * E8, CreditSource.FUND))
    desk.apply(ClassTransfer(*desk.head(STRANGER), 5 * USD, True))

    assert desk.exchange.engine.credited_usd == before + 5 * USD
    assert desk.state(STRANGER).cash == 5 * USD


def test_nobody_holds_more_cash_than_allowed_by_a_transfer() -> None:
    """The bound of an account holds for every way in."""
    desk = Desk()
    desk.credit(BOB, CASH_MAX // USD - 10_000)
    desk.apply(ClassTransfer(*desk.head(ALICE), 10 * USD, False))

    events = desk.apply(SendAsset(*desk.head(ALICE), BOB, False, True, USDC, 100))

    assert only(events, CommandRefused).reason is Refusal.BALANCE_AT_MAX


def test_held_usdc_cannot_become_cash() -> None:
    """What a resting buy would pay stays in spot."""
    desk = SpotDesk()
    desk.rest(ALICE, order("buy", "2", "500", asset=PAIR))

    events = desk.apply(ClassTransfer(*desk.head(ALICE), 1, True))

    assert only(events, CommandRefused).reason is Refusal.TRANSFER_TOO_LARGE


def test_agent_cannot_move_its_masters_money() -> None:
    """Every way out wants the owner's own signature."""
    desk = SpotDesk()
    desk.approve(ALICE, KEY)

    for command in (
        ClassTransfer(*desk.head(KEY), 1, False),
        SpotSend(*desk.head(KEY), BOB, USDC, 1),
        SendAsset(*desk.head(KEY), BOB, False, False, USDC, 1),
        Withdraw(*desk.head(KEY), BOB, 2 * USD),
    ):
        assert desk.apply(command) == [CommandRefused(KEY, Refusal.DEPOSIT_MISSING, (KEY,))]


def test_unknown_token_is_refused_by_its_number() -> None:
    """Nothing is known under it."""
    desk = SpotDesk()
    command = SpotSend(*desk.head(ALICE), BOB, TokenId(7), 1)

    assert desk.apply(command) == [CommandRefused(ALICE, Refusal.TOKEN_UNKNOWN, (7,), True)]
