"""What clients see when a part of the gateway falls, and that it goes on."""

import errno
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from actors.history import History
from actors.history_store import HistoryStore
from actors.router import BlockPart
from actors.source import At
from api.program import Program
from model.commands import Credit, CreditSource
from model.ids import Address
from model.state import MarketState
from model.units import USD
from model.views.market import MarketView
from supervision import State, System
from tests.api.gateways import (
    connect,
    info,
    key,
    open_gateway,
    order_body,
    receive,
    send,
    subscribe,
    wait_generation,
)

LOST = BlockPart(2**60, 0, 2**60 - 1, [])


def code_of(closed: ConnectionClosed) -> int:
    assert closed.reason is not None
    return closed.reason.code


async def wait_ready(program: Program) -> None:
    while program.gateway.why_not_ready():  # noqa: ASYNC110
        await trio.sleep(0.005)


async def test_a_router_that_falls_closes_sessions_and_takes_new_ones(tmp_path: Path) -> None:
    """All views start again; clients are told with 1001, and come back to the same address."""
    async with open_gateway(tmp_path, serve=True) as program:
        urls = list(program.urls)
        async with connect(program) as socket:
            await subscribe(socket, "bbo", coin="BTC")
            program.registry.address("router").tell("nobody understands this")
            with pytest.raises(ConnectionClosed) as closed:
                await receive(socket, "nothing")
        await wait_generation(program, "server", 2)
        await wait_ready(program)

        assert code_of(closed.value) == 1001
        assert program.urls == urls
        async with connect(program) as socket:
            answer = await subscribe(socket, "l2Book", coin="BTC")
            assert answer["channel"] == "subscriptionResponse"
            assert (await receive(socket, "l2Book"))["coin"] == "BTC"
            await send(socket, {"method": "ping"})
            await receive(socket, "pong")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("services/ticker", "_publish"),
        ("source/sequencer", "_answer"),
        ("history/writer", "_catch_up"),
    ],
)
async def test_what_falls_alone_takes_no_session_along(
    tmp_path: Path, path: str, method: str
) -> None:
    """A client on its way notices nothing, and its subscriptions go on."""
    async with open_gateway(tmp_path, serve=True) as program:
        fund = program.gateway.fund
        async with connect(program) as socket:
            await subscribe(socket, "allMids")
            await subscribe(socket, "openOrders", user=key(1).address)
            await _system(program).probe(path, partial(_break, method))
            program.registry.address(path).tell("fall")
            await wait_generation(program, path, 2)
            await fund(key(1).address, 100_000 * USD)
            await program.entry.enter(order_body(key(1)))

            while not (await receive(socket, "openOrders"))["orders"]:
                pass
            await receive(socket, "allMids")
        assert program.registry.address("server").generation == 1


