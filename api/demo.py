"""What ``--demo`` adds to an exchange: an oracle that moves, and bots that trade.

**The bots' keys are public.** They follow from the seed by a formula that anybody can read here, so
that a demo is the same everywhere. They are worthless: never send anything to their addresses on
another network.

The bots sit under a supervisor that is temporary: if they crash faster than it tolerates they are
given up, and the exchange goes on without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from attrs import frozen

from actors.bots import Bot, BotError, Fund, Identity, Maker, Signer, Taker, Transport, Venue
from actors.oracle import Oracle, OracleMarket, PriceReader, Submit
from actors.spot_bots import FundToken, SpotMaker, SpotTaker
from api.config import ExchangeConfig, OracleSource
from api.eip712 import keccak256
from api.settings import DEMO_SEED
from api.signing import Chain, SigningKey, sign_l1_action
from model.ids import AssetId
from model.instruments import Instrument
from model.units import parse_decimal
from supervision import ChildSpec, MailboxSpec, Restart, SupervisorSpec

TAKERS: Final = 4
BOT_MAILBOX_MESSAGES_MAX: Final = 4
"""A bot only talks to itself, by one timer."""
RESTARTS_MAX: Final = 20
"""Restarts of all bots together within RESTARTS_SECONDS before the demo is given up."""
RESTARTS_SECONDS: Final = 60.0


@frozen
class Demo:
    """What the demo needs of the program it runs in.

    Args:
        config: the markets, and how far each moves.
        exchange: takes the body of POST /exchange, returns the body of the answer.
        info: the same of POST /info.
        submit: hands an oracle move to the sequencer.
        clock_ms: wall clock in milliseconds since 1970.
        fund: gives an account micro-USD; without it the bots live on the faucet.
        fund_token: gives an account tokens; without it nobody trades spot pairs.
        seed: keys and choices follow from it.
        chain: what signatures must be meant for.
        on_pause: is told a bot's name and why it has to pause.
    """

    config: ExchangeConfig
    exchange: Transport
    info: Transport
    submit: Submit
    clock_ms: Callable[[], int]
    fund: Fund | None = None
    fund_token: FundToken | None = None
    seed: int = DEMO_SEED
    chain: Chain = Chain.TESTNET
    on_pause: Callable[[str, str], None] = lambda _name, _why: None


def demo_children(demo: Demo) -> list[ChildSpec]:
    """Return the oracle and the bots, as children to put behind whatever serves them."""
    read_prices = oracle_reader(demo.info)
    markets = [
        OracleMarket(instrument, market.volatility_ppm)
        for instrument, market in zip(demo.config.instruments, demo.config.markets, strict=True)
        if market.oracle is OracleSource.WALK
    ]
    return [
        ChildSpec("oracle", lambda: Oracle(markets, demo.submit, read_prices, demo.seed)),
        ChildSpec(
            "bots",
            SupervisorSpec(
                bot_children(demo),
                intensity=RESTARTS_MAX,
                period_seconds=RESTARTS_SECONDS,
            ),
            restart=Restart.TEMPORARY,
        ),
    ]


def bot_children(demo: Demo) -> list[ChildSpec]:
    """Return one maker for each market and some takers that roam over all of them."""
    venue = Venue(
        demo.exchange,
        demo.info,
        oracle_reader(demo.info),
        demo.clock_ms,
        demo.config.instruments,
        demo.fund,
    )
    makers = [_maker(demo, venue, instrument) for instrument in demo.config.instruments]
    takers = [_taker(demo, venue, number) for number in range(1, TAKERS + 1)]
    return makers + takers + list(_spot_children(demo))


def _spot_children(demo: Demo) -> Iterator[ChildSpec]:
    """Yield a maker and a taker for each pair, where somebody gives them tokens."""
    if demo.fund_token is None:
        return
    pairs = [instrument for instrument in demo.config.listed if instrument.is_spot]
    read_prices = pair_price_reader(demo.info, {pair.name: pair.asset for pair in pairs})
    for pair, table in zip(pairs, demo.config.pairs, strict=True):
        venue = Venue(demo.exchange, demo.info, read_prices, demo.clock_ms, [pair])
        for kind, bot in (("maker", SpotMaker), ("taker", SpotTaker)):
            identity = demo_identity(demo, f"{kind}-{table.token}")
            start = partial(
                bot,
                identity,
                venue,
                _choices_seed(demo, identity),
                on_pause=demo.on_pause,
                instrument=pair,
                fund_token=demo.fund_token,
                volatility_ppm=table.volatility_ppm,
            )
            yield _bot_child(identity, start)


def _maker(demo: Demo, venue: Venue, instrument: Instrument) -> ChildSpec:
    identity = demo_identity(demo, f"maker-{instrument.name}")
    seed = _choices_seed(demo, identity)
    return _bot_child(
        identity,
        lambda: Maker(identity, venue, seed, on_pause=demo.on_pause, instrument=instrument),
    )


def _taker(demo: Demo, venue: Venue, number: int) -> ChildSpec:
    identity = demo_identity(demo, f"taker-{number}")
    seed = _choices_seed(demo, identity)
    return _bot_child(identity, lambda: Taker(identity, venue, seed, on_pause=demo.on_pause))


def _bot_child(identity: Identity, start: Callable[[], Bot]) -> ChildSpec:
    return ChildSpec(identity.name, start, mailbox=MailboxSpec(BOT_MAILBOX_MESSAGES_MAX))


def _choices_seed(demo: Demo, identity: Identity) -> int:
    return int.from_bytes(keccak256(f"{demo.seed} {identity.name}".encode())[:8], "big")


def demo_identity(demo: Demo, name: str) -> Identity:
    """Return who the bot of this name is."""
    key = demo_key(demo.seed, name)
    return Identity(name, key.address, make_signer(key, demo.chain))


def demo_key(seed: int, name: str) -> SigningKey:
    """Return the public, worthless key of a demo account."""
    return SigningKey.of_hex(keccak256(f"zaraba demo key {seed} {name}".encode()).hex())


def make_signer(key: SigningKey, chain: Chain = Chain.TESTNET) -> Signer:
    """Return a function of (action, nonce) that gives the body of the signed POST /exchange.

    The action's keys must be in canonical order and its texts in canonical form.
    """

    def sign(action: Mapping[str, object], nonce: int) -> bytes:
        signature = sign_l1_action(key, action, nonce, chain=chain)
        return msgspec.json.encode(
            {"action": action, "nonce": nonce, "signature": signature.to_wire()}
        )

    return sign


def oracle_reader(info: Transport) -> PriceReader:
    """Return a reader of all oracle prices, in units of 1e-8 USD, that asks POST /info.

    It raises BotError for an answer that is none.
    """
    body = msgspec.json.encode({"type": "metaAndAssetCtxs"})

    async def read() -> Mapping[AssetId, int]:
        answer = await info(body)
        try:
            _meta, contexts = msgspec.json.decode(answer, type=tuple[Any, list[_Context]])
        except msgspec.MsgspecError as error:
            raise BotError(f"not the contexts of the markets: {answer[:100]!r}") from error
        return {
            AssetId(asset): parse_decimal(context.oraclePx)
            for asset, context in enumerate(contexts)
        }

    return read


def pair_price_reader(info: Transport, assets: Mapping[str, AssetId]) -> PriceReader:
    """Return a reader of spot pairs' mid prices, or their marks, in units of 1e-8 USD.

    It raises BotError for an answer that is none. ``assets`` are the pairs by name.
    """
    body = msgspec.json.encode({"type": "spotMetaAndAssetCtxs"})

    async def read() -> Mapping[AssetId, int]:
        answer = await info(body)
        try:
            _meta, contexts = msgspec.json.decode(answer, type=tuple[Any, list[_PairContext]])
        except msgspec.MsgspecError as error:
            raise BotError(f"not the contexts of the pairs: {answer[:100]!r}") from error
        return {
            assets[context.coin]: parse_decimal(context.midPx or context.markPx)
            for context in contexts
            if context.coin in assets
        }

    return read


class _Context(msgspec.Struct, frozen=True):
    oraclePx: str  # noqa: N815 - the wire's name


class _PairContext(msgspec.Struct, frozen=True):
    coin: str
    markPx: str  # noqa: N815 - the wire's name
    midPx: str | None = None  # noqa: N815 - the wire's name
