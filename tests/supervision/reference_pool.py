"""The rules of pools as a machine without tasks: what becomes of each key.

Like the machine for supervisors: starts and stops take no time, a command changes the machine at
once, and `move` lets time pass. Keys know nothing of each other. Written from the tables of
`docs/supervision.md`.
"""

from math import inf

import attrs

from supervision import ExitKind, Restart
from tests.supervision.reference_model import Entry


@attrs.define
class PoolSetup:
    """What all keys have in common."""

    restart: Restart
    intensity: int
    period_seconds: float = 5.0
    backoff_min: float = 0.0
    backoff_max: float = 0.0
    quiet_seconds: float = 0.0


@attrs.define
class ModelKey:
    """One key: ``state`` is idle, running, waiting (to be restarted) or failed."""

    state: str = "idle"
    generation: int = 0
    started_at: float = 0.0
    retry_at: float = inf
    failures: int = 0
    attempts: list[float] = attrs.field(factory=list)


class PoolModel:
    """The machine. Keys that nobody knows are not in ``keys``."""

    def __init__(self, setup: PoolSetup) -> None:
        self.setup = setup
        self.now = 0.0
        self.log: list[Entry] = []
        self.failing: dict[str, int] = {}
        self.keys: dict[str, ModelKey] = {}

    # Commands

    def tell(self, key: str) -> bool:
        """Send a message, which starts whoever is idle; tell whether it will be handled."""
        member = self.keys.setdefault(key, ModelKey())
        if member.state == "idle":
            self._start(key)
        return member.state != "failed"

    def end(self, key: str, kind: ExitKind) -> None:
        """A running actor ends by itself."""
        member = self.keys[key]
        self._ended(key, kind, self.now - member.started_at)

    def stop(self, key: str) -> None:
        """Stop an actor, whatever it does, and forget its key."""
        member = self.keys.pop(key, None)
        if member is not None and member.state == "running":
            self.log.append(("stopped", key, ExitKind.STOPPED))

    def restart(self, key: str) -> str:
        """Start what does not run; earlier failures are forgiven."""
        member = self.keys.get(key)
        if member is None:
            return "UnknownPath"
        if member.state != "running":
            self._forgive(member)
            self._start(key)
        return "ok"

    def renew(self, key: str) -> str:
        """Start anew, whether it runs or not."""
        member = self.keys.get(key)
        if member is None:
            return "UnknownPath"
        if member.state == "running":
            self.log.append(("stopped", key, ExitKind.STOPPED))
        self._forgive(member)
        self._start(key)
        return "ok"

    def move(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while (due := self._next_due()) is not None and self.keys[due].retry_at <= until:
            self.now = self.keys[due].retry_at
            self._start(due)
        self.now = until

    def stop_all(self) -> None:
        """The pool ends: all at once, in the order in which the keys came."""
        for key in list(self.keys):
            self.stop(key)

    # Rules

    def _start(self, key: str) -> None:
        member = self.keys[key]
        member.generation += 1
        member.retry_at = inf
        if self.failing.get(key, 0) > 0:
            self.failing[key] -= 1
            self._ended(key, ExitKind.ABNORMAL, 0.0)
            return
        member.state, member.started_at = "running", self.now
        self.log.append(("started", key, member.generation))

    def _ended(self, key: str, kind: ExitKind, uptime: float) -> None:
        member, restart = self.keys[key], self.setup.restart
        self.log.append(("child ended", key, kind))
        if restart is Restart.PERMANENT or (
            restart is Restart.TRANSIENT and kind is ExitKind.ABNORMAL
        ):
            self._attempt(key, member, uptime)
        elif restart is Restart.TEMPORARY:
            del self.keys[key]
        else:
            member.state = "idle"

    def _attempt(self, key: str, member: ModelKey, uptime: float) -> None:
        setup = self.setup
        oldest = self.now - setup.period_seconds
        member.attempts = [*(at for at in member.attempts if at >= oldest), self.now]
        if len(member.attempts) > setup.intensity:
            self.log.append(("child failed", key))
            member.state = "failed"
            return
        if uptime >= setup.quiet_seconds > 0:
            member.failures = 0
        member.failures += 1
        delay = 0.0
        if member.failures > 1 and setup.backoff_min:
            delay = min(setup.backoff_min * 2.0 ** (member.failures - 2), setup.backoff_max)
        self.log.append(("restart scheduled", key, delay, len(member.attempts)))
        if delay:
            member.state, member.retry_at = "waiting", self.now + delay
        else:
            self._start(key)

    def _forgive(self, member: ModelKey) -> None:
        member.failures = 0
        member.attempts.clear()

    def _next_due(self) -> str | None:
        waiting = [key for key, member in self.keys.items() if member.retry_at < inf]
        return min(waiting, key=lambda key: self.keys[key].retry_at, default=None)
