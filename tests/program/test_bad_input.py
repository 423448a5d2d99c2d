"""Bad input of every kind has its documented answer and its count, and harms nobody."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from api.signing import Chain
from tests.conformance.wallets import wait_until
from tests.program.bad_clients import UPGRADE, text_frame
from tests.program.clients import Trader, Wanted, open_wire
from tests.program.harness import ANSWER_SECONDS_MAX, Answer, Program

pytestmark = pytest.mark.program

MIB: Final = 1024 * 1024
DAY_MS: Final = 86_400_000

NOT_JSON: Final = "Failed to parse the request body as JSON"
NOT_A_REQUEST: Final = "Failed to deserialize the JSON body into the target type"


@pytest.fixture
def trader(exchange: Program) -> Trader:
    """A funded wallet."""
    trader = Trader.fresh()
    exchange.fund(trader.address, 10_000)
    return trader


@contextlib.contextmanager
def counted(exchange: Program, place: str, reason: str, times: int = 1) -> Iterator[None]:
    """Check that the count of refused input moves by so much and the exchange stays ready."""
    before = exchange.metric("zaraba_input_refused_total", place=place, reason=reason)
    yield
    after = exchange.metric("zaraba_input_refused_total", place=place, reason=reason)
    assert after == before + times
    assert exchange.is_ready()


def is_plain(answer: Answer, status: int, text: str) -> None:
    """Check an error: plain text, since clients try to read JSON errors in a form of their own."""
    assert (answer.status, answer.text[: len(text)]) == (status, text)
    assert answer.headers["content-type"].startswith("text/plain")


# ---- bodies ----------------------------------------------------------------------------------


BROKEN: Final = {
    "empty": b"",
    "half an object": b'{"type":"meta"',
    "bare word": b"meta",
    "not a number": b'{"type":NaN}',
    "infinity": b'{"type":Infinity}',
    "trailing comma": b'{"type":"meta",}',
    "not UTF-8": b'{"type":"\xff\xfe"}',
    "lone surrogate bytes": b'{"type":"\xed\xa0\x80"}',
    "zero byte": b'\x00{"type":"meta"}',
    "deep arrays": b'{"type":' + b"[" * 20_000,
    "deep objects": b'{"a":' * 12_000,
}
MISSHAPEN: Final = {
    "null": b"null",
    "list": b"[]",
    "text": b'"meta"',
    "number": b"1e400",
    "empty object": b"{}",
    "type of a number": b'{"type":1}',
    "type of null": b'{"type":null}',
    "unknown type": b'{"type":"nosuch"}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_question_that_is_not_json(exchange: Program, body: bytes) -> None:
    """400 and a text that says so."""
    with counted(exchange, "info", "400"):
        is_plain(exchange.post("/info", body), 400, NOT_JSON)


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_an_action_that_is_not_json(exchange: Program, body: bytes) -> None:
    """400, unless what can be read of it before it breaks is no action already: then 422."""
    answer = exchange.post("/exchange", body)

    is_plain(answer, answer.status, NOT_JSON if answer.status == 400 else NOT_A_REQUEST)
    assert answer.status in (400, 422)
    assert exchange.is_ready()


def test_an_action_that_breaks_off(exchange: Program, trader: Trader) -> None:
    """A good action without its last byte is not JSON."""
    body = trader.place(Wanted(1, True, "2000", "0.1"))

    with counted(exchange, "exchange", "400"):
        is_plain(exchange.post("/exchange", body[:-1]), 400, NOT_JSON)


@pytest.mark.parametrize("place", ["info", "exchange"])
@pytest.mark.parametrize("body", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_a_body_of_another_shape(exchange: Program, place: str, body: bytes) -> None:
    """422 and the text that clients know."""
    with counted(exchange, place, "422"):
        is_plain(exchange.post(f"/{place}", body), 422, NOT_A_REQUEST)


@pytest.mark.parametrize(
    "question",
    [
        {"type": "l2Book"},
        {"type": "l2Book", "coin": 7},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 9},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 2.5},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 5},
        {"type": "openOrders"},
        {"type": "openOrders", "user": "0x123"},
        {"type": "openOrders", "user": "0x" + "g" * 40},
        {"type": "openOrders", "user": None},
        {"type": "openOrders", "user": "0x" + "1" * 40, "dex": "elsewhere"},
        {"type": "orderStatus", "user": "0x" + "1" * 40},
        {"type": "orderStatus", "user": "0x" + "1" * 40, "oid": "0x12"},
        {"type": "orderStatus", "user": "0x" + "1" * 40, "oid": -1},
        {"type": "orderStatus", "user": "0x" + "1" * 40, "oid": 1.5},
        {"type": "userFillsByTime", "user": "0x" + "1" * 40},
        {"type": "userFillsByTime", "user": "0x" + "1" * 40, "startTime": "today"},
        {"type": "userFillsByTime", "user": "0x" + "1" * 40, "startTime": -1},
        {"type": "userFillsByTime", "user": "0x" + "1" * 40, "startTime": 10**400},
        {"type": "candleSnapshot"},
        {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "7m", "startTime": 0}},
        {"type": "candleSnapshot", "req": []},
    ],
    ids=lambda question: json.dumps(question)[:60],
)
def test_a_question_with_a_bad_parameter(exchange: Program, question: dict[str, Any]) -> None:
    """422; what the parameter should have been is the documentation's business."""
    with counted(exchange, "info", "422"):
        is_plain(exchange.post("/info", json.dumps(question).encode()), 422, NOT_A_REQUEST)


