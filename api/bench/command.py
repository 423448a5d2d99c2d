"""``zaraba bench``: run the benchmarks by name and print one table of what they found."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final

import trio
from attrs import frozen

from api.bench.rows import Row, format_rows

QUICK_NOTE: Final = "quick run: too short for figures that are quoted"


@frozen
class Bench:
    """One benchmark.

    Args:
        module: of ``api.bench``; its ``run`` returns the rows.
        what: for the list of names and the head of its part of the table.
        left_out: what the figures do not contain.
        full, quick: arguments of ``run``.
        is_async: whether ``run`` wants Trio.
    """

    module: str
    what: str
    left_out: str
    full: dict[str, Any]
    quick: dict[str, Any]
    is_async: bool = False

    def run(self, *, quick: bool) -> list[Row]:
        """Run it; return its rows."""
        call: Callable[..., Any] = import_module(f"api.bench.{self.module}").run
        options = self.quick if quick else self.full
        rows: list[Row] = trio.run(partial(call, **options)) if self.is_async else call(**options)
        return rows


BENCHES: Final = {
    "machine": Bench(
        "machine",
        "the exchange as a function: orders and cancels through Exchange.apply",
        "signatures, the journal, views, the wire",
        {},
        {"orders": 20_000, "rounds": 2},
    ),
    "margin": Bench(
        "margin",
        "positions in many markets, liquidations, oracle moves beside idle accounts",
        "signatures, the journal, views, the wire",
        {},
        {
            "commands": 5_000,
            "rounds": 1,
            "liquidated": 500,
            "populations": (100, 1_000),
            "moves": 10,
        },
    ),
    "signing": Bench(
        "signing",
        "reading a signed action and recovering its signer",
        "everything behind it",
        {},
        {"repeats": 200, "rounds": 3},
    ),
    "entry": Bench(
        "entry",
        "signed orders over one WebSocket, durable before they are answered",
        "signing, network, TLS, subscribers",
        {},
        {"seconds": 1.0, "rates": (500, 1_000), "batch_rates": (100,), "rounds": 1},
    ),
    "fanout": Bench(
        "fanout",
        "one book of 20 levels to many WebSocket subscribers",
        "encoding the frame, network, TLS, the clients' reading",
        {},
        {"populations": ((100, 5),), "rounds": 10},
        is_async=True,
    ),
    "actors": Bench(
        "actors",
        "actors: messages, questions, starts and restarts, beside bare Trio and pykka",
        "what handlers do, telemetry, the wait for a busy actor",
        {},
        {"messages": 5_000, "asks": 500, "rounds": 1, "crowds": (10,)},
    ),
    "ingest": Bench(
        "ingest",
        "a real node's lines to books and to the frames of those who follow",
        "reading the files, views of the public API, sockets",
        {},
        {"blocks": 10, "orders": 5_000, "populations": (10, 50)},
    ),
    "telemetry": Bench(
        "telemetry",
        "order entry without metrics, with them, and traced, alone and with followers",
        "signing, network, TLS, what collector and followers do",
        {},
        {"rounds": 1, "orders": 400, "followers": 10},
    ),
    "recovery": Bench(
        "recovery",
        "start from a snapshot and a long journal after it",
        "making the journal, a cold disk",
        {},
        {"commands": 20_000, "rounds": 1},
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``zaraba bench`` understands to its parser."""
    width = max(map(len, BENCHES))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(f"  {name:<{width}}  {bench.what}" for name, bench in BENCHES.items())
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help="which; all if none")
    parser.add_argument("--quick", action="store_true", help="short runs, to see that all works")
    parser.add_argument("--markdown", action="store_true", help="print tables for a document")


def _name(text: str) -> str:
    if text not in BENCHES:
        raise argparse.ArgumentTypeError(
            f"no such benchmark: {text!r} (there are {', '.join(BENCHES)})"
        )
    return text


def run_bench(options: argparse.Namespace) -> int:
    """Run what the command line names, all if it names none; return the process's exit status."""
    names = options.names or list(BENCHES)
    print(f"{_machine()}\n" if options.markdown else _machine())
    for name in names:
        bench = BENCHES[name]
        started = time.perf_counter()
        _tell(f"{name} ...")
        rows = bench.run(quick=options.quick)
        _tell(f"{name}: {time.perf_counter() - started:.0f} s")
        print(_markdown(name, bench, rows) if options.markdown else _plain(name, bench, rows))
    if options.quick:
        print(f"\n{QUICK_NOTE}")
    return 0


def _machine() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count() or 1} cores"
    )


def _tell(text: str) -> None:
    """Show progress to whoever waits, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def _plain(name: str, bench: Bench, rows: Sequence[Row]) -> str:
    return f"\n{name}: {bench.what}\n  left out: {bench.left_out}\n" + "\n".join(
        f"  {line}" for line in format_rows(rows).splitlines()
    )


def _markdown(name: str, bench: Bench, rows: Sequence[Row]) -> str:
    lines = [
        f"## {name}\n",
        f"{bench.what[0].upper()}{bench.what[1:]}. Left out: {bench.left_out}.\n",
        "| what | figure | unit | ratio | note |",
        "|---|---:|---|---:|---|",
        *(
            f"| {row.name} | {_figure(row.figure)} | {row.unit} | "
            f"{'' if row.ratio is None else f'x{row.ratio:.2f}'} | {row.note} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _figure(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:,.2f}"
