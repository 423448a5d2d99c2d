"""What published clients did here, written down while the tests run.

A client's object is wrapped so that each call of a public method is noted, and what it sends is
noted where its own library lets one look. A test's outcome then judges all that was noted during
it. `page.py` makes docs/compatibility.md of the result; nothing is entered by hand.
"""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, Final

from attrs import Factory, define, frozen

Wire = tuple[str, str]
"""The kind of a request (``info``, ``action``, ``channel``) and its type."""

INFO: Final = "info"
ACTION: Final = "action"
CHANNEL: Final = "channel"

NOT_OFFERED: Final = "is not offered on this exchange."
UNPROCESSABLE: Final = 422


_running: ContextVar[tuple["Row", ...]] = ContextVar("running", default=())
"""The calls that are under way here: a request belongs to those of its own task only."""


class Result(IntEnum):
    """How a call went; of several tests the highest counts, but a failure is never hidden."""

    NOT_YET = 0
    REFUSED = 1
    GREEN = 2
    FAILED = 3


@frozen(order=True)
class Row:
    """One line of the page: a client, and a call of it in the client's own words."""

    client: str
    call: str


@define
class Verdict:
    """What all tests together say about a row, and what the call sent."""

    result: Result = Result.NOT_YET
    reason: str = ""
    wires: set[Wire] = Factory(set)

    def add(self, result: Result, reason: str) -> None:
        """Take in the outcome of one more test."""
        if result >= self.result:
            self.result, self.reason = result, reason


@define
class Notes:
    """What one test did."""

    calls: dict[Row, set[Wire]] = Factory(lambda: defaultdict(set))
    raised: set[Row] = Factory(set)
    wires: dict[Wire, set[str]] = Factory(lambda: defaultdict(set))
    refused: set[Wire] = Factory(set)


@define
class Recorder:
    """The notes of a session."""

    rows: dict[Row, Verdict] = Factory(lambda: defaultdict(Verdict))
    wires: dict[Wire, dict[str, Result]] = Factory(lambda: defaultdict(dict))
    failures: int = 0
    _notes: Notes = Factory(Notes)

    # -- while a test runs ---------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the notes of a test."""
        self._notes = Notes()

    def note_call(self, client: str, call: str, *wires: Wire) -> Row:
        """Note that a client's user does something, and what that sends if it is known."""
        row = Row(client, call)
        self._notes.calls.setdefault(row, set()).update(wires)
        return row

    @contextmanager
    def calling(self, client: str, call: str) -> Iterator[None]:
        """Note a call for the length of a block, with what it sends and whether it raises."""
        row = self.note_call(client, call)
        token = _running.set((*_running.get(), row))
        try:
            yield
        except Exception:
            self._notes.raised.add(row)
            raise
        finally:
            _running.reset(token)

    def note_wire(self, client: str, wire: Wire, *, refused: bool = False) -> None:
        """Note what a client sent, and whether the answer was that there is no such thing."""
        self._notes.wires[wire].add(client)
        for row in _running.get():
            if row.client == client:
                self._notes.calls[row].add(wire)
        if refused:
            self._notes.refused.add(wire)

    def note_exchange(self, client: str, body: object, status: int, answer: str) -> None:
        """Note an HTTP request by its body, and how it was answered."""
        wire = wire_of(body)
        if wire is not None:
            refused = status == UNPROCESSABLE or NOT_OFFERED in answer
            self.note_wire(client, wire, refused=refused)

    def note_refusal(self) -> None:
        """Note that what was called so far was refused, for clients that raise nothing."""
        self._notes.raised |= self._notes.calls.keys()

    def sent(self) -> set[Wire]:
        """Return what was sent so far in this test."""
        return set(self._notes.wires)

    def watch(self, client: str, subject: Any, name_of: Callable[[str], str] = str) -> Any:
        """Wrap a client's object: its public methods are noted, and otherwise as they are."""
        return _Watched(self, client, subject, name_of)

    # -- when it ended -------------------------------------------------------------------------

    def end(self, result: Result, reason: str = "") -> None:
        """Judge what the test did.

        In a test that explains refusals (its result is REFUSED) only the calls that raised and the
        requests that were refused are; what else it did worked.
        """
        notes, self._notes = self._notes, Notes()
        self.failures += result is Result.FAILED
        for row, wires in notes.calls.items():
            worked = result is Result.REFUSED and row not in notes.raised
            self.rows[row].add(Result.GREEN if worked else result, "" if worked else reason)
            self.rows[row].wires |= wires
        for wire, clients in notes.wires.items():
            verdict = result
            if result in {Result.GREEN, Result.REFUSED}:
                verdict = Result.REFUSED if wire in notes.refused else Result.GREEN
            for client in clients:
                before = self.wires[wire].get(client, Result.NOT_YET)
                self.wires[wire][client] = max(before, verdict)

    # -- afterwards ----------------------------------------------------------------------------

    def rows_of(self, client: str) -> Iterator[tuple[str, Verdict]]:
        """Yield the calls of a client in order of their names."""
        for row, verdict in sorted(self.rows.items(), key=lambda item: item[0]):
            if row.client == client:
                yield row.call, verdict


@define(init=False, eq=False)
class _Watched:
    """A client's object whose calls are noted."""

    _recorder: Recorder
    _client: str
    _subject: Any
    _name_of: Callable[[str], str]

    def __init__(
        self, recorder: Recorder, client: str, subject: Any, name_of: Callable[[str], str]
    ) -> None:
        self._recorder = recorder
        self._client = client
        self._subject = subject
        self._name_of = name_of

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        if name.startswith("_") or not inspect.ismethod(found):
            return found
        if inspect.iscoroutinefunction(found):
            return self._noted_async(name, found)
        return self._noted(name, found)

    def _noted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._noting(name):
                return method(*args, **kwargs)

        return call

    def _noted_async(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._noting(name):
                return await method(*args, **kwargs)

        return call

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        with self._recorder.calling(self._client, self._name_of(name)):
            yield


def wire_of(body: object) -> Wire | None:
    """Return the kind and type of a request's body: its JSON, or the text or bytes of it."""
    if isinstance(body, str | bytes):
        try:
            body = json.loads(body)
        except ValueError:
            return None
    match body:
        case {"method": "post", "request": {"payload": payload}}:
            return wire_of(payload)
        case {"method": "subscribe" | "unsubscribe", "subscription": {"type": str(kind)}}:
            return CHANNEL, kind
        case {"action": {"type": str(kind)}}:
            return ACTION, kind
        case {"type": str(kind)}:
            return INFO, kind
        case _:
            return None
