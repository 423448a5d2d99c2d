"""What happens to actors, as events of spans."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.telemetry import Telemetry
from actors.traced_hooks import TracedHooks
from actors.tracing import Tracing
from actors.tracing_tree import EVENT_SPANS_PER_SECOND_MAX
from supervision import (
    Actor,
    AskError,
    Backoff,
    ChildSpec,
    DeadLetter,
    Event,
    Hooks,
    MailboxSpec,
    PoolSpec,
    Report,
    Restart,
    Shed,
    SupervisorFailed,
    SupervisorSpec,
    System,
    open_system,
)

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SAMPLED = f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"
SHORT = Backoff(min_seconds=1, max_seconds=4, jitter=0)


class Counted(Hooks):
    """Hands everything to telemetry, as the program does."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry

    def on_report(self, report: Report) -> None:
        self.telemetry.supervisor_reported(report, report.supervisor or report.child)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        self.telemetry.letter_died(letter)

    def on_shed(self, shed: Shed) -> None:
        self.telemetry.message_shed(shed)


class Heard(Counted, TracedHooks):
    """Likewise, with traces."""

    def __init__(self, telemetry: Telemetry) -> None:
        assert telemetry.tracing is not None
        Counted.__init__(self, telemetry)
        TracedHooks.__init__(self, telemetry.tracing, ())


class Fragile(Actor):
    """Crashes when told to, and does not start as often as it is told."""

    bad_starts = 0

    async def init(self) -> None:
        if Fragile.bad_starts:
            Fragile.bad_starts -= 1
            raise OSError("cannot start yet")

    async def handle(self, message: Any) -> Any:
        match message:
            case "crash":
                raise ValueError("crash")
            case "stay":
                with trio.CancelScope(shield=True):
                    await trio.sleep(60)
            case _:
                pass
        return message


@attrs.define
class Scene:
    """A tree that is traced into memory."""

    telemetry: Telemetry
    exporter: InMemorySpanExporter
    system: System

    def spans(self) -> list[ReadableSpan]:
        """End the traces; return the spans in the order of their ends."""
        self.telemetry.close()
        return list(self.exporter.get_finished_spans())


def child(**options: Any) -> SupervisorSpec:
    options.setdefault("backoff", SHORT)
    intensity = options.pop("intensity", 5)
    spec = ChildSpec("a", Fragile, **options)
    return SupervisorSpec([spec], intensity=intensity, period_seconds=60)


@asynccontextmanager
async def traced(spec: SupervisorSpec) -> AsyncIterator[Scene]:
    exporter = KeptExporter()
    telemetry = Telemetry(Tracing([SimpleSpanProcessor(exporter)]))
    try:
        async with open_system(spec, hooks=Heard(telemetry)) as system:
            yield Scene(telemetry, exporter, system)
    finally:
        telemetry.close()


class KeptExporter(InMemorySpanExporter):
    """Keeps its spans when it is shut down."""

    def shutdown(self) -> None:
        """Do nothing."""


