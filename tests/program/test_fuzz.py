"""Whatever JSON arrives, at whatever endpoint: never a 5xx, never a dead actor, always ready.

Three depths: JSON of any kind, requests that are nearly right, and rightly signed actions with
values from the edges, which go all the way into the machine.
"""

import contextlib
import copy
import http.client
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.program.clients import Trader, Wanted, cloid, open_wire
from tests.program.harness import ANSWER_SECONDS_MAX, Answer, Program

pytestmark = pytest.mark.program

fuzz = settings(
    max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

USERS: Final = ("0x" + "1" * 40, "0x" + "AB" * 20, "0x1", "", "0x" + "0" * 40)
COINS: Final = ("BTC", "7203", "SPARE1", "NOSUCH", "btc", "@1", "PURR/USDC", "")

# ---- strategies ------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**53, 2**63, 2**64 - 1, 2**64, 10**400]),
    st.floats(),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["NaN", "1e400", "-0", "0x", "\uff11\uff12", "\x00", "\ud800", "null", "{}", "%s"]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)

INFO_TYPES: Final = """
    meta spotMeta metaAndAssetCtxs spotMetaAndAssetCtxs allPerpMetas perpDexs outcomeMeta
    exchangeStatus allMids l2Book candleSnapshot recentTrades fundingHistory clearinghouseState
    spotClearinghouseState activeAssetData openOrders frontendOpenOrders orderStatus
    historicalOrders userFills userFillsByTime userFunding userNonFundingLedgerUpdates userFees
    userRateLimit userRole userAbstraction extraAgents subAccounts portfolio webData2 referral
""".split()
CHANNELS: Final = """
    allMids l2Book bbo trades candle activeAssetCtx activeAssetData orderUpdates userEvents
    userFills userFundings userNonFundingLedgerUpdates openOrders clearinghouseState webData2
""".split()

maybe: Callable[[Any], Any] = lambda likely: st.one_of(likely, likely, likely, values)  # noqa: E731
parameters = {
    "user": maybe(st.sampled_from(USERS)),
    "coin": maybe(st.sampled_from(COINS)),
    "dex": maybe(st.sampled_from(["", "elsewhere"])),
    "oid": maybe(st.one_of(numbers, st.sampled_from([cloid(1), "0x1"]))),
    "startTime": maybe(numbers),
    "endTime": maybe(numbers),
    "interval": maybe(st.sampled_from(["1m", "1M", "7m"])),
    "nSigFigs": maybe(st.integers(0, 7)),
    "mantissa": maybe(st.integers(0, 7)),
    "aggregateByTime": maybe(st.booleans()),
    "reversed": maybe(st.booleans()),
    "req": maybe(
        st.fixed_dictionaries(
            {"coin": maybe(st.sampled_from(COINS)), "interval": maybe(st.just("1m"))},
            optional={"startTime": maybe(numbers), "endTime": maybe(numbers)},
        )
    ),
}
questions = st.fixed_dictionaries({"type": maybe(st.sampled_from(INFO_TYPES))}, optional=parameters)
subscriptions = st.fixed_dictionaries(
    {"type": maybe(st.sampled_from(CHANNELS))}, optional=parameters
)

