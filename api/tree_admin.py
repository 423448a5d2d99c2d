"""What an operator may see of the living tree and do to one actor: requests of the admin API.

=============================================  =====================================================
``{"do": "tree", "path", "top", "seconds"}``   the tree at and below a path, and how busy it is
``{"do": "restart", "actor"}``                 stops one actor and starts it anew
``{"do": "trace", "actor", "messages",         the next messages of one actor, some now and the rest
"seconds"}``, then ``{"do": "trace", "trace"}``  when asked again, until the answer says ``done``
``{"do": "state", "actor"}``                   what one actor holds, as a bounded text
=============================================  =====================================================

A market may be named as people do (``markets/BTC``), and any path by a part that nothing else has.
Nothing here goes through the log, and nothing changes the exchange.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, field

from api.admin import AdminError, Handler
from api.state_text import describe_state
from api.task_dump import frames_of
from api.tree_report import (
    UNSETTLED,
    Node,
    TracedMessage,
    TreeReport,
    report_message,
    report_node,
)
from model.ids import AssetId
from supervision import Kind, MessageEvent, Surveyed, System, Trace, UnknownPath

if TYPE_CHECKING:
    from api.program import Program

TOP: Final = 10
TOP_MAX: Final = 1_000
"""Children of each pool that are listed at most."""
SURVEY_SECONDS: Final = 0.25
SURVEY_SECONDS_MAX: Final = 10.0
TRACE_MESSAGES: Final = 20
TRACE_MESSAGES_MAX: Final = 1_000
TRACE_SECONDS: Final = 10.0
TRACE_SECONDS_MAX: Final = 300.0
TRACES_MAX: Final = 8
"""Traces at once; each ends by itself."""
NEWS_SECONDS_MAX: Final = 1.0
"""A request for a trace is answered so soon, whether or not there was a message."""
STATE_SECONDS_MAX: Final = 5.0
"""How long an actor may take to finish the message in hand before it shows its state."""
RESTART_SECONDS_MAX: Final = 20.0
LOOK_SECONDS: Final = 0.01
CANDIDATES_MAX: Final = 5_000
"""Paths that are searched for one like an unknown one."""
MATCHES_MAX: Final = 5
PART_CHARACTERS_MIN: Final = 3


@define(eq=False)
class _Session:
    """A trace that somebody reads."""

    actor: str
    trace: Trace
    told: int = 0


@define(eq=False)
class TreeOperator:
    """Answers the requests about the tree of one program."""

    _program: Program
    _sessions: dict[int, _Session] = field(factory=dict)
    _numbers: Iterator[int] = field(factory=lambda: count(1))

    def handlers(self) -> dict[str, Handler]:
        """Return the requests by their names."""
        return {
            "tree": self.tree,
            "restart": self.restart,
            "trace": self.trace,
            "state": self.state,
        }

    @property
    def _system(self) -> System:
        if self._program.system is None:
            raise AdminError("the tree is still starting")
        return self._program.system

    # -- looking

    async def tree(self, request: Mapping[str, Any]) -> TreeReport:
        """Return the tree at and below a path."""
        path = self._resolve(_text(request, "path"))
        seconds = _number(request, "seconds", SURVEY_SECONDS, SURVEY_SECONDS_MAX)
        found = await self._system.survey(
            path, members_max=int(_number(request, "top", TOP, TOP_MAX)), seconds=seconds
        )
        return TreeReport(
            data=str(self._program.settings.data),
            height=self._program.gateway.directory.height,
            time_ms=time.time_ns() // 1_000_000,
            seconds=seconds,
            nodes=[self._node(row) for row in found],
            frames=frames_of(path) if len(found) == 1 else [],
        )

    def _node(self, row: Surveyed) -> Node:
        return report_node(row, self._title(row.status.path))

    def _title(self, path: str) -> str:
        pool, _, key = path.rpartition("/")
        if pool != "markets" or not key.isdigit():
            return ""
        instrument = self._program.gateway.directory.universe.get(AssetId(int(key)))
        return "" if instrument is None else instrument.name

    async def state(self, request: Mapping[str, Any]) -> Any:
        """Return what an actor holds as lines of text."""
        path = self._actor(request)
        inspection = self._system.inspect(path)
        with trio.move_on_after(STATE_SECONDS_MAX):
            lines = await inspection.probe(lambda actor: describe_state(_named(actor.get_state())))
            return {"actor": path, "lines": lines}
        status = inspection.status()
        hand = ", ".join(status.in_hand) or "nothing"
        raise AdminError(
            f"{path} did not answer within {STATE_SECONDS_MAX:.0f} s;"
            f" it has had {hand} in hand for {status.in_hand_seconds:.1f} s"
        )

    # -- tracing

    async def trace(self, request: Mapping[str, Any]) -> Any:
        """Begin or continue a trace; answer with the messages since the last request."""
        number = request.get("trace")
        if number is None:
            number = self._begin_trace(request)
        session = self._sessions.get(number) if isinstance(number, int) else None
        if session is None:
            raise AdminError(f"there is no trace {number}; it may have ended")
        messages, is_done = await _news(session)
        if is_done:
            self._sessions.pop(number, None)
        return {"trace": number, "actor": session.actor, "messages": messages, "done": is_done}

    def _begin_trace(self, request: Mapping[str, Any]) -> int:
        path = self._actor(request)
        for number, session in list(self._sessions.items()):
            if not session.trace.active:
                session.trace.stop()
                del self._sessions[number]
        if len(self._sessions) >= TRACES_MAX:
            raise AdminError(f"{TRACES_MAX} traces are running; each ends by itself, try again")
        trace = self._system.inspect(path).trace(
            messages_max=int(_number(request, "messages", TRACE_MESSAGES, TRACE_MESSAGES_MAX)),
            seconds_max=_number(request, "seconds", TRACE_SECONDS, TRACE_SECONDS_MAX),
        )
        number = next(self._numbers)
        self._sessions[number] = _Session(path, trace)
        return number

    # -- restarting

    async def restart(self, request: Mapping[str, Any]) -> Any:
        """Restart one child of a supervisor or pool, and tell what that did."""
        system, path = self._system, self._resolve(_text(request, "actor"))
        if not path:
            raise AdminError("name what to restart; to restart everything, restart the process")
        before = self._generations(path)
        began = trio.current_time()
        await self._renew(system, path)
        address = system.address(path)
        for _ in range(int(RESTART_SECONDS_MAX / LOOK_SECONDS)):
            if address.generation > before[path] and address.state.value not in UNSETTLED:
                break
            await trio.sleep(LOOK_SECONDS)
        after = self._generations(path)
        return {
            "actor": path,
            "before": before[path],
            "after": address.generation,
            "state": address.state.value,
            "seconds": trio.current_time() - began,
            "also": [
                other
                for other, generation in after.items()
                if other != path and generation > before.get(other, generation)
            ],
        }

    async def _renew(self, system: System, path: str) -> None:
        parent, _, id = path.rpartition("/")
        try:
            pool = system.pool(parent)
        except UnknownPath:
            await system.supervisor(parent).renew_child(id)
            return
        pool.renew(next(key for key in pool if str(key) == id))

    def _generations(self, path: str) -> dict[str, int]:
        system = self._system
        nodes = system.tree(pool_children_max=0)
        return {
            **{node.path: node.generation for node in nodes},
            path: system.address(path).generation,
        }

    # -- names

    def _actor(self, request: Mapping[str, Any]) -> str:
        path = self._resolve(_text(request, "actor"))
        kind = self._system.inspect(path).status().kind
        if kind is not Kind.ACTOR:
            raise AdminError(f"{path or 'the root'} is a {kind.value}, not an actor")
        return path

    def _resolve(self, text: str) -> str:
        """Return the path that a text names.

        Raises:
            AdminError: none, or several; the text of the error tells what comes near.
        """
        wanted = text.strip("/")
        with suppress(UnknownPath):
            return self._system.address(wanted).path
        paths = dict(self._paths())
        lowered = wanted.lower()
        candidates = [
            [path for path, name in paths.items() if name == lowered],
            [path for path, name in paths.items() if name.endswith(f"/{lowered}")],
            [path for path, name in paths.items() if name.startswith(lowered)],
        ]
        for found in candidates:
            if len(found) == 1 and len(wanted) >= PART_CHARACTERS_MIN:
                return found[0]
        raise AdminError(_unknown(wanted, paths))

    def _paths(self) -> Iterator[tuple[str, str]]:
        """Iterate over paths, and what people may call them, in small letters."""
        system = self._system
        for node in system.tree(pool_children_max=0):
            yield node.path, node.path.lower()
            if node.kind is Kind.POOL:
                for key in islice(system.pool(node.path), CANDIDATES_MAX):
                    path = f"{node.path}/{key}"
                    title = self._title(path)
                    yield path, f"{node.path}/{title or key}".lower()


def _named(state: object) -> Mapping[str, object]:
    return state if isinstance(state, Mapping) else {"state": state}


def _unknown(wanted: str, paths: Mapping[str, str]) -> str:
    lowered = wanted.lower()
    near = [path for path, name in paths.items() if lowered in path.lower() or lowered in name]
    if not near:
        names = {name: path for path, name in paths.items()}
        lasts = {name.rpartition("/")[2]: path for path, name in paths.items()}
        near = [
            *(names[name] for name in get_close_matches(lowered, names, MATCHES_MAX)),
            *(lasts[name] for name in get_close_matches(lowered, lasts, MATCHES_MAX)),
        ]
    found = list(dict.fromkeys(near or paths))
    words = "near are" if near else "there are"
    more = " …" if len(found) > MATCHES_MAX else ""
    return f"there is no {wanted}; {words} {', '.join(found[:MATCHES_MAX])}{more}"


async def _news(session: _Session) -> tuple[list[TracedMessage], bool]:
    """Wait a moment for the next messages; return them, and whether there will be no more."""
    messages: list[TracedMessage] = []
    with trio.move_on_after(NEWS_SECONDS_MAX):
        try:
            while not messages or session.told < len(session.trace.events):
                event = await anext(session.trace)
                session.told += 1
                messages.append(_told(event))
        except StopAsyncIteration:
            return messages, True
    is_done = not session.trace.active and session.told >= len(session.trace.events)
    return messages, is_done


def _told(event: MessageEvent) -> TracedMessage:
    ago_ms = (trio.current_time() - event.at) * 1000
    return report_message(event, time_ms=round(time.time_ns() / 1e6 - ago_ms))


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name, "")
    if not isinstance(value, str):
        raise AdminError(f"{name} must be a text")
    return value


def _number(request: Mapping[str, Any], name: str, default: float, most: float) -> float:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise AdminError(f"{name} must be a number above 0 and at most {most:g}")
    return value
