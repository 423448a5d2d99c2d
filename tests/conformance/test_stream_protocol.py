"""The WebSocket protocol as it is on the wire: acknowledgements, error texts, pings, requests."""

import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio_websocket

from tests.program.clients import Trader, Wanted, Wire, open_wire, resting_oids
from tests.program.harness import Program

pytestmark = pytest.mark.program

NOT_UNDERSTOOD = "Error parsing JSON into valid websocket request: "


@pytest.fixture
async def wire(exchange: Program) -> AsyncIterator[Wire]:
    """A raw connection."""
    async with open_wire(exchange.ws_url) as wire:
        yield wire


@pytest.fixture
def trader(exchange: Program) -> Trader:
    """A funded wallet."""
    trader = Trader.fresh()
    exchange.fund(trader.address, 10_000)
    return trader


async def error(wire: Wire) -> str:
    """Return the text of the next frame, which must be an error."""
    frame = await wire.receive()
    assert frame["channel"] == "error", frame
    assert isinstance(frame["data"], str)
    return frame["data"]


async def is_alive(wire: Wire) -> bool:
    await wire.send({"method": "ping"})
    return bool((await wire.receive()) == {"channel": "pong"})


async def test_nothing_is_said_before_it_is_asked(wire: Wire) -> None:
    """There is no greeting: clients would fail to read it."""
    assert await wire.drain(0.2) == []


async def test_ping(wire: Wire) -> None:
    """The answer to a ping has no data at all."""
    await wire.send({"method": "ping"})

    assert await wire.receive() == {"channel": "pong"}


async def test_a_protocol_ping_is_answered(wire: Wire) -> None:
    """The WebSocket's own ping gets its pong."""
    with trio.fail_after(10):
        await wire.connection.ping(b"still there?")


async def test_an_idle_connection_stays_open(wire: Wire) -> None:
    """A client that says nothing for a while is still served."""
    await trio.sleep(2)

    assert await is_alive(wire)


@pytest.mark.parametrize(
    ("asked", "added"),
    [
        ({"type": "allMids"}, {}),
        (
            {"type": "l2Book", "coin": "BTC"},
            {"nSigFigs": None, "mantissa": None, "fast": False},
        ),
        ({"type": "l2Book", "coin": "BTC", "nSigFigs": 3, "fast": True}, {"mantissa": None}),
        ({"type": "bbo", "coin": "BTC"}, {}),
        ({"type": "trades", "coin": "BTC"}, {}),
        ({"type": "candle", "coin": "BTC", "interval": "1m"}, {}),
        ({"type": "activeAssetCtx", "coin": "BTC", "isPortfolioMargin": False}, {}),
    ],
)
async def test_the_acknowledgement_echoes_what_was_asked(
    wire: Wire, asked: dict[str, Any], added: dict[str, Any]
) -> None:
    """Every key that was sent comes back, with the defaults that were left out, before any data."""
    await wire.send({"method": "subscribe", "subscription": asked})

    frame = await wire.receive()

    assert frame == {
        "channel": "subscriptionResponse",
        "data": {"method": "subscribe", "subscription": {**asked, **added}},
    }


async def test_addresses_are_echoed_in_lower_case(wire: Wire) -> None:
    """Clients compare the acknowledged address with lower case."""
    user = "0xABCDEF0000000000000000000000000000000001"

    echo = await wire.subscribe("userFills", user=user)

    assert echo == {"type": "userFills", "user": user.lower(), "aggregateByTime": False}


async def test_unsubscribe_is_acknowledged_in_the_same_form(wire: Wire) -> None:
    """A client that waits for the end of its subscription sees it, and no frame after it."""
    echo = await wire.subscribe("l2Book", coin="BTC")
    await wire.until("l2Book")

    request = {"method": "unsubscribe", "subscription": {"type": "l2Book", "coin": "BTC"}}
    await wire.send({**request, "id": "unsubscribe:1"})

    answer = await wire.until("subscriptionResponse")
    assert answer["method"] == "unsubscribe"
    assert answer["subscription"].items() <= echo.items()
    assert await wire.drain(0.7) == []


