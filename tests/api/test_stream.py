"""The protocol of one connection, over a real gateway and an outlet in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.subscription import Subscription
from api.program import Program
from api.stream import POSTS_IN_FLIGHT_MAX, SUBSCRIPTIONS_MAX, USERS_MAX, Stream
from api.subscriptions import SUBSCRIPTION_BYTES_MAX, Wanted
from model.units import USD
from tests.actors.memory_outlet import MemoryOutlet
from tests.api.gateways import key, open_gateway, order_body


class Client:
    """Sends to a stream; ``seen`` is what came back."""

    def __init__(self, program: Program, nursery: trio.Nursery) -> None:
        self.program = program
        self.outlet = MemoryOutlet(1_000_000)
        self.stream = Stream(program.gateway, program.entry, program.info, self.outlet)
        self._send, self._receive = trio.open_memory_channel[str | bytes](10_000)
        self.scope = trio.CancelScope()
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        with self.scope:
            await self.stream.run(self._receive.receive)

    @property
    def seen(self) -> list[Any]:
        return [msgspec.json.decode(frame.payload) for frame in self.outlet.written]

    def say(self, message: Any) -> None:
        self._send.send_nowait(
            message if isinstance(message, str | bytes) else msgspec.json.encode(message).decode()
        )

    def subscribe(self, kind: str, method: str = "subscribe", **more: Any) -> None:
        self.say({"method": method, "subscription": {"type": kind, **more}})

    async def wait(self, count: int) -> list[Any]:
        """Wait for so many frames."""
        with trio.fail_after(10):
            while len(self.outlet.written) < count:  # noqa: ASYNC110
                await trio.sleep(0.002)
        return self.seen

    async def ask(self, message: Any) -> Any:
        """Say something and return the next frame."""
        count = len(self.outlet.written)
        self.say(message)
        return (await self.wait(count + 1))[count]


@asynccontextmanager
async def open_client(path: Path) -> AsyncIterator[Client]:
    async with open_gateway(path) as program, trio.open_nursery() as nursery:
        client = Client(program, nursery)
        yield client
        client.scope.cancel()


def error(text: str) -> dict[str, str]:
    return {"channel": "error", "data": text}


async def test_the_acknowledgement_comes_before_the_data(tmp_path: Path) -> None:
    """Each subscription is confirmed with all that was sent and the defaults, then shown."""
    async with open_client(tmp_path) as client:
        client.subscribe("l2Book", coin="BTC", extra=[1])
        seen = await client.wait(2)

    echo = {"type": "l2Book", "coin": "BTC", "extra": [1]}
    defaults = {"nSigFigs": None, "mantissa": None, "fast": False}
    data = {"method": "subscribe", "subscription": {**echo, **defaults}}
    assert seen[0] == {"channel": "subscriptionResponse", "data": data}
    assert seen[1]["channel"] == "l2Book"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("nonsense", "Error parsing JSON into valid websocket request: nonsense"),
        ('{"method":"fly"}', 'Error parsing JSON into valid websocket request: {"method":"fly"}'),
        (b"\x00", "Error parsing JSON into valid websocket request: binary frame"),
        (
            '{"method":"subscribe","subscription":{"type":"bbo","coin":"NOPE"}}',
            'Invalid subscription {"type":"bbo","coin":"NOPE"}',
        ),
        (
            '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","nSigFigs":7}}',
            'Invalid subscription {"type":"l2Book","coin":"BTC","nSigFigs":7}',
        ),
        (
            '{"method":"unsubscribe","subscription":{"type":"bbo","coin":"BTC"}}',
            'Already unsubscribed: {"type":"bbo","coin":"BTC"}',
        ),
        (
            '{"method":"post","id":3,"request":{"type":"explorer","payload":{}}}',
            (
                "Error parsing JSON into valid websocket request: "
                '{"method":"post","id":3,"request":{"type":"explorer","payload":{}}}'
            ),
        ),
    ],
)
async def test_what_is_wrong_is_said_and_survived(
    tmp_path: Path, message: str | bytes, text: str
) -> None:
    """Each mistake has its text, and the connection lives on."""
    async with open_client(tmp_path) as client:
        assert await client.ask(message) == error(text)
        assert await client.ask({"method": "ping"}) == {"channel": "pong"}


async def test_a_second_subscription_leaves_the_first_intact(tmp_path: Path) -> None:
    """Spelled otherwise it is the same one."""
    async with open_client(tmp_path) as client:
        client.subscribe("userFills", user=key(1).address)
        await client.wait(2)
        client.subscribe(
            "userFills", user=key(1).address.upper().replace("X", "x"), aggregateByTime=None
        )
        refused = (await client.wait(3))[2]
        client.subscribe("userFills", "unsubscribe", user=key(1).address)
        ended = (await client.wait(4))[3]

    assert refused["data"].startswith("Already subscribed: {")
    assert ended["channel"] == "subscriptionResponse"


async def test_bounds_are_told(tmp_path: Path) -> None:
    """Too many users, subscriptions and posts; the texts end as clients expect."""
    async with open_client(tmp_path) as client:
        for number in range(USERS_MAX + 1):
            client.subscribe("orderUpdates", user=key(number + 1).address)
        seen = await client.wait(USERS_MAX + 1)
        assert seen[-1] == error(f"Cannot track more than {USERS_MAX} total users.")

        stream = client.stream
        for number in range(SUBSCRIPTIONS_MAX - USERS_MAX):
            wanted = Wanted("candle", coin=f"{number}")
            stream._subscriptions[wanted] = _subscription(client)
        client.outlet.written.clear()
        refused = await client.ask({"method": "subscribe", "subscription": {"type": "allMids"}})
        assert refused == error(f"Cannot subscribe to more than {SUBSCRIPTIONS_MAX} channels.")
        for wanted in list(stream._subscriptions):
            if wanted.channel == "candle":
                del stream._subscriptions[wanted]

        stream._posts = POSTS_IN_FLIGHT_MAX
        post = {
            "method": "post",
            "id": 77,
            "request": {"type": "info", "payload": {"type": "meta"}},
        }
        assert await client.ask(post) == error("too many pending post requests id=77")


def _subscription(client: Client) -> Subscription:
    from actors.subscription import Policy

    return Subscription(
        "x", client.outlet, Policy.LATEST, wake=lambda _: True, on_end=lambda *_: None
    )


async def test_a_long_request_to_subscribe_is_refused(tmp_path: Path) -> None:
    """What is kept for each subscription is bounded."""
    async with open_client(tmp_path) as client:
        client.subscribe("bbo", coin="BTC", filler="x" * SUBSCRIPTION_BYTES_MAX)
        (refused,) = await client.wait(1)

    assert refused["data"].startswith("Error parsing JSON")


async def test_posts_are_answered(tmp_path: Path) -> None:
    """Questions, actions and what is neither, each under its id."""
    async with open_client(tmp_path) as client:
        await client.program.gateway.fund(key(1).address, 100_000 * USD)

        def post(number: int, kind: str, payload: bytes) -> str:
            request = f'{{"type":"{kind}","payload":{payload.decode()}}}'
            return f'{{"method":"post","id":{number},"request":{request}}}'

        told = await client.ask(post(1, "info", b'{"type":"meta"}'))
        assert told["data"]["id"] == 1
        assert told["data"]["response"]["payload"]["type"] == "meta"
        told = await client.ask(post(2, "action", order_body(key(1))))
        assert told["data"]["response"]["payload"]["status"] == "ok"
        told = await client.ask(post(3, "info", b'{"type":"nonsense"}'))
        assert told["data"]["response"]["type"] == "error"
        assert told["data"]["response"]["payload"].startswith("422")
        told = await client.ask(post(4, "action", b"{}"))
        assert told["data"]["response"]["payload"].startswith("422")
        assert client.stream._posts == 0


async def test_a_question_that_breaks_us_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our mistake is answered as such; the streams beside it go on."""
    async with open_client(tmp_path) as client:

        async def fall(_: bytes) -> None:  # noqa: ASYNC124
            raise ZeroDivisionError

        monkeypatch.setattr(client.program.info, "answer_post", fall)
        post = {"method": "post", "id": 5, "request": {"type": "info", "payload": {}}}
        told = await client.ask(post)

        assert told["data"]["response"] == {"type": "error", "payload": "500 Internal Server Error"}
        assert await client.ask({"method": "ping"}) == {"channel": "pong"}


async def test_a_connection_that_ends_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither in the tables of publishers that run, nor in those of any that do not."""
    async with open_client(tmp_path) as client:
        gateway = client.program.gateway
        client.subscribe("bbo", coin="BTC")
        client.subscribe("allMids")
        client.subscribe("userFills", user=key(1).address)
        await client.wait(5)
        client.subscribe("userFills", user=key(2).address)
        await trio.lowlevel.checkpoint()
        client.scope.cancel()
        await trio.sleep(0.1)

        assert len(gateway.market_channels) == len(gateway.account_channels) == 0
        assert len(gateway.ticker_channels) == 0


async def test_a_publisher_that_takes_no_more_is_no_acknowledgement(tmp_path: Path) -> None:
    """A full publisher refuses; nothing is left of the attempt."""
    async with open_client(tmp_path) as client:
        system = client.program.system
        assert system is not None
        system.inspect("services/ticker").suspend()
        while client.program.registry.address("services/ticker").tell("junk"):
            pass
        refused = await client.ask({"method": "subscribe", "subscription": {"type": "allMids"}})

        assert refused == error('Invalid subscription {"type":"allMids"}')
        assert client.stream._subscriptions == {}
        system.inspect("services/ticker").resume()
