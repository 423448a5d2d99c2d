"""Blocks in the raw pages of a journal, whatever SQLite's own structures say.

SQLite finds rows by walking a tree and trusts its write-ahead log up to the first frame whose
checksum is wrong. After damage, both hide blocks that stand on the disk unharmed. Here every page
is looked at for itself: if it has the form of a table leaf, its cells are read, their overflow
pages followed, and what decodes to a row whose digest fits is a whole block. The digest makes false
finds impossible, so the parser may be generous.

Source: SQLite documentation, Database File Format, sections 1.6 (b-tree pages), 2.1 (record
format), 4 (write-ahead log).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import Any, Final

from attrs import define, frozen

from actors.journal_file import PAGE_BYTES, Row

_LEAF: Final = 0x0D
_FIRST_PAGE_HEADER_BYTES: Final = 100
_LOCAL_MAX: Final = PAGE_BYTES - 35
_LOCAL_MIN: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
_OVERFLOW_BYTES: Final = PAGE_BYTES - 4
_PAYLOAD_BYTES_MAX: Final = 2**30
_VARINT_BYTES_MAX: Final = 9
_INTEGER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_ZERO, _ONE = 8, 9

_WAL_HEADER: Final = Struct(">IIIIIIII")
_FRAME_HEADER: Final = Struct(">IIIIII")
_FRAME_BYTES: Final = _FRAME_HEADER.size + PAGE_BYTES
_WAL_MAGIC: Final = 0x377F0682
_WORD: Final = 0xFFFFFFFF


@frozen
class Frame:
    """A page image in the log. ``commit_pages`` is not 0 in the last one of a transaction."""

    page_number: int
    commit_pages: int
    page: bytes


@frozen
class WriteAheadLog:
    """A write-ahead log as it is found.

    ``sound`` frames are those that SQLite will use: up to the last commit before any damage.
    ``stray`` ones come after, and belong to the same generation: of a commit that never ended, or
    cut off by damage before them. ``stray_bytes`` counts also a last frame of which only a part is
    there.
    """

    sound: tuple[Frame, ...] = ()
    stray: tuple[Frame, ...] = ()
    stray_bytes: int = 0

    @property
    def claimed(self) -> tuple[Frame, ...]:
        """The stray frames up to the last one that claims to end a transaction."""
        ends = [index for index, frame in enumerate(self.stray, start=1) if frame.commit_pages]
        return self.stray[: ends[-1]] if ends else ()


def read_log(path: Path) -> WriteAheadLog:
    """Read a write-ahead log without changing it; an absent one is empty."""
    content = path.read_bytes() if path.is_file() else b""
    if len(content) < _WAL_HEADER.size:
        return WriteAheadLog()
    magic, _, _, _, *salts, sum_1, sum_2 = _WAL_HEADER.unpack_from(content)
    words = "<" if magic & ~1 == _WAL_MAGIC and magic & 1 == 0 else ">"
    header_sums = _checksum(words, content[:24], (0, 0))
    is_trusted = magic & ~1 == _WAL_MAGIC and header_sums == (sum_1, sum_2)
    frames: list[Frame] = []
    sums, sound, is_chained, stray_bytes = (sum_1, sum_2), 0, is_trusted, 0
    if not is_trusted and len(content) >= _WAL_HEADER.size + 16:
        salts = list(_FRAME_HEADER.unpack_from(content, _WAL_HEADER.size)[2:4])
    for start in range(_WAL_HEADER.size, len(content), _FRAME_BYTES):
        header = content[start : start + _FRAME_HEADER.size].ljust(_FRAME_HEADER.size, b"\0")
        number, commit_pages, salt_1, salt_2, *frame_sums = _FRAME_HEADER.unpack(header)
        is_ours = [salt_1, salt_2] == salts
        page = content[start + _FRAME_HEADER.size : start + _FRAME_BYTES]
        if is_chained:
            sums = _checksum(words, page, _checksum(words, header[:8], sums))
            is_chained = is_ours and len(page) == PAGE_BYTES and list(sums) == frame_sums
        if salt_1 != salts[0] and salt_2 != salts[1]:
            continue  # left over from before the log was last emptied
        is_torn = len(page) < PAGE_BYTES  # it was never synced, so it ends nothing
        frames.append(Frame(number, 0 if is_torn else commit_pages, page))
        if is_chained and commit_pages:
            sound = len(frames)
        stray_bytes += _FRAME_HEADER.size + len(page)
    stray_bytes -= sound * _FRAME_BYTES
    return WriteAheadLog(tuple(frames[:sound]), tuple(frames[sound:]), stray_bytes)


@define
class RawPages:
    """The pages of a journal: the main file, and over it the images of a write-ahead log."""

    _content: mmap | bytes
    _images: dict[int, bytes]

    @classmethod
    @contextmanager
    def open(cls, path: Path, frames: tuple[Frame, ...]) -> Iterator[RawPages]:
        """Take the main file at ``path`` with log frames over it, later ones over earlier ones."""
        images = {frame.page_number: frame.page for frame in frames}
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                yield cls(b"", images)
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                yield cls(content, images)

    def whole_rows(self, above: int, numbers: Iterable[int] | None = None) -> Iterator[Row]:
        """Yield every whole block above a height, in no order, perhaps more than once.

        Args:
            above: the height.
            numbers: look for leaves only in these pages; in all where it is left out.
        """
        for number in range(1, self.count + 1) if numbers is None else numbers:
            yield from self._rows_in(number, self._page(number), above)

    def whole_rows_in(self, above: int, frames: Iterable[Frame]) -> Iterator[Row]:
        """Yield those whose leaf is one of these images, older images of a page included."""
        for frame in frames:
            yield from self._rows_in(frame.page_number, frame.page, above)

    @property
    def count(self) -> int:
        """Number of pages; the highest images and a last, incomplete page count."""
        return max(-(-len(self._content) // PAGE_BYTES), *self._images, 0)

    def _rows_in(self, number: int, page: bytes, above: int) -> Iterator[Row]:
        for offset in _cell_offsets(number, page):
            row = self._row(page, offset, above)
            if row is not None and row.is_whole():
                yield row

    def _page(self, number: int) -> bytes:
        image = self._images.get(number)
        if image is None:
            image = self._content[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]
        return image.ljust(PAGE_BYTES, b"\0")

    def _row(self, page: bytes, offset: int, above: int) -> Row | None:
        size, offset = _varint(page, offset)
        height, offset = _varint(page, offset)
        if height <= above or not 0 < size < _PAYLOAD_BYTES_MAX:
            return None
        local = _local_bytes(size)
        payload = page[offset : offset + local]
        if local < size:
            follows = int.from_bytes(page[offset + local : offset + local + 4], "big")
            payload += self._overflow(follows, size - local)
        return _parse_record(height, payload) if len(payload) == size else None

    def _overflow(self, number: int, size: int) -> bytes:
        parts = []
        while number and size > 0:
            page = self._page(number)
            parts.append(page[4 : 4 + min(size, _OVERFLOW_BYTES)])
            size -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _cell_offsets(number: int, page: bytes) -> Iterator[int]:
    """Yield where the cells of a table leaf begin; nothing for any other page."""
    start = _FIRST_PAGE_HEADER_BYTES if number == 1 else 0
    if len(page) != PAGE_BYTES or page[start] != _LEAF:
        return
    # Neither the count nor any single offset is believed: behind the last offset there are zeros or
    # old offsets, and a damaged one in the middle must not hide those after it.
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for index, at in enumerate(range(start + 8, PAGE_BYTES, 2)):
        offset = int.from_bytes(page[at : at + 2], "big")
        if at < offset < PAGE_BYTES:
            yield offset
        elif index >= count:
            return


def _parse_record(height: int, payload: bytes) -> Row | None:
    """Read a row of the table ``blocks``; ``None`` if it has not the right columns."""
    header_bytes, offset = _varint(payload, 0)
    types: list[int] = []
    while offset < min(header_bytes, len(payload)) and len(types) < len(Row._fields):
        kind, offset = _varint(payload, offset)
        types.append(kind)
    if len(types) != len(Row._fields) or types[0] != 0:
        return None
    offset = header_bytes
    values: list[Any] = []
    for kind in types[1:]:
        size = (kind - 12) // 2 if kind >= 12 and kind % 2 == 0 else _INTEGER_BYTES.get(kind, 0)
        piece = payload[offset : offset + size]
        offset += size
        if kind >= 12:
            values.append(piece)
        else:
            values.append(1 if kind == _ONE else int.from_bytes(piece, "big", signed=True))
    return Row(height, *values)


def _local_bytes(size: int) -> int:
    """Return how much of a payload stands in the leaf itself."""
    if size <= _LOCAL_MAX:
        return size
    spread = _LOCAL_MIN + (size - _LOCAL_MIN) % _OVERFLOW_BYTES
    return spread if spread <= _LOCAL_MAX else _LOCAL_MIN


def _varint(content: bytes, offset: int) -> tuple[int, int]:
    """Read a variable-length integer; return it and where it ends."""
    value = 0
    for index, byte in enumerate(content[offset : offset + _VARINT_BYTES_MAX]):
        if index == _VARINT_BYTES_MAX - 1:
            return value << 8 | byte, offset + _VARINT_BYTES_MAX
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset + index + 1
    return value, offset + _VARINT_BYTES_MAX


def _checksum(words: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    """Continue the checksum of a log over content, in words of that byte order."""
    sum_1, sum_2 = sums
    numbers = Struct(f"{words}{len(content) // 8 * 2}I").unpack_from(content)
    for first, second in zip(numbers[::2], numbers[1::2], strict=True):
        sum_1 = (sum_1 + first + sum_2) & _WORD
        sum_2 = (sum_2 + second + sum_1) & _WORD
    return sum_1, sum_2
