"""Our client against a scripted exchange: requests, subscriptions, and broken connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from api import client_link
from api.client import Client, open_client
from api.client_errors import (
    ActionRefusedError,
    ClientError,
    ConnectionLostError,
    FeedOverflowError,
    RequestRefusedError,
    SubscriptionRefusedError,
    UnreachableError,
)
from api.client_feeds import Feed, Frame, Interruption, Overflow
from api.client_link import Endpoint
from api.client_orders import limit_order
from api.signing import (
    Chain,
    Signature,
    SigningKey,
    l1_action_hash,
    l1_digest,
    recover_signer,
    user_signed_digest,
)
from tests.api.fake_exchange import FakeExchange, open_fake_exchange

KEY = SigningKey.of_hex("01" * 32)
TRADES = {"type": "trades", "coin": "BTC"}
BOOK = {"type": "l2Book", "coin": "BTC"}
OK = {
    "status": "ok",
    "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 1}}]}},
}


def echo(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Answer every info request with itself."""
    return {"type": kind, "payload": {"type": payload["type"], "data": payload}}


@pytest.fixture
async def exchange() -> AsyncIterator[FakeExchange]:
    async with open_fake_exchange() as fake:
        yield fake


@pytest.fixture
async def client(exchange: FakeExchange) -> AsyncIterator[Client]:
    with trio.fail_after(20):
        async with open_client(exchange.url, key=KEY, clock_ms=lambda: 1000) as opened:
            yield opened


async def next_item(feed: Feed) -> Frame | Interruption:
    with trio.fail_after(5):
        return await anext(feed)


# -- requests ----------------------------------------------------------------------------------


async def test_info_gives_the_answers_data(exchange: FakeExchange, client: Client) -> None:
    """The envelope of the socket is taken off."""
    exchange.answer = lambda kind, payload: {
        "type": kind,
        "payload": {"type": payload["type"], "data": {"BTC": "1.0"}},
    }

    assert await client.info({"type": "allMids"}) == {"BTC": "1.0"}


async def test_answers_find_their_requests_in_any_order(
    exchange: FakeExchange, client: Client
) -> None:
    """Many requests wait at once; each gets its own answer."""
    exchange.answer = lambda kind, payload: {
        "type": kind,
        "payload": {"type": "x", "data": payload["number"]},
    }
    found: dict[int, Any] = {}

    async def ask(number: int) -> None:
        found[number] = await client.info({"type": "x", "number": number})

    async with trio.open_nursery() as nursery:
        for number in range(150):
            nursery.start_soon(ask, number)

    assert found == {number: number for number in range(150)}


async def test_a_request_that_is_not_understood_is_refused(
    exchange: FakeExchange, client: Client
) -> None:
    """The text of the exchange becomes the message."""
    exchange.answer = lambda _kind, _payload: {"type": "error", "payload": "422 what?"}

    with pytest.raises(RequestRefusedError, match=r"422 what\?"):
        await client.info({"type": "nonsense"})


async def test_an_unanswered_request_ends_with_the_callers_deadline(client: Client) -> None:
    """Deadlines are scopes of the caller; nothing is left behind."""
    with pytest.raises(trio.TooSlowError):
        with trio.fail_after(0.05):
            await client.info({"type": "slow"})


async def test_a_request_fails_when_its_connection_breaks(
    exchange: FakeExchange, client: Client
) -> None:
    """It is not repeated: an action may have happened."""
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def hang_up() -> None:
            await exchange.wait_received(lambda: bool(exchange.received))
            await exchange.hang_up()

        with pytest.raises(ConnectionLostError):
            await client.info({"type": "allMids"})


# -- actions -----------------------------------------------------------------------------------


async def test_actions_are_signed_with_the_clients_key(
    exchange: FakeExchange, client: Client
) -> None:
    """The exchange recovers the client's address from what arrives."""
    exchange.answer = lambda kind, _payload: {"type": kind, "payload": OK}
    order = limit_order(0, is_buy=True, price="65000.0", size="0.10")

    statuses = await client.place([order])

    sent = exchange.received[-1]["request"]["payload"]
    digest = l1_digest(l1_action_hash(sent["action"], sent["nonce"]), Chain.TESTNET)
    assert statuses == [{"resting": {"oid": 1}}]
    assert sent["action"]["orders"][0]["p"] == "65000"
    assert recover_signer(digest, Signature.of_hex(**sent["signature"])) == KEY.address


async def test_transfers_are_signed_as_wallets_sign_them(
    exchange: FakeExchange, client: Client
) -> None:
    """The nonce is inside the action as well, under its own name."""
    exchange.answer = lambda kind, _payload: {"type": kind, "payload": OK}
    await client.send_usd("0x" + "11" * 20, "5")

    sent = exchange.received[-1]["request"]["payload"]
    signer = recover_signer(
        user_signed_digest(sent["action"]), Signature.of_hex(**sent["signature"])
    )
    assert sent["action"]["time"] == sent["nonce"]
    assert signer == KEY.address


