"""ccxt.pro watches markets and accounts, and trades over its WebSocket."""

import asyncio
from collections.abc import Callable

import ccxt
import pytest

from tests.conformance.ccxt_users import PRO, ProUser, run, until, within
from tests.program.harness import Program

pytestmark = pytest.mark.program

OpenPro = Callable[..., ProUser]


async def trade(maker: ProUser, taker: ProUser, symbol: str, amount: float = 0.25) -> None:
    """Let two users trade at 2010, so that the taker has bought."""
    await maker.rest(symbol, -amount, 2010)
    await taker.exchange.create_order(symbol, "market", "buy", amount, 2010)


# ---- the markets -------------------------------------------------------------------------------


def test_order_book(open_pro: OpenPro, symbol: str) -> None:
    """The book comes at once and again when it changes; after unWatch it can be watched anew."""

    async def scenario() -> None:
        async with open_pro() as user:
            book = await within(user.api.watch_order_book(symbol))
            assert (book["bids"], book["asks"]) == ([], [])

            await user.rest(symbol, 0.5, 1990)
            book = await until(lambda: user.api.watch_order_book(symbol), lambda book: book["bids"])
            assert book["bids"] == [[1990.0, 0.5]]

            await within(user.api.un_watch_order_book(symbol))
            book = await within(user.api.watch_order_book(symbol))
            assert book["bids"] == [[1990.0, 0.5]]

    run(scenario())


def test_trades(open_pro: OpenPro, symbol: str) -> None:
    """Each public trade is seen once."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as taker:
            await trade(maker, taker, symbol, 0.25)
            seen = await within(taker.api.watch_trades(symbol))
            assert [entry["amount"] for entry in seen] == [0.25]

            waiting = asyncio.ensure_future(taker.api.watch_trades(symbol))
            await trade(maker, taker, symbol, 0.5)
            (entry,) = await within(waiting)
            assert (entry["amount"], entry["price"], entry["side"]) == (0.5, 2010.0, "buy")

            await within(taker.api.un_watch_trades(symbol))

    run(scenario())


def test_ticker(open_pro: OpenPro, exchange: Program, coin: str, symbol: str) -> None:
    """The ticker of a market follows its oracle price."""

    async def scenario() -> None:
        async with open_pro() as user:
            ticker = await within(user.api.watch_ticker(symbol))
            assert ticker["info"]["oraclePx"] == "2000.0"

            exchange.move_oracle(coin, 2050)
            await until(
                lambda: user.api.watch_ticker(symbol),
                lambda ticker: ticker["info"]["oraclePx"] == "2050.0",
            )
            await within(user.api.un_watch_ticker(symbol))

    run(scenario())


def test_tickers(open_pro: OpenPro, symbol: str) -> None:
    """All mids come together, and again when one has moved."""

    async def scenario() -> None:
        async with open_pro() as user:
            tickers = await within(user.api.watch_tickers([symbol, "BTC/USDC:USDC"]))
            assert tickers[symbol]["last"] == 2000.0

            await user.rest(symbol, 0.5, 1980)
            await user.rest(symbol, -0.5, 2010)
            await until(
                lambda: user.api.watch_tickers([symbol]),
                lambda tickers: tickers[symbol]["last"] == 1995.0,
            )
            await within(user.api.un_watch_tickers([symbol]))

    run(scenario())


def test_candles(open_pro: OpenPro, symbol: str) -> None:
    """The forming candle follows the trades that form it."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as taker:
            waiting = asyncio.ensure_future(taker.api.watch_ohlcv(symbol, "1m"))
            await trade(maker, taker, symbol, 0.25)
            candles = await within(waiting)
            if candles[-1][5] != 0.25:
                candles = await until(
                    lambda: taker.api.watch_ohlcv(symbol, "1m"),
                    lambda candles: candles[-1][5] == 0.25,
                )
            assert candles[-1][1:] == [2010.0, 2010.0, 2010.0, 2010.0, 0.25]
            await within(taker.api.un_watch_ohlcv(symbol, "1m"))

    run(scenario())


# ---- the account -------------------------------------------------------------------------------


async def settled(user: ProUser) -> None:
    """Wait until the subscriptions sent so far are in force: the book's answer comes after."""
    await within(user.exchange.watch_order_book("BTC/USDC:USDC"))


