"""The bots of spot pairs: what they quote fits their balances, which are filled up when low."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import trio
from attrs import define, field

from actors.bots import Identity, Venue
from actors.spot_bots import START_E8, SpotMaker, SpotTaker
from actors.strategies import LEVELS_PER_SIDE
from model.ids import SPOT_ASSETS_FROM, USDC, Address, AssetId, TokenId
from model.instruments import Instrument
from model.units import E8, format_decimal, parse_decimal
from supervision import Actor, ChildSpec, SupervisorSpec, open_system

SAKE = TokenId(1)
PAIR = Instrument(SPOT_ASSETS_FROM, "SAKE/USDC", 1, 1, 5 * E8 // 2, base=SAKE)


@define
class FakePair:
    """One account's side of a pair: keeps its orders and balances, matches nothing."""

    balances: dict[TokenId, int] = field(factory=lambda: {USDC: 0, SAKE: 0})
    standing: dict[int, dict[str, Any]] = field(factory=dict)
    taken: list[dict[str, Any]] = field(factory=list)
    funded: list[TokenId] = field(factory=list)
    oids: itertools.count[int] = field(factory=lambda: itertools.count(1))

    async def exchange(self, body: bytes) -> bytes:
        """Take an action."""
        action = msgspec.json.decode(body)["action"]
        for order in action.get("orders", ()):
            self.place(order)
        for cancel in action.get("cancels", ()):
            self.standing.pop(cancel["o"], None)
        for modify in action.get("modifies", ()):
            if self.standing.pop(modify["oid"], None) is not None:
                self.place(modify["order"])
        return b'{"status":"ok","response":{"type":"default"}}'

    def place(self, order: dict[str, Any]) -> None:
        """Keep a resting order, or note one that takes."""
        if order["t"]["limit"]["tif"] == "Ioc":
            self.taken.append(order)
        else:
            self.standing[next(self.oids)] = order

    async def info(self, body: bytes) -> bytes:
        """Answer a question."""
        if msgspec.json.decode(body)["type"] == "spotClearinghouseState":
            totals = [("USDC", self.balances[USDC]), ("SAKE", self.balances[SAKE])]
            return msgspec.json.encode(
                {"balances": [{"coin": c, "total": format_decimal(t, 8)} for c, t in totals]}
            )
        return msgspec.json.encode(
            [
                {
                    "coin": PAIR.name,
                    "side": "B" if order["b"] else "A",
                    "limitPx": order["p"],
                    "sz": order["s"],
                    "oid": oid,
                }
                for oid, order in self.standing.items()
            ]
        )

    async def read_prices(self) -> Mapping[AssetId, int]:
        """Tell the price."""
        return {PAIR.asset: PAIR.opening_price_e8}

    async def fund(self, _address: Address, token: TokenId, amount_e8: int) -> None:
        """Give tokens."""
        self.funded.append(token)
        self.balances[token] += amount_e8


def bot(kind: type[SpotMaker | SpotTaker], pair: FakePair) -> Actor:
    """Return a bot of the pair."""
    identity = Identity("bot", Address("0xb07"), lambda a, n: msgspec.json.encode({"action": a}))
    venue = Venue(pair.exchange, pair.info, pair.read_prices, lambda: 1, [PAIR])
    return kind(identity, venue, 1, instrument=PAIR, fund_token=pair.fund, volatility_ppm=100)


async def run(actor: Actor, seconds: float) -> int:
    """Run one bot for so long and return how many incarnations it took."""
    async with open_system(SupervisorSpec([ChildSpec("bot", lambda: actor)])) as system:
        await trio.sleep(seconds)
        return system.address("bot").generation


async def test_a_maker_quotes_no_more_than_it_has(autojump_clock: object) -> None:
    """Both balances are filled up once; then both sides stand, and either could fill completely."""
    pair = FakePair()

    assert await run(bot(SpotMaker, pair), 20) == 1

    assert sorted(pair.funded) == [USDC, SAKE]
    orders = pair.standing.values()
    bids = [order for order in orders if order["b"]]
    asks = [order for order in orders if not order["b"]]
    assert len(bids) == len(asks) == LEVELS_PER_SIDE
    assert {order["a"] for order in orders} == {PAIR.asset}
    cost = sum(parse_decimal(order["p"]) * parse_decimal(order["s"]) // E8 for order in bids)
    assert cost <= pair.balances[USDC]
    assert sum(parse_decimal(order["s"]) for order in asks) <= pair.balances[SAKE]


async def test_what_runs_low_is_filled_up(autojump_clock: object) -> None:
    """A taker whose tokens are gone gets tokens, and no more USDC."""
    pair = FakePair({USDC: START_E8, SAKE: 0})

    await run(bot(SpotTaker, pair), 20)

    assert pair.funded == [SAKE]
    assert pair.balances[SAKE] == START_E8 * E8 // PAIR.opening_price_e8
    assert pair.taken
    assert {order["a"] for order in pair.taken} == {PAIR.asset}
