"""Wakes a reader of growing files: by inotify where there is any, by a timer everywhere.

A wake-up is a hint and nothing more: the reader looks for itself what there is. So nothing depends
on which events arrive, or whether any do.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import trio

_MODIFY: Final = 0x2
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_NONBLOCK: Final = 0x800
_CLOEXEC: Final = 0x80000
_EVENTS_BYTES: Final = 1 << 16

POLL_SECONDS: Final = 0.05
"""How often a reader looks where nothing wakes it."""
TIMER_SECONDS: Final = 0.25
"""How often it looks all the same where something does; also how often folders are listed."""


class FolderWatch:
    """Tells when something happened in some folders. To be closed.

    ``is_blind`` is true where the system offers no inotify, or no more of it.
    """

    def __init__(self) -> None:
        self._watched: set[Path] = set()
        self._libc = _libc()
        self._descriptor = -1
        if self._libc is not None:
            self._descriptor = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        self.is_blind = self._descriptor < 0

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch folders as well; those that are not there are left out, and may be named again."""
        if self.is_blind or self._libc is None:
            return
        for folder in set(folders) - self._watched:
            mask = _MODIFY | _MOVED_TO | _CREATE
            if self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) >= 0:
                self._watched.add(folder)

    async def wait(self) -> None:
        """Wait until something happened, or for a while."""
        if self.is_blind:
            await trio.sleep(POLL_SECONDS)
            return
        with trio.move_on_after(TIMER_SECONDS):
            await trio.lowlevel.wait_readable(self._descriptor)
        self._drain()

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.is_blind = True

    def _drain(self) -> None:
        try:
            while os.read(self._descriptor, _EVENTS_BYTES):
                pass
        except BlockingIOError:
            pass


def _libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
    return library if hasattr(library, "inotify_init1") else None
