"""The state of a living object as a bounded text, for an operator to look at.

Nothing of the object's own is called: no ``repr`` of a book with a hundred thousand orders, no
property that computes. Only plain values are shown, and of everything else its first few parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from itertools import islice
from typing import Any, Final

from supervision import Address

LINES_MAX: Final = 200
ITEMS_MAX: Final = 8
"""Members of a collection that are shown."""
DEPTH_MAX: Final = 3
TEXT_MAX: Final = 80
SECRET: Final = ("secret", "private", "password")
"""An attribute with one of these in its name is not shown."""

_INDENT: Final = "  "


def describe_state(state: Mapping[str, object]) -> list[str]:
    """Return at most LINES_MAX lines that show values by their names."""
    shown = (line for name, value in state.items() for line in _lines(name.lstrip("_"), value, 0))
    lines = list(islice(shown, LINES_MAX + 1))
    return lines if len(lines) <= LINES_MAX else [*lines[:LINES_MAX], "…"]


def _lines(label: str, value: object, depth: int) -> Iterator[str]:
    """Show a value under a label; what has parts takes a line for each of them."""
    indent = _INDENT * depth
    head = f"{indent}{label}: " if label else indent
    short = _short(value)
    if short is not None:
        yield head + short
        return
    parts, left = _parts(value)
    is_deep = depth >= DEPTH_MAX
    yield head + _summary(value) + (" …" if is_deep and parts else "")
    if is_deep:
        return
    for name, part in parts:
        yield from _lines(name, part, depth + 1)
    if left > 0:
        yield f"{indent}{_INDENT}… {left:,} more"


def _short(value: object) -> str | None:
    """Return the text of a plain value, or ``None`` if it has parts worth showing."""
    match value:
        case Enum():
            return f"{type(value).__name__}.{value.name}"
        case str() | bytes():
            text = repr(value[: TEXT_MAX + 1])
            return text if len(value) <= TEXT_MAX else f"{text[:TEXT_MAX]}… ({len(value):,} long)"
        case bool() | int() | float() | None:
            return repr(value)[:TEXT_MAX]
        case _:
            return _short_of_other(value)


def _short_of_other(value: object) -> str | None:
    if isinstance(value, Address):
        return f"<{value.path}>"
    if isinstance(value, type):
        return f"<class {value.__qualname__}>"
    if _is_collection(value):
        return None if len(value) else f"{_summary(value)}"  # type: ignore[arg-type]
    if callable(value) and not _names(value):
        return f"<{getattr(value, '__qualname__', type(value).__name__)}>"
    return None if _names(value) else f"<{type(value).__name__}>"


def _is_collection(value: object) -> bool:
    return isinstance(value, Mapping | Set | list | tuple | deque)


def _summary(value: object) -> str:
    name = type(value).__name__
    if _is_collection(value):
        count = len(value)  # type: ignore[arg-type]
        return f"{name} of {count:,}"
    return name


def _parts(value: object) -> tuple[list[tuple[str, Any]], int]:
    """Return the first parts of a value with their labels, and how many are left out."""
    if isinstance(value, Mapping):
        shown = [(_label(key), part) for key, part in islice(value.items(), ITEMS_MAX)]
        return shown, len(value) - len(shown)
    if isinstance(value, list | tuple | deque):
        listed = [(f"{index}", part) for index, part in enumerate(islice(value, ITEMS_MAX))]
        return listed, len(value) - len(listed)
    if isinstance(value, Set):
        listed = [("-", part) for part in islice(value, ITEMS_MAX)]
        return listed, len(value) - len(listed)
    names = _names(value)
    return [(name.lstrip("_"), _attribute(value, name)) for name in names], 0


def _label(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return key
    short = _short(key)
    if short is not None:
        return short
    if isinstance(key, tuple):
        return ", ".join(_short(part) or type(part).__name__ for part in key[:ITEMS_MAX])
    return type(key).__name__


def _names(value: object) -> list[str]:
    """Return the names of an object's own attributes, without looking at any."""
    names: dict[str, None] = {}
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    names.update(dict.fromkeys(getattr(value, "__dict__", ())))
    return [name for name in names if not name.startswith("__") and name != "context"]


def _attribute(value: object, name: str) -> Any:
    if any(word in name.lower() for word in SECRET):
        return _Hidden()
    return getattr(value, name, None)


class _Hidden:
    """Stands for what is not shown."""

    __slots__ = ()
