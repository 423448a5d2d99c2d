import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from actors.errors import UnavailableError
from actors.history import History, HistoryWriter, open_store, step
from actors.history_queries import HistoryReader
from actors.history_store import WAL_BYTES_MAX, HistoryStore
from actors.journal import Journal
from actors.storage import DataDirectory
from model.blocks import Block
from model.events import Traded
from model.exchange import Exchange
from model.ids import AssetId
from model.universe import Universe
from model.views.candles import DAY_MS, INTERVALS, candle_of, interval_start
from model.views.money import ledger_from
from model.views.open_orders import OpenOrders
from model.views.records import (
    Candle,
    Fill,
    LedgerRecord,
    Moment,
    OrderRecord,
    TradeRecord,
    fills_from,
    trade_from,
)
from supervision import ChildSpec, MailboxSpec, OnFull, Registry, SupervisorSpec, open_system
from tests.actors.trading import BTC, START_MS, TRADERS, run

BLOCKS = 120
ASSET = AssetId(0)
SPREAD_MS = 40 * 60_000
"""Time between two blocks, so that the trades fill many candles."""


class Told:
    """Everything that blocks tell, kept in plain lists."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.fills: list[Fill] = []
        self.trades: list[TradeRecord] = []
        self.ledger: list[LedgerRecord] = []
        self.orders: list[OrderRecord] = []
        open_orders = OpenOrders(Universe([BTC]))
        for block in blocks:
            for index, entry in enumerate(block.entries):
                at = Moment(block.height, block.time_ms, index)
                for event in entry.events:
                    self.orders += open_orders.apply(event, block.time_ms)
                    self.ledger += ledger_from(event, at)
                    if isinstance(event, Traded):
                        self.trades.append(trade_from(event, at))
                        self.fills += fills_from(event, at)

    def candles(self, interval: str) -> list[Candle]:
        opens = sorted({interval_start(interval, trade.time_ms) for trade in self.trades})
        return [
            candle_of(
                [t for t in self.trades if interval_start(interval, t.time_ms) == open_ms],
                ASSET,
                interval,
                open_ms,
            )
            for open_ms in opens
        ]


def fill(path: Path, blocks: int = BLOCKS) -> list[Block]:
    with Journal.open(path) as journal:
        journal.append(list(run(Exchange(), blocks, seed=3, block_ms=SPREAD_MS)))
        return list(journal.blocks())


def follow(path: Path) -> None:
    directory = DataDirectory(path)
    store = open_store(directory)
    while step(directory, store):
        pass
    store.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Block]]:
    path = tmp_path_factory.mktemp("history")
    blocks = fill(path)
    follow(path)
    return path, blocks


@pytest.fixture
def reader(kept: tuple[Path, list[Block]]) -> Iterator[HistoryReader]:
    with closing(HistoryReader(DataDirectory(kept[0]).history)) as reader:
        yield reader


@pytest.fixture
def told(kept: tuple[Path, list[Block]]) -> Told:
    return Told(kept[1])


def test_the_flow_of_these_tests_trades(told: Told) -> None:
    """The blocks hold enough of everything to be worth comparing."""
    assert len(told.trades) > 50
    assert len(told.orders) > 200
    assert len(told.candles("1d")) > 2


def test_fills_are_those_of_the_events(reader: HistoryReader, told: Told) -> None:
    """Each account finds its fills, in both directions, bounded by time, height and count."""
    for trader in TRADERS:
        expected = [one for one in told.fills if one.account == trader]
        start, end = expected[3].time_ms, expected[-3].time_ms
        height = expected[len(expected) // 2].height

        assert reader.fills_of(trader, newest_first=False) == expected
        assert reader.fills_of(trader) == expected[::-1]
        assert reader.fills_of(trader, limit=2) == expected[:-3:-1]
        assert reader.fills_of(trader, start_ms=start, end_ms=end, newest_first=False) == [
            one for one in expected if start <= one.time_ms <= end
        ]
        assert reader.fills_of(trader, upto_height=height, newest_first=False) == [
            one for one in expected if one.height <= height
        ]


def test_orders_are_those_of_the_events(reader: HistoryReader, told: Told) -> None:
    """Each account finds the status changes of its orders, newest first, and the last by id."""
    for trader in TRADERS:
        expected = [one for one in told.orders if one.account == trader]
        assert reader.orders_of(trader) == expected[::-1]
        assert reader.orders_of(trader, limit=3) == expected[:-4:-1]
        for record in expected:
            last = [one for one in expected if one.oid == record.oid and record.oid][-1:]
            assert reader.order(trader, record.oid) == (last[0] if last else None)


def test_orders_are_found_by_client_id(reader: HistoryReader, told: Told) -> None:
    """A client id finds its order's last status; an order without an id is not found."""
    for record in told.orders:
        if record.cloid is not None:
            same = [o for o in told.orders if o.cloid == record.cloid and o.oid]
            found = reader.order(record.account, record.cloid)
            assert found == (same[-1] if same else None)


