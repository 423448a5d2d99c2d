"""What strikes do to a task: raise, delay, jump, and twice in a run."""

from functools import partial

import pytest
import trio

from supervision.faults import (
    Fault,
    SweepError,
    cancel,
    delaying,
    jumping,
    raising,
    run_step,
    sweep,
    sweep_pairs,
)


class BrokenWireError(Exception):
    """What the sweeps raise."""


class Store:
    """Something that must be let go again, and a log of who held it."""

    def __init__(self) -> None:
        self.held = False

    async def use(self, *, safe: bool) -> None:
        self.held = True
        try:
            await trio.sleep(1)
        except BrokenWireError:
            if not safe:
                raise
            self.held = False
            raise
        self.held = False


async def use_store(fault: Fault, *, safe: bool) -> None:
    store = Store()
    with fault:
        await store.use(safe=safe)
    assert not store.held


def test_raise_sweep_finds_a_missing_clean_up() -> None:
    """An exception at an await finds what a failure there would leave behind."""
    with pytest.raises(SweepError, match=r"step 1, in .*Store\.use") as raised:
        sweep(partial(use_store, safe=False), strike=raising(BrokenWireError))

    assert isinstance(raised.value.__cause__, AssertionError)
    assert sweep(partial(use_store, safe=True), strike=raising(BrokenWireError)).cut_short == 1


async def test_block_absorbs_only_what_was_injected() -> None:
    """Errors that were raised from the injected one go with it; any other comes out."""
    fault = Fault()
    fault.injected.append(BrokenWireError())

    with fault:
        raise ExceptionGroup("", [BrokenWireError("translated")]) from fault.injected[0]
    assert fault.caught

    fault = Fault()
    injected = BrokenWireError()
    fault.injected.append(injected)
    mixed = ExceptionGroup("", [injected, BrokenWireError("another")])
    with pytest.RaisesGroup(pytest.RaisesExc(BrokenWireError, match="another")), fault:
        raise mixed
    await trio.lowlevel.checkpoint()


async def use_channel(fault: Fault) -> None:
    """A receiver in trouble takes nothing from the next one, and a lock is never left locked."""
    send, receive = trio.open_memory_channel[int](0)
    lock = trio.Lock()
    async with trio.open_nursery() as nursery:
        with fault:
            async with lock:
                await trio.lowlevel.checkpoint()
            with trio.move_on_after(1):
                await receive.receive()
        nursery.start_soon(send.send, 7)
        with trio.fail_after(1):
            assert await receive.receive() == 7
        assert not lock.locked()


def test_raising_asks_the_operation_to_let_go() -> None:
    """No wake-up goes to a task that was thrown out, and nothing fails after it succeeded."""
    done = sweep(use_channel, strike=raising(BrokenWireError))

    assert done.refused >= 1  # the yield of the lock that was already taken
    assert done.cut_short >= 2


async def use_nursery(fault: Fault) -> None:
    ended = []

    async def child(number: int) -> None:
        try:
            await trio.sleep(number)
        finally:
            ended.append(number)

    with fault:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, 1)
            nursery.start_soon(child, 2)
    assert sorted(ended) == [1, 2] or not fault.steps > 3


def test_raising_in_a_waiting_nursery_ends_its_children() -> None:
    """A nursery takes the exception as one of a child: it ends, and it raises it."""
    done = sweep(use_nursery, strike=raising(BrokenWireError))

    assert any("use_nursery" in site for site in done.sites)
    assert done.cut_short == done.steps


def test_raising_only_where_it_is_wanted() -> None:
    """Steps are counted only at the places that are asked for."""
    done = sweep(use_nursery, strike=raising(BrokenWireError), where=lambda site: "child" in site)

    assert {site.rpartition(".")[2] for site in done.sites} == {"child"}


def test_raising_another_base_exception() -> None:
    """Exceptions that nobody may absorb can be injected as well."""
    assert sweep(use_nursery, strike=raising(KeyboardInterrupt)).cut_short >= 2


async def time_out(fault: Fault) -> None:
    """A promise about time: the answer comes within two seconds, or the caller is told."""
    began = trio.current_time()
    answered = False
    with fault, trio.move_on_after(2):
        await trio.sleep(1)
        answered = True
    assert answered == (trio.current_time() - began < 2)


def test_delay_holds_up_one_task() -> None:
    """A task that is woken late finds the world as it is then; nothing is lost on the way."""
    assert sweep(time_out, strike=delaying(5)).steps == 1
    fault = run_step(time_out, 1, strike=delaying(0.5))
    assert fault.fired
    assert not fault.scope.cancelled_caught


def test_delay_keeps_what_the_task_was_woken_with() -> None:
    """A value that a task received before the delay is the one that it gets after it."""

    async def scenario(fault: Fault) -> None:
        send, receive = trio.open_memory_channel[int](0)
        got = []

        async def take() -> None:
            got.append(await receive.receive())

        with fault:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take)
                await send.send(7)
        assert got == [7]

    assert sweep(scenario, strike=delaying(3)).steps >= 3


def test_jump_lets_a_deadline_pass() -> None:
    """Moving the clock makes deadlines fall due at any step."""

    async def scenario(fault: Fault) -> None:
        with fault, trio.move_on_after(100) as scope:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught == fault.fired

    assert sweep(scenario, strike=jumping(200)).steps == 3


class Ledger:
    """Undoes in two parts; a second failure between them must not leave half."""

    def __init__(self, *, careful: bool) -> None:
        self.parts = 2
        self.careful = careful

    async def use(self) -> None:
        try:
            self.parts = 0
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                self.parts += 1
                try:
                    await trio.sleep(1)
                finally:
                    self.parts += self.careful
            self.parts += not self.careful


def test_second_strike_comes_in_the_aftermath() -> None:
    """Two strikes find what one cannot: a failure during the clean-up after a cancellation."""

    async def scenario(fault: Fault, *, careful: bool) -> None:
        ledger = Ledger(careful=careful)
        with fault:
            await ledger.use()
        assert ledger.parts == 2

    hasty, careful = partial(scenario, careful=False), partial(scenario, careful=True)
    assert sweep(hasty).steps == 2
    with pytest.raises(SweepError, match=r"step 1\+2"):
        sweep_pairs(hasty, first=cancel, second=raising(BrokenWireError))
    assert sweep_pairs(careful, first=cancel, second=raising(BrokenWireError)).steps == 1


def test_sample_strikes_each_place() -> None:
    """A bounded sweep strikes every place once before it strikes any twice."""

    async def scenario(fault: Fault) -> None:
        with fault:
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)

    done = sweep(scenario, runs_max=10, seed=3)

    assert (done.steps, done.total, len(done.sites)) == (10, 51, 2)
    assert "10 of 51 steps struck at 2 of 2 sites" in done.summary()
