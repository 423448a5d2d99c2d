"""``zaraba trace``: one thing that happens to an exchange, followed through every actor.

A scenario runs on a whole gateway of its own, in a temporary directory and on a free port: real
requests over HTTP and WebSocket, a real journal. One request carries a sampled ``traceparent``; the
spans that follow from it are kept in memory and told as a story (`api.trace_flow`).
"""

from __future__ import annotations

import logging
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import trio
from attrs import define, field
from trio_websocket import WebSocketConnection

from actors.carried import carrying
from actors.router import BlockPart
from actors.tracing import Tracing
from actors.tracing_export import KeptSpans
from api.actions import sign_request
from api.client_orders import limit_order
from api.program import Ground, Program, open_program, wall_clock_ms
from api.settings import Settings
from api.signing import SigningKey
from api.trace_flow import Line, tell
from api.trace_heal import follow_heal
from api.trace_stage import SCENARIO_SECONDS_MAX, TRACEPARENT, follow, open_socket
from api.trace_text import render, with_diagrams
from model.commands import MoveOracle, OraclePrice
from model.events import Liquidated
from model.ids import Address, AssetId
from supervision import State

ASSET: Final = AssetId(0)
USD: Final = 1_000_000
RICH_USD: Final = 10_000_000 * USD
ALL: Final = "all"
HEAL: Final = "heal"
"""The scenario that needs a node in place of an exchange."""