async def test_subscribing_twice(wire: Wire) -> None:
    """The duplicate is named and the first one goes on; spelling does not matter."""
    await wire.subscribe("l2Book", coin="BTC")
    await wire.until("l2Book")
    again = {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None}

    await wire.send({"method": "subscribe", "subscription": again})

    text = await error(wire)
    assert text.startswith("Already subscribed: ")
    embedded = json.loads(text.removeprefix("Already subscribed: "))
    assert again.items() <= embedded.items()
    await wire.until("l2Book")  # repeated now and then although nothing changed


async def test_unsubscribing_from_nothing(wire: Wire) -> None:
    """There is nothing to end."""
    await wire.send({"method": "unsubscribe", "subscription": {"type": "bbo", "coin": "BTC"}})

    text = await error(wire)

    assert text.startswith("Already unsubscribed: ")
    embedded = json.loads(text.removeprefix("Already unsubscribed: "))
    assert embedded == {"type": "bbo", "coin": "BTC"}


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "l2Book", "coin": "NOSUCH"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 7},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 3, "mantissa": 2},
        {"type": "candle", "coin": "BTC", "interval": "7m"},
        {"type": "allMids", "dex": "elsewhere"},
    ],
)
async def test_a_subscription_that_cannot_be_served(wire: Wire, asked: dict[str, Any]) -> None:
    """It is refused by its own JSON, and the connection lives."""
    await wire.send({"method": "subscribe", "subscription": asked})

    text = await error(wire)

    assert text.startswith("Invalid subscription ")
    embedded = json.loads(text.removeprefix("Invalid subscription "))
    assert asked.items() <= embedded.items()
    assert await is_alive(wire)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "{}",
        "[]",
        "null",
        '{"method":"dance"}',
        '{"method":"subscribe"}',
        '{"method":"subscribe","subscription":{}}',
        '{"method":"subscribe","subscription":{"type":"nosuch"}}',
        '{"method":"subscribe","subscription":{"type":"l2Book"}}',
        '{"method":"subscribe","subscription":{"type":"userFills","user":"0x1"}}',
        '{"method":"post","id":1}',
        '{"method":"post","id":-1,"request":{"type":"info","payload":{"type":"meta"}}}',
        '{"method":"post","id":"a","request":{"type":"info","payload":{"type":"meta"}}}',
        '{"method":"post","id":1,"request":{"type":"explorer","payload":{}}}',
    ],
)
async def test_a_message_that_is_not_understood(wire: Wire, text: str) -> None:
    """The whole text comes back, so that a client finds the request that failed."""
    await wire.send(text)

    assert await error(wire) == NOT_UNDERSTOOD + text
    assert await is_alive(wire)


async def test_too_many_users(wire: Wire) -> None:
    """The eleventh user on one connection is refused; the ten go on, and one may make room."""
    users = [f"0x{number:040x}" for number in range(1, 12)]
    for user in users[:10]:
        await wire.subscribe("orderUpdates", user=user)

    request = {"type": "orderUpdates", "user": users[10]}
    await wire.send({"method": "subscribe", "subscription": request})
    assert await error(wire) == "Cannot track more than 10 total users."

    await wire.subscribe("userEvents", user=users[0])
    for kind in ("orderUpdates", "userEvents"):
        subscription = {"type": kind, "user": users[0]}
        await wire.send({"method": "unsubscribe", "subscription": subscription})
        await wire.until("subscriptionResponse")
    await wire.subscribe("orderUpdates", user=users[10])


async def test_too_many_subscriptions(wire: Wire, exchange: Program) -> None:
    """The subscription after the thousandth is refused, and the connection lives."""
    coins = [market["name"] for market in exchange.info("meta")["universe"]]
    intervals = "1m 3m 5m 15m 30m 1h 2h 4h 8h 12h 1d 3d 1w 1M".split()
    asked = [
        {"type": "candle", "coin": coin, "interval": interval}
        for coin in coins
        for interval in intervals
    ][:1001]
    assert len(asked) == 1001
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for subscription in asked:
                await wire.send({"method": "subscribe", "subscription": subscription})

        nursery.start_soon(send)
        for _ in range(1000):
            await wire.until("subscriptionResponse")
        text = await wire.until("error")

    assert text == "Cannot subscribe to more than 1000 channels."
    await wire.send({"method": "ping"})
    await wire.until("pong")


