"""ccxt places, edits and cancels orders of every kind, one by one and in batches."""

import time
from collections.abc import Callable
from typing import Any

import ccxt
import pytest

from tests.conformance.wallets import wait_until

pytestmark = pytest.mark.program

Open = Callable[..., Any]


def cloid(number: int) -> str:
    return f"0x{number:032x}"


def order_of(symbol: str, amount: float, price: float, **params: Any) -> dict[str, Any]:
    """Return an entry of a batch; it sells if the amount is negative."""
    return {
        "symbol": symbol,
        "type": "limit",
        "side": "buy" if amount > 0 else "sell",
        "amount": abs(amount),
        "price": price,
        "params": params,
    }


def open_long(maker: Any, user: Any, symbol: str, amount: float = 0.5) -> None:
    """Give a user a long position at 2000."""
    maker.rest(symbol, -amount, 2000)
    user.exchange.create_order(symbol, "market", "buy", amount, 2000)


# ---- placing -----------------------------------------------------------------------------------


def test_limit_order(open_ccxt: Open, symbol: str) -> None:
    """A limit order rests, and is found again with everything that was said of it."""
    user = open_ccxt()

    placed = user.api.create_order(symbol, "limit", "buy", 0.5, 1990)

    (order,) = user.api.fetch_open_orders(symbol)
    assert order["id"] == placed["id"]
    assert {key: order[key] for key in ("symbol", "type", "side", "price", "amount", "status")} == {
        "symbol": symbol,
        "type": "limit",
        "side": "buy",
        "price": 1990.0,
        "amount": 0.5,
        "status": "open",
    }
    assert (order["filled"], order["remaining"], order["timeInForce"]) == (0.0, 0.5, "GTC")


def test_the_short_forms(open_ccxt: Open, symbol: str) -> None:
    """createLimitOrder and createMarketOrder place what they are named after."""
    maker, user = open_ccxt(), open_ccxt()
    resting = maker.api.create_limit_order(symbol, "sell", 0.5, 2010)

    filled = user.api.create_market_order(symbol, "buy", 0.2, 2010)

    assert (filled["filled"], filled["average"], filled["remaining"]) == (0.2, 2010.0, 0.0)
    assert maker.api.fetch_order(resting["id"])["remaining"] == 0.3


@pytest.mark.shows("ccxt", "createOrder market")
def test_market_order(open_ccxt: Open, symbol: str) -> None:
    """A market order takes what is there up to its slippage; its remainder does not rest."""
    maker, user = open_ccxt(), open_ccxt()
    maker.rest(symbol, -0.2, 2010)
    maker.rest(symbol, -0.2, 2020)

    order = user.api.create_order(symbol, "market", "buy", 0.3, 2010)

    assert order["filled"] == 0.3
    assert order["average"] == pytest.approx((0.2 * 2010 + 0.1 * 2020) / 0.3, rel=1e-4)
    assert user.open_ids() == []


@pytest.mark.shows("ccxt", "createOrder with timeInForce IOC")
def test_immediate_or_cancel(open_ccxt: Open, symbol: str) -> None:
    """An IOC takes what its limit allows and is gone."""
    maker, user = open_ccxt(), open_ccxt()
    maker.rest(symbol, -0.2, 2010)

    order = user.api.create_order(symbol, "limit", "buy", 0.5, 2010, {"timeInForce": "IOC"})

    assert order["filled"] == 0.2
    assert user.open_ids() == []


@pytest.mark.shows("ccxt", "createOrder with postOnly")
def test_post_only(open_ccxt: Open, symbol: str) -> None:
    """A post-only order rests, or is refused where it would trade."""
    maker, user = open_ccxt(), open_ccxt()
    maker.rest(symbol, -0.2, 2010)

    placed = user.api.create_order(symbol, "limit", "buy", 0.5, 2000, {"postOnly": True})
    with pytest.raises(ccxt.InvalidOrder, match="Post only order"):
        user.exchange.create_order(symbol, "limit", "buy", 0.5, 2010, {"postOnly": True})

    (order,) = user.api.fetch_open_orders(symbol)
    assert (order["id"], order["postOnly"]) == (placed["id"], True)


