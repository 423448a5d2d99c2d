"""Told to stop, the program is gone within five seconds with status 0, whatever its clients do."""

import itertools
import random
import signal
from collections.abc import Callable
from typing import Final

import pytest
import trio

from tests.program.bad_clients import crowd, never_reads, upgraded
from tests.program.clients import Trader, open_wire, wait_until
from tests.program.harness import STOP_SECONDS_MAX, Program
from tests.program.load import Desk, load_over_http, load_over_websocket
from tests.program.promises import Promises

pytestmark = pytest.mark.program

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
COIN: Final = "SPARE0"


@pytest.fixture
def program(programs: Callable[..., Program], markets_file: object) -> Program:
    """A running exchange of the test's own."""
    return programs("--config", str(markets_file)).start()


@pytest.mark.parametrize("number", SIGNALS)
def test_an_idle_exchange_stops(program: Program, number: signal.Signals) -> None:
    """Nothing is left, and the next start finds everything."""
    assert program.stop(number) == 0
    assert not (program.directory / "admin.sock").exists()

    assert program.start().stop(number) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_clients_that_never_read_and_half_open_ones(
    program: Program, number: signal.Signals
) -> None:
    """Neither full sockets nor unfinished requests hold up the stop."""
    with crowd(program):
        assert program.is_ready()

        assert program.stop(number) == 0


@pytest.mark.parametrize("number", SIGNALS)
async def test_requests_in_flight(program: Program, number: signal.Signals, seed: int) -> None:
    """Orders that arrive during the stop are either answered and kept, or not carried out."""
    asset = [market["name"] for market in program.info("meta")["universe"]].index(COIN)
    promises, cloids = Promises(), itertools.count(1)
    traders = [Trader.fresh() for _ in range(3)]
    desks = [
        Desk(trader, asset, random.Random(seed + index), promises, cloids)
        for index, trader in enumerate(traders)
    ]
    for trader in traders:
        program.fund(trader.address, 1_000_000)

    with upgraded(program, never_reads(60)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load_over_websocket, program, desks[0])
            nursery.start_soon(load_over_websocket, program, desks[1])
            nursery.start_soon(load_over_http, program, desks[2])
            await trio.sleep(0.5)
            program.process.send_signal(number)
            status = await trio.to_thread.run_sync(program.wait_ended, STOP_SECONDS_MAX)

    assert status == 0, program.output()
    program.start()
    async with open_wire(program.ws_url) as wire:
        await promises.check(wire, traders)
    assert promises.checked > 50


async def test_subscribers_are_told_goodbye(program: Program) -> None:
    """A client that reads sees its connection closed as one that goes away."""
    async with open_wire(program.ws_url) as wire:
        await wire.subscribe("allMids")
        await wire.until("allMids")
        program.process.send_signal(signal.SIGTERM)

        await wait_until(lambda: wire.connection.closed is not None)

        assert wire.connection.closed is not None
        assert wire.connection.closed.code in (1001, 1012)
    assert program.wait_ended(STOP_SECONDS_MAX) == 0


def test_a_second_signal_changes_nothing(program: Program) -> None:
    """An impatient second Ctrl-C does not turn a stop into a crash."""
    with upgraded(program, never_reads(60)):
        program.process.send_signal(signal.SIGINT)
        program.process.send_signal(signal.SIGINT)

        assert program.wait_ended(STOP_SECONDS_MAX) == 0


def test_the_demo_stops(programs: Callable[..., Program]) -> None:
    """Bots and oracle do not hold up the stop either."""
    program = programs("--demo").start()

    with upgraded(program, never_reads(60)):
        assert program.stop() == 0