@define(eq=False)
class Stage:
    """A gateway, a few traders, and a socket that listens to what they are told."""

    program: Program
    tracing: Tracing
    listener: WebSocketConnection
    traders: dict[str, SigningKey] = field(factory=dict)
    _nonce: int = field(factory=wall_clock_ms)

    @property
    def market(self) -> str:
        """Name of the market that is traded."""
        return self.program.gateway.directory.universe[ASSET].name

    async def fund(self, name: str, usd: int) -> None:
        """Let a trader come, with so many micro-USD."""
        key = SigningKey.of_hex(f"0x{len(self.traders) + 1:064x}")
        self.traders[name] = key
        await self.program.gateway.fund(key.address, usd)

    async def price(self, ppm: int = 1_000_000) -> str:
        """Return a part of the oracle price, in whole USD."""
        mark = await self.program.gateway.read_market(ASSET, lambda view: view.context().oracle)
        decimals = self.program.gateway.directory.universe[ASSET].price_decimals
        return str(int(mark) * ppm // 1_000_000 // 10**decimals)

    async def order(
        self, who: str, *, is_buy: bool, price: str, size: str, traced: bool = False
    ) -> int:
        """Place an order over HTTP; return its id."""
        order = limit_order(ASSET, is_buy=is_buy, price=price, size=size)
        action = {"type": "order", "orders": [order], "grouping": "na"}
        status = (await self.act(who, action, traced=traced))["data"]["statuses"][0]
        if "error" in status:
            raise RuntimeError(f"the scenario's order was refused: {status['error']}")
        return int(next(iter(status.values()))["oid"])

    async def act(self, who: str, action: Mapping[str, Any], *, traced: bool = False) -> Any:
        """Have an action carried out over HTTP."""
        self._nonce += 1
        body = sign_request(self.traders[who], action, self._nonce)
        headers = {"content-type": "application/json"}
        if traced:
            headers["traceparent"] = TRACEPARENT
        request = urllib.request.Request(  # our own server
            self.program.urls[0] + "/exchange", body, headers
        )
        answer = msgspec.json.decode(await trio.to_thread.run_sync(_post, request))
        if answer["status"] != "ok":
            raise RuntimeError(f"the scenario's action was refused: {answer['response']}")
        return answer["response"]

    async def listen(self, kind: str, **more: Any) -> None:
        """Follow a channel, without being traced."""
        await follow(self.listener, kind, **more)

    async def settle(self) -> None:
        """Wait until everybody has handled what was sent up to now."""
        gateway = self.program.gateway
        await gateway.catch_up()
        await gateway.read_market(ASSET, lambda _view: None)
        for key in self.traders.values():
            await gateway.read_account(key.address, lambda _view: None)

    def name_of(self, path: str) -> str:
        """Return what a reader calls an actor."""
        pool, _, key = path.partition("/")
        if pool == "markets":
            return f"market {self.program.gateway.directory.universe[AssetId(int(key))].name}"
        if pool == "accounts":
            who = [n for n, k in self.traders.items() if k.address == Address(key)]
            return f"account of {who[0] if who else 'somebody'}"
        return path.rpartition("/")[2]


def _post(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request) as response:  # our own server
        body: bytes = response.read()
    return body


# -- what happens


async def trace_order(stage: Stage) -> None:
    """Let an order meet another one."""
    await stage.fund("maker", RICH_USD)
    await stage.fund("taker", RICH_USD)
    price = await stage.price()
    await stage.order("maker", is_buy=False, price=price, size="1")
    await stage.listen("trades", coin=stage.market)
    await stage.listen("bbo", coin=stage.market)
    for key in stage.traders.values():
        await stage.listen("orderUpdates", user=key.address)
    await stage.settle()
    await stage.order("taker", is_buy=True, price=price, size="0.5", traced=True)


async def trace_cancel(stage: Stage) -> None:
    """Take an order back."""
    await stage.fund("trader", RICH_USD)
    oid = await stage.order("trader", is_buy=True, price=await stage.price(900_000), size="1")
    await stage.listen("bbo", coin=stage.market)
    await stage.listen("orderUpdates", user=stage.traders["trader"].address)
    await stage.settle()
    await stage.act("trader", {"type": "cancel", "cancels": [{"a": ASSET, "o": oid}]}, traced=True)


async def trace_subscribe(stage: Stage) -> None:
    """Follow a book, and then an order that changes it."""
    await stage.fund("trader", RICH_USD)
    await stage.settle()
    headers = [(b"traceparent", TRACEPARENT.encode())]
    async with open_socket(stage.program.urls[0], headers) as socket:
        await follow(socket, "l2Book", coin=stage.market)
        await follow(socket, "openOrders", user=stage.traders["trader"].address)
        await stage.settle()


async def trace_restart(stage: Stage) -> None:
    """Let a market miss a part of a block, which it cannot survive."""
    await stage.fund("trader", RICH_USD)
    await stage.listen("bbo", coin=stage.market)
    await stage.settle()
    market = stage.program.gateway.markets.address(ASSET)
    height = stage.program.gateway.directory.height
    step = stage.tracing.begin("fault", TRACEPARENT, {"fault.type": "a part is lost"})
    assert step is not None
    with carrying(step):
        market.tell(BlockPart(height + 2, wall_clock_ms(), height + 1, []))
    step.end()
    while market.generation < 2 or market.state is not State.RUNNING:  # noqa: ASYNC110
        await trio.sleep(0.01)


async def trace_liquidation(stage: Stage) -> None:
    """Let the price fall for somebody who cannot carry it."""
    await stage.fund("maker", RICH_USD)
    await stage.fund("loser", int(await stage.price(53_000)) * USD)
    price = await stage.price()
    await stage.order("maker", is_buy=False, price=price, size="1")
    await stage.order("loser", is_buy=True, price=price, size="1")
    await stage.order("maker", is_buy=True, price=await stage.price(950_000), size="2")
    for key in stage.traders.values():
        await stage.listen("userEvents", user=key.address)
    await stage.settle()
    fallen = int(await stage.price(955_000)) * 10**8
    step = stage.tracing.begin("oracle", TRACEPARENT, {"command.type": "MoveOracle"})
    assert step is not None
    with carrying(step):
        receipt = await stage.program.gateway.carry_out(MoveOracle((OraclePrice(ASSET, fallen),)))
    step.end()
    if not any(isinstance(event, Liquidated) for event in receipt.events):
        raise RuntimeError("nobody was liquidated")


SCENARIOS: Final[dict[str, Callable[[Stage], Awaitable[None]]]] = {
    "order": trace_order,
    "cancel": trace_cancel,
    "subscribe": trace_subscribe,
    "restart": trace_restart,
    "liquidation": trace_liquidation,
}


# -- how it is run


async def follow_scenario(name: str) -> list[Line]:
    """Run a scenario on an exchange of its own; return its story."""
    if name == HEAL:
        return await follow_heal()
    with TemporaryDirectory(prefix="zaraba-trace-") as folder:
        kept = KeptSpans()
        tracing = Tracing([kept])
        settings = Settings(data=Path(folder) / "data", port=0)
        ground = Ground(tracing=tracing)
        with trio.fail_after(SCENARIO_SECONDS_MAX):
            async with AsyncExitStack() as stack:
                program = await stack.enter_async_context(open_program(settings, ground=ground))
                listener = await stack.enter_async_context(open_socket(program.urls[0]))
                stage = Stage(program, tracing, listener)
                await SCENARIOS[name](stage)
                await stage.settle()
                lines = tell(kept.spans, stage.name_of)
    return lines


def run_trace(name: str, form: str, into: Path | None = None) -> int:
    """Run a scenario and print its story; return the process's exit status.

    Args:
        name: of ``SCENARIOS``, ``heal``, or ``all``.
        form: of ``api.trace_text.FORMATS``.
        into: a page whose diagrams are made anew instead.
    """
    # What goes wrong is part of the story.
    logging.getLogger("zaraba").setLevel(logging.CRITICAL)
    names = [*SCENARIOS, HEAL] if name == ALL else [name]
    stories = {one: trio.run(follow_scenario, one) for one in names}
    if into is not None:
        page = into.read_text(encoding="utf-8")
        into.write_text(with_diagrams(page, stories), encoding="utf-8")
        return 0
    for lines in stories.values():
        sys.stdout.write(render(lines, form))
    return 0