@pytest.mark.shows("ccxt", "createOrder with reduceOnly")
def test_reduce_only(open_ccxt: Open, symbol: str) -> None:
    """A reduce-only order closes a position, and nothing more than that."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol, 0.5)
    maker.rest(symbol, 1.0, 1990)

    closed = user.api.create_reduce_only_order(symbol, "limit", "sell", 0.8, 1990)

    assert closed["filled"] == 0.5
    assert user.api.fetch_positions([symbol]) == []
    assert user.open_ids() == []


@pytest.mark.shows("ccxt", "createOrder with clientOrderId")
def test_client_order_id(open_ccxt: Open, symbol: str) -> None:
    """The id that the owner gave comes back, and finds the order."""
    user = open_ccxt()

    placed = user.api.create_order(symbol, "limit", "buy", 0.5, 1990, {"clientOrderId": cloid(7)})

    assert placed["clientOrderId"] == cloid(7)
    found = user.api.fetch_order(None, symbol, {"clientOrderId": cloid(7)})
    assert (found["id"], found["clientOrderId"]) == (placed["id"], cloid(7))


def test_batch(open_ccxt: Open, symbol: str) -> None:
    """A batch places several orders, with ids of their owner or without."""
    user = open_ccxt()

    plain = user.api.create_orders([order_of(symbol, 0.5, 1990), order_of(symbol, -0.5, 2010)])
    named = user.api.create_orders(
        [order_of(symbol, 0.5, 1980 - n, clientOrderId=cloid(n)) for n in range(2)]
    )

    assert [order["clientOrderId"] for order in named] == [cloid(0), cloid(1)]
    assert sorted(user.open_ids()) == sorted(order["id"] for order in (*plain, *named))


def test_a_batch_with_a_bad_order(open_ccxt: Open, symbol: str) -> None:
    """ccxt raises for the whole batch; the good order of it is live all the same."""
    user = open_ccxt()

    with pytest.raises(ccxt.InvalidOrder, match="minimum value"):
        user.exchange.create_orders([order_of(symbol, 0.5, 1990), order_of(symbol, 0.001, 1990)])

    assert len(user.open_ids()) == 1


@pytest.mark.shows("ccxt", "createOrder with the builder's fee")
def test_the_builder_fee_of_ccxt(open_ccxt: Open, symbol: str) -> None:
    """With ccxt's default of a builder's fee orders are accepted all the same."""
    user = open_ccxt(builderFee=True)

    assert user.api.create_order(symbol, "limit", "buy", 0.5, 1990)["id"] in user.open_ids()


# ---- triggers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "params", "shown"),
    [
        ("market", {"stopLossPrice": 1900}, ("Price below 1900", "Stop Market")),
        ("market", {"takeProfitPrice": 2200}, ("Price above 2200", "Take Profit Market")),
        ("limit", {"stopLossPrice": 1900}, ("Price below 1900", "Stop Limit")),
        ("limit", {"takeProfitPrice": 2200}, ("Price above 2200", "Take Profit Limit")),
        ("market", {"triggerPrice": 1900}, ("Price below 1900", "Stop Market")),
    ],
)
@pytest.mark.shows("ccxt", "createOrder with stopLossPrice, takeProfitPrice, triggerPrice")
def test_trigger_order(
    open_ccxt: Open, symbol: str, kind: str, params: dict[str, Any], shown: tuple[str, str]
) -> None:
    """A stop or a take profit waits for its price, and is shown as what it is."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol)

    placed = user.api.create_order(symbol, kind, "sell", 0.5, 1900, {**params, "reduceOnly": True})

    (order,) = user.api.fetch_open_orders(symbol)
    assert order["id"] == placed["id"]
    assert order["triggerPrice"] == float(next(iter(params.values())))
    assert order["reduceOnly"] is True
    assert (order["info"]["triggerCondition"], order["info"]["orderType"]) == shown


def test_a_stop_fires(open_ccxt: Open, exchange: Any, coin: str, symbol: str) -> None:
    """When the mark falls to the trigger price the position is closed by a market order."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol)
    maker.rest(symbol, 1.0, 1890)
    stop = user.api.create_stop_order(
        symbol, "market", "sell", 0.5, 1900, 1900, {"reduceOnly": True}
    )

    exchange.move_oracle(coin, 1890)

    wait_until(lambda: user.exchange.fetch_positions([symbol]) == [])
    assert user.api.fetch_order(stop["id"], symbol)["status"] == "closed"
    assert user.open_ids() == []


def test_create_trigger_order(open_ccxt: Open, symbol: str) -> None:
    """createTriggerOrder is another name of a stop."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol)

    placed = user.api.create_trigger_order(
        symbol, "limit", "sell", 0.5, 1890, 1900, {"reduceOnly": True}
    )

    (order,) = user.api.fetch_open_orders(symbol)
    assert (order["id"], order["triggerPrice"]) == (placed["id"], 1900.0)


