"""Bots against a small exchange of bytes: they fill a book, trade, tidy up, and bear refusals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import trio
from attrs import define, field

from actors.bots import (
    PAUSE_SECONDS,
    START_USD,
    BotError,
    Client,
    Identity,
    Maker,
    Taker,
    Venue,
    order_action,
)
from actors.strategies import LEVELS_PER_SIDE, Quote
from model.ids import Address, AssetId
from model.instruments import Instrument
from model.units import E8, USD, format_decimal
from supervision import Actor, ChildSpec, SupervisorSpec, open_system

BTC = Instrument(AssetId(0), "BTC", 5, 40, 65_000 * E8)
ETH = Instrument(AssetId(1), "ETH", 4, 25, 2_600 * E8)
NAMES = {0: "BTC", 1: "ETH"}


def sign(action: Mapping[str, object], nonce: int) -> bytes:
    return msgspec.json.encode({"action": action, "nonce": nonce})


@define
class FakeExchange:
    """One account's exchange: keeps its orders, gives answers of the right form, matches nothing.

    ``refusal`` is answered to every action as long as it is set; ``body`` is answered to anything.
    """

    value_usd: int = 100_000
    standing: dict[int, dict[str, Any]] = field(factory=dict)
    nonces: list[int] = field(factory=list)
    kinds: list[str] = field(factory=list)
    prices_e8: dict[AssetId, int] = field(
        factory=lambda: {AssetId(0): 65_000 * E8, AssetId(1): 2_600 * E8}
    )
    refusal: str | None = None
    body: bytes | None = None
    is_stuck: bool = False
    taken: list[dict[str, Any]] = field(factory=list)
    funded: list[tuple[str, int]] = field(factory=list)
    oids: itertools.count[int] = field(factory=lambda: itertools.count(1))

    async def exchange(self, body: bytes) -> bytes:
        if self.is_stuck:
            await trio.sleep_forever()
        request = msgspec.json.decode(body)
        action = request["action"]
        self.nonces.append(request["nonce"])
        self.kinds.append(action["type"])
        if self.body is not None:
            return self.body
        if self.refusal is not None:
            return msgspec.json.encode({"status": "err", "response": self.refusal})
        self.apply(action)
        return b'{"status":"ok","response":{"type":"default"}}'

    def apply(self, action: dict[str, Any]) -> None:
        match action["type"]:
            case "order":
                for order in action["orders"]:
                    self.place(order)
            case "cancel":
                for cancel in action["cancels"]:
                    self.standing.pop(cancel["o"], None)
            case "batchModify":
                for modify in action["modifies"]:
                    if self.standing.pop(modify["oid"], None) is not None:
                        self.place(modify["order"])
            case other:
                assert other == "noop"

    def place(self, order: dict[str, Any]) -> None:
        if order["t"]["limit"]["tif"] == "Ioc":
            self.taken.append(order)
        else:
            self.standing[next(self.oids)] = order

    async def info(self, body: bytes) -> bytes:
        if self.body is not None:
            return self.body
        match msgspec.json.decode(body):
            case {"type": "openOrders", "user": "0xb07"}:
                return msgspec.json.encode(
                    [
                        {
                            "coin": NAMES[order["a"]],
                            "side": "B" if order["b"] else "A",
                            "limitPx": order["p"],
                            "sz": order["s"],
                            "oid": oid,
                        }
                        for oid, order in self.standing.items()
                    ]
                )
            case {"type": "clearinghouseState", "user": "0xb07"}:
                value = format_decimal(self.value_usd * USD, 6)
                return msgspec.json.encode(
                    {"marginSummary": {"accountValue": value}, "assetPositions": []}
                )
            case other:
                raise AssertionError(other)

    async def read_prices(self) -> Mapping[AssetId, int]:
        return self.prices_e8

    async def fund(self, address: Address, usd: int) -> None:
        self.funded.append((address, usd))
        self.value_usd += usd // USD

    def venue(self, *, can_fund: bool = False) -> Venue:
        return Venue(
            self.exchange,
            self.info,
            self.read_prices,
            lambda: 1_700_000_000_000 + int(trio.current_time() * 1000),
            [BTC, ETH],
            self.fund if can_fund else None,
        )


IDENTITY = Identity("bot", Address("0xb07"), sign)


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


def maker(exchange: FakeExchange, **options: Any) -> Maker:
    return Maker(IDENTITY, exchange.venue(**options), 1, instrument=BTC)


def taker(exchange: FakeExchange, **options: Any) -> Taker:
    return Taker(IDENTITY, exchange.venue(**options), 1)


async def run(bot: Actor, seconds: float) -> int:
    """Run one bot for so long and return how many incarnations it took."""
    async with open_system(SupervisorSpec([ChildSpec("bot", lambda: bot)])) as system:
        await trio.sleep(seconds)
        return system.address("bot").generation


def ladder(exchange: FakeExchange) -> tuple[set[float], set[float]]:
    orders = exchange.standing.values()
    return (
        {float(order["p"]) for order in orders if order["b"]},
        {float(order["p"]) for order in orders if not order["b"]},
    )


async def test_a_maker_builds_a_full_ladder_around_the_oracle(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """After a few turns both sides stand, and nothing but post-only orders was used."""
    await run(maker(exchange), 10)

    bids, asks = ladder(exchange)
    assert len(bids) == len(asks) == LEVELS_PER_SIDE
    assert max(bids) < 65_000 < min(asks)
    assert exchange.taken == []


async def test_a_maker_follows_the_oracle_by_modifying(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """A move changes orders instead of cancelling and placing them."""
    async with open_system(SupervisorSpec([ChildSpec("bot", lambda: maker(exchange))])):
        await trio.sleep(10)
        exchange.kinds.clear()
        exchange.prices_e8[AssetId(0)] = 66_000 * E8
        await trio.sleep(10)

    bids, asks = ladder(exchange)
    assert max(bids) < 66_000 < min(asks)
    assert len(bids) == len(asks) == LEVELS_PER_SIDE
    assert set(exchange.kinds) == {"batchModify"}


async def test_a_taker_sends_immediate_orders_in_all_markets(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """It leaves nothing on the book."""
    await run(taker(exchange), 60)

    assert {order["a"] for order in exchange.taken} == {0, 1}
    assert {order["b"] for order in exchange.taken} == {True, False}
    assert exchange.standing == {}


async def test_the_rate_of_actions_is_modest(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """All makers and takers together have to leave a laptop cool."""
    await run(maker(exchange), 60)

    assert 1 <= len(exchange.kinds) <= 150


async def test_nonces_only_grow(exchange: FakeExchange, autojump_clock: object) -> None:
    """Two actions within one millisecond get different nonces."""
    client = Client(IDENTITY, exchange.venue())
    for _ in range(3):
        await client.act({"type": "noop"})

    assert exchange.nonces == sorted(set(exchange.nonces))


async def test_a_new_incarnation_cancels_what_the_last_one_left(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """It knows of its old orders only from the exchange."""
    for price in range(250):
        exchange.place(
            {"a": 0, "b": True, "p": f"{60_000 + price}", "s": "1", "t": {"limit": {"tif": "Gtc"}}}
        )
    await run(taker(exchange), 10)

    assert exchange.standing == {}
    assert exchange.kinds[:3] == ["cancel"] * 3


async def test_a_bot_that_crashes_is_restarted_and_tidies_up(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """An order in a market that does not exist is a bug somewhere; the restart goes on trading."""
    async with open_system(
        SupervisorSpec([ChildSpec("bot", lambda: maker(exchange))], intensity=100)
    ) as system:
        await trio.sleep(10)
        NAMES[0] = "NOSUCH"
        try:
            await trio.sleep(1.5)
        finally:
            NAMES[0] = "BTC"
        await trio.sleep(30)
        assert system.address("bot").generation > 1

    assert "cancel" in exchange.kinds
    bids, asks = ladder(exchange)
    assert len(bids) == len(asks) == LEVELS_PER_SIDE


async def test_an_empty_account_asks_for_the_faucet(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """Its first action has no effect but to be valid."""
    exchange.value_usd = 0
    await run(taker(exchange), 5)

    assert set(exchange.kinds) == {"noop"}


async def test_a_poor_account_is_filled_up_where_the_demo_may(
    exchange: FakeExchange, autojump_clock: object
) -> None:
    """Once, up to the start value; then it trades."""
    exchange.value_usd = 1_000
    await run(taker(exchange, can_fund=True), 30)

    assert exchange.funded == [("0xb07", START_USD - 1_000 * USD)]
    assert exchange.taken


@pytest.mark.parametrize(
    "trouble",
    [
        {"refusal": "Insufficient margin"},
        {"body": b"null"},
        {"body": b"Service Unavailable"},
        {"body": b'{"status":'},
        {"is_stuck": True},
    ],
    ids=str,
)
async def test_a_bot_bears_refusals_and_failures_and_goes_on(
    exchange: FakeExchange, trouble: dict[str, Any], autojump_clock: object
) -> None:
    """It pauses, is not restarted for it, and trades again afterwards."""
    reasons: list[str] = []
    bot = Maker(
        IDENTITY,
        exchange.venue(),
        1,
        instrument=BTC,
        on_pause=lambda name, reason: reasons.append(f"{name}: {reason}"),
    )
    async with open_system(SupervisorSpec([ChildSpec("bot", lambda: bot)])) as system:
        for name, value in trouble.items():
            setattr(exchange, name, value)
        await trio.sleep(60)
        assert 3 <= len(reasons) <= 60 / PAUSE_SECONDS + 1
        assert exchange.standing == {}
        exchange.refusal, exchange.body, exchange.is_stuck = None, None, False
        await trio.sleep(30)
        assert system.address("bot").generation == 1

    bids, asks = ladder(exchange)
    assert len(bids) == len(asks) == LEVELS_PER_SIDE


async def test_a_refusal_says_which_action_and_why(exchange: FakeExchange) -> None:
    """The text is what an operator of a demo sees."""
    exchange.refusal = "Must deposit before performing actions."

    with pytest.raises(BotError, match="noop refused: Must deposit"):
        await Client(IDENTITY, exchange.venue()).act({"type": "noop"})


def test_orders_are_written_as_clients_sign_them() -> None:
    """Keys in canonical order, decimals without trailing zeros."""
    quote = Quote(AssetId(0), True, 65_000 * E8, 1_50000)
    action = order_action([quote], "Alo")

    assert msgspec.json.encode(action) == (
        b'{"type":"order","orders":[{"a":0,"b":true,"p":"65000","s":"0.0015","r":false,'
        b'"t":{"limit":{"tif":"Alo"}}}],"grouping":"na"}'
    )
