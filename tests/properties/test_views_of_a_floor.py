"""Views that are started, fed, crashed and starved in any order agree with the exchange."""

import random
from contextlib import suppress
from operator import methodcaller

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from actors.account import ReadAccountView
from actors.channels import Channel
from actors.market import ReadMarketView
from actors.router import BlockPart, CatchUp
from model.commands import Tif
from model.views.market import MarketView
from supervision import Address, SupervisionError
from tests.actors.floor import ALICE, BOB, BTC, Floor, credit, order
from tests.actors.listeners import Listener, listen_to_account, listen_to_market

VIEWS = (f"markets/{BTC.asset}", f"accounts/{ALICE}", f"accounts/{BOB}")
LOST = BlockPart(2**60, 0, 2**60 - 1, [])
CAPACITY = 3
"""Of a view's mailbox: so small that parts are lost when nobody takes them."""

actions = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 3)),
        st.tuples(st.just("lose disk"), st.booleans()),
        st.tuples(st.just("crash view"), st.sampled_from(VIEWS)),
        st.tuples(st.just("hold view"), st.sampled_from(VIEWS)),
        st.tuples(st.just("free view"), st.sampled_from(VIEWS)),
        st.tuples(st.just("starve and crash view"), st.sampled_from(VIEWS)),
        st.tuples(st.just("crash"), st.sampled_from(("router", "source/sequencer"))),
        st.tuples(st.just("read"), st.sampled_from(VIEWS)),
        st.tuples(st.just("wait"), st.floats(0, 3)),
    ),
    max_size=25,
)


class Drive:
    """Carries out what Hypothesis chose."""

    def __init__(self, floor: Floor, seed: int) -> None:
        self.floor = floor
        self.rng = random.Random(seed)
        self.nonce = 0
        self.trades: Listener | None = None
        self.orders: Listener | None = None

    async def do(self, action: str, detail: object) -> None:
        floor = self.floor
        match action, detail:
            case "trade", int(count):
                for _ in range(count):
                    self.trade()
            case "lose disk", bool(is_durable):
                errors = floor.chain.durable_errors if is_durable else floor.chain.commit_errors
                errors.append(OSError("no space"))
            case "crash view", str(path):
                self.address(path).tell(LOST)
            case (("hold view" | "free view"), str(path)):
                self.hold(path, is_held=action == "hold view")
            case "crash", str(path):
                floor.registry.address(path).tell("nobody understands this")
                if path == "source/sequencer":
                    floor.told.fall_after_commit = True
            case "read", str(path):
                self.address(path).tell("wake up")
            case "starve and crash view", str(path):
                self.hold(path, is_held=True)
                self.trade()
                self.trade()
                await trio.sleep(0.1)
                self.address(path).tell(LOST)
                self.hold(path, is_held=False)
            case "wait", float(seconds):
                await trio.sleep(seconds)
            case _:
                raise AssertionError(action)
        await trio.lowlevel.checkpoint()

    def address(self, path: str) -> Address:
        pool, _, key = path.partition("/")
        return self.floor.system.pool(pool).address(BTC.asset if pool == "markets" else key)

    def hold(self, path: str, *, is_held: bool) -> None:
        with suppress(SupervisionError):  # nothing may run there now
            view = self.floor.system.inspect(path)
            if is_held:
                view.suspend()
            else:
                view.resume()

    def trade(self) -> None:
        """Send an order of somebody at some price; the outcome does not matter."""
        self.nonce += 1
        who = self.rng.choice((ALICE, BOB))
        price = self.rng.randint(49_998, 50_002)
        is_buy, tif = self.rng.random() < 0.5, self.rng.choice((Tif.GTC, Tif.GTC, Tif.IOC))
        command = order(who, self.nonce, is_buy=is_buy, price=price, tif=tif)
        self.floor.source.submit_nowait(command, lambda _: None)

    async def come_to_rest(self) -> None:
        """End all faults, and wait until every view has had the time to notice what it missed."""
        self.floor.chain.commit_errors.clear()
        self.floor.chain.durable_errors.clear()
        self.floor.told.fall_after_commit = False
        for path in VIEWS:
            self.hold(path, is_held=False)
        await trio.sleep(60)
        await self.floor.source.submit(credit())
        for path in VIEWS:
            self.address(path).tell("wake up")
        await trio.sleep(60)
        await self.floor.registry.address("router").ask(CatchUp())


def numbers(view: MarketView) -> tuple[object, ...]:
    book = view.book
    tops = tuple(book.bids.top()), tuple(book.asks.top())
    return tops, view.oracle, view.mark, view.last, view.open_interest


async def check_views(floor: Floor) -> None:
    """Compare; of fees and requests no event tells, so views ask for them instead."""
    market = await floor.source.market(BTC.asset)
    shown = floor.system.pool("markets").address(BTC.asset).ask(ReadMarketView(numbers))
    assert await shown == numbers(MarketView(market.state, market.time_ms))
    for account in (ALICE, BOB):
        at = await floor.source.account(account)
        read = ReadAccountView(methodcaller("to_state", at.time_ms))
        followed = structs.replace(at.state, fees=None, requests=None)
        assert await floor.system.pool("accounts").address(account).ask(read) == followed


async def live(steps: list[tuple[str, object]], seed: int) -> None:
    floor = Floor(view_capacity=CAPACITY, idle_seconds=5.0, restarts=1_000)
    async with floor.open():
        drive = Drive(floor, seed)
        trades = listen_to_market(floor, Channel("trades"), BTC.asset)
        orders = listen_to_account(floor, Channel("orderUpdates"), ALICE)
        await trio.sleep(0.1)
        for action, detail in steps:
            await drive.do(action, detail)
        await drive.come_to_rest()

        await check_views(floor)
        assert trades.trade_ids() == floor.chain.trade_ids(BTC.asset)
        view = await floor.open_account(await floor.source.account(ALICE))
        whole = Listener(Channel("orderUpdates"))
        if view.orders:
            whole.subscription.offer(floor.wires.accounts.order_updates(list(view.orders)))
        assert orders.order_states() == whole.order_states()


@settings(max_examples=60)
@given(steps=actions, seed=st.integers(0, 2**32))
def test_views_agree_with_the_exchange(steps: list[tuple[str, object]], seed: int) -> None:
    """Whatever fell, hung or overflowed: at rest each view is the exchange's state.

    And what was streamed is the whole story, nothing twice.
    """
    trio.run(live, steps, seed, clock=trio.testing.MockClock(autojump_threshold=0))
