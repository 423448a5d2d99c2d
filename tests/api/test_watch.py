"""`zaraba watch` against a scripted exchange, on a pseudo-terminal and as plain lines."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

from api.client import open_client
from api.watch import (
    PlainPrinter,
    Watcher,
    WatchError,
    choose_palette,
    run_watch,
    watch_plain,
)
from api.watch_screen import LEAVE, Screen
from api.watch_view import COLOURED, COLOURLESS, MarketPicture
from tests.api.fake_exchange import FakeExchange, open_fake_exchange

BOOK = {
    "coin": "BTC",
    "time": 1_700_000_000_000,
    "levels": [[{"px": "64999.0", "sz": "1.0", "n": 1}], [{"px": "65001.0", "sz": "2.0", "n": 1}]],
}
TRADE = {
    "coin": "BTC",
    "time": 1_700_000_000_000,
    "tid": 7,
    "side": "B",
    "px": "65001.0",
    "sz": "3",
}


def answer(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    names = ["PURR/USDC"] if payload["type"] == "spotMeta" else ["BTC", "kPEPE"]
    data = {"universe": [{"name": name} for name in names]}
    return {"type": kind, "payload": {"type": payload["type"], "data": data}}


@pytest.fixture
async def exchange() -> AsyncIterator[FakeExchange]:
    async with open_fake_exchange() as fake:
        fake.answer = answer
        yield fake


def is_subscribed(exchange: FakeExchange, times: int = 1) -> Callable[[], bool]:
    return lambda: len(exchange.subscriptions()) == 3 * times


async def wait_line(lines: list[str], text: str) -> None:
    with trio.fail_after(10):
        while not any(text in line for line in lines):  # noqa: ASYNC110 - a list has no event
            await trio.sleep(0.01)


async def test_plain_output_tells_trades_books_and_interruptions(exchange: FakeExchange) -> None:
    """One line each, and no trade twice after a reconnection."""
    lines: list[str] = []
    async with open_client(exchange.url, is_patient=True) as client, trio.open_nursery() as nursery:
        watcher = Watcher(client, MarketPicture("btc", exchange.url))
        nursery.start_soon(watch_plain, watcher, lines.append)
        await exchange.wait_received(is_subscribed(exchange))
        await exchange.push("l2Book", BOOK)
        await exchange.push("trades", [TRADE])
        await wait_line(lines, "3 @ 65001.0")
        await exchange.hang_up()
        await wait_line(lines, "away: ")
        await exchange.wait_received(is_subscribed(exchange, times=2))
        await exchange.push("trades", [TRADE, {**TRADE, "tid": 8, "sz": "4"}])
        await wait_line(lines, "4 @ 65001.0")
        nursery.cancel_scope.cancel()

    assert sum("3 @ 65001.0" in line for line in lines) == 1
    assert any("book   1.0 @ 64999.0 | 65001.0 @ 2.0" in line for line in lines)
    assert any(line.startswith("watching BTC on ") for line in lines)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("BTC", "BTC"),
        ("btc", "BTC"),
        ("kPEPE", "kPEPE"),
        ("kpepe", "kPEPE"),
        ("purr/usdc", "PURR/USDC"),
    ],
)
async def test_markets_are_found_in_any_case(exchange: FakeExchange, typed: str, name: str) -> None:
    """The exchange's own spelling is subscribed to."""
    async with open_client(exchange.url) as client, trio.open_nursery() as nursery:
        nursery.start_soon(Watcher(client, MarketPicture(typed, exchange.url)).follow)
        await exchange.wait_received(is_subscribed(exchange))
        nursery.cancel_scope.cancel()

    assert {subscription["coin"] for subscription in exchange.subscriptions()} == {name}


async def test_an_unknown_market_is_told_with_those_that_there_are(
    exchange: FakeExchange,
) -> None:
    """A typing error ends the program with advice."""
    async with open_client(exchange.url) as client:
        with pytest.raises(WatchError, match=r"no market NOSUCH; there are BTC, kPEPE"):
            await Watcher(client, MarketPicture("NOSUCH", exchange.url)).follow()


