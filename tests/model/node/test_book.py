"""The book of one coin from snapshot and diffs, and the file that snapshots are read from."""

import json
from typing import Any

import pytest

from model.node.book import GONE_MAX, Flaw, NodeBook, compare
from model.node.decimals import decimal_text, e8
from model.node.lines import Change, Diff
from model.node.snapshot import CoinOrders, Order, SnapshotError, read_snapshot, write_snapshot

USER = "0x1111111111111111111111111111111111111111"


def body(oid: int, side: str, px: str, sz: str = "1.0", **more: Any) -> dict[str, Any]:
    """Return an order as snapshots show it."""
    return {
        "coin": "BTC", "side": side, "limitPx": px, "sz": sz, "oid": oid,
        "timestamp": 1778002736649, "triggerCondition": "N/A", "isTrigger": False,
        "triggerPx": "0.0", "children": [], "isPositionTpsl": False, "reduceOnly": False,
        "orderType": "Limit", "origSz": sz, "tif": "Alo", "cloid": None, **more,
    }  # fmt: skip


def new(oid: int, px: str, sz: str = "1.0", *, is_bid: bool | None = True) -> Diff:
    """Return a diff that adds an order."""
    return Diff("BTC", oid, USER, is_bid, e8(px), Change.NEW, e8(sz))


def update(oid: int, px: str, before: str, after: str, *, is_bid: bool = True) -> Diff:
    """Return a diff that resizes an order."""
    return Diff("BTC", oid, USER, is_bid, e8(px), Change.UPDATE, e8(after), e8(before))


def remove(oid: int, px: str, *, is_bid: bool = True) -> Diff:
    """Return a diff that removes an order."""
    return Diff("BTC", oid, USER, is_bid, e8(px), Change.REMOVE)


def best(book: NodeBook) -> tuple[str, str, int] | None:
    """Return price, size and count of the best bid, as the node would print them."""
    level = book.bids.best()
    if level is None:
        return None
    return decimal_text(level.price), decimal_text(level.lots), level.count


def test_diffs_make_the_book() -> None:
    """New orders join their level, updates resize it, removals leave it."""
    book = NodeBook("BTC")

    flaws = [
        book.apply(diff)
        for diff in (
            new(1, "100.5", "0.1"),
            new(2, "100.5", "0.00002"),
            new(3, "100.0"),
            update(1, "100.5", "0.1", "0.03"),
        )
    ]

    assert flaws == [None] * 4
    assert best(book) == ("100.5", "0.03002", 2)
    assert book.apply(remove(1, "100.5")) is None
    assert best(book) == ("100.5", "0.00002", 1)
    assert book.apply(remove(2, "100.5")) is None
    assert best(book) == ("100.0", "1.0", 1)


def test_update_keeps_the_place_in_the_queue() -> None:
    """An order that was filled in part stays ahead of later ones."""
    book = NodeBook("BTC")
    for diff in (new(1, "100.0"), new(2, "100.0"), update(1, "100.0", "1.0", "0.5")):
        book.apply(diff)

    assert [order.oid for order in book] == [1, 2]


def test_update_to_zero_then_remove() -> None:
    """A complete fill may be told as an update to nothing, and once more as a removal."""
    book = NodeBook("BTC")
    book.apply(new(1, "100.0"))

    assert book.apply(update(1, "100.0", "1.0", "0.0")) is None
    assert len(book) == 0
    assert book.apply(remove(1, "100.0")) is None
    assert book.apply(remove(1, "100.0")) is Flaw.UNKNOWN_REMOVE


def test_memory_of_filled_orders_is_bounded() -> None:
    """Only so many orders are remembered that a removal may still follow."""
    book = NodeBook("BTC")
    for oid in range(GONE_MAX + 1):
        book.apply(new(oid, "100.0"))
        book.apply(update(oid, "100.0", "1.0", "0.0"))

    assert book.apply(remove(GONE_MAX, "100.0")) is None
    assert book.apply(remove(0, "100.0")) is Flaw.UNKNOWN_REMOVE


@pytest.mark.parametrize(
    ("diff", "flaw"),
    [
        (update(9, "100.0", "1.0", "0.5"), Flaw.UNKNOWN_UPDATE),
        (remove(9, "100.0"), Flaw.UNKNOWN_REMOVE),
        (update(1, "100.0", "0.9", "0.5"), Flaw.BEFORE),
        (new(1, "100.0"), Flaw.TWICE),
        (remove(1, "101.0"), Flaw.PRICE),
        (remove(1, "100.0", is_bid=False), Flaw.PRICE),
        (new(2, "100.0", is_bid=None), Flaw.SIDE),
    ],
)
def test_diff_that_does_not_fit(diff: Diff, flaw: Flaw) -> None:
    """Each way in which a diff can betray a loss is told apart."""
    book = NodeBook("BTC")
    book.apply(new(1, "100.0"))

    assert book.apply(diff) is flaw


