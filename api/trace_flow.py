"""From spans to a story: who said what to whom, in an order that does not depend on chance.

Trio runs tasks that are ready together in any order, so what happened at the same time is told in
the order in which it was caused: a message is followed by all that came of it. Of the messages of
one step the one that was sent first comes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from heapq import merge
from typing import Any, Final

from attrs import define, field, frozen

from actors.tracing_export import KeptSpan

CLIENT: Final = "client"
EDGE: Final = "edge"
OPERATOR: Final = "operator"


class Kind(Enum):
    """What a line of the story is."""

    CALL = "call"
    REPLY = "reply"
    WORK = "work"
    """Somebody does something alone."""
    NOTE = "note"


@frozen
class Line:
    """One line: ``source`` says ``text`` to ``target``. Times in seconds, None where there is none.

    ``waited`` is the time in a mailbox, ``took`` that in the handler.
    """

    kind: Kind
    source: str
    target: str
    text: str
    waited: float | None = None
    took: float | None = None


@define
class _Teller:
    name_of: Callable[[str], str]
    children: dict[str, list[KeptSpan]]
    linked: dict[str, list[KeptSpan]]
    lines: list[Line] = field(factory=list)
    told: set[str] = field(factory=set)

    def tell(self, span: KeptSpan, who: str, asker: str = CLIENT) -> None:
        """Tell of a span that ``who`` caused, whose own message came from ``asker``."""
        if span.id in self.told:
            return
        self.told.add(span.id)
        facts = span.attributes
        head = span.name.partition(" ")[0]
        if head == "process":
            self._tell_message(span, who, asker)
        elif head == "send":
            channels = ", ".join(dict.fromkeys(_texts(facts["frames.channels"])))
            self._add(Kind.CALL, who, CLIENT, f"frames {channels}", took=span.seconds)
            self._tell_caused(span, who, asker)
        elif head == "outage":
            self._tell_outage(span, asker)
        elif "messaging.destination.name" in facts:
            place = str(facts["messaging.destination.name"])
            self._add(Kind.CALL, who, place, head, took=span.seconds)
            self._add(Kind.REPLY, place, who, _DONE.get(head, "done"))
        elif span.name in _WORK:
            events = ", ".join(_texts(facts.get("block.traced_events", ())))
            told = f"{span.name} ({events})" if events else span.name
            self._add(Kind.WORK, who, who, told, took=span.seconds)
            self._tell_caused(span, who, asker)
        else:  # a step that only holds others together
            self._tell_caused(span, who, asker)

    def tell_request(self, span: KeptSpan) -> None:
        """Tell of what somebody outside wanted, or of what went wrong."""
        self.told.add(span.id)
        if "fault.type" in span.attributes:
            self._tell_caused(span, span.name, span.name)
            return
        kind = span.attributes.get("action.type") or span.attributes.get("command.type") or ""
        is_of_client = "http.route" in span.attributes
        source, edge = (CLIENT, EDGE) if is_of_client else (OPERATOR, EDGE)
        self._add(Kind.CALL, source, edge, f"{span.name} {kind}".strip(), took=span.seconds)
        self._tell_caused(span, edge, source)
        self._add(Kind.REPLY, edge, source, "answer")

    def _tell_message(self, span: KeptSpan, who: str, asker: str) -> None:
        facts = span.attributes
        me = self.name_of(str(facts["actor.path"]))
        waited: Any = facts["message.queue_seconds"]
        text = str(facts["message.type"])
        self._add(Kind.CALL, who, me, text, waited=waited, took=span.seconds)
        failed = [f for name, f in span.events if name == "exception"]
        if failed:
            error = str(failed[0].get("exception.type")).rpartition(".")[2]
            self._add(Kind.NOTE, me, me, f"crashes ({error})")
        self._tell_caused(span, me, who)
        was_handed_on = any(
            child.attributes.get("message.is_forwarded") for child in self.children[span.id]
        )
        if facts["message.is_asked"] and not was_handed_on:
            to = asker if facts["message.is_forwarded"] else who
            self._add(Kind.REPLY, me, to, _ANSWERS.get(text, "answer"))

    def _tell_outage(self, span: KeptSpan, asker: str) -> None:
        me = self.name_of(str(span.attributes["actor.path"]))
        names = [name for name, _ in span.events]
        before = [name for name in names if name != "started"]
        self._add(Kind.NOTE, me, me, ", ".join(before), took=span.seconds)
        self._tell_caused(span, me, asker)
        if "started" in names:
            self._add(Kind.NOTE, me, me, "started")

    def _tell_caused(self, span: KeptSpan, who: str, asker: str) -> None:
        for child in in_order(self.children[span.id]):
            self.tell(child, who, asker)
        for other in sorted(self.linked[span.id], key=lambda one: one.start_ns):
            self.tell(other, who, asker)

    def _add(  # noqa: PLR0917  # as a line is read
        self,
        kind: Kind,
        source: str,
        target: str,
        text: str,
        waited: float | None = None,
        took: float | None = None,
    ) -> None:
        self.lines.append(Line(kind, source, target, text, waited, took))


_WORK: Final = ("execute", "heal")
_DONE: Final = {"commit": "durable", "read": "what was before"}
_ANSWERS: Final = {
    "Submit": "Receipt",
    "ReadMarket": "state at a height",
    "ReadAccount": "state at a height",
}


def tell(spans: Sequence[KeptSpan], name_of: Callable[[str], str]) -> list[Line]:
    """Return the story of what requests caused.

    Args:
        spans: all that there are.
        name_of: how an actor's path is called.
    """
    children: dict[str, list[KeptSpan]] = defaultdict(list)
    linked: dict[str, list[KeptSpan]] = defaultdict(list)
    known = {span.id for span in spans}
    for span in spans:
        if span.parent in known:
            children[span.parent].append(span)
        elif not _is_request(span):
            for link in span.links:
                linked[link].append(span)
    teller = _Teller(name_of, children, linked)
    for span in sorted(spans, key=lambda one: one.start_ns):
        if _is_request(span) and span.id not in teller.told:
            teller.tell_request(span)
    return teller.lines


def _is_request(span: KeptSpan) -> bool:
    return not span.attributes.keys().isdisjoint(("http.route", "command.type", "fault.type"))


def in_order(spans: Iterable[KeptSpan]) -> list[KeptSpan]:
    """Return what one step caused, in the order in which it did.

    Messages are ordered by when they were sent, which their sender knows exactly.
    """
    messages, others = list[KeptSpan](), list[KeptSpan]()
    for span in spans:
        (messages if "message.sent_at" in span.attributes else others).append(span)
    messages.sort(key=lambda span: _number(span, "message.sent_at"))
    others.sort(key=lambda span: span.start_ns)
    return list(merge(messages, others, key=_caused_at))


def _caused_at(span: KeptSpan) -> float:
    return span.start_ns / 1e9 - _number(span, "message.queue_seconds")


def _number(span: KeptSpan, name: str) -> float:
    value: Any = span.attributes.get(name, 0.0)
    return float(value)


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
