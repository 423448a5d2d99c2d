"""The whole way from lines to books, where it is more than the sum of its parts."""

import pytest

from model.node.coins import Coins
from model.node.ingest import Ingest
from model.node.lines import Form, Stream
from model.node.snapshot import Snapshot

HEAD = '{"local_time":"2026-05-05T17:39:13.5","block_time":"2026-05-05T17:39:13.0"'


def line(height: int, status: str = "open") -> bytes:
    """Return a streaming line of one status."""
    order = (
        f'{{"coin":"BTC","side":"B","limitPx":"1.0","sz":"2.0","oid":{height},"timestamp":1,'
        '"triggerCondition":"N/A","isTrigger":false,"triggerPx":"0.0","children":[],'
        '"isPositionTpsl":false,"reduceOnly":false,"orderType":"Limit","origSz":"2.0",'
        '"tif":"Alo","cloid":null}'
    )
    event = (
        '{"time":"2026-05-05T17:39:13.0","user":"0x1","hash":null,"builder":null,'
        f'"status":"{status}","order":{order}}}'
    )
    return f'{HEAD},"block_number":{height},"events":[{event}]}}'.encode()


@pytest.fixture
def ingest() -> Ingest:
    """One that begins without orders at block 0, and skims rejections."""
    coins = Coins()
    coins.start(Snapshot(0, {}), 0)
    ingest = Ingest(Form.STREAMING, Stream, coins)
    ingest.wants_all_statuses = False
    return ingest


def test_no_lines_are_nothing(ingest: Ingest) -> None:
    """What is no line may come first of what was read, with no line before it."""
    ingest.lines(Stream.STATUSES, [])
    ingest.trouble(Stream.STATUSES, "a file ends in the middle of a line")

    assert ingest.counts.lines == 1


def test_rejections_that_are_read_the_second_time_only(ingest: Ingest) -> None:
    """A node writes blocks again after somebody began to follow rejections: nothing is odd."""
    blocks = [[line(height), line(height, "badAloPxRejected")] for height in range(1, 6)]
    for lines in blocks:
        ingest.lines(Stream.STATUSES, lines)

    ingest.wants_all_statuses = True
    for lines in blocks:
        ingest.lines(Stream.STATUSES, lines)
    ingest.lines(Stream.STATUSES, [line(6)])
    list(ingest.finish())

    assert ingest.counts.odd == {}


def test_rejections_that_are_skimmed_the_second_time(ingest: Ingest) -> None:
    """The same when nobody follows them any more."""
    blocks = [[line(height), line(height, "badAloPxRejected")] for height in range(1, 6)]
    ingest.wants_all_statuses = True
    for lines in blocks:
        ingest.lines(Stream.STATUSES, lines)

    ingest.wants_all_statuses = False
    for lines in blocks:
        ingest.lines(Stream.STATUSES, lines)
    ingest.lines(Stream.STATUSES, [line(6)])
    list(ingest.finish())

    assert ingest.counts.odd == {}


def test_kinds_of_faults_are_few(ingest: Ingest) -> None:
    """What is counted by kind is not counted by height, nor by what a hostile line says."""
    for height in range(1, 200):
        event = f'{{"coin":7,"oid":"{height}","x{height}":{height}}}'
        ingest.lines(
            Stream.DIFFS, [f'{HEAD},"block_number":{height},"events":[{event}]}}'.encode()]
        )
        ingest.lines(Stream.DIFFS, [b'{"junk":%d' % height])
    list(ingest.finish())

    assert ingest.counts.odd.total() > 200
    assert len(ingest.counts.odd) < 10
