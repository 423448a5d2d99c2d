"""What margin, liquidation and oracle moves cost the exchange machine.

What is timed is ``Exchange.apply`` alone, with everything on: fees, median marks, funding, limits
of requests. Left out: signatures, decoding, the journal and everybody who is told.

Seconds are those that the process had a core, so that neighbours on a shared machine count little.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Sequence
from typing import Final

from api.bench.rows import Row, print_rows
from model.commands import (
    CancelOrders,
    CancelSpec,
    Command,
    Credit,
    CreditSource,
    ListMarket,
    MarkSource,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    Tif,
)
from model.events import Liquidated
from model.exchange import Exchange
from model.ids import BACKSTOP, Address, AssetId, Cloid
from model.instruments import Instrument, MarginTier
from model.units import E8, USD

MARKETS: Final = 20
ACCOUNTS: Final = 1_000
COMMANDS_PER_BLOCK: Final = 500
COMMANDS_PER_MOVE: Final = 100_000
"""All oracle prices move once in so many commands: once a second, at the rate that is the goal."""

PRICE_E8: Final = 100 * E8
SEED: Final = 20_240_501
START_MS: Final = 1_700_000_000_000
TIERS: Final = (MarginTier(0, 40), MarginTier(150_000_000 * USD, 20))
WHALE: Final = Address("0x" + "f" * 40)


class Venue:
    """An exchange with funded accounts, and how to trade on it."""

    def __init__(self, *, markets: int, accounts: int, usd: int) -> None:
        self.exchange = Exchange()
        self.nonce = START_MS
        self.markets = [AssetId(asset) for asset in range(markets)]
        self.accounts = [Address(f"0x{number + 16:040x}") for number in range(accounts)]
        self.begin_block(1_000)
        terms = OpenExchange(450, 150, mark_source=MarkSource.MEDIAN, requests_free=10**12)
        self.exchange.apply(terms)
        for asset in self.markets:
            instrument = Instrument(asset, f"M{asset}", 2, 40, PRICE_E8, TIERS)
            self.exchange.apply(ListMarket(instrument))
        for account in self.accounts:
            self.exchange.apply(Credit(account, usd * USD, CreditSource.FUND))
        self.exchange.apply(Credit(WHALE, 10**9 * USD, CreditSource.FUND))
        self.exchange.apply(Credit(BACKSTOP, 10**6 * USD, CreditSource.FUND))

    def begin_block(self, after_ms: int) -> None:
        """Let time pass."""
        height = self.exchange.height + 1
        self.exchange.begin_block(height, max(START_MS, self.exchange.time_ms) + after_ms)

    def order(self, signer: Address, *orders: OrderSpec) -> PlaceOrders:
        """Make a command that places orders."""
        self.nonce += 1
        return PlaceOrders(signer, self.nonce, None, None, orders)

    def cancel(self, signer: Address, spec: CancelSpec) -> CancelOrders:
        """Make a command that cancels an order."""
        self.nonce += 1
        return CancelOrders(signer, self.nonce, None, None, (spec,))

    def open_position(self, account: Address, asset: AssetId, *, is_long: bool, coins: int) -> None:
        """Let an account trade with the whale at the opening price."""
        size = coins * E8
        for signer, is_buy in ((WHALE, not is_long), (account, is_long)):
            spec = OrderSpec(asset, is_buy, PRICE_E8, size, Tif.GTC, False)
            self.exchange.apply(self.order(signer, spec))

    def move(self, draw: random.Random, permille: int) -> MoveOracle:
        """Make a move of all prices to somewhere near the opening price."""
        return MoveOracle(
            tuple(
                OraclePrice(asset, PRICE_E8 * (1_000 + draw.randint(-permille, permille)) // 1_000)
                for asset in self.markets
            )
        )


def run(
    *,
    commands: int = 100_000,
    rounds: int = 3,
    liquidated: int = 10_000,
    populations: Sequence[int] = (100, 1_000, 10_000, 100_000),
    moves: int = 100,
) -> list[Row]:
    """Time trading with many positions, a crash, and oracle moves beside idle accounts."""
    return [
        trading_row(commands, rounds),
        *crash_rows(liquidated),
        *move_rows(populations, moves),
    ]


# ---- trading -------------------------------------------------------------------------------------


def trading_row(commands: int, rounds: int) -> Row:
    """Time commands of accounts that hold something in all markets."""
    rates = []
    for _ in range(rounds):
        venue, draw = Venue(markets=MARKETS, accounts=ACCOUNTS, usd=1_000_000), random.Random(SEED)
        for account in venue.accounts:
            for asset in venue.markets:
                venue.open_position(account, asset, is_long=draw.random() < 0.5, coins=2)
        flow: list[Command] = []
        resting: list[tuple[Address, CancelSpec]] = []
        for number in range(commands):
            if number % COMMANDS_PER_MOVE == COMMANDS_PER_MOVE // 2:
                flow.append(venue.move(draw, 5))
            if draw.random() < 0.46 and resting:
                flow.append(venue.cancel(*resting.pop(draw.randrange(len(resting)))))
                continue
            account, spec = draw.choice(venue.accounts), _quote(draw, venue.markets, number)
            flow.append(venue.order(account, spec))
            assert spec.cloid is not None
            resting.append((account, CancelSpec(spec.asset, spec.cloid)))
        gc.collect()
        started = time.process_time()
        for first in range(0, len(flow), COMMANDS_PER_BLOCK):
            venue.begin_block(100)
            for command in flow[first : first + COMMANDS_PER_BLOCK]:
                venue.exchange.apply(command)
        rates.append(len(flow) / (time.process_time() - started))
    rate = statistics.median(rates)
    note = f"{1e6 / rate:.2f} us each; best {max(rates):,.0f}, worst {min(rates):,.0f}"
    name = f"{ACCOUNTS:,} accounts with positions in {MARKETS} markets"
    return Row(name, rate, "orders/s", None, note)


def _quote(draw: random.Random, markets: Sequence[AssetId], number: int) -> OrderSpec:
    """Make an order near the opening price, in whole cents; a few of a hundred meet another."""
    is_buy = draw.random() < 0.5
    away = int(draw.expovariate(1 / 80)) - 15
    cents = 10_000 - away if is_buy else 10_000 + away
    cloid = Cloid(f"0x{number:032x}")
    return OrderSpec(
        draw.choice(markets), is_buy, cents * E8 // 100, E8 // 2, Tif.GTC, False, cloid
    )


# ---- a crash -------------------------------------------------------------------------------------


def crash_rows(accounts: int) -> list[Row]:
    """Time one oracle move that liquidates all accounts: into a deep book, and without one.

    Without a book the backstop takes over what it can carry, and the rest is closed against others.
    """
    rows = []
    for with_bids in (True, False):
        venue = Venue(markets=1, accounts=accounts, usd=300)
        for account in venue.accounts:
            venue.open_position(account, venue.markets[0], is_long=True, coins=20)
        if with_bids:
            size = 20 * accounts * E8 // 50
            bids = [
                OrderSpec(venue.markets[0], True, cents * E8 // 100, size, Tif.GTC, False)
                for cents in range(8_600, 8_651)
            ]
            venue.exchange.apply(venue.order(WHALE, *bids))
        venue.begin_block(1_000)
        price_e8 = 8_600 * E8 // 100 if with_bids else 8_550 * E8 // 100
        prices = (OraclePrice(venue.markets[0], price_e8, price_e8),)
        gc.collect()
        started = time.process_time()
        events = venue.exchange.apply(MoveOracle(prices))
        seconds = time.process_time() - started
        found = sum(isinstance(event, Liquidated) for event in events)
        how = "into the book" if with_bids else "beside it"
        note = f"{found:,} liquidated, {seconds * 1e6 / max(1, found):.1f} us each"
        rows.append(Row(f"one move, {accounts:,} liquidations {how}", seconds, "s", None, note))
    return rows


# ---- oracle moves --------------------------------------------------------------------------------


def move_rows(populations: Sequence[int], moves: int) -> list[Row]:
    """Time moves of all prices beside ever more accounts that hold positions and do nothing."""
    rows: list[Row] = []
    for accounts in populations:
        venue, draw = Venue(markets=MARKETS, accounts=accounts, usd=10_000), random.Random(SEED)
        for number, account in enumerate(venue.accounts):
            asset = venue.markets[number % MARKETS]
            venue.open_position(account, asset, is_long=number % 3 != 0, coins=10)
        seconds = []
        for number in range(moves + 1):
            venue.begin_block(1_000)
            command = venue.move(draw, 2)
            started = time.process_time()
            venue.exchange.apply(command)
            if number:  # the first one looks at everybody once
                seconds.append(time.process_time() - started)
        figure = statistics.median(seconds) * 1e6
        baseline = rows[0].figure if rows else figure
        note = f"mean {statistics.fmean(seconds) * 1e6:,.0f}, worst {max(seconds) * 1e6:,.0f}"
        name = f"move of {MARKETS} prices, {accounts:,} accounts"
        rows.append(Row(name, figure, "us", figure / baseline if rows else None, note))
    return rows


if __name__ == "__main__":
    print_rows(run())
