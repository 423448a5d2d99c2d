"""What the gateway tells of itself: metrics, and the way to the traces of ``actors.tracing``.

The one module that knows Prometheus. Everyone else calls a method of ``Telemetry`` or returns a
fact. Labels are markets, routes, actions and reasons, never accounts, orders or addresses, so the
number of series stays bounded whatever clients do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

from attrs import frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from actors.carried import Step, within
from actors.errors import StorageError
from actors.sequencer import SequencerHooks
from actors.tracing import Tracing
from actors.tree_events import event_of_letter, event_of_report, event_of_shed
from model.commands import Command
from supervision import DeadLetter, Report, Shed

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

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
        self.faucet_credits = 0
        self.chain_is_ready = False
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

        for name, text in (
            ("exported", "Spans that an exporter took."),
            ("dropped", "Spans for which there was no room."),
            ("failed", "Spans that an exporter did not take."),
        ):
            self.watch_total(f"zaraba_spans_{name}", text, partial(getattr, tracing, name, 0))

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
        self._height.inc()

    def chain_ready(self, *, height: int, faucet_credits: int) -> None:
        """The state stands at a height again, with so many newcomers credited."""
        self.chain_is_ready = True
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
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def question_answered(self, kind: str, seconds: float) -> None:
        """A question of a known type was answered."""
        self._questions.labels(kind).observe(seconds)

    def action_answered(self, action: str, outcome: str) -> None:
        """A signed action of a known type was answered: ``ok``, ``err`` or ``failed``."""
        self._actions.labels(action, outcome).inc()

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

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def watch_total(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a running total, read when asked for; ``_total`` is added to its name."""
        self.registry.register(_Total(name, text, read))

    def faucet_opened(self, credits_max: int) -> None:
        """The faucet will serve so many newcomers."""
        self._faucet_max.set(credits_max)

    # -- what operators read

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format (media type ``CONTENT_TYPE``)."""
        return generate_latest(self.registry)

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
        """Write what is left of the traces."""
        if self.tracing is not None:
            self.tracing.close()


@frozen
class _Total(Collector):
    """A counter that somebody else keeps."""

    name: str
    text: str
    read: Callable[[], float]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Read it now."""
        yield CounterMetricFamily(self.name, self.text, self.read())
