"""What README tells users of the clients to type runs as it stands."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.program.harness import ROOT, Program, running

pytestmark = pytest.mark.program

BLOCK: Final = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRINTED_URL: Final = "http://127.0.0.1:8000"
RUN_SECONDS_MAX: Final = 60.0
LEAVE: Final = "import os, sys; sys.stdout.flush(); os._exit(0)"
"""A subscription of the SDK goes on for ever, as it should."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """What ``make run`` starts, without the bots."""
    directory = tmp_path_factory.mktemp("readme") / "data"
    with running(directory, "--faucet", "10000") as program:
        yield program


def test_examples(exchange: Program, tmp_path: Path) -> None:
    """An order of the Python SDK and one of ccxt rest, each one's account made a moment before."""
    code = "\n".join(BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert PRINTED_URL in code
    script = tmp_path / "readme.py"
    host = PRINTED_URL.removeprefix("http://")
    script.write_text(code.replace(host, exchange.url.removeprefix("http://")) + f"\n{LEAVE}\n")

    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resting") >= 2
