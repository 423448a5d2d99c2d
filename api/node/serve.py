"""``zaraba serve --source node:PATH``: run a gateway beside a node until it is told to stop."""

from __future__ import annotations

from api.interpreter import settle_heap
from api.node.program import NodeProgram, NodeSettings, open_node_program
from api.serve import run_until_stopped, say


def run_node(settings: NodeSettings) -> int:
    """Serve until stopped; return the process's exit status."""

    async def serve() -> None:
        async with open_node_program(settings) as program:
            settle_heap()
            for line in banner(program):
                say(line)
            await program.wait_stopped()

    return run_until_stopped(serve, settings.bind)


def banner(program: NodeProgram) -> list[str]:
    """Return what a person wants to know of a gateway that has just started."""
    settings, status = program.settings, program.gateway.status
    snapshots = settings.node_info or settings.snapshot
    return [
        f"zaraba is listening on {', '.join(program.urls)}",
        f"  node     {settings.root} (from block {status.height}, {len(status.coins)} coins)",
        f"  heals    by snapshots from {snapshots}",
        f"  actions  {f'go to {settings.upstream}' if settings.upstream else 'are refused'}",
        "  stop     Ctrl-C",
    ]
