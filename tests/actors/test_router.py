import pytest
import trio
from msgspec.structs import replace

from actors.router import (
    REMIND_SECONDS,
    Attach,
    BlockPart,
    CatchUp,
    Detach,
    Directory,
)
from actors.source import At, BlockCommitted, DirectoryState
from model.agents import NAMED_AGENTS_MAX, ZERO_ADDRESS
from model.blocks import GENESIS_DIGEST
from model.commands import ApproveAgent, Command, Noop, OpenExchange, Tick, UsdSend
from model.events import FundingPaid
from model.ids import Address
from model.instruments import USDC_TOKEN
from model.units import USD
from supervision.cell import Cell
from tests.actors.floor import ALICE, BOB, BTC, CAROL, START_MS, Floor, credit, open_floor, order


async def catch_up(floor: Floor) -> None:
    await floor.registry.address("router").ask(CatchUp())


async def run(floor: Floor, *commands: Command) -> None:
    for command in commands:
        await floor.source.submit(command)
    await catch_up(floor)


def agent(number: int) -> Address:
    return Address(f"0x{0xA0000 + number:040x}")


# ---- the directory ---------------------------------------------------------------------------


async def test_the_directory_follows_the_exchange(autojump_clock: trio.testing.MockClock) -> None:
    """Block by block it holds what a directory holds that is read afresh."""
    async with open_floor() as floor:
        for nonce in range(1, 25):
            floor.clock_ms += 1_000
            name = f"bot {nonce % 5}" if nonce % 6 else ""
            valid = floor.clock_ms + (500 if nonce % 3 else 100_000)
            who = ZERO_ADDRESS if nonce % 7 == 0 else agent(nonce % 11)
            approve = ApproveAgent(ALICE, floor.clock_ms, None, None, who, name, valid)
            await run(floor, approve, UsdSend(ALICE, floor.clock_ms + 1, None, None, CAROL, USD))
            fresh = Directory()
            fresh.replace(await floor.source.directory())

            assert floor.directory == fresh
            assert len(fresh.agents) <= NAMED_AGENTS_MAX + 1 + 5


async def test_an_agent_counts_until_its_time_is_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Then its address stands for nobody, also where no event says so."""
    async with open_floor() as floor:
        valid = START_MS + 1_000
        await run(floor, ApproveAgent(ALICE, START_MS, None, None, agent(1), "", valid))
        assert floor.directory.account_of(agent(1)) == ALICE
        floor.clock_ms = valid
        await run(floor, Noop(BOB, START_MS, None, None))

        assert floor.directory.account_of(agent(1)) is None
        assert floor.directory.account_of(BOB) == BOB


async def test_a_replaced_agent_is_nobody_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """A new agent of the same name takes the place of the old one."""
    async with open_floor() as floor:
        for number in (1, 2):
            approve = ApproveAgent(ALICE, START_MS + number, None, None, agent(number), "x")
            await run(floor, approve)

        assert floor.directory.account_of(agent(1)) is None
        assert floor.directory.account_of(agent(2)) == ALICE


def test_views_keep_the_list_of_markets() -> None:
    """A router that starts again changes the list that views hold, and makes no new one."""
    directory = Directory()
    held = directory.universe
    state = DirectoryState(
        (BTC,), (USDC_TOKEN,), frozenset(), {}, {}, {}, OpenExchange(1, 2), b"digest"
    )
    directory.replace(At(3, START_MS, state))
    directory.replace(At(4, START_MS, state))

    assert held is directory.universe
    assert list(held) == [BTC]


# ---- what continues the chain ----------------------------------------------------------------


@pytest.mark.parametrize("skipped", [1, 2])
async def test_a_lost_block_is_noticed(
    skipped: int, autojump_clock: trio.testing.MockClock
) -> None:
    """A block that does not follow fells the router; it starts again from the source."""
    async with open_floor() as floor:
        router = floor.registry.address("router")
        await run(floor, credit())
        last = floor.chain.kept[-1]
        router.tell(
            BlockCommitted(replace(last, height=last.height + 1 + skipped, digest=b"another"))
        )
        await trio.sleep(1)
        await run(floor, credit())

        assert floor.generation("router") == 2
        assert floor.directory.height == 3


async def test_a_chain_that_was_cut_is_noticed(autojump_clock: trio.testing.MockClock) -> None:
    """If the disk loses a block that was told, all views start again from what is left."""
    async with open_floor() as floor:
        await run(floor, credit(ALICE), credit(BOB, usd=7))
        account = floor.system.pool("accounts").address(BOB)
        account.tell("wake up")
        await trio.sleep(0.1)
        del floor.chain.kept[-1]
        floor.chain.commit_errors = [OSError("the disk is another one")]
        with pytest.raises(Exception, match="unknown"):
            await floor.source.submit(credit())
        await floor.source.submit(credit(BOB, usd=9))
        await trio.sleep(1)
        at = await floor.source.account(BOB)
        account.tell("wake up")
        await trio.sleep(1)
        cash = await floor.system.probe(f"accounts/{BOB}", lambda actor: actor.view.cash)  # type: ignore[attr-defined]

    assert floor.generation("router") == 2
    assert cash == at.state.cash


async def test_blocks_from_before_a_start_are_ignored(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What waited in the mailbox while the router started is in the state that it read."""
    async with open_floor() as floor:
        router = floor.registry.address("router")
        floor.system.inspect("router").suspend()
        for usd in (1, 2, 3):
            await floor.source.submit(credit(usd=usd))
        router.tell("something it falls over")
        floor.system.inspect("router").resume()
        await floor.source.submit(credit(usd=4))
        await trio.sleep(1)
        await catch_up(floor)

        assert floor.directory.height == 5


