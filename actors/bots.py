"""The demo's bots: makers and takers that trade as any client would, so that a book is alive.

A bot has a key, and all it does goes through the bytes of ``POST /exchange`` and ``POST /info``; it
sees nothing that a client over the network would not. It keeps no memory of its orders: each turn
asks the exchange what stands, decides (``actors.strategies``) and sends the difference. So a lost
answer, a fill or a restart needs no case of its own, and a new incarnation only has to cancel what
the last one left.

What a bot is refused, or cannot reach, makes it pause and try again. Anything else it does not
understand is a bug, and crashes it: its supervisor starts it anew.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import trio
from attrs import define, field, frozen
from msgspec import Struct

from actors.errors import ActorsError
from actors.oracle import PriceReader
from actors.strategies import Holdings, OpenOrder, Quote, Requote, quotes, requote, take
from model.ids import Address, AssetId, OrderId
from model.instruments import Instrument
from model.units import USD, format_decimal, parse_decimal
from supervision import Actor, SupervisionError

MAKER_TURN_MS: Final = (400, 800)
"""Shortest and longest time between two turns of a maker, in milliseconds."""
TAKER_TURN_MS: Final = (300, 1_700)
"""The same of a taker."""
PAUSE_SECONDS: Final = 5.0
"""Wait after a refusal or a failure, instead of the next turn."""
TURN_SECONDS_MAX: Final = 10.0
"""A turn that the exchange has not served by then is given up."""
CANCELS_PER_ACTION_MAX: Final = 100
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

START_USD: Final = 250_000 * USD
"""What a bot's account is filled up to, where the demo may do that."""
POOR_USD: Final = START_USD // 2
"""An account below this is filled up again: takers pay the spread and the fees for ever."""

Transport = Callable[[bytes], Awaitable[bytes]]
"""Takes the body of a POST request, returns the body of its answer."""

Signer = Callable[[Mapping[str, object], int], bytes]
"""Signs an action with a nonce; returns the body of the request."""

Fund = Callable[[Address, int], Awaitable[object]]
"""Gives an account micro-USD."""

T = TypeVar("T")


class BotError(ActorsError):
    """The exchange did not do what a bot asked; trying again later may help."""


@frozen
class Identity:
    """Who a bot is: the name it is listed under, its account, and the key as a function."""

    name: str
    address: Address
    sign: Signer


@frozen
class Venue:
    """What a bot can reach of the exchange.

    Args:
        exchange: POST /exchange.
        info: POST /info.
        read_prices: the oracle's prices.
        clock_ms: wall clock in milliseconds since 1970, for nonces.
        fund: fills up accounts; without it, bots live on what the faucet gives to newcomers.
        instruments: all markets.
    """

    exchange: Transport
    info: Transport
    read_prices: PriceReader
    clock_ms: Callable[[], int]
    instruments: Sequence[Instrument]
    fund: Fund | None = None


class _WireOrder(Struct, frozen=True):
    coin: str
    side: str
    limitPx: str  # noqa: N815 - the wire's name
    sz: str
    oid: int


class _WirePosition(Struct, frozen=True):
    coin: str
    szi: str


class _WireAssetPosition(Struct, frozen=True):
    position: _WirePosition


class _WireMargin(Struct, frozen=True):
    accountValue: str  # noqa: N815 - the wire's name


class _WireAccount(Struct, frozen=True):
    marginSummary: _WireMargin  # noqa: N815 - the wire's name
    assetPositions: list[_WireAssetPosition]  # noqa: N815 - the wire's name


class _WireBalance(Struct, frozen=True):
    coin: str
    total: str


class _WireSpotAccount(Struct, frozen=True):
    balances: list[_WireBalance]


class _WireAnswer(Struct, frozen=True):
    status: str
    response: Any


@frozen
class _Turn:
    """The time of the bot's next turn has come."""


