"""A full disk under the real program: orders are refused, nothing is lost, and it comes back.

`tests/program/full_disks.py` tells which kinds of full disk there are and how they differ.
"""

import itertools
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import define, field

from api.entry import NOT_DONE, UNKNOWN
from tests.program.bad_clients import crowd
from tests.program.clients import Trader, Wanted, cloid, open_wire, statuses
from tests.program.full_disks import (
    Ceiling,
    FullDisk,
    NoSmallDiskError,
    limited_command,
    small_disk,
)
from tests.program.harness import START_SECONDS_MAX, Program

pytestmark = pytest.mark.program

USD: Final = 1_000_000
COIN, ASSET, PRICE = "BTC", 0, 50_000
ORDERS: Final = 20
SENDS_MAX: Final = 3_000
REFUSALS_IN_A_ROW: Final = 5
"""So many, one after the other with a rebuild between them, and the disk is really full."""
PAUSE_SECONDS: Final = 0.05
KINDS: Final = ("small disk", "ceiling")


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullDisk]:
    """A disk that can be filled."""
    if request.param == "ceiling":
        if not hasattr(resource, "prlimit"):
            pytest.skip("no limit can be set while a program runs")
        yield Ceiling(tmp_path / "data")
        return
    with ExitStack() as stack:
        try:
            made = stack.enter_context(small_disk(tmp_path / "small"))
        except NoSmallDiskError as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def program(disk: FullDisk) -> Iterator[Program]:
    """An exchange on it, while there is still room."""
    program = disk.program()
    try:
        yield program.start()
    finally:
        program.end()


