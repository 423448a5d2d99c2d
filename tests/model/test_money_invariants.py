"""The checks of money notice what they are there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.commands import CreateSubAccount
from model.errors import BrokenInvariantError
from model.exchange import Exchange
from model.fees import FeeBook
from model.ids import USDC, Address
from model.invariants import check
from model.subaccounts import sub_account_address
from tests.model.desk import ALICE, BOB, order
from tests.model.spot_desk import PAIR, PURR, SpotDesk

SUB: Address = sub_account_address(ALICE, 0)


def lose_cash(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].pay(-1)


def collect_too_much(exchange: Exchange) -> None:
    exchange.engine.fees += 1


def forget_a_withdrawal(exchange: Exchange) -> None:
    exchange.engine.withdrawn_usd += 1


def make_tokens(exchange: Exchange) -> None:
    exchange.engine.accounts[BOB].balances[PURR].total += 1


def forget_token_fees(exchange: Exchange) -> None:
    exchange.engine.token_fees[PURR] += 1


def misfile_a_balance(exchange: Exchange) -> None:
    exchange.engine.accounts[BOB].balances[PURR].token = USDC


def release_a_hold(exchange: Exchange) -> None:
    exchange.engine.accounts[BOB].balances[PURR].hold -= 1


def hold_without_an_order(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].balances[USDC].hold += 1


def cost_of_nothing(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].balance(PURR).entry = 1


def forget_the_master(exchange: Exchange) -> None:
    exchange.engine.accounts[SUB].master = None


def disown(exchange: Exchange) -> None:
    del exchange.engine.accounts[ALICE].sub_accounts[SUB]


def part_the_fees(exchange: Exchange) -> None:
    exchange.engine.accounts[SUB].fees = FeeBook()


def count_without_a_limit(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].requests = 1


@pytest.mark.parametrize(
    "break_it",
    [
        lose_cash,
        collect_too_much,
        forget_a_withdrawal,
        make_tokens,
        forget_token_fees,
        misfile_a_balance,
        release_a_hold,
        hold_without_an_order,
        cost_of_nothing,
        forget_the_master,
        disown,
        part_the_fees,
        count_without_a_limit,
    ],
)
def test_broken_money_is_noticed(break_it: Callable[[Exchange], None]) -> None:
    """Each of them is one lie about money that the checks must not believe."""
    desk = SpotDesk()
    desk.apply(CreateSubAccount(*desk.head(ALICE), "one"))
    desk.rest(BOB, order("sell", "2", "100", asset=PAIR))
    check(desk.exchange)

    break_it(desk.exchange)

    with pytest.raises(BrokenInvariantError):
        check(desk.exchange)
