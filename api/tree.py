"""``zaraba tree``: the living tree of a running exchange, and what may be done to one part of it.

Everything goes through the admin socket of the data directory. The tree is printed once or, with
``--watch``, kept moving in the alternate screen; when the exchange is away the last picture stays,
dimmed, until it is back.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from attrs import define, field, frozen

from api.admin import AdminError, AdminUnreachableError, ask_admin
from api.tree_report import UNSETTLED, TracedMessage, TreeReport
from api.tree_view import TRACE_TITLES, describe_message, describe_restart, render
from api.watch import choose_palette
from api.watch_screen import SIZE_UNKNOWN, Screen, open_screen, watch_keys
from api.watch_view import COLOURLESS, Palette

WATCH_SECONDS: Final = 1.0
"""A moving tree shows how busy everything was in the last second."""
AWAY_SECONDS: Final = 1.0
"""How long to wait before an exchange that is away is asked again."""
BACK_SECONDS_MAX: Final = 20.0
"""How long a restart may keep the admin socket away when it takes that along."""
PIPE_COLUMNS: Final = 160
"""Width of a tree that no terminal shows."""

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1
EXIT_INTERRUPTED: Final = 130


@frozen(kw_only=True)
class TreeOptions:
    """What to look at and what to do. At most one of the last four is set.

    ``top`` and ``seconds`` are left to the exchange where they are ``None``.
    """

    data: Path
    path: str = ""
    top: int | None = None
    seconds: float | None = None
    is_json: bool = False
    is_watching: bool = False
    is_restarting: bool = False
    is_state: bool = False
    trace_messages: int | None = None


def run_tree(options: TreeOptions) -> int:
    """Do what the options say; return the process's exit status."""
    status = EXIT_OK
    try:
        trio.run(_run, options)
    except* KeyboardInterrupt:
        status = EXIT_OK if options.is_watching else EXIT_INTERRUPTED
    except* BrokenPipeError:
        # Whoever read our lines has left; Python would complain of it once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except* AdminError as errors:
        print(f"zaraba: {_first(errors)}", file=sys.stderr)
        status = EXIT_REFUSED
    return status


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(options: TreeOptions) -> None:
    is_terminal = sys.stdout.isatty()
    palette = choose_palette(os.environ) if is_terminal else COLOURLESS
    if options.is_restarting:
        _say(options, await restart(options), describe_restart)
    elif options.trace_messages is not None:
        await print_trace(options, palette)
    elif options.is_state:
        _say(options, await _ask(options, "state", actor=options.path), _state_text)
    elif options.is_watching and is_terminal and not options.is_json:
        await watch_tree(options, palette)
    else:
        await _print_tree(options, palette)


def _say(
    options: TreeOptions, answer: Mapping[str, Any], describe: Callable[[Mapping[str, Any]], str]
) -> None:
    print(json.dumps(answer, indent=2) if options.is_json else describe(answer), flush=True)


def _state_text(answer: Mapping[str, Any]) -> str:
    return "\n".join([str(answer["actor"]), *map(str, answer["lines"])])


async def _ask(options: TreeOptions, what: str, **members: Any) -> Any:
    given = {name: value for name, value in members.items() if value is not None}
    return await ask_admin(options.data, {"do": what, **given})


async def _ask_tree(options: TreeOptions, seconds: float | None = None) -> Any:
    wanted = options.seconds if seconds is None else seconds
    return await _ask(options, "tree", path=options.path, top=options.top, seconds=wanted)


# -- the tree


async def _print_tree(options: TreeOptions, palette: Palette) -> None:
    """Print the tree once, or one after the other where a moving picture was asked for."""
    while True:
        answer = await _ask_tree(options, WATCH_SECONDS if options.is_watching else None)
        if options.is_json:
            print(json.dumps(answer, indent=None if options.is_watching else 2), flush=True)
        else:
            columns = _columns()
            print("\n".join(render(_report(answer), columns=columns, palette=palette)), flush=True)
        if not options.is_watching:
            return


def _report(answer: Any) -> TreeReport:
    return msgspec.convert(answer, TreeReport)


def _columns() -> int:
    if not sys.stdout.isatty():
        return PIPE_COLUMNS
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return SIZE_UNKNOWN.columns


