"""Markets as rows of a table, for operators and their programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from model.instruments import Instrument, MarginMode
from model.units import USD, format_decimal

COLUMNS: Final = (
    ("asset", "asset"),
    ("name", "name"),
    ("kind", "kind"),
    ("lot", "lot"),
    ("tick", "tick"),
    ("margin", "margin"),
    ("leverage", "leverage"),
    ("mark", "mark"),
    ("oracle", "oracle"),
    ("open_interest", "open interest"),
)
"""Keys of a row and their headings. The last three are there for a running exchange only."""

_LEFT: Final = frozenset(("name", "kind", "margin", "leverage"))
_MODES: Final = {
    MarginMode.ANY: "any",
    MarginMode.NO_CROSS: "isolated",
    MarginMode.STRICT_ISOLATED: "strict-isolated",
}


def market_row(instrument: Instrument) -> dict[str, Any]:
    """Return what does not change about a market, in texts."""
    return {
        "asset": instrument.asset,
        "name": instrument.name,
        "kind": "spot" if instrument.is_spot else "perp",
        "lot": format_decimal(1, instrument.size_decimals),
        "tick": format_decimal(1, instrument.price_decimals),
        "margin": "" if instrument.is_spot else _MODES[instrument.margin_mode],
        "leverage": "" if instrument.is_spot else _leverage(instrument),
        "opening_price": format_decimal(instrument.opening_price_e8, 8),
    }


def _leverage(instrument: Instrument) -> str:
    """Return the largest leverage, and from which notional on it is lower: ``40, 20 from 150M``."""
    tiers = [
        f"{tier.max_leverage} from {_short(tier.lower_bound)}" for tier in instrument.tiers[1:]
    ]
    return ", ".join([str(instrument.max_leverage), *tiers])


def _short(micro_usd: int) -> str:
    usd = micro_usd // USD
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if usd >= size and usd % size == 0:
            return f"{usd // size}{letter}"
    return str(usd)


def table(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Yield the lines of a table of rows; a column that no row fills is left out."""
    columns = [(key, head) for key, head in COLUMNS if any(row.get(key, "") != "" for row in rows)]
    texts = [[head for _, head in columns]]
    texts += [[str(row.get(key, "")) for key, _ in columns] for row in rows]
    widths = [max(len(line[place]) for line in texts) for place in range(len(columns))]
    for line in texts:
        cells = (
            text.ljust(width) if key in _LEFT else text.rjust(width)
            for (key, _), text, width in zip(columns, line, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()
