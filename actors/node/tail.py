"""The files of one stream, read to the end and then as they grow.

A node begins a file each hour, named after its date and hour. Nothing is concluded from a clock or
from a time in a line: what appears in the directory decides. The old file is left when a newer one
has data, the old one gave nothing twice in a row, and either the newer one goes on where the old
one ends or some seconds have passed. For a while after that the old one is still looked at: what is
added then is handed out as late. A file that comes back under a name that was read before, or grows
again, is read as well.

A ``Tail`` blocks on the disk: call it in a worker thread. It holds at most one budget of bytes, and
one line that is not complete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field, frozen

from model.node.lines import HEAD_BYTES, height_of

READ_BYTES: Final = 4 << 20
"""Bytes that are handed out at once."""
CHUNK_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 64 << 20
"""Longest line. The hourly one of funding has more than 20 MB."""
LIST_SECONDS: Final = 0.25
"""How often the directory is listed while nothing comes."""
LINGER_SECONDS: Final = 3.0
"""How long the old file is waited for when the new one does not go on where it ends."""
LATE_SECONDS: Final = 10.0
"""How long the old file is looked at after it was left."""
REWIND_BLOCKS_MAX: Final = 1_000
"""How far a node may have fallen back within a file where a height is looked for."""
_CLOSE_ENOUGH_BYTES: Final = 1 << 20

_TORN: Final = "a file ends in the middle of a line"
_LONG: Final = "a line is too long"
_SHORT: Final = "a file was cut"


@frozen
class Position:
    """The start of a line. ``device`` and ``inode`` tell whether the path is still that file."""

    path: str
    device: int
    inode: int
    offset: int


@frozen
class Trouble:
    """Bytes that are no line, or a file that is not what it was."""

    what: str
    detail: str = ""


@frozen
class LateLine:
    """A line that was added to a file after the next one was begun."""

    data: bytes


Item: TypeAlias = bytes | Trouble | LateLine
"""A line without its newline, or what happened instead."""

Key: TypeAlias = tuple[int, int]
"""Date and hour of a file: names sort as numbers, since hours have one or two digits."""


@define
class _File:
    """A file that is held open."""

    path: Path
    key: Key
    descriptor: int
    identity: tuple[int, int]
    offset: int
    partial: bytearray = field(factory=bytearray)
    is_skipping: bool = False

    def read(self, budget: int) -> Iterator[bytes | Trouble]:
        """Yield the lines that are complete, of at most so many bytes."""
        while budget > 0:
            chunk = os.pread(self.descriptor, min(CHUNK_BYTES, budget), self.offset)
            if not chunk:
                return
            budget -= len(chunk)
            self.offset += len(chunk)
            yield from self._split(chunk)

    def _split(self, chunk: bytes) -> Iterator[bytes | Trouble]:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if self.is_skipping:
                self.is_skipping = False
                continue
            if self.partial:
                self.partial += line
                whole, self.partial = bytes(self.partial), bytearray()
            else:
                whole = line
            if whole:
                yield whole
        if self.is_skipping:
            return
        self.partial += rest
        if len(self.partial) > LINE_BYTES_MAX:
            yield Trouble(_LONG, _shown(self.partial))
            self.partial = bytearray()
            self.is_skipping = True

    def end(self) -> list[Item]:
        """Return the line that was begun and will not be ended, or what is left of it.

        The last line of a file may lack its newline and be whole all the same.
        """
        partial, self.partial = bytes(self.partial), bytearray()
        is_skipping, self.is_skipping = self.is_skipping, False
        if partial.endswith(b"}"):
            return [partial]
        return [Trouble(_TORN, _shown(partial))] if partial or is_skipping else []

    def start_again(self) -> None:
        """Go back to the beginning."""
        self.offset, self.partial, self.is_skipping = 0, bytearray(), False

    def position(self) -> Position:
        """Return where the next line starts."""
        return Position(str(self.path), *self.identity, self.offset - len(self.partial))

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.descriptor)


@define(eq=False)
class Tail:
    """The files of one stream, from a position on; from the oldest file if there is none.

    Args:
        folder: of the stream, which holds ``hourly``; it may come later.
        start: the first line to read; ``None`` for the first of all.
        clock: seconds, monotonic.
    """

    folder: Path
    start: Position | None = None
    clock: Callable[[], float] = time.monotonic
    _file: _File | None = field(init=False, default=None)
    _old: _File | None = field(init=False, default=None)
    _old_until: float = field(init=False, default=0.0)
    _left: dict[Path, tuple[tuple[int, int], int]] = field(init=False, factory=dict)
    _listed_at: float = field(init=False, default=-1e9)
    _empty_reads: int = field(init=False, default=0)
    _newer_since: float | None = field(init=False, default=None)
    _last_height: int | None = field(init=False, default=None)

    def read(self, budget: int = READ_BYTES) -> list[Item]:
        """Return what has come, in order; nothing if there is nothing now."""
        items: list[Item] = []
        self._read_old(items)
        if self._file is None and not self._open_first(items):
            return items
        assert self._file is not None
        found = list(self._file.read(budget))
        items += found
        if found:
            self._empty_reads = 0
            self._note_height(found)
        else:
            self._empty_reads += 1
            self._look_around(items)
        return items

    def rest(self) -> list[Item]:
        """Return what stands at the end without a newline, when nobody will write one any more."""
        return [] if self._file is None else self._file.end()

    def position(self) -> Position | None:
        """Return where the next line starts; ``None`` before the first file."""
        return self.start if self._file is None else self._file.position()

    def close(self) -> None:
        """Let go of all files."""
        for file in (self._file, self._old):
            if file is not None:
                file.close()
        self._file = self._old = None

    # -- which file

    def _open_first(self, items: list[Item]) -> bool:
        files = list_files(self.folder)
        if not files:
            return False
        start, self.start = self.start, None
        if start is not None:
            path = Path(start.path)
            for key, candidate in files:
                if candidate == path:
                    self._open(key, path)
                    self._leave_earlier(files, key)
                    self._resume(start, items)
                    return True
            items.append(Trouble("the file that was read last is gone", start.path))
        key, path = files[0]
        self._open(key, path)
        return True

    def _leave_earlier(self, files: list[tuple[Key, Path]], key: Key) -> None:
        """Take what stands in earlier files as read."""
        for earlier, path in files:
            if earlier < key:
                status = path.stat()
                self._left[path] = ((status.st_dev, status.st_ino), status.st_size)

    def _resume(self, start: Position, items: list[Item]) -> None:
        assert self._file is not None
        same = self._file.identity == (start.device, start.inode)
        if same and start.offset <= os.fstat(self._file.descriptor).st_size:
            self._file.offset = start.offset
        else:
            items.append(Trouble("the file that was read last is another one", start.path))

    def _open(self, key: Key, path: Path, offset: int = 0) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        self._file = _File(path, key, descriptor, (status.st_dev, status.st_ino), offset)
        self._empty_reads, self._newer_since = 0, None

    def _look_around(self, items: list[Item]) -> None:
        """Nothing came: see whether the file is still the one, and whether there is another."""
        now = self.clock()
        if now - self._listed_at < LIST_SECONDS:
            return
        self._listed_at = now
        file = self._file
        assert file is not None
        if self._is_replaced(file, items):
            return
        following = self._following(file)
        if following is None:
            self._newer_since = None
            return
        if self._newer_since is None:
            self._newer_since = now
        has_waited = now - self._newer_since >= LINGER_SECONDS
        if self._empty_reads > 1 and (has_waited or self._goes_on(file, following[1])):
            self._switch(file, following, items)

    def _is_replaced(self, file: _File, items: list[Item]) -> bool:
        """Tell whether the file was cut or stands under its name no more; then read the new one."""
        if os.fstat(file.descriptor).st_size < file.offset:
            items.append(Trouble(_SHORT, str(file.path)))
            file.start_again()
            return True
        try:
            status = file.path.stat()
        except FileNotFoundError:
            return False  # pruned: what is held can be read to its end
        if (status.st_dev, status.st_ino) == file.identity:
            return False
        self._leave(file, items)
        self._open(file.key, file.path)
        return True

    def _following(self, file: _File) -> tuple[Key, Path] | None:
        """Return the next file with something to read: a later one, or an earlier one that grew."""
        earlier = None
        files = list_files(self.folder)
        for path in set(self._left) - {path for _, path in files}:
            del self._left[path]
        for key, path in files:
            if path == file.path:
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            identity, offset = self._left.get(path, (None, 0))
            if identity is not None and identity != (status.st_dev, status.st_ino):
                offset = 0
            if status.st_size <= offset:
                continue
            if key > file.key:
                return key, path
            if self._old is None or self._old.path != path:
                earlier = earlier or (key, path)
        return earlier

    def _goes_on(self, file: _File, following: Path) -> bool:
        """Tell whether a file begins with the block at which ours ends, or the one after it."""
        if file.partial or file.is_skipping or self._last_height is None:
            return False
        height = first_height(following)
        return height is not None and 0 <= height - self._last_height <= 1

    def _switch(self, file: _File, following: tuple[Key, Path], items: list[Item]) -> None:
        items += file.end()
        if self._old is not None:
            self._old.close()
        self._left[file.path] = (file.identity, file.offset)
        self._old, self._old_until = file, self.clock() + LATE_SECONDS
        key, path = following
        identity, offset = self._left.pop(path, (None, 0))
        self._open(key, path, 0)
        assert self._file is not None
        if self._file.identity == identity:
            self._file.offset = offset

    def _leave(self, file: _File, items: list[Item]) -> None:
        items += file.end()
        file.close()

    def _read_old(self, items: list[Item]) -> None:
        old = self._old
        if old is None:
            return
        items += [
            LateLine(item) if isinstance(item, bytes) else item for item in old.read(READ_BYTES)
        ]
        if old.path in self._left:
            self._left[old.path] = (old.identity, old.offset)
        if self.clock() >= self._old_until:
            self._leave(old, items)
            self._old = None

    def _note_height(self, items: list[bytes | Trouble]) -> None:
        for item in reversed(items):
            if isinstance(item, bytes):
                height = height_of(item[:HEAD_BYTES])
                if height is not None:
                    self._last_height = height
                return


def list_files(folder: Path) -> list[tuple[Key, Path]]:
    """Return the files of a stream, oldest first."""
    files = []
    try:
        dates = [entry for entry in (folder / "hourly").iterdir() if entry.name.isdecimal()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    for date in dates:
        try:
            hours = list(date.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue  # pruned meanwhile
        files += [
            ((int(date.name), int(hour.name)), hour) for hour in hours if hour.name.isdecimal()
        ]
    return sorted(files)


def first_height(path: Path) -> int | None:
    """Return the height of a file's first line; ``None`` if it does not show one."""
    try:
        with path.open("rb") as file:
            return height_of(file.read(HEAD_BYTES))
    except FileNotFoundError:
        return None


def locate(folder: Path, height: int) -> Position | None:
    """Return a position that has every line above a height after it; ``None`` without files.

    It is not far before the first of them, where the files are in order.
    """
    files = list_files(folder)
    for _, path in reversed(files):
        first = first_height(path)
        if first is not None and first <= height:
            return _position(path, _offset_of(path, height - REWIND_BLOCKS_MAX))
    return _position(files[0][1], 0) if files else None


def _position(path: Path, offset: int) -> Position:
    status = path.stat()
    return Position(str(path), status.st_dev, status.st_ino, offset)


def _offset_of(path: Path, height: int) -> int:
    """Return the start of a line at or below a height that is near the last such line."""
    with path.open("rb") as file:
        low, high = 0, path.stat().st_size
        while high - low > _CLOSE_ENOUGH_BYTES:
            middle = (low + high) // 2
            file.seek(middle)
            file.readline(LINE_BYTES_MAX)
            start = file.tell()
            found = height_of(file.read(HEAD_BYTES)) if start < high else None
            if found is None or found > height:
                high = middle
            else:
                low = start
    return low


def _shown(data: bytes | bytearray) -> str:
    return bytes(data[:80]).decode("utf-8", "replace")