@pytest.mark.parametrize("place", ["info", "exchange"])
def test_a_huge_body(exchange: Program, place: str) -> None:
    """413 without reading it to its end; the connection may close, the exchange does not care."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        answer = exchange.post(f"/{place}", b" " * (8 * MIB))
        assert answer.status == 413
        assert answer.headers["content-type"].startswith("text/plain")
    assert exchange.is_ready()


@pytest.mark.parametrize("place", ["info", "exchange"])
@pytest.mark.parametrize("content_type", ["text/plain", "", "application/xml", "json"])
def test_another_content_type(exchange: Program, place: str, content_type: str) -> None:
    """415, as any JSON service answers."""
    answer = exchange.post(f"/{place}", b'{"type":"meta"}', content_type)

    is_plain(answer, 415, "Expected request with `Content-Type: application/json`")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/info", 405),
        ("PUT", "/exchange", 405),
        ("GET", "/nosuch", 404),
        ("POST", "/info/", 404),
        ("GET", "/ws", 400),
        ("BREW", "/info", 405),
    ],
)
def test_another_method_or_path(exchange: Program, method: str, path: str, status: int) -> None:
    """What is not there is not there; never a 500."""
    answer = exchange.request(method, path)

    assert answer.status in (status, 404), answer
    assert exchange.is_ready()


# ---- actions ---------------------------------------------------------------------------------


def envelope(trader: Trader, **changes: Any) -> dict[str, Any]:
    """Return a good order as JSON, members of the envelope replaced; ``...`` leaves one out."""
    body = json.loads(trader.place(Wanted(1, True, "2000", "0.1")))
    return {key: value for key, value in {**body, **changes}.items() if value is not ...}


def with_order(trader: Trader, **changes: Any) -> dict[str, Any]:
    """Return an envelope whose order has members replaced."""
    body = envelope(trader)
    order = {**body["action"]["orders"][0], **changes}
    body["action"]["orders"] = [{key: value for key, value in order.items() if value is not ...}]
    return body


Change = Callable[[Trader], dict[str, Any]]

ILL_FORMED: Final[dict[str, Change]] = {
    "unknown member of the envelope": lambda trader: envelope(trader, surprise=1),
    "no nonce": lambda trader: envelope(trader, nonce=...),
    "nonce of a text": lambda trader: envelope(trader, nonce="1"),
    "negative nonce": lambda trader: envelope(trader, nonce=-1),
    "huge nonce": lambda trader: envelope(trader, nonce=2**64),
    "nonce of a fraction": lambda trader: envelope(trader, nonce=1.5),
    "no signature": lambda trader: envelope(trader, signature=...),
    "signature of null": lambda trader: envelope(trader, signature=None),
    "signature without s": lambda trader: envelope(trader, signature={"r": "0x1", "v": 27}),
    "signature of no hex": lambda trader: envelope(
        trader, signature={"r": "0xzz", "s": "0x1", "v": 27}
    ),
    "signature of 33 bytes": lambda trader: envelope(
        trader, signature={"r": "0x" + "1" * 66, "s": "0x1", "v": 27}
    ),
    "vault of no address": lambda trader: envelope(trader, vaultAddress="0x1"),
    "unknown action": lambda trader: envelope(trader, action={"type": "nosuch"}),
    "action of a list": lambda trader: envelope(trader, action=[]),
    "unknown member of the order": lambda trader: with_order(trader, x=1),
    "no price": lambda trader: with_order(trader, p=...),
    "price of a number": lambda trader: with_order(trader, p=2000.5),
    "price with an exponent": lambda trader: with_order(trader, p="2e3"),
    "price beyond all numbers": lambda trader: with_order(trader, p="1e400"),
    "price of NaN": lambda trader: with_order(trader, p="NaN"),
    "price of infinity": lambda trader: with_order(trader, p="Infinity"),
    "price with a sign": lambda trader: with_order(trader, p="+2000"),
    "price with a blank": lambda trader: with_order(trader, p=" 2000"),
    "price of nine decimals": lambda trader: with_order(trader, p="2000.000000001"),
    "price of a thousand digits": lambda trader: with_order(trader, p="1" * 1000),
    "price in other digits": lambda trader: with_order(trader, p="\uff12\uff10\uff10\uff10"),
    "empty price": lambda trader: with_order(trader, p=""),
    "negative size": lambda trader: with_order(trader, s="-0.1"),
    "size of nine decimals": lambda trader: with_order(trader, s="0.000000001"),
    "side of a text": lambda trader: with_order(trader, b="true"),
    "asset of a text": lambda trader: with_order(trader, a="1"),
    "negative asset": lambda trader: with_order(trader, a=-1),
    "unknown time in force": lambda trader: with_order(trader, t={"limit": {"tif": "Fok"}}),
    "no order type": lambda trader: with_order(trader, t={}),
    "short client id": lambda trader: with_order(trader, c="0x12"),
}


@pytest.mark.parametrize("change", ILL_FORMED.values(), ids=ILL_FORMED.keys())
def test_an_ill_formed_action(exchange: Program, trader: Trader, change: Change) -> None:
    """422 before anybody looks at the signature, by HTTP and over the socket alike."""
    body = json.dumps(change(trader)).encode()

    with counted(exchange, "exchange", "422"):
        is_plain(exchange.post("/exchange", body), 422, NOT_A_REQUEST)
    assert exchange.info("openOrders", user=trader.address) == []


async def test_ill_formed_actions_over_the_socket(exchange: Program, trader: Trader) -> None:
    """Each is answered by its id with a response of kind error, and the connection lives."""
    async with open_wire(exchange.ws_url) as wire:
        with counted(exchange, "exchange", "422", len(ILL_FORMED)):
            for change in ILL_FORMED.values():
                response = await wire.post("action", change(trader))
                assert response["type"] == "error"
                assert response["payload"].startswith("422")


REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "zero size": ({"s": "0"}, "Order has zero size."),
    "zero price": ({"p": "0"}, "Order has invalid price."),
    "negative price": ({"p": "-2000"}, "Order has invalid price."),
    "price off the grid": ({"p": "2000.01"}, "Price must be divisible by tick size."),
    "size off the grid": ({"s": "0.00001"}, "Order has invalid size."),
    "unknown asset": ({"a": 4_000_000_000}, "Order has invalid asset."),
    "enormous size": ({"s": "99999999999"}, "Order "),
    "enormous price": ({"p": "99999999999"}, "Order "),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_an_order_that_nobody_can_carry_out(
    exchange: Program, trader: Trader, changes: dict[str, Any], text: str
) -> None:
    """Well-formed and rightly signed: 200, with its error among the statuses."""
    order = {**Wanted(1, True, "2000", "0.1").to_wire(), **changes}
    try:
        body = trader.sign({"type": "order", "orders": [order], "grouping": "na"})
    except ValueError:
        body = json.dumps(with_order(trader, **changes)).encode()
        is_plain(exchange.post("/exchange", body), 422, NOT_A_REQUEST)
        return

    answer = exchange.exchange(body)

    (status,) = answer["response"]["data"]["statuses"]
    assert status["error"].startswith(text)
    assert exchange.info("openOrders", user=trader.address) == []


def test_a_replayed_request(exchange: Program, trader: Trader, asset: int) -> None:
    """The very same bytes work once."""
    body = trader.place(Wanted(asset, True, "1990", "0.1"))
    nonce = json.loads(body)["nonce"]

    first, second = exchange.exchange(body), exchange.exchange(body)

    assert first["status"] == "ok"
    assert second == {"status": "err", "response": f"Invalid nonce: duplicate nonce {nonce}"}
    assert len(exchange.info("openOrders", user=trader.address)) == 1


def test_nonces_outside_their_window(exchange: Program, trader: Trader) -> None:
    """Too old and too far ahead are told apart."""
    now = time.time_ns() // 1_000_000

    for nonce, text in ((now - 3 * DAY_MS, "too low"), (now + 2 * DAY_MS, "too high")):
        answer = exchange.exchange(trader.sign({"type": "noop"}, nonce))
        assert answer["status"] == "err"
        assert answer["response"].startswith(f"Invalid nonce: nonce {text} {nonce} ")


def test_a_nonce_below_the_hundred_highest(exchange: Program, trader: Trader) -> None:
    """Only a signer's hundred highest nonces are remembered; what is below them is too low."""
    first = trader.nonce()
    for _ in range(100):
        assert exchange.exchange(trader.sign({"type": "noop"}))["status"] == "ok"

    answer = exchange.exchange(trader.sign({"type": "noop"}, first))

    assert answer["response"].startswith(f"Invalid nonce: nonce too low {first} < ")


