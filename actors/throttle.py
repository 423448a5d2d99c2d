"""Throttles: at most one frame of a kind in an interval, and the last change is always seen."""

from __future__ import annotations

from typing import Final

from attrs import define, field

SLACK_SECONDS: Final = 1e-6
"""This much too early is in time: whoever slept for ``wait_seconds`` may wake the rounding of a
float before the end, and would otherwise sleep for nothing at all, again and again.
"""


@define
class Throttle:
    """Says when something that changed may be shown.

    ``seconds`` is the shortest time between two showings; ``repeat_seconds`` the longest without
    one, changed or not (0 for never). Times are those of any steady clock.
    """

    seconds: float
    repeat_seconds: float = 0.0
    _changed: bool = field(init=False, default=False)
    _shown_at: float = field(init=False, default=float("-inf"))

    def change(self) -> None:
        """Note that there is something new."""
        self._changed = True

    def is_due(self, now: float) -> bool:
        """Tell whether to show it now; the caller does so when this is true."""
        since = now - self._shown_at + SLACK_SECONDS
        due = (self._changed and since >= self.seconds) or 0 < self.repeat_seconds <= since
        if due:
            self._changed, self._shown_at = False, now
        return due

    def wait_seconds(self, now: float) -> float:
        """Return for how long nothing will be due; infinity if nothing is to come."""
        since = now - self._shown_at
        if self._changed:
            return max(0.0, self.seconds - since)
        return max(0.0, self.repeat_seconds - since) if self.repeat_seconds else float("inf")