sizes = st.sampled_from(
    "0 0.0001 0.1 1 12345 99999999999 0.00000001 92233720368.54775807 184467440737.0 -1".split()
)
prices = st.sampled_from(
    "0 0.01 1999.9 2000 2000.01 3600 99999 100000 0.00000001 92233720368.54775807 -2000".split()
)
assets = st.sampled_from([0, 1, 10, 11, 95, 96, 10_000, 2**31, 2**32 - 1])
cloids = st.integers(1, 6).map(cloid)
oids = st.one_of(st.integers(0, 400), st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64 - 1]))
orders = st.fixed_dictionaries(
    {
        "a": assets,
        "b": st.booleans(),
        "p": prices,
        "s": sizes,
        "r": st.booleans(),
        "t": st.one_of(
            st.sampled_from(["Gtc", "Ioc", "Alo", "FrontendMarket"]).map(
                lambda tif: {"limit": {"tif": tif}}
            ),
            st.just({"trigger": {"isMarket": True, "triggerPx": "1900", "tpsl": "sl"}}),
        ),
    },
    optional={"c": cloids},
)
usual_orders = st.fixed_dictionaries(
    {
        "a": st.sampled_from([10, 11]),
        "b": st.booleans(),
        "p": st.integers(1980, 2020).map(str),
        "s": st.sampled_from(["0.1", "1", "60"]),
        "r": st.booleans(),
        "t": st.sampled_from(["Gtc", "Ioc", "Alo"]).map(lambda tif: {"limit": {"tif": tif}}),
    },
    optional={"c": cloids},
)
some_orders = st.lists(st.one_of(orders, usual_orders, usual_orders), max_size=5)
actions = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("order"),
            "orders": some_orders,
            "grouping": st.sampled_from(["na", "normalTpsl", "positionTpsl"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("cancel"),
            "cancels": st.lists(st.fixed_dictionaries({"a": assets, "o": oids}), max_size=4),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("cancelByCloid"),
            "cancels": st.lists(
                st.fixed_dictionaries({"asset": assets, "cloid": cloids}), max_size=4
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("batchModify"),
            "modifies": st.lists(
                st.fixed_dictionaries({"oid": st.one_of(oids, cloids), "order": usual_orders}),
                max_size=4,
            ),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("modify"), "oid": st.one_of(oids, cloids), "order": orders}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("updateLeverage"),
            "asset": assets,
            "isCross": st.booleans(),
            "leverage": st.sampled_from([0, 1, 3, 25, 26, 2**32 - 1]),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("usdSend"),
            "destination": st.sampled_from([USERS[0], USERS[1], USERS[4]]),
            "amount": st.sampled_from("0 0.000001 1 1.0000001 92233720368.54775807 -1".split()),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("approveAgent"),
            "agentAddress": st.sampled_from([USERS[0], USERS[1], USERS[4]]),
            "agentName": st.sampled_from(
                ["", "desk", "a" * 17, "x valid_until 1", "x valid_until 99999999999999", "ザラバ"]
            ),
        }
    ),
)


# ---- the program under it --------------------------------------------------------------------


class Line:
    """One kept connection; HTTP errors leave it usable."""

    def __init__(self, program: Program) -> None:
        self._connection = http.client.HTTPConnection(*program.address, timeout=ANSWER_SECONDS_MAX)

    def post(self, path: str, body: bytes) -> Answer:
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())

    def close(self) -> None:
        self._connection.close()


def failures(program: Program) -> tuple[float, float]:
    """Count what must never happen: actors that failed, commands on which the machine broke."""
    names = ("child failed", "child ended", "gave up")
    failed = sum(program.metric("zaraba_actor_events_total", event=name) for name in names)
    return failed, program.metric("zaraba_commands_crashed_total")


@pytest.fixture(scope="module")
def line(exchange: Program) -> Iterator[Line]:
    """A connection to an exchange that must be none the worse for all of this module."""
    before = failures(exchange)
    line = Line(exchange)
    yield line
    line.close()
    assert failures(exchange) == before, exchange.output()[-5_000:]
    assert exchange.is_ready()


@pytest.fixture(scope="module")
def trader(exchange: Program) -> Trader:
    """A funded wallet."""
    trader = Trader.fresh()
    exchange.fund(trader.address, 1_000_000)
    return trader


