"""``zaraba markets``: what is traded, and ``zaraba markets add``: more of it while it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import trio

from api.admin import AdminError, AdminUnreachableError, ask_admin
from api.config import ConfigError, load_config
from api.config.read import read_text
from api.market_rows import market_row, table

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1


def run_markets(data: Path, *, config: Path | None = None, is_json: bool = False) -> int:
    """Print the markets of a running exchange, or those that a new one would open.

    Args:
        data: directory of the exchange.
        config: list the markets of this file instead.
        is_json: print JSON.
    """
    try:
        if config is not None:
            rows, source = _configured(config), str(config)
        else:
            try:
                rows, source = trio.run(ask_admin, data, {"do": "markets"})["markets"], ""
            except AdminUnreachableError:
                rows = _configured(None)
                source = f"nothing runs in {data}; a new exchange would open these"
    except (AdminError, ConfigError) as error:
        return _complain(str(error))
    if is_json:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    if source:
        print(f"{source}:")
    for line in table(rows):
        print(line)
    return EXIT_OK


def run_add_markets(data: Path, file: Path) -> int:
    """Open the markets of a file on a running exchange."""
    try:
        text = read_text(file)
        added = trio.run(ask_admin, data, {"do": "add_markets", "text": text, "file": str(file)})
    except (AdminError, ConfigError) as error:
        return _complain(str(error))
    print("opened")
    for line in table(added["added"]):
        print(line)
    return EXIT_OK


def _configured(path: Path | None) -> list[dict[str, object]]:
    return [market_row(instrument) for instrument in load_config(path).listed]


def _complain(text: str) -> int:
    for line in text.splitlines():
        print(f"zaraba: {line}", file=sys.stderr)
    return EXIT_REFUSED