@pytest.mark.parametrize(
    "signature",
    [
        {"r": "0x0", "s": "0x0", "v": 27},
        {"r": "0x" + "f" * 64, "s": "0x" + "f" * 64, "v": 28},
        {"r": "0x1", "s": "0x1", "v": 26},
        {"r": "0x1", "s": "0x1", "v": 2**63},
        {"r": "0x5", "s": "0x1", "v": 27},
    ],
)
def test_a_signature_that_nobody_made(
    exchange: Program, trader: Trader, signature: dict[str, Any]
) -> None:
    """No key could have made it, and the answer says so."""
    body = json.dumps(envelope(trader, signature=signature)).encode()

    with counted(exchange, "exchange", "signature"):
        answer = exchange.exchange(body)
    assert answer == {"status": "err", "response": "Unable to recover signer."}


def test_a_foreign_signature(exchange: Program, trader: Trader) -> None:
    """An action that was changed after it was signed comes from an address that nobody knows."""
    body = envelope(trader)
    body["action"]["orders"][0]["s"] = "1000"

    answer = exchange.exchange(json.dumps(body).encode())

    assert answer["status"] == "err"
    assert answer["response"].startswith("User or API Wallet 0x")
    assert trader.address not in answer["response"]


def test_a_signature_for_another_network(exchange: Program, trader: Trader) -> None:
    """What was signed for the main network is nobody's here."""
    order = Wanted(1, True, "2000", "0.1").to_wire()
    action = {"type": "order", "orders": [order], "grouping": "na"}

    answer = exchange.exchange(trader.sign(action, chain=Chain.MAINNET))

    assert answer["response"].startswith("User or API Wallet 0x")
    assert exchange.info("openOrders", user=trader.address) == []


