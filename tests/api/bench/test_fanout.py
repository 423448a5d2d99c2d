"""The fan-out benchmark runs and accounts for every byte; its figures are not judged here."""

import pytest

from api.bench.fanout import book_frame, run


@pytest.mark.program
async def test_every_way_is_measured_with_a_stalled_client_among_the_subscribers() -> None:
    """A small run gives one row for each way, with its ratio to the bare send."""
    rows = await run(((4, 1),), rounds=2)

    ways = [row.name.rpartition(": ")[2] for row in rows]
    assert ways == ["bare", "websocket.send", "publish", "corked"]
    assert [row.ratio is None for row in rows] == [True, False, False, False]
    assert all(row.figure > 0 for row in rows)


def test_the_frame_is_a_book_of_twenty_levels() -> None:
    """What is sent has the size of a real book, so that the figures mean something."""
    assert 1_500 < book_frame().size < 2_200
