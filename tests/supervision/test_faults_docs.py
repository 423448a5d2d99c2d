"""The page on faults says what is so: its code runs, and its failures fail."""

import re
from pathlib import Path
from typing import Any

import pytest

from supervision.faults import SweepError, explore, sweep

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.fixture
def page() -> dict[str, Any]:
    """Run the Python of the page, in order, and return what it defines."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    return names


def test_examples_do_what_the_page_says(
    page: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The hasty transfer and the two deposits are found out, the careful one passes."""
    with pytest.raises(SweepError, match=r"struck at step 1, in .*transfer: AssertionError"):
        sweep(page["scenario"])
    with pytest.raises(SweepError, match="FAULTS='two_deposits search=order'"):
        explore(page["two_deposits"])

    assert "1 steps struck at 1 of 1 sites" in sweep(page["careful"]).summary()
