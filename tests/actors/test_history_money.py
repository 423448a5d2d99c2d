"""The history of funding, TWAPs, tokens and worth over time, beside events and states."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen

from actors.history_queries import HistoryReader
from actors.history_records import FUNDINGS_MAX
from actors.history_rows import SAMPLE_MS
from actors.history_store import HistoryStore
from model.blocks import GENESIS_DIGEST, Block, Entry, seal
from model.commands import (
    ClassTransfer,
    Command,
    CreateSubAccount,
    Credit,
    CreditSource,
    CreditToken,
    ListMarket,
    ListToken,
    MoveOracle,
    OpenExchange,
    OraclePrice,
    OrderSpec,
    PlaceOrders,
    PlaceTwap,
    SpotSend,
    Tick,
    Tif,
    TriggerSpec,
    UpdateLeverage,
    Withdraw,
)
from model.events import Event, FundingPaid, Traded
from model.exchange import Exchange
from model.ids import SPOT_ASSETS_FROM, Address, AssetId, TokenId
from model.instruments import Instrument, Token
from model.units import E8, USD
from model.universe import Universe
from model.views.money import fundings_from, ledger_from, rate_from
from model.views.records import Moment, fills_from

ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)
BTC, PAIR, PURR = AssetId(0), SPOT_ASSETS_FROM, TokenId(1)
HOUR_MS: Final = 3_600_000
START_MS: Final = 1_700_000_100_000 // HOUR_MS * HOUR_MS + HOUR_MS - 60_000


def head(who: Address, nonce: int) -> tuple[Address, int, None, None]:
    return who, START_MS + nonce, None, None


def order(
    asset: AssetId, *, is_buy: bool, price: int, size_e8: int, tif: Tif = Tif.GTC
) -> OrderSpec:
    return OrderSpec(asset, is_buy, price * E8, size_e8, tif, False)


SCRIPT: Final[tuple[tuple[int, tuple[Command, ...]], ...]] = (
    (
        0,
        (
            OpenExchange(450, 150, 700, 400),
            ListMarket(Instrument(BTC, "BTC", 5, 40, 50_000 * E8)),
            ListToken(Token(PURR, "PURR", 2)),
            ListMarket(Instrument(PAIR, "PURR/USDC", 2, 1, 10 * E8, base=PURR)),
            Credit(ALICE, 50_000 * USD, CreditSource.FUND),
            Credit(BOB, 50_000 * USD, CreditSource.FUND),
            CreditToken(BOB, PURR, 1_000 * E8, CreditSource.FUND),
        ),
    ),
    (
        1_000,
        (
            UpdateLeverage(*head(BOB, 1), BTC, False, 10),
            PlaceOrders(*head(BOB, 2), (order(BTC, is_buy=False, price=50_000, size_e8=E8),)),
            PlaceOrders(
                *head(ALICE, 1),
                (order(BTC, is_buy=True, price=50_000, size_e8=E8 // 2, tif=Tif.IOC),),
            ),
            PlaceOrders(*head(BOB, 3), (order(BTC, is_buy=True, price=49_900, size_e8=E8),)),
            PlaceTwap(*head(ALICE, 2), BTC, True, E8 // 50, False, 5, False),
        ),
    ),
    (
        2_000,
        (
            ClassTransfer(*head(ALICE, 3), 5_000 * USD, False),
            PlaceOrders(*head(BOB, 4), (order(PAIR, is_buy=False, price=11, size_e8=200 * E8),)),
            PlaceOrders(*head(ALICE, 4), (order(PAIR, is_buy=True, price=11, size_e8=90 * E8),)),
            SpotSend(*head(ALICE, 5), BOB, PURR, 3 * E8),
        ),
    ),
    *((32_000 + 31_000 * index, (Tick(),)) for index in range(3)),
    (SAMPLE_MS, (MoveOracle((OraclePrice(BTC, 51_000 * E8),)),)),
    (
        2 * SAMPLE_MS,
        (
            CreateSubAccount(*head(ALICE, 6), "one"),
            Withdraw(*head(ALICE, 7), ALICE, 100 * USD),
            PlaceOrders(
                *head(ALICE, 8),
                (
                    OrderSpec(
                        BTC,
                        False,
                        47_000 * E8,
                        E8 // 2,
                        Tif.GTC,
                        True,
                        None,
                        TriggerSpec(48_000 * E8, False, True),
                    ),
                ),
            ),
        ),
    ),
    (5 * SAMPLE_MS, (MoveOracle((OraclePrice(BTC, 47_500 * E8),)),)),
    (9 * SAMPLE_MS, (Tick(),)),
)
"""Milliseconds since the start, and what is commanded then. Nothing of it is refused."""


@frozen
class Story:
    """Blocks, what they tell, and how the exchange stood after each of them."""

    blocks: list[Block]
    told: list[tuple[Moment, Event]]
    worths: list[tuple[int, dict[Address, tuple[int, int]]]]


def tell() -> Story:
    exchange, parent = Exchange(), GENESIS_DIGEST
    blocks, told, worths = [], [], []
    for height, (after_ms, commands) in enumerate(SCRIPT, start=1):
        time_ms = START_MS + after_ms
        exchange.begin_block(height, time_ms)
        entries = []
        for index, command in enumerate(commands):
            events = tuple(exchange.apply(command))
            assert not {"CommandRefused", "OrderRefused", "TwapRefused"} & {
                type(event).__name__ for event in events
            }, events
            told += [(Moment(height, time_ms, index), event) for event in events]
            entries.append(Entry(command, events))
        block, _ = seal(height=height, time_ms=time_ms, parent=parent, entries=entries)
        parent = block.digest
        blocks.append(block)
        worths.append((time_ms, {who: worth_now(exchange, who) for who in (ALICE, BOB)}))
    return Story(blocks, told, worths)


def worth_now(exchange: Exchange, who: Address) -> tuple[int, int]:
    """Return what an account is worth in all and in perpetuals, from the exchange's state."""
    state = exchange.account_state(who)
    mark, pair_mark = exchange.market_state(BTC).mark, exchange.market_state(PAIR).mark
    perp = state.cash + sum(p.isolated_usd + p.size * mark for p in state.positions)
    balances = {balance.token: balance.total_e8 for balance in state.balances}
    lot_e8 = exchange.market_state(PAIR).instrument.lot_e8
    spot = balances.get(TokenId(0), 0) // 100
    spot += balances.get(PURR, 0) * pair_mark // (lot_e8 * 100)
    return perp + spot, perp


