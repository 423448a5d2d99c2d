"""What the tree of actors tells, as events for traces: names, attributes, and where outages begin.

Pure: `Telemetry` makes counters and spans of it. An *outage* of an actor reaches from the failure
that ended one incarnation to the start of the next, or to the decision that there is none.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from attrs import frozen

from supervision import DeadLetter, Event, ExitKind, Report, Restart, Shed

DEAD_LETTER: Final = "dead letter"
SHED: Final = "shed"
HEALED: Final = "healed"
HEALED_COINS_MAX: Final = 100
"""How many coins such an event names."""
STACK_CHARACTERS_MAX: Final = 8_000
"""Of a traceback in an event, from its end, where the failure is."""

Value = str | int | float | tuple[str, ...]


class Outage(Enum):
    """What an event means for the outage of its actor."""

    UNTOUCHED = "untouched"
    BEGINS = "begins"
    """Or goes on, if there is one."""
    ENDS = "ends"
    BROKEN_OFF = "broken off"
    """It ends, and nobody starts the actor again."""


@frozen(kw_only=True)
class TreeEvent:
    """One thing that happened to one actor.

    Attributes:
        name: what happened, from a small fixed set.
        actor: the actor's kind, for counters: its pool, or its path.
        path: the actor.
        why: for a dead letter or a shed, the reason, from a small fixed set.
        attributes: what there is to know, by name; times in seconds.
        contexts: what the messages concerned carried.
    """

    name: str
    actor: str
    path: str
    why: str = ""
    attributes: Mapping[str, Value]
    contexts: tuple[object, ...] = ()
    outage: Outage = Outage.UNTOUCHED


def event_of_report(report: Report, actor: str) -> TreeEvent:
    """Return the event of a supervisor's report."""
    facts: dict[str, Value] = {
        "actor.path": report.child,
        "actor.generation": report.generation,
        "supervisor.path": report.supervisor,
        "restart.type": "" if report.restart is None else report.restart.value,
        "exit.kind": "" if report.kind is None else report.kind.value,
        "reason": report.reason,
        "mailbox.depth": report.depth,
        "mailbox.control_depth": report.control_depth,
        "messages.in_hand": report.in_hand,
        "await.frames": report.frames,
    }
    if report.uptime:
        facts["uptime_seconds"] = report.uptime
    if report.attempt:
        facts["restart.attempt"] = report.attempt
        facts["restart.intensity"] = report.intensity
        facts["restart.period_seconds"] = report.period_seconds
        facts["restart.delay_seconds"] = report.delay
    return TreeEvent(
        name=report.event.value,
        actor=actor,
        path=report.child,
        attributes=_said(facts) | _exception(report.cause),
        contexts=report.contexts,
        outage=_outage(report),
    )


def event_of_letter(letter: DeadLetter) -> TreeEvent:
    """Return the event of a message that reached nobody."""
    facts: dict[str, Value] = {
        "actor.path": letter.path,
        "reason": letter.reason.value,
        "message.type": type(letter.message).__name__,
        "message.sender": letter.sender,
        "message.attempt": letter.attempt,
    }
    return TreeEvent(
        name=DEAD_LETTER,
        actor=letter.owner,
        path=letter.path,
        why=letter.reason.value,
        attributes=_said(facts) | _exception(letter.cause),
        contexts=() if letter.context is None else (letter.context,),
    )


def event_of_shed(shed: Shed) -> TreeEvent:
    """Return the event of a message that a mailbox shed."""
    facts: dict[str, Value] = {
        "actor.path": shed.path,
        "reason": shed.why.value,
        "message.type": type(shed.message).__name__,
        "message.sender": shed.sender,
        "mailbox.depth": shed.depth,
    }
    return TreeEvent(
        name=SHED,
        actor=shed.owner,
        path=shed.path,
        why=shed.why.value,
        attributes=_said(facts),
        contexts=() if shed.context is None else (shed.context,),
    )


def event_of_heal(path: str, coins: Sequence[str], height: int) -> TreeEvent:
    """Return the event of books that were replaced by those of a snapshot of a block."""
    return TreeEvent(
        name=HEALED,
        actor=path,
        path=path,
        attributes={
            "actor.path": path,
            "coins": tuple(coins[:HEALED_COINS_MAX]),
            "coins.count": len(coins),
            "block.height": height,
        },
    )


def _outage(report: Report) -> Outage:
    match report.event:
        case Event.START_FAILED | Event.RESTART_SCHEDULED:
            return Outage.BEGINS
        case Event.CHILD_ENDED if report.kind is ExitKind.ABNORMAL:
            is_final = report.restart is Restart.TEMPORARY
            return Outage.BROKEN_OFF if is_final else Outage.BEGINS
        case Event.STARTED:
            return Outage.ENDS
        case (
            Event.CHILD_ENDED
            | Event.CHILD_FAILED
            | Event.GAVE_UP
            | Event.STOPPED
            | Event.SHUTDOWN_ERROR
        ):
            return Outage.BROKEN_OFF
        case _:
            return Outage.UNTOUCHED


def _said(facts: dict[str, Value]) -> dict[str, Value]:
    """Leave out what has nothing to say."""
    return {name: value for name, value in facts.items() if value not in ("", ())}


def _exception(error: BaseException | None) -> dict[str, Value]:
    if error is None:
        return {}
    stack = "".join(traceback.format_exception(error))
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": str(error),
        "exception.stacktrace": stack[-STACK_CHARACTERS_MAX:],
    }
