"""A child process appends in a loop and is killed, or runs into the end of its disk space."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.journal import Journal
from actors.mending import examine
from actors.storage import DataDirectory, TailCut

REPOSITORY = Path(__file__).parents[2]
OPENING_SECONDS = 0.006
APPEND = """
import resource
import signal
import sys
from pathlib import Path
from actors.journal import Journal
from actors.storage import StorageError
from model.blocks import GENESIS_DIGEST, seal
from tests.actors.chains import entry

if bytes_max := int(sys.argv[2]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
print("opening", flush=True)
with Journal.open(Path(sys.argv[1])) as journal:
    head = journal.head()
    height, parent = (head.height, head.digest) if head else (0, GENESIS_DIGEST)
    print("from", height, flush=True)
    while True:
        height += 1
        entries = [entry(height + index) for index in range(height * 7 % 50)]
        sealed = seal(height=height, time_ms=height, parent=parent, entries=entries)
        parent = sealed[0].digest
        try:
            journal.append([sealed])
        except StorageError as error:
            print("failed", type(error).__name__, journal.head().height, flush=True)
            break
        print("acknowledged", height, flush=True)
"""


def start(path: Path, bytes_max: int = 0) -> "subprocess.Popen[str]":
    """Start a child; its files may not grow beyond ``bytes_max``, where that is not 0."""
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(path), str(bytes_max)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def read_until(child: "subprocess.Popen[str]", lines: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline() for _ in range(lines)]


def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path, seed: int) -> None:
    """After kill -9 at any moment every acknowledged block is there, and at most one more."""
    rng, last = random.Random(seed), 0
    for _ in range(6):
        child = start(tmp_path)
        _, first = read_until(child, 2)
        lines = read_until(child, rng.randint(1, 60))
        child.kill()
        assert child.stdout is not None
        lines += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        acknowledged = int(lines[-1].split()[1])
        with Journal.open(tmp_path) as journal:
            head = journal.head()
            assert head is not None
            assert all(isinstance(report, TailCut) for report in journal.reports)
            assert [block.height for block in journal.blocks()] == list(range(1, head.height + 1))

        assert first.split() == ["from", str(last)]
        assert acknowledged <= head.height <= acknowledged + 1
        last = head.height


@pytest.mark.parametrize("bytes_max", [60_000, 110_000, 250_000])
def test_a_file_that_cannot_grow_ends_at_its_last_commit(tmp_path: Path, bytes_max: int) -> None:
    """The real refusal of the kernel to write is an error of the journal, and nothing is torn."""
    child = start(tmp_path, bytes_max)
    output, _ = child.communicate()
    _, *acknowledged, failed = output.splitlines()
    found = examine(DataDirectory(tmp_path))

    assert failed.split()[0] == "failed"
    assert failed.split()[1] in {"JournalDiskError", "JournalFullError"}
    assert failed.split()[2] == acknowledged[-1].split()[1]
    assert found.end.height == int(acknowledged[-1].split()[1])
    assert found.flaw is None


def test_a_process_killed_while_it_makes_a_journal_is_followed_by_another(
    tmp_path: Path, seed: int
) -> None:
    """However far the first opening came, the next finds a journal or makes one."""
    rng = random.Random(seed)
    for number in range(12):
        path = tmp_path / str(number)
        child = start(path)
        read_until(child, 1)
        time.sleep(rng.uniform(0, OPENING_SECONDS))
        child.kill()
        child.communicate()
        with Journal.open(path) as journal:
            head = journal.head()
            assert len(list(journal.blocks())) == (head.height if head else 0)