@pytest.mark.shows("ccxt", "createOrder with stopLoss and takeProfit")
def test_order_with_stop_and_target(open_ccxt: Open, symbol: str) -> None:
    """Stop and target wait for their parent, are armed by its fill, and one ends the other."""
    maker, user = open_ccxt(), open_ccxt()

    user.api.create_order(
        symbol,
        "limit",
        "buy",
        0.5,
        1990,
        {
            "stopLoss": {"triggerPrice": 1900, "type": "market"},
            "takeProfit": {"triggerPrice": 2200, "type": "market"},
        },
    )
    (parent,) = (order for order in user.api.fetch_open_orders() if not order["triggerPrice"])
    assert len(parent["info"]["children"]) == 2

    maker.exchange.create_order(symbol, "limit", "sell", 0.5, 1990)

    armed = user.api.fetch_open_orders(symbol)
    assert sorted(order["triggerPrice"] for order in armed) == [1900.0, 2200.0]
    user.exchange.cancel_orders([order["id"] for order in armed], symbol)
    assert user.open_ids() == []


def test_create_order_with_take_profit_and_stop_loss(open_ccxt: Open, symbol: str) -> None:
    """The short form of the same group."""
    user = open_ccxt()

    user.api.create_order_with_take_profit_and_stop_loss(
        symbol, "limit", "buy", 0.5, 1990, 2200, 1900
    )

    (parent,) = (order for order in user.api.fetch_open_orders() if not order["triggerPrice"])
    assert sorted(child["triggerPx"] for child in parent["info"]["children"]) == [
        "1900.0",
        "2200.0",
    ]


@pytest.mark.shows("ccxt", "createOrder with grouping positionTpsl")
def test_stop_and_target_of_a_position(open_ccxt: Open, symbol: str) -> None:
    """Stop and target of a position have no size of their own."""
    maker, user = open_ccxt(), open_ccxt()
    open_long(maker, user, symbol)

    user.api.create_order(
        symbol,
        "market",
        "buy",
        0.5,
        2000,
        {
            "grouping": "positionTpsl",
            "stopLoss": {"triggerPrice": 1900, "price": 1800},
            "takeProfit": {"triggerPrice": 2200, "price": 2100},
        },
    )

    armed = user.api.fetch_open_orders(symbol)
    assert sorted(order["triggerPrice"] for order in armed) == [1900.0, 2200.0]
    assert all(order["info"]["isPositionTpsl"] for order in armed)


# ---- editing and cancelling --------------------------------------------------------------------


def test_edit_order(open_ccxt: Open, symbol: str) -> None:
    """An edited order has a new price, size and id."""
    user = open_ccxt()
    before = user.rest(symbol, 0.5, 1990)

    edited = user.api.edit_order(before, symbol, "limit", "buy", 0.4, 1980)

    (order,) = user.api.fetch_open_orders(symbol)
    assert (order["price"], order["amount"]) == (1980.0, 0.4)
    assert order["id"] == edited["id"] != before


def test_edit_orders(open_ccxt: Open, symbol: str) -> None:
    """Several orders are edited at once."""
    user = open_ccxt()
    before = [user.rest(symbol, 0.5, price) for price in (1990, 1980)]

    edited = user.api.edit_orders(
        [{"id": oid, **order_of(symbol, 0.4, 1970 + n)} for n, oid in enumerate(before)]
    )

    assert sorted(user.open_ids()) == sorted(order["id"] for order in edited)
    assert set(user.open_ids()).isdisjoint(before)


def test_cancel_order(open_ccxt: Open, symbol: str) -> None:
    """A cancelled order is gone from the book and among the cancelled ones."""
    user = open_ccxt()
    oid = user.rest(symbol, 0.5, 1990)

    user.api.cancel_order(oid, symbol)

    assert user.open_ids() == []
    (order,) = user.api.fetch_canceled_orders(symbol)
    assert (order["id"], order["status"], order["remaining"]) == (oid, "canceled", 0.5)
    with pytest.raises(ccxt.OrderNotFound):
        user.exchange.cancel_order(oid, symbol)


@pytest.mark.shows("ccxt", "cancelOrder with clientOrderId")
def test_cancel_by_client_order_id(open_ccxt: Open, symbol: str) -> None:
    """An order is cancelled by the id of its owner."""
    user = open_ccxt()
    user.rest(symbol, 0.5, 1990, clientOrderId=cloid(1))

    user.api.cancel_order(None, symbol, {"clientOrderId": cloid(1)})

    assert user.open_ids() == []


