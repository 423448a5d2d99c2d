"""Looking at few accounts finds the same ones as looking at all."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from msgspec import structs

from model.accounts import Account
from model.commands import (
    Command,
    Credit,
    CreditSource,
    ListMarket,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    PlaceOrders,
    SignedCommand,
    UpdateIsolatedMargin,
    UpdateLeverage,
)
from model.events import Event, Liquidated
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.instruments import Instrument, MarginTier
from model.invariants import check
from model.markets import NEVER_DUE
from model.units import E8, USD
from tests.model.desk import BTC, START_MS, Desk, every, order

ACCOUNTS = [Address(f"0x{number:040x}") for number in range(16, 22)]
TIERS = (MarginTier(0, 40), MarginTier(3_000 * USD, 10), MarginTier(9_000 * USD, 3))


def opened() -> Exchange:
    """Return an exchange with two markets, one of them tiered, and six accounts of 500 USD."""
    exchange = Exchange()
    exchange.begin_block(1, START_MS)
    exchange.apply(OpenExchange(450, 150))
    exchange.apply(ListMarket(Instrument(AssetId(0), "A", 2, 40, 100 * E8, TIERS)))
    exchange.apply(ListMarket(Instrument(AssetId(1), "B", 1, 25, 10 * E8)))
    for account in ACCOUNTS:
        exchange.apply(Credit(account, 500 * USD, CreditSource.FUND))
    return exchange


def look_at_everybody(exchange: Exchange) -> None:
    """Make the next move look at all accounts."""
    exchange.engine.watch.pending.update(exchange.engine.accounts)


def a_history(seed: int) -> Iterator[Command]:
    """Let accounts trade, then prices walk mostly one way until accounts come to their edge."""
    draw = random.Random(seed)
    at = [100.0, 10.0]
    for _ in range(3):
        for _ in range(40):
            yield _trading(draw, at)
        drift = draw.choice((-4, -2, 0, 2, 4))
        for _ in range(40):
            asset = draw.randrange(2)
            at[asset] *= 1 + (drift + draw.randint(-4, 4)) / 1_000
            yield MoveOracle((OraclePrice(AssetId(asset), int(at[asset] * 1_000) * E8 // 1_000),))


def _trading(draw: random.Random, at: list[float]) -> Command:
    head = draw.choice(ACCOUNTS), 0, None, None
    asset = AssetId(draw.choice((0, 0, 1)))
    kind = draw.random()
    if kind < 0.1:
        return UpdateLeverage(*head, asset, draw.random() < 0.6, draw.randint(3, 40))
    if kind < 0.15:
        return UpdateIsolatedMargin(*head, asset, draw.randint(-30, 30) * USD)
    price = f"{at[asset] * draw.uniform(0.98, 1.02):.{1 if asset == 0 else 2}f}"
    size = str(draw.randint(1, 40) * (1 if asset == 0 else 10))
    spec = order(draw.choice(("buy", "sell")), price, size, asset=asset)
    return PlaceOrders(*head, (spec,))


def run(exchange: Exchange, wanted: list[Command], *, scans: bool) -> list[Event]:
    """Execute commands, each in a block of its own some time after the last."""
    events = []
    for command in wanted:
        exchange.begin_block(exchange.height + 1, exchange.time_ms + 1_700)
        if not isinstance(command, MoveOracle):
            assert isinstance(command, SignedCommand)
            command = structs.replace(command, nonce=START_MS + exchange.height)
        if scans:
            look_at_everybody(exchange)
        events += exchange.apply(command)
    return events


@pytest.mark.parametrize("number", range(24))
def test_nobody_is_missed(number: int) -> None:
    """The same events, and after each command nobody is below maintenance unnoticed."""
    watching, scanning = opened(), opened()

    for command in a_history(number):
        assert run(watching, [command], scans=False) == run(scanning, [command], scans=True)
        check(watching)
    assert watching.digest() == scanning.digest()


def test_histories_are_worth_watching() -> None:
    """Accounts are liquidated in them, and most moves look at few."""
    liquidated, looked, moves = 0, 0, 0
    for number in range(6):
        exchange = opened()
        accounts = exchange.engine.accounts.values()
        for command in a_history(number):
            epochs = [account.epoch for account in accounts]
            liquidated += len(every(run(exchange, [command], scans=False), Liquidated))
            if isinstance(command, MoveOracle):
                moves += len(accounts)
                looked += sum(
                    account.epoch != epoch for account, epoch in zip(accounts, epochs, strict=True)
                )

    assert liquidated
    assert looked < moves // 2


def idle_account(desk: Desk) -> Account:
    """Return an account whose position a move of a few per cent cannot hurt."""
    desk.trade(ACCOUNTS[0], ACCOUNTS[1], "100", "1")
    desk.move_oracle("100")
    return desk.exchange.engine.accounts[ACCOUNTS[0]]


def rich_desk() -> Desk:
    """Return a desk with the accounts of this module."""
    desk = Desk()
    for account in ACCOUNTS:
        desk.credit(account, 1_000)
    return desk


def test_move_that_cannot_hurt_an_account_does_not_look_at_it() -> None:
    """Its totals stay of an earlier epoch, and what was entered stays where it is."""
    desk = rich_desk()
    account = idle_account(desk)
    epoch, due = account.epoch, account.positions[BTC].due

    desk.move_oracle("103")
    desk.move_oracle("97")

    assert account.epoch == epoch
    assert account.positions[BTC].due == due != NEVER_DUE


def test_distance_is_used_up_by_movement_in_both_directions() -> None:
    """The price is back where it was, and the account is looked at all the same."""
    desk = rich_desk()
    account = idle_account(desk)
    epoch = account.epoch
    for _ in range(10):
        desk.move_oracle("170")
        desk.move_oracle("100")

    assert account.epoch > epoch


def test_heap_does_not_grow_with_the_looks() -> None:
    """Accounts that trade all the time leave no trail of entries behind."""
    desk = rich_desk()
    market = desk.exchange.engine.markets[BTC]
    for number in range(300):
        desk.trade(ACCOUNTS[number % 2], ACCOUNTS[2], "100", "0.2")
        desk.move_oracle(("100.1", "99.9")[number % 2])

    assert len(market.looks) <= 2 * len(market.holders) + 64
