"""State as a bounded text."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

import pytest
from attrs import define

from api.state_text import ITEMS_MAX, LINES_MAX, TEXT_MAX, describe_state


class Side(Enum):
    """A plain value."""

    BUY = 1


@define
class Order:
    """A thing with parts."""

    price: int
    _private_key: str = "never shown"

    @property
    def costly(self) -> int:
        raise AssertionError("nothing of the object's own is called")

    def __repr__(self) -> str:
        raise AssertionError("nothing of the object's own is called")


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (7, ["x: 7"]),
        (None, ["x: None"]),
        ("text", ["x: 'text'"]),
        (Side.BUY, ["x: Side.BUY"]),
        (int, ["x: <class int>"]),
        (len, ["x: <len>"]),
        (object(), ["x: <object>"]),
        ([], ["x: list of 0"]),
        (deque([1]), ["x: deque of 1", "  0: 1"]),
        ({(1, "a"): 2}, ["x: dict of 1", "  1, 'a': 2"]),
        (frozenset({3}), ["x: frozenset of 1", "  -: 3"]),
        (Order(5), ["x: Order", "  price: 5", "  private_key: <_Hidden>"]),
    ],
)
def test_value_is_shown_by_its_parts(value: Any, lines: list[str]) -> None:
    """Plain values stand on their line, parts below it; secrets are not shown."""
    assert describe_state({"_x": value}) == lines


def test_large_state_is_cut_everywhere() -> None:
    """Long texts, large collections and deep nesting are cut, and say so."""
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    state = {"text": "y" * 1000, "many": list(range(1000)), "deep": deep}
    lines = describe_state(state)

    assert lines[0].endswith("… (1,000 long)")
    assert len(lines[0]) < TEXT_MAX + 40
    assert lines[ITEMS_MAX + 2] == f"  … {1000 - ITEMS_MAX} more"
    assert lines[-1].endswith("list of 1 …")
    assert len(lines) < 20


def test_text_has_an_end() -> None:
    """Whatever is told, it is no more than so many lines."""
    lines = describe_state({f"x{n}": list(range(5)) for n in range(1000)})

    assert (len(lines), lines[-1]) == (LINES_MAX + 1, "…")


def test_object_in_itself_ends() -> None:
    """A cycle is cut like any other depth."""
    loop: dict[str, Any] = {}
    loop["self"] = loop

    assert len(describe_state({"loop": loop})) < 10
