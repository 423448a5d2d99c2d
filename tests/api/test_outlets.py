"""The WebSocket edge over real sockets: what a client sees, byte by byte."""

from typing import ClassVar

import pytest
import trio
import trio.testing

from actors.connections import Connections
from actors.fanout import Cork, publish
from actors.frames import Frame
from actors.outlet import REPLIES_MAX, SLOW_CONSUMER, FanoutCounts
from actors.subscription import Ended, Policy
from api.outlets import DirectOutlet, FallbackOutlet, open_outlet
from api.server_objects import find_connection
from tests.api.edge import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawClient,
    number_of,
    numbered,
    open_edge,
    send_as_server,
    until,
)

LARGE = 600_000  # no socket of these tests takes that many bytes at once


async def read_numbers(client: RawClient, last: int) -> list[int]:
    numbers = [-1]
    while numbers[-1] != last:
        numbers.append(number_of(await client.read_text()))
    return numbers[1:]


async def test_a_plain_connection_is_served_directly() -> None:
    """A WebSocket over HTTP/1.1 without TLS gets the direct path, and its frames arrive."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)

        for number in range(3):
            publish([subscription], numbered(number))

        assert isinstance(outlet, DirectOutlet)
        assert await read_numbers(client, 2) == [0, 1, 2]
        assert (edge.counts.direct, edge.counts.fallback) == (1, 0)
        assert edge.counts.frames == 3


@pytest.mark.parametrize("direct", [True, False])
async def test_a_slow_lossless_subscriber_gets_everything_in_order(direct: bool) -> None:
    """Frames that found the socket full arrive later, complete, none twice and none overtaken."""
    async with open_edge(direct=direct) as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)

        for number in range(500):
            publish([subscription], numbered(number))
            if number % 50 == 0:
                await trio.lowlevel.checkpoint()

        assert subscription.held_frames > 0
        assert await read_numbers(client, 499) == list(range(500))
        await until(lambda: outlet.clear)


@pytest.mark.parametrize("direct", [True, False])
async def test_replies_keep_their_order_and_precede_waiting_data(direct: bool) -> None:
    """A reply given while data waits goes out before that data and after earlier replies."""
    async with open_edge(direct=direct) as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)
        for number in range(2):
            publish([subscription], numbered(number, LARGE))

        for reply in (b"a", b"b", b"c"):
            assert outlet.reply(Frame(reply))

        received = [await client.read_text() for _ in range(5)]
        assert [text if len(text) == 1 else number_of(text) for text in received] == [
            0, b"a", b"b", b"c", 1,
        ]  # fmt: skip


async def test_the_servers_pongs_never_cut_into_a_half_written_frame() -> None:
    """Pongs of the server come between our frames while each of these is written in pieces."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)
        received: list[bytes] = []
        pongs: list[bytes] = []

        async def send_pings() -> None:
            for number in range(200):
                await client.send(PING, b"%d" % number)
                await trio.sleep(0.001)

        async def publish_large() -> None:
            for number in range(12):
                publish([subscription], numbered(number, 70_000 + number))
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_pings)
            nursery.start_soon(publish_large)
            while len(received) < 12 or len(pongs) < 200:
                frame = await client.read()
                (received if frame.opcode == TEXT else pongs).append(frame.payload)
                assert frame.opcode in {TEXT, PONG}

        assert [number_of(payload) for payload in received] == list(range(12))
        assert pongs == [b"%d" % number for number in range(200)]


async def test_a_frame_is_not_begun_while_the_server_is_half_way_through_its_own() -> None:
    """While the server's own message waits for the client, our frames wait too."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.CONFLATE)
        message = "server " * 100_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_as_server, outlet, message)
            await until(lambda: not outlet.clear)

            for number in range(5):
                publish([subscription], numbered(number))

            assert await client.read_text() == message.encode()
            assert await read_numbers(client, 4) == [4]


async def test_conflation_sends_the_newest_state_of_each_key_in_the_order_they_began_to_wait() -> (
    None
):
    """A client that comes back gets one frame per key, each the newest, oldest waiter first."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.CONFLATE)
        subscription.offer(numbered(0, LARGE))

        for number in range(1, 31):
            subscription.offer(numbered(number, key=("BTC", "ETH", "SOL")[number % 3]))

        assert subscription.held_frames == 3
        assert await read_numbers(client, 30) == [0, 28, 29, 30]
        assert edge.counts.conflated == 27


