"""The admin socket: who may connect, how requests travel, and what operators are told."""

import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from api.admin import (
    ADMIN_SOCKET,
    REQUEST_BYTES_MAX,
    AdminError,
    AdminUnreachableError,
    Handler,
    ask_admin,
    serve_admin,
)
from tests.api.gateways import info, key, open_gateway


async def echo(request: Mapping[str, Any]) -> Any:  # noqa: ASYNC124
    return {"said": request.get("say")}


async def refuse(_: Mapping[str, Any]) -> Any:  # noqa: ASYNC124
    raise AdminError("not today")


async def fall(_: Mapping[str, Any]) -> Any:  # noqa: ASYNC124
    raise ZeroDivisionError("by zero")


HANDLERS: dict[str, Handler] = {"echo": echo, "refuse": refuse, "fall": fall}


@asynccontextmanager
async def open_admin(directory: Path) -> AsyncIterator[Path]:
    await trio.Path(directory).mkdir(parents=True, exist_ok=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_admin, directory, HANDLERS)
        yield directory
        nursery.cancel_scope.cancel()


async def test_a_request_is_answered(tmp_path: Path) -> None:
    """What the handler returns comes back; what it refuses is an error with its words."""
    async with open_admin(tmp_path):
        assert await ask_admin(tmp_path, {"do": "echo", "say": "hi"}) == {"said": "hi"}
        with pytest.raises(AdminError, match="not today"):
            await ask_admin(tmp_path, {"do": "refuse"})
        with pytest.raises(AdminError, match="known are: echo, fall, refuse"):
            await ask_admin(tmp_path, {"do": "dance"})


async def test_our_mistake_ends_one_request(tmp_path: Path) -> None:
    """A handler that breaks is told as such, and the next request is served."""
    async with open_admin(tmp_path):
        with pytest.raises(AdminError, match="internal error"):
            await ask_admin(tmp_path, {"do": "fall"})
        assert await ask_admin(tmp_path, {"do": "echo"}) == {"said": None}


async def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    """The socket has mode 0600 from its first moment, and is gone after the end."""
    async with open_admin(tmp_path):
        mode = (tmp_path / ADMIN_SOCKET).stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / ADMIN_SOCKET).exists()


async def test_a_deep_directory_has_one_too(tmp_path: Path) -> None:
    """The name of a Unix socket is short, the path of a directory need not be."""
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    async with open_admin(deep):
        assert (deep / ADMIN_SOCKET).is_socket()
        assert await ask_admin(deep, {"do": "echo", "say": 1}) == {"said": 1}


async def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    """A program that was killed leaves its socket; the next one takes the name."""
    (tmp_path / ADMIN_SOCKET).touch()
    async with open_admin(tmp_path):
        assert await ask_admin(tmp_path, {"do": "echo"}) == {"said": None}


async def test_nobody_there(tmp_path: Path) -> None:
    """Where nothing runs, the operator is told how to start it."""
    with pytest.raises(AdminUnreachableError, match="zaraba serve --data"):
        await ask_admin(tmp_path, {"do": "echo"})


async def test_several_requests_in_one_packet(tmp_path: Path) -> None:
    """Lines are lines, however they arrive."""
    async with open_admin(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / ADMIN_SOCKET))
        async with stream:
            await stream.send_all(b'{"do":"echo","say":1}\n{"do":"echo",')
            await stream.send_all(b'"say":2}\n')
            received = b""
            while received.count(b"\n") < 2:
                received += await stream.receive_some()

    assert [msgspec.json.decode(line)["ok"]["said"] for line in received.split()] == [1, 2]


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    """Nobody can make the program keep more than the longest request."""
    async with open_admin(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / ADMIN_SOCKET))
        async with stream:
            with suppress(trio.BrokenResourceError):
                for _ in range(100):
                    await stream.send_all(b"x" * REQUEST_BYTES_MAX)
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b"x")


# ---- what operators may do -------------------------------------------------------------------


async def test_operators_fund_and_move_prices(tmp_path: Path) -> None:
    """Over the socket, in decimals; what is wrong is told by name."""
    async with open_gateway(tmp_path) as program:
        data, who = program.settings.data, key(1).address
        funded = await ask_admin(data, {"do": "fund", "account": who, "usd": "12.5"})
        assert funded == {"account": who, "usd": "12.5"}
        assert (await info(program, "clearinghouseState", user=who))["withdrawable"] == "12.5"
        named = {"do": "fund", "account": who, "token": "USDC", "amount": "0.5"}
        assert await ask_admin(data, named) == {"account": who, "token": "USDC", "amount": "0.5"}
        spot = await info(program, "spotClearinghouseState", user=who)
        assert [balance["total"] for balance in spot["balances"]] == ["0.5"]
        moved = await ask_admin(data, {"do": "oracle", "coin": "BTC", "price": "39000"})
        assert moved["coin"] == "BTC"
        assert moved["oracle"].startswith("39000")

        for request, text in (
            ({"do": "fund", "account": "0x12", "usd": "1"}, "not an address"),
            ({"do": "fund", "account": who, "usd": "-1"}, "not an amount"),
            ({"do": "fund", "account": who, "usd": "1e400"}, "not an amount"),
            ({"do": "fund", "account": who, "usd": "99999999999"}, "not an amount"),
            ({"do": "fund", "account": who, "token": "NOPE", "amount": "1"}, "no such token"),
            ({"do": "fund", "account": who, "token": "USDC", "amount": "0"}, "not an amount"),
            ({"do": "fund", "account": who, "token": "USDC", "usd": "1"}, "not an amount"),
            ({"do": "oracle", "coin": "NOPE", "price": "1"}, "no such market"),
            ({"do": "oracle", "coin": "BTC", "price": "0"}, "not a price"),
            ({"do": "crash", "actor": "markets/0"}, "not a request"),
        ):
            with pytest.raises(AdminError, match=text):
                await ask_admin(data, request)
        status = await ask_admin(data, {"do": "status"})
        assert status["not_ready"] == ""
        assert status["height"] == program.gateway.directory.height


async def test_a_pair_has_no_oracle_and_its_token_can_be_credited(tmp_path: Path) -> None:
    """Its price is that of its last trade; its token comes from the operator."""
    config = tmp_path / "markets.toml"
    await trio.Path(config).write_text(
        '[[markets]]\nname = "BTC"\nsize_decimals = 5\nmax_leverage = 40\nopening_price = "65000"\n'
        '[[pairs]]\ntoken = "SAKE"\nsize_decimals = 1\nopening_price = "2.5"\n'
    )
    async with open_gateway(tmp_path, config=config) as program:
        data, who = program.settings.data, key(1).address
        with pytest.raises(AdminError, match="has no oracle"):
            await ask_admin(data, {"do": "oracle", "coin": "SAKE/USDC", "price": "3"})
        named = {"do": "fund", "account": who, "token": "SAKE", "amount": "12.5"}
        assert await ask_admin(data, named) == {"account": who, "token": "SAKE", "amount": "12.5"}
        spot = await info(program, "spotClearinghouseState", user=who)

    assert [(held["coin"], held["total"]) for held in spot["balances"]] == [("SAKE", "12.5")]