async def test_nonces_grow_even_if_the_clock_stands(exchange: FakeExchange, client: Client) -> None:
    """Two actions of one millisecond do not collide."""
    exchange.answer = lambda kind, _payload: {"type": kind, "payload": OK}
    for _ in range(3):
        await client.noop()

    sent = [frame["request"]["payload"]["nonce"] for frame in exchange.received]
    assert sent == [1000, 1001, 1002]


async def test_a_refused_action_raises_with_the_exchanges_text(
    exchange: FakeExchange, client: Client
) -> None:
    """A whole action is refused in another way than one order of it."""
    exchange.answer = lambda kind, _payload: {
        "type": kind,
        "payload": {"status": "err", "response": "Invalid nonce: duplicate nonce 1"},
    }

    with pytest.raises(ActionRefusedError, match="duplicate nonce 1"):
        await client.noop()


async def test_a_client_without_a_key_cannot_act(exchange: FakeExchange) -> None:
    """It says so instead of sending something unsigned."""
    async with open_client(exchange.url) as client:
        with pytest.raises(ClientError, match="without a key"):
            await client.noop()


# -- subscriptions -----------------------------------------------------------------------------


async def test_a_feed_gets_the_frames_of_its_subscription_only(
    exchange: FakeExchange, client: Client
) -> None:
    """Frames of other coins and channels go elsewhere or nowhere."""
    async with client.subscribe(TRADES) as trades, client.subscribe(BOOK) as book:
        await exchange.push("trades", [{"coin": "ETH"}])
        await exchange.push("trades", [{"coin": "BTC", "px": "1.0"}])
        await exchange.push("l2Book", {"coin": "BTC", "levels": []})

        assert await next_item(trades) == Frame("trades", [{"coin": "BTC", "px": "1.0"}])
        assert await next_item(book) == Frame("l2Book", {"coin": "BTC", "levels": []})


@pytest.mark.parametrize(
    ("subscription", "channel", "data"),
    [
        ({"type": "allMids"}, "allMids", {"mids": {}}),
        ({"type": "candle", "coin": "BTC", "interval": "1m"}, "candle", {"s": "BTC", "i": "1m"}),
        ({"type": "userFills", "user": "0xAB"}, "userFills", {"user": "0xab", "fills": []}),
        ({"type": "orderUpdates", "user": "0xAB"}, "orderUpdates", [{"order": {"coin": "BTC"}}]),
        ({"type": "userEvents", "user": "0xAB"}, "user", {"fills": []}),
        ({"type": "activeAssetCtx", "coin": "BTC"}, "activeAssetCtx", {"coin": "BTC", "ctx": {}}),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) and "type" in value else "",
)
async def test_each_kind_of_frame_finds_its_subscription(
    exchange: FakeExchange, client: Client, subscription: dict[str, Any], channel: str, data: Any
) -> None:
    """Channels differ in what they say about whom they are for."""
    async with client.subscribe(subscription) as feed:
        await exchange.push(channel, data)

        assert await next_item(feed) == Frame(channel, data)


async def test_leaving_the_block_unsubscribes(exchange: FakeExchange, client: Client) -> None:
    """The exchange sends nothing that nobody reads."""
    async with client.subscribe(TRADES):
        pass
    await exchange.wait_received(lambda: exchange.subscriptions("unsubscribe") == [TRADES])


async def test_a_refused_subscription_raises(exchange: FakeExchange, client: Client) -> None:
    """The refusal is found by the request inside its text."""
    exchange.refuse = lambda subscription: (
        f'Invalid subscription {{"type":"trades","coin":"{subscription["coin"]}"}}'
    )

    with pytest.raises(SubscriptionRefusedError, match="Invalid subscription"):
        async with client.subscribe({"type": "trades", "coin": "NOSUCH"}):
            raise AssertionError("not reached")


async def test_a_second_equal_subscription_is_refused_by_the_client(client: Client) -> None:
    """The exchange would not send the snapshot again, so two feeds could not both be right."""
    async with client.subscribe(TRADES):
        with pytest.raises(ClientError, match="subscribed already"):
            async with client.subscribe(TRADES):
                raise AssertionError("not reached")


async def test_a_full_buffer_of_states_drops_the_oldest(
    exchange: FakeExchange, client: Client
) -> None:
    """A slow reader of a book gets the newest one, and a count."""
    async with client.subscribe(BOOK, frames_waiting_max=2) as feed:
        exchange.answer = echo
        for number in range(5):
            await exchange.push("l2Book", {"coin": "BTC", "n": number})
        with trio.fail_after(5):
            while feed.dropped < 3:
                await client.info({"type": "x"})

        assert [item.data["n"] for item in feed.drain_nowait()] == [3, 4]  # type: ignore[union-attr]