def test_a_wrong_level_count_or_url_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With a message, without a traceback."""
    assert run_watch("BTC", url="http://127.0.0.1:1", levels=21) == 1
    assert run_watch("BTC", url="127.0.0.1:1", plain=True) == 1

    told = capsys.readouterr().err.splitlines()
    assert told[0] == "zaraba: --levels must be 1 to 20"
    assert told[1].startswith("zaraba: not a URL")


def test_no_color_is_respected() -> None:
    """https://no-color.org: any value but the empty one."""
    assert choose_palette({}) is COLOURED
    assert choose_palette({"NO_COLOR": ""}) is COLOURED
    assert choose_palette({"NO_COLOR": "1"}) is COLOURLESS
    assert choose_palette({"TERM": "dumb"}) is COLOURLESS


def test_plain_books_are_printed_once_a_second_at_most() -> None:
    """A busy book would drown the trades."""
    lines: list[str] = []
    printer, picture = PlainPrinter(lines.append), MarketPicture("BTC", "x", is_live=True)
    for tenth in range(30):
        book = {**BOOK, "levels": [[{"px": str(tenth), "sz": "1", "n": 1}], []]}
        picture.hear("l2Book", book)
        printer.print_news(picture, tenth / 10)

    assert len(lines) == 1 + 3


def test_only_changed_lines_are_written() -> None:
    """So that nothing flickers, and a slow line carries it."""
    output = io.StringIO()
    screen = Screen(output)
    screen.draw(["one", "two", "three"])
    output.seek(0)
    output.truncate()
    screen.draw(["one", "TWO"])

    assert output.getvalue() == "\x1b[2;1HTWO\x1b[K\x1b[3;1H\x1b[K"


def test_after_a_resize_everything_is_written() -> None:
    """The terminal may have thrown away what was there."""
    output = io.StringIO()
    screen = Screen(output)
    screen.draw(["one"])
    screen.forget()
    output.seek(0)
    output.truncate()
    screen.draw(["one"])

    assert output.getvalue() == "\x1b[2J\x1b[1;1Hone\x1b[K"


PROGRAM = "import sys; from api.watch import run_watch; sys.exit(run_watch('BTC', url=sys.argv[1]))"


async def read_until(terminal: int, seen: bytearray, *texts: bytes) -> None:
    with trio.fail_after(20):
        while not all(text in seen for text in texts):
            await trio.lowlevel.wait_readable(terminal)
            with suppress(OSError):
                seen += os.read(terminal, 65536)


@pytest.mark.parametrize("leave", ["q", "ctrl-c", "terminate"])
async def test_a_real_terminal_shows_the_book_and_is_given_back(
    exchange: FakeExchange, leave: str
) -> None:
    """The picture appears, and however one leaves, screen and keyboard are as before."""
    try:
        terminal, inside = pty.openpty()
    except OSError as error:  # a container may have none
        pytest.skip(f"this machine has no pseudo-terminals: {error}")
    termios.tcsetwinsize(inside, (30, 100))
    before = termios.tcgetattr(inside)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROGRAM, exchange.url],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    seen = bytearray()
    try:
        await exchange.wait_received(is_subscribed(exchange))
        await exchange.push("l2Book", BOOK)
        await read_until(terminal, seen, b"65,001", b"live")
        match leave:
            case "q":
                os.write(terminal, b"q")
            case "ctrl-c":
                process.send_signal(signal.SIGINT)
            case _:
                process.send_signal(signal.SIGTERM)
        await read_until(terminal, seen, LEAVE.encode())
        with trio.fail_after(10):
            assert await process.wait() == 0

        assert termios.tcgetattr(inside) == before
        assert b"Traceback" not in seen
    finally:
        process.kill()
        os.close(terminal)
        os.close(inside)