def test_orders(open_pro: OpenPro, symbol: str) -> None:
    """Each step of an order is seen: open, filled in part, cancelled with its remainder."""

    async def scenario() -> None:
        async with open_pro() as user, open_pro() as taker:
            user.exchange.newUpdates = True
            waiting = asyncio.ensure_future(user.api.watch_orders(symbol))
            await settled(user)

            oid = await user.rest(symbol, -0.5, 2010)
            (opened,) = await within(waiting)
            assert (opened["id"], opened["status"], opened["remaining"]) == (oid, "open", 0.5)

            waiting = asyncio.ensure_future(user.api.watch_orders(symbol))
            await asyncio.sleep(0)
            await taker.exchange.create_order(symbol, "market", "buy", 0.2, 2010)
            (part,) = await within(waiting)
            assert (part["id"], part["filled"], part["remaining"]) == (oid, 0.2, 0.3)

            waiting = asyncio.ensure_future(user.api.watch_orders())
            await asyncio.sleep(0)
            await user.exchange.cancel_order(oid, symbol)
            (canceled,) = await within(waiting)
            assert (canceled["id"], canceled["status"]) == (oid, "canceled")
            assert canceled["remaining"] == 0.3
            await within(user.api.un_watch_orders())

    run(scenario())


def test_my_trades(open_pro: OpenPro, symbol: str) -> None:
    """Past fills come first, then each new one."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as taker:
            await trade(maker, taker, symbol, 0.25)
            (past,) = await within(taker.api.watch_my_trades(symbol))
            assert (past["amount"], past["side"], past["price"]) == (0.25, "buy", 2010.0)

            waiting = asyncio.ensure_future(taker.api.watch_my_trades(symbol))
            await trade(maker, taker, symbol, 0.5)
            new = await within(waiting)
            assert new[-1]["amount"] == 0.5
            assert new[-1]["fee"]["cost"] == pytest.approx(0.5 * 2010 * 0.00045)
            await within(taker.api.un_watch_my_trades())

    run(scenario())


def test_balance(open_pro: OpenPro, exchange: Program) -> None:
    """The balance comes at once and follows the account."""

    async def scenario() -> None:
        async with open_pro(1_000) as user:
            assert (await within(user.api.watch_balance()))["USDC"]["total"] == 1_000

            exchange.fund(user.address, 500)
            await until(user.api.watch_balance, lambda balance: balance["USDC"]["total"] == 1_500)
            await within(user.api.un_watch_balance())

    run(scenario())


@pytest.mark.shows(PRO, "watchBalance of type spot")
def test_spot_balance(open_pro: OpenPro) -> None:
    """The spot side comes at once and follows the account."""

    async def scenario() -> None:
        async with open_pro(1_000) as user:
            await within(user.api.watch_balance({"type": "spot"}))

            await user.exchange.transfer("USDC", 100, "swap", "spot")
            await until(
                lambda: user.api.watch_balance({"type": "spot"}),
                lambda balance: balance.get("USDC", {}).get("total") == 100,
            )
            await within(user.api.un_watch_balance({"type": "spot"}))

    run(scenario())


def test_positions(open_pro: OpenPro, symbol: str) -> None:
    """Positions come with the account's state, and again after a fill."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as taker:
            await trade(maker, taker, symbol, 0.25)
            (position,) = await within(taker.api.watch_positions([symbol]))
            assert (position["side"], position["contracts"]) == ("long", 0.25)

            await trade(maker, taker, symbol, 0.5)
            await until(
                lambda: taker.api.watch_positions([symbol]),
                lambda positions: positions[-1]["contracts"] == 0.75,
            )
            await within(taker.api.un_watch_positions())

    run(scenario())


def test_my_liquidations(open_pro: OpenPro, exchange: Program, coin: str, symbol: str) -> None:
    """Who is liquidated into the book sees it, at once and afterwards."""

    async def scenario() -> None:
        async with open_pro(100_000) as maker, open_pro(100) as user:
            await user.exchange.set_leverage(25, symbol)
            await maker.rest(symbol, -1, 2000)
            await user.exchange.create_order(symbol, "market", "buy", 1, 2000)
            waiting = asyncio.ensure_future(user.api.watch_my_liquidations(symbol))
            also = asyncio.ensure_future(user.api.watch_my_liquidations_for_symbols([symbol]))
            await settled(user)
            await maker.rest(symbol, 1, 1930)

            exchange.move_oracle(coin, 1935)

            for liquidations in (await within(waiting), await within(also)):
                assert liquidations[-1]["symbol"] == symbol
                assert liquidations[-1]["contracts"] == 1
            (past,) = await user.api.fetch_my_liquidations(symbol)
            assert (past["price"], past["side"]) == (1930.0, "sell")

    run(scenario())


