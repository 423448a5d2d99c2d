"""The requests of the admin API about the living tree, on a small tree and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from api import tree_admin
from api.admin import AdminError
from api.tree_admin import TRACES_MAX, TreeOperator
from api.tree_report import TreeReport
from supervision import Actor, ChildSpec, PoolSpec, Strategy, SupervisorSpec, open_system


class Worker(Actor):
    """Works as many seconds as it is told."""

    async def init(self) -> None:
        self.orders = dict.fromkeys(range(100), "resting")

    async def handle(self, message: float) -> None:
        if message < 0:
            raise ValueError("a part of a block that it never got")
        await trio.sleep(message)


@asynccontextmanager
async def operated() -> AsyncIterator[tuple[TreeOperator, Any]]:
    """A tree with two markets, and the operator that answers for it."""
    pool: PoolSpec[int] = PoolSpec(start=lambda key: Worker(), intensity=0)
    inner = SupervisorSpec([ChildSpec("snapshots", Worker), ChildSpec("sequencer", Worker)])
    spec = SupervisorSpec(
        [ChildSpec("source", inner), ChildSpec("router", Worker), ChildSpec("markets", pool)],
        strategy=Strategy.REST_FOR_ONE,
    )
    universe = dict(enumerate((SimpleNamespace(name="BTC"), SimpleNamespace(name="ETH"))))
    program: Any = SimpleNamespace(
        settings=SimpleNamespace(data=Path("lab")),
        gateway=SimpleNamespace(directory=SimpleNamespace(height=7, universe=universe)),
    )
    async with open_system(spec) as system:
        program.system = system
        for key in range(2):
            system.pool("markets").address(key).tell(0.0)
        await trio.sleep(1)
        yield TreeOperator(program), system


async def test_tree_is_told_with_titles_and_survives_json(autojump_clock: MockClock) -> None:
    """The whole tree is told in its order, and reads the same after its way over the socket."""
    async with operated() as (operator, system):
        system.address("router").tell(100.0)
        report = await operator.tree({"seconds": 1})

    assert [node.path for node in report.nodes] == [
        "", "source", "source/snapshots", "source/sequencer", "router",
        "markets", "markets/0", "markets/1",
    ]  # fmt: skip
    assert [node.title for node in report.nodes[-2:]] == ["BTC", "ETH"]
    assert (report.height, report.nodes[4].busy_share) == (7, 1.0)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(report)), TreeReport) == report


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("markets/1", "markets/1"),
        ("markets/eth", "markets/1"),
        ("ETH", "markets/1"),
        ("sequencer", "source/sequencer"),
        ("/router/", "router"),
        ("rout", "router"),
        ("", ""),
    ],
)
async def test_path_may_be_named_by_a_part(autojump_clock: MockClock, text: str, path: str) -> None:
    """Whatever is one place's alone names it."""
    async with operated() as (operator, _):
        report = await operator.tree({"path": text})

    assert report.nodes[0].path == path


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("sequenzer", "near are source/sequencer"),
        ("markets/BTX", "near are markets/0"),
        ("source/s", "near are source/snapshots, source/sequencer"),
        ("zzz", "there are source, source/snapshots"),
    ],
)
async def test_unknown_path_tells_what_is_near(
    autojump_clock: MockClock, text: str, near: str
) -> None:
    """A typing error is answered with what may have been meant."""
    async with operated() as (operator, _):
        with pytest.raises(AdminError, match=near):
            await operator.tree({"path": text})


@pytest.mark.parametrize(
    "request_",
    [{"path": 7}, {"top": 0}, {"top": "all"}, {"top": True}, {"seconds": 3600}, {"seconds": -1}],
)
async def test_senseless_request_is_refused(
    autojump_clock: MockClock, request_: dict[str, Any]
) -> None:
    """The refusal names the member and its bounds."""
    async with operated() as (operator, _):
        with pytest.raises(AdminError, match=next(iter(request_))):
            await operator.tree(request_)


async def test_restart_tells_what_came_along(autojump_clock: MockClock) -> None:
    """A child takes along whom its crash would take along, and they are named."""
    async with operated() as (operator, _):
        answer = await operator.restart({"actor": "router"})

    assert (answer["actor"], answer["before"], answer["after"]) == ("router", 1, 2)
    assert (answer["state"], answer["also"]) == ("running", ["markets"])


