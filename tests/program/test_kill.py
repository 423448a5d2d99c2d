"""Killed at any moment under load, the exchange has kept every promise when it is back."""

import itertools
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import pytest
import trio

from tests.program.clients import Trader, Wire, book_levels, levels_of, open_wire, statuses
from tests.program.harness import Program, run_command
from tests.program.load import Desk, load_over_http, load_over_websocket
from tests.program.promises import Promises, ask_all

pytestmark = pytest.mark.program

KILLS: Final = 20
VERIFY_EVERY: Final = 8
LOAD_SECONDS: Final = (0.05, 0.8)
EARLY_SECONDS: Final = (0.2, 1.2)
EARLY_SHARE: Final = 0.2
"""How often it is also killed while it starts."""
TRADERS: Final = 4
USD: Final = 1_000_000
COIN: Final = "SPARE0"


async def test_every_promise_survives_kills_under_load(
    programs: Callable[..., Program], markets_file: object, seed: int
) -> None:
    """Acknowledged orders are there once, the others wholly or not at all, and books add up."""
    chance = random.Random(seed)
    program = programs("--config", str(markets_file)).start()
    asset = [market["name"] for market in program.info("meta")["universe"]].index(COIN)
    traders = [Trader.fresh(chance) for _ in range(TRADERS)]
    for trader in traders:
        program.fund(trader.address, USD)
    promises, cloids = Promises(), itertools.count(1)
    desks = [Desk(trader, asset, chance, promises, cloids) for trader in traders]

    for kill in range(1, KILLS + 1):
        seconds = chance.uniform(*LOAD_SECONDS)
        print(f"kill {kill} after {seconds:.3f} s of load; {promises.checked} orders checked")
        await load_and_kill(program, desks, seconds)
        if chance.random() < EARLY_SHARE:
            early = chance.uniform(*EARLY_SECONDS)
            print(f"and once more {early:.3f} s into the start")
            program.start(wait=False)
            await trio.sleep(early)
            program.kill()
        if kill % VERIFY_EVERY == 0:
            verify(program)
        program.start()
        async with open_wire(program.ws_url) as wire:
            await promises.check(wire, traders)
            await check_book(wire, traders)
            await check_money(wire, traders, promises)
            await check_replays(wire, desks[0])
            if chance.random() < 0.5:
                await cancel_all(wire, desks)

    assert promises.checked > KILLS
    assert program.stop() == 0
    verify(program)


async def load_and_kill(program: Program, desks: list[Desk], seconds: float) -> None:
    """Trade from several connections at once, and kill the exchange in the middle of it."""
    for desk in desks:
        desk.forget()
    async with trio.open_nursery() as nursery:
        for desk in desks[1:]:
            nursery.start_soon(load_over_websocket, program, desk)
        nursery.start_soon(load_over_http, program, desks[0])
        await trio.sleep(seconds)
        program.kill()


def verify(program: Program) -> None:
    """The journal replays from nothing to the same digests."""
    done = run_command("verify", str(program.directory))
    assert done.returncode == 0, done.stdout + done.stderr


async def check_book(wire: Wire, traders: list[Trader]) -> None:
    """What a reconnecting subscriber sees first is exactly what the open orders add up to."""
    questions = [{"type": "openOrders", "user": trader.address} for trader in traders]
    orders = [order for answer in await ask_all(wire, questions) for order in answer]
    oids = [order["oid"] for order in orders]
    assert len(set(oids)) == len(oids), "an order is open twice"
    await wire.subscribe("l2Book", coin=COIN)

    book = await wire.until("l2Book")

    assert book_levels(book) == levels_of(orders, COIN)
    bids, asks = ([Decimal(level["px"]) for level in side] for side in book["levels"])
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert not bids or not asks or bids[0] < asks[0], "the book is crossed"


async def check_money(wire: Wire, traders: list[Trader], promises: Promises) -> None:
    """Trades move money between the traders; all that is missing are the fees of their fills."""
    questions = [{"type": "clearinghouseState", "user": trader.address} for trader in traders]
    states = await ask_all(wire, questions)

    cash = sum(Decimal(state["crossMarginSummary"]["totalRawUsd"]) for state in states)
    held = sum(
        Decimal(item["position"]["szi"]) for state in states for item in state["assetPositions"]
    )
    assert held == 0
    assert cash == TRADERS * USD - promises.fees


async def check_replays(wire: Wire, desk: Desk) -> None:
    """A nonce that was used before the kill is still used after it."""
    trader = desk.trader
    nonce = trader.nonce()
    body = trader.sign({"type": "noop"}, nonce)
    if desk.last_noop is not None:
        answer = await wire.act(desk.last_noop)
        assert answer["status"] == "err"
        assert answer["response"].startswith("Invalid nonce: ")
    answer = await wire.act(body)
    assert answer["status"] == "ok", answer
    desk.last_noop = body


async def cancel_all(wire: Wire, desks: list[Desk]) -> None:
    """Begin anew with an empty book: all that is open is cancelled, each exactly once."""
    for desk in desks:
        own = [
            promise for promise in desk.promises.orders.values() if promise.trader is desk.trader
        ]
        cloids = [promise.wanted.cloid for promise in own if promise.wanted.cloid is not None]
        if not cloids:
            continue
        answer = await wire.act(desk.trader.cancel_cloids(desk.asset, *cloids))
        for promise, status in zip(own, statuses(answer), strict=True):
            promise.cancel_sent, promise.cancel_answer = True, status
            assert status == "success", f"it was open, yet: {promise}: {status}"