def names(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def only(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    [span] = [span for span in spans if span.name == name]
    return span


async def test_restart_is_one_span_from_the_crash_to_the_next_start(
    autojump_clock: MockClock,
) -> None:
    """Its events tell what failed, why, how often, and how long the wait was."""
    async with traced(child()) as scene:
        Fragile.bad_starts = 1
        scene.system.address("a").tell("crash")
        await trio.sleep(5)
        span = only(scene.spans(), "outage a")

    assert names(span) == [
        "child ended",
        "restart scheduled",
        "start failed",
        "restart scheduled",
        "started",
    ]
    facts = {event.name: dict(event.attributes or {}) for event in span.events}
    assert facts["child ended"]["exception.type"] == "ValueError"
    assert "raise ValueError" in str(facts["child ended"]["exception.stacktrace"])
    assert facts["child ended"]["messages.in_hand"] == ("str",)
    assert facts["start failed"]["exception.type"] == "InitFailed"
    assert "cannot start yet" in str(facts["start failed"]["exception.stacktrace"])
    assert facts["restart scheduled"]["restart.attempt"] == 2
    assert facts["restart scheduled"]["restart.delay_seconds"] == 1
    assert facts["started"]["actor.generation"] == 3
    assert span.status.status_code is StatusCode.UNSET


async def test_outage_that_nobody_ends_is_an_error(autojump_clock: MockClock) -> None:
    """A spent budget breaks the span off, and says so."""
    scenes = []
    with pytest.raises(SupervisorFailed):  # noqa: PT012  # the block is the promise
        async with traced(child(intensity=1)) as scene:
            scenes.append(scene)
            for _ in range(2):
                scene.system.address("a").tell("crash")
            await trio.sleep_forever()
    outages = [span for span in scenes[0].spans() if span.name == "outage a"]

    assert [span.status.status_code for span in outages] == [StatusCode.UNSET, StatusCode.ERROR]
    assert names(outages[1])[-1] == Event.GAVE_UP.value


async def test_spent_budget_of_a_key_is_an_error(autojump_clock: MockClock) -> None:
    """In a pool likewise; the span bears the pool's name, and its attribute the key."""
    pool: PoolSpec[str] = PoolSpec(start=lambda _: Fragile(), intensity=0)
    async with traced(SupervisorSpec([ChildSpec("pool", pool)])) as scene:
        scene.system.pool("pool").address("k").tell("crash")
        await wait_all_tasks_blocked()
        span = only(scene.spans(), "outage pool")

    assert names(span)[-1] == Event.CHILD_FAILED.value
    assert dict(span.attributes or {})["actor.path"] == "pool/k"
    assert span.status.status_code is StatusCode.ERROR


async def test_traced_request_shows_what_became_of_its_message(autojump_clock: MockClock) -> None:
    """A shed and a dead letter are events of the request; a crash is linked to it."""
    async with traced(child(mailbox=MailboxSpec(1))) as scene:
        telemetry, a = scene.telemetry, scene.system.address("a")
        with telemetry.request("order", SAMPLED):
            a.tell("crash")
            a.tell("too many")
        await wait_all_tasks_blocked()
        await scene.system.supervisor().terminate_child("a")
        with telemetry.request("cancel", SAMPLED):
            a.tell("too late")
        spans = scene.spans()

    assert names(only(spans, "order")) == ["shed"]
    assert names(only(spans, "cancel")) == ["dead letter"]
    [link] = only(spans, "outage a").links
    assert link.context.trace_id == TRACE_ID
    order = only(spans, "order").context
    assert order is not None
    assert link.context.span_id == order.span_id


async def test_other_events_are_short_spans(autojump_clock: MockClock) -> None:
    """Starts, stops, overdue ends, sheds and dead letters outside of any request."""
    async with traced(child(mailbox=MailboxSpec(1), restart=Restart.TEMPORARY)) as scene:
        a = scene.system.address("a")
        a.tell("stay")
        a.tell("too many")
        await wait_all_tasks_blocked()
        scene.system.stop()
        await scene.system.wait_stopped()
        a.tell("too late")
        with pytest.raises(AskError):
            await a.ask("too late")
        spans = scene.spans()

    assert [span.name for span in spans] == [
        "event started",
        "event shed",
        "event overdue",
        "event stopped",
        "event dead letter",
        "event dead letter",
    ]
    [overdue] = only(spans, "event overdue").events
    assert "sleep" in str((overdue.attributes or {})["await.frames"])


async def test_flood_of_events_makes_a_bounded_number_of_spans(autojump_clock: MockClock) -> None:
    """What is left out of a second is told by the next span, and counted in the metrics."""
    told = 3 * EVENT_SPANS_PER_SECOND_MAX
    async with traced(child(mailbox=MailboxSpec(1))) as scene:
        a = scene.system.address("a")
        for number in range(told + 1):
            a.tell(number)
        spans = [span for span in scene.spans() if span.name == "event shed"]
        value = scene.telemetry.registry.get_sample_value(
            "zaraba_messages_shed_total", {"actor": "a", "reason": "full"}
        )

    assert value == told
    assert EVENT_SPANS_PER_SECOND_MAX // 2 < len(spans) <= 2 * EVENT_SPANS_PER_SECOND_MAX


async def test_without_traces_events_are_only_counted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is even described, let alone a span made; the counters are the same."""

    def forbidden(*_: object) -> None:
        raise AssertionError("tracing is off")

    for name in ("event_of_report", "event_of_letter", "event_of_shed"):
        monkeypatch.setattr(f"actors.telemetry.{name}", forbidden)
    telemetry = Telemetry()
    spec = child(mailbox=MailboxSpec(1))
    async with open_system(spec, hooks=Counted(telemetry)) as system:
        system.address("a").tell("crash")
        system.address("a").tell("too many")
        await wait_all_tasks_blocked()
        errors = system.registry.services.reporter.errors
    value = telemetry.registry.get_sample_value

    assert errors == 0
    assert telemetry.tracing is None
    assert value("zaraba_dead_letters_total", {"actor": "a", "reason": "in hand"}) == 1
    assert value("zaraba_messages_shed_total", {"actor": "a", "reason": "full"}) == 1
    assert value("zaraba_actor_events_total", {"actor": "a", "event": "started"}) == 2


async def test_heal_is_an_event_of_what_caused_it_or_of_its_own(autojump_clock: MockClock) -> None:
    """With the coins and the block whose books they were given."""
    async with traced(child()) as scene:
        scene.telemetry.healed("source/follower", ["BTC", "ETH"], 7)
        with scene.telemetry.request("compare", SAMPLED):
            scene.telemetry.healed("source/follower", ["SOL"], 8)
        spans = scene.spans()

    [alone] = only(spans, "event healed").events
    assert dict(alone.attributes or {})["coins"] == ("BTC", "ETH")
    assert dict(alone.attributes or {})["block.height"] == 7
    assert names(only(spans, "compare")) == ["healed"]
