"""A market that crashes is rebuilt while it is traded; nobody else notices."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import trio

from tests.program.clients import (
    Trader,
    Wanted,
    Wire,
    book_levels,
    cloid,
    levels_of,
    open_wire,
    resting_oids,
    wait_until,
)
from tests.program.harness import Program

pytestmark = pytest.mark.program

COINS = ("SPARE60", "SPARE61")
"""Two markets that the fixture `coin` hands out last, if ever."""
CRASHES = 4
ROUNDS_BETWEEN = 25


async def trade_on(
    wire: Wire, maker: Trader, taker: Trader, asset: int, numbers: Iterator[int]
) -> None:
    """Rest an order at a price of its own, leave every third of them, and take the others."""
    number = next(numbers)
    price = str(2001 + number % 15)
    mark = cloid(number)
    await wire.act(maker.place(Wanted(asset, False, price, "0.1", "Gtc", mark)))
    if number % 3:
        await wire.act(taker.place(Wanted(asset, True, price, "0.1", "Ioc")))


def fund(exchange: Program, *traders: Trader) -> None:
    for trader in traders:
        exchange.fund(trader.address, 1_000_000)


def asset_of(exchange: Program, coin: str) -> int:
    names = [market["name"] for market in exchange.info("meta")["universe"]]
    return names.index(coin)


async def wait_crashes(exchange: Program, before: float) -> None:
    """Wait until a supervisor has reported a failure of a market."""
    await wait_until(lambda: failures(exchange) > before)


def failures(exchange: Program) -> float:
    return exchange.metric("zaraba_actor_events_total", actor="markets", event="child ended")


async def test_other_markets_miss_nothing(exchange: Program) -> None:
    """Each trade of the market beside is pushed exactly once, in order, while one crashes."""
    crashing, steady = (asset_of(exchange, coin) for coin in COINS)
    maker, taker = Trader.fresh(), Trader.fresh()
    fund(exchange, maker, taker)
    numbers = count(1)
    async with open_wire(exchange.ws_url) as watcher, open_wire(exchange.ws_url) as wire:
        await watcher.subscribe("trades", coin=COINS[1])
        await watcher.subscribe("trades", coin=COINS[0])
        for _ in range(CRASHES):
            before = failures(exchange)
            exchange.crash(f"markets/{crashing}")
            for _ in range(ROUNDS_BETWEEN):
                await trade_on(wire, maker, taker, steady, numbers)
                await trade_on(wire, maker, taker, crashing, numbers)
            await wait_crashes(exchange, before)
        await watcher.drain(0.5)

    fills = exchange.info("userFillsByTime", user=taker.address, startTime=0)
    crashed, beside = ([fill["tid"] for fill in fills if fill["coin"] == coin] for coin in COINS)
    assert len(beside) > CRASHES * ROUNDS_BETWEEN / 2
    assert pushed_tids(watcher, COINS[1]) == beside
    assert set(pushed_tids(watcher, COINS[0])) == set(crashed), "its snapshots fill the gaps"


def pushed_tids(wire: Wire, coin: str) -> list[int]:
    """Return the ids of all trades of a market that were pushed, as they came."""
    return [
        entry["tid"]
        for frame in wire.seen
        if frame["channel"] == "trades"
        for entry in frame["data"]
        if entry["coin"] == coin
    ]


async def test_its_own_subscribers_get_a_snapshot(exchange: Program, coin: str, asset: int) -> None:
    """After the crash its subscribers are shown the whole state again, and the stream goes on."""
    trader = Trader.fresh()
    fund(exchange, trader)
    async with open_wire(exchange.ws_url) as wire:
        await wire.act(trader.place(Wanted(asset, True, "1990", "0.5")))
        await wire.subscribe("l2Book", coin=coin)
        await wire.subscribe("bbo", coin=coin)
        await wire.subscribe("activeAssetCtx", coin=coin)
        await wire.until("activeAssetCtx")

        exchange.crash(f"markets/{asset}")

        bid = {"px": "1990.0", "sz": "0.5", "n": 1}
        assert (await wire.until("bbo"))["bbo"] == [bid, None]
        await wire.act(trader.place(Wanted(asset, False, "2010", "0.5")))
        ask = {**bid, "px": "2010.0"}
        assert (await wire.until("bbo", lambda data: data["bbo"][1] is not None))["bbo"][1] == ask
        book = await wire.until("l2Book", lambda data: bool(data["levels"][1]))
        assert book["levels"] == [[bid], [ask]]


async def test_orders_work_while_it_is_rebuilt(
    exchange: Program, coin: str, asset: int, seed: int
) -> None:
    """Orders do not pass through the view of a market, and the rebuilt view has all of them."""
    chance = random.Random(seed)
    trader = Trader.fresh()
    fund(exchange, trader)
    oids: list[int] = []
    async with open_wire(exchange.ws_url) as wire:
        for number in range(60):
            if number in (10, 35):
                exchange.crash(f"markets/{asset}")
            price = str(1990 - chance.randrange(15))
            answer = await wire.act(trader.place(Wanted(asset, True, price, "0.1")))
            oids += resting_oids(answer)
            if chance.random() < 0.3:
                oid = oids.pop(chance.randrange(len(oids)))
                canceled = await wire.act(trader.cancel(asset, oid))
                assert canceled["response"]["data"]["statuses"] == ["success"]

        orders = exchange.info("openOrders", user=trader.address)
        assert sorted(order["oid"] for order in orders) == sorted(oids)
        book = await read_book(exchange, coin)
        assert book_levels(book) == levels_of(orders, coin)


async def read_book(exchange: Program, coin: str) -> Any:
    """Ask for a book; a market that is just being rebuilt may say so with 503."""
    with trio.fail_after(10):
        while True:
            body = b'{"type":"l2Book","coin":"%b"}' % coin.encode()
            answer = exchange.post("/info", body)
            if answer.status == 200:
                return answer.json()
            assert answer.status == 503, answer.text
            await trio.sleep(0.01)


async def test_an_account_that_crashes_is_rebuilt(exchange: Program, coin: str, asset: int) -> None:
    """The account's view comes back with all that it had; its subscribers are greeted anew."""
    maker, taker = Trader.fresh(), Trader.fresh()
    fund(exchange, maker, taker)
    async with open_wire(exchange.ws_url) as wire:
        await wire.act(maker.place(Wanted(asset, False, "2000", "1")))
        await wire.act(taker.place(Wanted(asset, True, "2000", "0.4", "Ioc")))
        await wire.subscribe("userFills", user=maker.address)
        before = await wire.until("userFills")
        state = exchange.info("clearinghouseState", user=maker.address)

        exchange.crash(f"accounts/{maker.address}")

        after = await wire.until("userFills", lambda data: bool(data.get("isSnapshot")))
        assert after == before
        answer = await wire.act(maker.place(Wanted(asset, False, "2001", "1")))
        assert len(resting_oids(answer)) == 1
        again = exchange.info("clearinghouseState", user=maker.address)
        assert again["assetPositions"] == state["assetPositions"]
        assert Decimal(again["withdrawable"]) < Decimal(state["withdrawable"])
    (position,) = state["assetPositions"]
    assert (position["position"]["coin"], position["position"]["szi"]) == (coin, "-0.4")


def test_crashing_is_only_for_tests(programs: Callable[..., Program]) -> None:
    """A program that was not started for tests has no such request."""
    program = programs().start()

    with pytest.raises(AssertionError, match="not a request"):
        program.crash("markets/0")
