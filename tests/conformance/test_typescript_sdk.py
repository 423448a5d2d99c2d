"""The published TypeScript SDK trades, reads and watches. ``make typescript`` fetches it.

Where there is no Node.js 22 or the packages were not fetched, these tests are skipped, and the page
of compatibility keeps what the last complete run saw.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import eth_account
import pytest

from tests.conformance.page import TYPESCRIPT
from tests.conformance.record import ACTION, CHANNEL, INFO, Recorder
from tests.program.harness import Program, spare_name

pytestmark = pytest.mark.program

HERE: Final = Path(__file__).parent / "typescript"
NODE_VERSION_MIN: Final = 22
RUN_SECONDS_MAX: Final = 120.0
KINDS: Final = {"InfoClient": INFO, "ExchangeClient": ACTION, "SubscriptionClient": CHANNEL}


def find_node() -> str:
    """Return a Node.js that has WebSocket; skip the test where there is none."""
    beside = Path(sys.executable).parent / "node"
    node = str(beside) if beside.exists() else shutil.which("node")
    if node is None or not (HERE / "node_modules").exists():
        pytest.skip("the TypeScript SDK is not here; make typescript fetches it")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION_MIN:
        pytest.skip(f"Node.js {version.strip()} is too old for the TypeScript SDK")
    return node


@pytest.fixture(scope="module")
def told(exchange: Program) -> dict[str, Any]:
    """What the SDK's user told of each step."""
    node = find_node()
    keys = []
    for _ in range(2):
        account = eth_account.Account.create()
        exchange.fund(account.address, 10_000)
        keys.append(f"0x{bytes(account.key).hex()}")
    done = subprocess.run(
        [node, str(HERE / "user.mjs"), exchange.url, *keys, spare_name(0)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    return {step["step"]: step for step in steps}


@pytest.mark.parametrize(
    "step",
    [
        "reads of the markets",
        "reads of an account",
        "further reads",
        "further streams",
        "orders",
        "a trade",
        "refusals are thrown",
        "leverage, transfers and approvals",
        "streams of the markets",
        "streams of an account, asked for in mixed case",
        "trigger orders and groups",
        "scheduled cancellation",
        "isolated margin",
        "transfers",
        "sub-accounts",
        "TWAP orders",
        "orders over the socket",
    ],
)
def test_step(told: dict[str, Any], recorder: Recorder, step: str) -> None:
    """A step of the SDK's user ends without an error."""
    for call in told[step]["calls"]:
        client, _, name = call.partition(".")  # a method is named after what it sends
        recorder.note_call(TYPESCRIPT, call, (KINDS[client], name))

    assert told[step]["error"] is None
