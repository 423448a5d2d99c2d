"""The rows of a benchmark's table, and their printing."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen


@frozen
class Row:
    """One figure.

    ``ratio`` is the figure over that of the row's baseline, ``None`` where there is none. The note
    says which it is and what was left out.
    """

    name: str
    figure: float
    unit: str
    ratio: float | None = None
    note: str = ""


def format_rows(rows: Sequence[Row]) -> str:
    """Lay rows out as a plain table, one line each, figures aligned at the right."""
    cells = [
        (
            row.name,
            f"{row.figure:,.0f}" if abs(row.figure) >= 100 else f"{row.figure:,.2f}",
            row.unit,
            "" if row.ratio is None else f"x{row.ratio:.2f}",
            row.note,
        )
        for row in rows
    ]
    widths = [max((len(cell[i]) for cell in cells), default=0) for i in range(4)]
    return "\n".join(_line(cell, widths).rstrip() for cell in cells)


def _line(cell: tuple[str, str, str, str, str], widths: Sequence[int]) -> str:
    name, figure, unit, ratio, note = cell
    left = f"{name:<{widths[0]}}  {figure:>{widths[1]}} {unit:<{widths[2]}}"
    return f"{left}  {ratio:>{widths[3]}}  {note}"


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(format_rows(rows))
