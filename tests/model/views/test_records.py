"""Records say completely and in the wire's words what terse events meant."""

import pytest

from model.commands import OrderSpec, Tif
from model.events import (
    CancelReason,
    Event,
    Leg,
    OrderCanceled,
    OrderPlaced,
    OrderRefused,
    Traded,
)
from model.ids import Address, AssetId, Cloid, OrderId, TradeId
from model.instruments import Instrument
from model.refusals import Refusal
from model.state import RestingOrder
from model.universe import Universe
from model.views import records
from model.views.open_orders import OpenOrders
from model.views.records import Moment

BTC = AssetId(0)
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
CLOID = Cloid("0x" + "1" * 32)
AT = Moment(height=7, time_ms=1_000, index=2)


def universe() -> Universe:
    """Return a universe of one market: lots of 0.00001, ticks of 0.1 USD."""
    return Universe([Instrument(BTC, "BTC", 5, 40, 65_000 * 10**8)])


def placed(oid: int, account: Address, *, is_buy: bool, lots: int, tif: Tif = Tif.GTC) -> Event:
    """Return the placing of an order at 650,000 ticks."""
    return OrderPlaced(BTC, account, OrderId(oid), is_buy, 650_000, lots, tif, False, None)


def leg(account: Address, oid: int, remaining: int, start: int = 0) -> Leg:
    """Return one side of a trade without profit and with a fee of 5."""
    return Leg(account, OrderId(oid), None, remaining, start, 0, 5)


def traded(taker: Leg, maker: Leg, *, lots: int, taker_is_buy: bool = True) -> Traded:
    """Return a trade at 650,000 ticks."""
    return Traded(BTC, TradeId(9), 650_000, lots, taker_is_buy, taker, maker)


def told(orders: OpenOrders, *events: Event) -> list[tuple[int, str, int]]:
    """Apply events; return oid, status and remainder of each record."""
    changes = [change for event in events for change in orders.apply(event, AT.time_ms)]
    return [(change.oid, change.status, change.remaining) for change in changes]


def test_resting_order_passes_from_open_over_a_partial_fill_to_filled() -> None:
    """A partial fill is told as open with less, the last one as filled with nothing."""
    orders = OpenOrders(universe())

    assert told(
        orders,
        placed(1, ALICE, is_buy=False, lots=10),
        placed(2, BOB, is_buy=True, lots=4),
        traded(leg(BOB, 2, 0), leg(ALICE, 1, 6), lots=4),
        placed(3, BOB, is_buy=True, lots=6),
        traded(leg(BOB, 3, 0), leg(ALICE, 1, 0), lots=6),
    ) == [
        (1, "open", 10),
        (2, "open", 4),
        (2, "filled", 0),
        (1, "open", 6),
        (3, "open", 6),
        (3, "filled", 0),
        (1, "filled", 0),
    ]
    assert len(orders) == 0


def test_immediate_order_is_told_only_at_its_end() -> None:
    """An immediate order never rests, so it is never told as open."""
    orders = OpenOrders(universe(), account=BOB)

    assert told(
        orders,
        placed(2, BOB, is_buy=True, lots=10, tif=Tif.IOC),
        traded(leg(BOB, 2, 6), leg(ALICE, 1, 0), lots=4),
        OrderCanceled(BTC, BOB, OrderId(2), 6, CancelReason.IOC_REMAINDER),
    ) == [(2, "canceled", 6)]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (CancelReason.CANCELED, "canceled"),
        (CancelReason.IOC_REMAINDER, "canceled"),
        (CancelReason.SELF_TRADE, "selfTradeCanceled"),
        (CancelReason.MARGIN, "marginCanceled"),
        (CancelReason.REDUCE_ONLY, "reduceOnlyCanceled"),
        (CancelReason.MODIFIED, "canceled"),
    ],
)
def test_cancel_reason_names_the_status(reason: CancelReason, status: str) -> None:
    """Every reason to leave the book has its status, and the remainder stays in the record."""
    resting = RestingOrder(BTC, ALICE, OrderId(4), True, 650_000, 9, 7, Tif.GTC, False, CLOID, 12)
    orders = OpenOrders(universe(), [resting])

    (change,) = orders.apply(OrderCanceled(BTC, ALICE, OrderId(4), 7, reason), 99)

    assert (change.status, change.remaining, change.lots) == (status, 7, 9)
    assert (change.placed_ms, change.status_ms, change.cloid) == (12, 99, CLOID)


