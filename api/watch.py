"""``zaraba watch COIN``: a live order book and its trades in the terminal.

On a terminal the picture moves in the alternate screen and leaves no trace; elsewhere, or with
``--plain``, trades and changes of the best prices are printed as lines. When the exchange is away
the last picture stays, dimmed, until the client has reconnected.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio
from attrs import define, field

from api.client import Client, open_client
from api.client_errors import ClientError, ConnectionLostError, SubscriptionRefusedError
from api.client_feeds import Interruption
from api.watch_screen import Screen, open_screen, watch_keys
from api.watch_view import (
    COLOURED,
    COLOURLESS,
    MarketPicture,
    Palette,
    describe_book,
    describe_trade,
    local_time,
    render,
)

DRAW_SECONDS_MIN: Final = 0.1
"""Ten pictures a second are as many as anybody reads."""
DRAW_SECONDS_MAX: Final = 0.5
"""Without news, the state of the connection is looked at so often."""
PLAIN_BOOK_SECONDS: Final = 1.0
"""Plain output shows the best prices at most this often."""
LEVELS_MAX: Final = 20

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1


class WatchError(Exception):
    """There is nothing to watch; the message says why."""


def run_watch(coin: str, *, url: str, levels: int | None = None, plain: bool = False) -> int:
    """Show a market until Ctrl-C; return the process's exit status."""
    if levels is not None and not 1 <= levels <= LEVELS_MAX:
        return _complain(f"--levels must be 1 to {LEVELS_MAX}")
    is_moving = not plain and sys.stdout.isatty()
    failure: BaseException | None = None
    try:
        trio.run(_watch, coin, url, levels, is_moving)
    except* KeyboardInterrupt:
        pass
    except* BrokenPipeError:
        # Whoever read our lines has left; Python would complain of it once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except* (WatchError, ClientError, ValueError) as errors:
        failure = _first(errors)
    return EXIT_OK if failure is None else _complain(str(failure))


def _complain(text: str) -> int:
    print(f"zaraba: {text}", file=sys.stderr)
    return EXIT_FAILED


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _watch(coin: str, url: str, levels: int | None, is_moving: bool) -> None:
    async with open_client(url, is_patient=True) as client:
        watcher = Watcher(client, MarketPicture(coin, url))
        if is_moving:
            await watch_moving(watcher, levels, choose_palette(os.environ))
        else:
            await watch_plain(watcher, lambda line: print(line, flush=True))


def choose_palette(environment: Mapping[str, str]) -> Palette:
    """Return colours, unless the environment asks for none (NO_COLOR, or a dumb terminal)."""
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return COLOURLESS
    return COLOURED


@define(eq=False)
class Watcher:
    """Follows one market and keeps its picture.

    ``heard`` is set with each news; whoever waits for it replaces it first.
    """

    client: Client
    picture: MarketPicture
    heard: trio.Event = field(factory=trio.Event)
    _is_greeting: bool = field(init=False, default=True)

    async def follow(self) -> None:
        """Hear everything about the market until cancelled.

        Raises:
            WatchError: the exchange has no such market.
        """
        self.picture.coin = await self._find_coin()
        async with trio.open_nursery() as nursery:
            for kind in ("l2Book", "trades", "activeAssetCtx"):
                nursery.start_soon(self._follow_one, kind)

    def look(self) -> None:
        """Bring the state of the connection into the picture."""
        link = self.client.link
        self.picture.is_live = link.is_connected and self.picture.book_time_ms > 0
        if link.is_connected:
            self.picture.trouble = "waiting for the book"
        elif link.has_tried:
            self.picture.trouble = f"away: {link.last_failure}; trying again"

    async def _find_coin(self) -> str:
        """Return the market's name as the exchange spells it."""
        while True:
            try:
                perps = await self.client.info({"type": "meta"})
                pairs = await self.client.info({"type": "spotMeta"})
                break
            except ConnectionLostError:
                continue
        names = [market["name"] for market in (*perps["universe"], *pairs["universe"])]
        wanted = self.picture.coin
        for name in names:
            if wanted in (name, name.lower()) or wanted.upper() == name:
                return str(name)
        raise WatchError(f"there is no market {wanted}; there are {', '.join(names)}")

    async def _follow_one(self, kind: str) -> None:
        subscription = {"type": kind, "coin": self.picture.coin}
        try:
            async with self.client.subscribe(subscription) as feed:
                async for item in feed:
                    self._take(kind, item)
        except SubscriptionRefusedError as error:
            raise WatchError(str(error)) from error

    def _take(self, kind: str, item: Any) -> None:
        if isinstance(item, Interruption):
            if kind == "trades":
                self.picture.forget_trades()
        else:
            self.picture.hear(item.channel, item.data)
        self.heard.set()


async def watch_moving(watcher: Watcher, levels: int | None, palette: Palette) -> None:
    """Draw the picture on the terminal until q, Ctrl-C or a signal to end."""
    with open_screen() as screen:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.follow)
            nursery.start_soon(_draw_often, watcher, screen, levels, palette)
            nursery.start_soon(_obey_signals, watcher, screen, nursery.cancel_scope)
            nursery.start_soon(watch_keys, nursery.cancel_scope.cancel)


async def _draw_often(
    watcher: Watcher, screen: Screen, levels: int | None, palette: Palette
) -> None:
    while True:
        watcher.heard = trio.Event()
        watcher.look()
        columns, rows = screen.size()
        screen.draw(
            # The last column stays free: at the edge, erasing the rest of a line takes its end too.
            render(watcher.picture, columns=columns - 1, rows=rows, levels=levels, palette=palette)
        )
        await trio.sleep(DRAW_SECONDS_MIN)
        with trio.move_on_after(DRAW_SECONDS_MAX):
            await watcher.heard.wait()


async def _obey_signals(watcher: Watcher, screen: Screen, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGWINCH:
                scope.cancel()
            screen.forget()
            watcher.heard.set()


async def watch_plain(watcher: Watcher, put_line: Callable[[str], None]) -> None:
    """Print trades, changes of the best prices, and the connection's coming and going."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.follow)
        printer = PlainPrinter(put_line)
        while True:
            watcher.heard = trio.Event()
            watcher.look()
            printer.print_news(watcher.picture, trio.current_time())
            with trio.move_on_after(DRAW_SECONDS_MAX):
                await watcher.heard.wait()


@define
class PlainPrinter:
    """Remembers what was printed, and prints what is new."""

    put_line: Callable[[str], None]
    _said: str = ""
    _book: str = ""
    _book_at: float = -PLAIN_BOOK_SECONDS
    _printed: frozenset[int] = frozenset()

    def print_news(self, picture: MarketPicture, now: float) -> None:
        """Print what the picture has that was not printed yet; ``now`` is in seconds."""
        self._print_state(picture)
        for trade in reversed(picture.trades):
            if trade.tid not in self._printed:
                self.put_line(f"{local_time(trade.time_ms)}  {describe_trade(trade)}")
        if picture.trades:  # after a reconnection there are none at first, then some known ones
            self._printed = frozenset(trade.tid for trade in picture.trades)
        book = describe_book(picture)
        if picture.is_live and book != self._book and now - self._book_at >= PLAIN_BOOK_SECONDS:
            self.put_line(f"{local_time(picture.book_time_ms)}  {book}")
            self._book, self._book_at = book, now

    def _print_state(self, picture: MarketPicture) -> None:
        is_live = picture.is_live
        state = f"watching {picture.coin} on {picture.url}" if is_live else picture.trouble
        if state != self._said:
            self.put_line(state)
            self._said = state
