"""The picture of `zaraba tree`, without terminal or exchange."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.tree_report import Members, Node, TracedMessage, TreeReport
from api.tree_view import (
    COLUMNS_MIN,
    FOOTER,
    describe_message,
    describe_restart,
    duration,
    percent,
    render,
    shortened,
)
from api.watch_view import COLOURED

ADDRESS = "0x8c967e73e7b15087c42a10d344cff4c96d877f1d"


def node(path: str, kind: str = "actor", **members: Any) -> Node:
    state = members.pop("state", "running")
    return Node(path=path, kind=kind, state=state, generation=1, capacity=64, **members)


def crowd(**states: int) -> Members:
    return Members(
        known=sum(states.values()),
        states=states,
        depth=17,
        oldest_seconds=2.5,
        busy_share=1.25,
    )


def report(*nodes: Node, **members: Any) -> TreeReport:
    return TreeReport(data="lab", height=8123, time_ms=0, seconds=0.25, nodes=[*nodes], **members)


def exchange() -> TreeReport:
    return report(
        node("", "supervisor"),
        node("source", "supervisor"),
        node("source/sequencer", busy_share=0.34, depth=12, oldest_seconds=0.0012, handled=81234),
        node("markets", "pool", members=crowd(running=5, failed=1)),
        node("markets/0", title="BTC", busy_share=0.001, restarts=1),
        node(
            "markets/3",
            title="7203",
            state="failed",
            busy_share=0.0,
            last_failure="ValueError: a part of a block\nthat follows one it never got",
        ),
        node("accounts", "pool", members=crowd(running=1)),
        node(f"accounts/{ADDRESS}", busy_share=0.0),
        node("server", "task"),
    )


def drawn(tree: TreeReport, columns: int = 100, **options: Any) -> list[str]:
    return render(tree, columns=columns, time_of_day=lambda _: "20:01:12", **options)


def visible(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_tree_is_drawn_with_strokes_and_aligned() -> None:
    """Children hang below their parents, and numbers stand below their titles."""
    assert drawn(exchange(), 84) == [
        "zaraba tree   lab   height 8,123                                            20:01:12",
        "",
        "                       state       gen  restarts   queue  ctrl  oldest   busy",
        "the root               running       1         0",
        "├─ source              running       1         0",
        "│  └─ sequencer        running       1         0      12     0   1.2ms    34%",
        "├─ markets             running       1         0      17          2.5s   125%",
        "│  ├─ 0 BTC            running       1         1       0     0       -    <1%",
        "│  ├─ 3 7203           failed        1         0       0     0       -     0%",
        "│  │    ! ValueError: a part of a block that follows one it never got",
        "│  └─ … 4 more: 4 running",
        "├─ accounts            running       1         0      17          2.5s   125%",
        "│  └─ 0x8c967e73…7f1d  running       1         0       0     0       -     0%",
        "└─ server              running       1         0",
    ]


@pytest.mark.parametrize("columns", [COLUMNS_MIN, 40, 60, 80, 100, 160])
@pytest.mark.parametrize("rows", [None, 1, 5, 24])
@pytest.mark.parametrize("trouble", ["", "away: no exchange is running on lab"])
def test_picture_fits_the_terminal(columns: int, rows: int | None, trouble: str) -> None:
    """No line is wider than the terminal and no picture higher, with or without colours."""
    lines = drawn(exchange(), columns, rows=rows, palette=COLOURED, trouble=trouble)

    assert max(len(visible(line)) for line in lines) <= columns
    assert rows is None or len(lines) <= rows
    assert [visible(line).rstrip() for line in lines] == drawn(
        exchange(), columns, rows=rows, trouble=trouble
    )


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (24, ["state"]),
        (60, ["state", "restarts", "queue", "oldest", "busy"]),
        (80, ["state", "gen", "restarts", "queue", "ctrl", "oldest", "busy"]),
        (160, "kind state up gen restarts handled queue ctrl oldest busy".split()),
    ],
)
def test_the_least_telling_columns_go_first(columns: int, titles: list[str]) -> None:
    """A narrow terminal keeps the state, then the queue, then how busy it is."""
    assert drawn(exchange(), columns)[2].split() == titles


def test_cut_picture_says_how_much_is_missing() -> None:
    """On a low terminal the tree is cut, the way out stays."""
    lines = drawn(exchange(), rows=8)

    assert lines[-2:] == ["… 8 more lines", FOOTER]
    assert len(lines) == 8


def test_one_actor_is_told_in_detail() -> None:
    """A path that is an actor shows what it does and where it waits."""
    one = node(
        "markets/0",
        title="BTC",
        in_hand=["BlockPart"],
        in_hand_seconds=12.0,
        waits_for=["router"],
        handled=7,
        refused=2,
        high_water=3,
    )
    lines = drawn(report(one, frames=["actors/market.py:1 Market.handle", "trio/x.py:2 sleep"]))

    assert lines[4:] == [
        "",
        "  in hand   BlockPart for 12s",
        "  handled   7 messages; 2 were refused",
        "  queue     0 of 64; at most 3 so far",
        "  waits for router",
        "  waits at  actors/market.py:1 Market.handle",
        "            trio/x.py:2 sleep",
    ]


def test_held_actor_is_marked() -> None:
    """A suspended actor is not shown as one that runs."""
    held = drawn(report(node("router", is_suspended=True)), 60)[3]

    assert held.split()[:2] == ["router", "held"]


def test_failed_actor_catches_the_eye() -> None:
    """What failed has another colour than what runs."""
    lines = drawn(exchange(), palette=COLOURED)
    running, failed = (next(x for x in lines if name in x) for name in ("0 BTC", "3 7203"))

    assert COLOURED.ask in failed
    assert COLOURED.ask not in running


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "-"),
        (0.00004, "0.0ms"),
        (0.0012, "1.2ms"),
        (0.25, "250ms"),
        (0.99999, "1.0s"),
        (2.5, "2.5s"),
        (9.99, "10s"),
        (59.7, "1m00s"),
        (61, "1m01s"),
        (7500, "2h05m"),
        (90_000, "1d01h"),
    ],
)
def test_duration_fits_its_column(seconds: float, text: str) -> None:
    """Every time is told in at most six characters."""
    assert duration(seconds) == text


def test_share_in_percent() -> None:
    """A trace of work is not nothing, and no mailbox is no share."""
    assert [percent(share) for share in (None, 0.0, 0.004, 0.34, 1.0)] == [
        "", "0%", "<1%", "34%", "100%",
    ]  # fmt: skip


def test_shortened_text_shows_that_it_is() -> None:
    """A cut text ends in an ellipsis; there is room for it, or for nothing."""
    assert [shortened("market", columns) for columns in (6, 5, 1, 0)] == [
        "market",
        "mark…",
        "…",
        "",
    ]


def test_traced_message_in_a_line() -> None:
    """A message in has its wait and its time; of one out only the receiver is known."""
    came = TracedMessage(
        time_ms=5, way="in", type="BlockPart", peer="router",
        wait_seconds=0.0004, handle_seconds=0.002, outcome="raised ValueError()",
    )  # fmt: skip
    went = TracedMessage(
        time_ms=5, way="out", type="Ask", peer="", wait_seconds=0.0,
        handle_seconds=0.0, outcome="asked",
    )  # fmt: skip

    assert [describe_message(m, time_of_day=lambda _: "20:01:12") for m in (came, went)] == [
        "20:01:12.005  in    0.4ms   2.0ms  raised     BlockPart from router  ValueError()",
        "20:01:12.005  out                  asked      Ask to outside",
    ]


@pytest.mark.parametrize("columns", [48, 60, 80, 100])
@pytest.mark.parametrize("outcome", ["answered", f"raised {'Error' * 40}"])
def test_traced_message_fits_the_terminal(columns: int, outcome: str) -> None:
    """Long keys are shown by their ends, and what is still too long is cut."""
    message = TracedMessage(
        time_ms=5, way="in", type="SubmitAction", peer=f"accounts/{ADDRESS}",
        wait_seconds=0.0, handle_seconds=12.0, outcome=outcome,
    )  # fmt: skip
    line = visible(describe_message(message, columns=columns, palette=COLOURED))

    assert len(line) <= columns
    assert ("from accounts/0x8c967e73…7f1d" in line) == (columns >= 90)


def test_restart_in_a_line() -> None:
    """A restart tells of the generations, and of those it took along."""
    answer = {
        "actor": "router", "before": 1, "after": 2, "state": "running",
        "seconds": 0.114, "also": ["markets", "server"],
    }  # fmt: skip

    assert describe_restart(answer) == (
        "router restarted: generation 1 -> 2, running, in 114ms; with it markets, server"
    )