@define(eq=False)
class Customer:
    """Sends orders that rest, and remembers what each was answered: an id, or the error's text."""

    program: Program
    trader: Trader = field(factory=Trader.fresh)
    told: dict[str, int | str] = field(init=False, factory=dict)
    bodies: dict[str, bytes] = field(init=False, factory=dict)
    _numbers: Iterator[int] = field(init=False, factory=lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        self.program.fund(self.trader.address, USD)

    def place(self) -> int | str:
        """Send one."""
        number = next(self._numbers)
        name = cloid(number)
        price = str(PRICE - number % 10)
        body = self.trader.place(Wanted(ASSET, True, price, "0.001", cloid=name))
        self.bodies[name] = body
        self.told[name] = told = self._send(body)
        return told

    def _send(self, body: bytes) -> int | str:
        answer = self.program.exchange(body)
        if answer["status"] != "ok":
            return str(answer["response"])
        (status,) = statuses(answer)
        return int(status["resting"]["oid"])

    def place_until_refused(self) -> None:
        """Send until the disk is so full that nothing goes any more."""
        refused = 0
        for _ in range(SENDS_MAX):
            if isinstance(self.place(), int):
                refused = 0
                continue
            refused += 1
            if refused == REFUSALS_IN_A_ROW:
                return
            time.sleep(PAUSE_SECONDS)
        raise AssertionError("the disk never became full")

    @property
    def acknowledged(self) -> set[int]:
        """The ids of the orders that were accepted."""
        return {told for told in self.told.values() if isinstance(told, int)}

    @property
    def errors(self) -> set[str]:
        """The texts with which orders were not."""
        return {told for told in self.told.values() if isinstance(told, str)}

    def open_orders(self) -> set[int]:
        """Return the ids of the orders that are open."""
        found = self.program.info("openOrders", user=self.trader.address)
        return {order["oid"] for order in found}

    def check(self) -> None:
        """Hold what was told against what is so: wholly there, or wholly not, and one can ask."""
        for name, told in self.told.items():
            found = self.program.info("orderStatus", user=self.trader.address, oid=name)
            where = f"{name}: told {told}, found {found}"
            if found["status"] == "unknownOid":
                assert isinstance(told, str), f"an acknowledged order is lost: {where}"
                continue
            assert told != NOT_DONE, f"called not executed, and is there: {where}"
            order = found["order"]["order"]
            assert order["origSz"] == "0.001", f"half an order: {where}"
            assert found["order"]["status"] == "open", where
            assert not isinstance(told, int) or order["oid"] == told, where

    def send_again(self) -> None:
        """Send everything that got no id once more: a nonce makes that harmless."""
        for name, told in self.told.items():
            if isinstance(told, str):
                again = self._send(self.bodies[name])
                if isinstance(again, int):
                    self.told[name] = again
                else:
                    assert told == UNKNOWN, f"{told}, and then {again}"
                    assert again.startswith("Invalid nonce: "), again


def wait_ready(program: Program) -> None:
    """Wait until the program that runs is ready again."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not program.is_ready():
        assert time.monotonic() < deadline, f"it does not come back:\n{program.output()[-3_000:]}"
        time.sleep(PAUSE_SECONDS)


async def test_orders_are_refused_and_come_back_with_room(disk: FullDisk, program: Program) -> None:
    """While it is full the program answers, keeps its sessions and loses nothing; then goes on."""
    customer = Customer(program)
    for _ in range(ORDERS):
        customer.place()

    def live_through_it() -> None:
        disk.fill(program)
        customer.place_until_refused()
        assert program.request("GET", "/health/live").status == 200
        ready = program.request("GET", "/health/ready")
        assert (ready.status, "rebuilt" in ready.text) == (503, True)
        assert customer.open_orders() == customer.acknowledged
        assert program.info("l2Book", coin=COIN)["levels"][0]
        assert program.metric("zaraba_chain_lost_total") > 0
        disk.free(program)
        wait_ready(program)

    async with open_wire(program.ws_url) as wire:
        await wire.subscribe("l2Book", coin=COIN)
        await trio.to_thread.run_sync(live_through_it)
        oid = await trio.to_thread.run_sync(customer.place)
        levels = len(customer.acknowledged)
        book = await wire.until(
            "l2Book", lambda data: sum(level["n"] for level in data["levels"][0]) >= levels
        )

    assert isinstance(oid, int)
    assert book["coin"] == COIN
    assert customer.errors <= ({NOT_DONE} if disk.is_real else {NOT_DONE, UNKNOWN})
    customer.check()
    customer.send_again()
    assert customer.open_orders() >= customer.acknowledged
    customer.check()
    assert program.stop() == 0
    check_journal(disk)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_while_the_disk_is_full(
    disk: FullDisk, program: Program, number: signal.Signals
) -> None:
    """In time and with status 0, among stalled clients too; the next start has everything."""
    customer = Customer(program)
    for _ in range(ORDERS):
        customer.place()
    disk.fill(program)
    customer.place_until_refused()
    with crowd(program):
        assert program.request("GET", "/health/live").status == 200

        assert program.stop(number) == 0

    check_journal(disk)
    disk.free(program)
    program.start()
    assert customer.open_orders() >= customer.acknowledged
    customer.check()
    assert isinstance(customer.place(), int)
    assert program.stop() == 0


def test_it_stops_at_the_moment_the_disk_fills_up(disk: FullDisk, program: Program) -> None:
    """The signal may come before the program has noticed anything."""
    customer = Customer(program)
    for _ in range(ORDERS):
        customer.place()
    disk.fill(program)

    assert program.stop(signal.SIGTERM) == 0

    check_journal(disk)
    disk.free(program)
    program.start()
    assert customer.open_orders() == customer.acknowledged


@pytest.mark.parametrize("disk", ["small disk"], indirect=True)  # a ceiling ends with the program
@pytest.mark.parametrize("is_new", [False, True])
def test_a_start_on_a_full_disk_is_refused(disk: FullDisk, *, is_new: bool) -> None:
    """With a status that no service manager answers with a restart; with room it starts."""
    program = disk.program()
    try:
        program.start()
        assert program.stop() == 0
        if is_new:
            for path in program.directory.iterdir():
                path.unlink()
        disk.fill(program)

        program.start(wait=False)
        assert program.wait_ended() == 65, program.output()

        disk.free(program)
        program.start()
        assert isinstance(Customer(program).place(), int)
        assert program.stop() == 0
        check_journal(disk)
    finally:
        program.end()


def test_a_limit_from_the_start(programs: Callable[..., Program], tmp_path: Path) -> None:
    """Where nothing else is possible: the limit is there from the start, and a restart lifts it."""
    limited = programs(command=limited_command(200_000)).start()
    customer = Customer(limited)
    customer.place_until_refused()
    assert len(customer.acknowledged) > ORDERS
    with crowd(limited):
        assert customer.open_orders() == customer.acknowledged
        assert limited.stop(signal.SIGTERM) == 0

    customer.program = programs().start()

    customer.check()
    customer.send_again()
    customer.check()
    assert customer.program.stop() == 0
    check_journal(Ceiling(tmp_path / "data"))


def check_journal(disk: FullDisk) -> None:
    """The journal replays from nothing to the same digests."""
    done = disk.verify()
    assert done.returncode == 0, done.stdout + done.stderr