async def test_latest_keeps_one_frame_whatever_the_keys() -> None:
    """A latest-only subscription holds a single frame."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LATEST)
        subscription.offer(numbered(0, LARGE))

        for number in range(1, 9):
            subscription.offer(numbered(number, key=number))

        assert subscription.held_frames == 1
        assert await read_numbers(client, 8) == [0, 8]


@pytest.mark.parametrize("direct", [True, False])
async def test_an_overflowing_lossless_subscription_closes_its_connection(direct: bool) -> None:
    """A lossless client that does not read is closed with a reason, and counted."""
    async with open_edge(direct=direct) as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)

        for number in range(3_000):
            publish([subscription], numbered(number))

        assert edge.ended == [("one", Ended.OVERFLOWED)]
        assert subscription.held_frames == 0
        assert edge.counts.overflowed == 1
        assert outlet.closing == SLOW_CONSUMER
        numbers = []
        while (frame := await client.read()).opcode == TEXT:
            numbers.append(number_of(frame.payload))
        assert (frame.opcode, frame.code) == (CLOSE, 1013)
        assert numbers == list(range(len(numbers)))


async def test_a_client_that_asks_without_reading_is_closed() -> None:
    """Replies are bounded; the request that finds them full ends the connection."""
    async with open_edge() as edge:
        _client, outlet = await edge.connect()
        edge.subscribe(outlet, Policy.LOSSLESS).offer(numbered(0, LARGE))

        given = [outlet.reply(Frame(b"pong")) for _ in range(REPLIES_MAX + 1)]

        assert given == [True] * REPLIES_MAX + [False]
        assert outlet.closing == SLOW_CONSUMER
        assert edge.counts.flooded == 1


async def test_subscriptions_of_a_connection_take_turns() -> None:
    """Two streams behind one slow socket advance together, neither waits for the other's end."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        first = edge.subscribe(outlet, Policy.LOSSLESS, "first")
        second = edge.subscribe(outlet, Policy.LOSSLESS, "second")
        first.offer(numbered(0, LARGE))
        for number in range(1, 201):
            first.offer(numbered(number))
        for number in range(1_001, 1_201):
            second.offer(numbered(number))

        numbers = [number_of(await client.read_text()) for _ in range(401)]

        assert [number for number in numbers if number < 1_000] == list(range(201))
        assert [number for number in numbers if number > 1_000] == list(range(1_001, 1_201))
        assert numbers.index(1_001) < 60
        assert numbers.index(200) > 340 or numbers.index(1_200) > 340


async def test_a_stalled_connection_is_aborted_and_delays_nobody() -> None:
    """A client that never reads is cut off while another one gets every frame at once."""
    connections = Connections(stall_seconds=0.3, close_seconds=0.1)
    async with open_edge(connections=connections) as edge:
        _stalled, stalled_outlet = await edge.connect()
        reader, reader_outlet = await edge.connect()
        stalled = edge.subscribe(stalled_outlet, Policy.CONFLATE, "stalled")
        healthy = edge.subscribe(reader_outlet, Policy.CONFLATE, "healthy")
        stalled.offer(numbered(0, LARGE))
        start = trio.current_time()

        while not stalled_outlet.closed:
            publish([stalled, healthy], numbered(1))
            assert number_of(await reader.read_text()) == 1
            connections.check(trio.current_time())
            await trio.sleep(0.01)

        assert 0.3 <= trio.current_time() - start < 2.0
        assert edge.counts.stalled == 1
        await until(lambda: len(connections) == 1)
        assert edge.ended == [("stalled", Ended.DISCONNECTED)]


async def test_a_server_send_that_nobody_reads_is_a_stall_too() -> None:
    """The server's own shielded write ends when the watch finds nothing moving."""
    connections = Connections(stall_seconds=0.2)
    async with open_edge(connections=connections) as edge:
        _client, outlet = await edge.connect()
        text = "x" * LARGE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_as_server, outlet, text)
            while not outlet.closed:
                await trio.sleep(0.01)
                connections.check(trio.current_time())

        await until(lambda: len(connections) == 0)
        assert edge.counts.stalled == 1


async def test_a_stalled_fallback_connection_is_aborted() -> None:
    """Where the server is known but its socket cannot be shared, a stall still ends."""
    connections = Connections(stall_seconds=0.2)
    async with open_edge(direct=False, connections=connections) as edge:
        _client, outlet = await edge.connect()
        assert isinstance(outlet, FallbackOutlet)
        outlet.reply(numbered(0, LARGE))

        while not outlet.closed:
            await trio.sleep(0.01)
            connections.check(trio.current_time())

        await until(lambda: len(connections) == 0)


