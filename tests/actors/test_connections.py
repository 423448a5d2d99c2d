"""The watch over live outlets, on virtual time."""

import trio

from actors.connections import CHECK_SECONDS, CLOSE_SECONDS_MAX, STALL_SECONDS_MAX, Connections
from actors.outlet import GOING_AWAY, SLOW_CONSUMER
from tests.actors.memory_outlet import Client, MemoryOutlet, text


async def test_an_outlet_on_which_nothing_moves_is_aborted_in_time(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that does not read is given the stall time, and hardly more."""
    connections = Connections()
    outlet = Client(nursery).outlet
    connections.add(outlet)
    outlet.reply(text("unread"))
    nursery.start_soon(connections.watch)

    await trio.sleep(STALL_SECONDS_MAX - CHECK_SECONDS)
    assert outlet.counts.stalled == 0
    await trio.sleep(3 * CHECK_SECONDS)

    assert outlet.aborted
    assert outlet.counts.stalled == 1


async def test_a_slow_reader_is_not_a_stall(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that always is behind but goes on reading keeps its connection."""
    connections = Connections()
    client = Client(nursery)
    connections.add(client.outlet)
    subscription = client.subscribe("one")
    nursery.start_soon(connections.watch)
    for number in range(30):
        subscription.offer(text(str(number)))

    for _ in range(30):
        await trio.sleep(STALL_SECONDS_MAX / 2)
        client.outlet.make_room(1)
    await trio.sleep(1)

    assert not client.outlet.aborted
    assert client.outlet.texts == [str(number) for number in range(30)]


async def test_an_idle_outlet_is_never_a_stall(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A connection on which nothing is said for hours stays."""
    connections = Connections()
    outlet = Client(nursery, room=1).outlet
    connections.add(outlet)
    nursery.start_soon(connections.watch)

    await trio.sleep(3_600)

    assert not outlet.aborted


async def test_a_close_that_the_peer_does_not_read_ends_sooner(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A closing connection has only the time for its last bytes."""
    connections = Connections()
    outlet = Client(nursery).outlet
    connections.add(outlet)
    nursery.start_soon(connections.watch)
    await trio.sleep(10)
    outlet.reply(text("unread"))
    outlet.close(SLOW_CONSUMER)

    await trio.sleep(CLOSE_SECONDS_MAX + 2 * CHECK_SECONDS)

    assert outlet.aborted


async def test_draining_closes_all_and_aborts_the_rest(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Those who read get a goodbye, those who do not are cut off at the deadline."""
    connections = Connections()
    reader, deaf = MemoryOutlet(room=9), MemoryOutlet()
    late = MemoryOutlet(room=9)
    deaf.reply(text("unread"))

    async def serve(outlet: MemoryOutlet) -> None:
        connections.add(outlet)
        await outlet.run()
        connections.discard(outlet)

    nursery.start_soon(serve, reader)
    nursery.start_soon(serve, deaf)
    await trio.sleep(1)
    start = trio.current_time()
    await connections.drain(2)
    nursery.start_soon(serve, late)
    await trio.sleep(1)

    assert trio.current_time() - start <= 3.1
    assert (reader.goodbye, reader.aborted) == (GOING_AWAY, False)
    assert (deaf.goodbye, deaf.aborted) == (None, True)
    assert late.goodbye == GOING_AWAY
    assert len(connections) == 0