# ---- connections -----------------------------------------------------------------------------


def raw(exchange: Program, data: bytes) -> bytes:
    """Send bytes over a connection of their own; return what comes back until it falls silent."""
    with socket.create_connection(exchange.address, timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
    return received


async def test_data_right_behind_an_upgrade(exchange: Program) -> None:
    """Frames ahead of the server's answer end that connection and no other; it is counted."""
    async with open_wire(exchange.ws_url) as bystander:
        await bystander.subscribe("l2Book", coin="BTC")
        await bystander.until("l2Book")

        for _ in range(8):
            raw(exchange, UPGRADE + text_frame(b'{"method":"ping"}') * 3)

        await bystander.send({"method": "ping"})
        await bystander.until("pong")
    assert exchange.metric("zaraba_input_refused_total", place="http", reason="protocol") > 0
    assert exchange.is_ready()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /info HTTP/1.1\r\n" + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{}",
        b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        UPGRADE.replace(b"Version: 13", b"Version: 1"),
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"!"),
        UPGRADE.replace(b"/ws", b"/nosuch"),
        UPGRADE.replace(b"GET", b"POST"),
    ],
)
def test_bytes_that_are_no_request(exchange: Program, data: bytes) -> None:
    """Whatever arrives is refused or ignored, never answered with a 500; the rest goes on."""
    answer = raw(exchange, data)

    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert exchange.is_ready()


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x05hello",  # not masked
        b"\xf1\x80" + bytes(4),  # reserved bits
        b"\x83\x80" + bytes(4),  # reserved opcode
        b"\x80\x80" + bytes(4),  # a continuation of nothing
        b"\x89\xfe\x00\xff" + bytes(4) + bytes(255),  # a ping that is too long
        b"\x81\xff" + b"\xff" * 8 + bytes(4),  # 2**64 - 1 bytes to come
        b"\x81\x82" + bytes(4) + b"\xff\xfe",  # not UTF-8
        b"\x88\x81" + bytes(4) + b"\x00",  # a close with half a code
        b"\x01\x81" + bytes(4) + b"a" + b"\x81\x81" + bytes(4) + b"b",  # a message in a message
    ],
)
def test_frames_that_are_no_frames(exchange: Program, frame: bytes) -> None:
    """A broken frame ends its connection in order; nobody else notices."""
    with socket.create_connection(exchange.address, timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        connection.sendall(frame)
        connection.settimeout(5)
        rest = connection.recv(1_000)

    assert rest == b"" or rest[0] == 0x88, rest
    assert exchange.is_ready()


async def test_a_flood_of_subscriptions(exchange: Program) -> None:
    """Beyond the limit each request is refused in words and counted; the first thousand live."""
    with counted(exchange, "ws", "flood", 20):
        async with open_wire(exchange.ws_url) as wire:
            users = [f"0x{number:040x}" for number in range(30)]
            for user in users:
                subscription = {"type": "userEvents", "user": user}
                await wire.send({"method": "subscribe", "subscription": subscription})
            frames = [await wire.receive() for _ in users]
    kinds = [frame["channel"] for frame in frames]
    assert kinds == ["subscriptionResponse"] * 10 + ["error"] * 20


async def test_a_flood_of_posts(exchange: Program, trader: Trader) -> None:
    """Each of many actions at once is carried out or, if too many wait, refused by its id."""
    count = 400
    nonces = [trader.nonce() for _ in range(count)]
    bodies = [trader.sign({"type": "noop"}, nonce).decode() for nonce in nonces]
    async with open_wire(exchange.ws_url) as wire:
        for number, body in enumerate(bodies):
            request = f'{{"type":"action","payload":{body}}}'
            await wire.send(f'{{"method":"post","id":{number},"request":{request}}}')
        frames = [await wire.receive() for _ in range(count)]

        answered = {frame["data"]["id"] for frame in frames if frame["channel"] == "post"}
        texts = [frame["data"] for frame in frames if frame["channel"] == "error"]
        refused = {int(text.removeprefix("too many pending post requests id=")) for text in texts}
        assert answered | refused == set(range(count))
        assert not answered & refused
        for number in range(0, count, 40):
            again = await wire.act(bodies[number].encode())
            assert again["status"] == ("ok" if number in refused else "err")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the files of a process")
def test_connections_that_never_say_anything(exchange: Program) -> None:
    """A connection is gone with its client, also one that never sent a request."""

    def files() -> int:
        return len(list(Path(f"/proc/{exchange.process.pid}/fd").iterdir()))

    before = files()
    with contextlib.ExitStack() as opened:
        for _ in range(50):
            opened.enter_context(socket.create_connection(exchange.address))
        wait_until(lambda: files() >= before + 40)

    wait_until(lambda: files() <= before + 10)