async def test_post_info(wire: Wire) -> None:
    """A question over the socket has the answer of POST /info, and its type."""
    response = await wire.post("info", {"type": "l2Book", "coin": "ETH"})

    assert response["type"] == "info"
    assert response["payload"]["type"] == "l2Book"
    assert response["payload"]["data"]["coin"] == "ETH"


async def test_post_action(wire: Wire, trader: Trader, asset: int, exchange: Program) -> None:
    """An action over the socket has the answer of POST /exchange."""
    answer = await wire.act(trader.place(Wanted(asset, True, "1990", "0.5")))

    (oid,) = resting_oids(answer)
    (order,) = exchange.info("openOrders", user=trader.address)
    assert order["oid"] == oid


async def test_post_action_that_is_refused(wire: Wire, asset: int) -> None:
    """A business error is an answer of kind action: clients swallow the other kind."""
    stranger = Trader.fresh()

    answer = await wire.act(stranger.place(Wanted(asset, True, "1990", "0.5")))

    assert answer["status"] == "err"
    assert answer["response"].startswith("User or API Wallet ")


@pytest.mark.parametrize(
    ("kind", "payload", "status"),
    [
        ("info", {"type": "nosuch"}, "422"),
        ("info", {}, "422"),
        ("action", {"action": {"type": "order"}}, "422"),
        ("action", {}, "422"),
    ],
)
async def test_post_of_what_is_no_request(
    wire: Wire, kind: str, payload: dict[str, Any], status: str
) -> None:
    """The response is of kind error and mirrors the HTTP status."""
    response = await wire.post(kind, payload)

    assert response["type"] == "error"
    assert response["payload"].startswith(status)
    assert await is_alive(wire)


async def test_post_ids_come_back_as_they_were(wire: Wire) -> None:
    """Ids are the client's, however large."""
    for number in (0, 2**53, 2**64 - 1):
        request = {"type": "info", "payload": {"type": "allMids"}}
        await wire.send({"method": "post", "id": number, "request": request})
        assert (await wire.until("post"))["id"] == number


async def test_posts_are_carried_out_in_their_order(
    wire: Wire, trader: Trader, asset: int, seed: int
) -> None:
    """Orders that were sent without waiting are numbered as they were sent."""
    chance = random.Random(seed)
    count = 50
    for number in range(count):
        order = Wanted(asset, True, str(1900 + chance.randrange(50)), "0.01")
        request = {"type": "action", "payload": json.loads(trader.place(order))}
        await wire.send({"method": "post", "id": number, "request": request})

    oids: dict[int, int] = {}
    while len(oids) < count:
        data = await wire.until("post")
        (oids[data["id"]],) = resting_oids(data["response"]["payload"])

    assert [oids[number] for number in range(count)] == sorted(oids.values())


async def test_a_lonely_binary_frame(wire: Wire, exchange: Program) -> None:
    """A binary frame is refused in words, counted, and the connection lives."""
    before = exchange.metric("zaraba_input_refused_total", place="ws", reason="binary")

    await wire.send_bytes(b"\x00\x01")

    assert (await error(wire)).startswith(NOT_UNDERSTOOD.strip(": "))
    assert exchange.metric("zaraba_input_refused_total", place="ws", reason="binary") == before + 1
    assert await is_alive(wire)


async def test_an_oversized_frame(exchange: Program) -> None:
    """A frame beyond the limit ends its connection with the code for that, and no other."""
    async with open_wire(exchange.ws_url) as bystander:
        async with open_wire(exchange.ws_url) as wire:
            with contextlib.suppress(trio_websocket.ConnectionClosed):
                await wire.send("x" * (2 * 1024 * 1024))
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await wire.receive()

        assert closed.value.reason is not None
        assert closed.value.reason.code == 1009
        assert await is_alive(bystander)