def encode(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def is_no_failure(answer: Answer) -> None:
    """Whatever was asked, the answer is one of those that are documented."""
    assert answer.status in (200, 400, 413, 422), answer
    if answer.status == 200:
        answer.json()
        assert answer.headers["content-type"] == "application/json"
    else:
        assert answer.headers["content-type"].startswith("text/plain")


# ---- HTTP ------------------------------------------------------------------------------------


@fuzz
@given(
    place=st.sampled_from(["/info", "/exchange"]), body=st.one_of(values.map(encode), st.binary())
)
def test_anything(line: Line, place: str, body: bytes) -> None:
    """Any JSON, and any bytes."""
    is_no_failure(line.post(place, body))


@fuzz
@given(questions)
def test_questions_that_are_nearly_right(line: Line, question: dict[str, Any]) -> None:
    """Known types with any parameters."""
    is_no_failure(line.post("/info", encode(question)))


@fuzz
@given(seed=st.integers(0, 2**32), replacement=values)
def test_actions_that_are_nearly_right(
    line: Line, trader: Trader, seed: int, replacement: Any
) -> None:
    """A good request of which one part, anywhere in it, was replaced, removed or doubled."""
    body = json.loads(trader.place(Wanted(10, True, "1990", "0.1", cloid=cloid(1))))

    answer = line.post("/exchange", encode(mutate(body, random.Random(seed), replacement)))

    is_no_failure(answer)
    if answer.status == 200:
        assert answer.json()["status"] in ("ok", "err")


def mutate(body: Any, chance: random.Random, replacement: Any) -> Any:
    """Change one part of a JSON value."""
    body = copy.deepcopy(body)
    places: list[tuple[Any, Any]] = []
    collect(body, places)
    inside, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            inside[key] = replacement
        case 1:
            del inside[key]
        case 2 if isinstance(inside, list):
            inside.append(inside[key])
        case 2:
            inside[f"{key}x"] = inside[key]
        case _:
            value = inside[key]
            inside[key] = f"{value}0" if isinstance(value, str) else [value]
    return body


def collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    """List all parts of a JSON value, as what they are in and where."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        places.append((value, key))
        if isinstance(value[key], dict | list):
            collect(value[key], places)


@fuzz
@given(st.lists(actions, min_size=1, max_size=4))
def test_signed_actions_with_values_from_the_edges(
    line: Line, trader: Trader, sent: list[dict[str, Any]]
) -> None:
    """What is rightly signed is carried out or refused for a reason; the machine never breaks."""
    for action in sent:
        with contextlib.suppress(ValueError):  # our own code refuses to sign what is no action
            answer = line.post("/exchange", trader.sign(action))
            is_no_failure(answer)
            assert answer.status == 200, answer
            outcome = answer.json()
            assert outcome["status"] in ("ok", "err")
            assert "Internal error" not in str(outcome)
            assert "Outcome unknown" not in str(outcome)


# ---- WebSocket -------------------------------------------------------------------------------

messages = st.one_of(
    values.map(encode),
    st.fixed_dictionaries(
        {
            "method": maybe(st.sampled_from(["subscribe", "unsubscribe", "ping"])),
            "subscription": maybe(subscriptions),
        }
    ).map(encode),
    st.fixed_dictionaries(
        {
            "method": st.just("post"),
            "id": maybe(numbers),
            "request": maybe(
                st.fixed_dictionaries(
                    {
                        "type": maybe(st.sampled_from(["info", "action"])),
                        "payload": maybe(questions),
                    }
                )
            ),
        }
    ).map(encode),
)


@settings(fuzz, max_examples=150)
@given(st.lists(messages, min_size=1, max_size=12))
async def test_messages(exchange: Program, line: Line, sent: list[bytes]) -> None:
    """Each message is answered or refused in words, and the connection serves the last one."""
    async with open_wire(exchange.ws_url) as wire:
        for message in sent:
            await wire.send(message.decode("utf-8", "replace"))
        await wire.send({"method": "subscribe", "subscription": {"type": "bbo", "coin": "SOL"}})
        last = (
            b'{"method":"post","id":4242,"request":{"type":"info","payload":{"type":"perpDexs"}}}'
        )
        await wire.send(last.decode())
        await wire.until("post", lambda data: data["id"] == 4242)

        errors = [frame["data"] for frame in wire.seen if frame["channel"] == "error"]
        assert all(isinstance(text, str) for text in errors)
        for frame in wire.seen:
            response = frame["data"].get("response", {}) if frame["channel"] == "post" else {}
            if response.get("type") == "error":
                assert response["payload"].startswith("4"), response