def test_cancel_orders(open_ccxt: Open, symbol: str) -> None:
    """Several orders are cancelled at once, also in several markets."""
    user = open_ccxt()
    first, second, third, fourth = (user.rest(symbol, 0.5, 1990 - n) for n in range(4))
    other = user.rest("BTC/USDC:USDC", 0.001, 64_000)

    user.api.cancel_orders([first, second], symbol)
    assert sorted(user.open_ids()) == sorted([third, fourth, other])
    user.api.cancel_orders_for_symbols(
        [
            {"id": third, "symbol": symbol},
            {"id": fourth, "symbol": symbol},
            {"id": other, "symbol": "BTC/USDC:USDC"},
        ]
    )
    assert user.open_ids() == []


def test_cancel_all_orders_after(open_ccxt: Open, symbol: str) -> None:
    """The dead man's switch fires at its time; each order is scheduledCancel."""
    user = open_ccxt()
    oid = user.rest(symbol, 0.5, 1990)

    assert user.api.cancel_all_orders_after(5_500)["status"] == "ok"
    assert user.open_ids() == [oid]

    wait_until(lambda: user.open_ids() == [])
    assert user.api.fetch_order(oid, symbol)["info"]["status"] == "scheduledCancel"


# ---- what became of orders ---------------------------------------------------------------------


def test_orders_of_the_past(open_ccxt: Open, symbol: str) -> None:
    """Each list holds the orders that its name says, and an order appears once in each."""
    maker, user = open_ccxt(), open_ccxt()
    maker.rest(symbol, -0.5, 2010)
    filled = user.exchange.create_order(symbol, "market", "buy", 0.5, 2010)["id"]
    canceled, resting = (user.rest(symbol, 0.5, price) for price in (1990, 1980))
    user.exchange.cancel_order(canceled, symbol)

    def ids(orders: list[dict[str, Any]]) -> set[str]:
        found = [order["id"] for order in orders]
        assert len(found) == len(set(found))
        return set(found)

    api = user.api
    assert ids(api.fetch_orders(symbol)) == {filled, canceled, resting}
    assert ids(api.fetch_closed_orders(symbol)) == {filled}
    assert ids(api.fetch_canceled_orders(symbol)) == {canceled}
    assert ids(api.fetch_canceled_and_closed_orders(symbol)) == {filled, canceled}
    assert ids(api.fetch_open_orders(symbol)) == {resting}


def test_fetch_order(open_ccxt: Open, symbol: str) -> None:
    """An order is found by its id, in whatever state it is; one that never was is not."""
    maker, user = open_ccxt(), open_ccxt()
    maker.rest(symbol, -0.2, 1990)
    oid = user.exchange.create_order(symbol, "limit", "buy", 0.5, 1990)["id"]

    order = user.api.fetch_order(oid, symbol)

    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0.2, 0.3)
    with pytest.raises(ccxt.OrderNotFound):
        user.exchange.fetch_order("1125899906842624", symbol)


def test_my_trades(open_ccxt: Open, symbol: str) -> None:
    """A fill has its price, role and fee; with a start it is read in order of time."""
    maker, user = open_ccxt(), open_ccxt()
    begin = int(time.time() * 1000) - 1000
    maker.rest(symbol, -0.5, 2000)
    orders = [
        user.exchange.create_order(symbol, "market", "buy", amount, 2000)["id"]
        for amount in (0.2, 0.3)
    ]

    newest = user.api.fetch_my_trades(symbol)
    since = user.api.fetch_my_trades(symbol, begin)

    assert [trade["order"] for trade in since] == orders
    assert sorted(trade["id"] for trade in newest) == sorted(trade["id"] for trade in since)
    assert (since[0]["side"], since[0]["price"], since[0]["amount"]) == ("buy", 2000.0, 0.2)
    assert since[0]["takerOrMaker"] == "taker"
    assert since[0]["fee"] == {"currency": "USDC", "cost": pytest.approx(0.2 * 2000 * 0.00045)}
    assert maker.api.fetch_my_trades(symbol)[0]["takerOrMaker"] == "maker"


# ---- TWAP --------------------------------------------------------------------------------------


def test_twap(open_ccxt: Open, symbol: str) -> None:
    """A TWAP order runs until it is cancelled."""
    user = open_ccxt()

    order = user.api.create_twap_order(symbol, "buy", 10, 600_000)
    canceled = user.api.cancel_twap_order(order["id"], symbol)

    assert int(order["id"]) > 0
    assert canceled["info"]["status"] == "success"
    with pytest.raises(ccxt.OrderNotFound, match="TWAP was never placed"):
        user.exchange.cancel_twap_order(order["id"], symbol)