def _break(method: str, actor: object) -> None:
    def fall(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    setattr(actor, method, fall)


async def test_a_full_disk_under_the_history_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again, and catches up when there is room."""
    async with open_gateway(tmp_path) as program:
        original = HistoryStore.apply

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(HistoryStore, "apply", full)
        for _ in range(7):
            generation = program.registry.address("history/writer").generation
            await program.gateway.fund(key(1).address, USD)
            program.registry.address("history/writer").tell("look")
            await trio.sleep(0.02)
            assert generation
        monkeypatch.setattr(HistoryStore, "apply", original)
        fills = await info(program, "userNonFundingLedgerUpdates", user=key(1).address, startTime=0)

    assert len(fills) == 7


async def test_a_market_that_stays_down_closes_its_followers(tmp_path: Path) -> None:
    """No stream is better than silence; others stay, and readiness names the market."""
    async with open_gateway(tmp_path, serve=True) as program:
        async with connect(program) as follower, connect(program) as other:
            await subscribe(follower, "bbo", coin="BTC")
            await subscribe(other, "bbo", coin="ETH")
            market = program.registry.address("markets/0")
            while market.state is not State.FAILED:
                market.tell(LOST)
                await trio.sleep(0.01)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(follower, "nothing")
            answer = await subscribe(other, "l2Book", coin="BTC")
            while answer["channel"] == "bbo":
                answer = await subscribe(other, "l2Book", coin="BTC")
            await send(other, {"method": "ping"})
            await receive(other, "pong")

        assert code_of(closed.value) == 1011
        assert answer["data"].startswith("Invalid subscription")
        assert "BTC" in program.gateway.why_not_ready()


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_a_market_that_does_not_start_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """From the first start on: the gateway opens, all others trade, and readiness names the one."""
    original = History.open_market

    async def open_market(history: History, at: At[MarketState]) -> MarketView:
        if at.state.instrument.asset == 0:
            if how == "hangs":
                await trio.sleep_forever()
            raise ZeroDivisionError("on purpose")
        return await original(history, at)

    monkeypatch.setattr(History, "open_market", open_market)
    monkeypatch.setattr("api.program.WAKE_SECONDS_MAX", 0.3)
    async with open_gateway(tmp_path, serve=True) as program:
        others = [i.asset for i in program.gateway.directory.universe if i.asset]
        markets = [program.registry.address(f"markets/{asset}") for asset in others]
        while {market.state for market in markets} != {State.RUNNING}:  # noqa: ASYNC110
            await trio.sleep(0.005)
        async with connect(program) as socket:
            await subscribe(socket, "l2Book", coin="ETH")
            book = await receive(socket, "l2Book")

        assert others
        assert book["coin"] == "ETH"
        assert "BTC" in program.gateway.why_not_ready()


async def test_an_account_beyond_repair_still_trades(tmp_path: Path) -> None:
    """Order entry does not depend on its view."""
    async with open_gateway(tmp_path) as program:
        who = key(1)
        await program.gateway.fund(who.address, 100_000 * USD)
        assert await info(program, "openOrders", user=who.address) == []
        account = program.registry.address(f"accounts/{who.address}")
        while account.state is not State.FAILED:
            account.tell(LOST)
            await trio.sleep(0.01)

        assert b"resting" in await program.entry.enter(order_body(who))


async def test_whoever_was_answered_sees_it(tmp_path: Path) -> None:
    """A question right behind an answer, in the same process, finds the account and its order."""
    async with open_gateway(tmp_path) as program:
        for number in range(1, 40):
            who = key(number)
            await program.gateway.fund(who.address, 100_000 * USD)
            state = await info(program, "clearinghouseState", user=who.address)
            assert state["withdrawable"] == "100000.0"
            assert b"resting" in await program.entry.enter(order_body(who))
            assert len(await info(program, "openOrders", user=who.address)) == 1
            assert (await info(program, "userRole", user=who.address))["role"] == "user"


async def test_signers_of_nothing_cost_no_actor(tmp_path: Path) -> None:
    """A wrongly signed action looks like a new address: it is refused and leaves nothing."""
    async with open_gateway(tmp_path) as program:
        for number in range(1, 30):
            answer = await program.entry.enter(order_body(key(number)))
            assert b"does not exist" in answer
            assert await info(program, "openOrders", user=key(number).address) == []

        assert len(program.gateway.accounts) == 0


async def test_a_newcomer_of_the_faucet_trades_at_once(tmp_path: Path) -> None:
    """Its first action finds the money there, and the next one as well."""
    async with open_gateway(tmp_path, faucet_usd=10_000 * USD, faucet_credits_max=1) as program:
        for _ in range(2):
            assert b"resting" in await program.entry.enter(order_body(key(1)))

        assert b"does not exist" in await program.entry.enter(order_body(key(2)))
        assert program.gateway.telemetry.faucet_credits == 1


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """The state after a start is the state before the stop."""
    who = key(1)
    async with open_gateway(tmp_path) as program:
        await program.gateway.fund(who.address, 100_000 * USD)
        await program.entry.enter(order_body(who))
        before = await info(program, "openOrders", user=who.address)
        height = program.gateway.directory.height
    async with open_gateway(tmp_path) as program:
        assert program.gateway.directory.height == height
        assert await info(program, "openOrders", user=who.address) == before


async def test_a_client_is_not_told_of_a_refused_credit_as_money(tmp_path: Path) -> None:
    """An operator's credit of nothing is refused in words, and leaves no block."""
    async with open_gateway(tmp_path) as program:
        receipt = await program.gateway.carry_out(
            Credit(Address(key(1).address), 0, CreditSource.FUND)
        )

        assert receipt.height == program.gateway.directory.height == 1


def _system(program: Program) -> System:
    assert program.system is not None
    return program.system
