"""A gateway in which a little of everything has happened, at times that the test decides."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from actors.source import Receipt
from api.program import Ground, Program, open_program
from api.settings import Settings
from model.commands import (
    ClassTransfer,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    CreditToken,
    Grouping,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    SubAccountTransfer,
    Tick,
    Tif,
    TriggerSpec,
    UpdateLeverage,
    UsdSend,
)
from model.events import CommandRefused, OrderRefused, TwapRefused
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, TokenId
from model.units import E8, USD
from tests.api.gateways import info

ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
BTC, ETH, SAKE_USDC = AssetId(0), AssetId(1), SPOT_ASSETS_FROM
SAKE: Final = TokenId(1)
START_MS: Final = 1_700_000_100_000
"""Twenty seconds and a bit before an hour is over."""
HOUR_MS: Final = 3_600_000

_nonces = count(START_MS)


def order(
    asset: AssetId, *, is_buy: bool, price: str, size: str, tif: Tif = Tif.GTC, **more: Any
) -> OrderSpec:
    return OrderSpec(
        asset,
        is_buy,
        round(float(price) * E8),
        round(float(size) * E8),
        tif,
        more.get("reduce_only", False),
        None,
        more.get("trigger"),
    )


def place(who: Address, *orders: OrderSpec, grouping: Grouping = Grouping.NA) -> PlaceOrders:
    return PlaceOrders(*head(who), orders, grouping)


def head(who: Address) -> tuple[Address, int, None, None]:
    return who, next(_nonces), None, None


@attrs.define
class Busy:
    """The gateway; ``now_ms`` is its clock."""

    program: Program
    clock: list[int]

    async def do(self, *commands: Command) -> list[Receipt]:
        """Carry out commands, of which none may be refused."""
        receipts = []
        for command in commands:
            receipt = await self.program.gateway.carry_out(command)  # type: ignore[arg-type]
            for event in receipt.events:
                assert not isinstance(event, CommandRefused | OrderRefused | TwapRefused), event
            receipts.append(receipt)
        return receipts

    async def pass_time(self, milliseconds: int) -> None:
        """Let time pass and the exchange notice."""
        self.clock[0] += milliseconds
        await self.do(Tick())

    async def ask(self, kind: str, **question: Any) -> Any:
        return await info(self.program, kind, **question)


@asynccontextmanager
async def open_busy(path: Path) -> AsyncIterator[Busy]:
    """Open it: positions of both kinds, orders that wait, tokens, a sub-account, an hour passed."""
    clock = [START_MS]
    settings, ground = Settings(data=path / "data", port=0), Ground(clock_ms=lambda: clock[0])
    async with open_program(settings, serve=False, ground=ground) as program:
        busy = Busy(program, clock)
        stop = TriggerSpec(60_000 * E8, True, True)
        await busy.do(
            Credit(ALICE, 100_000 * USD, CreditSource.FUND),
            Credit(BOB, 100_000 * USD, CreditSource.FUND),
            CreditToken(BOB, SAKE, 10_000 * E8, CreditSource.FUND),
            UpdateLeverage(*head(ALICE), ETH, False, 5),
            place(BOB, order(BTC, is_buy=False, price="65000", size="0.5")),
            place(ALICE, order(BTC, is_buy=True, price="65000", size="0.5", tif=Tif.IOC)),
            place(BOB, order(ETH, is_buy=True, price="2600", size="2")),
            place(ALICE, order(ETH, is_buy=False, price="2600", size="2", tif=Tif.IOC)),
            place(BOB, order(BTC, is_buy=True, price="64990", size="1")),
            place(BOB, order(BTC, is_buy=False, price="65010", size="1")),
            place(
                ALICE,
                order(BTC, is_buy=False, price="59000", size="0.5", reduce_only=True, trigger=stop),
            ),
            ClassTransfer(*head(ALICE), 1_000 * USD, False),
            place(BOB, order(SAKE_USDC, is_buy=False, price="2.5", size="100")),
            place(ALICE, order(SAKE_USDC, is_buy=True, price="2.5", size="40", tif=Tif.IOC)),
            CreateSubAccount(*head(ALICE), "savings"),
            UsdSend(*head(ALICE), BOB, 5 * USD),
            PlaceTwap(*head(ALICE), BTC, True, E8 // 100, False, 5, False),
        )
        sub_account = next(iter(program.gateway.directory.sub_accounts))
        await busy.do(SubAccountTransfer(*head(ALICE), sub_account, True, 50 * USD))
        for _ in range(3):
            await busy.pass_time(31_000)
        await busy.pass_time(HOUR_MS)
        await program.gateway.catch_up()
        yield busy
        await trio.lowlevel.checkpoint()