@pytest.fixture(scope="module")
def story() -> Story:
    return tell()


@pytest.fixture(params=["at once", "piece by piece"])
def reader(story: Story, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[HistoryReader]:
    """Read a history that was written at once, or by a writer that starts again at every block."""
    path = tmp_path / "history.sqlite"
    pieces = [story.blocks] if request.param == "at once" else [[one] for one in story.blocks]
    for piece in pieces:
        store = HistoryStore.open(path)
        store.apply(piece)
        store.close()
    with closing(HistoryReader(path)) as opened:
        yield opened


def universe() -> Universe:
    listed = [c.instrument for _, commands in SCRIPT for c in commands if isinstance(c, ListMarket)]
    return Universe(listed)


def test_funding_is_that_of_the_events(story: Story, reader: HistoryReader) -> None:
    """Of each account and of each market, bounded by time, height and count."""
    paid = [(at, event) for at, event in story.told if isinstance(event, FundingPaid)]
    expected = [one for at, event in paid for one in fundings_from(event, at, event.payments)]
    mine = [one for one in expected if one.account == ALICE]

    assert len(mine) >= 2
    assert reader.fundings_of(ALICE) == mine
    assert reader.fundings_of(ALICE, newest_first=True, limit=1) == mine[-1:]
    assert reader.fundings_of(ALICE, upto_height=mine[0].height) == mine[:1]
    assert reader.fundings_of(ALICE, start_ms=mine[0].time_ms + 1) == mine[1:]
    assert reader.rates(BTC) == [rate_from(event, at) for at, event in paid]
    assert reader.rates(BTC, end_ms=mine[0].time_ms, limit=FUNDINGS_MAX + 1) == [
        rate_from(event, at) for at, event in paid[:1]
    ]


def test_slices_and_their_twap_are_kept(story: Story, reader: HistoryReader) -> None:
    """Slices are found among the fills; the last record has what all of them executed."""
    fills = [
        fill
        for at, event in story.told
        if isinstance(event, Traded)
        for fill in fills_from(event, at)
    ]
    slices = [fill for fill in fills if fill.account == ALICE and fill.twap_id is not None]
    last, first = reader.twaps_of(ALICE)

    assert len(slices) >= 2
    assert reader.fills_of(ALICE, slices_only=True) == slices[::-1]
    assert (first.status, last.status) == ("activated", "finished")
    assert last.executed_lots == sum(fill.lots for fill in slices)
    assert reader.twaps_of(BOB) == []


def test_every_kind_of_ledger_entry_is_kept(story: Story, reader: HistoryReader) -> None:
    """Each account finds its side of each movement."""
    entries = [entry for at, event in story.told for entry in ledger_from(event, at)]

    for who in (ALICE, BOB):
        assert reader.ledger_of(who) == [entry for entry in entries if entry.account == who]
    assert reader.net_deposits() == (100_000 - 100) * USD


def test_worth_is_that_of_the_exchange_at_the_end_of_each_interval(
    story: Story, reader: HistoryReader
) -> None:
    """At every point it is what positions, money and tokens were worth by the marks of then."""
    for time_ms, worths in story.worths:
        end = time_ms // SAMPLE_MS * SAMPLE_MS + SAMPLE_MS
        later = [then for then, _ in story.worths if time_ms < then < end]
        if later:
            continue  # not the last block of its interval
        for who, (total, perp) in worths.items():
            (worth,) = reader.worth(who, universe(), [end])
            assert (worth.total, worth.perp) == (total, perp)
    first = START_MS // SAMPLE_MS * SAMPLE_MS
    before, after = reader.worth(ALICE, universe(), [first, first + SAMPLE_MS * 20])
    assert (before.total, before.profit) == (0, 0)
    assert after.profit != 0
    assert reader.known_since(ALICE) == first
    assert reader.known_since(Address("0x" + "9" * 40)) is None


def test_a_trigger_that_fired_is_found_by_its_id(story: Story, reader: HistoryReader) -> None:
    """Wherever the writer was interrupted, there is one last record of it."""
    history = [one for one in reader.orders_of(ALICE) if one.trigger is not None]
    last = reader.order(ALICE, history[0].oid)

    assert [one.status for one in history[::-1]][:2] == ["open", "triggered"]
    assert last == history[0]
    assert last.has_fired


def test_seeds_bring_a_view_to_where_it_was(story: Story, reader: HistoryReader) -> None:
    """All that an account remembers is there, up to a height and no further."""
    seeds = reader.account_seeds(ALICE, 6)

    heights = [one.height for one in seeds.fundings]
    heights += [one.height for one in seeds.twaps] + [one.height for one in seeds.ledger]
    assert max(heights) <= 6
    assert [one.status for one in seeds.twaps] == ["activated"]
    everything = reader.account_seeds(ALICE, len(story.blocks))
    assert reader.account_seeds(ALICE, 6).paid_in == 50_000 * USD - 3 * 11 * USD
    assert everything.paid_in == 50_000 * USD - 3 * 11 * USD - 100 * USD
    assert list(everything.fundings) == reader.fundings_of(ALICE)
