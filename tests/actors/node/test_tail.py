"""The files of one stream as a node writes them, at every awkward moment."""

import os
from pathlib import Path

import pytest
from attrs import define, field

from actors.node import tail as tail_module
from actors.node.tail import LATE_SECONDS, LINGER_SECONDS, LateLine, Position, Tail, Trouble, locate


@define
class Clock:
    """Time that passes when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@define
class Folder:
    """A stream's folder, a reader of it, and what the reader has found."""

    path: Path
    clock: Clock = field(factory=Clock)
    tail: Tail = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tail = Tail(self.path, clock=self.clock)

    def file(self, name: str) -> Path:
        path = self.path / "hourly" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, data: bytes) -> None:
        with self.file(name).open("ab") as file:
            file.write(data)

    def read(self, seconds: float = 0.0) -> list[object]:
        """Let time pass in steps, and return all that comes."""
        found: list[object] = list(self.tail.read())
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += 0.3
            found += self.tail.read()
        return found


def line(height: int) -> bytes:
    """Return a line, of which only the height matters here."""
    return b'{"local_time":"t","block_time":"t","block_number":%d,"events":[]}' % height


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder and its reader."""
    return Folder(tmp_path / "node_fills_by_block")


def test_folder_that_comes_later(folder: Folder) -> None:
    """A reader that is there first waits for the first file."""
    assert folder.read(1) == []

    folder.write("20260505/9", line(1) + b"\n")

    assert folder.read() == [line(1)]


def test_partial_last_line_at_every_byte(folder: Folder) -> None:
    """A line that arrives in two pieces, wherever it is cut, is handed out once and whole."""
    whole = line(1) + b"\n"
    for cut in range(len(whole) + 1):
        folder.write("20260505/9", whole[:cut])
        found = folder.read(1)
        folder.write("20260505/9", whole[cut:])

        assert found + folder.read() == [line(1)]


def test_hours_sort_as_numbers(folder: Folder) -> None:
    """Hour 10 comes after hour 9, and the next day after hour 23."""
    names = ("20260505/9", "20260505/10", "20260505/23", "20260506/0")
    for height, name in enumerate(names, 1):
        folder.write(name, line(height) + b"\n")

    assert folder.read(5) == [line(height) for height in range(1, 5)]


def test_next_hour_that_goes_on_is_read_at_once(folder: Folder) -> None:
    """A new file that begins with the next block leaves nothing to wait for."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.read(1)
    folder.write("20260505/10", line(2) + b"\n")

    assert folder.read(LINGER_SECONDS / 2) == [line(2)]


def test_late_line_in_the_old_file_comes_first(folder: Folder) -> None:
    """A block that is missing between two files is waited for, and applied in its order."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.read(1)
    folder.write("20260505/10", line(3) + b"\n")
    found = folder.read(1)
    folder.write("20260505/9", line(2) + b"\n")

    assert found + folder.read(1) == [line(2), line(3)]


def test_very_late_line_is_told_as_such(folder: Folder) -> None:
    """What is added to the old file after the new one was begun is handed out as late."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.write("20260505/10", line(3) + b"\n")
    assert folder.read(LINGER_SECONDS + 2) == [line(1), line(3)]

    folder.write("20260505/9", line(2) + b"\n")

    assert folder.read() == [LateLine(line(2))]


def test_old_file_that_grows_much_later_is_read(folder: Folder) -> None:
    """Files are not named by a clock that could be trusted: one that grows again is read again."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.write("20260505/10", line(2) + b"\n")
    folder.read(LINGER_SECONDS + LATE_SECONDS + 1)
    folder.write("20260505/9", line(3) + b"\n")

    assert folder.read(2 * LINGER_SECONDS) == [line(3)]


def test_torn_line_at_the_end_of_an_hour(folder: Folder) -> None:
    """A file that ends within a line is trouble, told between the lines it stands between."""
    folder.write("20260505/9", line(1) + b"\n" + line(2)[:20])
    folder.write("20260505/10", line(2) + b"\n")

    first, torn, second = folder.read(2 * LINGER_SECONDS)

    assert (first, second) == (line(1), line(2))
    assert isinstance(torn, Trouble)


def test_last_line_of_an_hour_without_its_newline(folder: Folder) -> None:
    """A file that ends with a whole line but no newline has lost nothing."""
    folder.write("20260505/9", line(1) + b"\n" + line(2))
    folder.write("20260505/10", line(3) + b"\n")

    assert folder.read(2 * LINGER_SECONDS) == [line(1), line(2), line(3)]


def test_new_inode_under_the_same_name(folder: Folder) -> None:
    """A file that is replaced is read to its end, and the new one from its beginning."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.read()
    folder.write("20260505/9", line(2) + b"\n")
    folder.file("20260505/9").rename(folder.path / "aside")
    folder.write("20260505/9", line(3) + b"\n")

    assert folder.read(1) == [line(2), line(3)]


