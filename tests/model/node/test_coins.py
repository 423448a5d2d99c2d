"""Blocks from several streams, and what snapshots do to books in doubt."""

import pytest

from model.node import coins as coins_module
from model.node import joiner as joiner_module
from model.node.coins import Coins
from model.node.decimals import e8
from model.node.joiner import (
    GRACE_MS,
    LOSSES_WAITING_MAX,
    PENDING_BLOCKS_MAX,
    Joiner,
    NodeBlock,
)
from model.node.lines import Change, Diff, Form, Line, Problem, Stream
from model.node.sequence import Loss
from model.node.snapshot import CoinOrders, Order, Snapshot

USER = "0x" + "1" * 40
LOST = Loss(Stream.DIFFS, 11, 12, "heights are missing")


def new(coin: str, oid: int, px: str = "100.0") -> Diff:
    """Return a diff that adds a bid."""
    return Diff(coin, oid, USER, True, e8(px), Change.NEW, e8("1.0"))


def order(oid: int, px: str = "100.0") -> Order:
    """Return a bid."""
    return Order(oid, USER, True, e8(px), e8("1.0"))


def snapshot(height: int, **books: list[Order]) -> Snapshot:
    """Return a snapshot of bids."""
    return Snapshot(height, {coin: CoinOrders(list(orders), []) for coin, orders in books.items()})


def begun(**books: list[Order]) -> Coins:
    """Return books that begin at block 10."""
    coins = Coins()
    coins.start(snapshot(10, **books), 10)
    return coins


def oids(coins: Coins, coin: str) -> list[int]:
    """Return the orders of a book."""
    return [resting.oid for resting in coins.by_name[coin].book]


def test_loss_puts_all_coins_in_doubt() -> None:
    """Nobody knows which coin a missing block was about."""
    coins = begun(BTC=[order(1)], ETH=[order(2)])

    result = coins.apply(NodeBlock(13, 0, losses=[LOST]))

    assert result.doubted == coins.in_doubt() == ["BTC", "ETH"]


def test_snapshot_older_than_the_loss_heals_nothing() -> None:
    """Only a snapshot of the last lost block or a later one knows what was in it."""
    coins = begun(BTC=[order(1)])
    coins.apply(NodeBlock(13, 0, losses=[LOST]))

    early = coins.look_at(snapshot(11, BTC=[order(1)]), 11)
    late = coins.look_at(snapshot(12, BTC=[order(1)]), 12)

    assert early is not None
    assert early.doubtful == ["BTC"]
    assert late is not None
    assert late.confirmed == ["BTC"]
    assert coins.in_doubt() == []


def test_only_the_coin_that_differs_is_reset() -> None:
    """One coin has a new book and epoch; the other goes on with its own."""
    coins = begun(BTC=[order(1)], ETH=[order(2)])
    epochs = {name: coin.epoch for name, coin in coins.by_name.items()}
    coins.apply(NodeBlock(13, 0, diffs=[new("BTC", 5), new("ETH", 6)], losses=[LOST]))

    healing = coins.look_at(snapshot(12, BTC=[order(1)], ETH=[order(2), order(3, "99.0")]), 12)

    assert healing is not None
    assert (healing.confirmed, list(healing.reset)) == (["BTC"], ["ETH"])
    assert coins.by_name["BTC"].epoch == epochs["BTC"]
    assert coins.by_name["ETH"].epoch != epochs["ETH"]
    assert coins.by_name["ETH"].sequence == 0
    assert oids(coins, "ETH") == [2, 6, 3]
    assert [(m.price, m.count) for m in healing.moves["ETH"]] == [(e8("99.0"), 1)]


def test_snapshot_with_a_coin_that_we_lack() -> None:
    """A coin that only the snapshot knows is taken from it."""
    coins = begun(BTC=[order(1)])
    coins.apply(NodeBlock(11, 0))

    healing = coins.look_at(snapshot(11, BTC=[order(1)], NEW=[order(9)]), 11)

    assert healing is not None
    assert list(healing.reset) == ["NEW"]
    assert oids(coins, "NEW") == [9]


def test_snapshot_without_a_coin_that_we_have() -> None:
    """A coin that the snapshot does not know has no orders."""
    coins = begun(BTC=[order(1)], OLD=[order(2)])
    coins.apply(NodeBlock(11, 0))

    healing = coins.look_at(snapshot(11, BTC=[order(1)]), 11)

    assert healing is not None
    assert list(healing.reset) == ["OLD"]
    assert oids(coins, "OLD") == []