@define
class Client:
    """One account's side of the conversation with the exchange.

    All methods raise BotError for an answer that is a refusal or none at all.
    """

    identity: Identity
    venue: Venue
    _nonce: int = field(init=False, default=0)

    async def act(self, action: Mapping[str, object]) -> None:
        """Sign an action and send it. What becomes of its single orders is not looked at."""
        self._nonce = max(self.venue.clock_ms(), self._nonce + 1)
        body = await self.venue.exchange(self.identity.sign(action, self._nonce))
        answer = _decode(body, _WireAnswer)
        if answer.status != "ok":
            raise BotError(f"{action['type']} refused: {answer.response}")

    async def read_orders(self) -> list[OpenOrder]:
        """Read the orders that the account has on the book."""
        assets = {instrument.name: instrument.asset for instrument in self.venue.instruments}
        return [
            OpenOrder(
                OrderId(order.oid),
                assets[order.coin],
                order.side == "B",
                parse_decimal(order.limitPx),
                parse_decimal(order.sz),
            )
            for order in await self._ask("openOrders", list[_WireOrder])
        ]

    async def read_holdings(self) -> Holdings:
        """Read what the account is worth and holds."""
        assets = {instrument.name: instrument.asset for instrument in self.venue.instruments}
        account = await self._ask("clearinghouseState", _WireAccount)
        held = (entry.position for entry in account.assetPositions)
        return Holdings(
            parse_decimal(account.marginSummary.accountValue) * USD // 10**8,
            {assets[position.coin]: parse_decimal(position.szi) for position in held},
        )

    async def read_balances(self) -> dict[str, int]:
        """Read the spot balances of the account, in units of 1e-8, by the name of the token."""
        account = await self._ask("spotClearinghouseState", _WireSpotAccount)
        return {entry.coin: parse_decimal(entry.total) for entry in account.balances}

    async def _ask(self, kind: str, answer: type[T]) -> T:
        question = {"type": kind, "user": self.identity.address}
        return _decode(await self.venue.info(msgspec.json.encode(question)), answer)