async def test_member_of_a_pool_is_restarted_alone(autojump_clock: MockClock) -> None:
    """One market is started anew, also after it failed for good."""
    async with operated() as (operator, system):
        system.address("markets/0").tell(-1.0)
        await trio.sleep(1)
        failed = (await operator.tree({"path": "BTC"})).nodes[0]
        answer = await operator.restart({"actor": "markets/BTC"})

        assert failed.state == "failed"
        assert failed.last_failure == "ValueError: a part of a block that it never got"
        assert (answer["after"], answer["state"], answer["also"]) == (2, "running", [])
        assert system.address("markets/1").generation == 1


async def test_root_is_not_restarted(autojump_clock: MockClock) -> None:
    """That would be another process."""
    async with operated() as (operator, _):
        with pytest.raises(AdminError, match="restart the process"):
            await operator.restart({"actor": ""})


async def test_trace_tells_messages_and_ends_by_itself(autojump_clock: MockClock) -> None:
    """It is read piece by piece and is over after the number that was asked for."""
    async with operated() as (operator, system):
        router = system.address("router")
        router.tell(2.0)
        answers = [await operator.trace({"actor": "router", "messages": 2, "seconds": 60})]
        router.tell(0.5)
        while not answers[-1]["done"]:
            answers.append(await operator.trace({"trace": answers[0]["trace"]}))
        told = [message for answer in answers for message in answer["messages"]]
        with pytest.raises(AdminError, match="it may have ended"):
            await operator.trace({"trace": answers[0]["trace"]})

    assert [(m.way, m.type, m.outcome) for m in told] == [("in", "float", "handled")] * 2
    assert [round(m.handle_seconds, 3) for m in told] == [2.0, 0.5]


async def test_trace_ends_with_its_time(autojump_clock: MockClock) -> None:
    """Nobody needs to stop it, and an actor without messages is traced no longer."""
    async with operated() as (operator, _):
        began = trio.current_time()
        answer = await operator.trace({"actor": "router", "seconds": 3})
        while not answer["done"]:
            answer = await operator.trace({"trace": answer["trace"]})

    assert answer["messages"] == []
    assert trio.current_time() - began == pytest.approx(3.0, abs=0.1)


async def test_traces_are_bounded(autojump_clock: MockClock) -> None:
    """So many at once and no more; those that nobody reads make room when they are over."""
    async with operated() as (operator, _):
        for _ in range(TRACES_MAX):
            await operator.trace({"actor": "router", "seconds": 60})
        with pytest.raises(AdminError, match="each ends by itself"):
            await operator.trace({"actor": "router"})
        await trio.sleep(60)

        assert not (await operator.trace({"actor": "router"}))["done"]


async def test_state_is_told_by_the_actor_itself(autojump_clock: MockClock) -> None:
    """It is a bounded text of what the actor holds."""
    async with operated() as (operator, _):
        answer = await operator.state({"actor": "router"})

    assert answer["lines"][:2] == ["orders: dict of 100", "  0: 'resting'"]
    assert answer["lines"][-1] == "  … 92 more"


async def test_state_of_an_actor_that_hangs_is_not_waited_for(autojump_clock: MockClock) -> None:
    """The operator is told what it has in hand, and since when."""
    async with operated() as (operator, system):
        system.address("router").tell(1000.0)
        await trio.sleep(2)
        with pytest.raises(AdminError, match=r"router .* has had float in hand for 7\.0 s"):
            await operator.state({"actor": "router"})


async def test_only_actors_have_messages_and_state(autojump_clock: MockClock) -> None:
    """A pool or a supervisor is not one."""
    async with operated() as (operator, _):
        for request in (operator.state, operator.trace):
            with pytest.raises(AdminError, match="markets is a pool"):
                await request({"actor": "markets"})


async def test_tree_that_starts_is_not_looked_at() -> None:
    """Before it is there the operator is told so."""
    program: Any = SimpleNamespace(system=None)

    with pytest.raises(AdminError, match="still starting"):
        await tree_admin.TreeOperator(program).tree({})
