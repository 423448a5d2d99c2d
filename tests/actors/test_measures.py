import gc

import pytest
import trio
import trio.lowlevel

from actors.measures import BOUNDS, HOPS, Durations, HopClock, ProcessClock


class Step:
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def counts(clock: HopClock) -> dict[str, int]:
    return {hop: durations.count for hop, durations in clock.hops.items()}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.00001, 0), (0.0000101, 1), (10.0, 18), (10.1, 19)]
)
def test_a_duration_is_in_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    """Bounds are inclusive, and what is longer than all of them is counted too."""
    durations = Durations()
    durations.observe(seconds)

    assert len(BOUNDS) == 19
    assert durations.counts.index(1) == bucket
    assert (durations.count, durations.total) == (1, seconds)


def test_what_is_traced_is_an_exemplar_of_its_bucket() -> None:
    """The newest traced one stays; what is not traced leaves none."""
    durations = Durations()
    durations.observe(0.002)
    durations.observe(0.002, Step())
    durations.observe(0.003)
    durations.observe(0.5)

    ((traceparent, value, _at),) = durations.exemplars.values()
    assert (traceparent, value) == (Step.traceparent, 0.002)


@pytest.mark.parametrize("published_first", [False, True])
def test_hops_are_measured_in_either_order(published_first: bool) -> None:
    """Views may be told of a block before its commands are answered or after."""
    clock = HopClock()
    clock.block_committed(7, sequenced_at=1.5, committed_at=2.0)
    if published_first:
        clock.block_published(7, 3.0)
    clock.executed(7, 1.0, None)
    if not published_first:
        clock.block_published(7, 3.0)
    clock.block_published(7, 9.0)

    totals = {hop: durations.total for hop, durations in clock.hops.items()}
    assert totals == {
        "checked": 0.0, "sequenced": 0.5, "committed": 1.0, "published": 2.0, "written": 0.0
    }  # fmt: skip


def test_a_receipt_of_an_older_block_tells_nothing() -> None:
    """What changed nothing names the last block, which began before it was received."""
    clock = HopClock()
    clock.block_committed(7, sequenced_at=1.0, committed_at=2.0)
    clock.executed(7, 5.0, None)
    clock.executed(8, 5.0, None)
    clock.block_published(8, 6.0)

    assert counts(clock) == dict.fromkeys(HOPS, 0)


def test_a_block_that_is_long_past_is_forgotten() -> None:
    """The table is bounded: a newer block takes the place of an old one."""
    clock = HopClock()
    clock.block_committed(1, sequenced_at=1.0, committed_at=2.0)
    clock.block_committed(65, sequenced_at=3.0, committed_at=4.0)
    clock.executed(1, 0.5, None)

    assert counts(clock)["committed"] == 0


async def test_the_process_is_measured_until_it_is_stopped() -> None:
    """Passes of the loop and collections are counted, and nothing stays behind."""
    callbacks = len(gc.callbacks)
    clock = ProcessClock()
    clock.start()
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    gc.collect()
    clock.stop()
    clock.stop()
    passes, collections = clock.loop.passes.count, clock.pauses[2].count
    await trio.lowlevel.checkpoint()
    gc.collect()

    assert passes >= 2
    assert collections == 1
    assert (clock.loop.passes.count, clock.pauses[2].count) == (passes, collections)
    assert len(gc.callbacks) == callbacks