def test_snapshot_of_a_block_that_is_not_there_yet() -> None:
    """It can be looked at when we have come so far."""
    coins = begun(BTC=[order(1)])

    assert coins.look_at(snapshot(12, BTC=[order(1)]), 12) is None


def test_snapshot_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffs are kept for a while only; a snapshot from before is of no use."""
    monkeypatch.setattr(coins_module, "DIFFS_KEPT", 2)
    coins = begun(BTC=[])
    for height in range(11, 20):
        coins.apply(NodeBlock(height, 0, diffs=[new("BTC", height)]))

    assert coins.look_at(snapshot(12, BTC=[]), 12) is None
    assert coins.look_at(snapshot(17, BTC=[order(oid) for oid in range(11, 18)]), 17) is not None
    assert len(oids(coins, "BTC")) == 9


def test_comparison_while_blocks_go_on() -> None:
    """Coins are compared one by one; what happens in between belongs to those that follow."""
    coins = begun(BTC=[order(1)], ETH=[order(2)])
    coins.apply(NodeBlock(11, 0))
    comparison = coins.comparison(snapshot(11, BTC=[order(1)], ETH=[order(2)]), 11)
    assert comparison is not None
    comparison.step()
    coins.apply(NodeBlock(12, 0, diffs=[new("BTC", 7), new("ETH", 8)]))
    while comparison.step():
        pass

    assert comparison.healing.reset == {}
    assert (oids(coins, "BTC"), oids(coins, "ETH")) == ([1, 7], [2, 8])


def test_unreadable_diff_doubts_its_coin_alone() -> None:
    """A diff that names its coin leaves the others alone; one that does not, doubts all."""
    coins = begun(BTC=[order(1)], ETH=[order(2)])

    named = coins.apply(NodeBlock(11, 0, problems=[Problem(Stream.DIFFS, "event", "", "ETH", 11)]))
    unnamed = coins.apply(NodeBlock(12, 0, problems=[Problem(Stream.DIFFS, "event", "", "", 12)]))

    assert named.doubted == ["ETH"]
    assert unnamed.doubted == ["BTC"]


def test_coin_that_turns_up_after_a_loss_is_doubted_too() -> None:
    """What a new coin's book was in the lost block nobody knows."""
    coins = begun(BTC=[order(1)])
    coins.apply(NodeBlock(13, 0, losses=[LOST]))
    coins.apply(NodeBlock(14, 0, diffs=[new("NEW", 5)]))

    assert coins.in_doubt() == ["BTC", "NEW"]


# ---- streams ---------------------------------------------------------------------------------


def line(stream: Stream, height: int) -> Line:
    """Return an empty line of a stream."""
    return Line(stream, height, height, "", "", [], [], [])


def test_by_block_waits_for_all_streams() -> None:
    """A block is closed when every stream has its line."""
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS, Stream.STATUSES}), 10)
    joiner.add(line(Stream.DIFFS, 11))
    assert list(joiner.closed(0)) == []
    joiner.add(line(Stream.STATUSES, 11))

    assert [block.height for block in joiner.closed(0)] == [11]


def test_one_stream_silent_for_minutes() -> None:
    """Statuses that stop hold nothing up for long, and are attached when they come after all."""
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS, Stream.STATUSES}), 10)
    for height in (11, 12, 13):
        joiner.add(line(Stream.DIFFS, height))
    assert list(joiner.closed(0)) == []
    assert joiner.wait_ms(10) == GRACE_MS - 10
    assert [block.height for block in joiner.closed(GRACE_MS)] == [11, 12, 13]
    assert joiner.wait_ms(GRACE_MS) is None
    assert joiner.behind() == {Stream.DIFFS: 0, Stream.STATUSES: 3}
    joiner.add(line(Stream.STATUSES, 11))
    joiner.add(line(Stream.DIFFS, 14))
    joiner.add(line(Stream.STATUSES, 14))

    (block,) = joiner.closed(GRACE_MS)

    assert [late.height for late in block.late] == [11]


