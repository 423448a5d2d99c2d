import errno
from collections.abc import Callable
from typing import Any

import pytest
import trio

from actors.errors import (
    CommandCrashedError,
    CommitFailedError,
    GenesisError,
    NoRoomError,
    SourceError,
    UnavailableError,
)
from actors.router import CatchUp
from actors.sequencer import (
    COMMANDS_PER_BLOCK_MAX,
    PUBLISH_SECONDS_MAX,
    REBUILD_SECONDS,
    STOP_SNAPSHOT_COMMANDS,
    WORK_PER_BLOCK_MAX,
    Faucet,
    work_of,
)
from actors.source import BlockCommitted, ReadAccount, ReadMarket, Receipt
from actors.storage import JournalFullError
from model.agents import ZERO_ADDRESS
from model.commands import (
    AdminCommand,
    ApproveAgent,
    Credit,
    CreditSource,
    ListMarket,
    Noop,
)
from model.events import CommandRefused, Credited
from model.exchange import Exchange
from model.ids import Address, AssetId
from model.transfers import CASH_MAX
from model.units import USD
from supervision import InitFailed, ServerDied
from tests.actors.floor import (
    ALICE,
    BTC,
    CAROL,
    POISON_USD,
    START_MS,
    Floor,
    MemoryChain,
    credit,
    genesis,
    open_floor,
    order,
    settle,
)

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


async def submit_all(floor: Floor, commands: list[Any]) -> list[Receipt | Exception]:
    """Submit together, in order; return what each was answered with."""
    answers: list[Receipt | Exception] = [SourceError("no answer")] * len(commands)

    def note(index: int) -> Callable[[Any], None]:
        def then(reply: Any) -> None:
            answers[index] = reply.error or reply.value
            if SourceError not in map(type, answers):
                done.set()

        return then

    done = trio.Event()
    for index, command in enumerate(commands):
        floor.source.submit_nowait(command, note(index))
    await done.wait()
    return answers


def heights(answers: list[Receipt | Exception]) -> list[int]:
    assert all(isinstance(answer, Receipt) for answer in answers), answers
    return [answer.height for answer in answers if isinstance(answer, Receipt)]


# ---- blocks ----------------------------------------------------------------------------------


async def test_what_waits_together_is_one_block(autojump_clock: trio.testing.MockClock) -> None:
    """Commands that wait at the same time are made durable together, in their order."""
    async with open_floor() as floor:
        answers = await submit_all(floor, [credit(usd=usd) for usd in (1, 2, 3)])

    assert heights(answers) == [2, 2, 2]
    assert floor.chain.commands()[-3:] == [credit(usd=usd) for usd in (1, 2, 3)]


