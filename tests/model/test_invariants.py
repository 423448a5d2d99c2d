"""The checks themselves: each finds what it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.errors import BrokenInvariantError
from model.exchange import Exchange
from model.ids import OrderId
from model.invariants import check
from model.markets import Market
from tests.model.desk import ALICE, BOB, BTC, CAROL, KEY, Desk, cloid, order

Sabotage = Callable[[Exchange], None]
SABOTAGES: list[tuple[str, Sabotage]] = []


def found_as(words: str) -> Callable[[Sabotage], Sabotage]:
    """Enter a sabotage with words of the message that it must be found with."""

    def enter(sabotage: Sabotage) -> Sabotage:
        SABOTAGES.append((words, sabotage))
        return sabotage

    return enter


def market(exchange: Exchange) -> Market:
    """Return the market in which something goes on."""
    return exchange.engine.markets[BTC]


@found_as("the book is crossed")
def _(exchange: Exchange) -> None:
    asks = market(exchange).asks
    order = asks.first()
    asks.remove(order)
    order.price = 1
    asks.add(order)


@found_as("levels and their sorted keys differ")
def _(exchange: Exchange) -> None:
    market(exchange).bids.keys.clear()


@found_as("is empty")
def _(exchange: Exchange) -> None:
    bids = market(exchange).bids
    bids.levels[bids.keys[-1]] = {}


@found_as("is at a wrong level")
def _(exchange: Exchange) -> None:
    market(exchange).bids.first().price -= 1


@found_as("impossible lots")
def _(exchange: Exchange) -> None:
    market(exchange).bids.first().remaining = 0


@found_as("is in a book but not with its account")
def _(exchange: Exchange) -> None:
    order = market(exchange).bids.first()
    account = exchange.engine.accounts[order.account]
    account.forget(order, account.positions[BTC])
    account.epoch = -1


@found_as("books")
def _(exchange: Exchange) -> None:
    order = market(exchange).bids.first()
    market(exchange).bids.remove(order)


@found_as("resting lots")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[CAROL].positions[BTC].resting_buys += 1


@found_as("the index of client ids")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[BOB].cloids.clear()


@found_as("the index of reduce-only orders")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].positions[BTC].reducing.clear()


@found_as("the sum of reduce-only lots")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].positions[BTC].reducing_lots += 1


@found_as("reduce-only orders exceed the position")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].positions[BTC].size = 1


@found_as("would increase the position")
def _(exchange: Exchange) -> None:
    position = exchange.engine.accounts[ALICE].positions[BTC]
    position.size = -position.size


@found_as("entry notional")
def _(exchange: Exchange) -> None:
    position = exchange.engine.accounts[ALICE].positions[BTC]
    position.entry_notional = -position.entry_notional


@found_as("positions sum to")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].positions[BTC].size += 1
    exchange.engine.accounts[ALICE].epoch = -1


@found_as("open interest")
def _(exchange: Exchange) -> None:
    market(exchange).open_interest += 1


@found_as("paid in")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].pay(1)


@found_as("keeps value")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].value += 1


@found_as("kept demand")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].required += 1


@found_as("margin in market 0 is off")
def _(exchange: Exchange) -> None:
    exchange.engine.accounts[ALICE].positions[BTC].margin += 1


@found_as("yet to be given out")
def _(exchange: Exchange) -> None:
    exchange.engine.next_oid = OrderId(1)


@found_as("agents and the accounts")
def _(exchange: Exchange) -> None:
    exchange.agent_book.agents.clear()


@found_as("kept nonces")
def _(exchange: Exchange) -> None:
    exchange.nonces[ALICE].reverse()


@pytest.mark.parametrize(("words", "sabotage"), SABOTAGES, ids=[words for words, _ in SABOTAGES])
def test_sabotage_is_found(words: str, sabotage: Sabotage) -> None:
    """A state that was whole and then tampered with is found broken, by the right name."""
    desk = Desk()
    desk.trade(ALICE, BOB, "100", "5")
    desk.rest(ALICE, order("sell", "101", "3", reduce_only=True))
    desk.rest(BOB, order("sell", "102", "3", cloid=cloid(1)))
    desk.rest(CAROL, order("buy", "99", "3"))
    desk.approve(ALICE, KEY)
    desk.place(ALICE, order("buy", "98", "1"))
    check(desk.exchange)

    sabotage(desk.exchange)

    with pytest.raises(BrokenInvariantError, match=words):
        check(desk.exchange)
