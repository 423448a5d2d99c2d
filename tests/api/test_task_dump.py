"""Where every task waits."""

from __future__ import annotations

import logging
import os
import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from api import task_dump
from api.task_dump import describe_tasks, dump_on_signal, frames_of


async def _wait_here() -> None:
    await trio.sleep_forever()


async def test_siblings_at_one_place_share_a_line() -> None:
    """Each task is told with its place; many alike take one line."""
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(_wait_here, name=f"markets/{number}")
        nursery.start_soon(trio.sleep_forever, name="other")
        await wait_all_tasks_blocked()
        lines = [line.strip() for line in describe_tasks()]
        nursery.cancel_scope.cancel()

    (markets,) = (line for line in lines if line.startswith("markets/"))
    assert "(and 4 more)" in markets
    assert "test_task_dump.py" in markets
    assert "_wait_here" in markets
    assert any(line.startswith("other: ") for line in lines)


async def test_dump_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the lines nor the tasks that are looked at are without limit."""
    monkeypatch.setattr(task_dump, "LINES_MAX", 4)
    monkeypatch.setattr(task_dump, "SIBLINGS_MAX", 10)
    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(_wait_here, name=f"task {number}")
        await wait_all_tasks_blocked()
        cut = describe_tasks()
        monkeypatch.setattr(task_dump, "LINES_MAX", 100)
        whole = describe_tasks()
        nursery.cancel_scope.cancel()

    assert (len(cut), cut[-1]) == (5, "…")
    assert sum("task " in line for line in whole) == 10
    assert any("20 others: not looked at" in line for line in whole)


async def test_frames_of_a_task_by_its_name() -> None:
    """The places of one task, outermost first, none of them Trio's."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_here, name="here")
        await wait_all_tasks_blocked()
        frames = frames_of("here")
        nursery.cancel_scope.cancel()

    assert [frame.split()[-1] for frame in frames] == ["_wait_here"]
    assert frames_of("nobody") == []


async def test_signal_writes_the_tasks_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """SIGUSR1 harms nobody and tells where everybody waits, as often as it is sent."""
    dump_on_signal()
    await wait_all_tasks_blocked()
    with caplog.at_level(logging.WARNING, "zaraba"), trio.fail_after(5):
        for sent in (1, 2):
            os.kill(os.getpid(), signal.SIGUSR1)
            while len(caplog.records) < sent:  # noqa: ASYNC110  # nobody tells that it was logged
                await trio.sleep(0.001)

    assert all("test_signal_writes_the_tasks" in record.getMessage() for record in caplog.records)