async def test_closing_finishes_the_half_written_frame_first() -> None:
    """A close in the middle of a frame lets the frame end before the close frame follows."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        edge.subscribe(outlet, Policy.LOSSLESS).offer(numbered(7, LARGE))

        outlet.close(SLOW_CONSUMER)

        assert number_of(await client.read_text()) == 7
        close = await client.read()
        assert (close.opcode, close.code) == (CLOSE, 1013)
        assert close.payload[2:] == b"client reads too slowly"


async def test_a_clients_close_is_answered_after_the_half_written_frame() -> None:
    """The server's answer to a close waits for our frame; nothing of ours follows it."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)
        subscription.offer(numbered(7, LARGE))
        subscription.offer(numbered(8))

        await client.send(CLOSE, b"\x03\xe8")
        await trio.sleep(0.05)
        received = await client.read_to_end()

        assert number_of(received[0].payload) == 7
        assert received[-1].opcode == CLOSE
        await until(lambda: outlet.closed)
        await until(lambda: len(edge.connections) == 0)


async def test_a_client_that_vanishes_half_way_ends_everything_of_its_connection() -> None:
    """A reset in the middle of a frame ends outlet and subscription without an error."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)
        subscription.offer(numbered(0, LARGE))
        subscription.offer(numbered(1))

        await client.stream.aclose()
        await until(lambda: outlet.closed)
        subscription.offer(numbered(2))

        await until(lambda: len(edge.connections) == 0)
        assert edge.ended == [("one", Ended.DISCONNECTED)]


async def test_a_connection_with_compression_gets_uncompressed_frames() -> None:
    """Where the client negotiated permessage-deflate, direct frames are plain."""
    async with open_edge() as edge:
        client, outlet = await edge.connect(extensions="permessage-deflate")
        assert b"permessage-deflate" in client.response
        assert isinstance(outlet, DirectOutlet)

        publish([edge.subscribe(outlet, Policy.LOSSLESS)], numbered(1))
        await send_as_server(outlet, "x" * 50)
        publish([edge.subscribe(outlet, Policy.LOSSLESS)], numbered(2))

        frames = [await client.read() for _ in range(3)]
        assert [frame.compressed for frame in frames] == [False, True, False]
        assert [number_of(frames[index].payload) for index in (0, 2)] == [1, 2]


async def test_the_fallback_serves_what_the_direct_path_cannot() -> None:
    """Without known server objects, replies and data go through the framework."""
    async with open_edge(direct=False) as edge:
        client, outlet = await edge.connect()

        await client.send(TEXT, b"hello")

        assert isinstance(outlet, FallbackOutlet)
        assert await client.read_text() == b"re:hello"
        assert (edge.counts.direct, edge.counts.fallback) == (0, 1)


async def test_a_cork_writes_several_frames_of_a_connection_in_order() -> None:
    """Corked frames of several subscriptions arrive in the order of publishing, each once."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        book = edge.subscribe(outlet, Policy.CONFLATE, "book")
        trades = edge.subscribe(outlet, Policy.LOSSLESS, "trades")
        other_client, other_outlet = await edge.connect()
        other = edge.subscribe(other_outlet, Policy.CONFLATE, "other")

        cork = Cork()
        with cork:
            cork.publish([book, other], numbered(0))
            cork.publish([trades], numbered(1))
            assert edge.counts.frames == 0
            cork.publish([book], numbered(2))

        assert await read_numbers(client, 2) == [0, 1, 2]
        assert await read_numbers(other_client, 0) == [0]
        assert edge.counts.frames == 4


