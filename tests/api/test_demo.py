"""The demo's keys, signatures and children."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from attrs import evolve

from actors.bots import BotError
from actors.oracle import Oracle
from api.config import OracleSource, load_config
from api.demo import Demo, bot_children, demo_children, demo_key, make_signer, oracle_reader
from api.signing import Chain, Signature, l1_action_hash, l1_digest, recover_signer
from model.units import E8
from supervision import SupervisorSpec, open_system
from supervision.errors import UnknownPath

ACTION = {
    "type": "order",
    "orders": [
        {"a": 0, "b": True, "p": "65000", "s": "0.0015", "r": False, "t": {"limit": {"tif": "Alo"}}}
    ],
    "grouping": "na",
}


async def nowhere(_body: Any) -> bytes:
    await trio.lowlevel.checkpoint()
    raise AssertionError("nothing should be sent")


def demo(**changes: Any) -> Demo:
    ways = {"exchange": nowhere, "info": nowhere, "submit": nowhere, **changes}
    ways.setdefault("config", load_config())
    return Demo(clock_ms=lambda: 0, **ways)


def test_a_bots_signature_recovers_to_its_address() -> None:
    """The exchange treats a bot like any client, so it has to sign like one."""
    key = demo_key(1, "maker-BTC")
    body = msgspec.json.decode(make_signer(key)(ACTION, 1_700_000_000_000))

    signature = Signature.of_hex(**body["signature"])
    digest = l1_digest(l1_action_hash(body["action"], body["nonce"]), Chain.TESTNET)
    assert list(body) == ["action", "nonce", "signature"]
    assert recover_signer(digest, signature) == key.address


def test_keys_follow_from_seed_and_name() -> None:
    """Every machine shows the same demo, and no two bots share an account."""
    assert demo_key(1, "a").address == demo_key(1, "a").address
    assert len({demo_key(seed, name).address for seed in (1, 2) for name in "ab"}) == 4


def test_only_markets_that_wander_are_moved() -> None:
    """A market whose oracle is the operator's keeps the price that it was given."""
    config = load_config()
    still = evolve(config.markets[1], oracle=OracleSource.OPERATOR)
    quiet = evolve(config, markets=(config.markets[0], still, *config.markets[2:]))

    start = demo_children(demo(config=quiet))[0].start
    assert callable(start)
    oracle = start()

    assert isinstance(oracle, Oracle)
    moved = [market.instrument.name for market in oracle.markets]
    assert moved == ["BTC", "SOL", "7203", "6758", "9984"]


def test_every_market_has_a_maker_and_there_are_takers() -> None:
    """So each of the six books is alive."""
    names = [spec.id for spec in bot_children(demo())]

    for market in load_config().markets:
        assert f"maker-{market.name}" in names
    assert sum(name.startswith("taker-") for name in names) == 4


def test_the_oracle_comes_before_the_bots() -> None:
    """They look at it."""
    assert [spec.id for spec in demo_children(demo())] == ["oracle", "bots"]


async def test_bots_that_cannot_work_are_given_up_alone(autojump_clock: object) -> None:
    """The exchange and its oracle go on without them."""
    moves: list[object] = []

    async def submit(move: object) -> None:
        await trio.lowlevel.checkpoint()
        moves.append(move)

    async def info(body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        if b"metaAndAssetCtxs" in body:
            return b'[{"universe":[]},[{"oraclePx":"65000.0"}]]'
        return b'[{"coin":"NOSUCH","side":"B","limitPx":"1.0","sz":"1.0","oid":1}]'

    spec = SupervisorSpec(demo_children(demo(info=info, submit=submit)))
    async with open_system(spec) as system:
        await trio.sleep(600)
        assert len(moves) > 590
        assert system.address("oracle").generation == 1
        with pytest.raises(UnknownPath):
            system.address("bots/taker-1")


async def test_oracle_prices_are_read_from_the_contexts_of_the_markets() -> None:
    """By asset id, in units of 1e-8 USD."""

    async def info(body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        assert msgspec.json.decode(body) == {"type": "metaAndAssetCtxs"}
        return b'[{"universe":[]},[{"oraclePx":"65000.0","x":1},{"oraclePx":"18.4","midPx":null}]]'

    assert await oracle_reader(info)() == {0: 65_000 * E8, 1: 18_40000000}


@pytest.mark.parametrize("answer", [b"null", b"", b"[]", b'[{},[{"markPx":"1.0"}]]'])
async def test_contexts_that_are_none_are_an_operating_error(answer: bytes) -> None:
    """The bots pause for it instead of crashing."""

    async def info(_body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return answer

    with pytest.raises(BotError, match="not the contexts"):
        await oracle_reader(info)()
