"""Users of the published ccxt, synchronous and ccxt.pro, as its documentation tells them to be.

Nothing of ccxt is changed: it is configured with the exchange's URLs, and what it sends is looked
at on its way out. ccxt.pro is a library for asyncio. The exchange is a process of its own and no
Trio runs in these tests, so ``asyncio.run`` in the test's own thread is all it needs.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import ccxt
import ccxt.pro
import eth_account
from attrs import define, frozen
from eth_account.signers.local import LocalAccount

from tests.conformance.record import Recorder
from tests.program.harness import Program

CCXT: Final = "ccxt"
PRO: Final = "ccxt.pro"
REFUSALS: Final = "ccxt, refusals"
FRAME_SECONDS_MAX: Final = 20.0

Answer = TypeVar("Answer")


def settings(program: Program, account: LocalAccount, **options: Any) -> dict[str, Any]:
    """Return what README tells users to give to ccxt's constructor.

    ccxt's own throttle is off: it keeps to the limits of a service that others use too.
    """
    return {
        "walletAddress": account.address,
        "privateKey": f"0x{bytes(account.key).hex()}",
        "urls": {
            "api": {"public": program.url, "private": program.url, "ws": {"public": program.ws_url}}
        },
        "enableRateLimit": False,
        "options": {"sandboxMode": True, "builderFee": False, **options},
    }


def unified(name: str) -> str:
    """Return the name by which ccxt documents a method: ``fetch_ohlcv`` is ``fetchOHLCV``."""
    camel = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
    return camel.replace("Ohlcv", "OHLCV")


def new_account(program: Program, usd: int | str) -> LocalAccount:
    """Make an account, funded unless ``usd`` is 0."""
    account: LocalAccount = eth_account.Account.create()
    if usd:
        program.fund(account.address, usd)
    return account


@define(eq=False)
class CcxtUser:
    """An account and a synchronous ccxt object for it; ``api`` is the object, its calls noted."""

    address: str
    exchange: Any
    api: Any

    @classmethod
    def open(
        cls,
        program: Program,
        recorder: Recorder,
        usd: int | str = 10_000,
        account: LocalAccount | None = None,
        **options: Any,
    ) -> "CcxtUser":
        account = account or new_account(program, usd)
        exchange = ccxt.hyperliquid(settings(program, account, **options))
        exchange.session.hooks["response"].append(_noting(recorder))
        user = cls(account.address, exchange, recorder.watch(CCXT, exchange, unified))
        user.api.load_markets()
        return user

    def close(self) -> None:
        self.exchange.session.close()

    def rest(self, symbol: str, amount: float, price: float, **params: Any) -> str:
        """Place a limit order, to sell if the amount is negative; return its id."""
        side = "buy" if amount > 0 else "sell"
        order = self.exchange.create_order(symbol, "limit", side, abs(amount), price, params)
        assert "resting" in order["info"], order
        return str(order["id"])

    def open_ids(self) -> list[str]:
        return [order["id"] for order in self.exchange.fetch_open_orders()]


def _noting(recorder: Recorder) -> Callable[..., None]:
    def note(response: Any, **_options: Any) -> None:
        body = response.request.body
        recorder.note_exchange(CCXT, body, response.status_code, response.text)

    return note


@frozen(eq=False)
class ProUser:
    """An account and a ccxt.pro object for it."""

    address: str
    exchange: Any
    api: Any

    @classmethod
    def open(
        cls,
        program: Program,
        recorder: Recorder,
        usd: int | str = 10_000,
        account: LocalAccount | None = None,
        **options: Any,
    ) -> "ProUser":
        account = account or new_account(program, usd)
        exchange = ccxt.pro.hyperliquid(settings(program, account, **options))
        _look_at(exchange, recorder)
        return cls(account.address, exchange, recorder.watch(PRO, exchange, unified))

    async def __aenter__(self) -> "ProUser":
        await self.api.load_markets()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.exchange.close()

    async def rest(self, symbol: str, amount: float, price: float, **params: Any) -> str:
        """Place a limit order, to sell if the amount is negative; return its id."""
        side = "buy" if amount > 0 else "sell"
        order = await self.exchange.create_order(symbol, "limit", side, abs(amount), price, params)
        assert "resting" in order["info"], order
        return str(order["id"])


def _look_at(exchange: Any, recorder: Recorder) -> None:
    """Note what an asyncio client sends: its HTTP requests, and its frames."""
    fetch, watch = exchange.fetch, exchange.watch

    async def noted_fetch(
        url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        try:
            answer = await fetch(url, method, headers, body)
        except ccxt.BaseError as error:
            recorder.note_exchange(PRO, body, 0, str(error))
            raise
        recorder.note_exchange(PRO, body, 200, "")
        return answer

    async def noted_watch(url: str, message_hash: str, message: Any = None, *rest: Any) -> Any:
        recorder.note_exchange(PRO, message, 0, "")
        return await watch(url, message_hash, message, *rest)

    exchange.fetch, exchange.watch = noted_fetch, noted_watch


# ---- waiting -----------------------------------------------------------------------------------


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on an asyncio loop of its own."""
    asyncio.run(scenario)


async def within(awaitable: Awaitable[Answer]) -> Answer:
    """Wait, but not for ever."""
    try:
        async with asyncio.timeout(FRAME_SECONDS_MAX):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"nothing came within {FRAME_SECONDS_MAX} s") from None


async def until(next_one: Callable[[], Awaitable[Any]], holds: Callable[[Any], object]) -> Any:
    """Watch until what came holds."""
    passed = []
    try:
        async with asyncio.timeout(FRAME_SECONDS_MAX):
            while True:
                seen = await next_one()
                if holds(seen):
                    return seen
                passed.append(seen)
    except TimeoutError:
        raise AssertionError(f"never came to hold among {passed}") from None
