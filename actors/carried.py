"""What messages carry for traces: the step in which they were sent.

Everybody who does something worth a place in a trace comes here; nobody but `actors.tracing` knows
how traces are made. `carried` holds the step in whose name the current task works, or None, which
is what it holds almost always: then nothing below makes anything. The mailboxes hand it on.

Names and attributes follow OpenTelemetry's semantic conventions for messaging. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from enum import Enum
from typing import Final, Protocol

from supervision import Envelope

SYSTEM: Final = "zaraba"
HISTORY: Final = {"messaging.destination.name": "history"}
"""What a step says that waits for the file of the past."""
LINKS_MAX: Final = 128
"""Other steps that one step tells of."""

Value = str | bool | int | float | Sequence[str]


class Role(Enum):
    """Which side of a conversation a step is on."""

    INNER = "inner"
    SERVER = "server"
    """It answers somebody outside of the program."""
    CLIENT = "client"
    """It waits for a thing that is no actor, such as a disk."""
    SENDER = "sender"
    RECEIVER = "receiver"


class Step(Protocol):
    """Something that takes time, as part of a trace. Its end must be told once; again is harmless.

    Not for more than one thread.
    """

    @property
    def traceparent(self) -> str:
        """This step as W3C Trace Context writes it, to be stored or sent."""
        ...

    def begin(
        self,
        name: str,
        role: Role = Role.INNER,
        attributes: Mapping[str, Value] | None = None,
        links: Sequence[Step] = (),
    ) -> Step:
        """Begin a step that this one causes, and that others belong to as well."""
        ...

    def begin_apart(
        self, name: str, attributes: Mapping[str, Value], links: Sequence[Step]
    ) -> Step:
        """Begin a step of a trace of its own, linked to ``links``, and they to it."""
        ...

    def describe(self, attributes: Mapping[str, Value]) -> None:
        """Add what is known only now."""
        ...

    def note(self, name: str, attributes: Mapping[str, Value]) -> None:
        """Add something that happened meanwhile."""
        ...

    def end(self, failure: BaseException | str | None = None) -> None:
        """End it, as failed if there is an error or a reason."""
        ...


BeginLinked = Callable[[str, Mapping[str, Value], Sequence[str]], Step]
"""Begins a step of a trace of its own, linked to steps that are known by their ``traceparent``."""

carried: ContextVar[Step | None] = ContextVar("carried", default=None)
"""In whose name the current task works."""

_NOTHING: Final = nullcontext()


@contextmanager
def carrying(step: Step) -> Iterator[None]:
    """Work in the name of a step that somebody else ends."""
    token = carried.set(step)
    try:
        yield
    finally:
        carried.reset(token)


@contextmanager
def within(step: Step) -> Iterator[None]:
    """Work in the name of a step, and end it; with the error, if one goes through."""
    token = carried.set(step)
    try:
        yield
    except BaseException as error:
        step.end(error if isinstance(error, Exception) else None)
        raise
    finally:
        carried.reset(token)
        step.end()


def inside(
    name: str, role: Role = Role.INNER, attributes: Mapping[str, Value] | None = None
) -> AbstractContextManager[None]:
    """Do something as a step of what is carried; of nothing, if nothing is."""
    parent = carried.get()
    return _NOTHING if parent is None else within(parent.begin(name, role, attributes))


def together(steps: Sequence[Step], name: str) -> AbstractContextManager[None]:
    """Do something that several steps caused: of the first, linked to the others."""
    if not steps:
        return _NOTHING
    return within(steps[0].begin(name, links=steps[1:LINKS_MAX]))


# -- messages


def step_of(envelope: Envelope) -> Step | None:
    """Return the step in which a message was sent, if that is traced."""
    # Whoever makes contexts other than steps does not use this module.
    step: Step | None = envelope.context  # type: ignore[assignment]
    return step


def receive(envelope: Envelope, path: str, kind: str, now: float) -> Step:
    """Begin the handling of a message that carries a step.

    Args:
        envelope: the message.
        path: its receiver.
        kind: which of few the receiver is: its pool, or itself.
        now: absolute Trio time.
    """
    sent = step_of(envelope)
    assert sent is not None
    return sent.begin(f"process {kind}", Role.RECEIVER, _facts([envelope], path, kind, now))


def receive_batch(envelopes: Sequence[Envelope], path: str, kind: str, now: float) -> Step:
    """Begin the handling of a batch, given its messages that carry steps.

    It belongs to the first of them and is linked to the others.
    """
    steps = distinct(envelopes)
    attributes = _facts(envelopes, path, kind, now)
    if len(envelopes) > 1:
        attributes["messaging.batch.message_count"] = len(envelopes)
    return steps[0].begin(f"process {kind}", Role.RECEIVER, attributes, steps[1:LINKS_MAX])


def distinct(envelopes: Sequence[Envelope]) -> list[Step]:
    """Return the steps in which messages were sent, each once, in order."""
    steps = (step_of(envelope) for envelope in envelopes)
    return list({id(step): step for step in steps if step is not None}.values())


def _facts(envelopes: Sequence[Envelope], path: str, kind: str, now: float) -> dict[str, Value]:
    first = envelopes[0]
    reply = first.reply
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": kind,
        "actor.path": path,
        "message.type": type(first.message).__name__,
        "message.sender": first.sender,
        "message.sent_at": first.sent_at,
        "message.queue_seconds": max(now - first.sent_at, 0.0),
        "message.is_asked": reply is not None,
        "message.is_forwarded": reply is not None and reply.asked != path,
        "message.attempt": first.attempt,
    }
