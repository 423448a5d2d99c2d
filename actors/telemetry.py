"""What the gateway tells of itself: metrics, and the way to the traces of ``actors.tracing``.

It and `actors.exposition` know Prometheus. Everyone else calls a method of ``Telemetry``, writes
down plain numbers (`actors.measures`) or returns a fact. Labels are markets, routes, actions and
reasons, never accounts, orders or addresses, so the number of series stays bounded whatever clients
do.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from actors.carried import Step, within
from actors.errors import StorageError
from actors.exposition import (
    Actors,
    Exposer,
    Exposition,
    Histograms,
    MarketRow,
    Markets,
    Number,
    rows_of,
)
from actors.measures import Durations, HopClock, ProcessClock
from actors.sequencer import SequencerHooks
from actors.tracing import Tracing
from actors.tree_events import event_of_heal, event_of_letter, event_of_report, event_of_shed
from model.commands import Command
from supervision import DeadLetter, Registry, Report, Shed, UsageMeter

SECONDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
COMMANDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_NOTHING: Final = nullcontext()

log = logging.getLogger("zaraba")


class Telemetry(SequencerHooks):
    """The counters of one process. Give each test its own.

    Args:
        tracing: makes the spans; without it there are none.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.tracing = tracing
        self.registry = CollectorRegistry()
        self.exposer = Exposer(self.registry)
        self.hops = HopClock()
        self.process = ProcessClock()
        self.action_seconds: defaultdict[str, Durations] = defaultdict(Durations)
        self.faucet_credits = 0
        self.chain_is_ready = False
        self._newest = 0
        self._blocks = Counter("zaraba_blocks", "Blocks made durable.", registry=self.registry)
        self._commands = Counter(
            "zaraba_commands", "Commands made durable.", registry=self.registry
        )
        self._block_commands = Histogram(
            "zaraba_block_commands",
            "Commands in a block.",
            buckets=COMMANDS,
            registry=self.registry,
        )
        self._execute = Histogram(
            "zaraba_block_execute_seconds",
            "Time to execute a block.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._commit = Histogram(
            "zaraba_block_commit_seconds",
            "Time to make a block durable.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._height = Gauge("zaraba_height", "Height of the last block.", registry=self.registry)
        self._crashed = Counter(
            "zaraba_commands_crashed",
            "Commands on which the machine broke, by kind.",
            ["kind"],
            registry=self.registry,
        )
        self._chain_lost = Counter(
            "zaraba_chain_lost", "Failed commits and rebuilds.", registry=self.registry
        )
        self._faucet = Gauge(
            "zaraba_faucet_credits", "Newcomers credited so far.", registry=self.registry
        )
        self._faucet_max = Gauge(
            "zaraba_faucet_credits_max", "Newcomers that may be credited.", registry=self.registry
        )
        self._requests = Counter(
            "zaraba_requests",
            "HTTP requests, by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "zaraba_request_seconds",
            "Time from a request's head to its answer's first byte, by route.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._questions = Histogram(
            "zaraba_question_seconds",
            "Time to answer a question, by type.",
            ["type"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._actions = Counter(
            "zaraba_actions",
            "Signed actions, by type and outcome.",
            ["action", "outcome"],
            registry=self.registry,
        )
        self._refused = Counter(
            "zaraba_input_refused",
            "Input that was refused before it became a command, by place and reason.",
            ["place", "reason"],
            registry=self.registry,
        )
        self._restarts = Counter(
            "zaraba_actor_events",
            "Supervisor reports, by kind of actor and event.",
            ["actor", "event"],
            registry=self.registry,
        )
        self._dead_letters = Counter(
            "zaraba_dead_letters",
            "Messages that reached nobody, by kind of actor and reason.",
            ["actor", "reason"],
            registry=self.registry,
        )
        self._sheds = Counter(
            "zaraba_messages_shed",
            "Messages that a mailbox turned away or let go, by kind of actor and reason.",
            ["actor", "reason"],
            registry=self.registry,
        )
        self._action_counts: dict[tuple[str, str], Counter] = {}
        self._request_counts: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._register_measures()

    def _register_measures(self) -> None:
        """Show what is measured in plain numbers."""
        process = self.process
        for name, text, label, read in (
            (
                "zaraba_action_seconds",
                "Time from a signed action's receipt to its answer, by type.",
                "action",
                rows_of(self.action_seconds),
            ),
            (
                "zaraba_hop_seconds",
                "Time from a signed action's receipt to each hop of its way.",
                "hop",
                rows_of(self.hops.hops),
            ),
            (
                "zaraba_loop_pass_seconds",
                "Passes of the event loop: how long what is ready may wait.",
                "",
                lambda: [("", process.loop.passes)],
            ),
            (
                "zaraba_gc_pause_seconds",
                "Pauses of the garbage collector, by generation.",
                "generation",
                lambda: [(str(number), one) for number, one in enumerate(process.pauses)],
            ),
        ):
            self.registry.register(Histograms(name, text, label, read))
        for name, text in (
            ("exported", "Spans that an exporter took."),
            ("dropped", "Spans for which there was no room."),
            ("failed", "Spans that an exporter did not take."),
        ):
            self.watch_total(f"zaraba_spans_{name}", text, partial(getattr, self.tracing, name, 0))

    # -- facts that others report

    def block_committed(
        self, *, commands: int, execute_seconds: float, commit_seconds: float
    ) -> None:
        """A block went through."""
        self._blocks.inc()
        self._commands.inc(commands)
        self._block_commands.observe(commands)
        self._execute.observe(execute_seconds)
        self._commit.observe(commit_seconds)
        self._newest += 1
        self._height.set(self._newest)
        now = trio.current_time()
        self.hops.block_committed(
            self._newest, sequenced_at=now - commit_seconds - execute_seconds, committed_at=now
        )

    def chain_ready(self, *, height: int, faucet_credits: int) -> None:
        """The state stands at a height again, with so many newcomers credited."""
        self.chain_is_ready = True
        self._newest = height
        self._height.set(height)
        self.faucet_credits = faucet_credits
        self._faucet.set(faucet_credits)

    def chain_lost(self, error: BaseException) -> None:
        """A commit or a rebuild failed; the log says how."""
        self.chain_is_ready = False
        self._chain_lost.inc()
        # What a disk refuses explains itself, and is told once a second while it lasts.
        told = None if isinstance(error, StorageError) else error
        log.error("the state is being rebuilt: %s", error, exc_info=told)

    def newcomer_credited(self, *, credits: int, credits_max: int) -> None:
        """The faucet gave; ``credits`` newcomers so far."""
        self.faucet_credits = credits
        self._faucet.set(credits)
        self._faucet_max.set(credits_max)

    def command_crashed(self, command: Command, error: BaseException) -> None:
        """The machine broke on a command; the log says how."""
        self._crashed.labels(type(command).__name__).inc()
        log.error("the machine broke on %r", command, exc_info=error)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request on a known route was answered."""
        counts = self._request_counts.get((route, status))
        if counts is None:
            counts = self._requests.labels(route, str(status)), self._request_seconds.labels(route)
            self._request_counts[route, status] = counts
        counts[0].inc()
        counts[1].observe(seconds)

    def question_answered(self, kind: str, seconds: float) -> None:
        """A question of a known type was answered."""
        self._questions.labels(kind).observe(seconds)

    def action_answered(self, action: str, outcome: str) -> None:
        """A signed action of a known type was answered: ``ok``, ``err`` or ``failed``."""
        # A look-up of labels costs several times as much; both come from small fixed sets.
        count = self._action_counts.get((action, outcome))
        if count is None:
            count = self._action_counts[action, outcome] = self._actions.labels(action, outcome)
        count.inc()

    def action_written(self, action: str, received_at: float, step: Step | None) -> None:
        """The answer to an action left, which was received at a time of Trio's clock."""
        seconds = trio.current_time() - received_at
        self.hops.hops["written"].observe(seconds, step)
        self.action_seconds[action].observe(seconds, step)

    def input_refused(self, place: str, reason: str) -> None:
        """Input was refused; ``place`` and ``reason`` come from small fixed sets."""
        self._refused.labels(place, reason).inc()

    def supervisor_reported(self, report: Report, actor: str) -> None:
        """A supervisor reported; ``actor`` is the kind, not the key."""
        self._restarts.labels(actor, report.event.value).inc()
        if self.tracing is not None:
            self.tracing.note(event_of_report(report, actor))

    def letter_died(self, letter: DeadLetter) -> None:
        """A message reached nobody."""
        self._dead_letters.labels(letter.owner, letter.reason.value).inc()
        if self.tracing is not None:
            self.tracing.note(event_of_letter(letter))

    def message_shed(self, shed: Shed) -> None:
        """A mailbox turned a message away, or let one go."""
        self._sheds.labels(shed.owner, shed.why.value).inc()
        if self.tracing is not None:
            self.tracing.note(event_of_shed(shed))

    def healed(self, path: str, coins: Sequence[str], height: int) -> None:
        """Coins of a node were given the books of a snapshot of a block."""
        if self.tracing is not None:
            self.tracing.note(event_of_heal(path, coins, height))

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def watch_total(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a running total, read when asked for; ``_total`` is added to its name."""
        self.registry.register(Number(name, text, read))

    def watch_actors(self, registry: Registry) -> None:
        """Show how busy the actors of a system are."""
        self.exposer.look = UsageMeter(registry)
        self.registry.register(Actors(self.exposer.look))

    def watch_markets(self, read: Callable[[], Iterable[MarketRow]]) -> None:
        """Show how the markets stand."""
        self.registry.register(Markets(read))

    def faucet_opened(self, credits_max: int) -> None:
        """The faucet will serve so many newcomers."""
        self._faucet_max.set(credits_max)

    # -- what operators read

    async def expose(self, accept: str | None = None) -> Exposition:
        """Return all metrics in a form that a scraper accepts; see `Exposer`."""
        return await self.exposer.expose(accept)

    def begin(
        self, name: str, traceparent: str | None, attributes: Mapping[str, str] | None = None
    ) -> Step | None:
        """Begin a step for what somebody outside wants, if that is to be traced."""
        return None if self.tracing is None else self.tracing.begin(name, traceparent, attributes)

    def request(
        self, name: str, traceparent: str | None, attributes: Mapping[str, str] | None = None
    ) -> AbstractContextManager[None]:
        """Do what somebody outside wants, as a step if that is to be traced."""
        step = self.begin(name, traceparent, attributes)
        return _NOTHING if step is None else within(step)

    def close(self) -> None:
        """Write what is left of the traces; measure no longer."""
        self.process.stop()
        if self.tracing is not None:
            self.tracing.close()
