"""The benchmark of actors runs; its figures are not judged here."""

import gc

from api.bench.actors import run


def test_everything_is_measured_beside_its_baseline() -> None:
    """A small run has a row for each figure, ratios where there is a baseline, and cleans up."""
    before = gc.get_threshold()
    rows = {row.name: row for row in run(messages=1_000, asks=200, rounds=2, crowds=(2, 10))}

    assert all(row.figure > 0 for row in rows.values())
    assert rows["channel, send_nowait and drain"].ratio is None
    for name in (
        "tell and handle",
        "ask and answer",
        "ask and answer, 100 callers",
        "one message to each of 10 actors",
    ):
        assert rows[name].ratio is not None, name
    assert {"pykka: tell and handle", "crash to the next message, p50"} <= rows.keys()
    assert rows["memory of an actor"].unit == "KB"
    assert gc.get_threshold() == before
