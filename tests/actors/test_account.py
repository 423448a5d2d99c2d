import pytest
import trio

from actors.account import STATE_SECONDS, ReadAccountView, SubmitAction
from actors.channels import Channel, Subscribe
from actors.errors import OverloadedError
from actors.router import BlockPart, CatchUp
from actors.source import Receipt
from actors.subscription import Ended
from model.commands import CancelOrders, CancelSpec, Tick, Tif
from model.events import CommandRefused
from model.ids import Address, OrderId
from model.views.account import RECENT_ORDERS_MAX
from supervision import State
from tests.actors.floor import ALICE, BOB, BTC, CAROL, START_MS, Floor, credit, open_floor, order
from tests.actors.listeners import Listener, crash_next, listen_to_account

ORDERS, EVENTS, FILLS = Channel("orderUpdates"), Channel("userEvents"), Channel("userFills")
OPEN, STATE = Channel("openOrders"), Channel("clearinghouseState")
PATH = f"accounts/{ALICE}"


async def listen(floor: Floor, channel: Channel, account: Address = ALICE) -> Listener:
    listener = listen_to_account(floor, channel, account)
    await trio.sleep(0.01)
    return listener


async def sell(floor: Floor, nonce: int) -> None:
    await floor.source.submit(order(ALICE, nonce, is_buy=False, size="0.02"))
    await floor.source.submit(order(BOB, nonce, tif=Tif.IOC))
    await floor.registry.address("router").ask(CatchUp())


def cancel(oid: int, nonce: int) -> CancelOrders:
    spec = CancelSpec(BTC.asset, OrderId(oid))
    return CancelOrders(ALICE, START_MS + nonce, None, None, (spec,))


async def all_updates(floor: Floor) -> list[tuple[int, str, str]]:
    """Return what a subscriber that was there from the start would have been sent."""
    at = await floor.source.account(ALICE)
    view = await floor.open_account(at)
    texts = Listener(ORDERS)
    texts.subscription.offer(floor.wires.accounts.order_updates(list(view.orders)))
    return texts.order_states()


async def test_an_action_goes_through_and_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The sequencer answers the one who asked the account."""
    async with open_floor() as floor:
        account = floor.system.pool("accounts").address(ALICE)
        receipt = await account.ask(SubmitAction(order(ALICE, 1)))
        refused = await account.ask(SubmitAction(order(ALICE, 1)))

    assert isinstance(receipt, Receipt)
    assert isinstance(refused.events[0], CommandRefused)


async def test_actions_keep_their_order(autojump_clock: trio.testing.MockClock) -> None:
    """They are sequenced as they came."""
    async with open_floor() as floor:
        account = floor.system.pool("accounts").address(ALICE)
        for nonce in range(1, 50):
            account.ask_nowait(SubmitAction(order(ALICE, nonce)), lambda _: None)
        await trio.sleep(1)

        commands = floor.chain.commands()[-49:]
    assert commands == [order(ALICE, nonce) for nonce in range(1, 50)]


async def test_an_overloaded_exchange_says_so(autojump_clock: trio.testing.MockClock) -> None:
    """Where the sequencer takes no more, nothing was done and the caller hears it at once."""
    async with open_floor() as floor:
        account = floor.system.pool("accounts").address(ALICE)
        await listen(floor, OPEN)
        floor.system.inspect("source/sequencer").suspend()
        while floor.registry.address("source/sequencer").tell("junk"):
            pass
        with pytest.raises(OverloadedError):
            await account.ask(SubmitAction(order(ALICE, 1)))
        floor.system.inspect("source/sequencer").resume()

    assert order(ALICE, 1) not in floor.chain.commands()


async def test_a_newcomer_sees_each_fill_once(autojump_clock: trio.testing.MockClock) -> None:
    """A fill in the batch in which it subscribes is in the snapshot, and only there."""
    async with open_floor() as floor:
        await listen(floor, OPEN)
        floor.system.inspect(PATH).suspend()
        await sell(floor, 1)
        newcomer = listen_to_account(floor, FILLS, ALICE)
        await sell(floor, 2)
        floor.system.inspect(PATH).resume()
        await trio.sleep(1)

        assert [frame.get("isSnapshot") for frame in newcomer.frames] == [True, None]
        assert len(newcomer.fill_ids()) == len(set(newcomer.fill_ids())) == 2


@pytest.mark.parametrize("missed", [0, 1, 5])
@pytest.mark.parametrize("same_time", [True, False])
async def test_after_a_crash_no_update_is_missed_or_repeated(
    missed: int, same_time: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Streams without snapshots go on where they stood, also within one millisecond."""
    async with open_floor() as floor:
        await sell(floor, 1)
        at_start = await all_updates(floor)
        orders, events = await listen(floor, ORDERS), await listen(floor, EVENTS)
        await sell(floor, 2)
        await crash_next(floor, PATH)()
        floor.system.pool("accounts").address(ALICE).tell("fall")
        for nonce in range(3, 3 + missed):
            floor.clock_ms += 0 if same_time else 7
            await sell(floor, nonce)
        await trio.sleep(1)
        await sell(floor, 50)
        await trio.sleep(1)
        updates = await all_updates(floor)
        fills = [fill["tid"] for frame in events.frames for fill in frame.get("fills", ())]

        assert floor.generation(PATH) == 2
        assert orders.order_states() == updates[len(at_start) :]
        assert len(fills) == len(set(fills)) == missed + 2