def test_an_order_of_somebody_else_is_not_found(reader: HistoryReader, told: Told) -> None:
    """Knowing an order's id is not enough to see it."""
    record = next(one for one in told.orders if one.oid)
    stranger = next(trader for trader in TRADERS if trader != record.account)

    assert reader.order(stranger, record.oid) is None


def test_the_ledger_is_that_of_the_events(reader: HistoryReader, told: Told) -> None:
    """Each account finds its movements of money."""
    for trader in TRADERS:
        expected = [one for one in told.ledger if one.account == trader]
        assert reader.ledger_of(trader) == expected


def test_trades_come_newest_first(reader: HistoryReader, told: Told) -> None:
    """A market's latest trades, newest first, optionally as of an earlier height."""
    height = told.trades[20].height

    assert reader.recent_trades(ASSET, 30) == told.trades[:-31:-1]
    assert reader.recent_trades(ASSET, 1000, upto_height=height) == [
        one for one in told.trades[::-1] if one.height <= height
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_candles_are_those_of_the_trades(reader: HistoryReader, told: Told, interval: str) -> None:
    """Candles of every interval equal those formed from the trades themselves."""
    expected = told.candles(interval)
    middle = expected[len(expected) // 2].open_ms

    assert reader.candles(ASSET, interval) == expected
    assert reader.candles(ASSET, interval, limit=2) == expected[-2:]
    assert reader.candles(ASSET, interval, start_ms=middle) == [
        one for one in expected if one.open_ms >= middle
    ]
    assert reader.candles(ASSET, interval, end_ms=middle) == [
        one for one in expected if one.open_ms <= middle
    ]


@pytest.mark.parametrize("interval", ["1m", "4h", "1d", "1w", "1M"])
def test_candles_can_be_had_as_of_a_height(
    reader: HistoryReader, kept: tuple[Path, list[Block]], interval: str
) -> None:
    """A starting view is not told of trades in blocks that it will see itself."""
    for height in (5, BLOCKS // 2, BLOCKS - 1):
        expected = Told(kept[1][:height]).candles(interval)
        assert reader.candles(ASSET, interval, upto_height=height) == expected


def test_volumes_are_by_day(reader: HistoryReader, told: Told) -> None:
    """Every day is there, with what the account took and made and what everybody traded."""
    until = told.trades[-1].time_ms
    trader = TRADERS[0]
    days = reader.volume_by_day(trader, until_ms=until, days=10)

    assert [day.day_ms % DAY_MS for day in days] == [0] * 10
    own = [one for one in told.fills if one.account == trader]
    assert sum(d.taker for d in days) == sum(f.price * f.lots for f in own if f.crossed)
    assert sum(d.maker for d in days) == sum(f.price * f.lots for f in own if not f.crossed)
    assert sum(d.exchange for d in days) == sum(t.price * t.lots for t in told.trades)


def test_strangers_have_an_empty_history(reader: HistoryReader) -> None:
    """An account or market that nobody heard of has nothing, and is no error."""
    stranger = TRADERS[0].replace("0x0", "0x9")

    assert reader.fills_of(stranger) == []  # type: ignore[arg-type]
    assert reader.orders_of(stranger) == []  # type: ignore[arg-type]
    assert reader.candles(AssetId(7), "1d") == []


def test_numbers_of_any_size_can_be_asked_for(reader: HistoryReader) -> None:
    """Bounds far outside of what a column holds are answered, not raised over."""
    assert reader.fills_of(TRADERS[0], start_ms=-(10**30), end_ms=10**30)
    assert reader.candles(ASSET, "1M", start_ms=-(10**30), end_ms=10**30)
    assert reader.order(TRADERS[0], 10**30) is None  # type: ignore[arg-type]


def test_stopping_anywhere_changes_nothing(tmp_path: Path) -> None:
    """A history built in many runs equals one built at once."""
    blocks = fill(tmp_path, 40)
    directory = DataDirectory(tmp_path)
    for block in blocks:
        store = HistoryStore.open(directory.history)
        store.apply([block])
        store.close()

    told = Told(blocks)
    expected = [one for one in told.orders if one.account == TRADERS[0]]
    with closing(HistoryReader(directory.history)) as reader:
        assert reader.orders_of(TRADERS[0]) == expected[::-1]
        for last in {record.oid: record for record in expected if record.oid}.values():
            assert reader.order(TRADERS[0], last.oid) == last
        assert reader.candles(ASSET, "1h") == told.candles("1h")


def test_the_log_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is written, and with readers about, the write-ahead log keeps to its bound."""
    bound = 64 * 1024
    monkeypatch.setattr("actors.history_store.WAL_BYTES_MAX", bound)
    blocks = fill(tmp_path, 200)
    file = DataDirectory(tmp_path).history
    log = file.with_name(file.name + "-wal")
    sizes = []
    with closing(HistoryStore.open(file)) as store:
        store.apply(blocks[:1])
        with closing(HistoryReader(file)) as reader:
            for block in blocks[1:]:
                store.apply([block])
                reader.market_seeds(ASSET, block.height, block.time_ms)
                reader.account_seeds(TRADERS[0], block.height)
                sizes.append(log.stat().st_size)

    assert WAL_BYTES_MAX < 2**24
    assert max(sizes) < 3 * bound < file.stat().st_size


@pytest.mark.parametrize("damage", ["deleted", "garbage", "another journal", "longer"])
def test_a_useless_history_is_made_anew(tmp_path: Path, damage: str) -> None:
    """Whatever became of the file, the next start has the whole history of this journal."""
    blocks = fill(tmp_path, 30)
    directory = DataDirectory(tmp_path)
    other = tmp_path / "other"
    if damage == "garbage":
        directory.history.write_bytes(b"garbage" * 1000)
    elif damage != "deleted":
        with Journal.open(other) as journal:
            journal.append(list(run(Exchange(), 20 if damage[0] == "a" else 40, seed=9)))
        follow(other)
        DataDirectory(other).history.rename(directory.history)
    follow(tmp_path)

    expected = [one for one in Told(blocks).fills if one.account == TRADERS[0]]
    with closing(HistoryReader(directory.history)) as reader:
        assert reader.fills_of(TRADERS[0], newest_first=False) == expected


async def test_the_writer_follows_and_wakes_readers(tmp_path: Path) -> None:
    """A reader who was told of a height finds it, whenever the writer comes to it."""
    sealed = list(run(Exchange(), 30, seed=4))
    registry = Registry()
    history = History(tmp_path, registry.address("history"))
    journal = Journal.open(tmp_path)
    journal.append(sealed[:10])
    spec = SupervisorSpec(
        [
            ChildSpec(
                "history",
                lambda: HistoryWriter(tmp_path, history),
                mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
            )
        ]
    )
    async with open_system(spec, registry=registry):
        first = history.height
        async with trio.open_nursery() as nursery:
            for height in (11, 20, 30):
                nursery.start_soon(history.wait_height, height)
            for one in sealed[10:]:
                await trio.to_thread.run_sync(journal.append, [one])
        trades = await history.read(
            lambda reader: reader.recent_trades(ASSET, 1000), seen_height=30
        )
    journal.close()

    assert first == 10
    assert trades == Told([block for block, _ in sealed]).trades[::-1]


async def test_readers_outlive_a_crash_of_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk fault ends the writer; the next incarnation goes on, and who waited is answered."""
    sealed = list(run(Exchange(), 20, seed=4))
    registry = Registry()
    history = History(tmp_path, registry.address("history"))
    journal = Journal.open(tmp_path)
    journal.append(sealed[:10])
    faults = [sqlite3.OperationalError("disk fault made by the test")]

    def failing_step(directory: DataDirectory, store: HistoryStore, commands: int) -> bool:
        if store.height == 10 and faults and journal.head() != first:
            raise faults.pop()
        return step(directory, store, commands)

    first = journal.head()
    monkeypatch.setattr("actors.history.step", failing_step)
    spec = SupervisorSpec(
        [
            ChildSpec(
                "history",
                lambda: HistoryWriter(tmp_path, history),
                mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
            )
        ]
    )
    async with open_system(spec, registry=registry) as system:
        journal.append(sealed[10:])
        trades = await history.read(
            lambda reader: reader.recent_trades(ASSET, 1000), seen_height=20
        )
        (node,) = [node for node in system.tree() if node.path == "history"]
    journal.close()

    assert faults == []
    assert node.generation == 2
    assert trades == Told([block for block, _ in sealed]).trades[::-1]


async def test_the_writer_takes_blocks_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted as durable is not read back; a gap, or a reader who knows better, is."""
    sealed = list(run(Exchange(), 30, seed=4))
    blocks = [block for block, _ in sealed]
    registry = Registry()
    history = History(tmp_path, registry.address("history"))
    starts: list[int] = []

    def seen_step(directory: DataDirectory, store: HistoryStore, commands: int) -> bool:
        starts.append(store.height)
        return step(directory, store, commands)

    spec = SupervisorSpec(
        [
            ChildSpec(
                "history",
                lambda: HistoryWriter(tmp_path, history),
                mailbox=MailboxSpec(1, OnFull.DROP_OLDEST),
            )
        ]
    )
    with Journal.open(tmp_path) as journal:
        journal.append(sealed[:10])
        async with open_system(spec, registry=registry):
            monkeypatch.setattr("actors.history.step", seen_step)
            journal.append(sealed[10:])
            for block in [*blocks[10:20], *blocks[21:29]]:
                history.note_durable(block)
            await history.wait_height(29)
            from_journal = list(starts)
            await history.wait_height(30)
            trades = await history.read(lambda reader: reader.recent_trades(ASSET, 1000))

    assert from_journal[:1] == [10]
    assert starts[-1] in (29, 30)
    assert trades == Told(blocks).trades[::-1]


async def test_a_history_deleted_while_in_use_is_made_anew(tmp_path: Path) -> None:
    """Its writer notices, starts again and has everything; until then nobody is told half of it."""
    blocks = fill(tmp_path)
    file = DataDirectory(tmp_path).history
    registry = Registry()
    history = History(tmp_path, registry.address("history"))
    spec = SupervisorSpec([ChildSpec("history", lambda: HistoryWriter(tmp_path, history))])
    async with open_system(spec, registry=registry):
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        with pytest.raises(UnavailableError):
            await history.read(lambda reader: reader.recent_trades(ASSET, 1000))
        while registry.address("history").generation == 1:  # noqa: ASYNC110  # a file has no event
            await trio.sleep(0.01)
        trades = await history.read(
            lambda reader: reader.recent_trades(ASSET, 1000), seen_height=len(blocks)
        )

    assert trades == Told(blocks).trades[::-1][:1000]


async def test_nobody_waits_for_a_writer_that_is_gone(tmp_path: Path) -> None:
    """Who insists on a height that will never come is told so."""
    registry = Registry()
    history = History(tmp_path, registry.address("history"))
    Journal.open(tmp_path).close()
    spec = SupervisorSpec([ChildSpec("history", lambda: HistoryWriter(tmp_path, history))])
    async with open_system(spec, registry=registry):
        pass

    with pytest.raises(UnavailableError):
        await history.wait_height(1)


def test_seeds_begin_a_view(reader: HistoryReader, kept: tuple[Path, list[Block]]) -> None:
    """What a view starts with ends exactly at its height."""
    block = kept[1][BLOCKS // 2]
    told = Told(kept[1][: block.height])
    market = reader.market_seeds(ASSET, block.height, block.time_ms)
    account = reader.account_seeds(TRADERS[0], block.height)

    assert list(market.trades) == told.trades[-100:]
    assert [candle.interval for candle in market.forming][-1:] == ["1M"]
    assert list(account.fills) == [one for one in told.fills if one.account == TRADERS[0]]
    assert block.time_ms > START_MS
