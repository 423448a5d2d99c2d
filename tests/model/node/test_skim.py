"""Statuses that need not be read: what is left out is never missed."""

import pytest

from actors.node.synthetic import Profile, SyntheticChain
from model.node.coins import Coins
from model.node.decimals import time_text
from model.node.ingest import Ingest
from model.node.lines import Form, Line, Stream, parse_line
from model.node.skim import RESTING, events_that_rest, lines_that_rest
from model.node.snapshot import read_snapshot, write_snapshot
from model.node.writing import write_block

PROFILE = Profile(coins=4, orders=100, changes=30, rejections=30)
BLOCKS = 20


def books(seed: int, form: Form, *, all_statuses: bool) -> tuple[Ingest, bytes]:
    """Follow a chain; return also every order, with what its status told."""
    chain = SyntheticChain(seed, PROFILE)
    coins = Coins()
    snapshot = b"".join(write_snapshot(chain.height, chain.snapshot()))
    coins.start(read_snapshot(snapshot), chain.height)
    ingest = Ingest(form, Stream, coins)
    ingest.wants_all_statuses = all_statuses
    for _ in range(BLOCKS):
        for stream, line in write_block(chain.next_block(), form, time_text(chain.time_ns)):
            ingest.lines(stream, [line[:-1]])
        list(ingest.blocks(0))
    list(ingest.finish())
    found = {name: coin.book.orders() for name, coin in coins.by_name.items()}
    return ingest, b"".join(write_snapshot(coins.height, found))


@pytest.mark.parametrize("form", Form)
def test_books_are_the_same(form: Form, seed: int) -> None:
    """Orders, queues and all that statuses tell of resting orders."""
    whole, all_read = books(seed, form, all_statuses=True)
    skimmed, some_read = books(seed, form, all_statuses=False)

    assert some_read == all_read
    assert skimmed.counts.skimmed > 0
    assert skimmed.counts.events + skimmed.counts.skimmed == whole.counts.events
    assert skimmed.counts.odd == whole.counts.odd


def statuses(names: list[str]) -> bytes:
    """Return a line of statuses of a block."""
    order = (
        '{"coin":"BTC","side":"B","limitPx":"1.0","sz":"2.0","oid":1,"timestamp":1,'
        '"triggerCondition":"say \\"status\\":\\"open\\"},{\\"time\\":","children":[]}'
    )
    events = ",".join(
        '{"time":"2026-05-05T17:39:13.0","user":"0x1","hash":null,"builder":null,'
        f'"status":"{name}","order":{order}}}'
        for name in names
    )
    return (
        '{"local_time":"2026-05-05T17:39:13.5","block_time":"2026-05-05T17:39:13.0",'
        f'"block_number":7,"events":[{events}]}}'
    ).encode()


@pytest.mark.parametrize(
    "names",
    [
        ["open"],
        ["filled"],
        ["open", "filled", "triggered"],
        ["canceled", "open", "badAloPxRejected"],
        ["canceled", "openRejected"],
        ["reduceOnlyCanceled", "triggered"],
    ],
)
def test_what_is_left_is_a_line_of_what_rests(names: list[str]) -> None:
    """Whichever stands first or last, and whatever its texts say."""
    shorter, left_out = events_that_rest(statuses(names))
    line = parse_line(Stream.STATUSES, shorter)

    assert isinstance(line, Line)
    assert line.problems == []
    assert [event.status for event in line.events] == [name for name in names if name in RESTING]  # type: ignore[union-attr]
    assert left_out == len(names) - len(line.events)


def test_lines_of_one_event() -> None:
    """Streaming, whole lines are left out, and those of more than one event never."""
    resting, gone, both = statuses(["open"]), statuses(["filled"]), statuses(["filled", "open"])
    spaced = gone.replace(b'":"', b'": "')

    assert lines_that_rest([resting, gone, both, spaced]) == [resting, both, spaced]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'{"events":[]}',
        statuses(["filled"])[:-1],
        statuses(["filled"]).replace(b'{"time"', b'{ "time"'),
        statuses(["filled"]) + b" ",
    ],
)
def test_what_is_not_as_nodes_write_it_is_left_alone(line: bytes) -> None:
    """It is read whole, and judged there."""
    assert events_that_rest(line) == (line, 0)


def test_an_odd_event_is_told_although_others_are_skimmed() -> None:
    """Of a line with anything odd in what is left, all is read."""
    coins = Coins()
    ingest = Ingest(Form.BLOCK, Stream, coins)
    ingest.wants_all_statuses = False
    line = statuses(["open", "filled"]).replace(b'"status":"open"', b'"status":"open","user":3', 1)
    ingest.lines(Stream.STATUSES, [line])

    assert ingest.counts.odd == {"statuses: event": 1}
    assert ingest.counts.skimmed == 0
    assert ingest.counts.events == 1
