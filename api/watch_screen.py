"""A terminal as a surface to draw lines on, given back as it was.

Plain escape sequences that every terminal of the last decades understands. Only lines that changed
are written, in one write, so nothing flickers.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

import trio
from attrs import define, field

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""Alternate screen, no cursor, no wrapping of long lines."""
LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
SIZE_UNKNOWN: Final = os.terminal_size((80, 24))
_QUIT_KEYS: Final = b"qQ\x03"


@define(eq=False)
class Screen:
    """Draws lists of lines."""

    output: TextIO
    _drawn: list[str] = field(init=False, factory=list)

    def size(self) -> os.terminal_size:
        """Return columns and rows as they are now."""
        try:
            return os.get_terminal_size(self.output.fileno())
        except OSError:
            return SIZE_UNKNOWN

    def draw(self, lines: Sequence[str]) -> None:
        """Make the screen show these lines and nothing else."""
        changes = [] if self._drawn else ["\x1b[2J"]
        for row in range(max(len(lines), len(self._drawn))):
            line = lines[row] if row < len(lines) else ""
            if row >= len(self._drawn) or self._drawn[row] != line:
                changes.append(f"\x1b[{row + 1};1H{line}\x1b[K")
        self._drawn = list(lines)
        if changes:
            self.output.write("".join(changes))
            self.output.flush()

    def forget(self) -> None:
        """Draw everything anew next time: the terminal was resized."""
        self._drawn = []


@contextmanager
def open_screen() -> Iterator[Screen]:
    """Take the terminal for the duration of a block, and give it back whatever happens."""
    with _silent_keys():
        sys.stdout.write(ENTER)
        sys.stdout.flush()
        try:
            yield Screen(sys.stdout)
        finally:
            sys.stdout.write(LEAVE)
            sys.stdout.flush()


@contextmanager
def _silent_keys() -> Iterator[None]:
    """Neither show typed keys nor wait for a whole line of them; Ctrl-C stays a signal."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    silent = termios.tcgetattr(keyboard)
    silent[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def watch_keys(leave: Callable[[], None]) -> None:
    """Call ``leave`` when q is pressed. Without a keyboard, do nothing."""
    if not sys.stdin.isatty():
        return
    while True:
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        typed = os.read(sys.stdin.fileno(), 64)
        if not typed or any(key in _QUIT_KEYS for key in typed):
            leave()
            return