# ---- two at once, and orders over the socket ---------------------------------------------------


def test_several_watchers_on_one_connection(open_pro: OpenPro, symbol: str) -> None:
    """Watchers of one connection do not disturb each other, nor does the end of one."""

    async def scenario() -> None:
        async with open_pro() as user:
            await within(
                asyncio.gather(
                    user.api.watch_order_book(symbol),
                    user.api.watch_tickers([symbol]),
                    user.api.watch_balance(),
                )
            )
            assert len(user.exchange.clients) == 1

            await within(user.api.un_watch_balance())
            await user.rest(symbol, 0.5, 1990)
            book = await until(lambda: user.api.watch_order_book(symbol), lambda book: book["bids"])
            assert book["bids"] == [[1990.0, 0.5]]

    run(scenario())


def test_orders_over_the_socket(open_pro: OpenPro, symbol: str) -> None:
    """Orders are placed, edited and cancelled over the socket, one by one and in batches."""

    async def scenario() -> None:
        async with open_pro() as user:
            api = user.api
            one = await within(api.create_order_ws(symbol, "limit", "buy", 0.5, 1990))
            edited = await within(api.edit_order_ws(one["id"], symbol, "limit", "buy", 0.4, 1980))
            assert edited["id"] != one["id"]

            entry = {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.5}
            several = await within(
                api.create_orders_ws([{**entry, "price": 1970 - n} for n in range(3)])
            )
            limit = await within(api.create_limit_order_ws(symbol, "sell", 0.3, 2010))
            ids = [order["id"] for order in (edited, *several, limit)]
            assert sorted(o["id"] for o in await api.fetch_open_orders()) == sorted(ids)

            await within(api.cancel_order_ws(ids[0], symbol))
            await within(api.cancel_orders_ws(ids[1:], symbol))
            assert await api.fetch_open_orders() == []

    run(scenario())


def test_market_order_over_the_socket(open_pro: OpenPro, symbol: str) -> None:
    """A market order over the socket tells what was filled."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as taker:
            await maker.rest(symbol, -0.5, 2010)
            order = await within(taker.api.create_market_order_ws(symbol, "buy", 0.25, 2010))
            assert (order["filled"], order["average"]) == (0.25, 2010.0)

    run(scenario())


def test_a_refusal_over_the_socket(open_pro: OpenPro, symbol: str) -> None:
    """A refused order raises the same class as over HTTP, and no watcher is hurt by it."""

    async def scenario() -> None:
        async with open_pro() as user:
            await within(user.api.watch_order_book(symbol))
            watching = asyncio.ensure_future(user.api.watch_order_book(symbol))

            with pytest.raises(ccxt.InvalidOrder, match="minimum value"):
                await within(user.exchange.create_order_ws(symbol, "limit", "buy", 0.001, 1990))

            await user.rest(symbol, 0.5, 1990)
            await within(watching)

    run(scenario())


# ---- the asynchronous half of ccxt -------------------------------------------------------------


def test_a_day_of_a_bot(open_pro: OpenPro, symbol: str) -> None:
    """The calls of a simple bot, awaited: look, place, edit, trade, read, cancel."""

    async def scenario() -> None:
        async with open_pro() as maker, open_pro() as user:
            api = user.api
            await api.set_leverage(5, symbol)
            await maker.rest(symbol, -0.5, 2010)
            assert (await api.fetch_order_book(symbol))["asks"] == [[2010.0, 0.5]]
            assert (await api.fetch_ticker(symbol))["symbol"] == symbol

            placed = await api.create_order(symbol, "limit", "buy", 0.5, 1990)
            edited = await api.edit_order(placed["id"], symbol, "limit", "buy", 0.4, 1980)
            await api.create_orders(
                [{"symbol": symbol, "type": "market", "side": "buy", "amount": 0.5, "price": 2010}]
            )
            assert (await api.fetch_positions([symbol]))[0]["contracts"] == 0.5
            assert (await api.fetch_my_trades(symbol))[0]["amount"] == 0.5
            assert (await api.fetch_order(edited["id"], symbol))["status"] == "open"
            assert len(await api.fetch_ohlcv(symbol)) == 1
            assert (await api.fetch_balance())["USDC"]["used"] > 0

            await api.cancel_order(edited["id"], symbol)
            assert await api.fetch_open_orders() == []

    run(scenario())