async def test_nobody_is_answered_before_the_block_is_durable(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """While the disk is at it, the caller waits and readers are not shown the new state."""
    async with open_floor() as floor:
        floor.chain.gate = trio.Event()
        answers: list[Receipt] = []
        floor.source.submit_nowait(order(ALICE, 1), lambda reply: answers.append(reply.value))
        await settle()
        assert floor.chain.commits_begun == 2
        assert answers == []

        floor.chain.gate.set()
        at = await floor.source.account(ALICE)

    assert answers[0].height == at.height == 2
    assert len(at.state.orders) == 1


async def test_a_question_behind_an_answer_finds_the_block(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whoever was answered and asks the router to catch up finds the directory at that block."""
    async with open_floor() as floor:
        for usd in range(20, 50):
            receipt = await floor.source.submit(credit(usd=usd))
            await floor.registry.address("router").ask(CatchUp())

            assert floor.directory.height >= receipt.height
            assert CAROL in floor.directory.accounts


async def test_a_block_has_bounded_work(autojump_clock: trio.testing.MockClock) -> None:
    """Large actions are divided over blocks, so that the program never stands still for long."""
    async with open_floor() as floor:
        large = [order(ALICE, nonce, count=400, size="0.0002") for nonce in range(1, 6)]
        answers = await submit_all(floor, large)

    assert heights(answers) == [2, 2, 3, 3, 4]
    works = [sum(work_of(e.command) for e in block.entries) for block in floor.chain.kept]
    assert max(works) <= WORK_PER_BLOCK_MAX


async def test_an_action_above_the_bound_is_a_block_of_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """One action is never divided."""
    async with open_floor() as floor:
        huge = order(ALICE, 1, count=WORK_PER_BLOCK_MAX + 1, size="0.0002")
        answers = await submit_all(floor, [credit(), huge, credit()])

    assert heights(answers) == [2, 3, 4]


async def test_a_block_has_a_bounded_number_of_commands(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What waits beyond the bound is the next block."""
    async with open_floor() as floor:
        count = COMMANDS_PER_BLOCK_MAX + 1
        answers = await submit_all(floor, [credit(usd=1)] * count)

    assert heights(answers) == [2] * COMMANDS_PER_BLOCK_MAX + [3]


async def test_what_leaves_no_trace_is_not_in_the_log(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A refusal without a nonce makes no block, and moves neither height nor time of the chain."""
    async with open_floor() as floor:
        floor.clock_ms += 500
        receipt = await floor.source.submit(order(CAROL, 1))
        at = await floor.source.account(ALICE)

        assert isinstance(receipt.events[0], CommandRefused)
        assert (receipt.height, receipt.time_ms) == (at.height, at.time_ms) == (1, START_MS)
        assert (await floor.source.submit(credit())).height == 2
    assert len(floor.chain.kept) == 2
    assert order(CAROL, 1) not in floor.chain.commands()


async def test_a_state_after_a_refusal_is_the_replayed_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Rolling a block back leaves nothing behind that a snapshot would keep."""
    async with open_floor(Floor(snapshot_every=1)) as floor:
        await floor.source.submit(credit())
        floor.clock_ms += 500
        await floor.source.submit(order(CAROL, 1 << 40))
        chain = await floor.system.probe("source/sequencer", lambda actor: actor._chain)  # type: ignore[attr-defined]

        assert chain.exchange.dump() == floor.chain.state().dump()


async def test_time_never_goes_back(autojump_clock: trio.testing.MockClock) -> None:
    """A wall clock that is set back stops chain time until it has caught up."""
    async with open_floor() as floor:
        floor.clock_ms += 1000
        await floor.source.submit(credit())
        floor.clock_ms -= 5000
        receipt = await floor.source.submit(credit())

    assert receipt.time_ms == START_MS + 1000


# ---- commands on which the machine breaks ----------------------------------------------------


async def test_a_command_that_breaks_the_machine_is_undone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its sender is told, the others of its block are executed, and the log never hears of it."""
    poison = credit(usd=POISON_USD)
    async with open_floor() as floor:
        answers = await submit_all(floor, [credit(usd=1), poison, credit(usd=2), poison])
        at = await floor.source.account(CAROL)

    assert isinstance(answers[1], CommandCrashedError)
    assert isinstance(answers[3], CommandCrashedError)
    assert heights([answers[0], answers[2]]) == [2, 2]
    assert at.state.cash == 3
    assert poison not in floor.chain.commands()
    assert floor.told.crashed == [poison, poison]
    assert floor.generation("source/sequencer") == 1


async def test_a_crash_on_a_broken_disk_executes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """If the state cannot be had back at once, the others are refused, and served later again."""
    async with open_floor() as floor:
        floor.chain.recover_errors = [NO_SPACE]
        answers = await submit_all(floor, [credit(usd=1), credit(usd=POISON_USD)])

        assert isinstance(answers[0], UnavailableError)
        await trio.sleep(REBUILD_SECONDS + 0.1)
        assert (await floor.source.submit(credit(usd=2))).height == 2
    assert floor.generation("source/sequencer") == 1


# ---- disks -----------------------------------------------------------------------------------


async def test_a_failed_commit_has_an_unknown_outcome(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its senders are told so; here nothing was durable, so nothing of it ever shows."""
    async with open_floor() as floor:
        floor.chain.commit_errors = [NO_SPACE]
        with pytest.raises(CommitFailedError):
            await floor.source.submit(credit(usd=1))
        receipt = await floor.source.submit(credit(usd=2))
        at = await floor.source.account(CAROL)

    assert receipt.height == 2
    assert at.state.cash == 2
    assert floor.told.lost == [NO_SPACE]


async def test_a_commit_without_room_is_known_not_to_have_happened(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its senders may simply try again."""
    async with open_floor() as floor:
        floor.chain.commit_errors = [JournalFullError("no room")]
        with pytest.raises(NoRoomError):
            await floor.source.submit(credit(usd=1))
        receipt = await floor.source.submit(credit(usd=2))

    assert receipt.height == 2


async def test_a_block_that_was_durable_after_all_is_published(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A commit that failed after the block was on disk: views hear of it, once."""
    async with open_floor() as floor:
        floor.chain.durable_errors = [NO_SPACE]
        with pytest.raises(CommitFailedError):
            await floor.source.submit(credit(usd=1))
        receipt = await floor.source.submit(credit(usd=2))
        await floor.registry.address("router").ask(CatchUp())

    assert receipt.height == 3
    assert floor.directory.height == 3
    assert floor.generation("router") == 1


async def test_a_full_disk_is_survived(autojump_clock: trio.testing.MockClock) -> None:
    """While the disk gives nothing back all is refused; with room it goes on, unasked."""
    async with open_floor() as floor:
        floor.chain.commit_errors = [NO_SPACE]
        floor.chain.recover_errors = [NO_SPACE] * 5
        with pytest.raises(CommitFailedError):
            await floor.source.submit(credit())
        with pytest.raises(UnavailableError):
            await floor.source.submit(credit())
        with pytest.raises(UnavailableError):
            await floor.source.account(ALICE)
        await trio.sleep(6 * REBUILD_SECONDS)

        assert floor.chain.recoveries == 2
        assert (await floor.source.submit(credit())).height == 2
    assert floor.generation("source/sequencer") == 1


async def test_a_hanging_disk_holds_orders_up_and_nothing_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """While a commit hangs views answer, and an order past its deadline is never executed."""
    async with open_floor() as floor:
        floor.chain.gate = trio.Event()
        floor.source.submit_nowait(credit(usd=1), lambda _: None)
        await settle()
        with trio.move_on_after(5) as scope:
            await floor.source.submit(order(ALICE, 1))
        await floor.registry.address("router").ask(CatchUp())

        assert scope.cancelled_caught
        floor.chain.gate.set()
        assert (await floor.source.submit(credit(usd=2))).height == 3
    assert order(ALICE, 1) not in floor.chain.commands()


# ---- ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoints", range(12))
async def test_stopped_at_any_moment_no_snapshot_is_ahead_of_the_journal(checkpoints: int) -> None:
    """A stop with a block executed but not durable leaves nothing of it behind."""
    chain = MemoryChain()
    async with open_floor(Floor(chain)) as floor:
        await submit_all(floor, [credit(usd=1)] * STOP_SNAPSHOT_COMMANDS)
        if checkpoints % 2:
            chain.gate = trio.Event()
        floor.source.submit_nowait(credit(usd=5), lambda _: None)
        await settle(checkpoints)

    assert chain.is_closed
    for snapshot in chain.saved:
        assert snapshot.height <= len(chain.kept)
        state = MemoryChain(chain.kept[: snapshot.height]).state()
        assert snapshot.dump == state.dump()
        assert snapshot.state_digest == state.digest()
        assert snapshot.block_digest == chain.kept[snapshot.height - 1].digest


async def test_an_orderly_stop_leaves_a_snapshot() -> None:
    """The next start need not replay what the last run did."""
    chain = MemoryChain()
    async with open_floor(Floor(chain)) as floor:
        await submit_all(floor, [credit(usd=1)] * STOP_SNAPSHOT_COMMANDS)

    assert [snapshot.height for snapshot in chain.saved] == [len(chain.kept)]


async def test_snapshots_come_now_and_then() -> None:
    """Every so many commands the state is kept beside the order flow, and loads."""
    async with open_floor(Floor(snapshot_every=3)) as floor:
        for usd in range(1, 8):
            await floor.source.submit(credit(usd=usd))
        await settle()

    assert len(floor.chain.saved) >= 2
    newest = Exchange.load(floor.chain.saved[-1].dump)
    assert newest.height == floor.chain.saved[-1].height


async def test_a_sequencer_that_falls_after_the_commit_tells_the_block_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The next incarnation publishes it; the router and the views behind it go on undisturbed."""
    async with open_floor() as floor:
        floor.told.fall_after_commit = True
        with pytest.raises(ServerDied):
            await floor.source.submit(credit(usd=1))
        receipt = await floor.source.submit(credit(usd=2))
        await floor.registry.address("router").ask(CatchUp())

    assert receipt.height == 3
    assert floor.directory.height == 3
    assert floor.generation("source/sequencer") == 2
    assert floor.generation("router") == 1


async def test_commands_that_wait_survive_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    """Those in hand have an unknown outcome; those behind them are executed by the next one."""
    async with open_floor() as floor:
        floor.chain.gate = trio.Event()
        answers: list[object] = []
        for usd in (1, 2):
            floor.source.submit_nowait(
                credit(usd=usd), lambda reply: answers.append(reply.error or reply.value)
            )
            await settle()
        floor.told.fall_after_commit = True
        floor.chain.gate.set()
        await trio.sleep(1)

    assert isinstance(answers[0], ServerDied)
    assert isinstance(answers[1], Receipt)
    assert floor.chain.commands()[-2:] == [credit(usd=1), credit(usd=2)]


# ---- the router as it is ---------------------------------------------------------------------


async def test_a_router_that_hangs_holds_orders_up_for_a_bounded_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """With its mailbox full, each block waits a moment and goes on."""
    async with open_floor(Floor(router_capacity=2)) as floor:
        floor.system.inspect("router").suspend()
        started = trio.current_time()
        for usd in range(1, 6):
            await floor.source.submit(credit(usd=usd))

        assert trio.current_time() - started == pytest.approx(3 * PUBLISH_SECONDS_MAX)
        floor.system.inspect("router").resume()
        await trio.sleep(1)
        assert (await floor.source.submit(credit())).height == 7
        await trio.sleep(1)
        assert floor.directory.height == 7


async def test_a_router_that_starts_while_blocks_wait_for_it_is_no_deadlock(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It asks the sequencer, which waits for room at the router: both get on."""
    async with open_floor(Floor(router_capacity=1)) as floor:
        router = floor.registry.address("router")
        floor.system.inspect("router").suspend()
        answers: list[object] = []
        for usd in range(1, 4):
            floor.source.submit_nowait(
                credit(usd=usd), lambda reply: answers.append(reply.error or reply.value)
            )
            await settle()
        floor.system.inspect("router").resume()
        router.tell("not a message of the router")
        await trio.sleep(10)

        assert heights(answers) == [2, 3, 4]  # type: ignore[arg-type]
        await router.ask(CatchUp())
        assert floor.directory.height == 4


# ---- reads -----------------------------------------------------------------------------------


async def test_a_question_that_makes_no_sense_only_fails_its_asker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An unknown market and an unknown message are the asker's mistake."""
    async with open_floor() as floor:
        sequencer = floor.registry.address("source/sequencer")
        with pytest.raises(IndexError):
            await sequencer.ask(ReadMarket(AssetId(99)))
        with pytest.raises(SourceError):
            await sequencer.ask("what time is it?")
        at = await sequencer.ask(ReadAccount(CAROL))

    assert not at.state.known
    assert floor.generation("source/sequencer") == 1


# ---- genesis ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commands",
    [
        [*genesis(), ListMarket(BTC)],
        [ListMarket(BTC)],
        [*genesis(), Credit(CAROL, POISON_USD, CreditSource.FUND)],
    ],
)
async def test_an_exchange_that_is_not_as_configured_does_not_open(
    commands: list[AdminCommand], autojump_clock: trio.testing.MockClock
) -> None:
    """A first block of which anything is refused is an error, not a smaller exchange."""
    with pytest.raises(InitFailed) as caught:
        async with open_floor(Floor(genesis=commands)):
            pass

    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, GenesisError):
        cause = cause.__cause__
    assert cause is not None


async def test_genesis_on_a_full_disk_opens_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A first block that is not durable is a failed start, not an exchange without markets."""
    with pytest.raises(InitFailed):
        async with open_floor(Floor(MemoryChain(commit_errors=[NO_SPACE]))):
            pass


# ---- the faucet ------------------------------------------------------------------------------


def newcomer(number: int) -> Address:
    return Address(f"0x{0xF00 + number:040x}")


async def test_newcomers_are_credited_up_to_the_cap(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each gets the money once, just before its first action; after the cap nobody does."""
    async with open_floor(Floor(faucet=Faucet(5 * USD, 2))) as floor:
        for number in range(3):
            for nonce in (1, 2):
                await floor.source.submit(Noop(newcomer(number), START_MS + nonce, None, None))

    credits = [c for c in floor.chain.commands() if isinstance(c, Credit)]
    faucet = [c for c in credits if c.source is CreditSource.FAUCET]
    assert [c.account for c in faucet] == [newcomer(0), newcomer(1)]
    assert floor.told.credits == 2


@pytest.mark.parametrize(
    "command",
    [
        Noop(newcomer(1), START_MS + 2 * 86_400_000, None, None),
        Noop(newcomer(1), 7, None, None),
        Noop(newcomer(1), START_MS, None, ALICE),
    ],
)
async def test_an_action_that_cannot_be_admitted_earns_nothing(
    command: Noop, autojump_clock: trio.testing.MockClock
) -> None:
    """A nonce out of bounds or somebody else's vault leave no trace."""
    async with open_floor(Floor(faucet=Faucet(USD, 10))) as floor:
        receipt = await floor.source.submit(command)

    assert isinstance(receipt.events[0], CommandRefused)
    assert len(floor.chain.kept) == 1


async def test_an_agent_whose_time_is_up_is_no_newcomer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It must not find itself trading with money of its own."""
    agent = newcomer(1)
    approve = ApproveAgent(ALICE, START_MS + 1, None, None, agent, "", None)
    async with open_floor(Floor(faucet=Faucet(USD, 10))) as floor:
        await floor.source.submit(approve)
        await floor.source.submit(order(agent, 2))
        remove = ApproveAgent(ALICE, START_MS + 3, None, None, ZERO_ADDRESS, "", None)
        await floor.source.submit(remove)
        receipt = await floor.source.submit(order(agent, 4))

    assert isinstance(receipt.events[0], CommandRefused)
    assert floor.told.credits == 0


async def test_a_faucet_that_gives_too_much_gives_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A credit that is refused is no entry of the log."""
    async with open_floor(Floor(faucet=Faucet(CASH_MAX + 1, 10))) as floor:
        await floor.source.submit(Noop(newcomer(1), START_MS, None, None))

    assert len(floor.chain.kept) == 1


async def test_the_cap_survives_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    """A credit that was undone counts once it is done again, not twice."""
    async with open_floor(Floor(faucet=Faucet(USD, 1))) as floor:
        noop = Noop(newcomer(0), START_MS, None, None)
        answers = await submit_all(floor, [noop, credit(usd=POISON_USD)])

    assert isinstance(answers[0], Receipt)
    events = [e for block in floor.chain.kept for entry in block.entries for e in entry.events]
    given = [e for e in events if isinstance(e, Credited) and e.source is CreditSource.FAUCET]
    assert len(given) == floor.told.credits == 1


async def test_blocks_reach_the_router_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """A block it has already is no news to it, whoever tells it again."""
    async with open_floor() as floor:
        await submit_all(floor, [credit()])
        router = floor.registry.address("router")
        for block in floor.chain.kept:
            router.tell(BlockCommitted(block))
        await router.ask(CatchUp())

    assert floor.directory.height == 2
    assert floor.generation("router") == 1