def test_silent_diffs_hold_the_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without diffs no block is closed; when too much waits, it is given up as a loss."""
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS, Stream.STATUSES}), 10)
    joiner.add(line(Stream.STATUSES, 11))
    assert list(joiner.closed(10**9)) == []
    for height in range(12, 12 + PENDING_BLOCKS_MAX):
        joiner.add(line(Stream.STATUSES, height))

    assert [(loss.first, loss.last) for loss in joiner.take_losses()] == [(11, 11)]


def test_loss_is_told_where_it_begins() -> None:
    """Blocks before a loss are closed without it, however much was read at once."""
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS}), 10)
    for height in (11, 12, 15, 16):
        joiner.add(line(Stream.DIFFS, height))
    joiner.lose([Loss(Stream.DIFFS, 13, 14, "")])

    told = {block.height: len(block.losses) for block in joiner.closed(0)}

    assert told == {11: 0, 12: 0, 15: 1, 16: 0}


def test_streaming_closes_with_the_next_block() -> None:
    """The diffs of a block are complete when those of a later one come, and not before."""
    joiner = Joiner(Form.STREAMING, frozenset({Stream.DIFFS, Stream.FILLS}), 10)
    joiner.add(line(Stream.DIFFS, 11))
    joiner.add(line(Stream.FILLS, 13))
    assert list(joiner.closed(0)) == []
    joiner.add(line(Stream.DIFFS, 13))

    assert [block.height for block in joiner.closed(0)] == [11]


def test_more_orders_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """New orders beyond a number are left out, and their coin is in doubt; others may still go."""
    monkeypatch.setattr(coins_module, "ORDERS_MAX", 5)
    coins = begun(BTC=[order(1)], ETH=[])
    coins.apply(NodeBlock(11, 0, diffs=[new("BTC", oid) for oid in range(2, 5)]))
    coins.apply(NodeBlock(12, 0, diffs=[new("ETH", oid) for oid in range(5, 8)]))
    assert coins.in_doubt() == ["ETH"]
    gone = [Diff("BTC", oid, USER, True, e8("100.0"), Change.REMOVE) for oid in range(1, 5)]
    coins.apply(NodeBlock(13, 0, diffs=gone))
    coins.apply(NodeBlock(14, 0, diffs=[new("ETH", oid) for oid in range(8, 12)]))

    assert oids(coins, "BTC") == []
    assert oids(coins, "ETH") == [8, 9, 10, 11]
    assert coins.in_doubt() == ["ETH"]


def test_block_of_more_events_than_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming, a block that never ends is given up, and told of once for all that follows."""
    monkeypatch.setattr(joiner_module, "PENDING_EVENTS_MAX", 100)
    joiner = Joiner(Form.STREAMING, frozenset({Stream.DIFFS, Stream.FILLS}), 10)
    for oid in range(1_000):
        joiner.add(Line(Stream.DIFFS, 11, 0, "", "", [new("BTC", oid)], [], []))

    assert joiner.dropped == 101
    losses = joiner.take_losses()
    assert {(loss.first, loss.last) for loss in losses} == {(11, 11)}
    assert len(losses) == 2


def test_late_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes late waits for the next block in a number that is limited."""
    monkeypatch.setattr(joiner_module, "PENDING_EVENTS_MAX", 10)
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS, Stream.STATUSES}), 10)
    joiner.add(line(Stream.DIFFS, 11))
    list(joiner.closed(0))
    list(joiner.closed(GRACE_MS))
    for _ in range(50):
        joiner.add(Line(Stream.STATUSES, 11, 0, "", "", [new("BTC", 1)] * 3, [], []))
    joiner.add(line(Stream.DIFFS, 12))

    (block,) = joiner.flush()

    assert sum(late.events for late in block.late) == 9
    assert joiner.dropped == 141


def test_losses_that_wait_are_bounded() -> None:
    """While no block comes to tell losses with, the oldest are told together, and none is left."""
    joiner = Joiner(Form.BLOCK, frozenset({Stream.DIFFS}), 10)
    joiner.lose([Loss(Stream.DIFFS, 20, 21, "gone"), Loss(Stream.DIFFS, 22, 22, "gone")])
    assert joiner.take_losses() == [Loss(Stream.DIFFS, 20, 22, "gone")]
    for height in range(LOSSES_WAITING_MAX * 2):
        joiner.lose([Loss(Stream.DIFFS, height * 2, height * 2, "gone", "BTC")])

    losses = joiner.take_losses()

    assert len(losses) == LOSSES_WAITING_MAX
    assert losses[0].first == 0
    assert losses[-1].last == LOSSES_WAITING_MAX * 4 - 2


def test_empty_blocks_take_no_memory() -> None:
    """A node where nothing happens can be followed for years; snapshots still fit its books."""
    coins = begun(BTC=[order(1)])
    coins.apply(NodeBlock(11, 0, diffs=[new("BTC", 2)]))
    for height in range(12, 1_000):
        coins.apply(NodeBlock(height, 0))

    assert len(coins._recent) == 1
    assert coins.look_at(snapshot(10, BTC=[order(1)]), 10) is not None
    assert coins.look_at(snapshot(500, BTC=[order(1), order(2)]), 500) is not None
    assert coins.by_name["BTC"].epoch == 1
