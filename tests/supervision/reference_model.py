"""The rules of restarting, once more, as a machine without tasks: what one supervisor must do.

Starts and stops take no time here. A command changes the machine at once; `move` lets time pass,
and restarts that fall due happen at their time. Everything that a supervisor would report stands in
``log``, in its order. Written from the rules of Erlang/OTP's supervisor and the tables of
`docs/supervision.md`, not from the code that it is compared with.
"""

from math import inf

import attrs

from supervision import AutoShutdown, Budget, ExitKind, Restart, Strategy

Entry = tuple[object, ...]


@attrs.define
class Setup:
    """A supervisor and its children, by id in the order of their start.

    ``significant`` names children whose own end counts for ``auto_shutdown``, also if they are
    added later.
    """

    strategy: Strategy
    children: dict[str, Restart]
    intensity: int
    budget: Budget = Budget.SHARED
    period_seconds: float = 5.0
    backoff_min: float = 0.0
    backoff_max: float = 0.0
    quiet_seconds: float = 0.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    significant: frozenset[str] = frozenset()

    def counts(self, id: str, restart: Restart) -> bool:
        """Return whether a child with this id and restart type is significant."""
        return id in self.significant and restart is not Restart.PERMANENT


@attrs.define
class ModelChild:
    """One child: ``state`` is running, waiting (to be restarted), held (waiting in the group of
    another), stopped or failed.
    """

    restart: Restart
    state: str = "stopped"
    generation: int = 0
    started_at: float = 0.0
    retry_at: float = inf
    failures: int = 0
    attempts: list[float] = attrs.field(factory=list)


