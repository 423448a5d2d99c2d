"""A trading desk for tests: an open exchange, three funded accounts, and short ways to act.

Every command is followed by a check of all invariants, so each test is also a test of those.
Prices and sizes are given as decimal texts.
"""

from __future__ import annotations

from typing import Final, TypeVar

from model.commands import (
    ApproveAgent,
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    ModifyOrders,
    ModifySpec,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
    TriggerSpec,
    UsdSend,
)
from model.events import Event, OrderPlaced, Traded
from model.exchange import Exchange
from model.ids import Address, AssetId, Cloid, OrderId
from model.instruments import Instrument
from model.invariants import check
from model.state import AccountState, PositionState
from model.units import USD, parse_decimal

ALICE: Final = Address("0x" + "a" * 40)
BOB: Final = Address("0x" + "b" * 40)
CAROL: Final = Address("0x" + "c" * 40)
STRANGER: Final = Address("0x" + "d" * 40)
KEY: Final = Address("0x" + "1" * 40)

BTC: Final = AssetId(0)
"""Mark 100 USD, ticks of 0.0001 USD, lots of 0.01, leverage up to 40 and 20 by default."""
ETH: Final = AssetId(1)
"""Mark 10 USD, ticks of 0.00001 USD, lots of 0.1, leverage up to 5."""

START_MS: Final = 1_700_000_000_000

E = TypeVar("E", bound=Event)


def cloid(number: int) -> Cloid:
    """Return a client order id."""
    return Cloid(f"0x{number:032x}")


def order(
    side: str,
    price: str,
    size: str,
    *,
    tif: Tif = Tif.GTC,
    asset: AssetId = BTC,
    reduce_only: bool = False,
    cloid: Cloid | None = None,
    trigger: TriggerSpec | None = None,
) -> OrderSpec:
    """Make an order of texts; ``side`` is ``buy`` or ``sell``."""
    is_buy = {"buy": True, "sell": False}[side]
    price_e8, size_e8 = parse_decimal(price), parse_decimal(size)
    return OrderSpec(asset, is_buy, price_e8, size_e8, tif, reduce_only, cloid, trigger)


class Desk:
    """An exchange and how to act on it."""

    def __init__(
        self,
        *,
        usd: int = 10_000,
        taker_fee_ppm: int = 0,
        maker_fee_ppm: int = 0,
        terms: OpenExchange | None = None,
    ) -> None:
        self.exchange = Exchange()
        self.nonce = START_MS
        self.commands: list[Command] = []
        self.block(START_MS)
        self.apply(terms or OpenExchange(taker_fee_ppm, maker_fee_ppm))
        self.apply(ListMarket(Instrument(BTC, "BTC", 2, 40, parse_decimal("100"))))
        self.apply(ListMarket(Instrument(ETH, "ETH", 1, 5, parse_decimal("10"))))
        for account in (ALICE, BOB, CAROL):
            self.credit(account, usd)

    def block(self, time_ms: int) -> None:
        """Begin the next block."""
        self.exchange.begin_block(self.exchange.height + 1, time_ms)

    def apply(self, command: Command) -> list[Event]:
        """Execute a command and check everything."""
        self.commands.append(command)
        events = self.exchange.apply(command)
        check(self.exchange)
        return events

    def head(self, signer: Address) -> tuple[Address, int, None, None]:
        """Return what a client's command begins with: the next nonce, no expiry, no vault."""
        self.nonce += 1
        return signer, self.nonce, None, None

    def place(self, signer: Address, *orders: OrderSpec) -> list[Event]:
        """Place orders."""
        return self.apply(PlaceOrders(*self.head(signer), orders))

    def rest(self, signer: Address, spec: OrderSpec) -> OrderId:
        """Place an order that must be accepted and return its id."""
        return only(self.place(signer, spec), OrderPlaced).oid

    def cancel(
        self, signer: Address, *targets: OrderId | Cloid, asset: AssetId = BTC
    ) -> list[Event]:
        """Cancel orders."""
        specs = tuple(CancelSpec(asset, target) for target in targets)
        return self.apply(CancelOrders(*self.head(signer), specs))

    def modify(
        self,
        signer: Address,
        target: OrderId | Cloid,
        spec: OrderSpec,
        *,
        always_place: bool = False,
    ) -> list[Event]:
        """Replace an order."""
        head = self.head(signer)
        return self.apply(ModifyOrders(*head, (ModifySpec(target, spec),), always_place))

    def credit(self, account: Address, usd: int) -> list[Event]:
        """Give an account whole USD."""
        return self.apply(Credit(account, usd * USD, CreditSource.FUND))

    def send(self, signer: Address, destination: Address, micro_usd: int) -> list[Event]:
        """Send money."""
        return self.apply(UsdSend(*self.head(signer), destination, micro_usd))

    def approve(
        self, signer: Address, agent: Address, name: str = "", valid_until: int | None = None
    ) -> list[Event]:
        """Approve an agent."""
        return self.apply(ApproveAgent(*self.head(signer), agent, name, valid_until))

    def move_oracle(self, price: str, asset: AssetId = BTC) -> list[Event]:
        """Move one market's oracle price."""
        return self.apply(MoveOracle((OraclePrice(asset, parse_decimal(price)),)))

    def trade(self, buyer: Address, seller: Address, price: str, size: str) -> None:
        """Let two accounts trade with each other in the BTC market."""
        self.rest(seller, order("sell", price, size))
        traded = self.place(buyer, order("buy", price, size, tif=Tif.IOC))
        assert [type(event) for event in traded] == [OrderPlaced, Traded]

    def state(self, account: Address) -> AccountState:
        """Return an account's state."""
        return self.exchange.account_state(account)

    def position(self, account: Address, asset: AssetId = BTC) -> PositionState | None:
        """Return an account's position in a market."""
        states = self.state(account).positions
        return next((state for state in states if state.asset == asset), None)

    def size(self, account: Address, asset: AssetId = BTC) -> int:
        """Return an account's signed size in lots."""
        position = self.position(account, asset)
        return 0 if position is None else position.size

    def open_oids(self, account: Address) -> list[OrderId]:
        """Return an account's open orders."""
        return [resting.oid for resting in self.state(account).orders]


def only(events: list[Event], kind: type[E]) -> E:
    """Return the one event of a kind."""
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def every(events: list[Event], kind: type[E]) -> list[E]:
    """Return all events of a kind."""
    return [event for event in events if isinstance(event, kind)]