@define(eq=False)
class TreeWatcher:
    """Asks for the tree again and again; ``heard`` is set with each news."""

    options: TreeOptions
    report: TreeReport | None = None
    trouble: str = ""
    heard: trio.Event = field(factory=trio.Event)

    async def follow(self) -> None:
        """Keep the report new until cancelled.

        Raises:
            AdminError: the exchange refuses what was asked first.
        """
        seconds = self.options.seconds or WATCH_SECONDS
        while True:
            try:
                self.report, self.trouble = _report(await _ask_tree(self.options, seconds)), ""
            except AdminError as error:
                if self.report is None:
                    raise
                is_away = isinstance(error, AdminUnreachableError)
                self.trouble = "away; trying again" if is_away else str(error)
            self._tell()
            if self.trouble:
                await trio.sleep(AWAY_SECONDS)

    def _tell(self) -> None:
        self.heard.set()
        self.heard = trio.Event()

    def redraw(self) -> None:
        """Have the picture drawn once more: the terminal was resized."""
        self._tell()


async def watch_tree(options: TreeOptions, palette: Palette) -> None:
    """Draw the tree on the terminal until q, Ctrl-C or a signal to end."""
    first = _report(await _ask_tree(options))  # a refusal is told before the screen is taken
    watcher = TreeWatcher(options, first)
    with open_screen() as screen:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.follow)
            nursery.start_soon(_draw_news, watcher, screen, palette)
            nursery.start_soon(_obey_signals, watcher, screen, nursery.cancel_scope)
            nursery.start_soon(watch_keys, nursery.cancel_scope.cancel)


async def _draw_news(watcher: TreeWatcher, screen: Screen, palette: Palette) -> None:
    while True:
        heard = watcher.heard
        if watcher.report is not None:
            columns, rows = screen.size()
            lines = render(
                watcher.report,
                # The last column stays free: at the edge, erasing the rest takes its end too.
                columns=columns - 1,
                rows=rows,
                palette=palette,
                trouble=watcher.trouble,
            )
            screen.draw(lines)
        await heard.wait()


async def _obey_signals(watcher: TreeWatcher, screen: Screen, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGWINCH:
                scope.cancel()
            screen.forget()
            watcher.redraw()


# -- one actor


async def restart(options: TreeOptions) -> Mapping[str, Any]:
    """Restart one part of the tree; return what became of it.

    What is restarted may take the admin socket along: then wait until it is back, and look.

    Raises:
        AdminError: it was refused, or did not come back.
    """
    if not options.path:
        raise AdminError("name what to restart: zaraba tree PATH --restart")
    before = _report(await _ask(options, "tree", path=options.path, top=1, seconds=0.001)).nodes[0]
    began = trio.current_time()
    try:
        answer = await _ask(options, "restart", actor=before.path)
    except AdminUnreachableError:
        after = await _wait_back(options, before.path)
        return {
            "actor": before.path,
            "before": before.generation,
            "after": after["generation"],
            "state": after["state"],
            "seconds": trio.current_time() - began,
            "also": ["the admin socket"],
        }
    return dict(answer)


async def _wait_back(options: TreeOptions, path: str) -> Mapping[str, Any]:
    with trio.move_on_after(BACK_SECONDS_MAX):
        while True:
            await trio.sleep(0.1)
            try:
                answer = await _ask(options, "tree", path=path, top=1, seconds=0.001)
            except AdminUnreachableError:
                continue
            node: dict[str, Any] = answer["nodes"][0]
            if node["state"] not in UNSETTLED:
                return node
    raise AdminError(f"{path} was told to restart, and the exchange has not come back since")


async def print_trace(options: TreeOptions, palette: Palette) -> None:
    """Print the next messages of one actor as they come, until one of the limits is reached."""
    answer = await _ask(
        options,
        "trace",
        actor=options.path,
        messages=options.trace_messages,
        seconds=options.seconds,
    )
    if not options.is_json:
        print(palette.paint(f"tracing {answer['actor']}", palette.dim), flush=True)
        print(palette.paint(TRACE_TITLES, palette.dim), flush=True)
    printed = 0
    while True:
        for message in answer["messages"]:
            printed += 1
            print(_message_line(options, message, palette), flush=True)
        if answer["done"]:
            break
        answer = await _ask(options, "trace", trace=answer["trace"])
    if not options.is_json:
        print(palette.paint(f"{printed} messages; the trace has ended", palette.dim), flush=True)


def _message_line(options: TreeOptions, message: Any, palette: Palette) -> str:
    if options.is_json:
        return json.dumps(message)
    columns = _columns() if sys.stdout.isatty() else None
    told = msgspec.convert(message, TracedMessage)
    return describe_message(told, columns=columns, palette=palette)
