"""One suite for two ways to keep margin: the fast one of the exchange and the slow, obvious one."""

from __future__ import annotations

import random

import pytest

from model.ids import BACKSTOP
from model.units import USD
from tests.model.reference_margin import ACCOUNTS, OPENING, Bank, ExchangeBank, ReferenceBank


@pytest.fixture(params=[ReferenceBank, ExchangeBank], ids=["reference", "exchange"])
def bank(request: pytest.FixtureRequest) -> Bank:
    """Both, one after the other."""
    made: Bank = request.param()
    return made


def test_trade_moves_cash_and_size(bank: Bank) -> None:
    """A cross position costs its whole price."""
    assert bank.trade(0, 1, 0, OPENING, 100)

    cash, positions, _ = bank.view()
    assert cash[ACCOUNTS[0]] == 400 * USD
    assert positions == {(ACCOUNTS[0], 0): (100, 0), (ACCOUNTS[1], 0): (-100, 0)}


def test_margin_is_the_limit(bank: Bank) -> None:
    """500 USD at leverage 20 carry 10,000 USD, and the tier 9,000."""
    assert not bank.trade(0, 1, 1, OPENING, 10_001)
    assert bank.trade(0, 1, 1, OPENING, 10_000)
    assert not bank.trade(2, 3, 0, OPENING, 3_000)
    assert bank.trade(2, 3, 0, OPENING, 2_999)


def test_isolated_position_has_its_own_money(bank: Bank) -> None:
    """1,000 USD at leverage 10 post 100."""
    assert bank.choose(0, 0, is_cross=False, leverage=10)
    assert bank.trade(0, 1, 0, OPENING, 1_000)
    assert bank.shift(0, 0, 5 * USD)
    assert not bank.shift(0, 0, -6 * USD)

    cash, positions, _ = bank.view()
    assert cash[ACCOUNTS[0]] == 395 * USD
    assert positions[ACCOUNTS[0], 0] == (1_000, -895 * USD)


def test_gap_is_paid_by_the_others_and_the_funds(bank: Bank) -> None:
    """Closed at the price before; what is missing then comes from backstop and insurance."""
    assert bank.trade(0, 1, 1, OPENING, 5_000)
    bank.move(1, OPENING * 95 // 100)
    bank.move(1, OPENING * 60 // 100)

    cash, positions, insurance = bank.view()
    assert positions == {}
    assert sum(cash.values()) + insurance == 6 * 500 * USD + 100 * USD
    assert cash[BACKSTOP] >= 0


@pytest.mark.parametrize("number", range(40))
def test_both_keep_the_same(number: int) -> None:
    """Whatever happens: who may do what, what it costs, and who is liquidated how."""
    fast, slow = ExchangeBank(), ReferenceBank()
    draw = random.Random(number)
    marks = [OPENING, OPENING]
    for _ in range(120):
        asset = draw.randrange(2)
        kind = draw.random()
        results = []
        step = draw.random()
        for bank in (fast, slow):
            choice = random.Random(step)
            if kind < 0.45:
                buyer, seller = choice.sample(range(6), 2)
                if number % 2:
                    buyer, seller = choice.randrange(2), choice.randrange(2, 6)
                price = marks[asset] * choice.randint(985, 1_015) // 1_000 // 100 * 100
                results.append(bank.trade(buyer, seller, asset, price, choice.randint(60, 4_000)))
            elif kind < 0.60:
                results.append(
                    bank.choose(
                        choice.randrange(6),
                        asset,
                        is_cross=choice.random() < 0.5,
                        leverage=choice.randint(1, 40),
                    )
                )
            elif kind < 0.70:
                usd = choice.randint(-20 * USD, 20 * USD)
                results.append(bank.shift(choice.randrange(6), asset, usd))
            else:
                widest = 250 if choice.random() < 0.15 else 20
                moved = marks[asset] * (1_000 + choice.randint(-widest, widest)) // 1_000
                price = max(OPENING // 5, moved // 100 * 100)
                bank.move(asset, price)
                if bank is slow:
                    marks[asset] = price
        assert len(set(results)) <= 1
        assert fast.view() == slow.view()
