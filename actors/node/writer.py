"""Writes the files that a node writes, so that what reads a node's files can be run without one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from attrs import define, field

from model.node.decimals import time_text
from model.node.joiner import NodeBlock
from model.node.lines import Form, Stream, folder_of
from model.node.writing import WRITTEN_ORDER, write_block


@define(eq=False)
class NodeWriter:
    """Appends blocks to the hourly files below a data root, in one form.

    Files are named after the time of writing, in UTC, as a node does. What was written is handed to
    the system with each block; nothing is synced.
    """

    root: Path
    form: Form
    streams: tuple[Stream, ...] = WRITTEN_ORDER
    _open: dict[Stream, tuple[Path, BinaryIO]] = field(init=False, factory=dict)

    def write(self, block: NodeBlock, local_ns: int) -> None:
        """Append a block, written at a time in nanoseconds since 1970."""
        for stream, line in write_block(block, self.form, time_text(local_ns), self.streams):
            self.append(stream, line, local_ns)
        self.flush()

    def append(self, stream: Stream, data: bytes, local_ns: int) -> None:
        """Append bytes to a stream's file of an hour, which need not be a line."""
        path = path_of(self.root, stream, self.form, local_ns)
        known = self._open.get(stream)
        if known is None or known[0] != path:
            if known is not None:
                known[1].close()
            path.parent.mkdir(parents=True, exist_ok=True)
            known = self._open[stream] = (path, path.open("ab"))
        known[1].write(data)

    def flush(self, streams: Iterable[Stream] = WRITTEN_ORDER) -> None:
        """Hand over what was appended."""
        for stream in streams:
            if stream in self._open:
                self._open[stream][1].flush()

    def close(self) -> None:
        """Let go of the files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()


def path_of(root: Path, stream: Stream, form: Form, local_ns: int) -> Path:
    """Return the file of a stream at a time of writing: ``hourly/20260505/9``."""
    text = time_text(local_ns)
    date, hour = text[:10].replace("-", ""), str(int(text[11:13]))
    return root / folder_of(stream, form) / "hourly" / date / hour
