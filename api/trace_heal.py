"""The story of a heal, for ``zaraba trace``: beside a node that loses two blocks of its files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import trio

from actors.carried import carrying
from actors.node.follower import Compare
from actors.node.oddities import Mishap, OddNode
from actors.node.synthetic import Profile, SyntheticChain
from actors.tracing import Tracing
from actors.tracing_export import KeptSpans
from api.node.program import NodeProgram, NodeSettings, open_node_program
from api.trace_flow import Line, tell
from api.trace_stage import SCENARIO_SECONDS_MAX, TRACEPARENT, follow, open_socket
from model.node.lines import Form

SEED: Final = 3
PROFILE: Final = Profile(coins=1, orders=200, changes=8, rejections=0)
COIN: Final = "BTC"
LOST: Final = (3, 4)
"""Which of the blocks are not written."""
BLOCKS: Final = 10


async def follow_heal() -> list[Line]:
    """Lose blocks, bring a snapshot that covers the loss, and return what that caused."""
    with TemporaryDirectory(prefix="zaraba-trace-") as folder:
        root, snapshot = Path(folder) / "node", Path(folder) / "snapshot.json"
        root.mkdir()
        node = OddNode(SyntheticChain(SEED, PROFILE), root, Form.BLOCK, Random(SEED))
        snapshot.write_bytes(node.snapshot())
        node.step()
        kept = KeptSpans()
        tracing = Tracing([kept])
        settings = NodeSettings(root, Path(folder) / "data", snapshot, port=0)
        with trio.fail_after(SCENARIO_SECONDS_MAX):
            async with AsyncExitStack() as stack:
                program = await stack.enter_async_context(
                    open_node_program(settings, tracing=tracing)
                )
                listener = await stack.enter_async_context(open_socket(program.urls[0]))
                for channel in ("bbo", "book"):
                    await follow(listener, channel, coin=COIN)
                await _lose_blocks(node, program)
                await _heal(node, program, tracing, snapshot)
                lines = tell(kept.spans, _name_of(program))
        node.writer.close()
    return lines


async def _lose_blocks(node: OddNode, program: NodeProgram) -> None:
    for number in range(BLOCKS):
        node.step(Mishap.GAP if number in LOST else None)
    await _until(lambda: program.gateway.status.in_doubt > 0)
    newest = max(height for _, height in node.truths)
    await _until(lambda: program.gateway.status.height >= newest)


async def _heal(node: OddNode, program: NodeProgram, tracing: Tracing, snapshot: Path) -> None:
    fresh = snapshot.with_suffix(".new")
    fresh.write_bytes(node.snapshot())
    fresh.rename(snapshot)
    found = await trio.to_thread.run_sync(program.snapshots.fresh)
    assert found is not None
    step = tracing.begin("snapshots", TRACEPARENT, {"fault.type": "snapshot"})
    assert step is not None
    with carrying(step):
        program.gateway.follower.tell(Compare(found))
    step.end()
    await _until(lambda: program.gateway.status.resets > 0)
    await trio.sleep(0.1)  # the views are told at once


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  # nobody tells of it
        await trio.sleep(0.01)


def _name_of(program: NodeProgram) -> Callable[[str], str]:
    def name_of(path: str) -> str:
        pool, _, _key = path.partition("/")
        return f"market {COIN}" if pool == "markets" else path.rpartition("/")[2]

    return name_of