class Model:
    """The machine."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.now = 0.0
        self.log: list[Entry] = []
        self.ended = False
        self.failing: dict[str, int] = {}
        self.children = {id: ModelChild(restart) for id, restart in setup.children.items()}
        self._attempts: list[float] = []
        for id in self.children:
            self._start(id)

    # Commands

    def end(self, id: str, kind: ExitKind) -> None:
        """A running child ends by itself."""
        child = self.children[id]
        child.state = "stopped"
        self.log.append(("child ended", id, kind))
        if child.restart is Restart.PERMANENT or (
            child.restart is Restart.TRANSIENT and kind is ExitKind.ABNORMAL
        ):
            self._attempt(id, self.now - child.started_at)
        else:
            if child.restart is Restart.TEMPORARY:
                del self.children[id]
            self._ended_for_good(id, child)
        self._run_due()

    def start_child(self, id: str, restart: Restart) -> str:
        """Add a child."""
        if id in self.children:
            running = self.children[id].state == "running"
            return "AlreadyStarted" if running else "AlreadyPresent"
        self.children[id] = ModelChild(restart)
        if self._start(id):
            return "ok"
        del self.children[id]
        return "InitFailed"

    def terminate_child(self, id: str) -> str:
        """Stop a child, or call its restart off; the rest of a group that waited stays down."""
        if id not in self.children:
            return "NotFound"
        self._call_off(id)
        self._stop(id)
        if self.children[id].restart is Restart.TEMPORARY:
            del self.children[id]
        return "ok"

    def restart_child(self, id: str) -> str:
        """Start a child by hand; if it was waiting, its group goes with it."""
        child = self.children.get(id)
        if child is None:
            return "NotFound"
        if child.state == "running":
            return "StillRunning"
        self._forgive(child)
        waited = child.state == "waiting"
        child.retry_at = inf
        if not self._start(id):
            self._call_off(id, waited=waited)
            child.state = "stopped"
            return "InitFailed"
        if waited:
            self._start_group(id)
            self._run_due()
        return "ok"

    def delete_child(self, id: str) -> str:
        """Forget a child that does not run."""
        child = self.children.get(id)
        if child is None:
            return "NotFound"
        if child.state == "running":
            return "StillRunning"
        self._call_off(id)
        del self.children[id]
        return "ok"

    def renew_child(self, id: str) -> str:
        """Stop a child with its group, last first, and start them; nobody is blamed."""
        child = self.children.get(id)
        if child is None:
            return "NotFound"
        self._forgive(child)
        for other in reversed(self.group(id)):
            self._stop(other)
            if other != id and self.children[other].restart is Restart.TEMPORARY:
                del self.children[other]
        self._start_group(id)
        self._run_due()
        return "ok"

    def move(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while not self.ended and (due := self._next_due()) is not None and due <= until:
            self.now = due
            self._run_due()
        self.now = until

    def stop(self) -> None:
        """Stop all children, the last first."""
        for id in reversed(self.children):
            self._stop(id)
        self.ended = True

    # Rules

    def group(self, id: str) -> list[str]:
        """Return who is restarted with a child, itself included, in order."""
        order = list(self.children)
        match self.setup.strategy:
            case Strategy.ONE_FOR_ONE:
                return [id]
            case Strategy.REST_FOR_ONE:
                return order[order.index(id) :]
            case Strategy.ONE_FOR_ALL:
                return order

    def _forgive(self, child: ModelChild) -> None:
        child.failures = 0
        if self.setup.budget is Budget.PER_CHILD:
            child.attempts.clear()

    def _ended_for_good(self, id: str, child: ModelChild) -> None:
        """The first significant child that ended by itself, or the last active one, ends all."""
        setup = self.setup
        if not setup.counts(id, child.restart):
            return
        active = [
            other
            for other, sibling in self.children.items()
            if setup.counts(other, sibling.restart)
            and sibling.state in ("running", "waiting", "held")
        ]
        if setup.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT and active:
            return
        self.log.append(("auto shutdown", id))
        self.stop()

    def _start(self, id: str) -> bool:
        child = self.children[id]
        child.generation += 1
        child.retry_at = inf
        if self.failing.get(id, 0) > 0:
            self.failing[id] -= 1
            self.log.append(("start failed", id, child.generation))
            return False
        child.state, child.started_at = "running", self.now
        self.log.append(("started", id, child.generation))
        return True

    def _stop(self, id: str) -> None:
        child = self.children[id]
        if child.state == "running":
            self.log.append(("stopped", id, ExitKind.STOPPED))
        child.state, child.retry_at = "stopped", inf

    def _attempt(self, id: str, uptime: float) -> None:
        """Charge one attempt: give up, or stop the group and let it wait."""
        child, setup = self.children[id], self.setup
        shared = setup.budget is Budget.SHARED
        attempts = self._attempts if shared else child.attempts
        attempts[:] = [at for at in attempts if at >= self.now - setup.period_seconds]
        attempts.append(self.now)
        if len(attempts) > setup.intensity:
            self.log.append(("gave up" if shared else "child failed", id))
            child.state = "failed"
            if shared:
                self.stop()
            else:
                self._ended_for_good(id, child)
            return
        if uptime >= setup.quiet_seconds > 0:
            child.failures = 0
        child.failures += 1
        delay = 0.0
        if child.failures > 1 and setup.backoff_min:
            delay = min(setup.backoff_min * 2.0 ** (child.failures - 2), setup.backoff_max)
        self.log.append(("restart scheduled", id, delay, len(attempts)))
        retry_at = self.now + delay
        for other in reversed(self.group(id)):
            sibling = self.children[other]
            if other == id:
                continue
            if sibling.state == "waiting":
                retry_at = max(retry_at, sibling.retry_at)
            self._stop(other)
            if sibling.restart is Restart.TEMPORARY:
                del self.children[other]
            else:
                sibling.state = "held"
        child.state, child.retry_at = "waiting", retry_at

    def _call_off(self, id: str, *, waited: bool | None = None) -> None:
        """Nobody restarts the group that waited for this child."""
        if self.children[id].state == "waiting" if waited is None else waited:
            for other in self.group(id):
                if self.children[other].state == "held":
                    self.children[other].state = "stopped"

    def _next_due(self) -> float | None:
        return min(
            (c.retry_at for c in self.children.values() if c.state == "waiting"), default=None
        )

    def _run_due(self) -> None:
        while not self.ended and (due := self._next_due()) is not None and due <= self.now:
            self._start_group(next(id for id, c in self.children.items() if c.retry_at == due))

    def _start_group(self, id: str) -> None:
        for member in self.group(id):
            child = self.children[member]
            if child.state == "running" or self._start(member):
                continue
            if child.restart is Restart.TEMPORARY:
                del self.children[member]
                self._ended_for_good(member, child)
                if self.ended:
                    return
                continue
            self._attempt(member, 0.0)
            return