def test_file_that_is_pruned_while_it_is_held(folder: Folder) -> None:
    """A file that is deleted is read to its end, and the next hour after it."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.read()
    folder.write("20260505/9", line(2) + b"\n")
    folder.file("20260505/9").unlink()
    found = folder.read(1)
    folder.write("20260505/10", line(3) + b"\n")

    assert found + folder.read(1) == [line(2), line(3)]


def test_file_that_was_cut(folder: Folder) -> None:
    """A file that is shorter than what was read of it is read again, and told of."""
    folder.write("20260505/9", line(1) + b"\n" + line(2) + b"\n")
    folder.read()
    os.truncate(folder.file("20260505/9"), 0)
    folder.write("20260505/9", line(1) + b"\n")

    trouble, again = folder.read(1)

    assert isinstance(trouble, Trouble)
    assert again == line(1)


def test_long_line(folder: Folder) -> None:
    """A line of 25 MB is a line like any other, and no read takes more than its budget."""
    long = b"x" * (25 << 20)
    folder.write("20260505/9", line(1) + b"\n" + long + b"\n" + line(2) + b"\n")

    reads = [folder.tail.read() for _ in range(10)]

    assert [item for items in reads for item in items] == [line(1), long, line(2)]


def test_line_without_an_end(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line longer than any is dropped, told of, and does not fill the memory."""
    monkeypatch.setattr(tail_module, "LINE_BYTES_MAX", 1_000)
    monkeypatch.setattr(tail_module, "CHUNK_BYTES", 100)
    folder.write("20260505/9", b"x" * 5_000 + b"\n" + line(2) + b"\n")

    trouble, following = folder.read()

    assert isinstance(trouble, Trouble)
    assert following == line(2)


def test_resumption_where_another_reader_stopped(folder: Folder) -> None:
    """A stored position is the start of the first line that was not handed out."""
    folder.write("20260505/9", line(1) + b"\n" + line(2)[:10])
    folder.read()
    position = folder.tail.position()
    folder.write("20260505/9", line(2)[10:] + b"\n")

    assert Tail(folder.path, position).read() == [line(2)]


@pytest.mark.parametrize("change", ["gone", "replaced"])
def test_stored_position_that_is_no_more(folder: Folder, change: str) -> None:
    """If the file was pruned or replaced meanwhile, that is told, and what is there is read."""
    folder.write("20260505/9", line(1) + b"\n")
    folder.read()
    position = folder.tail.position()
    folder.file("20260505/9").rename(folder.path / "aside")
    folder.write("20260505/9" if change == "replaced" else "20260505/12", line(9) + b"\n")

    trouble, following = Tail(folder.path, position).read()

    assert isinstance(trouble, Trouble)
    assert following == line(9)


def test_height_is_found_in_the_right_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for a height skips what is far below it, and nothing above it."""
    monkeypatch.setattr(tail_module, "_CLOSE_ENOUGH_BYTES", 1_000)
    monkeypatch.setattr(tail_module, "REWIND_BLOCKS_MAX", 10)
    for name, start in (("20260505/9", 1), ("20260505/10", 1_001), ("20260505/11", 2_001)):
        folder.write(name, b"".join(line(start + at) + b"\n" for at in range(1_000)))

    position = locate(folder.path, 1_500)

    assert isinstance(position, Position)
    assert position.path.endswith("20260505/10")
    assert position.offset > 0
    found = Tail(folder.path, position, clock=Clock()).read()
    assert line(1_501) in found
    assert line(1_400) not in found


def test_height_before_all_files(folder: Folder) -> None:
    """A height that was pruned is looked for from the oldest line that there is."""
    folder.write("20260505/9", line(100) + b"\n")

    position = locate(folder.path, 5)

    assert position is not None
    assert position.offset == 0
    assert locate(folder.path.with_name("nowhere"), 5) is None