# ---- parts -----------------------------------------------------------------------------------


async def test_a_view_whose_mailbox_was_full_is_reminded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A part that was lost is noticed although no other one follows."""
    async with open_floor(Floor(view_capacity=2)) as floor:
        account = floor.system.pool("accounts").address(ALICE)
        account.tell("wake up")
        await trio.sleep(0.1)
        floor.system.inspect(f"accounts/{ALICE}").suspend()
        for nonce in range(1, 6):
            await run(floor, order(ALICE, nonce))
        await trio.sleep(5 * REMIND_SECONDS)
        floor.system.inspect(f"accounts/{ALICE}").resume()
        await trio.sleep(3 * REMIND_SECONDS)
        orders = await floor.system.probe(
            f"accounts/{ALICE}",
            lambda actor: len(list(actor.view.open_orders)),  # type: ignore[attr-defined]
        )

    assert orders == 5
    assert floor.generation(f"accounts/{ALICE}") == 2


async def test_funding_is_divided_among_those_who_follow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each account is given its own payment, the market what it charged."""
    async with open_floor() as floor:
        await run(floor, order(ALICE, 1, is_buy=False), order(BOB, 1))
        pools = floor.system.pool("accounts"), floor.system.pool("markets")
        subjects = ((pools[0], ALICE, f"accounts/{ALICE}"), (pools[1], BTC.asset, "markets/0"))
        for pool, subject, _ in subjects:
            pool.address(subject).tell("wake up")
        await trio.sleep(0.1)
        for _, _, path in subjects:
            floor.system.inspect(path).suspend()
        floor.clock_ms += 3_600_000
        await run(floor, Tick())
        hers, market = (
            [
                event
                for part in waiting_parts(pool.members[subject].cell)
                for _, event in part.events
            ]
            for pool, subject, _ in subjects
        )
        for _, _, path in subjects:
            floor.system.inspect(path).resume()

    (paid,) = (event for event in hers if isinstance(event, FundingPaid))
    (charged,) = (event for event in market if isinstance(event, FundingPaid))
    assert [payment.account for payment in paid.payments] == [ALICE]
    assert charged.payments == ()
    assert paid.rate == charged.rate


async def test_a_detached_view_gets_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever detached costs nothing any more, but a newer attachment of another view stays."""
    async with open_floor() as floor:
        router = floor.registry.address("router")
        alice, bob = (floor.system.pool("accounts").address(who) for who in (ALICE, BOB))
        await router.ask(Attach(CAROL, alice))
        router.tell(Detach(CAROL, bob))
        attached = await floor.system.probe("router", lambda actor: set(actor._attached))  # type: ignore[attr-defined]
        assert attached == {CAROL}

        router.tell(Detach(CAROL, alice))
        await catch_up(floor)
        assert await floor.system.probe("router", lambda actor: dict(actor._attached)) == {}  # type: ignore[attr-defined]


async def test_each_part_names_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    """A view can tell that nothing is missing between two parts, however many blocks are."""
    async with open_floor() as floor:
        floor.system.pool("markets").address(BTC.asset).tell("wake up")
        await trio.sleep(0.1)
        market = floor.system.inspect("markets/0")
        market.suspend()
        await run(floor, order(ALICE, 1), credit(), credit(), order(ALICE, 2), order(BOB, 1))
        parts = waiting_parts(floor.system.pool("markets").members[BTC.asset].cell)
        market.resume()

    assert [(part.previous, part.height) for part in parts] == [(1, 2), (2, 5), (5, 6)]
    assert floor.directory.digest == floor.chain.kept[-1].digest != GENESIS_DIGEST


def waiting_parts(cell: Cell) -> list[BlockPart]:
    return [e.message for e in cell.mailbox.user if isinstance(e.message, BlockPart)]
