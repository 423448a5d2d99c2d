"""Where snapshots come from, and what wakes the follower."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.node.errors import NodeDataError
from actors.node.snapshots import NodeInfo, SnapshotFile
from actors.node.watch import FolderWatch


@contextmanager
def info_server(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """Run an info server that writes a snapshot where it is told to; yield its URL and requests."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(request)
            Path(request["outPath"]).write_text('[7,[["BTC",[[],[]]]]]')
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/info", asked
        finally:
            server.shutdown()
            thread.join()


def test_snapshot_is_asked_of_the_node(tmp_path: Path) -> None:
    """The node is asked for the books with owners and height, and writes them itself."""
    with info_server() as (url, asked):
        snapshot = NodeInfo(url, tmp_path / "out.json").first()

    assert (snapshot.height, list(snapshot.coins)) == (7, ["BTC"])
    assert asked[0]["type"] == "fileSnapshot"
    assert asked[0]["request"]["includeUsers"] is True
    assert asked[0]["includeHeightInOutput"] is True


def test_node_that_gives_none(tmp_path: Path) -> None:
    """A node that refuses, or is not there, is told of as such."""
    with info_server(422) as (url, _), pytest.raises(NodeDataError):
        NodeInfo(url, tmp_path / "out.json").first()
    with pytest.raises(NodeDataError):
        NodeInfo(url, tmp_path / "out.json").first()


def test_file_that_is_renewed(tmp_path: Path) -> None:
    """A file is read again when it is another one, and its name may tell the height."""
    path = tmp_path / "12.json"
    path.write_text('[["BTC",[[],[]]]]')
    snapshots = SnapshotFile(path)

    assert snapshots.first().height == 12
    assert snapshots.fresh() is None
    fresh = path.with_suffix(".new")
    fresh.write_text('[15,[["BTC",[[],[]]]]]')
    fresh.rename(path)
    renewed = snapshots.fresh()
    assert renewed is not None
    assert renewed.height == 15


async def test_watch_wakes_at_once(tmp_path: Path) -> None:
    """A line that is added wakes whoever waits; without inotify a timer does."""
    watch = FolderWatch()
    try:
        watch.watch([tmp_path])
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch.wait)
                await trio.testing.wait_all_tasks_blocked()
                (tmp_path / "9").write_text("x")
    finally:
        watch.close()


async def test_blind_watch_is_a_timer(autojump_clock: trio.testing.MockClock) -> None:
    """Where the system offers nothing, waiting ends by itself."""
    watch = FolderWatch()
    watch.close()
    started = trio.current_time()

    await watch.wait()

    assert 0 < trio.current_time() - started < 1
