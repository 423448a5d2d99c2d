"""What keeps an exchange from starting is said in a sentence, with a status of its own."""

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.program.clients import Trader, Wanted
from tests.program.harness import Program, run_command

pytestmark = pytest.mark.program

ORDERS: Final = 30
EXIT_DATA: Final = 65
EXIT_UNAVAILABLE: Final = 69

Make = Callable[..., Program]


@pytest.fixture
def stopped(programs: Make) -> tuple[Program, list[int]]:
    """An exchange that was stopped in order, and the ids of the orders that rest in it."""
    program = programs().start()
    trader = Trader.fresh()
    program.fund(trader.address, 100_000)
    oids = []
    for number in range(ORDERS):
        answer = program.exchange(trader.place(Wanted(1, True, str(2500 - number), "0.01")))
        (status,) = answer["response"]["data"]["statuses"]
        oids.append(status["resting"]["oid"])
    assert program.stop() == 0
    return program, oids


def blocks(program: Program) -> list[tuple[int, bytes]]:
    """Return height and body of every block in the journal."""
    connection = sqlite3.connect(program.directory / "journal.sqlite")
    try:
        return connection.execute("SELECT height, body FROM blocks ORDER BY height").fetchall()
    finally:
        connection.close()


def damage(program: Program, body: bytes) -> None:
    """Flip one bit in the bytes of a block, wherever in the file they stand."""
    path = program.directory / "journal.sqlite"
    content = bytearray(path.read_bytes())
    at = content.find(body)
    assert at >= 0, "the block is not in one piece in the file"
    content[at + len(body) // 2] ^= 1
    path.write_bytes(content)


def remove_snapshots(program: Program) -> None:
    for path in program.directory.rglob("snapshot*"):
        if path.is_file():
            path.unlink()


def refuses(program: Program) -> tuple[int, str]:
    """Start what must not start; return status and output."""
    program.start(wait=False)
    status = program.wait_ended()
    return status, program.output()


def test_a_damaged_tail_is_cut_and_reported(stopped: tuple[Program, list[int]]) -> None:
    """The block that is damaged at the end is taken out, and all before it is there."""
    program, oids = stopped
    height, body = blocks(program)[-1]
    damage(program, body)

    program.start()

    assert f"{height - 1}" in program.output()
    assert "cut" in program.output().lower()
    book = program.info("l2Book", coin="ETH")
    assert len(book["levels"][0]) == 20
    trader_oids = oids[:-1]
    assert program.info("recentTrades", coin="ETH") == []
    assert program.stop() == 0
    assert run_command("verify", str(program.directory)).returncode == 0
    assert len(blocks(program)) >= len(trader_oids)


def test_damage_in_the_middle_is_refused(stopped: tuple[Program, list[int]]) -> None:
    """A broken middle is named by its height; nothing is served from it, and nothing is changed."""
    program, _ = stopped
    remove_snapshots(program)
    found = blocks(program)
    height, body = found[len(found) // 2]
    damage(program, body)
    before = (program.directory / "journal.sqlite").read_bytes()

    status, output = refuses(program)

    assert status == EXIT_DATA, output
    assert f"block {height}" in output
    assert "Traceback" not in output
    assert (program.directory / "journal.sqlite").read_bytes() == before
    verified = run_command("verify", str(program.directory))
    assert verified.returncode not in (0, 2)
    assert str(height) in verified.stdout + verified.stderr


def test_a_journal_of_something_else(programs: Make, tmp_path: Path) -> None:
    """A file that is no journal is refused as one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite").write_bytes(b"not a database at all " * 500)

    status, output = refuses(programs())

    assert status == EXIT_DATA, output
    assert "journal" in output
    assert "Traceback" not in output


def test_a_second_process_on_the_same_data(programs: Make) -> None:
    """The second one names the first, and the first is not disturbed."""
    first, second = programs().start(), programs()

    status, output = refuses(second)

    assert status == EXIT_UNAVAILABLE, output
    assert f"in use by process {first.process.pid}" in output
    assert "Traceback" not in output
    assert first.is_ready()
    assert first.admin(do="status")["not_ready"] == ""


def test_a_port_that_is_taken(programs: Make) -> None:
    """The address is named, in a sentence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        status, output = refuses(programs("--bind", f"127.0.0.1:{port}"))

    assert status == EXIT_UNAVAILABLE, output
    assert str(port) in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bind", "127.0.0.1:seventy"),
        ("--faucet", "-5"),
        ("--faucet", "lots"),
        ("--config", "/nonexistent/markets.toml"),
        ("--nonsense",),
    ],
)
def test_settings_that_cannot_be(programs: Make, arguments: tuple[str, ...]) -> None:
    """The setting and its value are named; nothing is created."""
    program = programs(*arguments)

    status, output = refuses(program)

    assert status not in (0, -9), output
    assert arguments[-1].removeprefix("/nonexistent/") in output
    assert "Traceback" not in output


def test_a_data_directory_that_is_a_file(programs: Make, tmp_path: Path) -> None:
    """What stands in the way is named."""
    (tmp_path / "data").write_text("I was here first")

    status, output = refuses(programs())

    assert status not in (0, -9)
    assert str(tmp_path / "data") in output
    assert "Traceback" not in output


def test_verify_of_nothing(tmp_path: Path) -> None:
    """There is nothing to verify in an empty or missing directory, and it stays so."""
    for path in (tmp_path, tmp_path / "missing"):
        done = run_command("verify", str(path))
        assert done.returncode not in (0, 2), done.stdout
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def tear(content: bytes) -> bytes:
    """Lose the end, in the middle of what was written last."""
    return content[:-1_000]


def flip(content: bytes) -> bytes:
    """Change one bit of what was written last."""
    return content[:-500] + bytes([content[-500] ^ 1]) + content[-499:]


def overwrite(content: bytes) -> bytes:
    """Find zeros where the last pages were, as after a power cut on some disks."""
    return content[:-8_192] + bytes(8_192)


@pytest.mark.parametrize("spoil", [tear, flip, overwrite])
def test_a_torn_write_ahead_log(programs: Make, spoil: Callable[[bytes], bytes]) -> None:
    """After a kill and damage to what was written last, all but the last orders are there."""
    program = programs().start()
    trader = Trader.fresh()
    program.fund(trader.address, 100_000)
    for number in range(ORDERS):
        order = Wanted(1, True, str(2500 - number), "0.01")
        assert program.exchange(trader.place(order))["status"] == "ok"
    program.kill()
    (log,) = program.directory.glob("journal.sqlite-wal")
    log.write_bytes(spoil(log.read_bytes()))

    program.start()

    oids = sorted(order["oid"] for order in program.info("openOrders", user=trader.address))
    assert oids == list(range(1, len(oids) + 1)), "those that are there have no gap"
    assert len(oids) >= ORDERS - 8
    answer = program.exchange(trader.place(Wanted(1, True, "2400", "0.01")))
    assert answer["response"]["data"]["statuses"][0]["resting"]["oid"] == len(oids) + 1
    assert program.stop() == 0
    assert run_command("verify", str(program.directory)).returncode == 0