async def test_after_a_crash_funding_is_told_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What the account got or paid while it was down is made up for; lists begin anew."""
    async with open_floor() as floor:
        await sell(floor, 1)
        events, fundings = await listen(floor, EVENTS), await listen(floor, Channel("userFundings"))
        for falls in (False, True, False):
            if falls:
                await crash_next(floor, PATH)()
                floor.system.pool("accounts").address(ALICE).tell("fall")
            floor.clock_ms += 3_600_000
            await floor.source.submit(Tick())
            await trio.sleep(1)
        told = [frame["funding"]["time"] for frame in events.frames if "funding" in frame]

        assert floor.generation(PATH) == 2
        assert len(told) == len(set(told)) == 3
        lists = [frame["fundings"] for frame in fundings.frames]
        assert [len(one) for one in lists] == [0, 1, 2, 1]
        assert [bool(frame.get("isSnapshot")) for frame in fundings.frames] == [True, False] * 2


async def test_a_gap_that_cannot_be_filled_ends_the_streams(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where more happened than an account remembers, the others are shown snapshots."""
    async with open_floor() as floor:
        orders, fills = await listen(floor, ORDERS), await listen(floor, FILLS)
        floor.system.inspect(PATH).suspend()
        floor.clock_ms += 1
        for nonce in range(1, 4):
            count = RECENT_ORDERS_MAX // 3
            await floor.source.submit(order(ALICE, nonce, count=count + 1, size="0.0002"))
        await crash_next(floor, PATH)()
        floor.system.inspect(PATH).resume()
        await trio.sleep(1)

        assert orders.endings == [Ended.CRASHED]
        assert fills.endings == []


async def test_actions_in_hand_survive_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    """Each is carried out once: those handed on before the fall, and those behind it."""
    async with open_floor() as floor:
        await listen(floor, OPEN)
        account = floor.system.pool("accounts").address(ALICE)
        floor.system.inspect(PATH).suspend()
        answers: list[object] = []
        for nonce in (1, 2):
            action = SubmitAction(order(ALICE, nonce))
            account.ask_nowait(action, lambda reply: answers.append(reply.error or reply.value))
            account.tell(BlockPart(2**60, 0, 2**60 - 1, []))
        floor.system.inspect(PATH).resume()
        await trio.sleep(1)

        assert [type(answer) for answer in answers] == [Receipt, Receipt]
        assert floor.chain.commands()[-2:] == [order(ALICE, 1), order(ALICE, 2)]


async def test_an_account_with_subscribers_stays(autojump_clock: trio.testing.MockClock) -> None:
    """Passivation is for those in whom nobody is interested; they come back with a message."""
    async with open_floor(Floor(idle_seconds=10.0)) as floor:
        listener = await listen(floor, ORDERS)
        bob = floor.system.pool("accounts").address(BOB)
        await bob.ask(ReadAccountView(lambda view: view.cash))
        await trio.sleep(60)
        assert bob.state is State.IDLE
        assert floor.system.pool("accounts").address(ALICE).state is State.RUNNING

        await sell(floor, 1)
        await trio.sleep(0.01)  # the account is told after the router, and runs when it is its turn
        assert sum(map(len, listener.frames)) == 2
        assert await bob.ask(ReadAccountView(lambda view: view.volume)) > 0


async def test_an_account_without_subscribers_leaves_nothing_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Neither a table of subscribers nor a place at the router."""
    async with open_floor(Floor(idle_seconds=10.0)) as floor:
        listener = await listen(floor, STATE)
        floor.account_channels.of(ALICE).discard(STATE, listener.subscription)
        await trio.sleep(60)

        assert floor.account_channels.get(ALICE) is None
        attached = await floor.system.probe("router", lambda actor: dict(actor._attached))  # type: ignore[attr-defined]
        assert ALICE not in attached


async def test_a_stranger_may_be_followed(autojump_clock: trio.testing.MockClock) -> None:
    """An address that holds nothing yet is shown from its first money on."""
    async with open_floor() as floor:
        listener = await listen(floor, STATE, CAROL)
        await floor.source.submit(credit(CAROL, 5_000_000))
        await trio.sleep(3 * STATE_SECONDS)

        values = [f["clearinghouseState"]["marginSummary"]["accountValue"] for f in listener.frames]
        assert values[0] == "0.0"
        assert values[-1] == "5.0"


async def test_state_channels_come_every_second(autojump_clock: trio.testing.MockClock) -> None:
    """Positions move with marks, so they are shown again; open orders only when they change."""
    async with open_floor() as floor:
        state, orders = await listen(floor, STATE), await listen(floor, OPEN)
        await trio.sleep(10 * STATE_SECONDS)
        assert 10 <= len(state.frames) <= 12
        assert len(orders.frames) == 1

        await floor.source.submit(order(ALICE, 1, price=40_000))
        await trio.sleep(0.1)
        assert len(orders.frames[-1]["orders"]) == 1
        await floor.source.submit(cancel(orders.frames[-1]["orders"][0]["oid"], 2))
        await trio.sleep(0.1)
        assert orders.frames[-1]["orders"] == []


async def test_a_request_twice_is_one_subscription(autojump_clock: trio.testing.MockClock) -> None:
    """A request that was handled and then given again sends no second snapshot."""
    async with open_floor() as floor:
        listener = await listen(floor, FILLS)
        account = floor.system.pool("accounts").address(ALICE)
        account.tell(Subscribe(FILLS, listener.subscription))
        await trio.sleep(0.1)

        assert len(listener.frames) == 1