@pytest.mark.parametrize(
    ("reason", "statuses"),
    [
        (Refusal.MARGIN_TOO_LOW, ["perpMarginRejected"]),
        (Refusal.IOC_FOUND_NOTHING, ["iocCancelRejected"]),
        (Refusal.PRICE_OFF_GRID, []),
        (Refusal.NOTIONAL_TOO_SMALL, ["minTradeNtlRejected"]),
        (Refusal.PRICE_TOO_FAR, ["oracleRejected"]),
        (Refusal.ASSET_UNKNOWN, []),
    ],
)
def test_refused_order_is_told_only_if_matching_refused_it(
    reason: Refusal, statuses: list[str]
) -> None:
    """Owners hear of orders that matching refused, never of those whose form was wrong."""
    spec = OrderSpec(BTC, True, 65_000 * 10**8, 10**8, Tif.GTC, False)

    changes = OpenOrders(universe()).apply(OrderRefused(ALICE, spec, reason), 5)

    assert [change.status for change in changes] == statuses
    for change in changes:
        assert (change.oid, change.price, change.lots) == (records.NO_ORDER_ID, 650_000, 100_000)


def test_orders_of_others_are_left_out() -> None:
    """A fold of one account sees only that account's side of a trade."""
    orders = OpenOrders(universe(), account=ALICE)

    assert told(
        orders,
        placed(1, ALICE, is_buy=False, lots=10),
        placed(2, BOB, is_buy=True, lots=4),
        traded(leg(BOB, 2, 0), leg(ALICE, 1, 6), lots=4),
    ) == [(1, "open", 10), (1, "open", 6)]


@pytest.mark.parametrize(
    ("start", "is_buy", "text"),
    [
        (0, True, "Open Long"),
        (3, True, "Open Long"),
        (-5, True, "Close Short"),
        (-9, True, "Close Short"),
        (-2, True, "Short > Long"),
        (0, False, "Open Short"),
        (-1, False, "Open Short"),
        (5, False, "Close Long"),
        (2, False, "Long > Short"),
    ],
)
def test_direction_of_a_fill_of_five_lots(start: int, is_buy: bool, text: str) -> None:
    """The direction follows from the position before and after."""
    event = traded(leg(ALICE, 1, 0, start), leg(BOB, 2, 0), lots=5, taker_is_buy=is_buy)

    fill, _ = records.fills_from(event, AT)

    assert records.fill_direction(fill) == text


@pytest.mark.parametrize("taker_is_buy", [True, False])
def test_trade_names_the_buyer_first(taker_is_buy: bool) -> None:
    """Buyer and seller follow from the aggressor's side, and both fills share the trade id."""
    event = traded(leg(ALICE, 1, 0), leg(BOB, 2, 0), lots=5, taker_is_buy=taker_is_buy)

    trade = records.trade_from(event, AT)
    mine, theirs = records.fills_from(event, AT)

    assert (trade.buyer, trade.seller) == ((ALICE, BOB) if taker_is_buy else (BOB, ALICE))
    assert (mine.account, mine.crossed, mine.is_buy) == (ALICE, True, taker_is_buy)
    assert (theirs.account, theirs.crossed, theirs.is_buy) == (BOB, False, not taker_is_buy)
    assert mine.tid == theirs.tid == trade.tid == 9


def test_transaction_hash_has_64_digits_and_tells_commands_apart() -> None:
    """Height and index cannot run into each other."""
    assert records.transaction_hash(0x1F, 2) == "0x" + "1f".rjust(32, "0") + "2".rjust(32, "0")
