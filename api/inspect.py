"""``zaraba inspect``: look at a real node's files offline, one coin at a time.

Answers go to standard output as lines of JSON; what a person should know goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec
from attrs import frozen

from actors.node.errors import NodeDataError
from actors.node.offline import detect_form, load_snapshot, read_to_the_end, streams_of
from actors.node.tail import first_height, list_files
from model.node.checks import Checker
from model.node.coins import Coin, Coins, Fault
from model.node.decimals import decimal_text
from model.node.ingest import Ingest
from model.node.lines import Form, Stream, folder_of
from model.node.snapshot import Snapshot
from model.views.depth import BookSide, Level

SCHEME: Final = "node:"
EXIT_DOUBT: Final = 1
EXIT_DATA: Final = 65
"""The folder or the snapshot cannot be used (EX_DATAERR)."""


class View(Enum):
    """What to show."""

    BBO = "bbo"
    BOOK = "book"
    CHECK = "check"


@frozen
class InspectOptions:
    """What to look at: ``form`` is ``None`` to find out."""

    root: Path
    snapshot: Path
    coin: str
    view: View
    form: Form | None = None


def node_root(source: str) -> Path | None:
    """Return the folder that ``node:PATH`` names, or ``None`` if it is something else."""
    path = source.removeprefix(SCHEME)
    return Path(path) if path and path != source else None


def run_inspect(options: InspectOptions) -> int:
    """Show what was asked for; return the process's exit status."""
    try:
        inspection = Inspection.begin(options)
        match options.view:
            case View.BBO:
                _print(inspection.bbo())
            case View.BOOK:
                _print(inspection.book())
            case View.CHECK:
                _print(inspection.check())
    except NodeDataError as error:
        _say(str(error))
        return EXIT_DATA
    except BrokenPipeError:
        return 0
    coin = inspection.coin
    if coin is not None and not coin.is_whole:
        _say(f"{coin.name} is in doubt since a loss at or before {coin.doubt}: {coin.why}")
        return EXIT_DOUBT
    return 0


@frozen
class Inspection:
    """One coin of a node's files."""

    options: InspectOptions
    form: Form
    ingest: Ingest

    @classmethod
    def begin(cls, options: InspectOptions) -> Inspection:
        """Read the snapshot and find the files.

        Raises:
            NodeDataError: there is no such thing.
        """
        form = options.form or detect_form(options.root)
        streams = streams_of(options.root, form)
        snapshot = load_snapshot(options.snapshot, [options.coin])
        height = snapshot.height
        if height is None:
            height = _height_before(options.root / folder_of(Stream.DIFFS, form))
            _say(f"{options.snapshot} does not tell its height; taken to be {height}")
        if options.coin not in snapshot.coins:
            _say(f"{options.snapshot} does not hold {options.coin}; its book begins empty")
        coins = Coins()
        coins.start(Snapshot(height, snapshot.coins), height)
        wanted = streams if options.view is View.CHECK else {Stream.DIFFS}
        return cls(options, form, Ingest(form, wanted, coins))

    @property
    def coin(self) -> Coin | None:
        """Return what is known of the coin now."""
        return self.ingest.coins.by_name.get(self.options.coin)

    def bbo(self) -> Iterator[dict[str, Any]]:
        """Yield the best prices after each block that changed the coin's book.

        A line about a book of which something was lost says so.
        """
        for applied in read_to_the_end(self.options.root, self.form, self.ingest):
            for change in applied.changes.changes:
                if change.coin.name == self.options.coin:
                    yield _best(change.coin)

    def book(self) -> Iterator[dict[str, Any]]:
        """Yield the whole book at the end, one line."""
        for _ in read_to_the_end(self.options.root, self.form, self.ingest):
            pass
        coin = self.coin
        if coin is not None:
            yield {
                "coin": coin.name,
                "height": coin.height,
                "time": coin.time_ms,
                "levels": [_levels(coin.book.bids), _levels(coin.book.asks)],
                **_doubt(coin),
            }

    def check(self) -> Iterator[dict[str, Any]]:
        """Yield every loss, mismatch and oddity, and at the end how much was looked at."""
        name, ingest = self.options.coin, self.ingest
        checker = Checker(name, has_statuses=Stream.STATUSES in ingest.sequences)
        for applied in read_to_the_end(self.options.root, self.form, ingest):
            yield from self._told(ingest.take_faults())
            for problem in applied.block.problems:
                if problem.coin in {"", name}:
                    what = f"{problem.stream}: {problem.what}: {problem.detail}"
                    yield _finding(Fault(problem.height, problem.coin, what))
            yield from map(_finding, checker.look(applied.block))
        yield from self._told(ingest.take_faults())
        yield from map(_finding, checker.end())
        coin, counts = self.coin, ingest.counts
        yield {
            "coin": name,
            "blocks": counts.blocks,
            "lines": counts.lines,
            "events": counts.events,
            "orders": 0 if coin is None else len(coin.book),
            "rewinds": sum(sequence.rewinds for sequence in ingest.sequences.values()),
            "repeated": sum(sequence.repeated for sequence in ingest.sequences.values()),
            "whole": coin is None or coin.is_whole,
        }

    def _told(self, faults: list[Fault]) -> Iterator[dict[str, Any]]:
        for fault in faults:
            if fault.coin in {"", self.options.coin}:
                yield _finding(fault)


def _height_before(folder: Path) -> int:
    files = list_files(folder)
    height = first_height(files[0][1]) if files else None
    if height is None:
        raise NodeDataError(f"{folder} holds no line that tells a height")
    return height - 1


def _best(coin: Coin) -> dict[str, Any]:
    return {
        "height": coin.height,
        "time": coin.time_ms,
        "bid": _level(coin.book.bids.best()),
        "ask": _level(coin.book.asks.best()),
        **_doubt(coin),
    }


def _doubt(coin: Coin) -> dict[str, str]:
    return {} if coin.is_whole else {"doubt": coin.why}


def _levels(side: BookSide) -> list[dict[str, Any] | None]:
    return [_level(level) for level in side]


def _level(level: Level | None) -> dict[str, Any] | None:
    if level is None:
        return None
    return {
        "px": decimal_text(level.price),
        "sz": decimal_text(level.lots),
        "n": level.count,
    }


def _finding(fault: Fault) -> dict[str, Any]:
    found: dict[str, Any] = {"height": fault.height, "coin": fault.coin, "what": fault.what}
    return {**found, "oid": fault.oid} if fault.oid else found


def _print(lines: Iterator[dict[str, Any]]) -> None:
    write = sys.stdout.write
    for line in lines:
        write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"zaraba: {text}\n")