async def test_a_full_buffer_of_news_fails_after_what_it_holds(
    exchange: FakeExchange, client: Client
) -> None:
    """No trade is lost in silence."""
    async with client.subscribe(TRADES, overflow=Overflow.FAIL, frames_waiting_max=2) as feed:
        exchange.answer = echo
        for number in range(5):
            await exchange.push("trades", [{"coin": "BTC", "n": number}])
        with trio.fail_after(5):
            while not feed.dropped:
                await client.info({"type": "x"})

        assert [item.data[0]["n"] for item in feed.drain_nowait()] == [0, 1]  # type: ignore[union-attr]
        with pytest.raises(FeedOverflowError, match="2 frames were waiting"):
            await anext(feed)


# -- the connection ----------------------------------------------------------------------------


async def test_after_a_broken_connection_subscriptions_are_made_again(
    exchange: FakeExchange, client: Client
) -> None:
    """The consumer sees where the break was, then frames again."""
    async with client.subscribe(TRADES) as feed:
        await exchange.push("trades", [{"coin": "BTC", "n": 1}])
        assert isinstance(await next_item(feed), Frame)
        await exchange.hang_up()
        assert isinstance(await next_item(feed), Interruption)
        await exchange.wait_received(lambda: exchange.subscriptions() == [TRADES, TRADES])
        await exchange.push("trades", [{"coin": "BTC", "n": 2}])

        assert await next_item(feed) == Frame("trades", [{"coin": "BTC", "n": 2}])


async def test_requests_wait_for_the_next_connection(
    exchange: FakeExchange, client: Client
) -> None:
    """A caller need not know that the connection is being made again."""
    exchange.answer = lambda kind, _payload: {"type": kind, "payload": {"data": 7}}
    await exchange.hang_up()

    assert await client.info({"type": "x"}) == 7


async def test_a_silent_connection_is_given_up(
    exchange: FakeExchange, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that vanished without a word does not hold a consumer for ever."""
    monkeypatch.setattr(client_link, "SILENCE_SECONDS_MAX", 0.05)
    async with client.subscribe(TRADES) as feed:
        assert isinstance(await next_item(feed), Interruption)

    assert "no frame" in client.link.last_failure or client.link.is_connected


async def test_an_unreachable_exchange_is_an_error_at_once() -> None:
    """Unless the caller is patient, the first attempt decides."""
    async with open_fake_exchange() as gone:
        url = gone.url

    with pytest.raises(UnreachableError, match=r"^connection refused$"):
        async with open_client(url):
            raise AssertionError("not reached")


async def test_a_patient_client_waits_for_the_exchange_to_start() -> None:
    """It can be opened first."""
    async with open_fake_exchange() as gone:
        url = gone.url
    async with open_client(url, is_patient=True) as client, trio.open_nursery() as nursery:
        feed_ready = trio.Event()

        @nursery.start_soon
        async def subscribe() -> None:
            async with client.subscribe(TRADES):
                feed_ready.set()

        await trio.sleep(0.05)
        async with open_fake_exchange(int(url.rsplit(":", 1)[1])):
            with trio.fail_after(10):
                await feed_ready.wait()


async def test_an_error_inside_the_block_comes_out_as_itself(exchange: FakeExchange) -> None:
    """Not wrapped in a group of the client's own tasks."""
    with pytest.raises(ZeroDivisionError):
        async with open_client(exchange.url):
            raise ZeroDivisionError


@pytest.mark.parametrize("garbage", ["", "hello", "[]", "7", '{"channel":5}', '{"x":1}', b"\xff"])
async def test_frames_without_sense_are_passed_over(
    exchange: FakeExchange, client: Client, garbage: str | bytes
) -> None:
    """The next good frame arrives."""
    async with client.subscribe(TRADES) as feed:
        await exchange.sockets[0].send_message(garbage)
        await exchange.push("trades", [{"coin": "BTC"}])

        assert await next_item(feed) == Frame("trades", [{"coin": "BTC"}])


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:8000", Endpoint("127.0.0.1", 8000, False)),
        ("http://localhost", Endpoint("localhost", 80, False)),
        ("https://example.org/", Endpoint("example.org", 443, True)),
        ("ws://[::1]:9", Endpoint("::1", 9, False)),
    ],
)
def test_base_urls_are_understood(url: str, endpoint: Endpoint) -> None:
    """As other clients take them, and the WebSocket forms too."""
    assert Endpoint.of_url(url) == endpoint


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x:y"])
def test_other_texts_are_no_base_urls(url: str) -> None:
    """A typing error is told as one."""
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        Endpoint.of_url(url)