async def test_corked_frames_that_do_not_fit_go_to_their_backlogs() -> None:
    """A cork larger than the socket loses nothing and keeps each subscription's order."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        first = edge.subscribe(outlet, Policy.LOSSLESS, "first")
        second = edge.subscribe(outlet, Policy.LOSSLESS, "second")

        with Cork() as cork:
            for number in range(300):
                cork.publish([(first, second)[number % 2]], numbered(number, 4_000))

        numbers = [number_of(await client.read_text()) for _ in range(300)]
        assert [number for number in numbers if not number % 2] == list(range(0, 300, 2))
        assert [number for number in numbers if number % 2] == list(range(1, 300, 2))


async def test_a_cork_passes_over_subscriptions_that_ended() -> None:
    """What a client has unsubscribed from is not sent with the rest of the block."""
    async with open_edge() as edge:
        client, outlet = await edge.connect()
        gone = edge.subscribe(outlet, Policy.LOSSLESS, "gone")
        here = edge.subscribe(outlet, Policy.LOSSLESS, "here")
        gone.end(Ended.UNSUBSCRIBED)

        with Cork() as cork:
            cork.publish([gone, here], numbered(0))
            cork.publish([here], numbered(1))
            cork.publish([gone], numbered(2))
        outlet.reply(numbered(3))

        assert await read_numbers(client, 3) == [0, 1, 3]


@pytest.mark.parametrize("direct", [True, False])
async def test_shutdown_does_not_wait_for_a_client_that_never_reads(direct: bool) -> None:
    """Draining and stopping the server ends within seconds, stalled WebSocket and HTTP included."""
    async with open_edge(direct=direct) as edge:
        _stalled, outlet = await edge.connect()
        edge.subscribe(outlet, Policy.LOSSLESS).offer(numbered(0, LARGE))
        http = RawClient(await trio.open_tcp_stream("127.0.0.1", edge.port))
        edge.clients.append(http)
        await http.stream.send_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        healthy, _ = await edge.connect()
        await trio.sleep(0.05)

        start = trio.current_time()
        await edge.shut_down(0.5)

        assert trio.current_time() - start < 4.0
        close = await healthy.read()
        assert (close.opcode, close.code) == (CLOSE, 1001)


async def test_a_connection_that_arrives_while_draining_is_sent_away() -> None:
    """An upgrade answered after the drain began is closed at once."""
    async with open_edge() as edge:
        await edge.connections.drain(0)

        client, _ = await edge.connect()

        close = await client.read()
        assert (close.opcode, close.code) == (CLOSE, 1001)


async def test_an_encrypted_connection_is_served_by_the_fallback() -> None:
    """Behind TLS the socket carries no plain frames: the server's own send is used, in order."""
    async with open_edge(tls=True) as edge:
        client, outlet = await edge.connect()
        subscription = edge.subscribe(outlet, Policy.LOSSLESS)

        for number in range(200):
            publish([subscription], numbered(number))

        assert isinstance(outlet, FallbackOutlet)
        assert await read_numbers(client, 199) == list(range(200))


async def test_a_stalled_encrypted_connection_is_aborted() -> None:
    """The socket under TLS is known well enough to shut it down."""
    connections = Connections(stall_seconds=0.2)
    async with open_edge(tls=True, connections=connections) as edge:
        _client, outlet = await edge.connect()
        outlet.reply(numbered(0, LARGE))

        while not outlet.closed:
            await trio.sleep(0.01)
            connections.check(trio.current_time())

        await until(lambda: len(connections) == 0)


async def test_an_unknown_server_is_served_by_the_fallback() -> None:
    """With another server's `send` nothing is assumed: messages go through the framework."""

    class Elsewhere:
        def __init__(self) -> None:
            self.scope: dict[str, object] = {}
            self.calls: list[object] = []

        async def accept(self) -> None:
            self.calls.append("accept")

        async def send(self, data: object) -> None:
            self.calls.append(data)

        async def close(self, code: int, reason: str = "") -> None:
            self.calls.append(code)

    async def send(message: object) -> None: ...

    websocket = Elsewhere()
    connections = Connections()
    async with open_outlet(websocket, connections, FanoutCounts()) as outlet:
        outlet.reply(Frame(b"one"))
        outlet.reply(Frame(b"two"))

    assert find_connection(send) is None
    assert websocket.calls == ["accept", "one", "two", 1000]
    assert len(connections) == 0


async def test_aborting_an_unknown_server_stops_waiting_for_it() -> None:
    """Where no socket is known, an abort at least ends our own tasks."""

    class Stuck:
        scope: ClassVar[dict[str, object]] = {}

        async def accept(self) -> None: ...

        async def send(self, data: object) -> None:
            await trio.sleep_forever()

        async def close(self, code: int, reason: str = "") -> None: ...

    with trio.fail_after(5):
        async with open_outlet(Stuck(), Connections(), FanoutCounts()) as outlet:
            outlet.reply(Frame(b"one"))
            await trio.testing.wait_all_tasks_blocked()
            outlet.abort()
            await trio.sleep_forever()