def test_crossed_book_is_seen() -> None:
    """A bid at the best ask shows that something is missing."""
    book = NodeBook("BTC")
    book.apply(new(1, "100.0"))
    assert not book.is_crossed()
    book.apply(new(2, "100.0", is_bid=False))

    assert book.is_crossed()


def test_comparison_finds_every_difference() -> None:
    """Two books agree only if every order, its size and its place in the queue agree."""
    diffs = [new(1, "100.0"), new(2, "100.0"), new(3, "99.0"), new(4, "101.0", is_bid=False)]

    def book(*changes: Diff, of: list[Diff] = diffs) -> NodeBook:
        made = NodeBook("BTC")
        for diff in (*of, *changes):
            made.apply(diff)
        return made

    assert compare(book(), book()) is None
    assert compare(book(), book(of=[diffs[1], diffs[0], *diffs[2:]])) is not None
    assert compare(book(), book(update(3, "99.0", "1.0", "0.5"))) is not None
    assert compare(book(), book(remove(4, "101.0", is_bid=False))) is not None
    assert compare(book(), book(new(5, "102.0", is_bid=False))) is not None


def snapshot_file(*, bids: list[Any], asks: list[Any], height: int | None = 985148181) -> bytes:
    """Return a snapshot file of one coin, with users and height unless told otherwise."""
    coins = [["BTC", [bids, asks]]]
    return json.dumps(coins if height is None else [height, coins]).encode()


@pytest.mark.parametrize("height", [985148181, None])
@pytest.mark.parametrize("with_users", [True, False])
def test_snapshot_in_all_its_forms(height: int | None, with_users: bool) -> None:
    """Snapshots are read with and without height, with and without owners."""

    def entry(order: dict[str, Any]) -> Any:
        return [USER, order] if with_users else order

    data = snapshot_file(
        bids=[entry(body(1, "B", "81307.0", "0.18385"))],
        asks=[entry(body(2, "A", "81308.0"))],
        height=height,
    )

    found = read_snapshot(data)

    book = NodeBook("BTC", found.coins["BTC"])
    assert found.height == height
    assert best(book) == ("81307.0", "0.18385", 1)
    assert [order.user for order in book] == [USER if with_users else ""] * 2


def test_untriggered_orders_do_not_rest() -> None:
    """Trigger orders stand on both sides of a snapshot and on none of the book."""
    trigger = body(9, "A", "70000.0", isTrigger=True, triggerPx="70000.0", tif=None)
    data = snapshot_file(
        bids=[[USER, body(1, "B", "81307.0")], [USER, trigger]], asks=[[USER, trigger]]
    )

    book = NodeBook("BTC", read_snapshot(data).coins["BTC"])

    assert [order.oid for order in book] == [1]


def test_snapshot_of_one_coin() -> None:
    """Only the coins that are asked for are taken."""
    data = b'[5,[["ETH",[[],[]]],["BTC",[[],[]]]]]'

    assert list(read_snapshot(data, ["BTC"]).coins) == ["BTC"]


def test_written_snapshot_is_read_back() -> None:
    """What is written is what a node would write, and is read back to the same book."""
    data = snapshot_file(
        bids=[[USER, body(1, "B", "81307.0", "0.18385", children=[{"a": 1}], cloid="0x01")]],
        asks=[[USER, body(2, "A", "81308.0", tif=None)], [USER, body(3, "A", "81308.0")]],
    )
    first = read_snapshot(data)

    again = b"".join(write_snapshot(985148181, first.coins))

    assert json.loads(again) == json.loads(data)
    assert read_snapshot(again) == first


def test_order_without_status_is_shown_as_post_only() -> None:
    """The exchange's own market makers never have a status; their orders can still be shown."""
    order = Order(7, "0x" + "f" * 40, True, e8("2.5"), e8("3.0"))
    data = b"".join(write_snapshot(5, {"@1": CoinOrders([order], [])}))

    ((_, shown),) = json.loads(data)[1][0][1][0]

    assert (shown["limitPx"], shown["origSz"], shown["tif"]) == ("2.5", "3.0", "Alo")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"[1,2]",
        b'[1,[["BTC",[[]]]]]',
        b'[1,[["BTC",[[7],[]]]]]',
        b"\xff",
        b"[" * 100_000,
        snapshot_file(bids=[[USER, body(1, "B", "-1.0")]], asks=[]),
        snapshot_file(bids=[[USER, body(1, "B", "1.0", "0.0")]], asks=[]),
        snapshot_file(bids=[[USER, body(1, "B", "1e5")]], asks=[]),
        snapshot_file(bids=[[USER, body(1, "B", "1.0", coin="ETH")]], asks=[]),
    ],
)
def test_what_is_no_snapshot(data: bytes) -> None:
    """A file that is not a snapshot is refused as such."""
    with pytest.raises(SnapshotError):
        read_snapshot(data)
