"""Fresh snapshots to compare with: from a file that somebody renews, or asked of the node.

A node that serves its info writes the file itself, where it is told to, on its own file system; of
its answer only the status counts. It tells the height when asked to.
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final, Protocol

import trio
from attrs import define, field

from actors.node.errors import NodeDataError
from actors.node.follower import Compare, Look
from actors.node.offline import load_snapshot
from actors.node.status import NodeStatus
from actors.node.watch import FolderWatch
from model.node.snapshot import Snapshot
from supervision import Address

COMPARE_SECONDS: Final = 600.0
"""Between two comparisons while nothing is in doubt."""
HEAL_SECONDS: Final = 15.0
"""The same while something is."""
LOOK_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.002
"""How long lines are gathered after the first: a node that writes each event at once would have
the files read for every one of them.
"""
NODE_SECONDS_MAX: Final = 120.0
"""How long a node may take to write a snapshot; 10 to 30 s are usual."""

log = logging.getLogger("zaraba")


class Snapshots(Protocol):
    """Where snapshots come from. Both methods block."""

    def first(self) -> Snapshot:
        """Return one to begin with.

        Raises:
            NodeDataError: there is none.
        """
        ...

    def fresh(self) -> Snapshot | None:
        """Return one that was not returned before; ``None`` if there is none now.

        Raises:
            NodeDataError: there should be one.
        """
        ...


@define(eq=False)
class SnapshotFile:
    """A file that somebody else renews."""

    path: Path
    _seen: tuple[int, int] | None = field(init=False, default=None)

    def first(self) -> Snapshot:
        """Return what the file holds now."""
        self._seen = self._identity()
        return load_snapshot(self.path)

    def fresh(self) -> Snapshot | None:
        """Return what the file holds if it is another one than last time."""
        if self._identity() == self._seen:
            return None
        return self.first()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


@define(eq=False)
class NodeInfo:
    """A node's own info server, and the file that it is asked to write."""

    url: str
    path: Path

    def first(self) -> Snapshot:
        """Ask for a snapshot and wait for it."""
        request = {
            "type": "fileSnapshot",
            "request": {
                "type": "l4Snapshots",
                "includeUsers": True,
                "includeTriggerOrders": False,
            },
            "outPath": str(self.path.absolute()),
            "includeHeightInOutput": True,
        }
        call = urllib.request.Request(  # the operator's own URL
            self.url, json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(call, timeout=NODE_SECONDS_MAX) as answer:
                answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise NodeDataError(f"{self.url} gave no snapshot: {error}") from error
        return load_snapshot(self.path)

    def fresh(self) -> Snapshot | None:
        """Ask for another one."""
        return self.first()


async def watch_snapshots(
    snapshots: Snapshots,
    status: NodeStatus,
    follower: Address,
    *,
    clock: Callable[[], float] = trio.current_time,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have the books compared now and then, and soon when something is in doubt; for ever."""
    task_status.started()
    last = clock()
    while True:
        await trio.sleep(LOOK_SECONDS)
        if clock() - last < (HEAL_SECONDS if status.in_doubt else COMPARE_SECONDS):
            continue
        last = clock()
        try:
            snapshot = await trio.to_thread.run_sync(snapshots.fresh, abandon_on_cancel=True)
        except NodeDataError as error:
            log.warning("%s", error)
            continue
        if snapshot is not None:
            follower.tell(Compare(snapshot))


async def watch_files(
    folders: Callable[[], list[Path]],
    follower: Address,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have the files looked at whenever something happens to them; for ever."""
    watch = FolderWatch()
    listed_at = -inf
    try:
        task_status.started()
        while True:
            if trio.current_time() - listed_at >= LOOK_SECONDS:
                listed_at = trio.current_time()
                watch.watch(await trio.to_thread.run_sync(folders))
            await watch.wait()
            await trio.sleep(GATHER_SECONDS)
            if follower.depth == 0:
                follower.tell(Look())
    finally:
        watch.close()