def _decode(body: bytes, kind: type[T]) -> T:
    if len(body) > ANSWER_BYTES_MAX:
        raise BotError(f"an answer of {len(body)} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise BotError(f"not the answer that was asked for: {body[:100]!r}") from error


@define
class Bot(Actor):
    """A trader that takes a turn now and then.

    Args:
        identity: who it is.
        venue: what it can reach.
        seed: its choices follow from it.
        on_pause: is told the bot's name and why, each time it has to pause.
    """

    identity: Identity
    venue: Venue
    seed: int
    on_pause: Callable[[str, str], None] = field(kw_only=True, default=lambda _name, _why: None)
    draw: random.Random = field(init=False)
    client: Client = field(init=False)
    _is_tidy: bool = field(init=False, default=False)

    async def init(self) -> None:
        """Set the first turn."""
        self.draw = random.Random(self.seed)
        self.client = Client(self.identity, self.venue)
        self._set_next(self.draw.randint(0, self.turn_ms()[1]) / 1000)

    async def handle(self, message: Any) -> None:
        """Take a turn, and set the next one."""
        assert type(message) is _Turn
        low_ms, high_ms = self.turn_ms()
        seconds = self.draw.randint(low_ms, high_ms) / 1000
        try:
            with trio.fail_after(TURN_SECONDS_MAX):
                await self._take_turn()
        except (ActorsError, SupervisionError, trio.TooSlowError) as error:
            self.on_pause(self.identity.name, str(error) or type(error).__name__)
            seconds = PAUSE_SECONDS
        self._set_next(seconds)

    @abstractmethod
    def turn_ms(self) -> tuple[int, int]:
        """Return the shortest and longest time between two turns, in milliseconds."""

    @abstractmethod
    async def trade(self, holdings: Holdings) -> None:
        """Do what the bot is for. Raises BotError."""

    async def _take_turn(self) -> None:
        if not self._is_tidy:
            await self._cancel_all()
            self._is_tidy = True
        holdings = await self.look()
        if not await self.was_poor(holdings):
            await self.trade(holdings)

    async def look(self) -> Holdings:
        """Read what the account is worth and holds. Raises BotError."""
        return await self.client.read_holdings()

    async def _cancel_all(self) -> None:
        """Cancel what an earlier incarnation left on the book."""
        standing = await self.client.read_orders()
        for start in range(0, len(standing), CANCELS_PER_ACTION_MAX):
            part = standing[start : start + CANCELS_PER_ACTION_MAX]
            await self.client.act(cancel_action([(order.asset, order.oid) for order in part]))

    async def was_poor(self, holdings: Holdings) -> bool:
        """Fill up a poor account, or make an empty one known to the faucet; tell whether it was."""
        if self.venue.fund is not None and holdings.value_usd < POOR_USD:
            await self.venue.fund(self.identity.address, START_USD - holdings.value_usd)
            return True
        if holdings.value_usd <= 0:
            await self.client.act({"type": "noop"})
            return True
        return False

    def _set_next(self, seconds: float) -> None:
        self.context.set_timer("turn", seconds, _Turn())


@define
class Maker(Bot):
    """Keeps a ladder of resting orders in one market."""

    instrument: Instrument = field(kw_only=True)

    def turn_ms(self) -> tuple[int, int]:
        return MAKER_TURN_MS

    async def trade(self, holdings: Holdings) -> None:
        """Bring the ladder to where the oracle is."""
        prices_e8 = await self.venue.read_prices()
        price_e8 = prices_e8.get(self.instrument.asset, 0)
        if price_e8 <= 0:
            return
        wanted = quotes(price_e8, self.instrument, holdings, self.draw)
        standing = await self.client.read_orders()
        for action in requote_actions(requote(standing, wanted, self.draw)):
            await self.client.act(action)


@define
class Taker(Bot):
    """Crosses the spread now and then, in any market."""

    def turn_ms(self) -> tuple[int, int]:
        return TAKER_TURN_MS

    async def trade(self, holdings: Holdings) -> None:
        """Take something."""
        prices_e8 = await self.venue.read_prices()
        wanted = take(self.venue.instruments, prices_e8, holdings, self.draw)
        if wanted is not None:
            await self.client.act(order_action([wanted], "Ioc"))


def requote_actions(plan: Requote) -> list[dict[str, object]]:
    """Return the actions of a plan: cancels first, since they free margin and make way."""
    actions: list[dict[str, object]] = []
    if plan.cancels:
        actions.append(cancel_action(plan.cancels))
    if plan.changes:
        modifies = [{"oid": oid, "order": _wire_order(quote, "Alo")} for oid, quote in plan.changes]
        actions.append({"type": "batchModify", "modifies": modifies})
    if plan.places:
        actions.append(order_action(plan.places, "Alo"))
    return actions


def cancel_action(cancels: Sequence[tuple[AssetId, OrderId]]) -> dict[str, object]:
    """Return the action that cancels these orders."""
    return {"type": "cancel", "cancels": [{"a": asset, "o": oid} for asset, oid in cancels]}


def order_action(wanted: Sequence[Quote], tif: str) -> dict[str, object]:
    """Return the action that places these orders, with this time in force."""
    orders = [_wire_order(quote, tif) for quote in wanted]
    return {"type": "order", "orders": orders, "grouping": "na"}


def _wire_order(quote: Quote, tif: str) -> dict[str, object]:
    """Return an order as it is signed: keys in canonical order, decimals in shortest form."""
    return {
        "a": quote.asset,
        "b": quote.is_buy,
        "p": _wire_decimal(quote.price_e8),
        "s": _wire_decimal(quote.size_e8),
        "r": False,
        "t": {"limit": {"tif": tif}},
    }


def _wire_decimal(value_e8: int) -> str:
    return format_decimal(value_e8, 8).removesuffix(".0")
